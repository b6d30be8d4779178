"""FID, KID and Inception score: SciPy and NumPy formulas, closed forms, extremes."""

import numpy as np
import pytest
import scipy.linalg

from tfgen.metrics import fid, inception_score, inception_scores, kid, squared_mmd

RNG = np.random.default_rng(0)
REAL = np.maximum(RNG.normal(0.3, 1.0, size=(120, 6)), 0)
GENERATED = np.maximum(RNG.normal(0.5, 1.2, size=(100, 6)), 0)


def cubic(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def mmd_by_pairs(x, y):
    """Unbiased: means over pairs of two rows."""
    pairs = [cubic(a, a)[~np.eye(len(a), dtype=bool)].mean() for a in (x, y)]
    return sum(pairs) - 2 * cubic(x, y).mean()


# FID.


def test_fid_by_scipy():
    covariances = [np.cov(x, rowvar=False) for x in (REAL, GENERATED)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    means = REAL.mean(axis=0) - GENERATED.mean(axis=0)
    expected = means @ means + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert fid(REAL, GENERATED) == pytest.approx(expected, rel=1e-8)


def test_fid_of_shifted_and_of_equal_features():
    assert fid(REAL, REAL + 0.5) == pytest.approx(6 * 0.25)
    assert fid(REAL, REAL) == pytest.approx(0.0, abs=1e-12)


# KID.


def test_kid_of_whole_sets_by_numpy():
    score = kid(REAL[:100], GENERATED, num_subsets=3, subset_size=100)
    assert score.mean == pytest.approx(mmd_by_pairs(REAL[:100], GENERATED), rel=1e-9)
    assert score.standard_error == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("subset_size", [2, 5, 40])
def test_kid_estimates_the_distance_of_all_features(subset_size):
    """Each pair is equally likely in a subset: five standard errors."""
    score = kid(REAL, GENERATED, num_subsets=300, subset_size=subset_size, seed=subset_size)
    expected = squared_mmd(REAL, GENERATED, "polynomial")
    assert expected == pytest.approx(mmd_by_pairs(REAL, GENERATED), rel=1e-9)
    assert score.mean == pytest.approx(expected, abs=5 * score.standard_error)
    assert score.standard_error > 0


def test_error_of_kid_is_that_of_its_mean(monkeypatch):
    values = iter([1.0, 2.0, 3.0, 6.0])
    monkeypatch.setattr(inception_scores, "squared_mmd", lambda *args: next(values))
    # Variance (4 + 1 + 0 + 9) / 3, over 4 subsets.
    assert kid(REAL, GENERATED, 4, 5) == pytest.approx((3.0, np.sqrt(14 / 3 / 4)))


def test_kid_of_two_halves_is_small():
    halves = kid(REAL[::2], REAL[1::2], 10, 50)
    assert abs(halves.mean) < 0.2 * kid(REAL, GENERATED, 10, 50).mean


def test_subsets_follow_from_the_seed():
    first, again, other = (kid(REAL, GENERATED, 3, 10, seed=seed) for seed in (1, 1, 2))
    assert first == again and first.mean != other.mean


def test_a_subset_holds_no_row_twice():
    """Two equal rows in the unbiased estimate would give k(x, x), which is large here."""
    x = np.diag(np.full(4, 100.0))
    assert kid(x, x[:, ::-1], 50, 4).mean == pytest.approx(mmd_by_pairs(x, x), rel=1e-9)


# Inception score.


def probabilities(n, k, sharpness, seed=0):
    logits = sharpness * np.random.default_rng(seed).normal(size=(n, k))
    values = np.exp(logits)
    return values / values.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n, num_splits", [(50, 1), (50, 10), (53, 10), (7, 7)])
def test_inception_score_by_the_usual_code(n, num_splits):
    p = probabilities(n, 5, 2.0)
    scores = []
    for i in range(num_splits):
        part = p[i * n // num_splits : (i + 1) * n // num_splits]
        divergences = part * (np.log(part) - np.log(part.mean(axis=0, keepdims=True)))
        scores.append(np.exp(np.mean(np.sum(divergences, axis=1))))
    mean, deviation = inception_score(p, num_splits)
    assert mean == pytest.approx(np.mean(scores), rel=1e-10)
    assert deviation == pytest.approx(np.std(scores), rel=1e-8, abs=1e-12)


def test_inception_score_at_its_extremes():
    """As many as classes where each image is of one and all are as frequent; 1 where all agree."""
    sure = np.eye(4)[np.arange(400) % 4]
    assert inception_score(sure, 5) == pytest.approx((4.0, 0.0))
    assert inception_score(sure[::4], 5) == (1.0, 0.0)
    assert inception_score(np.full((40, 4), 0.25), 2) == (1.0, 0.0)
    assert inception_score(sure, 400) == (1.0, 0.0)  # Of one sample each.


def test_splits_come_one_after_the_other():
    """Two halves of one class each have a score of 1, where the whole has 2."""
    p = np.repeat(np.eye(2), 20, axis=0)
    assert inception_score(p, 2).mean == 1.0
    assert inception_score(p, 1).mean == pytest.approx(2.0)


# Errors.


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: kid(REAL, GENERATED), "subset_size must be at most .* 1000 with 120 real and 100"),
        (lambda: kid(REAL, GENERATED, 1, 5), "num_subsets must be an int of at least 2"),
        (lambda: kid(REAL, GENERATED, 5, 1), "subset_size must be an int of at least 2"),
        (lambda: kid(REAL, GENERATED[:, :5], 5, 5), r"Received: \(6,\) and \(5,\)"),
        (lambda: fid(REAL, GENERATED * np.nan), "must be finite"),
        (lambda: inception_score(np.eye(4), 5), "num_splits=5 with 4 samples"),
        (lambda: inception_score(np.eye(4), 0), "num_splits must be an int of at least 1"),
        (lambda: inception_score(REAL), "Rows of probabilities must be at least 0 and sum to 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
