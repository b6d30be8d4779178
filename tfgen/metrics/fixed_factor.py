"""Scores from batches in which one factor is fixed: the beta-VAE and the FactorVAE score.

Source: Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
Framework", ICLR 2017, Sec. 3; Kim & Mnih, "Disentangling by Factorising", arXiv:1802.05983v3,
Sec. 4. Numbers of batches as in Locatello et al., arXiv:1811.12359v4.
"""

from collections.abc import Callable

import numpy as np

from tfgen._utils import extras
from tfgen._utils.arguments import check_ints, check_seed, check_size
from tfgen._utils.typing import TensorLike
from tfgen.metrics._codes import (
    active_dims,
    check_codes_and_factors,
    points_by_value,
    standardize,
)

__all__ = ["beta_vae_score", "factor_vae_score"]

_BATCHES_AT_A_TIME = 500  # Bounds the memory.


def _check_sizes(
    num_train: int, num_test: int, batch_size: int, num_factors: int, seed: int
) -> None:
    check_ints(num_factors, "Take a batch for each factor.", num_train=num_train, num_test=num_test)
    check_ints(2, batch_size=batch_size)
    check_size(num_train=num_train, num_test=num_test, batch_size=batch_size)
    check_seed(seed=seed)


def _mean_differences(
    codes: np.ndarray, groups: list[np.ndarray], shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Mean absolute difference of pairs of points that share a value, shape (shape[0], d)."""
    order, sizes = np.concatenate(groups), [len(group) for group in groups]
    size, start = np.repeat(sizes, sizes), np.repeat(np.cumsum(sizes) - sizes, sizes)
    first = rng.integers(len(order), size=shape)
    step = rng.integers(1, size[first])  # Never 0: no point is paired with itself.
    second = start[first] + (first - start[first] + step) % size[first]
    return np.abs(codes[order[first]] - codes[order[second]]).mean(axis=1)


def _variances(
    codes: np.ndarray, groups: list[np.ndarray], shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Variances of batches of points that share one value, shape (shape[0], d)."""
    order, sizes = np.concatenate(groups), np.array([len(group) for group in groups])
    group = rng.choice(len(groups), size=(shape[0], 1), p=sizes / len(order))
    points = rng.integers(sizes[group], size=shape) + (np.cumsum(sizes) - sizes)[group]
    return codes[order[points]].var(axis=1)


def _batches(
    statistic: Callable[..., np.ndarray],
    codes: np.ndarray,
    factors: np.ndarray,
    num_batches: int,
    batch_size: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic of each batch, shape (num_batches, d), and the number of its fixed factor."""
    fixed = np.arange(num_batches) % factors.shape[1]
    values = np.empty((num_batches, codes.shape[1]))
    for index, factor in enumerate(factors.T):
        groups, rows = points_by_value(factor), np.flatnonzero(fixed == index)
        for chunk in np.array_split(rows, 1 + len(rows) // _BATCHES_AT_A_TIME):
            values[chunk] = statistic(codes, groups, (len(chunk), batch_size), rng)
    return values, fixed


def beta_vae_score(
    codes: TensorLike,
    factors: TensorLike,
    seed: int = 0,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 64,
) -> float:
    """Accuracy of a linear classifier that predicts which factor was fixed.

    Two points of each pair share the value of one factor; the classifier, a logistic regression,
    sees the mean of |difference of codes| over a batch of pairs. The score does not notice a factor
    that no code holds, if all others are held (Kim & Mnih, Sec. 4).

    Source: Higgins et al., ICLR 2017, Sec. 3.
    Deviation: pairs are drawn from the points given, each factor is fixed equally often, and codes
    are standardised first, so that their units do not matter.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).
        factors: array or tensor of whole numbers, shape (num_points, num_factors), at least 2
            factors.
        seed: int >= 0, of the pairs drawn.
        num_train: int >= num_factors, batches to train the classifier on.
        num_test: int >= num_factors, batches to test it on.
        batch_size: int >= 2, pairs in a batch.

    Returns:
        float in [0, 1], 1 for disentangled codes; codes without information score
        1 / num_factors on average.

    Raises:
        ValueError: if codes and factors do not fit together, no two points share a factor's value,
            or numbers are too small.

    Example:
        >>> factors = np.indices((3, 4)).reshape(2, -1).T
        >>> beta_vae_score(-2.0 * factors, factors, num_train=200, num_test=100)
        1.0
    """
    codes, factors = check_codes_and_factors(codes, factors, min_factors=2)
    _check_sizes(num_train, num_test, batch_size, factors.shape[1], seed)
    rng, codes = np.random.default_rng(seed), standardize(codes)
    train = _batches(_mean_differences, codes, factors, num_train, batch_size, rng)
    test = _batches(_mean_differences, codes, factors, num_test, batch_size, rng)
    linear_model = extras.require("sklearn.linear_model", extra="metrics")
    return float(linear_model.LogisticRegression(max_iter=1000).fit(*train).score(*test))


def _votes(
    codes: np.ndarray,
    factors: np.ndarray,
    num_batches: int,
    batch_size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """How often each dimension varied least while each factor was fixed, shape (d, k)."""
    variances, fixed = _batches(_variances, codes, factors, num_batches, batch_size, rng)
    votes = np.zeros((codes.shape[1], factors.shape[1]), dtype="int64")
    np.add.at(votes, (variances.argmin(axis=1), fixed), 1)
    return votes


def factor_vae_score(
    codes: TensorLike,
    factors: TensorLike,
    seed: int = 0,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 64,
) -> float:
    """Accuracy of a majority vote that predicts which factor was fixed.

    All points of a batch share the value of one factor. The dimension whose variance, relative to
    that over all points, is least votes for this factor. The classifier gives each dimension the
    factor for which it voted most.

    Dimensions that vary by no more than the rounding of float32 have no vote. Leave out
    dimensions collapsed to the prior, too: Locatello et al. do so for standard deviations below
    0.05, `codes[:, codes.std(axis=0) >= 0.05]`. If none is left, the score is 0.

    Source: Kim & Mnih, arXiv:1802.05983v3, Sec. 4.
    Deviation: batches are drawn, with replacement, from the points given, a value as often as it
    occurs, and each factor is fixed equally often.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).
        factors: array or tensor of whole numbers, shape (num_points, num_factors), at least 2
            factors.
        seed: int >= 0, of the batches drawn.
        num_train: int >= num_factors, votes that make the classifier.
        num_test: int >= num_factors, votes that test it.
        batch_size: int >= 2, points in a batch.

    Returns:
        float in [0, 1], 1 for disentangled codes; codes without information score
        1 / num_factors on average, and 0 if none varies or all were left out.

    Raises:
        ValueError: if codes and factors do not fit together, no two points share a factor's value,
            or numbers are too small.

    Example:
        >>> factors = np.indices((3, 4)).reshape(2, -1).T
        >>> factor_vae_score(-2.0 * factors, factors, num_train=200, num_test=100)
        1.0
    """
    codes, factors = check_codes_and_factors(codes, factors, min_dims=0, min_factors=2)
    _check_sizes(num_train, num_test, batch_size, factors.shape[1], seed)
    rng, codes = np.random.default_rng(seed), standardize(codes)[:, active_dims(codes)]
    if codes.shape[1] == 0:
        return 0.0
    majority = _votes(codes, factors, num_train, batch_size, rng).argmax(axis=1)
    test = _votes(codes, factors, num_test, batch_size, rng)
    return float(test[np.arange(len(test)), majority].sum() / num_test)
