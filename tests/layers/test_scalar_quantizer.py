"""Finite scalar quantization: all codes enumerated, nearest ones by brute force, gradients."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.layers import FiniteScalarQuantizer
from tfgen.layers.vector_quantizer import nearest_codes

LEVELS = [(3, 2), (5, 4, 2), (7,), (2, 2, 2, 2), (8, 5, 5, 5)]


def normal(*shape, scale=1.0):
    return scale * np.random.default_rng(0).normal(size=shape).astype("float32")


def grid(levels):
    """All codes by their indices: the first number changes fastest."""
    axes = [np.linspace(-1, 1, n) for n in levels]
    return np.array([code[::-1] for code in itertools.product(*axes[::-1])])


@pytest.mark.parametrize("levels", LEVELS)
def test_all_codes_and_back(levels):
    quantizer = FiniteScalarQuantizer(levels)
    assert quantizer.num_codes == np.prod(levels) and quantizer.code_dim == len(levels)
    indices = np.arange(quantizer.num_codes)
    codes = quantizer.lookup(indices).numpy()
    assert_allclose(codes, grid(levels), atol=1e-6)
    # atanh of +-1 is infinite; tanh of 9 is 1 to seven digits.
    vectors = np.arctanh(np.clip(codes, -np.tanh(9.0), np.tanh(9.0)))
    assert_array_equal(quantizer.indices(vectors), indices)
    assert quantizer.indices(vectors).dtype == tf.int32
    assert_allclose(quantizer(vectors), codes, atol=1e-6)


@pytest.mark.parametrize("levels", LEVELS)
def test_codes_are_the_nearest_to_tanh(levels):
    quantizer, vectors = FiniteScalarQuantizer(levels), normal(50, 4, len(levels))
    by_distance = nearest_codes(np.tanh(vectors), tf.constant(grid(levels), tf.float32))
    assert_array_equal(quantizer.indices(vectors), by_distance)
    assert len(np.unique(by_distance)) > 3


def test_codes_in_numpy():
    vectors, levels = normal(100, 3), np.array([5, 4, 2])
    places = np.round((np.tanh(vectors) + 1) / 2 * (levels - 1))
    quantizer = FiniteScalarQuantizer((5, 4, 2))
    assert_allclose(quantizer(vectors), places / (levels - 1) * 2 - 1, atol=1e-6)
    assert_array_equal(quantizer.indices(vectors), places @ [1, 5, 20])


def test_gradient_is_that_of_tanh():
    """Of a loss of the codes, times 1 - tanh^2: the rounding lets it through."""
    quantizer, vectors, weights = FiniteScalarQuantizer((5, 4)), tf.constant(normal(6, 2)), [2.0, 3]
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        codes = quantizer(vectors)
        loss = tf.reduce_sum(tf.square(codes) * weights)
    expected = 2 * codes * weights * (1 - np.tanh(vectors) ** 2)
    assert_allclose(tape.gradient(loss, vectors), expected, rtol=1e-4, atol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        unrounded = tf.reduce_sum(tf.tanh(vectors) * tf.stop_gradient(2 * codes * weights))
    assert_allclose(tape.gradient(unrounded, vectors), expected, rtol=1e-4, atol=1e-6)


def test_counts_weights_and_config():
    quantizer = FiniteScalarQuantizer([3, 2])
    assert_array_equal(quantizer.use_counts([[0, 5], [5, 1]]), [1, 1, 0, 0, 0, 2])
    assert quantizer.weights == []
    copy = FiniteScalarQuantizer.from_config(quantizer.get_config())
    assert copy.levels == (3, 2) and copy.get_config() == quantizer.get_config()
    assert keras.Sequential([keras.Input((5, 2)), quantizer]).output_shape == (None, 5, 2)


@pytest.mark.parametrize("levels", [(), 3, (3, 1), (3, 2.0), "32", (1000, 1001), None])
def test_errors(levels):
    with pytest.raises(ValueError, match="levels must be .*at least 2.*Received: levels="):
        FiniteScalarQuantizer(levels)


def test_vectors_and_indices_fit():
    quantizer = FiniteScalarQuantizer((3, 2))
    with pytest.raises(ValueError, match=r"shape \(..., 2\). Received: vectors of shape \(4, 3\)"):
        quantizer.indices(normal(4, 3))
    with pytest.raises(ValueError, match="ints from 0 to 5. Received: indices"):
        quantizer.lookup(np.array([6]))
