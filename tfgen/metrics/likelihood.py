"""Likelihoods in other units."""

import math

import tensorflow_probability as tfp

tfd = tfp.distributions

__all__ = ["bits_per_dim", "is_discrete"]


def bits_per_dim(nats, event_shape):
    """A negative log-likelihood (or -ELBO) in bits per dimension: nats / (D ln 2).

    Source: Theis, van den Oord & Bethge, arXiv:1511.01844v3, Sec. 3.1. Only for a probability mass:
    binarized pixels and 8-bit pixels are different data, and a density is not in bits at all.

    Args:
        nats: float or tensor, per example, summed over dimensions.
        event_shape: tuple, shape of one example; D is its product.

    Returns:
        Like `nats`, in bits per dimension.

    Example:
        >>> round(bits_per_dim(784 * math.log(2), (28, 28, 1)), 6)  # fair coins
        1.0
    """
    return nats / (math.prod(event_shape) * math.log(2.0))


def is_discrete(distribution):
    """Whether a `tfd.Distribution` has a probability mass, so that `bits_per_dim` makes sense.

    Example:
        >>> is_discrete(tfd.Bernoulli(0.0)), is_discrete(tfd.Normal(0.0, 1.0))
        (True, False)
    """
    if isinstance(distribution, tfd.Independent):
        return is_discrete(distribution.distribution)
    if isinstance(distribution, tfd.MixtureSameFamily):  # Without the bijector of its components.
        return is_discrete(distribution.components_distribution)
    return distribution.experimental_default_event_space_bijector() is None
