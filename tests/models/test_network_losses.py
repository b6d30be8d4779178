"""Regularizers and `add_loss` of networks count in the update that moves the network."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import data

from tfgen import layers, models, networks
from tfgen.layers import KLDivergenceRegularizer
from tfgen.models import GenerativeModel, Update

SHAPE = (2, 2, 1)
X = np.random.default_rng(0).uniform(size=(8, *SHAPE)).astype("float32")


def dense(num_inputs, num_outputs, **kwargs):
    return keras.Sequential([keras.Input((num_inputs,)), keras.layers.Dense(num_outputs, **kwargs)])


@keras.saving.register_keras_serializable("tfgen-tests")
class Players(GenerativeModel):
    """Two players whose terms are 0, so that nothing moves them but their networks' losses.

    The second calls the network of the first too, which is not its to move.
    """

    def __init__(self, first, second, **kwargs):
        super().__init__((3,), **kwargs)
        self.first, self.second = first, second

    @property
    def updates(self):
        return [
            Update("one", (self.first,), self.one, "one_loss"),
            Update("two", (self.second,), self.two, "two_loss"),
        ]

    def one(self, x, training):
        return {"one_loss": 0.0 * tf.reduce_sum(self.first(x, training=training), axis=-1)}

    def two(self, x, training):
        y = self.second(self.first(x, training=training), training=training)
        y += self.second(y[:, :3], training=training)
        return {"two_loss": 0.0 * tf.reduce_sum(y, axis=-1)}


def step(model, x=None, rate=0.1):
    model.compile(keras.optimizers.SGD(rate), run_eagerly=True)
    x = data()[:8] if x is None else x
    return model.fit(x, batch_size=len(x), verbose=0, shuffle=False).history


def test_weight_decay_by_hand():
    """One step of SGD on c |W|^2 multiplies W by 1 - 2 c rate, in each player's own update."""
    model = Players(dense(3, 3, kernel_regularizer=keras.regularizers.L2(2.0)), dense(3, 3))
    before = [v.numpy() for v in (*model.first.weights, *model.second.weights)]
    logs = step(model)
    for i, (old, new) in enumerate(
        zip(before, (*model.first.weights, *model.second.weights), strict=True)
    ):
        np.testing.assert_allclose(new, old * (0.6 if i == 0 else 1.0), rtol=1e-5, atol=1e-7)
    expected = 2.0 * np.sum(before[0] ** 2)
    np.testing.assert_allclose(logs["one_regularization"], [expected], rtol=1e-5)
    np.testing.assert_allclose(logs["one_loss"], [expected], rtol=1e-5)
    assert "two_regularization" not in logs and logs["two_loss"] == [0.0]


def test_losses_of_all_calls_of_a_network_count():
    """The second player calls its own network twice: the activities of both calls."""
    model = Players(dense(3, 3), dense(3, 3, activity_regularizer=keras.regularizers.L1(1.0)))
    x = data()[:8]
    y = model.second(model.first(x))
    both = [float(model.second.losses[0])]  # Keras 3.8 has the sum, later ones the mean.
    model.second(y)
    both.append(float(model.second.losses[0]))
    np.testing.assert_allclose(step(model, x)["two_regularization"], [sum(both)], rtol=1e-5)


class Adding(keras.layers.Layer):
    """Adds the mean of its inputs' squares to the loss."""

    def call(self, inputs):
        self.add_loss(tf.reduce_mean(tf.square(inputs)))
        return inputs


def vae(encoder_layers=(), **dense_options):
    encoder = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            *encoder_layers,
            keras.layers.Dense(4, kernel_initializer="ones", **dense_options),
            layers.IndependentNormal(2),
        ]
    )
    return models.VAE(encoder, networks.mlp_decoder(SHAPE, 2, width=4), seed=0)


def test_add_loss_and_its_place_in_the_logs():
    model, plain = vae([Adding()]), vae()
    plain.decoder.set_weights(model.decoder.get_weights())
    logs, expected = step(model, X), step(plain, X)
    np.testing.assert_allclose(logs["regularization"], [np.mean(X**2)], rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], expected["loss"] + np.mean(X**2), rtol=1e-5)
    np.testing.assert_allclose(logs["elbo"], expected["elbo"], rtol=1e-5)
    evaluated = model.evaluate(X, verbose=0, return_dict=True)
    np.testing.assert_allclose(evaluated["regularization"], np.mean(X**2), rtol=1e-5)
    assert "regularization" not in expected


@pytest.mark.parametrize("compiled", [False, True])
def test_strong_decay_shrinks_an_encoder(compiled):
    model = vae(kernel_regularizer=keras.regularizers.L2(100.0))
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=not compiled)
    before = np.abs(model.encoder.layers[1].kernel).max()
    history = model.fit(X, epochs=20, verbose=0).history
    assert np.abs(model.encoder.layers[1].kernel).max() < 0.1 * before
    assert history["regularization"][-1] < 0.01 * history["regularization"][0]


def test_kl_regularizer_of_an_encoder():
    """It stands beside the model's own KL divergence, and is its equal."""
    prior = layers.StandardNormal(2).as_distribution()
    encoder = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
            layers.IndependentNormal(
                2, activity_regularizer=KLDivergenceRegularizer(prior, use_exact_kl=True)
            ),
        ]
    )
    logs = step(models.VAE(encoder, networks.mlp_decoder(SHAPE, 2, width=4), seed=0), X)
    np.testing.assert_allclose(logs["regularization"], logs["kl"], rtol=1e-4)


@pytest.mark.parametrize("name", ["vae", "aae", "vae_gan", "flow"])
def test_players_decay(name, build_model, blobs):
    assert_decays(build_model(name), blobs)


@pytest.mark.slow
def test_every_model_decays(model_name, build_model, blobs):
    assert_decays(build_model(model_name), blobs)


def assert_decays(model, blobs):
    """Each update takes the losses of the networks that it moves first, and each counts once."""
    seen = set()
    for update in model.updates:
        kernels = [v for v in update.variables if len(v.shape) > 1 and id(v) not in seen]
        for variable in kernels:
            variable.regularizer = keras.regularizers.L2(1.0)
        seen |= {id(v) for v in kernels}
    labels = np.zeros(len(blobs), "int32") if getattr(model, "num_classes", None) else None
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    expected = sum(float(np.sum(np.square(v))) for v in model.trainable_variables if v.regularizer)
    logs = model.evaluate(
        blobs[:16], None if labels is None else labels[:16], verbose=0, return_dict=True
    )
    names = [name for name in logs if name.endswith("regularization")]
    assert sum(logs[name] for name in names) == pytest.approx(expected, rel=1e-4)
    assert expected > 0


def test_a_model_has_no_losses_of_its_own():
    model = vae()
    with pytest.raises(ValueError, match="Received: add_loss on the model"):
        model.add_loss(1.0)


def test_frozen_networks_stay(blobs):
    model = vae(kernel_regularizer="l2")
    model.encoder.trainable = False
    before = model.encoder.get_weights()
    step(model, X)
    for old, new in zip(before, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
