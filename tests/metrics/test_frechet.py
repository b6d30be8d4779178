"""The Frechet distance: closed forms of Gaussians, SciPy's matrix square root, known biases."""

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from tfgen.metrics.frechet import frechet_distance

D = 4


def exact_sample(mean, covariance, n=40, seed=0):
    """n points whose sample mean and unbiased covariance are exactly these."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    whitening = np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ whitening @ np.linalg.cholesky(covariance).T + mean


def random_covariance(seed):
    root = np.random.default_rng(seed).normal(size=(D, D))
    return root @ root.T + 0.1 * np.eye(D)


def by_definition(x, y):
    """Heusel et al., Eq. 6, with SciPy's square root of the (not symmetric) product."""
    covariance_x, covariance_y = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(covariance_x @ covariance_y).real
    means = x.mean(axis=0) - y.mean(axis=0)
    return means @ means + np.trace(covariance_x + covariance_y - 2 * root)


def test_commuting_covariances():
    """Both diagonal: the sum over dimensions of (m1 - m2)^2 + (s1 - s2)^2."""
    mean_x, mean_y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 0.0, 3.0])
    scale_x, scale_y = np.array([1.0, 2.0, 0.5, 3.0]), np.array([2.0, 0.1, 0.5, 1.0])
    x = exact_sample(mean_x, np.diag(scale_x**2))
    y = exact_sample(mean_y, np.diag(scale_y**2), n=55, seed=1)
    expected = np.sum((mean_x - mean_y) ** 2 + (scale_x - scale_y) ** 2)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_not_commuting_covariances_by_hand():
    """In two dimensions Tr A^(1/2) = sqrt(Tr A + 2 sqrt(det A)), of any matrix A."""
    covariance_x = np.array([[2.0, 1.0], [1.0, 2.0]])
    covariance_y = np.array([[3.0, 0.0], [0.0, 1.0]])
    x = exact_sample(np.zeros(2), covariance_x)
    y = exact_sample(np.array([3.0, 4.0]), covariance_y, seed=1)
    trace_of_root = np.sqrt(8.0 + 2.0 * np.sqrt(3.0 * 3.0))
    expected = 25.0 + 4.0 + 4.0 - 2.0 * trace_of_root
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_against_scipy(seed):
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(np.zeros(D), random_covariance(seed), size=30)
    y = rng.multivariate_normal(np.ones(D), random_covariance(seed + 100), size=50)
    assert frechet_distance(x, y) == pytest.approx(by_definition(x, y), rel=1e-8)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-12)


def test_fewer_samples_than_dimensions():
    """Covariances are singular; the definition by eigenvalues of C_x^(1/2) C_y C_x^(1/2)."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 12)), rng.normal(size=(8, 12)) + 0.5
    values, vectors = np.linalg.eigh(np.cov(x.T))
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    inner = np.linalg.eigvalsh(root @ np.cov(y.T) @ root)
    means = x.mean(axis=0) - y.mean(axis=0)
    expected = means @ means + np.trace(np.cov(x.T)) + np.trace(np.cov(y.T))
    expected -= 2 * np.sum(np.sqrt(np.maximum(inner, 0.0)))
    # Square roots of eigenvalues that are 0 up to rounding: 12 of them, about 1e-8 each.
    assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-6)


def test_of_a_set_with_itself_is_zero():
    x = np.random.default_rng(0).normal(size=(30, 20)) * np.logspace(-4, 4, 20)
    assert frechet_distance(x, x) < 1e-12 * np.trace(np.cov(x.T))
    assert frechet_distance(x[:10], x[:10]) < 1e-12 * np.trace(np.cov(x.T))


def test_shift_and_scale():
    x = np.random.default_rng(0).normal(size=(30, D))
    shift = np.array([1.0, 2.0, 3.0, 4.0])
    assert frechet_distance(x, x + shift) == pytest.approx(30.0, rel=1e-10)
    total_variance = np.trace(np.cov(x.T))
    centred = x - x.mean(axis=0)
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * total_variance, rel=1e-10)


def test_collapsed_samples():
    """A constant set has no covariance: the distance is that of means, plus the variance of x."""
    x = np.random.default_rng(0).normal(size=(30, D))
    y = np.full((10, D), 2.0)
    expected = np.sum((x.mean(axis=0) - 2.0) ** 2) + np.trace(np.cov(x.T))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_float32_features_far_from_the_origin():
    rng = np.random.default_rng(0)
    x, y = (
        (rng.normal(size=(500, D)) + 1000.0).astype("float32"),
        rng.normal(size=(500, D)) + 1000.0,
    )
    expected = by_definition(x.astype("float64"), y)
    assert frechet_distance(tf.constant(x), y) == pytest.approx(expected, rel=1e-6)


def test_feature_maps_are_flattened():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 2, 2, 1))
    expected = frechet_distance(x.reshape(30, 4), y.reshape(30, 4))
    assert frechet_distance(x, y) == expected > 0.0


def test_of_equal_distributions_is_the_known_bias():
    """The docstring's formula: the leading term of an expansion in d / n, here 0.01."""
    n, m, d, scale = 500, 1000, 5, 3.0
    rng = np.random.default_rng(0)
    values = [
        frechet_distance(scale * rng.normal(size=(n, d)), scale * rng.normal(size=(m, d)))
        for _ in range(300)
    ]
    expected = scale**2 * (d + d * (d + 1) / 4) * (1 / n + 1 / m)
    tolerance = 5 * np.std(values) / np.sqrt(300)
    assert tolerance < 0.12 * expected
    assert np.mean(values) == pytest.approx(expected, abs=tolerance + 0.02 * expected)


def test_errors():
    x = np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"x must hold at least 2.*Received: shape \(1, 3\)"):
        frechet_distance(x[:1], x)
    with pytest.raises(ValueError, match=r"y must hold at least 2.*Received: shape \(1, 3\)"):
        frechet_distance(x, x[:1])
    with pytest.raises(ValueError, match=r"of one shape. Received: \(3,\) and \(2,\)"):
        frechet_distance(x, x[:, :2])
    with pytest.raises(ValueError, match="y must be finite. Received"):
        frechet_distance(x, np.full((4, 3), np.nan))
