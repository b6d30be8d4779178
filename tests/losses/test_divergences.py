"""KL divergences: against formulas in NumPy and against draws, for each pair of families."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.losses import kl_divergence

tfd = tfp.distributions

DIM = 3
RNG = np.random.default_rng(0)
LOC = RNG.normal(size=(2, DIM)).astype("float32")
SCALE = RNG.uniform(0.5, 2.0, size=(2, DIM)).astype("float32")
TRIANGLE = np.tril(RNG.normal(size=(DIM, DIM)), -1) + np.diag([1.0, 0.5, 2.0])


def independent(loc, scale):
    return tfd.Independent(tfd.Normal(loc, scale), 1)


def full(loc, triangle):
    return tfd.MultivariateNormalTriL(loc, tf.constant(triangle, tf.float32))


POSTERIORS = {
    "independent": (independent(LOC, SCALE), [np.diag(s**2) for s in SCALE]),
    "diagonal": (tfd.MultivariateNormalDiag(LOC, SCALE), [np.diag(s**2) for s in SCALE]),
    "full": (full(LOC, TRIANGLE), [TRIANGLE @ TRIANGLE.T] * 2),
}
PRIOR_TRIANGLE = np.array([[1.5, 0, 0], [0.3, 0.7, 0], [-0.2, 0.1, 1.0]])
PRIORS = {
    "standard": (layers.StandardNormal(DIM).as_distribution(), np.eye(DIM)),
    "diagonal": (tfd.MultivariateNormalDiag(tf.zeros(DIM), 2 * tf.ones(DIM)), 4 * np.eye(DIM)),
    "full": (full(tf.zeros(DIM), PRIOR_TRIANGLE), PRIOR_TRIANGLE @ PRIOR_TRIANGLE.T),
}


def gaussian_kl(loc, covariance, prior_covariance):
    """KL(N(loc, S) || N(0, P)) = 0.5 (tr(P^-1 S) + loc P^-1 loc - k + log det P - log det S)."""
    precision = np.linalg.inv(prior_covariance)
    log_dets = np.linalg.slogdet(prior_covariance)[1] - np.linalg.slogdet(covariance)[1]
    return 0.5 * (np.trace(precision @ covariance) + loc @ precision @ loc - len(loc) + log_dets)


def check_against_draws(q, p, kl, n=20_000):
    """`kl`, per example, is the mean of log q - log p, within five standard errors."""
    z = q.sample(n, seed=1)
    draws = (q.log_prob(z) - p.log_prob(z)).numpy()
    error = np.abs(draws.mean(axis=0) - kl)
    assert np.all(error < 5 * draws.std(axis=0) / np.sqrt(n) + 1e-5)


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("prior", PRIORS)
def test_gaussian_pairs_have_a_closed_form(posterior, prior):
    (q, covariances), (p, prior_covariance) = POSTERIORS[posterior], PRIORS[prior]
    kl = kl_divergence(q, p)
    expected = [
        gaussian_kl(loc, cov, prior_covariance)
        for loc, cov in zip(LOC.astype(float), covariances, strict=True)
    ]
    assert kl.shape == (2,)
    np.testing.assert_allclose(kl, expected, rtol=1e-4)  # Float32 determinants and inverses.
    check_against_draws(q, p, expected)


def test_latents_with_several_axes_are_summed():
    loc = RNG.normal(size=(2, 2, 3)).astype("float32")
    q = tfd.Independent(tfd.Normal(loc, 1.0), 2)
    p = layers.StandardNormal((2, 3)).as_distribution()
    np.testing.assert_allclose(kl_divergence(q, p), 0.5 * (loc**2).sum(axis=(1, 2)), rtol=1e-5)


def test_zero_for_equal_distributions_and_positive_otherwise():
    q = independent(LOC, SCALE)
    np.testing.assert_allclose(kl_divergence(q, q), [0.0, 0.0], atol=1e-6)
    assert np.all(kl_divergence(q, independent(LOC + 0.1, SCALE)) > 0)


def test_mixture_is_estimated_at_z():
    q, p = independent(LOC, SCALE), layers.MixtureOfNormals(DIM, 4, seed=0).as_distribution()
    z = q.sample(20_000, seed=2)
    estimates = kl_divergence(q, p, z)
    np.testing.assert_allclose(estimates, q.log_prob(z) - p.log_prob(z), atol=1e-5)
    check_against_draws(q, p, np.mean(estimates, axis=0))


def test_log_normal_is_no_normal():
    """It has a normal inside, whose closed form would be wrong."""
    q = tfd.Independent(tfd.LogNormal(LOC, SCALE), 1)
    p = layers.StandardNormal(DIM).as_distribution()
    z = q.sample(seed=3)
    np.testing.assert_allclose(kl_divergence(q, p, z), q.log_prob(z) - p.log_prob(z), rtol=1e-6)


def test_no_closed_form_and_no_sample():
    q, p = independent(LOC, SCALE), layers.MixtureOfNormals(DIM).as_distribution()
    with pytest.raises(NotImplementedError, match="No closed form.*Pass a sample of q"):
        kl_divergence(q, p)


def test_gradients_of_both_sides():
    loc, prior_loc = tf.Variable(LOC), tf.Variable(tf.zeros(DIM))
    with tf.GradientTape() as tape:
        kl = kl_divergence(independent(loc, 1.0), independent(prior_loc, tf.ones(DIM)))
    by_loc, by_prior = tape.gradient(kl, [loc, prior_loc])
    np.testing.assert_allclose(by_loc, LOC, rtol=1e-6)
    np.testing.assert_allclose(by_prior, -LOC.sum(axis=0), rtol=1e-5)
