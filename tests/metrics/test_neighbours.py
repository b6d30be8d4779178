"""Precision, recall, density, coverage: by brute force, in expectation, at extremes."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.metrics import neighbours
from tfgen.metrics.neighbours import PrecisionRecall, precision_recall


def brute_force(real, generated, k):
    """The papers' sums, one pair at a time."""

    def radius(points, i):
        others = [np.linalg.norm(points[i] - other) for j, other in enumerate(points) if j != i]
        return sorted(others)[k - 1]

    def inside(point, centres, i):
        return np.linalg.norm(point - centres[i]) <= radius(centres, i)

    real_balls = np.array([[inside(g, real, i) for i in range(len(real))] for g in generated])
    generated_balls = np.array(
        [[inside(r, generated, i) for i in range(len(generated))] for r in real]
    )
    return PrecisionRecall(
        precision=real_balls.any(axis=1).mean(),
        recall=generated_balls.any(axis=1).mean(),
        density=real_balls.sum() / (k * len(generated)),
        coverage=real_balls.any(axis=0).mean(),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_against_brute_force(k, shift):
    rng = np.random.default_rng(k)
    real, generated = rng.normal(size=(30, 2)), 0.7 * rng.normal(size=(22, 2)) + shift
    values = precision_recall(real, generated, k)
    np.testing.assert_allclose(values, brute_force(real, generated, k), rtol=1e-12)
    assert len(set(values)) > 1


def test_small_blocks_give_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(200, 3)), rng.normal(size=(311, 3)) + 0.5
    expected = precision_recall(real, generated)
    monkeypatch.setattr(neighbours, "_WORKING_MEMORY", 0.02)  # MiB: 13 rows of 200 distances.
    assert precision_recall(real, generated) == expected


def test_identical_sets():
    x = np.random.default_rng(0).normal(size=(50, 3))
    values = precision_recall(x, x, 4)
    assert (values.precision, values.recall, values.coverage) == (1.0, 1.0, 1.0)
    # Its own ball and those of 4 points on average, of which rounding may lose one, at the rim.
    assert 1.0 <= values.density <= 5 / 4


def test_disjoint_sets():
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert precision_recall(x, x + 100.0) == (0.0, 0.0, 0.0, 0.0)


def test_collapsed_generator():
    """All samples beside one real image: good quality and no variety."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(500, 2))
    generated = real[:1] + 1e-6 * rng.normal(size=(400, 2))
    values = precision_recall(real, generated)
    assert values.precision == 1.0
    assert values.recall <= 1 / 500
    # Around one point there are the balls of those that count it among their 5 nearest.
    assert 1 / 500 <= values.coverage <= 20 / 500
    assert values.density == pytest.approx(values.coverage * 500 / 5, abs=0.2)


def test_missing_mode():
    """Half of the real points have no counterpart."""
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(2, 300, 2)) + np.array([[[0.0]], [[1000.0]]])
    values = precision_recall(np.concatenate([near, far]), rng.normal(size=(300, 2)))
    assert values.precision > 0.9
    assert 0.4 < values.recall <= 0.5
    assert 0.4 < values.coverage <= 0.5


def test_an_outlier_raises_precision_but_not_density():
    """The example of Naeem et al., Sec. 3.1: a real outlier's ball holds all generated samples."""
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(size=(100, 2)), [[100.0, 0.0]]])
    generated = rng.normal(size=(100, 2)) + np.array([40.0, 0.0])
    values = precision_recall(real, generated, 5)
    assert values.precision == 1.0
    assert values.density == pytest.approx(1 / 5)


@pytest.mark.parametrize("n, m, k", [(100, 100, 1), (100, 50, 4)])
def test_expectations_of_equal_distributions(n, m, k):
    """By exchangeability, in any dimension.

    A generated sample is among the k nearest of n points around a real one with probability k / n;
    the k nearest of n - 1 + m points are all real with the product's probability.
    """
    rng = np.random.default_rng(0)
    draws = [
        precision_recall(rng.normal(size=(n, 2)), rng.normal(size=(m, 2)), k) for _ in range(30)
    ]
    means, tolerances = np.mean(draws, axis=0), 5 * np.std(draws, axis=0) / np.sqrt(30)
    assert means[2] == pytest.approx(1.0, abs=tolerances[2])
    i = np.arange(1, k + 1)
    coverage = 1 - np.prod((n - i) / (n + m - i))
    assert means[3] == pytest.approx(coverage, abs=tolerances[3])
    assert tolerances[2] < 0.25 and tolerances[3] < 0.08
    if n == m:
        assert means[0] == pytest.approx(means[1], abs=np.hypot(tolerances[0], tolerances[1]))
        assert means[0] < 1.0


def test_feature_maps_far_from_the_origin():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(40, 2, 2)), rng.normal(size=(30, 2, 2)) + 0.3
    expected = precision_recall(real.reshape(40, 4), generated.reshape(30, 4))
    far = precision_recall(tf.constant(real + 1e5), tf.constant(generated + 1e5))
    np.testing.assert_allclose(far, expected, rtol=1e-12)


@pytest.mark.parametrize("k", [0, 4, 9])
def test_number_of_neighbours_out_of_range(k):
    x = np.zeros((10, 2))
    message = f"below the number of samples. Received: {k} with 10 real and 4 generated"
    with pytest.raises(ValueError, match=message):
        precision_recall(x, x[:4], k)


def test_errors_of_samples():
    x = np.zeros((10, 2))
    with pytest.raises(ValueError, match="generated must hold at least 2.*Received"):
        precision_recall(x, x[:1])
    with pytest.raises(ValueError, match=r"real and generated must hold samples of one shape"):
        precision_recall(x, x[:, :1])
    with pytest.raises(ValueError, match="real must be finite. Received"):
        precision_recall(np.full((10, 2), np.inf), x)
