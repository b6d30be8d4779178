"""Free bits: parts of a KL divergence that cost nothing below a minimum."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.replicas import whole_batch
from tfgen._utils.tensors import check_distributions, check_finite, check_rows, check_tensors
from tfgen.losses.divergences import beside, is_diagonal_normal

__all__ = ["free_bits_kl", "kl_of_dimensions"]


def kl_of_dimensions(q: tfd.Distribution, p: tfd.Distribution) -> tf.Tensor | None:
    """KL(q || p) of each dimension, where both are diagonal normals.

    Args:
        q: `tfd.Distribution`, batch shape (batch,).
        p: `tfd.Distribution`, empty batch shape.

    Returns:
        Tensor, shape (batch, dimensions), in nats, which sums to the KL divergence; None if one of
        the two is not a diagonal normal.

    Raises:
        TypeError: if `q` or `p` is not a distribution.

    Example:
        >>> q = tfd.Independent(tfd.Normal([[1.0, 2.0]], 1.0), 1)
        >>> p = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> kl_of_dimensions(q, p).numpy()
        array([[0.5, 2. ]], dtype=float32)
    """
    check_distributions(q=q, p=p)
    p = beside(p, q)
    if not (is_diagonal_normal(q) and is_diagonal_normal(p)):
        return None
    kl = tfd.kl_divergence(q.distribution, p.distribution)
    return tf.reshape(kl, (tf.shape(kl)[0], -1))


def free_bits_kl(groups: tf.Tensor, minimum: tf.Tensor | float) -> tf.Tensor:
    """sum_j max(minimum, KL_j), with KL_j the mean over the batch of one part of the KL divergence.

    A part whose mean is below the minimum has no gradient. Under a `tf.distribute.Strategy` means
    are over the batches of all replicas together.

    Source: Kingma et al., arXiv:1606.04934v2, App. C.8, Eq. 15, there with the opposite sign.

    Args:
        groups: tensor, shape (batch, groups), in nats.
        minimum: float >= 0, nats for each group.

    Returns:
        Scalar tensor, in nats.

    Raises:
        ValueError: if `groups` is not such a tensor, or `minimum` is negative.

    Example:
        >>> float(free_bits_kl(tf.constant([[0.1, 2.0], [0.3, 4.0]]), 0.5))
        3.5
    """
    check_tensors(2, groups=groups)
    check_rows(1, groups=groups)
    check_finite(0.0, minimum=minimum)
    means = tf.reduce_mean(whole_batch(groups), axis=0)
    return tf.reduce_sum(tf.maximum(means, minimum))
