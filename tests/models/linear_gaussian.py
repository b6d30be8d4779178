"""A linear Gaussian model of two latents, of which everything is known, for tests of bounds."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers

WEIGHTS = np.array([[1.0, 0.5, -0.3], [0.8, 0.7, -0.2]], "float32")
BIAS, SCALE = np.array([0.1, -0.2, 0.3], "float32"), 0.5
PRECISION = np.eye(2) + WEIGHTS @ WEIGHTS.T / SCALE**2  # Of the posterior p(z|x).
# What the best factorial posterior misses of log p(x): the KL of a correlated normal from it.
GAP = 0.5 * (np.log(np.diag(PRECISION)).sum() - np.linalg.slogdet(PRECISION)[1])
X = np.array([[0.5, -0.1, 0.2], [-1.0, 0.4, 0.1]], "float32")


def exact():
    """p(x) of x = z W + b + noise."""
    covariance = WEIGHTS.T @ WEIGHTS + SCALE**2 * np.eye(3, dtype="float32")
    return tfp.distributions.MultivariateNormalTriL(BIAS, np.linalg.cholesky(covariance))


def linear(num_inputs, num_outputs, head):
    return keras.Sequential([keras.Input((num_inputs,)), keras.layers.Dense(num_outputs), head])


def linear_model():
    """An encoder around the exact posterior, 1.5 times as wide, and the exact decoder."""
    keras.utils.set_random_seed(0)
    encoder = linear(3, 4, layers.IndependentNormal(2, scale_activation="exponential"))
    decoder = linear(2, 3, layers.FixedScaleNormal(3, scale=SCALE))
    decoder.layers[0].set_weights([WEIGHTS, BIAS])
    covariance = np.linalg.inv(PRECISION)
    mean = WEIGHTS.T @ covariance / SCALE**2
    log_scale = np.log(1.5 * np.sqrt(np.diag(covariance)))
    weights = [np.c_[mean, np.zeros((3, 2))], np.r_[-BIAS @ mean, log_scale]]
    encoder.layers[0].set_weights(weights)
    return encoder, decoder


def assert_training_tightens_the_bound(model):
    """That a model of `linear_model` comes closer to log p(x) than a factorial posterior can."""
    model.decoder.trainable = False
    rate = keras.optimizers.schedules.CosineDecay(0.05, 300)
    model.compile(keras.optimizers.Adam(rate), jit_compile=False)
    x = exact().sample(6400, seed=0).numpy()
    model.fit(x, batch_size=128, epochs=6, verbose=0)
    differences = exact().log_prob(x) - model.terms(x)["elbo"]
    standard_error = np.std(differences) / np.sqrt(len(x))
    # A bound, and closer than a factorial posterior can be.
    assert np.mean(differences) > -5 * standard_error
    assert np.mean(differences) < 0.5 * GAP - 5 * standard_error


def assert_gradient_is_that_of_differences(model):
    """Along one random direction of all weights, every one of which has a gradient."""
    variables = model.trainable_variables

    def loss():
        model.seed_generator.state.assign([0, 0])
        return tf.reduce_sum(model.terms(X)["loss"])

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, [v.value for v in variables])
    assert all(np.abs(gradient).max() > 1e-3 for gradient in gradients)
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=v.shape).astype("float32") for v in variables]
    losses = []
    for size in (1e-3, -2e-3):
        for variable, direction in zip(variables, directions, strict=True):
            variable.assign_add(size * direction)
        losses.append(float(loss()))
    expected = (losses[0] - losses[1]) / 2e-3
    actual = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    # Float32 rounding of losses of order 10 over a step of 2e-3.
    assert actual == pytest.approx(expected, rel=0.01, abs=0.02)
