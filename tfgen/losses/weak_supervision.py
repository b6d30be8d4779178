"""What pairs of examples share. Locatello et al., arXiv:2002.02886."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.tensors import check_same_shape, check_tensors

__all__ = ["average_shared"]


def average_shared(loc: tf.Tensor, scale: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Normal posteriors of pairs, averaged in the dimensions that the two of a pair seem to share.

    A dimension j is shared if KL(q(z_j|x1) || q(z_j|x2)) is less than halfway between the smallest
    and the greatest such value of the pair. There both posteriors get the mean of the two locations
    and the mean of the two variances.

    Source: the adaptive group VAE of Locatello et al., arXiv:2002.02886 (equations not checked; the
    authors' code, `GroupVAEArgmax` in google-research/disentanglement_lib, chooses and averages in
    the same way).

    Args:
        loc: tensor, shape (2, pairs, dimensions), of the first and the second examples.
        scale: tensor of the same shape, standard deviations.

    Returns:
        Tuple (loc, scale) of that shape. The choice of dimensions has no gradient.

    Raises:
        ValueError: if the shapes differ, or the first axis is not 2.

    Example:
        >>> loc = tf.constant([[[0.0, 1.0, 5.0]], [[0.0, 3.0, -5.0]]])
        >>> average_shared(loc, tf.ones((2, 1, 3)))[0].numpy()[:, 0]
        array([[ 0.,  2.,  5.],
               [ 0.,  2., -5.]], dtype=float32)
    """
    check_tensors(3, loc=loc)
    check_tensors(3, scale=scale)
    check_same_shape(loc=loc, scale=scale)
    if loc.shape[0] != 2:
        raise ValueError(
            "loc and scale must have shape (2, pairs, dimensions). Received: loc of shape "
            f"{tuple(loc.shape)}. Stack those of the first and of the second examples."
        )
    kl = tfd.Normal(loc[0], scale[0]).kl_divergence(tfd.Normal(loc[1], scale[1]))
    greatest, least = (f(kl, axis=-1, keepdims=True) for f in (tf.reduce_max, tf.reduce_min))
    is_shared = kl < (greatest + least) / 2
    mean_scale = tf.sqrt(tf.reduce_mean(tf.square(scale), axis=0))
    return (
        tf.where(is_shared, tf.reduce_mean(loc, axis=0), loc),
        tf.where(is_shared, mean_scale, scale),
    )
