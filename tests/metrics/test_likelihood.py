"""Bits per dimension, and which distributions have them."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.metrics import bits_per_dim, is_discrete

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
