"""Wasserstein GANs: clipping, the penalized step by hand, and critics with known optima."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import models
from tfgen.losses import WeightClipping
from tfgen.models import WGAN, WGANGP


def line():
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def shifted_by_two(cls, **kwargs):
    """A critic on a line between data and a fixed generator of the same shape, 2 below."""
    keras.utils.set_random_seed(0)
    model = cls(line(), line(), seed=0, **kwargs)
    model.generator.set_weights([np.ones((1, 1)), np.zeros(1)])
    model.compile({"discriminator": keras.optimizers.Adam(0.02), "generator": "sgd"})
    model.optimizers["generator"].learning_rate = 0.0
    data = np.random.default_rng(0).normal(2.0, 1.0, size=(1024, 1)).astype("float32")
    return model, data


def weights_of(network):
    return np.concatenate([np.ravel(weight) for weight in network.get_weights()])


# Clipping.


def test_critic_is_clipped_from_the_start_and_after_each_step(build_model, blobs):
    model = build_model("wgan", clip=0.03)
    largest = []

    class Watch(WeightClipping):
        """Sees what the optimizer made of the weights, and what is left of them."""

        def __call__(self, weights):
            clipped = super().__call__(weights)
            largest.append((np.abs(weights).max(), np.abs(clipped).max()))
            return clipped

    assert np.abs(weights_of(model.discriminator)).max() <= np.float32(0.03)
    variables = model.discriminator.trainable_variables
    assert all(isinstance(variable.constraint, WeightClipping) for variable in variables)
    for variable in variables:
        variable.constraint = Watch(0.03)
    before = weights_of(model.generator)
    model.compile(keras.optimizers.RMSprop(0.1), run_eagerly=True)
    model.fit(blobs, batch_size=32, verbose=0)
    # 2 batches of 2 steps, 4 variables each; a step of RMSprop(0.1) is well over the bound.
    assert len(largest) == 2 * 2 * len(variables)
    assert max(before for before, _ in largest) > 0.1
    assert max(after for _, after in largest) <= np.float32(0.03)
    assert np.abs(weights_of(model.generator) - before).max() > 0.1


def test_loaded_critics_are_clipped_too(build_model, blobs, tmp_path):
    model = build_model("wgan", clip=0.03)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert_array_equal(weights_of(loaded.discriminator), weights_of(model.discriminator))
    loaded.compile(keras.optimizers.RMSprop(0.1), run_eagerly=True)
    loaded.fit(blobs, batch_size=32, verbose=0)
    # All that a large step moves ends at the bound.
    assert np.abs(weights_of(loaded.discriminator)).max() == np.float32(0.03)


def test_clipped_critic_on_a_line_reaches_the_bound():
    """D(x) = a x + b under |a| <= c is best at a = c, and the loss then -c (2 - 0)."""
    model, data = shifted_by_two(WGAN, clip=0.1)
    model.fit(data, batch_size=256, epochs=4, verbose=0)
    assert model.discriminator.get_weights()[0] == np.float32(0.1)
    logs = model.evaluate(data, batch_size=1024, verbose=0, return_dict=True)
    # Two means of 1,024 standard normal values, five standard errors.
    assert logs["discriminator_loss"] == pytest.approx(-0.2, abs=0.1 * 5 * np.sqrt(2 / 1024))


# Penalty.


def test_penalized_critic_on_a_line_reaches_its_optimum():
    """max 2 a - lambda (a - 1)^2 has a = 1 + 1 / lambda, here 1.1; each batch sees another gap.

    The gap between means of 64 has a standard error of 0.18, and a one of 1 / 20 of that; Adam
    averages over several steps. Five standard errors are 0.045.
    """
    model, data = shifted_by_two(WGANGP, gradient_penalty=10.0, discriminator_steps=4)
    model.discriminator.set_weights(
        [np.full((1, 1), 0.5), np.zeros(1)]
    )  # There is one at -0.9 too.
    model.fit(data, batch_size=256, epochs=20, verbose=0)
    slope = float(model.discriminator.get_weights()[0][0, 0])
    assert slope == pytest.approx(1.1, abs=0.045)
    logs = model.evaluate(data, batch_size=1024, verbose=0, return_dict=True)
    assert logs["gradient_penalty"] == pytest.approx(10 * (slope - 1) ** 2, rel=1e-4)


@pytest.mark.parametrize("one_sided", [False, True])
def test_step_by_hand(one_sided, build_model, assert_step_by_hand, blobs):
    """Gulrajani et al., Algorithm 1, with two steps of the critic on halves of the batch."""
    model, x = build_model("wgan_gp", gradient_penalty=3.0, one_sided=one_sided), blobs[:16]
    critic, generator = model.discriminator, model.generator

    def critic_pass(real):
        fake = generator(model.sample_latents(8, model.next_seed()))
        position = tf.random.stateless_uniform((8, 1, 1, 1), model.next_seed())
        with tf.GradientTape() as tape:
            between = tf.convert_to_tensor(position * fake + (1 - position) * real)
            tape.watch(between)
            logits = critic(between)
        norm = tf.norm(tf.reshape(tape.gradient(logits, between), (8, -1)), axis=1)
        excess = tf.maximum(norm - 1, 0) if one_sided else norm - 1
        gap = tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(real))
        return [(gap + 3.0 * tf.reduce_mean(excess**2), critic)]

    def generator_pass():
        fake = generator(model.sample_latents(8, model.next_seed()))
        return [(-tf.reduce_mean(critic(fake)), generator)]

    halves = [lambda: critic_pass(x[:8]), lambda: critic_pass(x[8:])]
    assert_step_by_hand(model, x, *halves, generator_pass)


def test_wgan_step_by_hand(build_model, assert_step_by_hand, blobs):
    model, x = build_model("wgan", clip=0.2, discriminator_steps=1), blobs[:8]
    critic, generator = model.discriminator, model.generator

    def critic_pass():
        fake = generator(model.sample_latents(8, model.next_seed()))
        return [(tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(x)), critic)]

    def clip_and_generator_pass():
        for variable in critic.trainable_variables:
            variable.assign(tf.clip_by_value(variable.value, -0.2, 0.2))
        fake = generator(model.sample_latents(8, model.next_seed()))
        return [(-tf.reduce_mean(critic(fake)), generator)]

    assert_step_by_hand(model, x, critic_pass, clip_and_generator_pass)


def test_patch_critic_is_penalized_as_their_mean(blobs):
    critic = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Conv2D(1, 1)])
    critic.set_weights([np.full((1, 1, 1, 1), 2.0), np.zeros(1)])
    generator = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4), keras.layers.Reshape((2, 2, 1))]
    )
    model = WGANGP(generator, critic, gradient_penalty=1.0, seed=0)
    # The mean of four pixels times 2 has the gradient (1/2, 1/2, 1/2, 1/2), of length 1.
    penalty = model.discriminator_terms(blobs[:4])["gradient_penalty"]
    assert_allclose(penalty, np.zeros(4), atol=1e-6)


# Errors.


@pytest.mark.parametrize("nested", [False, True])
def test_batch_normalization_is_refused(nested):
    norm = keras.layers.BatchNormalization(name="norm")
    norm = keras.Sequential([keras.Input((1,)), norm]) if nested else norm
    critic = keras.Sequential([keras.Input((1,)), norm, keras.layers.Dense(1)])
    message = "each example alone. Received: .*batch normalization, 'norm'.*LayerNormalization"
    with pytest.raises(ValueError, match=message):
        WGANGP(line(), critic)
    WGAN(line(), critic)


@pytest.mark.parametrize("cls", [WGAN, WGANGP])
def test_the_loss_is_part_of_the_model(cls):
    with pytest.raises(ValueError, match="takes no loss"):
        cls(line(), line(), loss="hinge")
    with pytest.raises(ValueError, match="takes no label_smoothing: .*no labels"):
        cls(line(), line(), label_smoothing=0.1)


def test_one_penalty():
    with pytest.raises(ValueError, match="takes no r1"):
        WGANGP(line(), line(), r1=1.0)
    with pytest.raises(
        ValueError, match="must be a finite number >= 0. Received: gradient_penalty=-1"
    ):
        WGANGP(line(), line(), gradient_penalty=-1.0)


def test_clip_of_nothing():
    with pytest.raises(ValueError, match="clip must.*Received: clip=0"):
        WGAN(line(), line(), clip=0.0)


@pytest.mark.parametrize("cls", [WGAN, WGANGP])
def test_a_last_batch_of_fewer_examples_than_steps(cls):
    model = cls(line(), line(), seed=0)
    model.compile("sgd", run_eagerly=True)
    x = np.zeros((9, 1), "float32")
    logs = model.fit(x, batch_size=8, validation_data=x[:4], verbose=0).history
    assert np.isfinite(list(logs.values())).all()
    assert int(model.optimizers["discriminator"].iterations) == 10
