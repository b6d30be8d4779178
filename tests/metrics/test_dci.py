"""DCI: the scores of importances in closed form, codes of known answer, and boosted trees."""

import numpy as np
import pytest
import scipy.stats
from sklearn.ensemble import GradientBoostingClassifier

from tfgen.metrics.dci import DCI, _disentanglement, concentration, dci

FACTORS = np.indices((2, 3, 4, 50)).reshape(4, -1).T[:, :3]
NOISE = np.random.default_rng(0).normal(size=FACTORS.shape)


def test_concentration_against_scipy_and_by_hand():
    importances = np.random.default_rng(0).gamma(0.5, size=(6, 4))
    expected = 1 - scipy.stats.entropy(importances, axis=1) / np.log(4)
    np.testing.assert_allclose(concentration(importances), expected, rtol=1e-12)
    # Two of four columns: 1 - log 2 / log 4.
    values = concentration([[2, 0, 2, 0], [0, 0, 0, 9], [1, 1, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(values, [0.5, 1.0, 0.0, 0.0], atol=1e-12)


def test_disentanglement_weighs_dimensions_by_importance():
    """Nine tenths of the importance in a pure dimension, one tenth in a mixed one, by hand."""
    importances = np.array([[9.0, 0.0], [0.5, 0.5], [0.0, 0.0]])
    assert _disentanglement(importances) == pytest.approx(0.9, rel=1e-12)
    assert _disentanglement(np.zeros((3, 2))) == 0.0


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(FACTORS, id="perfect"),
        pytest.param([5, 1e6, 0] - FACTORS[:, [2, 0, 1]] * [1, 1e3, 1e-3], id="permuted"),
        pytest.param(np.concatenate([FACTORS, np.full_like(FACTORS, 7)], axis=1), id="constants"),
    ],
)
def test_one_code_per_factor(codes):
    assert dci(codes, FACTORS) == DCI(1.0, 1.0, 1.0)


def test_duplicated_codes_are_disentangled_but_not_complete():
    values = dci(np.concatenate([FACTORS, -FACTORS], axis=1), FACTORS, num_trees=100)
    assert values.disentanglement == values.informativeness == 1.0
    # Equal shares give 1 - log 2 / log 6. At each split a tree takes one of a pair at random: over
    # 100 trees a share is off by less than 0.25, 5 standard errors, and others only add to it.
    least = 1 - np.log(2) / np.log(6)
    most = 1 - scipy.stats.entropy([0.25, 0.75]) / np.log(6)
    assert least - 1e-9 <= values.completeness <= most


def test_rotated_codes_are_informative_but_not_disentangled():
    a, b = np.indices((4, 4, 50)).reshape(3, -1)[:2]
    values = dci(np.stack([a + b, a - b], axis=1), np.stack([a, b], axis=1))
    assert values.informativeness == 1.0
    assert values.disentanglement < 0.1 and values.completeness < 0.1


def test_two_factors_in_one_code():
    """Complete, but not disentangled: 1 - log 2 / log 3 for two of the three factors' weight."""
    a, b, c = FACTORS.T
    constant = np.zeros_like(a)
    values = dci(np.stack([3 * a + b, c, constant], axis=1), FACTORS)
    assert values.completeness == values.informativeness == 1.0
    expected = 2 / 3 * (1 - np.log(2) / np.log(3)) + 1 / 3
    assert values.disentanglement == pytest.approx(expected, abs=1e-12)


def test_codes_without_information():
    values = dci(NOISE, FACTORS)
    assert 0.0 <= values.disentanglement < 0.05 and 0.0 <= values.completeness < 0.05
    # A guess; 5 standard errors of three accuracies on 240 points.
    chances = np.array([1 / 2, 1 / 3, 1 / 4])
    error = np.sqrt(np.sum(chances * (1 - chances)) / 240) / 3
    assert values.informativeness == pytest.approx(chances.mean(), abs=5 * error)


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_constant_codes(level):
    codes = np.full((len(FACTORS), 2), level, "float32")
    codes[::2] *= 1 + np.finfo("float32").eps
    values = dci(codes, FACTORS)
    assert values[:2] == (0.0, 0.0)
    assert 0.1 < values.informativeness < 0.5


def test_against_boosted_trees():
    """disentanglement_lib's scores, on noisy codes of mixed factors; another kind of trees."""
    factors = FACTORS[:, :2]
    codes = factors @ [[1.0, 0.3], [0.0, 1.0]] + 0.4 * NOISE[:, :2]
    codes = np.concatenate([codes, NOISE[:, 2:]], axis=1)
    importances = [
        GradientBoostingClassifier(n_estimators=30).fit(codes, factor).feature_importances_
        for factor in factors.T
    ]
    importances = np.stack(importances, axis=1)
    per_dim = 1 - scipy.stats.entropy(importances, base=2, axis=1)
    disentanglement = np.sum(per_dim * importances.sum(axis=1)) / 2
    completeness = np.mean(1 - scipy.stats.entropy(importances, base=3, axis=0))
    values = dci(codes, factors, num_trees=50)
    assert 0.4 < disentanglement < 0.9 and 0.4 < completeness < 0.9
    assert values.disentanglement == pytest.approx(disentanglement, abs=0.12)
    assert values.completeness == pytest.approx(completeness, abs=0.12)


def test_units_and_seeds():
    codes = FACTORS + NOISE
    values = dci(codes, FACTORS)
    np.testing.assert_allclose(dci(1e-3 * codes + 7, FACTORS), values, atol=1e-3)
    assert dci(codes, FACTORS) == values != dci(codes, FACTORS, seed=1)


def test_errors():
    with pytest.raises(ValueError, match="2 latent dimensions and 2 factors. Received"):
        dci(FACTORS[:, :1], FACTORS)
    with pytest.raises(ValueError, match="2 latent dimensions and 2 factors. Received"):
        dci(FACTORS, FACTORS[:, :1])
