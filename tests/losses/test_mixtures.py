"""Densities against SciPy, moments and M step by hand, and components that are lost."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.losses.mixtures import (
    Parameters,
    bernoulli_log_prob,
    covariances_of,
    gaussian_log_prob,
    m_step,
    moments,
)

DIM, K, NUM = 3, 2, 40
gaussian = pytest.mark.parametrize("components", ["full", "diagonal", "spherical"])


def random_mixture(components, seed=0):
    """`Parameters` of K components."""
    rng = np.random.default_rng(seed)
    scales = {
        "full": np.linalg.cholesky(np.eye(DIM) + _outer(rng.normal(size=(K, DIM)))),
        "diagonal": rng.uniform(0.5, 2.0, size=(K, DIM)),
        "spherical": rng.uniform(0.5, 2.0, size=K),
        "bernoulli": np.zeros(K),
    }
    means = rng.uniform(0.1, 0.9, size=(K, DIM))
    return Parameters(np.array([0.3, 0.7]), means, scales[components])


def _outer(x):
    return x[..., :, None] * x[..., None, :]


def as_matrices(components, scales):
    variances = covariances_of(scales, DIM, components)
    return variances if components == "full" else np.array([np.diag(v) for v in variances])


def examples_and_responsibilities(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(NUM, DIM)), rng.dirichlet(np.ones(K), size=NUM)


def sums_around(shift, x, responsibilities, components):
    sums = moments(tf.constant(x - shift), tf.constant(responsibilities), components)
    return [total.numpy() for total in sums]


# Densities.


@pytest.mark.parametrize("components", ["full", "diagonal"])
def test_density_of_gaussians_is_scipys(components):
    x, _ = examples_and_responsibilities()
    _, means, scales = random_mixture(components)
    log_prob = gaussian_log_prob(*(tf.constant(array) for array in (x, means, scales)))
    expected = [
        scipy.stats.multivariate_normal(mean, covariance).logpdf(x)
        for mean, covariance in zip(means, as_matrices(components, scales), strict=True)
    ]
    assert_allclose(log_prob, np.transpose(expected), rtol=1e-12)


def test_density_of_bernoullis_by_hand():
    probs = tf.constant([[0.6, 0.2, 1e-6]], "float64")
    by_hand = np.log(0.4) + np.log(0.2) + np.log(1 - 1e-6)
    assert_allclose(bernoulli_log_prob(tf.constant([[0.0, 1, 0]], "float64"), probs), [[by_hand]])


def test_density_of_bernoullis_sums_to_one():
    probs = tf.constant([[0.1, 0.5, 0.9, 0.3], [0.6, 0.2, 0.8, 0.4]], "float64")
    states = tf.constant(list(itertools.product([0, 1], repeat=4)), "float64")
    totals = np.sum(np.exp(bernoulli_log_prob(states, probs)), axis=0)
    assert_allclose(totals, np.ones(2), rtol=1e-12)


# Moments and the M step.


def test_moments_by_hand():
    x, r = examples_and_responsibilities()
    expected = [r.sum(axis=0), r.T @ x]
    second = np.einsum("nk,nd,ne->kde", r, x, x)
    squares = np.diagonal(second, axis1=1, axis2=2)
    for components, last in {
        "full": [second],
        "diagonal": [squares],
        "spherical": [squares],
        "bernoulli": [],
    }.items():
        sums = sums_around(0.0, x, r, components)
        for total, by_hand in zip(sums, [*expected, *last], strict=True):
            assert_allclose(total, by_hand, rtol=1e-12, atol=1e-12)


@gaussian
@pytest.mark.parametrize("reg_covar", [0.0, 0.5])
def test_m_step_of_gaussians_by_hand(components, reg_covar):
    """Means and covariances of NumPy, with the responsibilities as weights."""
    x, r = examples_and_responsibilities()
    old = random_mixture(components)
    sums = sums_around(old.weights @ old.means, x, r, components)
    new, troubles = m_step(old, sums, components, reg_covar)
    assert troubles == {"empty": [], "singular": [], "collapsed": []}
    assert_allclose(new.weights, r.mean(axis=0), rtol=1e-12)
    for k in range(K):
        assert_allclose(new.means[k], np.average(x, axis=0, weights=r[:, k]), rtol=1e-10)
        expected = np.cov(x.T, ddof=0, aweights=r[:, k])
        if components != "full":
            expected = np.diag(np.diag(expected))
        if components == "spherical":
            expected = np.eye(DIM) * np.trace(expected) / DIM
        assert_allclose(
            as_matrices(components, new.scales)[k],
            expected + reg_covar * np.eye(DIM),
            rtol=1e-9,
            atol=1e-12,
        )


def test_m_step_of_bernoullis_by_hand():
    x, r = examples_and_responsibilities()
    x = (x > -1.5).astype("float64")
    old = random_mixture("bernoulli")
    sums = sums_around(old.weights @ old.means, x, r, "bernoulli")
    new, troubles = m_step(old, sums, "bernoulli", min_probability=0.05)
    assert troubles == {"empty": [], "singular": [], "collapsed": []}
    assert_allclose(new.weights, r.mean(axis=0), rtol=1e-12)
    expected = [np.average(x, axis=0, weights=r[:, k]) for k in range(K)]
    assert np.max(expected) > 0.95  # So that a bound is reached.
    assert_allclose(new.means, np.clip(expected, 0.05, 0.95), rtol=1e-12)


@gaussian
def test_m_step_of_a_rate_below_one(components):
    """The statistics, around 0, move a quarter of the way from those under the old parameters."""
    x, r = examples_and_responsibilities()
    old, reg, rate = random_mixture(components), 0.1, 0.25
    before = as_matrices(components, old.scales) - reg * np.eye(DIM) + _outer(old.means)
    s = [old.weights, old.weights[:, None] * old.means, old.weights[:, None, None] * before]
    new = [r.mean(axis=0), r.T @ x / NUM, np.einsum("nk,nd,ne->kde", r, x, x) / NUM]
    s = [(1 - rate) * a + rate * b for a, b in zip(s, new, strict=True)]
    means = s[1] / s[0][:, None]
    variances = s[2] / s[0][:, None, None] - _outer(means)
    if components != "full":
        variances = np.diagonal(variances, axis1=1, axis2=2)
        if components == "spherical":
            variances = np.tile(variances.mean(axis=1, keepdims=True), DIM)
        variances = np.array([np.diag(v) for v in variances])

    sums = sums_around(old.weights @ old.means, x, r, components)
    stepped, _ = m_step(old, sums, components, reg, rate=rate)
    assert_allclose(stepped.weights, s[0], rtol=1e-12)
    assert_allclose(stepped.means, means, rtol=1e-10)
    assert_allclose(
        as_matrices(components, stepped.scales),
        variances + reg * np.eye(DIM),
        rtol=1e-9,
        atol=1e-12,
    )


@gaussian
def test_statistics_of_a_mixture_return_it(components):
    """A vanishing rate leaves the parameters where they are."""
    x, r = examples_and_responsibilities()
    old = random_mixture(components)
    sums = sums_around(old.weights @ old.means, x, r, components)
    for before, after in zip(old, m_step(old, sums, components, 0.1, rate=1e-14)[0], strict=True):
        assert_allclose(after, before, rtol=1e-10)


def test_m_step_of_rate_one_forgets():
    """Whatever the old covariances were."""
    rng = np.random.default_rng(0)
    sums = [np.array([2.0, 3.0]), rng.normal(size=(2, 1)), np.full((2, 1), 9.0)]
    old = Parameters(np.full(2, 0.5), np.zeros((2, 1)), np.ones((2, 1)))
    new, troubles = m_step(old, sums, "diagonal")
    other, _ = m_step(old._replace(scales=np.full((2, 1), 7.0)), sums, "diagonal")
    assert_array_equal(new.scales, other.scales)
    assert_allclose(new.scales**2, 9 / sums[0][:, None] - new.means**2)
    assert troubles == {"empty": [], "singular": [], "collapsed": []}


# Components that are lost.


@pytest.mark.parametrize("components", ["full", "diagonal", "spherical", "bernoulli"])
def test_an_empty_component_stays(components):
    x, _ = examples_and_responsibilities()
    r = np.eye(K)[np.zeros(NUM, int)]
    old = random_mixture(components)
    new, troubles = m_step(old, sums_around(old.weights @ old.means, x, r, components), components)
    assert troubles == {"empty": [1], "singular": [], "collapsed": []}
    assert_array_equal(new.weights, [1.0, 0.0])
    assert_array_equal(new.means[1], old.means[1])
    assert_array_equal(new.scales[1], old.scales[1])


@gaussian
@pytest.mark.parametrize("reg_covar, kind", [(0.0, "singular"), (1e-3, "collapsed")])
def test_a_component_on_one_point_is_named(components, reg_covar, kind):
    """It keeps the covariance it had, or has `reg_covar` alone."""
    x, _ = examples_and_responsibilities()
    x[:2] = 30.0
    r = np.eye(K)[(np.arange(NUM) < 2).astype(int)]
    old = random_mixture(components)
    new, troubles = m_step(
        old, sums_around(old.weights @ old.means, x, r, components), components, reg_covar
    )
    assert troubles == {"empty": [], "singular": [], "collapsed": [], kind: [1]}
    kept = as_matrices(components, old.scales)[1]
    expected = reg_covar * np.eye(DIM) if reg_covar else kept
    assert_allclose(as_matrices(components, new.scales)[1], expected, rtol=1e-9, atol=1e-11)
    assert_allclose(new.means[1], np.full(DIM, 30.0), rtol=1e-12)
