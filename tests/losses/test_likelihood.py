"""Bits per dimension, which distributions have them, errors, and the parts of a bound."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.losses import bits_per_dim, bound_terms, is_discrete, squared_error

tfd = tfp.distributions


def test_fair_coins_have_one_bit_each():
    coins = layers.IndependentBernoulli((4, 5))(tf.zeros((3, 20)))
    nats = -coins.log_prob(tf.ones((3, 4, 5)))
    np.testing.assert_allclose(bits_per_dim(nats, (4, 5)), np.ones(3), rtol=1e-6)


def test_uniform_bytes_have_eight_bits():
    assert bits_per_dim(12 * np.log(256), (2, 2, 3)) == pytest.approx(8.0)


def test_scalar_events():
    assert bits_per_dim(np.log(2.0), ()) == pytest.approx(1.0)


def _mixture(component):
    return layers.MixtureSameFamily(2, component)


@pytest.mark.parametrize(
    "layer, size, expected",
    [
        (layers.IndependentBernoulli(2), 2, True),
        (layers.IndependentPoisson(2), 2, True),
        (layers.OneHotCategorical(2), 2, True),
        (layers.CategoricalMixtureOfOneHotCategorical(2, 2), 6, True),
        (_mixture(layers.IndependentBernoulli(2)), 6, True),
        (_mixture(layers.IndependentNormal(2)), 10, False),
        (layers.MixtureNormal(2, 2), 10, False),
        (layers.MixtureLogistic(2, 2), 10, False),
        (layers.IndependentNormal(2), 4, False),
        (layers.IndependentLogistic(2), 4, False),
        (layers.FixedScaleNormal(2), 2, False),
        (layers.MultivariateNormalTriL(2), 5, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_layers_are_discrete_or_not(layer, size, expected):
    assert is_discrete(layer(tf.zeros((1, size)))) is expected


@pytest.mark.parametrize(
    "distribution, expected",
    [
        (tfd.Categorical([0.0, 0.0]), True),
        (tfd.QuantizedDistribution(tfd.Normal(tf.zeros(2), 1.0)), True),
        (tfd.Uniform(tf.zeros(2), 1.0), False),
        (tfd.LogNormal(tf.zeros(2), 1.0), False),
        (
            tfd.Independent(
                tfd.MixtureSameFamily(
                    tfd.Categorical(tf.zeros((2, 3))), tfd.Normal(tf.zeros((2, 3)), 1.0)
                ),
                1,
            ),
            False,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_distributions(distribution, expected):
    assert is_discrete(distribution) is expected


def test_squared_error_by_hand():
    x = np.arange(12.0, dtype="float32").reshape(2, 3, 2)
    np.testing.assert_array_equal(squared_error(x, x + 2), [24.0, 24.0])
    np.testing.assert_array_equal(squared_error(x[:, 0, 0], tf.zeros(2)), [0.0, 36.0])
    half = tf.cast(x, tf.float16)  # The output of a network in mixed precision.
    assert squared_error(x, half).dtype == tf.float32


def test_bound_terms_by_hand():
    reconstruction, kl = tf.constant([3.0, 5.0]), tf.constant([1.0, -2.0])
    terms = bound_terms(reconstruction, kl, (2, 2))
    np.testing.assert_array_equal(terms["elbo"], [-4.0, -3.0])
    np.testing.assert_allclose(terms["bits_per_dim"], np.array([1.0, 0.75]) / np.log(2), rtol=1e-6)
    assert terms["reconstruction"] is reconstruction and terms["kl"] is kl
    assert "bits_per_dim" not in bound_terms(reconstruction, kl, None)
    # A scalar event has a shape, which is empty.
    assert "bits_per_dim" in bound_terms(reconstruction, kl, ())
