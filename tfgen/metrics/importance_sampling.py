"""Negative log-likelihood by importance sampling. Burda et al., arXiv:1509.00519v4."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.special
import tensorflow as tf

from tfgen._utils.arguments import check_ints, check_seed, check_verbose
from tfgen._utils.progress import ProgressBar
from tfgen.metrics._likelihood import (
    NO_LIKELIHOOD,
    bits_of,
    compiled_as,
    open_batches,
    seed_of,
    standard_error,
)
from tfgen.metrics._tables import markdown
from tfgen.metrics.protocols import Data, HasLogWeights, require

__all__ = [
    "ImportanceSampledNLL",
    "effective_sample_size",
    "importance_sampled_nll",
    "log_mean_exp_of_groups",
]


class ImportanceSampledNLL(NamedTuple):
    """An upper bound on the negative log-likelihood, in nats per example, with its diagnostics.

    Attributes:
        nll: float, mean over examples of -log (1/k sum_i w_i).
        standard_error: float, of `nll`, over examples; NaN for a single one.
        num_samples: int k, draws for each example.
        effective_sample_size: float in [1, k], mean over examples.
        elbo: float, mean of log w over examples and draws, the bound of k = 1.
        bits_per_dim: float, `nll` in bits per dimension; None where data have a density.
        bounds: dict from int k to the mean NLL at that k, of the same draws.
        nlls: float64 array, shape (num_examples,).
    """

    nll: float
    standard_error: float
    num_samples: int
    effective_sample_size: float
    elbo: float
    bits_per_dim: float | None
    bounds: dict[int, float]
    nlls: np.ndarray

    def to_markdown(self) -> str:
        """Table of the bound at each k, and below it what belongs beside it."""
        rows = [(k, f"{value:.2f}") for k, value in self.bounds.items()]
        bits = [] if self.bits_per_dim is None else [f"bits/dim: {self.bits_per_dim:.4f}"]
        notes = [
            f"examples: {len(self.nlls)}",
            f"standard error: {self.standard_error:.2g}",
            f"effective sample size: {self.effective_sample_size:.1f} of {self.num_samples}",
            *bits,
        ]
        return markdown(("k", "NLL (nats)"), rows, notes)


def log_mean_exp_of_groups(log_weights: np.ndarray, group_size: int) -> np.ndarray:
    """Mean over disjoint groups of draws of log (1/g sum of g weights); the rest is left out.

    Its expectation is that of one group: the bound at k = g, whatever the number of groups.

    Args:
        log_weights: array, shape (num_samples, batch).
        group_size: int g <= num_samples.

    Returns:
        array, shape (batch,).

    Example:
        >>> log_mean_exp_of_groups(np.log([[1.0], [3.0], [4.0], [4.0]]), 2).round(4)
        array([1.0397])
        >>> ((np.log(2.0) + np.log(4.0)) / 2).round(4)
        np.float64(1.0397)
    """
    num_groups = len(log_weights) // group_size
    groups = log_weights[: num_groups * group_size].reshape(num_groups, group_size, -1)
    return (scipy.special.logsumexp(groups, axis=1) - math.log(group_size)).mean(axis=0)


def effective_sample_size(log_weights: np.ndarray) -> np.ndarray:
    """Kish's effective number of draws, (sum w)^2 / sum w^2.

    Args:
        log_weights: array, shape (num_samples, batch).

    Returns:
        array, shape (batch,), in [1, num_samples]: num_samples of equal weights, 1 where one draw
        has all the weight.

    Example:
        >>> effective_sample_size(np.log([[1.0, 1.0], [1.0, 1e-9]])).round(4)
        array([2., 1.])
    """
    logsumexp = scipy.special.logsumexp
    return np.exp(2 * logsumexp(log_weights, axis=0) - logsumexp(2 * log_weights, axis=0))


def importance_sampled_nll(
    model: HasLogWeights,
    data: Data,
    num_samples: int = 5000,
    *,
    at: Sequence[int] = (1, 5, 50, 200, 1000),
    batch_size: int = 20,
    samples_per_batch: int = 100,
    seed: int = 0,
    verbose: bool = True,
) -> ImportanceSampledNLL:
    """Negative log-likelihood of data under a model, by k importance samples for each example.

    -log p(x) <= E[-log (1/k sum_i w_i)] with w = p(x, z) / q(z|x), z from q(z|x). The bound falls
    with k towards the exact value; if the effective sample size is small, it is still above it.
    Report k with every value.

    Source: Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4, Eq. 8 and Theorem 1; k = 5000
    as in their experiments.

    Memory holds `batch_size * samples_per_batch` passes through the decoder, whatever k and the
    size of the data; of the weights, those of `batch_size` examples. It is compiled as `model` is.

    Args:
        model: anything with `log_weights(x, num_samples, seed)`, which returns log w of shape
            (num_samples, batch), such as `tfgen.models.VAE`. Bits per dimension are given if it
            logs them, or has an `as_distribution()` that is a probability mass.
        data: array of examples, shape (num_examples, *data_shape), or a finite `tf.data.Dataset` of
            batches; with labels, which only a conditional model looks at, a tuple of arrays or a
            data set of pairs. Binarize as in training: draws of new binary pixels from grey ones
            and pixels binarized once are two data sets, whose values lie 2 nats apart.
        num_samples: int k >= 1.
        at: sequence of int, smaller k at which to give the bound too, by groups of the k draws.
        batch_size: int, examples at a time.
        samples_per_batch: int, draws at a time for each of these.
        seed: int, of all draws; the same arguments give the same value.
        verbose: bool, whether to show a progress bar.

    Returns:
        `ImportanceSampledNLL`.

    Raises:
        ValueError: if the model has no likelihood, a number is below 1, or the data are empty,
            endless, of another shape, or outside the support.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> images = np.random.default_rng(0).integers(2, size=(30, *shape))
        >>> result = importance_sampled_nll(model, images, 100, verbose=False)
        >>> list(result.bounds), result.nll <= -result.elbo, 1 <= result.effective_sample_size
        ([1, 5, 50, 100], True, True)
    """
    require(model, HasLogWeights, "importance_sampled_nll", NO_LIKELIHOOD)
    if not isinstance(at, list | tuple | range):
        raise ValueError(f"at must be a sequence of numbers of draws. Received: at={at!r}.")
    check_ints(**{f"at[{i}]": k for i, k in enumerate(at)})
    check_ints(num_samples=num_samples, batch_size=batch_size)
    check_ints(samples_per_batch=samples_per_batch)
    check_seed(seed=seed)
    check_verbose(verbose=verbose)
    chunk = min(samples_per_batch, num_samples)
    draw = compiled_as(model, _log_weights, chunk)
    sizes = sorted({k for k in at if k < num_samples} | {num_samples})
    batches, num_batches = open_batches(model, data, batch_size)
    num_chunks = math.ceil(num_samples / chunk)
    bar = ProgressBar(num_batches and num_batches * num_chunks, verbose)
    columns = []
    for step, (x, num_examples) in enumerate(batches):
        parts = []
        for part in range(num_chunks):
            parts.append(draw(x, seed_of(seed, step, part)).numpy())
            bar.add(1)
        columns.append(_summarize(np.concatenate(parts)[:num_samples, :num_examples], sizes))
    elbos, sample_sizes, *bounds = np.concatenate(columns, axis=1)
    nlls = -bounds[-1]
    return ImportanceSampledNLL(
        nll=float(nlls.mean()),
        standard_error=standard_error(nlls),
        num_samples=num_samples,
        effective_sample_size=float(sample_sizes.mean()),
        elbo=float(elbos.mean()),
        bits_per_dim=bits_of(model, x, nlls.mean()),
        bounds={k: -float(bound.mean()) for k, bound in zip(sizes, bounds, strict=True)},
        nlls=nlls,
    )


def _log_weights(model: HasLogWeights, num_samples: int, x: Any, seed: tf.Tensor) -> tf.Tensor:
    return model.log_weights(x, num_samples, seed)


def _summarize(log_weights: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Rows of one value per example: mean log weight, effective sample size, bound of each size."""
    log_weights = log_weights.astype("float64")
    bounds = [log_mean_exp_of_groups(log_weights, size) for size in sizes]
    return np.stack([log_weights.mean(axis=0), effective_sample_size(log_weights), *bounds])
