"""Dequantization: closed forms, autodiff, integrals over noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from tfgen.bijectors.dequantization import (
    UniformDequantization,
    VariationalDequantization,
    dequantized_logit,
)
from tfgen.bijectors.glow import ActNorm

tfb, tfd = tfp.bijectors, tfp.distributions

SHAPE, SEED = (2, 3, 1), [0, 1]


def whole_numbers(num=4, num_values=256):
    x = np.random.default_rng(0).integers(0, num_values, (num, *SHAPE)).astype("float32")
    x[0, 0, :2, 0] = 0, num_values - 1
    return x


def shifted_noise(loc, scale):
    """Noise sigmoid(logistic(loc, scale)), whatever the data."""
    norm = ActNorm(SHAPE)
    norm.loc.assign([loc])
    norm.log_scale.assign([np.log(scale)])
    return VariationalDequantization(norm)


# The map.


@pytest.mark.parametrize("num_values, alpha", [(256, 1e-5), (17, 0.05)])
def test_logit_against_scipy_in_double_precision(num_values, alpha):
    x = tf.constant(whole_numbers(num_values=num_values))
    u = tf.constant(np.random.default_rng(1).uniform(size=x.shape), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(u)
        y, log_slope = dequantized_logit(x, u, num_values, alpha)
    v = (x.numpy().astype("float64") + u.numpy()) / num_values
    assert_allclose(y, special.logit(alpha / 2 + (1 - alpha) * v), rtol=1e-5, atol=1e-5)
    assert_allclose(np.exp(log_slope), tape.gradient(y, u), rtol=1e-4)


def test_logit_is_exact_at_both_ends():
    """Black without and white with all noise: +-log((1 - alpha / 2) / (alpha / 2))."""
    y, _ = dequantized_logit(tf.constant([0.0, 255.0]), tf.constant([0.0, 1.0]))
    end = np.log((1 - 5e-6) / 5e-6)
    assert_allclose(y, [-end, end], rtol=1e-6)


# Weights of the draws.


def test_logistic_density_is_uniform_over_the_values():
    """logit maps the uniform to the logistic: every draw weighs ((1 - alpha) / num_values)^D."""
    x = tf.constant(whole_numbers())
    y, log_weight = UniformDequantization(SHAPE).dequantize(x, SEED)
    log_density = tf.reduce_sum(tfd.Logistic(0.0, 1.0).log_prob(y), axis=[1, 2, 3])
    expected = 6 * np.log((1 - 1e-5) / 256)
    # Float32 rounding of terms of up to 12 for each of 6 pixels.
    assert_allclose(log_density + log_weight, np.full(4, expected), rtol=2e-6)


def test_noise_is_uniform():
    u, log_q = UniformDequantization(SHAPE).noise(tf.zeros((10_000, *SHAPE)), SEED)
    assert_array_equal(log_q, np.zeros(10_000))
    assert 0 < np.min(u) and np.max(u) < 1
    quantiles = np.quantile(u, [0.25, 0.5, 0.75])
    # Five times the standard error sqrt(p (1 - p) / n) <= 0.5 / sqrt(60,000).
    assert_allclose(quantiles, [0.25, 0.5, 0.75], atol=5 * 0.5 / np.sqrt(60_000))


def test_identity_as_variational_flow_is_uniform():
    x = tf.constant(whole_numbers())
    u, log_q = VariationalDequantization(ActNorm(SHAPE)).noise(x, SEED)
    expected, _ = UniformDequantization(SHAPE).noise(x, SEED)
    assert_allclose(u, expected, rtol=1e-5, atol=1e-6)
    assert_allclose(log_q, np.zeros(4), atol=1e-5)


def test_density_of_the_noise_against_tfp():
    x = tf.constant(whole_numbers())
    u, log_q = shifted_noise(0.5, 0.8).noise(x, SEED)
    reference = tfd.TransformedDistribution(tfd.Logistic(0.5, 0.8), tfb.Sigmoid())
    assert_allclose(log_q, tf.reduce_sum(reference.log_prob(u), axis=[1, 2, 3]), atol=1e-4)


def test_density_of_the_noise_is_normalized():
    """The volume of the unit cube, E_q[1 / q(u)] = 1."""
    _, log_q = shifted_noise(0.5, 1.0).noise(tf.zeros((20_000, *SHAPE)), SEED)
    draws = np.exp(-log_q)
    # 5 standard errors; 1 / q is at most exp(0.5) for each of 6 pixels.
    assert abs(draws.mean() - 1) < 5 * draws.std() / np.sqrt(20_000)
    assert draws.std() > 0.1


def test_context_is_the_image_in_unit_range():
    """A bijector that shifts the noise by its context: +1 at white, -1 at black."""

    class Shift(ActNorm):
        def forward(self, x, context=None):
            return x + context, self.no_log_det(x)

    x = tf.constant(whole_numbers())
    u, _ = VariationalDequantization(Shift(SHAPE)).noise(x, SEED)
    uniform, _ = UniformDequantization(SHAPE).noise(x, SEED)
    shift = special.logit(u) - special.logit(uniform)
    assert_allclose(shift, 2 * x / 255 - 1, atol=1e-3)


# There and back.


@pytest.mark.parametrize("num_values", [2, 17, 256])
def test_values_come_back(num_values):
    dequantization = UniformDequantization(SHAPE, num_values)
    x = whole_numbers(64, num_values)
    nearly = x * (1 + 1e-7)  # As a pipeline that divides and multiplies delivers them.
    for y in (dequantization.dequantize(nearly, SEED)[0], dequantization.middle(nearly)):
        assert_array_equal(dequantization.requantize(y), x)
    beyond = tf.constant([[-50.0, 50.0]])
    assert_array_equal(dequantization.requantize(beyond), [[0, num_values - 1]])


@pytest.mark.parametrize("alpha", [1e-5, 0.05, 0.5])
def test_numbers_come_back_whatever_alpha_is(alpha):
    dequantization = UniformDequantization(SHAPE, num_values=16, alpha=alpha)
    x = whole_numbers(64, 16)
    for y in (dequantization.dequantize(x, SEED)[0], dequantization.middle(x)):
        assert_array_equal(dequantization.requantize(y), x)


def test_seeds():
    dequantization, x = UniformDequantization(SHAPE), tf.constant(whole_numbers())
    first, second, other = (dequantization.dequantize(x, [0, i])[0] for i in (1, 1, 2))
    assert_array_equal(first, second)
    assert not np.any(np.equal(first, other))


@pytest.mark.parametrize(
    "x, received",
    [
        ([[0.0, 0.5, 1.0]], "broken numbers from 0 to 1"),
        ([[0.0, 256.0]], "whole numbers from 0 to 256"),
        ([[-1.0, 255.0]], "whole numbers from -1 to 255"),
    ],
)
def test_other_data_are_refused(x, received):
    with pytest.raises(ValueError, match=rf"Received: {received}.*value_range=\(0, 255\)"):
        UniformDequantization(2).check(np.array(x))


def test_whole_numbers_of_the_whole_range_pass():
    """With the rounding errors of a pipeline."""
    UniformDequantization(2).check(np.array([[0.0, 255.0], [-5e-4, 255.0005]]))
    UniformDequantization(2, num_values=2).check(np.array([[0.0, 1.0]]))


@pytest.mark.parametrize("kwargs", [{"num_values": 1}, {"alpha": 0.0}, {"alpha": 1.5}])
def test_arguments_out_of_range(kwargs):
    ((name, value),) = kwargs.items()
    with pytest.raises(ValueError, match=f"{name} must be .* Received: {name}={value}"):
        UniformDequantization(2, **kwargs)


def test_config_round_trip():
    uniform = UniformDequantization(SHAPE, 17, 1e-3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(uniform))
    assert (copy.event_shape, copy.num_values, copy.alpha) == (SHAPE, 17, 1e-3)
    variational = shifted_noise(0.5, 0.8)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(variational))
    copy.set_weights(variational.get_weights())
    x = tf.constant(whole_numbers())
    assert_array_equal(copy.dequantize(x, SEED)[0], variational.dequantize(x, SEED)[0])
