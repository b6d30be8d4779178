"""Densities, moments and M step of mixtures. Su, arXiv:1807.05936v4, Eq. 8 to 11."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

__all__ = [
    "COMPONENTS",
    "Components",
    "Parameters",
    "bernoulli_log_prob",
    "covariances_of",
    "gaussian_log_prob",
    "m_step",
    "moments",
]

COMPONENTS = ("full", "diagonal", "spherical", "bernoulli")
"""Covariances of Gaussian components, and Bernoulli components."""
Components: TypeAlias = Literal["full", "diagonal", "spherical", "bernoulli"]
# A weight under which mean and covariance would be ratios of rounding errors.
EMPTY_WEIGHT = 1e-14
# A variance that is less, as part of the second moment it is computed from, is rounding.
ROUNDING = 1e-13


class Parameters(NamedTuple):
    """What EM fits: float64 arrays.

    Attributes:
        weights: shape (K,), sum 1.
        means: shape (K, D); probabilities of Bernoulli components.
        scales: lower Cholesky factors of the covariances, shape (K, D, D), if full; standard
            deviations, shape (K, D) if diagonal and (K,) if spherical. Bernoulli components have
            none: zeros, shape (K,).
    """

    weights: np.ndarray
    means: np.ndarray
    scales: np.ndarray


# E step.


def gaussian_log_prob(x: tf.Tensor, means: tf.Tensor, scales: tf.Tensor) -> tf.Tensor:
    """log N(x; mean, covariance) of each component.

    Args:
        x: float tensor, shape (n, D).
        means: float tensor, shape (K, D).
        scales: float tensor, Cholesky factors (K, D, D) or standard deviations (K, D).

    Returns:
        Tensor, shape (n, K), in nats.

    Example:
        >>> gaussian_log_prob(tf.zeros((1, 2)), tf.zeros((1, 2)), tf.ones((1, 2))).numpy().round(4)
        array([[-1.8379]], dtype=float32)
    """
    diagonal = scales if scales.shape.rank == 2 else tf.linalg.diag_part(scales)
    log_det = tf.reduce_sum(tf.math.log(diagonal), axis=-1)
    constant = 0.5 * x.shape[-1] * math.log(2 * math.pi)
    return -0.5 * _squared_distances(x, means, scales) - log_det - constant


def _squared_distances(x, means, scales):
    """Mahalanobis, shape (n, K)."""
    if scales.shape.rank == 3:
        offsets = tf.transpose(x)[None] - means[:, :, None]
        whitened = tf.linalg.triangular_solve(scales, offsets)
        return tf.transpose(tf.reduce_sum(tf.square(whitened), axis=1))
    # Without a tensor of shape (n, K, D).
    precisions = 1 / tf.square(scales)
    cross = tf.matmul(x, means * precisions, transpose_b=True)
    squares = tf.matmul(tf.square(x), precisions, transpose_b=True)
    return squares - 2 * cross + tf.reduce_sum(tf.square(means) * precisions, axis=-1)


def bernoulli_log_prob(x: tf.Tensor, probs: tf.Tensor) -> tf.Tensor:
    """Sum over pixels of x log p + (1 - x) log(1 - p), of each component.

    Args:
        x: float tensor in [0, 1], shape (n, D).
        probs: float tensor in (0, 1), shape (K, D).

    Returns:
        Tensor, shape (n, K), in nats.

    Example:
        >>> bernoulli_log_prob(tf.ones((1, 2)), tf.fill((1, 2), 0.5)).numpy().round(4)
        array([[-1.3863]], dtype=float32)
    """
    log_complement = tf.math.log1p(-probs)
    logits = tf.math.log(probs) - log_complement
    return tf.matmul(x, logits, transpose_b=True) + tf.reduce_sum(log_complement, axis=-1)


def moments(x: tf.Tensor, responsibilities: tf.Tensor, components: Components) -> list[tf.Tensor]:
    """What the M step takes of a batch: sums over its examples, weighted by responsibility.

    Args:
        x: float tensor, shape (n, D).
        responsibilities: float tensor, shape (n, K).
        components: "full", "diagonal", "spherical" or "bernoulli".

    Returns:
        List of tensors: sums of 1, shape (K,), of x, shape (K, D), and of Gaussian components of
        x x^T, shape (K, D, D), if full, else of x^2, shape (K, D).

    Example:
        >>> [sums.shape.rank for sums in moments(tf.ones((5, 3)), tf.ones((5, 2)), "full")]
        [1, 2, 3]
    """
    counts = tf.reduce_sum(responsibilities, axis=0)
    sums = [counts, tf.matmul(responsibilities, x, transpose_a=True)]
    if components == "full":
        weighted = tf.transpose(responsibilities)[:, :, None] * x
        sums.append(tf.matmul(tf.transpose(weighted, (0, 2, 1)), x))
    elif components != "bernoulli":
        sums.append(tf.matmul(responsibilities, tf.square(x), transpose_a=True))
    return sums


# M step, in NumPy: once an epoch, or once a batch.


def m_step(
    old: Parameters,
    sums: Sequence[np.ndarray],
    components: Components,
    reg_covar: float = 0.0,
    min_probability: float = 0.0,
    rate: float = 1.0,
) -> tuple[Parameters, dict[str, list[int]]]:
    """Weights, means and covariances of greatest expected log p(x, z).

    Args:
        old: `Parameters`, kept where a component explains nothing or has no covariance.
        sums: arrays, `moments` of x less the mean of the old mixture, over all examples.
        components: "full", "diagonal", "spherical" or "bernoulli".
        reg_covar: float, added to all variances.
        min_probability: float, bounds of Bernoulli probabilities are it and 1 less it.
        rate: float in (0, 1], how far the expectations move from those under `old` to those of
            `sums`: 1 is EM.

    Returns:
        `Parameters`, and a dict from "empty", "singular" and "collapsed" to the components that
        are so.
    """
    shift = old.weights @ old.means
    averages = _averages(old, sums, shift, components, reg_covar, rate)
    weights = averages[0] / np.sum(averages[0])
    alive = weights > EMPTY_WEIGHT
    empty = {"empty": np.flatnonzero(~alive).tolist()}
    first, *second = (_divide(average, weights, alive) for average in averages[1:])
    means = np.where(alive[:, None], shift + first, old.means)
    if components == "bernoulli":
        means = np.clip(means, min_probability, 1 - min_probability)
        return Parameters(weights, means, old.scales), {**empty, "singular": [], "collapsed": []}
    scales, troubles = _scales(old.scales, alive, first, second[0], components, reg_covar)
    return Parameters(weights, means, scales), {**empty, **troubles}


def _averages(old, sums, shift, components, reg_covar, rate):
    """Expected moments per example: those of `sums`, mixed with those under `old`."""
    averages = [total / np.sum(sums[0]) for total in sums]
    if rate == 1:
        return averages
    before = _expected_moments(old, shift, components, reg_covar)
    return [(1 - rate) * a + rate * b for a, b in zip(before, averages, strict=True)]


def _divide(average, weights, alive):
    """Averages of each component; of empty ones not used."""
    weights = np.where(alive, weights, 1.0)
    return average / weights.reshape(-1, *[1] * (average.ndim - 1))


def _expected_moments(parameters, shift, components, reg_covar):
    """`moments` per example under the mixture itself."""
    weights, means, scales = parameters
    offsets = means - shift
    expected = [weights, weights[:, None] * offsets]
    if components != "bernoulli":
        seconds = covariances_of(scales, means.shape[1], components) + _square(offsets, components)
        reg = reg_covar * (np.eye(means.shape[1]) if components == "full" else 1.0)
        expected.append(weights.reshape(-1, *[1] * (seconds.ndim - 1)) * (seconds - reg))
    return expected


def covariances_of(scales: np.ndarray, dim: int, components: Components) -> np.ndarray:
    """Covariances of Gaussian components.

    Args:
        scales: those of `Parameters`.
        dim: int D.
        components: "full", "diagonal" or "spherical".

    Returns:
        Array of shape (K, D, D) if full, else of variances, shape (K, D).

    Example:
        >>> covariances_of(np.array([2.0]), 3, "spherical").tolist()
        [[4.0, 4.0, 4.0]]
    """
    if components == "full":
        return scales @ scales.transpose(0, 2, 1)
    return np.square(scales if components == "diagonal" else np.tile(scales[:, None], dim))


def _square(x, components):
    """x x^T or x^2, of one vector or of several."""
    return x[..., :, None] * x[..., None, :] if components == "full" else x**2


def _scales(old, alive, first, second, components, reg_covar):
    """Scales of all components, and which are singular, so that the old ones stay, or collapsed."""
    scales, singular, collapsed = old.copy(), [], []
    for k in np.flatnonzero(alive).tolist():
        covariance = second[k] - _square(first[k], components)
        scale = _scale(covariance, second[k], components, reg_covar)
        if scale is None:
            singular.append(k)
        else:
            scales[k] = scale
            if np.mean(_variances(covariance)) <= reg_covar:
                collapsed.append(k)
    return scales, {"singular": singular, "collapsed": collapsed}


def _variances(covariance):
    return np.diagonal(covariance) if covariance.ndim == 2 else covariance


def _scale(covariance, second_moment, components, reg_covar):
    """Cholesky factor or standard deviations of one component; None of a singular covariance."""
    if components == "full":
        covariance = covariance + reg_covar * np.eye(len(covariance))
        try:
            scale = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            return None
        pivots, second_moment = np.diagonal(scale) ** 2, np.diagonal(second_moment)
    else:
        pivots = np.maximum(covariance, 0.0) + reg_covar
        if components == "spherical":
            pivots, second_moment = np.mean(pivots), np.mean(second_moment)
        scale = np.sqrt(pivots)
    return None if np.any(pivots <= ROUNDING * second_moment) else scale
