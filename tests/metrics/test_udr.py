"""UDR: pairs in closed form, runs of known answer, and SciPy's and scikit-learn's coefficients."""

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import Lasso, LinearRegression

from tfgen.metrics.udr import METHODS, pair_score, udr

GRID = np.indices((5, 5, 5)).reshape(3, -1).T - 2.0
# Rows of an orthogonal matrix: each of these codes resembles every code of GRID.
ROTATION = np.array([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3


@pytest.mark.parametrize(
    "similarities, expected",
    [
        (np.eye(4), 1.0),
        (0.5 * np.eye(4), 0.5),
        (np.ones((3, 3)), 1 / 3),
        # Each of 2 dimensions has 2 equal ones in the other run, and these have one each.
        (np.repeat(np.eye(2), 2, axis=1), (2 * 1 / 2 + 4 * 1) / 6),
        # One dimension without a counterpart.
        (np.eye(3)[:, :2], 4 / 5),
        (np.array([[0.8, 0.2]]), (0.64 / 1 + 0.8 + 0.2) / 3),
        (np.zeros((2, 2)), 0.0),
        (np.zeros((0, 3)), 0.0),
    ],
)
def test_pair_score_by_hand(similarities, expected):
    assert pair_score(similarities) == pytest.approx(expected, rel=1e-12)
    assert pair_score(similarities.T) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method, expected", [("spearman", 1.0), ("lasso", 0.9)])
def test_runs_equal_up_to_order_sign_and_unit(method, expected):
    """With orthogonal standardised codes a lasso's weights are 1 - 0.1 (Tibshirani, 1996)."""
    runs = [GRID, 7 - 1e-3 * GRID[:, [2, 0, 1]], GRID * [1, -1, 1e4]]
    np.testing.assert_allclose(udr(runs, method=method), expected, rtol=1e-6)


def test_spearman_is_the_same_for_monotonic_maps():
    np.testing.assert_allclose(udr([GRID, np.exp(GRID), -(GRID**3)]), 1.0, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_odd_one_out_has_the_lowest_score(method):
    scores = udr([GRID, -GRID, GRID[:, ::-1], GRID @ ROTATION.T], method=method)
    assert scores.argmin() == 3 and scores[3] < 0.6
    # The median of three pairs: two that agree, one that does not.
    np.testing.assert_allclose(scores[:3], 1.0 if method == "spearman" else 0.9, rtol=1e-6)


def plain_score(x, y, method):
    """Mean of max^2 / sum over rows and columns, with equally many of both."""
    r = np.zeros((x.shape[1], y.shape[1]))
    for a in range(x.shape[1]):
        if method == "lasso":
            standard_x, standard_y = ((z - z.mean(axis=0)) / z.std(axis=0) for z in (x, y))
            r[a] = abs(Lasso(alpha=0.1).fit(standard_y, standard_x[:, a]).coef_)
        else:
            r[a] = [abs(scipy.stats.spearmanr(x[:, a], z).statistic) for z in y.T]
    r += 1e-15  # A row may be all zeros.
    columns, rows = r.max(axis=0) ** 2 / r.sum(axis=0), r.max(axis=1) ** 2 / r.sum(axis=1)
    return (columns.mean() + rows.mean()) / 2


@pytest.mark.parametrize("method", METHODS)
def test_against_plain_loops(method):
    rng = np.random.default_rng(0)
    runs = [GRID @ rng.normal(size=(3, 3)) + rng.normal(size=GRID.shape) for _ in range(4)]
    expected = [
        np.median([plain_score(x, y, method) for j, y in enumerate(runs) if j != i])
        for i, x in enumerate(runs)
    ]
    np.testing.assert_allclose(udr(runs, method=method), expected, rtol=1e-9)


def test_lasso_is_not_misled_by_correlated_codes():
    """A run whose codes are correlated: regression weights find the map, correlations do not."""
    mixed = GRID @ np.array([[1.0, 0.9, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert udr([mixed, -mixed], method="lasso").min() > udr([mixed, -mixed]).max() + 0.1
    standard = mixed / mixed.std(axis=0)
    np.testing.assert_allclose(
        LinearRegression().fit(standard, standard).coef_, np.eye(3), atol=1e-9
    )


@pytest.mark.parametrize("method", METHODS)
def test_collapsed_dimensions_are_left_out(method):
    """Dimensions of noise without information, of which each run has another number."""
    rng = np.random.default_rng(0)
    runs = [np.concatenate([GRID, rng.normal(size=(125, n))], axis=1) for n in (1, 2, 3)]
    kl = [np.array([2.0, 1.0, used] + n * [0.01]) for n, used in ((1, 0.011), (2, 1.0), (3, 1.0))]
    expected = 1.0 if method == "spearman" else 0.9
    np.testing.assert_allclose(udr(runs, kl, method), expected, rtol=1e-6)
    assert udr(runs, method=method).max() < expected - 0.1


@pytest.mark.parametrize("method", METHODS)
def test_constant_dimensions_are_left_out(method):
    constant = np.full((125, 1), 0.1, "float32")
    constant[::2] = np.nextafter(constant[0], np.float32(np.inf))
    runs = [
        GRID,
        np.concatenate([GRID, constant], axis=1),
        np.concatenate([constant, GRID], axis=1),
    ]
    np.testing.assert_allclose(udr(runs, method=method), udr([GRID] * 3, method=method), rtol=1e-9)
    np.testing.assert_array_equal(udr([GRID, constant], method=method), [0.0, 0.0])
    assert udr([GRID[:, :1], -GRID[:, :1]], method=method)[0] > 0.8


def test_errors():
    with pytest.raises(ValueError, match="method must be one of .* Received: method='pearson'"):
        udr([GRID, GRID], method="pearson")
    with pytest.raises(ValueError, match=r"at least 2 runs.* Received: shapes \[\(125, 3\)\]"):
        udr([GRID])
    with pytest.raises(ValueError, match="codes of the same points"):
        udr([GRID, GRID[:100]])
    with pytest.raises(ValueError, match=r"codes\[1\] must be finite"):
        udr([GRID, GRID * np.nan])
    with pytest.raises(
        ValueError, match=r"Received: shapes \[\(3,\), \(2,\)\] for codes of \[3, 3\]"
    ):
        udr([GRID, GRID], [np.ones(3), np.ones(2)])
    with pytest.raises(ValueError, match="kl must have one array per run"):
        udr([GRID, GRID], [np.ones(3)])
