"""Draws: TensorFlow's own without XLA, the same with it, and of the right distribution."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal

from tfgen._utils import random

SEED = [3, 5]
SHAPES = [(), (0,), (1,), (7,), (3, 5), (2, 3, 4, 1)]
# Of numbers up to 6, each after a logarithm, a root and a sine: a few roundings of 2^-24 * 6.
ROUNDING = dict(rtol=0, atol=3e-6)

shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def compiled(function, *args):
    return tf.function(function, jit_compile=True)(*args)


# TensorFlow's own kernels.


@shapes
def test_uniform_is_tensorflows_bit_for_bit(shape):
    ours = random.uniform(shape, SEED)
    assert ours.shape == shape and ours.dtype == tf.float32
    assert_array_equal(ours, tf.random.stateless_uniform(shape, SEED, alg="philox"))


@shapes
def test_normal_is_tensorflows(shape):
    ours = random.normal(shape, SEED)
    assert ours.shape == shape and ours.dtype == tf.float32
    assert_allclose(ours, tf.random.stateless_normal(shape, SEED, alg="philox"), **ROUNDING)


def test_many_normals_are_tensorflows():
    """Also where the uniform number is 0 or next to it, so that the radius is greatest."""
    ours = random.normal((1_000_001,), SEED)
    assert_allclose(ours, tf.random.stateless_normal((1_000_001,), SEED), **ROUNDING)


def test_seeds_are_tfps():
    assert_array_equal(random.split(SEED, 3), tfp.random.split_seed(SEED, 3))
    expected = tf.random.experimental.stateless_fold_in(SEED, 7, alg="philox")
    assert_array_equal(random.fold_in(SEED, 7), expected)


# XLA.


@shapes
def test_xla_gives_the_same(shape):
    assert_array_equal(compiled(lambda: random.uniform(shape, SEED)), random.uniform(shape, SEED))
    assert_allclose(
        compiled(lambda: random.normal(shape, SEED)), random.normal(shape, SEED), **ROUNDING
    )


def test_xla_gives_the_same_seeds_and_classes():
    seed = tf.constant(SEED)
    assert_array_equal(compiled(lambda s: random.split(s, 4), seed), random.split(seed, 4))
    assert_array_equal(compiled(lambda s: random.fold_in(s, 4), seed), random.fold_in(seed, 4))
    logits = tf.constant([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]])
    # One of them would differ where two noisy logits are equal to rounding: about 1e-6 of draws.
    assert_array_equal(
        compiled(lambda: random.categorical(logits, 501, SEED)),
        random.categorical(logits, 501, SEED),
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("draw", [random.uniform, random.normal])
def test_shapes_of_tensors(draw, jit_compile):
    """Shapes that are not known before the data."""

    @tf.function(
        input_signature=[tf.TensorSpec((None, 3)), tf.TensorSpec((2,), tf.int32)],
        jit_compile=jit_compile,
    )
    def like(x, seed):
        drawn = draw(tf.shape(x), seed)
        assert drawn.shape.rank == 2
        return drawn

    for size in (1, 4, 5):
        assert_allclose(like(tf.zeros((size, 3)), SEED), draw((size, 3), SEED), **ROUNDING)


@pytest.mark.parametrize("draw", [random.uniform, random.normal])
def test_known_shapes_stay_known(draw):
    drawn = tf.function(lambda seed: draw((2, 3), seed)).get_concrete_function(
        tf.TensorSpec((2,), tf.int32)
    )
    assert drawn.output_shapes == (2, 3)


# Distributions.


@pytest.mark.parametrize("dtype", [tf.float64, tf.float16, tf.bfloat16])
@pytest.mark.parametrize("draw", [random.uniform, random.normal])
def test_dtype_is_a_cast(draw, dtype):
    drawn = draw((3, 5), SEED, dtype)
    assert drawn.dtype == dtype
    assert_array_equal(drawn, tf.cast(draw((3, 5), SEED), dtype))


def test_uniform_moments():
    n = 200_000
    drawn = random.uniform((n,), SEED).numpy().astype("float64")
    assert drawn.min() >= 0 and drawn.max() < 1
    assert_array_equal(drawn * 2**23, np.round(drawn * 2**23))
    # 5 standard errors: variances of u and of (u - 1/2)^2 are 1/12 and 1/180.
    assert_allclose(drawn.mean(), 0.5, rtol=0, atol=5 * np.sqrt(1 / 12 / n))
    assert_allclose(drawn.var(), 1 / 12, rtol=0, atol=5 * np.sqrt(1 / 180 / n))


def test_normal_moments():
    n = 200_001
    drawn = random.normal((n,), SEED).numpy().astype("float64")
    # 5 standard errors: of x^k the variance is E x^2k - (E x^k)^2, with E x^2k = (2k - 1)!!.
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        tolerance = 5 * np.sqrt(variance / n)
        assert_allclose(np.mean(drawn**power), expected, rtol=0, atol=tolerance, err_msg=power)
    # The two numbers of a pair are independent.
    pairs = drawn[:-1].reshape(-1, 2)
    assert abs(np.mean(pairs[:, 0] * pairs[:, 1])) < 5 / np.sqrt(len(pairs))


def test_classes_have_their_frequencies():
    n, probs = 100_000, np.array([[0.5, 0.3, 0.2, 0.0], [0.01, 0.0, 0.0, 0.99]])
    drawn = random.categorical(tf.math.log(tf.constant(probs, tf.float32)), n, SEED)
    assert drawn.shape == (n, 2) and drawn.dtype == tf.int32
    for row in range(2):
        frequencies = np.bincount(drawn[:, row], minlength=4) / n
        tolerance = 5 * np.sqrt(probs[row] * (1 - probs[row]) / n)
        assert np.all(np.abs(frequencies - probs[row]) <= tolerance)


def test_seeds_matter():
    assert np.all(random.uniform((4,), SEED) == random.uniform((4,), SEED))
    for draw in (random.uniform, random.normal):
        assert not np.any(draw((4,), SEED) == draw((4,), random.fold_in(SEED, 0)))
