"""Likelihoods, errors, and the ELBO and its parts."""

import math
from typing import NamedTuple

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.arguments import as_event_shape
from tfgen._utils.tensors import check_distributions, check_same_shape, check_tensors
from tfgen._utils.typing import Shape, TensorLike

__all__ = [
    "LogProbEstimate",
    "bits_per_dim",
    "bound_terms",
    "is_discrete",
    "log_mean_exp",
    "squared_error",
]


def bits_per_dim(nats: tf.Tensor | float, event_shape: Shape) -> tf.Tensor | float:
    """A negative log-likelihood (or -ELBO) in bits per dimension: nats / (D ln 2).

    Source: Theis, van den Oord & Bethge, arXiv:1511.01844v3, Sec. 3.1. Only for a probability mass:
    binarized pixels and 8-bit pixels are different data, and a density is not in bits at all.

    Args:
        nats: float or tensor, per example, summed over dimensions.
        event_shape: tuple, shape of one example; D is its product.

    Returns:
        Like `nats`, in bits per dimension.

    Raises:
        ValueError: if `nats` is not a number or a tensor of numbers.

    Example:
        >>> round(bits_per_dim(784 * math.log(2), (28, 28, 1)), 6)  # fair coins
        1.0
    """
    check_tensors(0, "numbers", nats=nats)
    nats = tf.convert_to_tensor(nats) if isinstance(nats, list | tuple) else nats
    return nats / (math.prod(as_event_shape(event_shape=event_shape)) * math.log(2.0))


def is_discrete(distribution: tfd.Distribution) -> bool:
    """Whether a `tfd.Distribution` has a probability mass, so that `bits_per_dim` makes sense.

    A distribution that is made of others has one if all of these do. If TFP does not know the
    support of a class, it counts as discrete if its draws are integers.

    Args:
        distribution: `tfd.Distribution`.

    Returns:
        bool.

    Raises:
        TypeError: if it is not a distribution.

    Example:
        >>> is_discrete(tfd.Bernoulli(0.0)), is_discrete(tfd.Normal(0.0, 1.0))
        (True, False)
        >>> coin = tfd.Categorical([0.0, 0.0])
        >>> is_discrete(tfd.Mixture(coin, [tfd.Normal(0.0, 1.0), tfd.Normal(5.0, 1.0)]))
        False
    """
    check_distributions(distribution=distribution)
    if isinstance(distribution, _MASSES):
        return True
    if parts := _parts(distribution):
        return all(is_discrete(part) for part in parts)
    try:
        return distribution.experimental_default_event_space_bijector() is None
    except (NotImplementedError, TypeError):  # TFP 0.25 chains no softmax under NumPy 2.4.
        return distribution.dtype.is_integer


# Of numbers that TFP takes for points of a continuous space.
_MASSES = (tfd.Deterministic, tfd.PixelCNN, tfd.QuantizedDistribution, tfd.VectorDeterministic)
# Attributes in which TFP's classes keep the distributions that their events are drawn from.
_PARTS = (
    "components",  # Before the distribution that an inflated one, a mixture, has as well.
    "distribution",
    "distributions",
    "components_distribution",
    "observation_distribution",
)


def _parts(distribution):
    """The distributions that a composite one is made of; of others none."""
    if isinstance(distribution, tfd.JointDistribution):
        return tf.nest.flatten(distribution.sample_distributions(seed=(0, 0))[0])
    if isinstance(distribution, tfd.Autoregressive):
        return [distribution.distribution_fn(distribution.sample0)]
    if isinstance(distribution, tfd.MarkovChain):
        return [distribution.initial_state_prior]
    for name in _PARTS:
        if (parts := getattr(distribution, name, None)) is not None:
            return tf.nest.flatten(parts)
    return []


class LogProbEstimate(NamedTuple):
    """Logarithms of means of weights, in nats.

    Attributes:
        log_prob: tensor, shape (batch,), log (1/k sum_i w_i).
        standard_error: tensor, shape (batch,), of `log_prob`, by the delta method; NaN for a single
            draw. It is too small if there are few draws, of which one outweighs the others.

    Example:
        >>> log_mean_exp(tf.zeros((3, 1))).log_prob.numpy()
        array([0.], dtype=float32)
    """

    log_prob: tf.Tensor
    standard_error: tf.Tensor


def log_mean_exp(log_weights: TensorLike) -> LogProbEstimate:
    """log (1/k sum_i w_i) of k draws, whose mean is an unbiased estimate of p(x).

    Its expectation is below log p(x), by about half the square of the standard error
    sqrt((mean of w^2 / (mean of w)^2 - 1) / (k - 1)).

    Source: Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4, Eq. 8.

    Args:
        log_weights: tensor, shape (k, batch), in nats.

    Returns:
        `LogProbEstimate`.

    Raises:
        ValueError: if `log_weights` is not a float tensor of two axes.

    Example:
        >>> estimate = log_mean_exp(tf.math.log([[1.0], [3.0]]))
        >>> tf.exp(estimate.log_prob).numpy().round(3), estimate.standard_error.numpy().round(3)
        (array([2.], dtype=float32), array([0.5], dtype=float32))
    """
    check_tensors(2, log_weights=log_weights)
    log_weights = tf.convert_to_tensor(log_weights)
    k = tf.cast(tf.shape(log_weights)[0], log_weights.dtype)
    first, second = (tf.reduce_logsumexp(n * log_weights, axis=0) for n in (1, 2))
    excess = tf.maximum(tf.math.expm1(second - 2 * first + tf.math.log(k)), 0.0)
    return LogProbEstimate(first - tf.math.log(k), tf.sqrt(excess / (k - 1)))


def squared_error(x: TensorLike, output: TensorLike) -> tf.Tensor:
    """||x - output||^2, summed over dimensions.

    Args:
        x: float tensor, shape (batch, ...).
        output: tensor of the same shape.

    Returns:
        Tensor >= 0 in squared units of the data, shape (batch,).

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> squared_error(tf.zeros((1, 2, 2)), tf.ones((1, 2, 2))).numpy().tolist()
        [4.0]
    """
    check_tensors(1, x=x)
    check_tensors(1, "numbers", output=output)
    check_same_shape(x=x, output=output)
    error = tf.square(x - tf.cast(output, tf.float32))
    return tf.reduce_sum(error, axis=range(1, len(error.shape)))


def bound_terms(
    reconstruction: tf.Tensor, kl: tf.Tensor, discrete_shape: Shape | None
) -> dict[str, tf.Tensor]:
    """The ELBO and its parts, per example; for a probability mass bits per dimension too.

    Args:
        reconstruction: tensor, -log p(x|z) in nats, shape (batch,).
        kl: tensor, KL(q(z|x) || p(z)) in nats, shape (batch,).
        discrete_shape: shape of one example if p(x|z) is a probability mass, None if a density.

    Returns:
        Dict of "elbo", "reconstruction", "kl" and, if there is a shape, "bits_per_dim".

    Raises:
        ValueError: if `reconstruction` and `kl` differ in shape.

    Example:
        >>> terms = bound_terms(tf.constant([3.0]), tf.constant([1.0]), None)
        >>> {name: float(value[0]) for name, value in terms.items()}
        {'elbo': -4.0, 'reconstruction': 3.0, 'kl': 1.0}
    """
    check_tensors(reconstruction=reconstruction, kl=kl)
    check_same_shape(reconstruction=reconstruction, kl=kl)
    terms = {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
    if discrete_shape is not None:
        discrete_shape = as_event_shape(discrete_shape=discrete_shape)
        terms["bits_per_dim"] = bits_per_dim(reconstruction + kl, discrete_shape)
    return terms
