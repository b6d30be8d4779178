"""Shuffled codes by counting permutations, DIP-VAE's penalty against NumPy and enumerated noise."""

import itertools

import numpy as np
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.losses import dip_penalty, permute_dims

RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=(7, 3)).astype("float32")
VARIANCE = RNG.uniform(0.2, 2.0, size=(7, 3)).astype("float32")


# Shuffled codes.


def test_dimensions_keep_their_values():
    z = RNG.normal(size=(9, 2, 3)).astype("float32")
    shuffled = permute_dims(z, [0, 1])
    assert_array_equal(np.sort(shuffled, axis=0), np.sort(z, axis=0))
    assert not np.array_equal(shuffled, z)
    assert_array_equal(shuffled, permute_dims(z, [0, 1]))
    assert not np.array_equal(shuffled, permute_dims(z, [0, 2]))
    compiled = tf.function(lambda: permute_dims(z, [0, 1]), jit_compile=True)
    assert_array_equal(shuffled, compiled())


def test_every_dimension_has_a_uniform_permutation_of_its_own():
    """The 6 permutations of 3 examples, and the 36 pairs of them in neighbouring dimensions."""
    num = 36_000
    columns = permute_dims(np.tile(np.arange(3.0)[:, None], num), [0, 0]).numpy()
    permutations = (columns * [[1], [3], [9]]).sum(axis=0)  # Equal only for equal columns.
    pairs = permutations[::2] * 100 + permutations[1::2]
    for values, kinds in ((permutations, 6), (pairs, 36)):
        _, counts = np.unique(values, return_counts=True)
        expected = len(values) / kinds
        assert len(counts) == kinds
        # 6 standard deviations of a binomial count.
        assert np.all(np.abs(counts - expected) < 6 * np.sqrt(expected))


def test_shuffling_removes_correlation():
    z = RNG.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=20_000)
    correlation = np.corrcoef(permute_dims(z.astype("float32"), [0, 0]), rowvar=False)[0, 1]
    # 5 standard errors of a correlation of independent values.
    assert abs(correlation) < 5 / np.sqrt(len(z))


# DIP-VAE's penalty.


def test_penalty_against_numpy():
    covariance = np.cov(MEAN, rowvar=False, bias=True)
    entries = list(itertools.product(range(3), repeat=2))
    off_diagonal = sum(covariance[i, j] ** 2 for i, j in entries if i != j)
    diagonal = sum((covariance[i, i] - 1) ** 2 for i in range(3))
    expected = 2.0 * off_diagonal + 5.0 * diagonal
    assert_allclose(dip_penalty(MEAN, lambda_od=2.0, lambda_d=5.0), expected, rtol=1e-5)


def test_variances_count_as_noise_on_the_means():
    """Noise of +-1 standard deviation in all combinations has just these second moments."""
    signs = np.array(list(itertools.product([-1, 1], repeat=3)), "float32")
    draws = (MEAN[:, None] + signs * np.sqrt(VARIANCE)[:, None]).reshape(-1, 3)
    expected = dip_penalty(draws, lambda_od=2.0, lambda_d=5.0)
    assert_allclose(dip_penalty(MEAN, VARIANCE, 2.0, 5.0), expected, rtol=1e-5)


def test_whitened_codes_have_no_penalty_and_gradients_lead_there():
    covariance = np.cov(MEAN, rowvar=False, bias=True)
    white = np.linalg.solve(np.linalg.cholesky(covariance), (MEAN - MEAN.mean(axis=0)).T).T
    assert_allclose(dip_penalty(white.astype("float32")), 0.0, atol=1e-8)
    codes = tf.Variable(MEAN)
    with tf.GradientTape() as tape:
        before = dip_penalty(codes, lambda_od=1.0, lambda_d=1.0)
    codes.assign_sub(0.1 * tape.gradient(before, codes))
    assert dip_penalty(codes, lambda_od=1.0, lambda_d=1.0) < before
