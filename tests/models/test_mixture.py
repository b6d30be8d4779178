"""Densities, parameters and samples of mixtures, against SciPy and sums over all data."""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from mixtures import (
    DIM,
    as_matrices,
    gaussian,
    mixture,
    overlapping,
    start,
    started,
)
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.models.mixture_em import MixtureEM


@gaussian
def test_density_of_gaussians(components):
    model, x = started(components), overlapping(20)
    means, covariances, weights = start(components)
    assert_allclose(model.covariances, covariances, rtol=1e-12)
    parts = [
        weight * scipy.stats.multivariate_normal(mean, covariance).pdf(x)
        for weight, mean, covariance in zip(
            weights, means, as_matrices(components, covariances), strict=True
        )
    ]
    assert_allclose(model.log_prob(x), np.log(sum(parts)), rtol=1e-10)
    responsibilities = np.transpose(parts / sum(parts))
    assert_allclose(model.responsibilities(x), responsibilities, rtol=1e-8, atol=1e-12)
    # In float32: a second library, to its rounding.
    distribution = model.as_distribution()
    assert distribution.event_shape == (DIM,)
    assert_allclose(distribution.log_prob(x.astype("float32")), model.log_prob(x), rtol=1e-4)
    log_weights = model.log_weights(x, 4, seed=[0, 1])
    assert log_weights.dtype == tf.float32
    assert_allclose(log_weights, np.tile(model.log_prob(x), (4, 1)), rtol=1e-6)


def test_density_of_bernoullis_sums_to_one():
    model = mixture(2, (2, 2, 1), "bernoulli")
    model.set_parameters([[0.1, 0.5, 0.9, 0.3], [0.6, 0.2, 1.0, 0.0]], weights=[0.3, 0.7])
    states = np.array(list(itertools.product([0, 1], repeat=4)), "float32")
    log_prob = model.log_prob(states.reshape(-1, 2, 2, 1))
    assert np.sum(np.exp(log_prob)) == pytest.approx(1.0, rel=1e-12)
    assert_allclose(model.as_distribution().log_prob(states), log_prob, rtol=1e-5)
    assert model.covariances is None


def test_samples_have_the_mixture_moments():
    model, n = started("full"), 40_000
    means, covariances, weights = start("full")
    draws = model.sample(n, seed=0).numpy()
    assert draws.shape == (n, DIM) and draws.dtype == np.float32
    mean = weights @ means
    second = np.einsum("k,kde->de", weights, covariances + means[:, :, None] * means[:, None])
    variances = np.diagonal(second) - mean**2
    # 5 standard errors of a mean; a Gaussian mixture's kurtosis here is under 5.
    assert_allclose(draws.mean(axis=0), mean, rtol=0, atol=5 * np.sqrt(variances.max() / n))
    tolerance = 5 * variances.max() * np.sqrt(4 / n)
    assert_allclose(np.cov(draws.T), second - np.outer(mean, mean), rtol=0, atol=tolerance)
    assert_array_equal(model.sample(3, seed=1), model.sample(3, seed=1))
    assert not np.array_equal(model.sample(3, seed=1), model.sample(3, seed=2))


def test_samples_of_bernoullis_and_means():
    model = mixture(2, (2, 2, 1), "bernoulli", seed=0)
    model.set_parameters([[0.1, 0.5, 0.9, 0.3], [0.6, 0.2, 0.8, 0.4]], weights=[0.25, 0.75])
    draws = model.sample(2000, seed=0).numpy()
    assert set(np.unique(draws)) == {0.0, 1.0}
    means = model.sample(2000, seed=0, mean=True).numpy()
    assert means.shape == draws.shape == (2000, 2, 2, 1)
    expected = model.means.numpy()
    # 5 standard errors of a share of 2000, at most sqrt(1/4 / 2000) each.
    assert_allclose(draws.mean(axis=0), 0.25 * expected[0] + 0.75 * expected[1], atol=0.056)
    first = np.all(np.isclose(means, expected[0]), axis=(1, 2, 3))
    assert_allclose(means[~first], np.tile(expected[1], (np.sum(~first), 1, 1, 1)), rtol=1e-6)
    assert np.mean(first) == pytest.approx(0.25, abs=0.056)


def test_mixed_precision_stays_exact(bfloat16):
    x = overlapping(40)
    model = started("full")
    history = model.fit(x, verbose=0).history
    keras.config.set_dtype_policy("float32")
    other = started("full")
    assert other.fit(x, verbose=0).history == history
    assert_array_equal(model(x), other(x))
    assert model(x).dtype == tf.float64


def test_parameters_are_checked():
    model, bad = MixtureEM(2, (DIM,)), np.tile(-np.eye(DIM), (2, 1, 1))
    means = np.zeros((2, DIM))
    with pytest.raises(ValueError, match=r"means must have shape \(2, 3\). Received: .*\(4, 3\)"):
        model.set_parameters(np.zeros((4, DIM)), bad)
    with pytest.raises(ValueError, match=r"covariances must have shape .* Received: shape \(2,\)"):
        model.set_parameters(means, np.ones(2))
    with pytest.raises(ValueError, match="positive definite. Received: a least variance of -1"):
        model.set_parameters(means, bad)
    with pytest.raises(ValueError, match="weights must be positive and sum to 1. Received"):
        model.set_parameters(means, -bad, weights=[0.5, 0.6])
    assert not model.initialized
