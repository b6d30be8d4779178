"""SAP score: closed forms for noisy codes, codes of known answer, and the definition's loop."""

import numpy as np
import pytest
import scipy.stats
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC

from tfgen.metrics.sap import sap_score

FACTORS = np.indices((2, 3, 4, 100)).reshape(4, -1).T[:, :3]
NOISE = np.random.default_rng(0).normal(size=FACTORS.shape)
# 5 standard errors of an accuracy on a fifth of the points, at most.
TOLERANCE = 5 * np.sqrt(0.25 / (len(FACTORS) / 5))


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(FACTORS, id="perfect"),
        pytest.param([5, 1e6, 0] - FACTORS[:, [2, 0, 1]] * [1, 1e3, 1e-3], id="permuted"),
        pytest.param(np.concatenate([FACTORS, np.full_like(FACTORS, 7)], axis=1), id="constants"),
    ],
)
def test_one_code_per_factor(codes):
    """The best is always right; the second best is a guess, 1 / K on average or a bit more."""
    value = sap_score(codes, FACTORS)
    assert value == pytest.approx(1 - np.mean([1 / 2, 1 / 3, 1 / 4]), abs=TOLERANCE)
    assert sap_score(codes, FACTORS, continuous=True) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_binary_factors_in_noise(scale):
    """Normal noise around -1 and 1: accuracy Phi(1 / scale), R^2 = 1 / (1 + scale^2)."""
    factors = np.indices((2, 2, 2000)).reshape(3, -1).T[:, :2]
    noise = np.random.default_rng(1).normal(size=factors.shape)
    codes = 2 * factors - 1 + scale * noise
    accuracy, num_test = scipy.stats.norm.cdf(1 / scale), len(factors) / 5
    error = np.sqrt((accuracy * (1 - accuracy) + 0.25) / num_test / 2)
    assert sap_score(codes, factors) == pytest.approx(accuracy - 0.5, abs=5 * error)
    # A sample correlation r deviates by (1 - r^2) / sqrt(n), and r^2 by 2 r times that.
    r_squared = 1 / (1 + scale**2)
    error = 2 * np.sqrt(r_squared) * (1 - r_squared) / np.sqrt(2 * len(factors))
    value = sap_score(codes, factors, continuous=True)
    assert value == pytest.approx(r_squared, abs=5 * error + 20 / len(factors))


@pytest.mark.parametrize("continuous", [False, True])
def test_codes_that_keep_no_distance(continuous):
    duplicated = np.concatenate([FACTORS, -FACTORS], axis=1)
    assert sap_score(duplicated, FACTORS, continuous=continuous) == pytest.approx(0, abs=1e-12)
    a, b = np.indices((4, 4, 100)).reshape(3, -1)[:2]
    rotated = np.stack([a + b, a - b], axis=1)
    factors = np.stack([a, b], axis=1)
    assert sap_score(rotated, factors, continuous=continuous) < TOLERANCE
    assert sap_score(NOISE, FACTORS, continuous=continuous) < TOLERANCE


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_constant_codes(level):
    codes = np.full((len(FACTORS), 2), level, "float32")
    codes[::2] *= 1 + np.finfo("float32").eps
    assert sap_score(codes, FACTORS) == sap_score(codes, FACTORS, continuous=True) == 0.0


def test_against_the_definitions_loop():
    """disentanglement_lib's classifier, solved in the dual, and NumPy's correlations."""
    codes = FACTORS @ np.array([[1.0, 0.2, 0.0], [0.3, 1.0, 0.0], [0.0, 0.4, 0.5]]) + 0.5 * NOISE
    # Values of unequal frequency: the classifier gives the classes equal weights.
    kept = np.random.default_rng(1).random(len(codes)) < 0.8 ** FACTORS.sum(axis=1) ** 1.5
    codes, factors = codes[kept], FACTORS[kept]
    codes = (codes - codes.mean(axis=0)) / codes.std(axis=0)
    accuracies, r_squared = np.zeros((3, 3)), np.zeros((3, 3))
    train, test, train_factors, test_factors = train_test_split(
        codes, factors, test_size=0.2, random_state=0
    )
    for i in range(3):
        for j in range(3):
            model = LinearSVC(C=0.01, class_weight="balanced", dual=True, max_iter=10_000)
            model.fit(train[:, [i]], train_factors[:, j])
            accuracies[i, j] = np.mean(model.predict(test[:, [i]]) == test_factors[:, j])
            r_squared[i, j] = np.corrcoef(codes[:, i], factors[:, j])[0, 1] ** 2
    gaps = [np.diff(np.sort(scores, axis=0), axis=0)[-1] for scores in (accuracies, r_squared)]
    assert gaps[0].mean() > 0.1
    # The solvers stop at slightly other borders: one test point in a hundred may change sides.
    assert sap_score(codes, factors) == pytest.approx(gaps[0].mean(), abs=0.01)
    value = sap_score(codes, factors, continuous=True)
    assert value == pytest.approx(gaps[1].mean(), rel=1e-9)
    mixed = sap_score(codes, factors, continuous=[False, True, True])
    assert mixed == pytest.approx((gaps[0][0] + gaps[1][1] + gaps[1][2]) / 3, abs=0.01)


def test_units_and_seeds():
    codes = FACTORS + NOISE
    value = sap_score(codes, FACTORS)
    assert sap_score(1e-3 * codes + 7, FACTORS) == pytest.approx(value, abs=0.005)
    assert sap_score(codes, FACTORS) == value != sap_score(codes, FACTORS, seed=1)


def test_errors():
    with pytest.raises(ValueError, match="2 latent dimensions and 1 factors. Received"):
        sap_score(FACTORS[:, :1], FACTORS)
    with pytest.raises(ValueError, match="4 in 5. Received: 2 points in all"):
        sap_score(np.eye(2), [[0], [1]])
