"""Bits per dimension, which distributions have them, errors, and the parts of a bound."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import bijectors, layers
from tfgen.losses import bits_per_dim, bound_terms, is_discrete, squared_error

tfd, tfb = tfp.distributions, tfp.bijectors


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


ZEROS = tf.zeros(2)
COIN = tfd.Categorical(ZEROS)
NORMAL, COUNT = tfd.Normal(ZEROS, 1.0), tfd.Poisson(tf.ones(2))
TWO_NORMALS = tfd.Mixture(COIN, [tfd.Normal(0.0, 1.0), tfd.Normal(5.0, 1.0)])
TWO_COUNTS = tfd.Mixture(COIN, [tfd.Poisson(1.0), tfd.Geometric(0.0)])
TRANSITIONS = tfd.Categorical(tf.zeros((2, 2)))

MASSES = {
    "Categorical": COIN,
    "Deterministic": tfd.Deterministic(ZEROS),
    "Empirical": tfd.Empirical(ZEROS),
    "Quantized": tfd.QuantizedDistribution(NORMAL),
    "Quantized mixture": tfd.QuantizedDistribution(TWO_NORMALS),
    "Mixture": TWO_COUNTS,
    "MixtureSameFamily": tfd.MixtureSameFamily(COIN, COUNT),
    "zero-inflated": tfd.ZeroInflatedNegativeBinomial(0.3, total_count=3.0, probs=0.5),
    "Independent": tfd.Independent(TWO_COUNTS, 0),
    "Sample": tfd.Sample(TWO_COUNTS, 2),
    "Masked": tfd.Masked(COUNT, [True, False]),
    "BatchReshape": tfd.BatchReshape(COUNT, [2, 1]),
    "BatchBroadcast": tfd.BatchBroadcast(COUNT, [2, 2]),
    "BatchConcat": tfd.BatchConcat([COUNT, COUNT], 0),
    "Blockwise": tfd.Blockwise([COUNT, tfd.Bernoulli(ZEROS, dtype=tf.float32)]),
    "Transformed": tfd.TransformedDistribution(tfd.QuantizedDistribution(NORMAL), tfb.Shift(1.0)),
    "Joint": tfd.JointDistributionSequential([tfd.Poisson(1.0), lambda n: tfd.Poisson(n + 1.0)]),
    "Autoregressive": tfd.Autoregressive(
        lambda x=None: tfd.Independent(tfd.Bernoulli(ZEROS, dtype=tf.float32), 1), ZEROS
    ),
    "HiddenMarkovModel": tfd.HiddenMarkovModel(COIN, TRANSITIONS, COUNT, 3),
}
DENSITIES = {
    "Uniform": tfd.Uniform(ZEROS, 1.0),
    "LogNormal": tfd.LogNormal(ZEROS, 1.0),
    "Chi": tfd.Chi(2.0),
    "RelaxedOneHotCategorical": tfd.RelaxedOneHotCategorical(1.0, ZEROS),
    "Mixture": TWO_NORMALS,
    "mixed": tfd.Mixture(COIN, [tfd.Normal(0.0, 1.0), tfd.Poisson(1.0)]),
    "MixtureSameFamily": tfd.MixtureSameFamily(COIN, NORMAL),
    "Independent": tfd.Independent(tfd.MixtureSameFamily(TRANSITIONS, tfd.Normal(ZEROS, 1.0)), 1),
    "Sample": tfd.Sample(TWO_NORMALS, 2),
    "Masked": tfd.Masked(NORMAL, [True, False]),
    "BatchReshape": tfd.BatchReshape(NORMAL, [2, 1]),
    "BatchBroadcast": tfd.BatchBroadcast(NORMAL, [2, 2]),
    "BatchConcat": tfd.BatchConcat([NORMAL, NORMAL], 0),
    "Blockwise": tfd.Blockwise([NORMAL, NORMAL]),
    "Blockwise, mixed": tfd.Blockwise([NORMAL, COUNT]),
    "Transformed": tfd.TransformedDistribution(TWO_NORMALS, tfb.Exp()),
    "Joint": tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), lambda z: tfd.Bernoulli(z)]),
    "Joint, named": tfd.JointDistributionNamed({"z": TWO_NORMALS, "x": lambda z: TWO_NORMALS}),
    "Joint, batched": tfd.JointDistributionNamedAutoBatched(
        {"z": TWO_NORMALS, "x": lambda z: tfd.Normal(z, 1.0)}
    ),
    "Autoregressive": tfd.Autoregressive(lambda x=None: tfd.Independent(NORMAL, 1), ZEROS),
    "MarkovChain": tfd.MarkovChain(TWO_NORMALS, lambda _, x: tfd.Normal(x, 1.0), 3),
    "HiddenMarkovModel": tfd.HiddenMarkovModel(COIN, TRANSITIONS, NORMAL, 3),
    "FlowDistribution": layers.FlowPrior(bijectors.maf((2,), 1)).as_distribution(),
}


@pytest.mark.parametrize("name", MASSES)
def test_probability_masses(name):
    assert is_discrete(MASSES[name]) is True


@pytest.mark.parametrize("name", DENSITIES)
def test_densities(name):
    assert is_discrete(DENSITIES[name]) is False


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
