"""Draws from stateless seeds that are the same with XLA and without, to float32 rounding.

TensorFlow makes floats from the bits of its generator in one way in its own kernels, and in another
under XLA, so that `tf.random.stateless_normal` gives two different draws for one seed. Whole
numbers agree. So all draws of tfgen begin with bits, and the floats are made here, as TensorFlow's
own kernels make them. The generator is named, Philox: the one that "auto_select" would take depends
on the device, and on CPUs XLA's was a slow one.
"""

import math
from typing import Any

import tensorflow as tf

__all__ = ["ALGORITHM", "categorical", "fold_in", "normal", "split", "uniform"]

ALGORITHM = "philox"
"""Generator of all draws."""


def fold_in(seed: Any, data: Any) -> tf.Tensor:
    """A stateless seed, int32 of shape (2,), that depends on `seed` and on an int, `data`."""
    return tf.random.experimental.stateless_fold_in(seed, data, alg=ALGORITHM)


def split(seed: Any, num: int) -> list[tf.Tensor]:
    """`num` stateless seeds made of one, as `tfp.random.split_seed` makes them.

    Example:
        >>> [seed.shape[0] for seed in split([0, 1], 3)]
        [2, 2, 2]
    """
    seeds = tf.random.stateless_uniform(
        (num, 2), seed, minval=None, maxval=None, dtype=tf.int32, alg=ALGORITHM
    )
    return tf.unstack(seeds)


def uniform(shape: Any, seed: Any, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Uniform draws from [0, 1), multiples of 2^-23.

    Args:
        shape: shape of the draws, static or a tensor.
        seed: stateless seed, int32 of shape (2,).
        dtype: float dtype of the result.

    Example:
        >>> float(uniform((), [0, 1])) == float(tf.random.stateless_uniform((), [0, 1]))
        True
    """
    bits = tf.random.stateless_uniform(
        shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg=ALGORITHM
    )
    mantissa = tf.bitwise.bitwise_and(bits, tf.constant(0x7FFFFF, tf.uint32))
    return tf.cast(tf.cast(mantissa, tf.float32) * 2.0**-23, dtype)


def normal(shape: Any, seed: Any, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Standard normal draws, by the Box-Muller transform.

    Args:
        shape: shape of the draws, static or a tensor.
        seed: stateless seed, int32 of shape (2,).
        dtype: float dtype of the result.

    Example:
        >>> ours, tensorflows = normal((), [0, 1]), tf.random.stateless_normal((), [0, 1])
        >>> abs(float(ours - tensorflows)) < 1e-6
        True
    """
    size = tf.reduce_prod(tf.cast(shape, tf.int32))
    pairs = uniform(tf.stack([(size + 1) // 2, 2]), seed)
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(pairs[:, 0], 1e-7)))
    angle = 2.0 * math.pi * pairs[:, 1]
    both = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], axis=1)
    return tf.cast(tf.reshape(tf.reshape(both, [-1])[:size], shape), dtype)


def categorical(logits: tf.Tensor, num: Any, seed: Any) -> tf.Tensor:
    """Draws of classes, as the greatest of logits with Gumbel noise.

    Args:
        logits: float tensor, shape (..., K).
        num: int or scalar tensor, number of draws.
        seed: stateless seed, int32 of shape (2,).

    Returns:
        int32 tensor, shape (num, ...), from 0 to K - 1.

    Example:
        >>> categorical(tf.math.log([[0.0, 1.0], [1.0, 0.0]]), 3, [0, 1]).numpy().tolist()
        [[1, 0], [1, 0], [1, 0]]
    """
    shape = tf.concat([[num], tf.shape(logits)], axis=0)
    gumbel = -tf.math.log(-tf.math.log(uniform(shape, seed, logits.dtype)))
    return tf.argmax(logits + gumbel, axis=-1, output_type=tf.int32)
