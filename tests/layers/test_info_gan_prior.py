"""Noise and codes of an InfoGAN: densities by hand, draws, entropies, errors."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import log_softmax

from tfgen.layers import InfoGANPrior

N = 20_000


def one_hot(*labels, size):
    return np.eye(size, dtype="float32")[list(labels)]


def test_density_by_hand():
    """Standard normal, 1/3, 1/2, and 1/2 for each of two uniform codes; none outside of [-1, 1]."""
    p = InfoGANPrior(2, (3, 2), num_continuous=2).as_distribution()
    noise = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")
    codes = [one_hot(0, 1, 2, 1, size=3), one_hot(0, 1, 1, 0, size=2)]
    uniform = np.array([[0.5, -1], [0, 0], [-0.9, 0.9], [0, 1.5]], "float32")
    z = np.concatenate([noise, *codes, uniform], axis=1)
    expected = stats.norm.logpdf(noise).sum(axis=1) - np.log(3 * 2 * 2 * 2)
    expected[3] = -np.inf
    assert (p.event_shape, p.batch_shape) == ((9,), ())
    assert_allclose(p.log_prob(z), expected, rtol=1e-5)


def test_draws_are_of_that_density():
    prior = InfoGANPrior(1, (3, 2), num_continuous=1)
    z = prior.as_distribution().sample(N, seed=[0, 1]).numpy()
    noise, first, second, uniform = np.split(z, [1, 4, 6], axis=1)
    for code in (first, second):
        assert set(np.unique(code)) == {0.0, 1.0}
        assert_array_equal(code.sum(axis=1), np.ones(N))
        share = 1 / code.shape[1]
        tolerance = 5 * np.sqrt(share * (1 - share) / N)
        assert_allclose(code.mean(axis=0), np.full(code.shape[1], share), rtol=0, atol=tolerance)
    # Kolmogorov-Smirnov: one seed in some millions is further away.
    assert stats.kstest(noise[:, 0], stats.norm.cdf).pvalue > 1e-6
    assert stats.kstest(uniform[:, 0], stats.uniform(-1, 2).cdf).pvalue > 1e-6
    correlation = np.corrcoef(np.delete(z, [3, 5], axis=1), rowvar=False)
    independent = np.ones_like(correlation, dtype=bool)
    independent[1:3, 1:3] = False  # Of one code.
    np.fill_diagonal(independent, False)
    assert np.abs(correlation[independent]).max() < 5 / np.sqrt(N)


def test_draws_are_the_same_with_xla():
    prior = InfoGANPrior(2, (3,), num_continuous=2)

    def draw():
        return prior.as_distribution().sample(11, seed=[3, 4])

    assert_allclose(tf.function(draw, jit_compile=True)(), draw(), rtol=1e-5, atol=1e-6)
    p = prior.as_distribution()
    z, log_prob = p.experimental_sample_and_log_prob(11, seed=[3, 4])
    assert_array_equal(z, draw())
    assert_array_equal(log_prob, p.log_prob(z))


@pytest.mark.parametrize(
    "noise_dim, categories, num_continuous", [(2, (3, 2), 2), (0, (4,), 0), (1, (), 3)]
)
def test_sizes_and_entropies(noise_dim, categories, num_continuous, tmp_path):
    prior = InfoGANPrior(noise_dim, categories, num_continuous)
    p = prior.as_distribution()
    assert p.event_shape[0] == noise_dim + sum(categories) + num_continuous
    dims = list(itertools.chain(*prior.code_dims))
    assert dims == list(range(noise_dim, p.event_shape[0]))
    assert [len(code) for code in prior.code_dims] == [*categories, *[1] * num_continuous]
    # All codes have one density, wherever they are: H(c) = -log p(c).
    z = p.sample(seed=[0, 1])
    of_codes = p.log_prob(z) - np.sum(stats.norm.logpdf(z[:noise_dim]))
    assert_allclose(prior.code_entropy, -of_codes, rtol=1e-5)
    q = prior.code_posterior(tf.zeros((2, prior.num_parameters)))
    assert q.event_shape[0] == len(dims)
    assert type(prior).from_config(prior.get_config()).get_config() == prior.get_config()


def test_posterior_of_codes_by_scipy():
    prior = InfoGANPrior(2, (3, 2), num_continuous=2)
    rng = np.random.default_rng(0)
    params = rng.normal(size=(4, 9)).astype("float32")
    labels = [0, 1, 2, 1], [1, 1, 0, 0]
    continuous = rng.uniform(-1, 1, size=(4, 2)).astype("float32")
    c = np.concatenate(
        [one_hot(*labels[0], size=3), one_hot(*labels[1], size=2), continuous], axis=1
    )
    rows = np.arange(4)
    expected = log_softmax(params[:, :3], axis=1)[rows, labels[0]]
    expected += log_softmax(params[:, 3:5], axis=1)[rows, labels[1]]
    scale = np.logaddexp(0, params[:, 7:])
    expected += stats.norm.logpdf(continuous, params[:, 5:7], scale).sum(axis=1)
    assert_allclose(prior.code_posterior(params).log_prob(c), expected, rtol=1e-5, atol=1e-5)


def test_parameters_of_another_size():
    with pytest.raises(ValueError, match=r"\(\.\.\., 5\)\. Received: shape \(2, 4\)"):
        InfoGANPrior(1, (3,), num_continuous=1).code_posterior(tf.zeros((2, 4)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(noise_dim=-1), "Received: noise_dim=-1"),
        (dict(noise_dim=1, categories=10), "sequence of int, .*Received: categories=10"),
        (dict(noise_dim=1, categories=(1,)), "Received: categories=1"),
        (dict(noise_dim=1, num_continuous=-1), "Received: num_continuous=-1"),
        (dict(noise_dim=1, categories=()), r"must be a code. Received: categories=\(\)"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        InfoGANPrior(**arguments)
