"""The grid's entropies against quadrature, closed forms and the authors' sampling estimator."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import entr, logsumexp

from tfgen.metrics.mig_by_samples import mig_by_samples
from tfgen.metrics.mutual_information import mig

# Three times every combination of factors of 2 and 3 values.
GRID = np.array(list(itertools.product(range(2), range(3))) * 3)
N = len(GRID)
LOC = np.random.default_rng(0).normal(size=(N, 2)) + GRID
SCALE = np.exp(np.random.default_rng(1).uniform(np.log(0.1), np.log(2.0), size=(N, 2)))


def normal_log_density(z, loc, scale):
    return -0.5 * ((z - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


def integrated_entropy(loc, scale):
    """Of the mixture, by adaptive quadrature between the components' centres."""
    breaks = np.unique(np.concatenate([loc + m * scale for m in (-12, -4, 0, 4, 12)]))

    def integrand(z):
        return entr(np.mean(np.exp(normal_log_density(z, loc, scale))))

    return sum(quad(integrand, a, b)[0] for a, b in itertools.pairwise(breaks))


def groups(factor):
    return [factor == value for value in np.unique(factor)]


def integrated_information(loc, scale, factor):
    conditional = [
        np.mean(rows) * integrated_entropy(loc[rows], scale[rows]) for rows in groups(factor)
    ]
    return integrated_entropy(loc, scale) - sum(conditional)


def sampled_entropy(loc, scale, num_samples, rng):
    """Mean of -log q(z) over samples, as the authors estimate it, and its standard error."""
    rows = rng.integers(len(loc), size=num_samples)
    z = loc[rows] + scale[rows] * rng.normal(size=num_samples)
    log_densities = normal_log_density(z[:, None], loc, scale)
    values = np.log(len(loc)) - logsumexp(log_densities, axis=1)
    return values.mean(), values.std() / np.sqrt(num_samples)


@pytest.mark.parametrize("scale", [SCALE, np.full((N, 2), 0.3)])
def test_information_by_quadrature(scale):
    information = mig_by_samples(LOC, scale, GRID).mutual_information
    for j, k in itertools.product(range(2), range(2)):
        expected = integrated_information(LOC[:, j], scale[:, j], GRID[:, k])
        assert information[j, k] == pytest.approx(expected, abs=1e-4)


def test_information_by_the_authors_estimator():
    rng = np.random.default_rng(2)
    information = mig_by_samples(LOC, SCALE, GRID).mutual_information
    for j, k in itertools.product(range(2), range(2)):
        loc, scale = LOC[:, j], SCALE[:, j]
        expected, error = sampled_entropy(loc, scale, 10_000, rng)
        assert 0.005 < error < 0.015  # The "about 0.01 nats" of the docstring.
        variance = error**2
        for rows in groups(GRID[:, k]):
            value, error = sampled_entropy(loc[rows], scale[rows], 10_000, rng)
            expected -= rows.mean() * value
            variance += (rows.mean() * error) ** 2
        assert information[j, k] == pytest.approx(expected, abs=5 * np.sqrt(variance) + 1e-4)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0, 20.0])
def test_two_gaussians(shift):
    """Means of two values, `shift` apart: 0 nats together, log 2 far apart, quadrature between."""
    factor = np.array([[0], [1]])
    scores = mig_by_samples(factor * shift, np.ones((2, 1)), factor)
    expected = integrated_entropy(factor[:, 0] * shift, np.ones(2)) - 0.5 * np.log(2 * np.pi * np.e)
    assert scores.mutual_information[0, 0] == pytest.approx(expected, abs=1e-4)
    assert scores.mig == pytest.approx(scores.mutual_information[0, 0] / np.log(2))


def test_many_gaussian_means_make_a_gaussian():
    """Means ~ N(v, 1 - s^2) and q(z|x) = N(mean, s^2): q(z|v) = N(v, 1)."""
    rng = np.random.default_rng(3)
    factor = np.repeat([[0], [1]], 20_000, axis=0)
    loc = factor + np.sqrt(0.91) * rng.normal(size=factor.shape)
    information = mig_by_samples(loc, np.full(loc.shape, 0.3), factor).mutual_information
    exact = integrated_entropy(np.array([0.0, 1.0]), np.ones(2)) - 0.5 * np.log(2 * np.pi * np.e)
    # I = E log q(v|x) - log p(v): its standard error is below 0.5 nats / sqrt(40,000).
    assert information[0, 0] == pytest.approx(exact, abs=5 * 0.5 / 200)


@pytest.mark.parametrize("factor_of_all", [1e-3, 1.0, 1e4])
def test_known_answers(factor_of_all):
    """Perfect, permuted, duplicated, collapsed and constant codes; the unit of z has no effect."""
    loc, scale = 20.0 * factor_of_all * GRID, np.full(GRID.shape, factor_of_all)
    np.testing.assert_allclose(mig_by_samples(loc, scale, GRID).gaps, [1.0, 1.0], atol=1e-4)
    np.testing.assert_allclose(
        mig_by_samples(-loc[:, ::-1], scale, GRID).gaps, [1.0, 1.0], atol=1e-4
    )
    twice = mig_by_samples(np.hstack([loc, loc]), np.hstack([scale, scale]), GRID)
    np.testing.assert_allclose(twice.gaps, [0.0, 0.0], atol=1e-12)
    assert mig_by_samples(0 * loc + 3, scale, GRID).mig == pytest.approx(0.0, abs=1e-9)
    half = mig_by_samples(np.hstack([loc, loc[:, :1]]), np.hstack([scale, scale[:, :1]]), GRID)
    np.testing.assert_allclose(half.gaps, [0.0, 1.0], atol=1e-4)
    assert half.mig == pytest.approx(half.gaps.mean())
    np.testing.assert_allclose(half.entropies, np.log([2, 3]))


def test_wide_posteriors_hide_what_a_histogram_of_means_finds():
    loc = 0.01 * GRID
    assert mig(loc, GRID) == pytest.approx(1.0)
    # I is at most the variance of the means over that of the posterior, halved: 1e-4 / 2 nats.
    assert mig_by_samples(loc, np.ones(loc.shape), GRID).mig < 1e-4


def test_scales_of_an_almost_deterministic_encoder():
    """Raised to the grid's, which still keeps these means apart."""
    scores = mig_by_samples(GRID, np.full(GRID.shape, 1e-9), GRID)
    assert scores.mig == pytest.approx(1.0, abs=1e-4)
    outlier = np.full(GRID.shape, 1e-6)
    outlier[0] = 1.0
    assert np.all(np.isfinite(mig_by_samples(GRID, outlier, GRID).mutual_information))


def test_information_in_a_random_part_of_a_grid_is_as_documented():
    rng = np.random.default_rng(5)
    loc, factor = rng.normal(size=(10_000, 5)), rng.integers(40, size=(10_000, 1))
    information = mig_by_samples(loc, np.full(loc.shape, 0.1), factor).mutual_information
    assert np.all((0.03 < information) & (information < 0.04)), information


def test_order_of_points_has_no_effect():
    order = np.random.default_rng(6).permutation(N)
    scores = mig_by_samples(LOC, SCALE, GRID)
    shuffled = mig_by_samples(LOC[order], SCALE[order], GRID[order])
    np.testing.assert_allclose(shuffled.mutual_information, scores.mutual_information, atol=1e-12)


def test_progress_bar(capsys):
    mig_by_samples(LOC, SCALE, GRID, verbose=True)
    assert "2/2" in capsys.readouterr().out
    mig_by_samples(LOC, SCALE, GRID)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"scale": SCALE[:, :1]}, r"each of loc, shape \(18, 2\). Received: shape \(18, 1\)"),
        ({"scale": SCALE - 0.2}, r"positive number.*least value -"),
        ({"scale": SCALE * np.nan}, "scale must be finite. Received: NaN"),
        ({"factors": GRID[:3]}, r"Received: shape \(3, 2\)"),
    ],
)
def test_unusable_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        mig_by_samples(**{"loc": LOC, "scale": SCALE, "factors": GRID, **arguments})
