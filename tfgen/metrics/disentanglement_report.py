"""All scores of disentanglement of one model, with their spread, in one table."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.losses.divergences import is_diagonal_normal
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

    value: dict
    standard_error: dict
    mutual_information: np.ndarray
    factor_names: tuple
    settings: dict

    def to_markdown(self):
        """Table of all scores, and below it their settings."""
        rows = [
            f"| {name} | {value:.4g} | {self.standard_error[name]:.2g} |"
            for name, value in self.value.items()
        ]
        notes = [f"- {name}: {value}" for name, value in self.settings.items()]
        head = ["| score | value | standard error |", "| --- | --- | --- |"]
        return "\n".join([*head, *rows, "", *notes])

    def plot(self):
        """The mutual information as a picture, factors by latent dimensions: `(fig, axes)`."""
        from tfgen.plotting.heat_map import heat_map

        latents = [f"$z_{{{i}}}$" for i in range(len(self.mutual_information))]
        title = "Mutual information of codes and factors"
        matrix = self.mutual_information.T
        fig, axes = heat_map(matrix, self.factor_names, latents, title, value_label="nats")
        axes.set(xlabel="latent dimension", ylabel="factor")
        return fig, axes


def disentanglement_report(
    model, dataset, num_points=10_000, *, factor_names=None, seeds=(0, 1, 2), verbose=True
):
    """Scores how well single latent dimensions stand for the known factors of images.

    The value of each score is that of all points, with the first seed. It is computed again for
    each seed, on a random half of the points and with that seed's draws: the standard deviation
    between such halves is the standard error of a mean over all points, and about that of other
    scores; of three halves it is a rough one.

    - mig, modularity, irs, gaussian_total_correlation: of the codes alone;
    - mig_by_samples: of q(z|x), left out where the encoder returns no Gaussian;
    - explicitness, sap_score, beta_vae_score, factor_vae_score, dci_disentanglement,
      dci_completeness, dci_informativeness: of classifiers or draws that depend on the seed;
    - reconstruction: what disentangling costs, -log p(x|z) of one draw from q(z|x), in nats per
      image; the squared error where the decoder returns no distribution.

    Codes are the means of q(z|x), or what a deterministic encoder returns. Each function of
    `tfgen.metrics` says what its values mean. All lie in [0, 1] and are best at 1, but for
    gaussian_total_correlation and reconstruction, which are best where they are low.

    At 10,000 points of sprites and 10 latent dimensions the scores take 15 seconds of one core;
    encoding and decoding take what the networks need.

    Args:
        model: anything with `encode` and `decode`, which return distributions or tensors.
        dataset: str, a name that `tfgen.datasets.load` knows, whose test split is taken; or a
            `tf.data.Dataset` of batches (images, factors), whose first points are taken: its order
            must be random; or a tuple of arrays (images, factors), of which random ones are taken.
            Factors are whole numbers, shape (num_images, num_factors).
        num_points: int >= 4, points to score. All scores depend on it.
        factor_names: sequence of str or None; None takes the names of a named data set.
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
    batches, factor_names = _open(dataset, factor_names, seeds[0])
    bar = keras.utils.Progbar(num_points + _SCORING * (1 + len(seeds)), verbose=int(verbose))
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


def _halves(points, seeds):
    """A random half of the points for each seed."""
    for seed in seeds:
        rows = np.random.default_rng(seed).permutation(len(points.codes))[: len(points.codes) // 2]
        yield _Points(*(None if column is None else column[rows] for column in points))


def _standard_deviation(values):
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan")
    return float(np.std(values, ddof=1))


def _scores(points, seed):
    """Pairs of name and value."""
    codes, factors = points.codes, points.factors
    for score in (mig, modularity, irs):
        yield score.__name__, score(codes, factors)
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
    """The first axis of each array is that of the points."""

    codes: np.ndarray
    scale: np.ndarray | None
    factors: np.ndarray
    reconstruction: np.ndarray


def _open(dataset, factor_names, seed):
    """Iterator of batches (images, factors), and the factors' names where they are known."""
    if isinstance(dataset, str):
        from tfgen.datasets import load

        dataset, info = load(dataset, "test", _BATCH_SIZE, labels=True)
        factor_names = factor_names or info.factor_names
    if isinstance(dataset, tf.data.Dataset):
        return dataset.as_numpy_iterator(), factor_names
    images, factors = (np.asarray(part) for part in dataset)
    order = np.random.default_rng(seed).permutation(len(images))
    chunks = np.split(order, range(_BATCH_SIZE, len(order), _BATCH_SIZE))
    return ((images[rows], factors[rows]) for rows in chunks), factor_names


def _take(batches, num_points):
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


def _encode(model, batches, num_points, seed, bar):
    """Codes, factors and reconstruction errors."""
    rows = []
    for step, (images, factors) in enumerate(_take(batches, num_points)):
        x = tf.cast(images, tf.float32)
        codes, scale, z = _latents(model.encode(x), seed=tf.constant([seed, step]))
        rows.append((codes, scale, factors, _errors(x, model.decode(z))))
        bar.add(len(images))
    columns = zip(*rows, strict=True)
    return _Points(*(None if part[0] is None else np.concatenate(part) for part in columns))


def _latents(q, seed):
    """Codes, standard deviations of a Gaussian q(z|x) or None, and one draw of z."""
    if not isinstance(q, tfd.Distribution):
        return _flat(q), None, q
    is_gaussian = is_diagonal_normal(q) or isinstance(q, tfd.MultivariateNormalLinearOperator)
    return _flat(q.mean()), _flat(q.stddev()) if is_gaussian else None, q.sample(seed=seed)


def _flat(latents):
    latents = np.asarray(latents)
    return latents.reshape(len(latents), -1)


def _errors(x, output):
    """-log p(x|z) or the squared error of each image."""
    if isinstance(output, tfd.Distribution):
        return -output.log_prob(x)
    return np.square(_flat(x) - _flat(output)).sum(axis=1)


# Checks and names.


def _check_arguments(model, num_points, seeds):
    if not (hasattr(model, "encode") and hasattr(model, "decode")):
        raise ValueError(
            f"model must have the methods encode and decode. Received: {type(model).__name__}. "
            "Give a model with an encoder, or score codes by the functions of tfgen.metrics."
        )
    if num_points < 4 or len(seeds) == 0:
        raise ValueError(
            "num_points must be at least 4, better 10,000, and seeds hold at least one seed. "
            f"Received: num_points={num_points}, seeds={tuple(seeds)}."
        )


def _as_pair(batch):
    if not (isinstance(batch, tuple) and len(batch) == 2):
        raise ValueError(
            "dataset must deliver pairs (images, factors). Received: a batch of type "
            f"{type(batch).__name__}. Pass labels=True to tfgen.datasets.load."
        )
    return batch


def _names_of(factor_names, num_factors):
    names = tuple(factor_names or (f"factor {k}" for k in range(num_factors)))
    if len(names) != num_factors:
        raise ValueError(
            f"factor_names must hold one name for each of {num_factors} factors. Received: {names}."
        )
    return names
