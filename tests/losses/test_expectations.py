"""Means by draws, where there is no closed form."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.losses import expectations, expected_value, has_mean, mean_of_draws

tfd, tfb = tfp.distributions, tfp.bijectors

LOC = np.linspace(-2, 2, 6, dtype="float32").reshape(2, 3)


def squashed(loc=LOC, scale=0.5):
    normal = tfd.Independent(tfd.Normal(loc, scale), 1)
    return tfd.TransformedDistribution(normal, tfb.Tanh())


def moments_of_squashed(loc, scale):
    """Mean and standard deviation of tanh(loc + scale * noise), by Gauss-Hermite quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(200)
    values = np.tanh(loc[..., None] + scale * points)
    mean = values @ weights / weights.sum()
    return mean, np.sqrt(values**2 @ weights / weights.sum() - mean**2)


@pytest.mark.parametrize("num_draws", [256, 5000])
def test_mean_of_draws_is_the_integral(num_draws):
    mean, stddev = moments_of_squashed(LOC, 0.5)
    estimate = mean_of_draws(squashed(), num_draws, seed=(3, 4))
    # Five standard errors: one seed in 1.7 million fails.
    assert np.all(np.abs(estimate - mean) < 5 * stddev / np.sqrt(num_draws))
    np.testing.assert_array_equal(estimate, mean_of_draws(squashed(), num_draws, seed=(3, 4)))
    assert not np.any(estimate == mean_of_draws(squashed(), num_draws, seed=(3, 5)))


def test_blocks_bound_the_memory_and_use_other_draws(monkeypatch):
    sizes = []

    class Counting(tfd.Normal):
        def _sample_n(self, n, seed=None):
            sizes.append(int(n))
            return super()._sample_n(n, seed)

    monkeypatch.setattr(expectations, "BLOCK", 60)
    mean = mean_of_draws(Counting(tf.zeros(6), 1.0), 1000)
    assert sizes == [10] * 100  # 60 numbers at a time.
    # Five standard errors of 1000 draws; the same 10 again and again would have ten times that.
    assert np.all(np.abs(mean) < 5 / np.sqrt(1000)) and np.std(mean) > 0
    sizes.clear()
    mean_of_draws(Counting(tf.zeros(120), 1.0), 3)
    assert sizes == [1, 1, 1]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("batch", [2, None])
def test_inside_a_tf_function(jit_compile, batch):
    @tf.function(input_signature=[tf.TensorSpec((batch, 3))], jit_compile=jit_compile)
    def mean(loc):
        value = expected_value(squashed(loc))
        assert value.shape.as_list() == [batch, 3]
        return value

    exact, stddev = moments_of_squashed(LOC, 0.5)
    assert np.all(np.abs(mean(LOC) - exact) < 5 * stddev / 16)


def test_draws_that_are_integers_have_a_mean_in_float32():
    grades = tfd.OrderedLogistic([0.0, 1.0], loc=[0.5])  # 0 and 2 with equal probability, and 1.
    mean = expected_value(grades)
    assert mean.dtype == tf.float32
    np.testing.assert_allclose(mean, [1.0], atol=5 / 16)  # Five standard errors, at most.


@pytest.mark.parametrize("dtype", [tf.int32, tf.float32])
def test_numbers_of_classes_have_no_mean(dtype):
    """Between classes 0 and 2 there is no class 1: the likeliest one stands for them."""
    classes = tfd.Categorical(probs=[[0.6, 0.0, 0.4], [0.1, 0.2, 0.7]], dtype=dtype)
    mean = expected_value(tfd.Independent(classes, 1))
    assert mean.dtype == tf.float32
    np.testing.assert_array_equal(mean, [0.0, 2.0])


def test_mean_of_blocks():
    """Each block by the rule of its class: classes by their mode, numbers by their mean."""
    probs = [[[0.6, 0.0, 0.4]], [[0.1, 0.2, 0.7]]]
    classes = tfd.Independent(tfd.Categorical(probs=probs, dtype=tf.float32), 1)
    numbers = tfd.Independent(tfd.Normal(LOC[..., None], 1.0), 2)
    mean = expected_value(tfd.Blockwise([numbers, classes, squashed(scale=1e-3)]))
    expected = [LOC, [[0.0], [2.0]], np.tanh(LOC)]
    # Of the first two exact, of the last draws of a narrow distribution, five standard errors.
    np.testing.assert_allclose(mean, np.concatenate(expected, axis=1), atol=5e-3 / 16)


@pytest.mark.parametrize(
    "distribution",
    [
        layers.IndependentNormal(3)(tf.ones((2, 6))),
        layers.IndependentBernoulli(3)(tf.ones((2, 3))),
        layers.MixtureNormal(2, 3)(tf.ones((1, 14))),
        tfd.LogNormal(tf.ones(3), 1.0),
        tfd.StudentT(3.0, tf.ones(2), 1.0),
    ],
    ids=lambda distribution: type(distribution).__name__,
)
def test_closed_forms_stay_as_they_are(distribution):
    assert has_mean(distribution)
    np.testing.assert_array_equal(expected_value(distribution), distribution.mean())


@pytest.mark.parametrize(
    "distribution",
    [
        tfd.Independent(tfd.Cauchy([1.0, 2.0], 1.0), 1),
        tfd.StudentT([0.5, 1.0], [1.0, 2.0], 1.0),
        tfd.HalfCauchy([1.0, 2.0], 1.0),
        tfd.Pareto([0.5, 1.0], [1.0, 2.0]),
    ],
    ids=lambda distribution: type(distribution).__name__,
)
def test_where_there_is_no_mean_it_is_the_mode(distribution):
    assert not has_mean(distribution)
    np.testing.assert_array_equal(expected_value(distribution), [1.0, 2.0])


def test_mean_of_some_and_mode_of_others():
    value = expected_value(tfd.InverseGamma([0.5, 3.0], 1.0))
    np.testing.assert_allclose(value, [1 / 1.5, 1 / 2], rtol=1e-6)


@pytest.mark.parametrize(
    "distribution",
    [
        squashed(),
        tfd.MixtureSameFamily(tfd.Categorical(tf.zeros(2)), squashed()),
        tfd.QuantizedDistribution(tfd.Normal(LOC, 1.0)),
    ],
    ids=["Tanh", "mixture", "quantized"],
)
def test_distributions_without_a_closed_mean(distribution):
    assert not has_mean(distribution)
    value = expected_value(distribution)
    assert value.shape == distribution.batch_shape + distribution.event_shape
    # Five standard errors; of a quantized normal the stddev is below 1.1, of the others below 1.
    draws = distribution.sample(20_000, seed=1)
    np.testing.assert_allclose(value, tf.reduce_mean(draws, axis=0), atol=5 * 1.1 / 16 + 0.04)
