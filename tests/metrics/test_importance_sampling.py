"""Bounds against a linear Gaussian model, weights given by the test, chunks, data, errors."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfgen import models
from tfgen.metrics._likelihood import seed_of
from tfgen.metrics.importance_sampling import (
    effective_sample_size,
    importance_sampled_nll,
    log_mean_exp_of_groups,
)


def nll_of(model, data, *args, **kwargs):
    return importance_sampled_nll(model, data, *args, **{"verbose": False, **kwargs})


class GivenWeights:
    """All that a model must have: normal log weights; records what it is asked for."""

    def __init__(self):
        self.traces = []

    def log_weights(self, x, num_samples, seed):
        self.traces.append((num_samples, x.shape[0]))
        return tf.random.stateless_normal((num_samples, x.shape[0]), seed) + tf.reduce_sum(
            x, axis=1
        )


@pytest.fixture(scope="module")
def rough(linear_gaussian):
    return nll_of(linear_gaussian.rough, linear_gaussian.x, 500, at=(1, 5, 50), batch_size=100)


# Values.


def test_exact_posterior_gives_the_likelihood_at_k_of_one(linear_gaussian):
    result = nll_of(linear_gaussian.exact, linear_gaussian.x, 3, batch_size=300)
    # Float32 rounding of sums of about 10 terms, each up to 30.
    np.testing.assert_allclose(-result.nlls, linear_gaussian.log_p, rtol=0, atol=3e-5)
    assert result.effective_sample_size == pytest.approx(3, rel=1e-6)
    assert result.elbo == pytest.approx(-result.nll, abs=1e-6)


def test_bound_of_one_sample_is_the_elbo(linear_gaussian, rough):
    expected = linear_gaussian.elbo(0.75, 1.33)
    # 5 standard errors. Of one example the mean of 500 draws has the variance v / 500; v, of the
    # log weights of a rough posterior, is of the order of 1 here: below 4.
    tolerance = 5 * np.sqrt(4 / (500 * len(expected)))
    assert rough.elbo == pytest.approx(expected.mean(), abs=tolerance)
    assert rough.bounds[1] == pytest.approx(-rough.elbo, abs=1e-9)


def test_bound_grows_with_k_and_stays_under_the_exact_value(linear_gaussian, rough):
    exact = -linear_gaussian.log_p.mean()
    values = list(rough.bounds.values())
    assert list(rough.bounds) == [1, 5, 50, 500] and values[-1] == rough.nll
    # The steps between these k are tens of standard errors wide, as the same draws give them.
    assert values[0] > values[1] > values[2] > values[3]
    assert values[0] - exact > 0.1
    gaps = rough.nlls + linear_gaussian.log_p
    error = gaps.std() / np.sqrt(len(gaps))
    assert -5 * error < rough.nll - exact < 0.01
    # The second oracle: the estimate of p(x) itself is unbiased.
    ratios = np.exp(-gaps)
    assert ratios.mean() == pytest.approx(1, abs=5 * ratios.std() / np.sqrt(len(ratios)))


def test_standard_error_is_over_examples(linear_gaussian, rough):
    # Nearly that of the exact values, whose draws of x are the same.
    expected = linear_gaussian.log_p.std(ddof=1) / np.sqrt(300)
    assert rough.standard_error == pytest.approx(expected, rel=0.02)
    assert np.isnan(nll_of(linear_gaussian.rough, linear_gaussian.x[:1], 2).standard_error)


def test_value_is_that_of_the_weights():
    model, x = GivenWeights(), np.arange(6, dtype="float32").reshape(3, 2)
    result = nll_of(model, x, 7, at=(2,), batch_size=2, samples_per_batch=4, seed=3)
    parts = [
        [tf.random.stateless_normal((4, 2), seed_of(3, batch, part)) for part in range(2)]
        for batch in range(2)
    ]
    draws = np.hstack([np.concatenate(pair)[:7] for pair in parts])[:, :3]
    weights = np.exp(draws.astype("float64") + x.sum(axis=1))
    np.testing.assert_allclose(result.nlls, -np.log(weights.mean(axis=0)), rtol=1e-5)
    pairs = [np.log(weights[i : i + 2].mean(axis=0)) for i in (0, 2, 4)]
    assert result.bounds[2] == pytest.approx(-np.mean(pairs), rel=1e-5)
    assert result.elbo == pytest.approx(np.log(weights).mean(), rel=1e-5)
    kish = weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0)
    assert result.effective_sample_size == pytest.approx(kish.mean(), rel=1e-4)


def test_weights_too_small_for_a_float_keep_their_mean():
    log_weights = np.array([[-2000.0], [-2000.0 + np.log(3)]])
    expected = -2000 + np.log(2)
    assert log_mean_exp_of_groups(log_weights, 2)[0] == pytest.approx(expected, abs=1e-9)
    assert effective_sample_size(log_weights)[0] == pytest.approx(1.6, rel=1e-9)  # 4^2 / (1 + 9)


# Chunks.


def test_chunks_are_bounded_and_traced_once():
    model = GivenWeights()
    x = np.zeros((47, 2), "float32")
    result = nll_of(model, x, 1050, batch_size=20, samples_per_batch=100)
    assert nll_of(model, x, 1050, batch_size=20, samples_per_batch=100).nll == result.nll
    assert model.traces == [(100, 20)]
    assert result.nlls.shape == (47,) and result.num_samples == 1050
    # Mean of w is exp(1/2); of 1,050 draws its relative error is sqrt((e - 1) / 1050) = 0.04.
    np.testing.assert_allclose(-result.nlls, 0.5, rtol=0, atol=0.25)


def test_few_samples_and_few_examples_make_small_chunks():
    model = GivenWeights()
    nll_of(model, np.zeros((3, 2), "float32"), 5)
    assert model.traces == [(5, 3)]


def test_seeds(linear_gaussian):
    model, x = linear_gaussian.rough, np.tile(linear_gaussian.x[:1], (4, 1))
    before = model.evaluation_seed_generator.state.numpy()
    first, again, other = (nll_of(model, x, 4, batch_size=2, seed=seed).nlls for seed in (0, 0, 1))
    assert len({*first, *again, *other}) == 8  # Every example has draws of its own.
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(model.evaluation_seed_generator.state.numpy(), before)


def test_xla_gives_the_same(linear_gaussian, monkeypatch):
    monkeypatch.setattr(linear_gaussian.exact, "jit_compile", True)
    values = -nll_of(linear_gaussian.exact, linear_gaussian.x[:5], 20).nlls
    np.testing.assert_allclose(values, linear_gaussian.log_p[:5], rtol=0, atol=3e-5)


# Data and units.


def test_data_sets_and_labels_give_what_arrays_give(linear_gaussian):
    x, labels = linear_gaussian.x[:30, :2], np.arange(30)
    expected = nll_of(GivenWeights(), x, 4).nlls
    uneven = tf.data.Dataset.from_tensor_slices((x, labels)).batch(7)
    for data in (uneven, (x, labels), tf.data.Dataset.from_tensor_slices(x).batch(30)):
        np.testing.assert_array_equal(nll_of(GivenWeights(), data, 4).nlls, expected)


@pytest.fixture(scope="module")
def all_binary_images():
    bits = np.arange(16)[:, None] >> np.arange(4) & 1
    return bits.reshape(16, 2, 2, 1)


def test_probabilities_of_all_images(binary_vae, all_binary_images):
    result = nll_of(binary_vae, all_binary_images, 2000)
    probabilities = np.exp(-result.nlls)
    # Quadrature of p(x|z) p(z) on a grid: its error is far below that of sampling.
    grid = np.linspace(-6, 6, 61)
    z = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 1, 2).astype("float32")
    density = np.exp(-(z**2).sum(axis=-1) / 2) / (2 * np.pi) * (grid[1] - grid[0]) ** 2
    masses = np.exp(binary_vae.decode(z[:, 0]).log_prob(all_binary_images[:, None]).numpy().T)
    # 5 standard errors of a mean of 2,000 values with that variance.
    exact = (density * masses).sum(axis=0)
    errors = np.sqrt(((density * masses**2).sum(axis=0) - exact**2) / 2000)
    assert np.all(np.abs(probabilities - exact) < 5 * errors + 1e-6)
    assert probabilities.sum() == pytest.approx(1, abs=5 * np.linalg.norm(errors))
    assert exact.sum() == pytest.approx(1, abs=1e-4)


def test_bits_per_dim_where_pixels_are_discrete(binary_vae, all_binary_images, linear_gaussian):
    result = nll_of(binary_vae, all_binary_images[:3], 2)
    assert result.bits_per_dim == pytest.approx(result.nll / (4 * np.log(2)), rel=1e-6)
    assert "bits/dim" in result.to_markdown()
    assert nll_of(linear_gaussian.exact, linear_gaussian.x[:2], 1).bits_per_dim is None


@pytest.mark.parametrize("components", ["bernoulli", "diagonal"])
def test_mixtures_have_their_exact_likelihood(components):
    x = np.random.default_rng(0).integers(2, size=(40, 2, 3)).astype("float32")
    model = models.MixtureEM(2, (2, 3), components, seed=0)
    probs = np.array([[0.2, 0.7, 0.5, 0.4, 0.1, 0.9], [0.6] * 6])
    model.set_parameters(probs, None if components == "bernoulli" else np.full((2, 6), 0.3))
    pixels = scipy.stats.bernoulli(probs[:, None])
    logs = pixels.logpmf(x.reshape(40, 6).astype(int))
    if components == "diagonal":
        logs = scipy.stats.norm(probs[:, None], np.sqrt(0.3)).logpdf(x.reshape(40, 6))
    exact = -np.log(np.exp(logs.sum(axis=-1)).mean(axis=0))
    pairs = tf.data.Dataset.from_tensor_slices((x, np.arange(40))).batch(16)
    for data in (x, pairs):
        result = nll_of(model, data, 7)
        np.testing.assert_allclose(result.nlls, exact, rtol=1e-5)
        assert result.effective_sample_size == pytest.approx(7)
    bits = result.nll / (6 * np.log(2))
    assert result.bits_per_dim == (pytest.approx(bits) if components == "bernoulli" else None)
    with pytest.raises(ValueError, match=r"data of shape \(4,\)"):
        nll_of(model, np.zeros((3, 4)), 1)


def test_table(rough):
    lines = rough.to_markdown().splitlines()
    assert lines[2] == f"| 1 | {rough.bounds[1]:.2f} |"
    assert "- examples: 300" in lines and lines[-1].endswith("of 500")


def test_progress_bar(capsys):
    nll_of(GivenWeights(), np.zeros((30, 2), "float32"), 4, verbose=False)
    assert capsys.readouterr().out == ""
    nll_of(GivenWeights(), np.zeros((30, 2), "float32"), 4, samples_per_batch=2, verbose=True)
    assert "4/4" in capsys.readouterr().out  # 2 batches of 2 chunks of draws.


# Errors.


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"num_samples": 0}, "num_samples must be an int of at least 1. Received: num_samples=0"),
        ({"num_samples": 2.5}, "Received: num_samples=2.5"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"samples_per_batch": -1}, "Received: samples_per_batch=-1"),
        ({"at": (0, 5)}, r"Received: at\[0\]=0"),
        ({"data": np.zeros((5, 3), "float32")}, r"Received: data of shape \(3,\)"),
        ({"data": np.zeros((0, 4), "float32")}, r"Received: data of shapes \[\(0, 4\)\]"),
        ({"data": tf.data.Dataset.from_tensors(np.zeros((1, 4))).repeat()}, "Received: endless"),
        (
            {"model": object()},
            r"log_weights\(x, num_samples, seed\), which .* Received: object.*evaluate_samples",
        ),
    ],
)
def test_errors(linear_gaussian, kwargs, message):
    arguments = {"model": linear_gaussian.rough, "data": linear_gaussian.x[:4], "num_samples": 2}
    with pytest.raises(ValueError, match=message):
        importance_sampled_nll(**{**arguments, **kwargs}, verbose=False)


def test_data_outside_the_support(binary_vae):
    with pytest.raises(ValueError, match="Received: values from 0 to 255"):
        nll_of(binary_vae, 255 * np.eye(4).reshape(4, 2, 2, 1), 2)
