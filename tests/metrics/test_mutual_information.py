"""Codes with known answers, NumPy enumerations and closed forms of the information scores."""

import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from tfgen.metrics.mutual_information import (
    entropies,
    explicitness,
    gaussian_total_correlation,
    information_gaps,
    mig,
    modularity,
    mutual_information_matrix,
)

# Every combination of factors of 2, 3 and 4 values, ten times.
GRID = np.array(list(itertools.product(range(2), range(3), range(4))) * 10)
LOGS = np.log([2.0, 3.0, 4.0])
NOISE = np.random.default_rng(0).normal(size=(len(GRID), 3))


def enumerated_information(code, factor, num_bins):
    """sum_bv p(b, v) log(p(b, v) / (p(b) p(v))), with half-open bins and the last one closed."""
    edges = np.linspace(code.min(), code.max(), num_bins + 1)
    total = 0.0
    for b, value in itertools.product(range(num_bins), np.unique(factor)):
        above = code >= edges[b]
        inside = above if b == num_bins - 1 else above & (code < edges[b + 1])
        joint = np.mean(inside & (factor == value))
        if joint > 0:
            total += joint * np.log(joint / (np.mean(inside) * np.mean(factor == value)))
    return total


# Mutual information.


@pytest.mark.parametrize("num_bins", [2, 7, 20])
def test_matrix_by_enumeration(num_bins):
    codes = NOISE + GRID
    matrix = mutual_information_matrix(codes, GRID, num_bins)
    assert matrix.shape == (3, 3)
    for j, k in itertools.product(range(3), range(3)):
        expected = enumerated_information(codes[:, j], GRID[:, k], num_bins)
        assert matrix[j, k] == pytest.approx(expected, abs=1e-12)


def test_perfect_codes_know_the_entropy_and_nothing_else():
    np.testing.assert_allclose(mutual_information_matrix(GRID, GRID), np.diag(LOGS), atol=1e-12)
    np.testing.assert_allclose(entropies(GRID), LOGS)


def test_entropy_of_unequal_shares():
    shares = np.array([0.5, 0.25, 0.25])
    values = [[7], [7], [-1], [3]]  # Numbers of classes mean nothing.
    np.testing.assert_allclose(entropies(values), -np.sum(shares * np.log(shares)))


def test_bias_of_independent_quantities_is_as_documented():
    rng = np.random.default_rng(1)
    codes, factors = rng.uniform(size=(10_000, 20)), rng.integers(40, size=(10_000, 1))
    # 2 N I is chi-squared with 19 * 39 degrees of freedom: 5 standard errors of a mean of 20.
    degrees = 19 * 39
    expected, error = degrees / 20_000, np.sqrt(2 * degrees / 20) / 20_000
    assert mutual_information_matrix(codes, factors).mean() == pytest.approx(
        expected, abs=5 * error
    )


# Scores of codes with known answers.


def rotated(codes, angle=np.pi / 4):
    return codes @ [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]


@pytest.mark.parametrize(
    "codes, expected_mig, expected_modularity",
    [
        (GRID, 1.0, 1.0),
        (GRID[:, [2, 0, 1]] * [-3.0, 0.1, 5.0], 1.0, 1.0),  # Permuted, scaled, turned round.
        (np.hstack([GRID, GRID]), 0.0, 1.0),  # Duplicated.
        (np.hstack([GRID, GRID[:, :1]]), 2 / 3, 1.0),
        (np.hstack([GRID, np.full((len(GRID), 1), 3.0)]), 1.0, 3 / 4),  # A constant dimension.
        (GRID[:, :1], 1 / 3, 1.0),  # One dimension.
        (np.ones((len(GRID), 2)), 0.0, 0.0),
    ],
)
def test_known_answers(codes, expected_mig, expected_modularity):
    assert mig(codes, GRID) == pytest.approx(expected_mig, abs=1e-12)
    assert modularity(codes, GRID) == pytest.approx(expected_modularity, abs=1e-12)


def test_rotation_destroys_both_scores():
    """Sum and difference of two binary factors know each as well as the other: 1.5 - 1 bits."""
    pairs = np.array(list(itertools.product(range(2), range(2))))
    np.testing.assert_allclose(
        mutual_information_matrix(rotated(pairs), pairs), np.full((2, 2), 0.5 * np.log(2))
    )
    assert mig(rotated(pairs), pairs) == pytest.approx(0.0, abs=1e-12)
    assert modularity(rotated(pairs), pairs) == pytest.approx(0.0, abs=1e-12)


def test_noise_lowers_the_gap_step_by_step():
    scores = [mig(GRID + spread * NOISE, GRID) for spread in (0.0, 0.2, 0.5, 2.0)]
    assert np.all(np.diff(scores) < 0)
    assert scores[-1] < 0.2


def test_dimensions_that_are_constant_but_for_rounding_know_nothing():
    leak = 1.0 + 1e-7 * GRID[:, :1]
    assert not mutual_information_matrix(leak, GRID).any()
    assert explicitness(leak, GRID) == 0.0
    assert gaussian_total_correlation(np.hstack([leak, leak])) == 0.0


def test_gaps_are_shares_of_the_entropy():
    matrix = np.array([[0.5, 0.0], [0.2, 0.3], [0.1, 0.3]])
    np.testing.assert_allclose(information_gaps(matrix, [0.6, 0.4]), [0.5, 0.0])


def test_modularity_by_hand():
    """Dimension 0 has I = (a, a), hence 0; dimension 1 knows the second factor alone, hence 1."""
    pairs = np.array(list(itertools.product(range(2), range(2))))
    codes = np.stack([pairs @ [1, 2], pairs[:, 1]], axis=1)
    assert modularity(codes, pairs) == pytest.approx(0.5)


def test_perfect_code_of_more_values_than_bins():
    """40 values in 20 bins of two values each: log 20 of log 40 nats."""
    factor = np.arange(40)[:, None].repeat(5, axis=0)
    assert mig(factor, factor) == pytest.approx(np.log(20) / np.log(40))


# Explicitness.


@pytest.mark.parametrize("num_values", [2, 3, 7, 40])
def test_explicitness_of_ordered_values_is_one(num_values):
    """The probability of a value is highest there, although each is between others on a line."""
    factor = np.tile(np.arange(num_values), 20)[:, None]
    assert explicitness(0.3 * factor, factor) == 1.0


def test_explicitness_of_perfect_codes_is_one():
    assert explicitness(GRID, GRID) == 1.0


def test_explicitness_against_exact_probabilities():
    """Given z, the values k of z = k + noise have the probabilities of three Gaussians."""
    rng = np.random.default_rng(5)
    factor = np.tile(np.arange(3), 2000)
    codes = factor + 0.7 * rng.normal(size=len(factor))
    densities = np.exp(-0.5 * ((codes[:, None] - np.arange(3)) / 0.7) ** 2)
    probabilities = densities / densities.sum(axis=1, keepdims=True)
    areas = [roc_auc_score(factor == k, probabilities[:, k]) for k in range(3)]
    # 3000 points are scored, 1000 of each value: an AUC's variance is at most A (1 - A) / 1000.
    # Fitted and exact probabilities rank nearly alike, being of the same family.
    tolerance = 2 * 5 * np.sqrt(np.mean([a * (1 - a) for a in areas]) / 1000)
    expected = np.mean(2 * np.array(areas) - 1)
    assert 0.5 < expected < 0.95
    assert explicitness(codes[:, None], factor[:, None]) == pytest.approx(expected, abs=tolerance)


def test_explicitness_of_one_hot_codes_is_one():
    codes = np.eye(4)[GRID[:, 2]]
    assert explicitness(codes, GRID[:, 2:]) == 1.0


def test_explicitness_does_not_depend_on_rotation_or_scale():
    codes = (GRID + 0.5 * NOISE)[:, :2]
    expected = explicitness(codes, GRID[:, :2])
    assert explicitness(codes * [1e3, -1e-3], GRID[:, :2]) == pytest.approx(expected, abs=1e-6)
    # The penalty sees standardised codes, hence not quite the same problem.
    assert explicitness(rotated(codes), GRID[:, :2]) == pytest.approx(expected, abs=0.05)


def test_explicitness_of_a_shifted_gaussian():
    """The AUC of N(d, 1) against N(0, 1) is Phi(d / sqrt 2)."""
    rng = np.random.default_rng(2)
    factor = np.repeat([[0], [1]], 4000, axis=0)
    codes = rng.normal(size=(8000, 1)) + 1.0 * factor
    exact = multivariate_normal.cdf(1.0 / np.sqrt(2.0))
    # 4000 scored points, 2000 of each value: the AUC's variance is at most A (1 - A) / 2000.
    tolerance = 2 * 5 * np.sqrt(exact * (1 - exact) / 2000)
    assert explicitness(codes, factor) == pytest.approx(2 * exact - 1, abs=tolerance)
    all_points = 2 * roc_auc_score(factor[:, 0], codes[:, 0]) - 1
    assert explicitness(codes, factor) == pytest.approx(all_points, abs=tolerance)


def test_explicitness_of_noise_is_about_zero():
    factors = np.random.default_rng(3).integers(2, size=(4000, 1))
    codes = np.random.default_rng(4).normal(size=(4000, 2))
    # An AUC of chance has variance 1 / (12 n) (1/p + 1/(1 - p)), here with n = 2000 and p = 1/2.
    assert explicitness(codes, factors) == pytest.approx(0.0, abs=2 * 5 * np.sqrt(4 / 12 / 2000))


def test_explicitness_of_a_seed():
    codes = GRID + NOISE
    values = [explicitness(codes, GRID, seed=seed) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_rare_values_are_left_out_of_explicitness():
    factors = GRID[:, :1].copy()
    factors[0] = 99
    assert explicitness(factors == 1, factors) == 1.0


# Total correlation.


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1e-3, 1.0, 1e3)])
def test_gaussian_total_correlation_by_density_and_eigenvalues(scales):
    codes = (NOISE @ [[1.0, 0.5, 0.2], [0.0, 1.0, 0.4], [0.0, 0.0, 1.0]]) * scales
    value = gaussian_total_correlation(codes)
    correlation = np.corrcoef(codes.T)
    assert value == pytest.approx(-0.5 * np.sum(np.log(np.linalg.eigvalsh(correlation))))
    # KL of the two densities: the quadratic forms have equal means, so one point is enough.
    zeros, covariance = np.zeros(3), np.cov(codes.T)
    product = np.diag(np.diag(covariance))
    difference = multivariate_normal(zeros, covariance, allow_singular=True).logpdf(zeros)
    difference -= multivariate_normal(zeros, product, allow_singular=True).logpdf(zeros)
    if scales[0] == 1.0:  # SciPy calls the others singular.
        assert value == pytest.approx(difference)


def test_gaussian_total_correlation_of_two_dimensions():
    x, y = NOISE[:, 0], NOISE[:, 0] + NOISE[:, 1]
    r = np.corrcoef(x, y)[0, 1]
    value = gaussian_total_correlation(np.stack([x, y], axis=1))
    assert value == pytest.approx(-0.5 * np.log(1 - r**2))


def test_gaussian_total_correlation_at_its_extremes():
    constant = np.full((len(NOISE), 1), 2.0)
    assert gaussian_total_correlation(NOISE[:, :1]) == 0.0
    assert gaussian_total_correlation(np.hstack([NOISE[:, :1], constant])) == 0.0
    assert gaussian_total_correlation(np.hstack([NOISE, constant])) == pytest.approx(
        gaussian_total_correlation(NOISE)
    )
    assert gaussian_total_correlation(np.hstack([NOISE, NOISE[:, :1]])) == np.inf
    assert gaussian_total_correlation(NOISE[:3]) == np.inf
    assert gaussian_total_correlation(GRID) == pytest.approx(0.0, abs=1e-12)


# Errors.


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mig(GRID, GRID, num_bins=1), "at least 2. Received: num_bins=1. .*take 20"),
        (lambda: modularity(GRID, GRID[:, :1]), r"at least 2 of them. Received: .* \(240, 1\)"),
        (lambda: explicitness([[0.0], [1.0]], [[0], [1]]), "at least 2 values.*Received: a factor"),
        (lambda: mig(GRID, GRID[:5]), r"Received: shape \(5, 3\)"),
        (lambda: entropies([[1], [1]]), "Received: one value only"),
        (lambda: gaussian_total_correlation([1.0, 2.0]), r"Received: shape \(2,\)"),
    ],
)
def test_unusable_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
