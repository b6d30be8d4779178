"""A toy with two updates, for tests of what all models share."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.models import GenerativeModel, Update

NUM_BATCHES = 4


@keras.saving.register_keras_serializable("tfgen-tests")
class Toy(GenerativeModel):
    """A generator against a critic, with Dropout, so that every kind of randomness is there."""

    def __init__(self, repeats=1, shared=False, **kwargs):
        super().__init__(data_shape=(3,), **kwargs)
        self.repeats, self.shared = repeats, shared
        self.generator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        self.critic = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, "tanh"),
                keras.layers.Dropout(0.5, seed=0),
                keras.layers.Dense(1),
            ]
        )
        for i, variable in enumerate(self.trainable_variables):
            variable.assign(keras.random.normal(variable.shape, seed=i))

    @property
    def updates(self):
        terms = [self.both] * 2 if self.shared else [self.critic_terms, self.generator_terms]
        return [
            Update("critic", (self.critic,), terms[0], "critic_loss", self.turns),
            Update("generator", (self.generator,), terms[1], "generator_loss", self.turns),
        ]

    def turns(self, x, training):
        return [x] * self.repeats

    def fakes(self, x, training):
        seed = self.next_seed(training)
        z = tf.random.stateless_normal((tf.shape(x)[0], 2), seed)
        return self.generator(z, training=training)

    def critic_terms(self, x, training=True):
        fake = self.critic(self.fakes(x, training), training=training)
        real = self.critic(x, training=training)
        return {"critic_loss": (tf.square(real - 1) + tf.square(fake))[:, 0]}

    def generator_terms(self, x, training=True):
        fake = self.critic(self.fakes(x, training), training=training)
        return {"generator_loss": tf.square(fake - 1)[:, 0]}

    def both(self, x, training=True):
        return self.critic_terms(x, training) | self.generator_terms(x, training)

    def get_config(self):
        return {**super().get_config(), "repeats": self.repeats, "shared": self.shared}


def data():
    return np.random.default_rng(0).normal(size=(8 * NUM_BATCHES, 3)).astype("float32")


def toy(**kwargs):
    model = Toy(seed=1, **kwargs)
    optimizers = {"generator": keras.optimizers.Adam(0.1), "critic": keras.optimizers.SGD(0.1, 0.9)}
    model.compile(optimizers)
    return model


def fit(model, epochs, **kwargs):
    return model.fit(data(), batch_size=8, epochs=epochs, verbose=0, **kwargs).history


def state(model):
    """Everything a `.keras` file must bring back: weights, seeds, optimizers."""
    variables = [
        *model.variables,
        *model.optimizers["critic"].variables,
        *model.optimizers["generator"].variables,
    ]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def assert_same_state(a, b):
    assert len(state(a)) == len(state(b))
    for left, right in zip(state(a), state(b), strict=True):
        np.testing.assert_array_equal(left, right)


class Interrupt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.steps) >= self.step:
            raise KeyboardInterrupt
