"""Means of distributions: in closed form, or by draws where TFP knows none."""

import math

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.arguments import check_ints
from tfgen._utils.random import fold_in
from tfgen._utils.tensors import check_distributions, check_stateless_seed
from tfgen._utils.typing import Seed

__all__ = ["expected_value", "has_mean", "mean_of_draws"]

# Numbers drawn together, 16 MiB of float32.
BLOCK = 2**22

# Their mean is infinite or undefined for some parameters, while their mode is not.
_HEAVY_TAILED = (
    tfd.Cauchy,
    tfd.HalfCauchy,
    tfd.InverseGamma,
    tfd.MultivariateStudentTLinearOperator,
    tfd.Pareto,
    tfd.StudentT,
)


def has_mean(distribution: tfd.Distribution) -> bool:
    """Whether TFP knows a finite mean in closed form. Not for use inside a `tf.function`.

    Args:
        distribution: `tfd.Distribution`.

    Returns:
        bool.

    Raises:
        TypeError: if it is not a distribution.

    Example:
        >>> has_mean(tfd.Normal(0.0, 1.0)), has_mean(tfd.Cauchy(0.0, 1.0))
        (True, False)
    """
    check_distributions(distribution=distribution)
    try:
        return bool(np.all(np.isfinite(distribution.mean())))
    except NotImplementedError:
        return False


def expected_value(
    distribution: tfd.Distribution, num_draws: int = 256, seed: Seed = (0, 0)
) -> tf.Tensor:
    """The mean in closed form; if TFP knows none, an estimate by draws (`mean_of_draws`).

    If there is no mean at all, as for a Cauchy distribution or for class numbers, it is the mode.
    For a `tfd.Blockwise` each block is treated on its own.

    Args:
        distribution: `tfd.Distribution`.
        num_draws: int, least number of draws.
        seed: stateless seed of the draws, int32 of shape (2,).

    Returns:
        Float tensor, shape (*batch_shape, *event_shape).

    Example:
        >>> import tensorflow_probability as tfp
        >>> squashed = tfd.TransformedDistribution(tfd.Normal(1.0, 0.1), tfp.bijectors.Tanh())
        >>> round(float(expected_value(squashed)), 2), float(expected_value(tfd.Cauchy(2.0, 1.0)))
        (0.76, 2.0)
    """
    _check_draws(distribution, num_draws, seed)
    if blocks := _blocks(distribution):
        return tf.concat([_flat_mean(block, num_draws, seed) for block in blocks], axis=-1)
    if isinstance(_innermost(distribution), tfd.Categorical):
        mode = distribution.mode()
        return mode if mode.dtype.is_floating else tf.cast(mode, tf.float32)
    try:
        mean = distribution.mean()
    except NotImplementedError:
        return mean_of_draws(distribution, num_draws, seed)
    if isinstance(_innermost(distribution), _HEAVY_TAILED):
        return tf.where(tf.math.is_finite(mean), mean, distribution.mode())
    return mean


def _check_draws(distribution, num_draws, seed):
    check_distributions(distribution=distribution)
    check_ints(num_draws=num_draws)
    check_stateless_seed(seed=seed)


def _blocks(distribution):
    """The independent parts of a `tfd.Blockwise`; of others, and of a joint distribution, none."""
    parts = distribution.distributions if isinstance(distribution, tfd.Blockwise) else None
    return None if isinstance(parts, tfd.JointDistribution) else parts


def _flat_mean(block, num_draws, seed):
    """The mean of a block of any event shape, as a vector."""
    mean = expected_value(block, num_draws, seed)
    batch = tf.shape(mean)[: len(mean.shape) - len(block.event_shape)]
    size = block.event_shape.num_elements()
    return tf.reshape(mean, tf.concat([batch, [-1 if size is None else size]], axis=0))


def _innermost(distribution):
    while isinstance(distribution, tfd.Independent):
        distribution = distribution.distribution
    return distribution


def mean_of_draws(
    distribution: tfd.Distribution, num_draws: int = 256, seed: Seed = (0, 0)
) -> tf.Tensor:
    """The mean, estimated by draws, which are the same in each call.

    Its standard error is stddev / sqrt(num_draws). Draws are made in blocks, so that memory does
    not grow with their number.

    Args:
        distribution: `tfd.Distribution`.
        num_draws: int, least number of draws; the last block is drawn whole.
        seed: stateless seed, int32 of shape (2,).

    Returns:
        Float tensor, shape (*batch_shape, *event_shape).

    Example:
        >>> round(float(mean_of_draws(tfd.Normal(1.0, 0.01))), 2)
        1.0
    """
    _check_draws(distribution, num_draws, seed)
    static_shape = distribution.batch_shape + distribution.event_shape
    block = _block(static_shape.num_elements(), num_draws)
    num_blocks = math.ceil(num_draws / block)
    dtype = distribution.dtype if distribution.dtype.is_floating else tf.float32

    def add_block(i, total):
        draws = distribution.sample(block, seed=fold_in(seed, i))
        return i + 1, total + tf.reduce_mean(tf.cast(draws, dtype), axis=0)

    shape = tf.concat([distribution.batch_shape_tensor(), distribution.event_shape_tensor()], 0)
    _, total = tf.while_loop(
        lambda i, _: i < num_blocks,
        add_block,
        (0, tf.zeros(shape, dtype)),
        maximum_iterations=num_blocks,
    )
    return tf.ensure_shape(total / num_blocks, static_shape)


def _block(size, num_draws):
    """How many draws of `size` numbers, None if not known, are made together."""
    return 1 if size is None else min(num_draws, max(1, BLOCK // max(size, 1)))
