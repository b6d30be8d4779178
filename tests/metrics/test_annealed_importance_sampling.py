"""Annealed estimates against a linear Gaussian model and an enumeration; chains, seeds, errors."""

import functools
import sys

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers, models, networks
from tfgen.metrics.annealed_importance_sampling import annealed_importance_sampling
from tfgen.metrics.importance_sampling import importance_sampled_nll

tfd = tfp.distributions


def anneal(model, data, *args, **kwargs):
    return annealed_importance_sampling(model, data, *args, **{"verbose": False, **kwargs})


@pytest.fixture(scope="module")
def annealed(linear_gaussian):
    """20 examples, of which the last batch is not full."""
    return anneal(linear_gaussian.rough, linear_gaussian.x[:20], 16, 100, 5, batch_size=12)


def test_reaches_the_exact_value(linear_gaussian, annealed):
    log_p = linear_gaussian.log_p[:20]
    # Relative variance of a mean of 16 weights; by Jensen the log is half of it too low, in the
    # mean over 20 examples, whose 5 standard errors come on top.
    variance = 1 / annealed.effective_sample_size - 1 / 16
    tolerance = variance / 2 + 5 * np.sqrt(variance / 20)
    assert annealed.nll == pytest.approx(-log_p.mean(), abs=tolerance)
    assert tolerance < 0.2
    ratios = np.exp(-annealed.nlls - log_p)
    assert ratios.mean() == pytest.approx(1, abs=5 * np.sqrt(variance / 20))


def test_reports_how_it_went(linear_gaussian, annealed):
    assert annealed.num_chains == 16 and annealed.num_steps == 100
    # Tuned to 0.65 by 16 chains in 100 steps, which leaves it above in two dimensions.
    assert 0.4 < annealed.acceptance < 1
    assert 0.05 < annealed.step_size < 3 and annealed.bits_per_dim is None
    expected = annealed.nlls.std(ddof=1) / np.sqrt(20)
    assert annealed.standard_error == pytest.approx(expected)


def test_reaches_improbable_examples(linear_gaussian):
    """Chains move although log p(x|z) lies hundreds of nats below 0."""
    x = 8 * linear_gaussian.x[:6]
    result = anneal(linear_gaussian.exact, x, 16, 200, 5, step_size=0.25)
    assert result.acceptance > 0.5
    exact = -linear_gaussian.p.logpdf(x)
    assert exact.mean() > 50
    # As above.
    variance = 1 / result.effective_sample_size - 1 / 16
    tolerance = variance / 2 + 5 * np.sqrt(variance / 6)
    assert result.nll == pytest.approx(exact.mean(), abs=tolerance)


def test_few_steps_stay_above_and_seeds_are_kept(linear_gaussian, annealed):
    model, x = linear_gaussian.rough, linear_gaussian.x[:20]
    few, again = (anneal(model, x, 4, 2, 2, step_size=0.3, seed=1) for _ in range(2))
    assert few.nll > annealed.nll + 0.1
    np.testing.assert_array_equal(few.nlls, again.nlls)
    assert len(set(few.nlls)) == 20


def test_from_the_exact_posterior_every_weight_is_the_likelihood(linear_gaussian, monkeypatch):
    model, x = linear_gaussian.exact, linear_gaussian.x[:8]
    monkeypatch.setattr(model, "jit_compile", True)
    result = anneal(model, x, 2, 3, 2, start="posterior", step_size=0.3)
    np.testing.assert_allclose(-result.nlls, linear_gaussian.log_p[:8], rtol=0, atol=1e-4)


class JointDensity:
    """p(x, z) and p(z) alone: z is standard normal, x = z + noise of the same scale."""

    def prior_distribution(self):
        return tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)

    def log_joint(self, x, z):
        likelihood = tfd.Independent(tfd.Normal(z, 1.0), 1).log_prob(x)
        return likelihood + self.prior_distribution().log_prob(z)


def test_joint_density_is_all_that_is_needed():
    x = np.array([[0.5, -0.5], [2.0, 0.0], [0.0, 0.0]], "float32")
    exact = -scipy.stats.norm.logpdf(x, scale=np.sqrt(2)).sum(axis=1)
    results = [anneal(JointDensity(), data, 16, 30, 5) for data in (x, batches_of_two(x))]
    for result in results:
        # A mean of 16 weights whose relative variance is that of their effective number.
        error = np.sqrt(1 / result.effective_sample_size - 1 / 16)
        np.testing.assert_allclose(result.nlls, exact, rtol=0, atol=5 * error + 0.01)
        assert result.bits_per_dim is None
    with pytest.raises(
        ValueError, match=r"the method encode\(x\), which returns .* Received: Joint"
    ):
        anneal(JointDensity(), x, 2, 2, 2, start="posterior")


def batches_of_two(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(2)


def test_one_step_is_importance_sampling_from_the_prior(binary_vae):
    """With one distribution the weight is p(x|z) of a draw from p(z); the step size is kept."""
    images = np.random.default_rng(0).integers(2, size=(6, 2, 2, 1))
    result = anneal(binary_vae, images, 3000, 1, 1, step_size=0.25)
    sampled = importance_sampled_nll(binary_vae, images, 3000, verbose=False)
    # 5 standard errors of the difference of two means of 3,000 weights with that sample size.
    error = np.sqrt(2 * (1 / sampled.effective_sample_size - 1 / 3000))
    np.testing.assert_allclose(result.nlls, sampled.nlls, rtol=0, atol=5 * error + 0.01)
    assert result.step_size == 0.25
    assert result.bits_per_dim == pytest.approx(result.nll / (4 * np.log(2)), rel=1e-6)


def test_step_is_tuned_on_other_chains(linear_gaussian, monkeypatch):
    """Neither a draw nor a seed of those that tune is one of those whose weights count."""
    kernel, seen = tfp.mcmc, {}

    def record(name):
        function = getattr(kernel, name)

        def call(*args, current_state, seed, **kwargs):
            seen[name] = (np.ravel(current_state), np.ravel(seed))
            return function(*args, current_state=current_state, seed=seed, **kwargs)

        monkeypatch.setattr(kernel, name, call)

    record("sample_chain")
    record("sample_annealed_importance_chain")
    module = sys.modules[annealed_importance_sampling.__module__]
    monkeypatch.setattr(
        module, "compiled_as", lambda model, *parts: functools.partial(parts[0], model, *parts[1:])
    )
    monkeypatch.setattr(module, "_PILOT_STEPS", 1)
    anneal(linear_gaussian.rough, linear_gaussian.x[:2], 2, 1, 1)
    (draws, seed), (counted, other_seed) = seen.values()
    assert draws.shape == counted.shape and not set(draws) & set(counted)
    assert list(seed) != list(other_seed)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"num_chains": 0}, "Received: num_chains=0"),
        ({"num_steps": 0}, "Received: num_steps=0"),
        ({"num_leapfrog_steps": 0}, "Received: num_leapfrog_steps=0"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"start": "origin"}, "Received: start='origin'"),
        ({"step_size": 0.0}, "step_size must be .* Received: step_size=0.0. None tunes it"),
        ({"model": object()}, r"the method log_joint\(x, z\), which returns .* Received: object"),
    ],
)
def test_errors(linear_gaussian, kwargs, message):
    arguments = {"model": linear_gaussian.rough, "data": linear_gaussian.x[:4]}
    with pytest.raises(ValueError, match=message):
        annealed_importance_sampling(**{**arguments, **kwargs}, verbose=False)


@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_codes_on_a_sphere_are_refused(start):
    encoder = networks.mlp_encoder((2, 2, 1), 3, layers.VonMisesFisher, width=4)
    decoder = networks.mlp_decoder((2, 2, 1), 3, width=4)
    model = models.VAE(encoder, decoder, layers.SphericalUniform(3))
    with pytest.raises(ValueError, match=r"not be on a sphere.* Use importance_sampled_nll"):
        annealed_importance_sampling(model, np.zeros((2, 2, 2, 1)), start=start, verbose=False)
