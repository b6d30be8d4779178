"""What FactorVAE and DIP-VAE add to the ELBO, for codes whose dimensions are independent."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils import random
from tfgen._utils.replicas import whole_batch
from tfgen._utils.tensors import (
    check_finite,
    check_rows,
    check_same_shape,
    check_stateless_seed,
    check_tensors,
)
from tfgen._utils.typing import Seed

__all__ = ["dip_penalty", "permute_dims"]


def permute_dims(z: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Each dimension of `z` shuffled over the batch by a permutation of its own.

    Draws of q(z) become draws of the product of its marginals, except that the dimensions of a row
    are from the same example where their permutations happen to agree, with probability 1 / batch
    for each pair of them. Each replica of a `tf.distribute.Strategy` shuffles its own examples.

    Source: Kim & Mnih, "Disentangling by Factorising", arXiv:1802.05983v3, Algorithm 1.

    Args:
        z: float tensor, draws of q(z), shape (batch, ...).
        seed: stateless seed, shape (2,).

    Returns:
        Tensor of the shape of `z`; each column [:, d] holds the same values in another order.

    Raises:
        ValueError: if `z` is not a tensor of numbers with a batch axis, or `seed` is not a seed.

    Example:
        >>> z = tf.constant([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]])
        >>> tf.sort(permute_dims(z, seed=[0, 0]), axis=0).numpy().tolist()
        [[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]]
    """
    check_tensors(1, "numbers", z=z)
    check_rows(1, z=z)
    check_stateless_seed(seed=seed)
    columns = tf.transpose(tf.reshape(z, (tf.shape(z)[0], -1)))
    order = tf.argsort(random.uniform(tf.shape(columns), seed), axis=1)
    shuffled = tf.gather(columns, order, batch_dims=1)
    return tf.reshape(tf.transpose(shuffled), tf.shape(z))


def dip_penalty(
    mean: tf.Tensor,
    variance: tf.Tensor | None = None,
    lambda_od: float = 10.0,
    lambda_d: float = 100.0,
) -> tf.Tensor:
    """How far the covariance C of the codes is from the identity matrix.

    lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2

    C is that of the means of q(z|x), Cov_p(x)[E[z|x]], or with `variance` that of the codes
    themselves, Cov_q(z)[z] = Cov_p(x)[E[z|x]] + E_p(x)[Cov[z|x]].

    Source: Kumar, Sattigeri & Balakrishnan, "Variational Inference of Disentangled Latent Concepts
    from Unlabeled Observations", arXiv:1711.00848v3, Eq. 6 (DIP-VAE-I) and 7 (DIP-VAE-II). The
    covariance is estimated within the batch and divided by its size; under a
    `tf.distribute.Strategy`, within the batches of all replicas together.

    Args:
        mean: float tensor, means of q(z|x), shape (batch, D), batch >= 2.
        variance: float tensor, variances of a diagonal q(z|x), shape (batch, D), or None.
        lambda_od: float >= 0, weight of what is off the diagonal.
        lambda_d: float >= 0, weight of the diagonal.

    Returns:
        Scalar tensor >= 0, for the batch as a whole.

    Raises:
        ValueError: if a tensor has another shape, or a weight is negative.

    Example:
        >>> corners = tf.constant([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> float(dip_penalty(corners))
        0.0
        >>> float(dip_penalty(corners, tf.ones((4, 2))))  # of two variances of 2
        200.0
    """
    check_tensors(2, mean=mean)
    check_finite(0.0, lambda_od=lambda_od, lambda_d=lambda_d)
    if variance is not None:
        check_tensors(2, variance=variance)
        check_same_shape(mean=mean, variance=variance)
    covariance = tfp.stats.covariance(whole_batch(mean))
    diagonal = tf.linalg.diag_part(covariance)
    off_diagonal = covariance - tf.linalg.diag(diagonal)
    if variance is not None:
        diagonal += tf.reduce_mean(whole_batch(variance), axis=0)
    return lambda_od * tf.reduce_sum(tf.square(off_diagonal)) + lambda_d * tf.reduce_sum(
        tf.square(diagonal - 1.0)
    )
