"""IRS: codes of known answer, closed forms, and the definition's loop."""

import numpy as np
import pytest
import scipy.stats

from tfgen.metrics.irs import irs

FACTORS = np.indices((2, 3, 4, 20)).reshape(4, -1).T[:, :3]
NOISE = np.random.default_rng(0).normal(size=FACTORS.shape)


@pytest.mark.parametrize("quantile", [0.99, 1.0])
@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(FACTORS, id="perfect"),
        pytest.param([5, 1e6, 0] - FACTORS[:, [2, 0, 1]] ** 2 * [1, 1e3, 1e-3], id="permuted"),
        pytest.param(np.concatenate([FACTORS, -FACTORS], axis=1), id="duplicated"),
        pytest.param(np.concatenate([FACTORS, 0 * FACTORS + 7.1], axis=1), id="constants"),
    ],
)
def test_codes_of_one_factor_each(codes, quantile):
    assert irs(codes, FACTORS, quantile) == pytest.approx(1.0, abs=1e-12)


def test_rounding_does_not_count():
    """As a varying code, it would be the only one that no factor moves, and lower the score."""
    constant = np.full((len(FACTORS), 1), 3e5, "float32")
    constant[::7] = np.nextafter(constant[0], np.float32(np.inf))
    codes = np.concatenate([1e-3 * FACTORS, constant], axis=1)
    assert irs(codes, FACTORS) == pytest.approx(1.0, abs=1e-12)
    assert irs(constant, FACTORS) == 0.0
    assert irs(np.zeros((len(FACTORS), 2)), FACTORS) == 0.0


def test_rotated_codes():
    """a + b of values -1 and 1: it moves by 1 while a is fixed, and by up to 2 in all."""
    a, b = 2 * np.indices((2, 2, 5)).reshape(3, -1)[:2] - 1
    assert irs(np.stack([a + b, a - b], axis=1), np.stack([a, b], axis=1)) == pytest.approx(0.5)


def test_dimensions_are_weighted_by_their_greatest_deviation():
    """3 a scores 1 with weight 3, b + c scores 1/2 with weight 2."""
    a, b, c = 2 * np.indices((2, 2, 2, 5)).reshape(4, -1)[:3] - 1
    value = irs(np.stack([3 * a, b + c], axis=1), np.stack([a, b, c], axis=1))
    assert value == pytest.approx((3 * 1 + 2 * 0.5) / 5)


def test_quantiles_of_uniform_codes():
    """Values of |z - 1/2| of uniform z are uniform in (0, 1/2): their quantile q is q / 2."""
    factors = np.repeat([0, 1], 5000)[:, None]
    grid = np.tile((np.arange(5000) + 0.5) / 5000, 2)[:, None]
    for quantile in (0.5, 0.9, 1.0):
        assert irs(grid, factors, quantile) == pytest.approx(1 - quantile, abs=1e-3)


def test_against_the_definitions_loop():
    codes = FACTORS @ np.array([[1.0, 0.2, 0.0], [0.3, 1.0, 0.0], [0.0, 0.4, 0.5]]) + 0.2 * NOISE
    scores, weights = [], []
    for z in codes.T:
        weights.append(max(abs(z - z.mean())))
        moved = []
        for factor in FACTORS.T:
            inside = [z[factor == value] for value in set(factor)]
            distances = [sorted(abs(group - group.mean())) for group in inside]
            quantiles = [scipy.stats.mstats.mquantiles(d, 0.99, 1, 1)[0] for d in distances]
            moved.append(sum(quantiles) / len(quantiles))
        scores.append(1 - min(moved) / weights[-1])
    expected = sum(s * w for s, w in zip(scores, weights, strict=True)) / sum(weights)
    assert 0.2 < expected < 0.8
    assert irs(codes, FACTORS) == pytest.approx(expected, rel=1e-9)
    assert irs(-1e-3 * codes + 7, FACTORS) == pytest.approx(expected, rel=1e-6)


def test_a_value_of_a_single_point_is_left_out():
    """It does not move, which would be 0 deviation for a third value."""
    factors, codes = np.array([[0], [0], [1], [1], [2]]), np.array([[-1.0], [1], [-1], [1], [0]])
    assert irs(codes, factors, 1.0) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="a factor with 5 different values at 5 points"):
        irs(codes, np.arange(5)[:, None])


@pytest.mark.parametrize("quantile", [-0.1, 1.1, np.nan])
def test_error_of_the_quantile(quantile):
    with pytest.raises(ValueError, match=r"quantile must be in \[0, 1\]. Received"):
        irs(FACTORS, FACTORS, quantile)
