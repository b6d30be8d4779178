"""MMD: sums over pairs, scikit-learn's kernels, closed forms of Gaussians, blocks, memory."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from sklearn.gaussian_process.kernels import RationalQuadratic
from sklearn.metrics import pairwise

from tfgen.metrics.mmd import (
    BANDWIDTH_FACTORS,
    RATIONAL_QUADRATIC_ALPHAS,
    median_bandwidth,
    squared_mmd,
)

KERNELS = ("gaussian", "rational_quadratic", "polynomial")
WIDTHS = (0.7, 2.0)
X = np.random.default_rng(0).normal(size=(50, 4))
Y = np.random.default_rng(1).normal(size=(37, 4)) * 1.3 + 0.4


def widths_of(kernel):
    return None if kernel == "polynomial" else WIDTHS


def kernel_value(kernel, x, y):
    """k of two points, by the docstring's formulas."""
    square = np.sum((x - y) ** 2)
    if kernel == "gaussian":
        return np.mean([np.exp(-square / (2 * s**2)) for s in WIDTHS])
    if kernel == "polynomial":
        return (x @ y / len(x) + 1) ** 3
    alphas = (0.2, 0.5, 1, 2, 5)
    return np.mean([(1 + square / (2 * a * s**2)) ** -a for s in WIDTHS for a in alphas])


def scikit_learn_matrix(kernel, x, y):
    if kernel == "gaussian":
        return np.mean([pairwise.rbf_kernel(x, y, 1 / (2 * s**2)) for s in WIDTHS], axis=0)
    if kernel == "polynomial":
        return pairwise.polynomial_kernel(x, y, degree=3, coef0=1)
    kernels = [RationalQuadratic(s, a) for s in WIDTHS for a in RATIONAL_QUADRATIC_ALPHAS]
    return np.mean([kernel(x, y) for kernel in kernels], axis=0)


def mmd_of_matrices(xx, yy, xy, biased):
    if biased:
        return xx.mean() + yy.mean() - 2 * xy.mean()
    n, m = xy.shape
    within_x = (xx.sum() - np.trace(xx)) / (n * (n - 1))
    within_y = (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return within_x + within_y - 2 * xy.mean()


def reference(kernel, x, y, biased=False):
    pairs = ((x, x), (y, y), (x, y))
    return mmd_of_matrices(*(scikit_learn_matrix(kernel, a, b) for a, b in pairs), biased)


def gaussian_mean(variance_x, variance_y, shift, width, d):
    """E exp(-|x - y|^2 / (2 s^2)): x - y is Gaussian, of mean `shift` in each dimension."""
    total = variance_x + variance_y + width**2
    return (width**2 / total) ** (d / 2) * np.exp(-d * shift**2 / (2 * total))


# Values.


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_by_sums_over_pairs(kernel, biased):
    x, y = X[:6], Y[:4]
    total = 0.0
    for points, sign in ((x, 1), (y, 1)):
        values = [
            kernel_value(kernel, a, b)
            for i, a in enumerate(points)
            for j, b in enumerate(points)
            if biased or i != j
        ]
        total += sign * np.mean(values)
    total -= 2 * np.mean([kernel_value(kernel, a, b) for a in x for b in y])
    value = squared_mmd(x, y, kernel, widths_of(kernel), biased)
    assert isinstance(value, float)
    assert value == pytest.approx(total, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_against_scikit_learn(kernel, biased):
    value = squared_mmd(X, Y, kernel, widths_of(kernel), biased)
    assert value == pytest.approx(reference(kernel, X, Y, biased), rel=1e-5, abs=5e-7)


@pytest.mark.parametrize(
    "kernel, block_size, biased",
    [("gaussian", size, biased) for size in (1, 7, 37, 1000) for biased in (False, True)]
    + [("rational_quadratic", 20, False), ("polynomial", 20, True)],
)
def test_blocks_give_the_same(kernel, block_size, biased):
    size = 9 if block_size == 1 else 50
    x, y = X[:size], Y[: size - 1]
    value = squared_mmd(x, y, kernel, widths_of(kernel), biased, block_size)
    assert value == pytest.approx(reference(kernel, x, y, biased), rel=1e-5, abs=5e-7)


def test_of_two_gaussians_has_the_closed_form():
    """The unbiased estimator on average, and the biased one with the docstring's bias."""
    n, m, d, scale, shift, num_sets = 60, 40, 3, 1.5, 0.4, 150
    rng = np.random.default_rng(0)
    values = []
    for _ in range(num_sets):
        x, y = rng.normal(size=(n, d)), scale * rng.normal(size=(m, d)) + shift
        values.append([squared_mmd(x, y, bandwidths=WIDTHS, biased=b) for b in (False, True)])
    within_x, within_y, between = (
        np.mean([gaussian_mean(*terms, width, d) for width in WIDTHS])
        for terms in ((1.0, 1.0, 0.0), (scale**2, scale**2, 0.0), (1.0, scale**2, shift))
    )
    expected = within_x + within_y - 2 * between
    bias = (1 - within_x) / n + (1 - within_y) / m
    # 5 standard errors of the mean over independent sets.
    tolerance = 5 * np.std(values, axis=0) / np.sqrt(num_sets)
    assert tolerance[0] < 0.2 * expected
    np.testing.assert_array_less(
        np.abs(np.mean(values, axis=0) - [expected, expected + bias]), tolerance
    )


def test_polynomial_of_two_gaussians_has_the_closed_form():
    """In one dimension, from the moments of N(0, 1) and N(1, 1)."""
    n, num_sets = 40, 200
    rng = np.random.default_rng(0)
    values = [
        squared_mmd(rng.normal(size=(n, 1)), rng.normal(size=(n, 1)) + 1.0, "polynomial")
        for _ in range(num_sets)
    ]
    # (xy + 1)^3 is a sum of binomials times x^p y^p, so MMD^2 is that of binomials times squared
    # differences of moments: 0, 1, 0 (p = 1, 2, 3) and 1, 2, 4.
    expected = 3 * (0 - 1) ** 2 + 3 * (1 - 2) ** 2 + (0 - 4) ** 2
    tolerance = 5 * np.std(values) / np.sqrt(num_sets)
    assert tolerance < 0.25 * expected
    assert np.mean(values) == pytest.approx(expected, abs=tolerance)


def test_of_equal_distributions_is_zero_on_average():
    rng = np.random.default_rng(0)
    values = [squared_mmd(*rng.normal(size=(2, 50, 3)), bandwidths=WIDTHS) for _ in range(100)]
    assert np.mean(values) == pytest.approx(0.0, abs=5 * np.std(values) / 10)
    assert 10 < np.sum(np.array(values) < 0) < 90


@pytest.mark.parametrize("kernel", KERNELS)
def test_of_a_set_with_itself(kernel):
    """Biased it is 0; unbiased it is below, as k(x_i, x_i) counts in the third term only."""
    widths = widths_of(kernel)
    assert squared_mmd(X, X, kernel, widths, biased=True) == pytest.approx(0.0, abs=1e-6)
    assert squared_mmd(X, X, kernel, widths) < -1e-3
    assert squared_mmd(X, X, kernel, widths) == pytest.approx(reference(kernel, X, X), rel=1e-4)


def test_of_two_collapsed_sets_far_apart():
    """Within each set k = 1, between them 0: the largest value."""
    x, y = np.zeros((5, 2)), np.full((4, 2), 100.0)
    for biased in (False, True):
        assert squared_mmd(x, y, bandwidths=1.0, biased=biased) == pytest.approx(2.0, abs=1e-6)


# Data types and rounding.


@pytest.mark.parametrize("offset", [1e2, 1e4])
@pytest.mark.parametrize("kernel", KERNELS[:2])
def test_far_from_the_origin(kernel, offset):
    """In float32, |x|^2 + |y|^2 - 2 x.y alone would be off by 1 and by 10^4."""
    x, y = (X + offset).astype("float32"), (Y + offset).astype("float32")
    expected = reference(kernel, x.astype("float64"), y.astype("float64"))
    assert squared_mmd(x, y, kernel, WIDTHS) == pytest.approx(expected, abs=1e-6)


def test_polynomial_of_large_features():
    """Means of about 10^12, whose difference float32 would lose."""
    x, y = (X + 100.0).astype("float32"), (Y + 100.0).astype("float32")
    expected = reference("polynomial", x.astype("float64"), y.astype("float64"))
    assert squared_mmd(x, y, "polynomial") == pytest.approx(expected, rel=1e-6)


def test_images_and_tensors_are_flattened():
    rng = np.random.default_rng(0)
    x, y = rng.integers(256, size=(2, 20, 4, 4, 1), dtype="uint8")
    flat_x, flat_y = x.reshape(20, 16).astype("float64"), y.reshape(20, 16).astype("float64")
    expected = squared_mmd(flat_x, flat_y)
    assert squared_mmd(x, y) == pytest.approx(expected, abs=1e-6)
    assert squared_mmd(tf.constant(x), tf.constant(y)) == pytest.approx(expected, abs=1e-6)
    assert squared_mmd(flat_x[:, 0], flat_y[:, 0]) == squared_mmd(flat_x[:, :1], flat_y[:, :1])


def test_leaves_tensor_float_32_as_it_was():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    try:
        for setting in (True, False):
            tf.config.experimental.enable_tensor_float_32_execution(setting)
            squared_mmd(X, Y)
            assert enabled() is setting
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


# Bandwidths.


def test_median_bandwidth_by_enumeration():
    points = [[0.0, 0.0], [3.0, 4.0], [6.0, 8.0], [0.0, 1.0]]
    # Distances 5, 10, 1, 5, sqrt(18), sqrt(85): the middle ones are both 5.
    assert median_bandwidth(points) == pytest.approx((5 + 5) / 2, rel=1e-12)
    distances = pairwise.euclidean_distances(X)[np.triu_indices(50, 1)]
    assert median_bandwidth(X) == pytest.approx(np.median(distances), rel=1e-10)


def test_median_bandwidth_of_a_subsample():
    """In one dimension |x - y| is sqrt(2) times a half-normal, whose median is 0.6745."""
    x = np.random.default_rng(0).normal(size=20_000)
    value = median_bandwidth(x, num_samples=1000, seed=3)
    assert value == median_bandwidth(x, num_samples=1000, seed=3)
    assert value != median_bandwidth(x, num_samples=1000, seed=4)
    # The standard error is that of a U-statistic, about sqrt(4 V / 1000) / f: V = Var P(|x - y| < q
    # | x) = 0.024, f = 0.449 the density of |x - y| at the median q, so 0.022.
    assert value == pytest.approx(np.sqrt(2) * 0.6745, abs=5 * 0.022)


def test_default_bandwidths_are_five_octaves_around_the_median():
    assert BANDWIDTH_FACTORS == tuple(2.0**octave for octave in range(-2, 3))


def test_default_bandwidths_come_from_the_real_samples_only():
    widths = np.array(BANDWIDTH_FACTORS) * median_bandwidth(X)
    for y in (Y, 100 * Y):
        assert squared_mmd(X, y) == squared_mmd(X, y, bandwidths=widths)
    assert squared_mmd(X, Y) != squared_mmd(Y, X)


def test_rational_quadratic_has_unit_length_by_default():
    default = squared_mmd(X, Y, "rational_quadratic")
    assert default == squared_mmd(X, Y, "rational_quadratic", bandwidths=1.0)
    assert squared_mmd(3 * X, 3 * Y, "rational_quadratic", 3.0) == pytest.approx(default, abs=1e-6)


# Progress and errors.


def test_progress_bar_is_optional(capsys):
    squared_mmd(X, Y)
    assert capsys.readouterr().out == ""
    squared_mmd(X, Y, block_size=20, verbose=True)
    # 3 blocks of rows of x and 2 of y: 6 + 3 within, 6 between.
    assert "15/15" in capsys.readouterr().out


def test_errors_of_samples():
    with pytest.raises(ValueError, match=r"x must hold at least 2.*Received: shape \(1, 4\)"):
        squared_mmd(X[:1], Y)
    with pytest.raises(ValueError, match=r"y must hold at least 2.*Received: shape \(1, 4\)"):
        squared_mmd(X, Y[:1])
    with pytest.raises(ValueError, match=r"of one shape. Received: \(4,\) and \(2, 2\)"):
        squared_mmd(X, Y.reshape(37, 2, 2))
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="y must be finite. Received: NaN or infinite"):
            squared_mmd(X, np.where(Y > 1, value, Y))


def test_constant_data_has_no_median_bandwidth():
    constant = np.full((10, 4), 0.3)
    for half_equal in (constant, np.concatenate([constant, X[:2]])):
        with pytest.raises(ValueError, match="is 0, and no bandwidth.*Received.*Give bandwidths"):
            median_bandwidth(half_equal)
        with pytest.raises(ValueError, match="is 0, and no bandwidth"):
            squared_mmd(half_equal, Y)
    assert squared_mmd(constant, constant, bandwidths=1.0) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="at least 2. Received: num_samples=1"):
        median_bandwidth(X, num_samples=1)


def test_errors_of_settings():
    with pytest.raises(ValueError, match="one of .*'polynomial'.*Received: kernel='linear'"):
        squared_mmd(X, Y, "linear")
    for widths in (0.0, [1.0, -1.0], [], [np.nan], [[1.0]]):
        with pytest.raises(ValueError, match="bandwidths must be positive, finite .* Received"):
            squared_mmd(X, Y, bandwidths=widths)
    with pytest.raises(ValueError, match="has no bandwidth; leave it None. Received: 1.0"):
        squared_mmd(X, Y, "polynomial", bandwidths=1.0)
    with pytest.raises(ValueError, match="at least 1. Received: block_size=0"):
        squared_mmd(X, Y, block_size=0)


MEMORY_SCRIPT = """
import sys
import numpy as np
from tfgen.metrics.mmd import squared_mmd

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

num, kernel = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
x, y = (rng.random((num, 784), dtype="float32") for _ in range(2))
before = peak()
value = squared_mmd(x, y, kernel)
print(value, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
@pytest.mark.parametrize("kernel", KERNELS)
def test_memory_does_not_grow_with_the_number_of_samples(kernel):
    """20,000 x 20,000: one kernel matrix would take 1.6 GB (float32), the blocks take 0.2."""
    command = [sys.executable, "-c", MEMORY_SCRIPT, "20000", kernel]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    value, extra_mebibytes = map(float, result.stdout.split()[-2:])
    assert abs(value) < 1e-3
    assert extra_mebibytes < 500
