"""All scores of disentanglement of one model, with their spread, in one table."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils.arguments import as_numbers, check_ints, check_seed, check_verbose
from tfgen._utils.progress import ProgressBar
from tfgen.losses.divergences import is_diagonal_normal
from tfgen.metrics._figures import information_map
from tfgen.metrics._posteriors import code_of, flat
from tfgen.metrics._tables import markdown
from tfgen.metrics.dci import dci
from tfgen.metrics.fixed_factor import beta_vae_score, factor_vae_score
from tfgen.metrics.irs import irs
from tfgen.metrics.mig_by_samples import mig_by_samples
from tfgen.metrics.mutual_information import (
    explicitness,
    gaussian_total_correlation,
    mig,
    modularity,
    mutual_information_matrix,
)
from tfgen.metrics.protocols import HasCodes, require
from tfgen.metrics.sap import sap_score

tfd = tfp.distributions

__all__ = ["DisentanglementReport", "disentanglement_report"]

_BATCH_SIZE = 100
# Steps of the progress bar for one table of scores, where an image is one step.
_SCORING = 2000


class DisentanglementReport(NamedTuple):
    """Scores by name, and what they were computed with.

    Attributes:
        value: dict from name to the score of all points.
        standard_error: dict from name to the score's standard deviation over random halves of the
            points, one for each seed; NaN of a single seed or infinite scores.
        mutual_information: float64 array, shape (latent_dim, num_factors), in nats, from a
            histogram of the codes.
        factor_names: tuple of str.
        settings: dict of sizes and seeds.
    """

    value: dict[str, float]
    standard_error: dict[str, float]
    mutual_information: np.ndarray
    factor_names: tuple[str, ...]
    settings: dict[str, Any]

    def to_markdown(self) -> str:
        """Table of all scores, and below it their settings."""
        rows = [
            (name, f"{value:.4g}", f"{self.standard_error[name]:.2g}")
            for name, value in self.value.items()
        ]
        notes = [f"{name}: {value}" for name, value in self.settings.items()]
        return markdown(("score", "value", "standard error"), rows, notes)

    def plot(self) -> tuple[Any, Any]:
        """The mutual information as a picture, factors by latent dimensions: `(fig, axes)`."""
        return information_map(self.mutual_information, self.factor_names)


def disentanglement_report(
    model: HasCodes,
    dataset: tf.data.Dataset | tuple[Any, Any],
    num_points: int = 10_000,
    *,
    factor_names: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    verbose: bool = True,
) -> DisentanglementReport:
    """Scores how well single latent dimensions represent the known factors of images.

    The value of each score is computed on all points, with the first seed. For each seed it is
    computed again, on a random half of the points and with that seed's draws. The standard
    deviation over such halves is the standard error of a mean over all points, and about that of
    other scores; with three seeds it is a rough estimate.

    - mig, modularity, irs, gaussian_total_correlation: of the codes alone;
    - mig_by_samples: of q(z|x), left out where the encoder returns no Gaussian;
    - explicitness, sap_score, beta_vae_score, factor_vae_score, dci_disentanglement,
      dci_completeness, dci_informativeness: of classifiers or draws that depend on the seed;
    - reconstruction: what disentangling costs, -log p(x|z) of one draw from q(z|x), in nats per
      image; the squared error where the decoder returns no distribution.

    Codes are the means of q(z|x) (of a flow, where it sends the mean of its base), or what a
    deterministic encoder returns. Each function of
    `tfgen.metrics` says what its values mean. All lie in [0, 1] and are best at 1, but for
    gaussian_total_correlation and reconstruction, which are best where they are low.

    At 10,000 points of sprites and 10 latent dimensions the scores take 15 seconds of one core;
    encoding and decoding take what the networks need.

    Args:
        model: anything with `encode` and `decode`, which return distributions or tensors.
        dataset: `tf.data.Dataset` of batches (images, factors), whose first points are taken: its
            order must be random; or this and its info, as `tfgen.datasets.load("sprites", "test",
            labels=True)` returns them; or a tuple of arrays (images, factors), of which random ones
            are taken. Factors are whole numbers, shape (num_images, num_factors).
        num_points: int >= 4, points to score. All scores depend on it.
        factor_names: sequence of str or None; None takes `info.factor_names` where there is one.
        seeds: sequence of int >= 0, at least one.
        verbose: bool, whether to show a progress bar.

    Returns:
        `DisentanglementReport`: `print(report.to_markdown())` shows the table, `report.plot()` the
        mutual information.

    Raises:
        ValueError: if the model cannot encode and decode, if there are fewer than `num_points`
            points, or if factors are unusable.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 3), networks.mlp_decoder(shape, 3))
        >>> factors = np.random.default_rng(0).integers(3, size=(100, 2))
        >>> images = np.tile(factors.mean(axis=1).reshape(-1, 1, 1, 1) / 2, (1, *shape))
        >>> data = images, factors
        >>> report = disentanglement_report(model, data, 100, seeds=(0, 1), verbose=False)
        >>> report.mutual_information.shape, 0 <= report.value["mig"] <= 1
        ((3, 2), True)
    """
    _check_arguments(model, num_points, seeds)
    check_verbose(verbose=verbose)
    _check_names(factor_names)
    batches, factor_names = _open(dataset, factor_names, seeds[0])
    bar = ProgressBar(num_points + _SCORING * (1 + len(seeds)), verbose)
    points = _encode(model, batches, num_points, seeds[0], bar)
    factor_names = _names_of(factor_names, points.factors.shape[1])
    columns = []
    for seed, part in zip((seeds[0], *seeds), (points, *_halves(points, seeds)), strict=True):
        columns.append(dict(_scores(part, seed)))
        bar.add(_SCORING)
    value, *repeats = columns
    return DisentanglementReport(
        value,
        {name: _standard_deviation([column[name] for column in repeats]) for name in value},
        mutual_information_matrix(points.codes, points.factors),
        factor_names,
        {"num_points": num_points, "seeds": tuple(seeds), "latent_dim": points.codes.shape[1]},
    )


def _halves(points: "_Points", seeds: Iterable[int]) -> Iterator["_Points"]:
    """A random half of the points for each seed."""
    for seed in seeds:
        rows = np.random.default_rng(seed).permutation(len(points.codes))[: len(points.codes) // 2]
        yield _Points(*(None if column is None else column[rows] for column in points))


def _standard_deviation(values: Sequence[float]) -> float:
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan")
    return float(np.std(values, ddof=1))


def _scores(points: "_Points", seed: int) -> Iterator[tuple[str, float]]:
    """Pairs of name and value."""
    codes, factors = points.codes, points.factors
    yield "mig", mig(codes, factors)
    yield "modularity", modularity(codes, factors)
    yield "irs", irs(codes, factors)
    if points.scale is not None:
        yield "mig_by_samples", mig_by_samples(codes, points.scale, factors).mig
    for score in (explicitness, sap_score, beta_vae_score, factor_vae_score):
        yield score.__name__, score(codes, factors, seed=seed)
    for name, value in dci(codes, factors, seed=seed)._asdict().items():
        yield f"dci_{name}", value
    yield "gaussian_total_correlation", gaussian_total_correlation(codes)
    yield "reconstruction", float(points.reconstruction.mean())


# The points.


class _Points(NamedTuple):
    """Arrays, whose first axis is that of the points; scale is None where it is not known."""

    codes: Any
    scale: Any
    factors: Any
    reconstruction: Any


def _open(
    dataset: Any, factor_names: Sequence[str] | None, seed: int
) -> tuple[Iterator[Any], Sequence[str] | None]:
    """Iterator of batches (images, factors), and the factors' names where they are known."""
    if isinstance(dataset, str):
        raise ValueError(
            "dataset must hold images and factors. Received: the name "
            f"{dataset!r}. Pass tfgen.datasets.load({dataset!r}, 'test', labels=True)."
        )
    if isinstance(dataset, tuple) and isinstance(dataset[0], tf.data.Dataset):
        dataset, info = dataset
        factor_names = factor_names or info.factor_names
    if isinstance(dataset, tf.data.Dataset):
        return dataset.as_numpy_iterator(), factor_names
    if not (isinstance(dataset, tuple | list) and len(dataset) == 2):
        raise ValueError(
            "dataset must be a tf.data.Dataset or a pair (images, factors). Received: dataset of "
            f"type {type(dataset).__name__}."
        )
    images, factors = (as_numbers(dataset=part) for part in dataset)
    if images.ndim < 2 or factors.ndim != 2 or len(images) != len(factors):
        raise ValueError(
            "dataset must hold images and a row of factors for each. Received: dataset of shapes "
            f"{images.shape} and {factors.shape}."
        )
    order = np.random.default_rng(seed).permutation(len(images))
    chunks = np.split(order, range(_BATCH_SIZE, len(order), _BATCH_SIZE))
    return ((images[rows], factors[rows]) for rows in chunks), factor_names


def _take(batches: Iterable[Any], num_points: int) -> Iterator[tuple[Any, Any]]:
    """The first batches, with `num_points` points in all."""
    missing = num_points
    for batch in batches:
        images, factors = _as_pair(batch)
        yield images[:missing], factors[:missing]
        missing -= len(images)
        if missing <= 0:
            return
    raise ValueError(
        f"dataset must hold at least num_points={num_points} points. Received: "
        f"{num_points - missing}. Pass num_points={num_points - missing} or less."
    )


def _encode(
    model: HasCodes,
    batches: Iterable[Any],
    num_points: int,
    seed: int,
    bar: ProgressBar,
) -> _Points:
    """Codes, factors and reconstruction errors."""
    rows = []
    for step, (images, factors) in enumerate(_take(batches, num_points)):
        x = tf.cast(images, tf.float32)
        codes, scale, z = _latents(model.encode(x), seed=tf.constant([seed, step]))
        rows.append((codes, scale, factors, _errors(x, model.decode(z))))
        bar.add(len(images))
    return _Points(
        *(None if part[0] is None else np.concatenate(part) for part in zip(*rows, strict=True))
    )


def _latents(q: Any, seed: tf.Tensor) -> tuple[np.ndarray, np.ndarray | None, tf.Tensor]:
    """Codes, standard deviations of a Gaussian q(z|x) or None, and one draw of z."""
    if not isinstance(q, tfd.Distribution):
        return flat(q), None, q
    is_gaussian = is_diagonal_normal(q) or isinstance(q, tfd.MultivariateNormalLinearOperator)
    return flat(code_of(q)), flat(q.stddev()) if is_gaussian else None, q.sample(seed=seed)


def _errors(x: tf.Tensor, output: Any) -> np.ndarray:
    """-log p(x|z) or the squared error of each image."""
    if isinstance(output, tfd.Distribution):
        return -output.log_prob(x)
    return np.square(flat(x) - flat(output)).sum(axis=1)


# Checks and names.


def _check_arguments(model: HasCodes, num_points: int, seeds: Sequence[int]) -> None:
    remedy = "Give a model with an encoder, or score codes by the functions of tfgen.metrics."
    require(model, HasCodes, "disentanglement_report", remedy)
    check_ints(4, "Take 10,000.", num_points=num_points)
    if not isinstance(seeds, Sequence) or isinstance(seeds, str) or len(seeds) == 0:
        raise ValueError(f"seeds must be a sequence of at least one seed. Received: {seeds=}.")
    check_seed(**{f"seeds[{i}]": seed for i, seed in enumerate(seeds)})


def _as_pair(batch: Any) -> tuple[Any, Any]:
    if not (isinstance(batch, tuple) and len(batch) == 2):
        raise ValueError(
            "dataset must deliver pairs (images, factors). Received: a batch of type "
            f"{type(batch).__name__}. Pass labels=True to tfgen.datasets.load."
        )
    return batch


def _check_names(factor_names: Any) -> None:
    names = factor_names if isinstance(factor_names, list | tuple | None) else (None,)
    if not all(isinstance(name, str) for name in names or ()):
        raise ValueError(
            f"factor_names must be a sequence of names, or None. Received: {factor_names=}."
        )


def _names_of(factor_names: Sequence[str] | None, num_factors: int) -> tuple[str, ...]:
    names = tuple(factor_names or (f"factor {k}" for k in range(num_factors)))
    if len(names) != num_factors:
        raise ValueError(
            f"factor_names must hold one name for each of {num_factors} factors. Received: {names}."
        )
    return names
