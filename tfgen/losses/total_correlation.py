"""The KL term taken apart: mutual information, total correlation, dimension-wise KL.

Source: Chen, Li, Grosse & Duvenaud, "Isolating Sources of Disentanglement in VAEs",
arXiv:1802.04942v5, Eq. 2 (the terms), Eq. 3 and App. C (the estimators of log q(z)).
"""

import math
from typing import Literal, NamedTuple, TypeAlias

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.arguments import check_ints, check_one_of
from tfgen._utils.replicas import own_rows, whole_batch
from tfgen._utils.tensors import (
    check_broadcast,
    check_distributions,
    check_tensors,
    static_shape,
)
from tfgen.losses.divergences import is_diagonal_normal

__all__ = ["ESTIMATORS", "KLDecomposition", "kl_decomposition", "log_importance_weights"]

ESTIMATORS = ("weighted", "stratified")
Estimator: TypeAlias = Literal["weighted", "stratified"]


class KLDecomposition(NamedTuple):
    """Three terms per example, in nats; averaged over the data, they sum to KL(q(z|x) || p(z))."""

    mutual_information: tf.Tensor
    total_correlation: tf.Tensor
    dimension_wise_kl: tf.Tensor


def check_sizes(batch_size: int | tf.Tensor, dataset_size: int) -> int | tf.Tensor:
    """Raises where the sizes are known, and adds a run-time check, which XLA drops, elsewhere."""
    check_ints(dataset_size=dataset_size)
    if not isinstance(batch_size, int):
        check_tensors(0, "ints", batch_size=batch_size)
    message = (
        "The total correlation is estimated from pairs of examples: a batch needs at least 2 of "
        f"them and at most dataset_size={dataset_size}. Use a larger batch_size, or "
        "drop_remainder=True if the last batch has one example."
    )
    if isinstance(batch_size, int):
        if not 2 <= batch_size <= dataset_size:
            raise ValueError(f"{message} Received: a batch of {batch_size}.")
        return batch_size
    checks = [
        tf.debugging.assert_greater_equal(batch_size, 2, message),
        tf.debugging.assert_less_equal(batch_size, dataset_size, message),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(batch_size)


def log_importance_weights(
    batch_size: int | tf.Tensor, dataset_size: int, estimator: Estimator = "stratified"
) -> tf.Tensor:
    """Log weights W with q(z_i) ~= sum_j W[i, j] q(z_i|x_j), for z_i drawn from q(z|x_i).

    "weighted" (minibatch weighted sampling, Eq. 3, App. C.1): W = 1 / (N B) everywhere. A lower
    bound of log q(z) in expectation: log B too low where posteriors are far apart, and log N where
    they coincide. So the total correlation of D dimensions is up to D log N - log B too high,
    though its gradient is useful.

    "stratified" (minibatch stratified sampling, App. C.2): unbiased for q(z) over random batches.
    The diagonal is 1 / N; the others share (N - 1) / N equally, which is the average of the paper's
    weights over the order of the batch: same expectation, less variance, and exact when the batch
    is the data set. Rows sum to 1.

    Args:
        batch_size: int or int tensor B, 2 <= B <= N.
        dataset_size: int N, number of training examples.
        estimator: "weighted" or "stratified".

    Returns:
        float32 tensor, shape (B, B).

    Raises:
        ValueError: for an unknown estimator or sizes out of range (InvalidArgumentError at run time
            where B is a tensor).

    Example:
        >>> tf.exp(log_importance_weights(2, 4)).numpy()
        array([[0.25, 0.75],
               [0.75, 0.25]], dtype=float32)
    """
    check_one_of(ESTIMATORS, estimator=estimator)
    batch_size = check_sizes(batch_size, dataset_size)
    num = tf.cast(batch_size, tf.float32)
    if estimator == "weighted":
        return tf.fill((batch_size, batch_size), -tf.math.log(num) - math.log(dataset_size))
    others = math.log(dataset_size - 1) - math.log(dataset_size) - tf.math.log(num - 1.0)
    diagonal = tf.fill((batch_size,), -math.log(dataset_size))
    return tf.linalg.set_diag(tf.fill((batch_size, batch_size), others), diagonal)


def _diagonal_normal(q):
    """The normal distributions of each latent dimension, batch shape (B, D)."""
    if is_diagonal_normal(q) or isinstance(q, tfd.MultivariateNormalDiag):
        shape = (-1, math.prod(q.event_shape))
        return tfd.Normal(tf.reshape(q.mean(), shape), tf.reshape(q.stddev(), shape))
    raise ValueError(
        "The decomposition needs a diagonal Gaussian q(z|x), whose dimensions are independent. "
        f"Received: {type(q).__name__}. End the encoder with IndependentNormal."
    )


def _check_draws(q, z, kl):
    """Raises ValueError unless there are one draw and one KL divergence of each q(z|x)."""
    check_tensors(1, z=z)
    check_tensors(0, kl=kl)
    shape = q.batch_shape + q.event_shape
    if not shape.is_compatible_with(static_shape(z=z)):
        raise ValueError(
            f"z must be one sample of each q(z|x), of shape {shape}. Received: z of shape "
            f"{static_shape(z=z)}."
        )
    check_broadcast(q.batch_shape, kl=kl)


def kl_decomposition(
    q: tfd.Distribution,
    z: tf.Tensor,
    prior: tfd.Distribution,
    kl: tf.Tensor,
    dataset_size: int,
    estimator: Estimator = "stratified",
) -> KLDecomposition:
    """Mutual information, total correlation and dimension-wise KL, per example.

    With log q(z) and log q(z_d) estimated within the batch, total_correlation = log q(z) - sum_d
    log q(z_d), dimension_wise_kl = sum_d log q(z_d) - log p(z), and mutual_information is what is
    left of `kl`: log q(z|x) - log q(z) when `kl` is the estimate log q(z|x) - log p(z), and of less
    variance when `kl` is the closed form. The three always sum to `kl`. Under a
    `tf.distribute.Strategy` q(z) is estimated within the batches of all replicas together.

    Args:
        q: q(z|x), a diagonal Gaussian of batch shape (B,).
        z: one sample of each q(z|x_i), shape (B, ...).
        prior: `tfd.Distribution` p(z).
        kl: KL(q(z|x) || p(z)) per example, shape (B,), closed form or estimate.
        dataset_size: int N, number of training examples.
        estimator: "weighted" or "stratified", see `log_importance_weights`.

    Returns:
        `KLDecomposition` of tensors of shape (B,), in nats. Single values may be negative.

    Raises:
        ValueError: if `q` is not a diagonal Gaussian, or sizes are out of range.

    Example:
        >>> q = tfd.Independent(tfd.Normal(tf.zeros((4, 2)), 1.0), 1)  # posterior = prior
        >>> p = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
        >>> terms = kl_decomposition(q, q.sample(seed=0), p, tf.zeros(4), dataset_size=100)
        >>> bool(tf.reduce_all(tf.abs(terms.total_correlation) < 1e-5))
        True
    """
    check_distributions(q=q, prior=prior)
    normal = _diagonal_normal(q)
    _check_draws(q, z, kl)
    flat = tf.reshape(z, (-1, normal.batch_shape[-1]))
    all_normals = tfd.Normal(whole_batch(normal.loc), whole_batch(normal.scale))
    batch_size = all_normals.loc.shape[0] or tf.shape(all_normals.loc)[0]
    log_weights = log_importance_weights(batch_size, dataset_size, estimator)
    log_weights = own_rows(log_weights, flat)
    pairs = all_normals.log_prob(flat[:, None, :])  # log q(z_i[d] | x_j), shape (B, B, D)
    log_qz = tf.reduce_logsumexp(tf.reduce_sum(pairs, -1) + log_weights, axis=1)
    log_qz_d = tf.reduce_logsumexp(pairs + log_weights[..., None], axis=1)
    log_product = tf.reduce_sum(log_qz_d, axis=-1)
    dimension_wise_kl = log_product - prior.log_prob(z)
    total_correlation = log_qz - log_product
    return KLDecomposition(
        kl - total_correlation - dimension_wise_kl, total_correlation, dimension_wise_kl
    )
