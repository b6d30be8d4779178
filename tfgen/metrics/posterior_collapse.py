"""How much of its latent space a VAE uses: active units, KL per dimension, mutual information."""

import math
from typing import NamedTuple

import keras
import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.losses.divergences import is_diagonal_normal, kl_divergence
from tfgen.metrics._likelihood import (
    check_model,
    check_positive,
    encode,
    open_batches,
    seed_of,
    standard_error,
)

tfd = tfp.distributions

__all__ = [
    "ActiveUnits",
    "PosteriorCollapseReport",
    "active_units",
    "posterior_collapse_report",
]

# Draws of z that are compared with a batch of posteriors at a time.
_NUM_DRAWS = 1000


class ActiveUnits(NamedTuple):
    """Which latent dimensions depend on the data.

    Attributes:
        num_active: int.
        active: bool array, shape (latent_dim,).
        variances: float64 array, shape (latent_dim,), of the posterior means over examples.
    """

    num_active: int
    active: np.ndarray
    variances: np.ndarray


class PosteriorCollapseReport(NamedTuple):
    """Where the information of a VAE's posterior lies. All but variances are in nats per example.

    Attributes:
        value: dict from name to mean over examples: `elbo` = -(`reconstruction` + `kl`), and `kl` =
            `mutual_information` + `marginal_kl`.
        standard_error: dict from name to that of the mean.
        kl_per_dimension: float64 array, shape (latent_dim,), whose sum is `kl`; None unless q(z|x)
            and p(z) are diagonal normals.
        active_units: `ActiveUnits`.
        settings: dict of sizes, threshold and seed.
    """

    value: dict
    standard_error: dict
    kl_per_dimension: np.ndarray | None
    active_units: ActiveUnits
    settings: dict

    def to_markdown(self):
        """Table of all values, and below it the active units and the settings."""
        rows = [
            f"| {name} | {value:.2f} | {self.standard_error[name]:.2g} |"
            for name, value in self.value.items()
        ]
        units = f"{self.active_units.num_active} of {len(self.active_units.active)}"
        notes = [f"- {key}: {value}" for key, value in self.settings.items()]
        head = ["| nats per example | value | standard error |", "| --- | --- | --- |"]
        return "\n".join([*head, *rows, "", f"- active units: {units}", *notes])

    def plot(self):
        """The KL divergence of each dimension, largest first: `(fig, axes)`.

        Raises:
            ValueError: if it is not known by dimension.
        """
        from tfgen.plotting.figures import COLORS, subplots

        if self.kl_per_dimension is None:
            raise ValueError(
                "A KL divergence per dimension needs diagonal normals q(z|x) and p(z). Received: "
                "kl_per_dimension=None. Look at active_units.variances instead."
            )
        order = np.argsort(self.kl_per_dimension)[::-1]
        fig, axes = subplots(figsize=(6, 3), layout="constrained")
        for label, color, shown in (
            ("active", COLORS[0], self.active_units.active[order]),
            ("inactive", COLORS[2], ~self.active_units.active[order]),
        ):
            if shown.any():
                ranks = 1 + np.flatnonzero(shown)
                axes.bar(ranks, self.kl_per_dimension[order][shown], color=color, label=label)
        axes.set(xlabel="rank of the latent dimension", ylabel="KL(q(z|x) || p(z)) (nats)")
        axes.set_xlim(0.3, len(order) + 0.7)
        axes.legend(frameon=False)
        return fig, axes


def active_units(model, data, threshold=0.01, *, batch_size=100):
    """Latent dimensions whose posterior mean varies with the data: Var_x(E[z_u|x]) > threshold.

    Source: Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4, Sec. 5.2, whose threshold it is.

    Args:
        model: anything with `encode(x)`, which returns q(z|x) or, if deterministic, z.
        data: as in `importance_sampled_nll`, at least 2 examples.
        threshold: float >= 0, variance in squared units of z.
        batch_size: int, examples at a time.

    Returns:
        `ActiveUnits`.

    Raises:
        ValueError: if the model has no encoder, the data are unusable, or the threshold negative.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 3), networks.mlp_decoder(shape, 3))
        >>> active_units(model, np.zeros((5, *shape))).num_active  # All examples are the same.
        0
    """
    check_model(model, "encode", "active_units")
    check_positive(batch_size=batch_size)
    batches, _ = open_batches(model, data, batch_size)
    means = [_flat(_mean(encode(model, x)))[:count] for x, count in batches]
    return _active_units(np.concatenate(means), threshold)


def _active_units(means, threshold):
    if len(means) < 2 or not threshold >= 0:
        raise ValueError(
            "active_units needs at least 2 examples and threshold >= 0. Received: "
            f"{len(means)} examples, threshold={threshold}."
        )
    variances = means.astype("float64").var(axis=0, ddof=1)
    active = variances > threshold
    return ActiveUnits(int(active.sum()), active, variances)


def posterior_collapse_report(model, data, *, threshold=0.01, batch_size=100, seed=0, verbose=True):
    """The parts of the ELBO, and how much q(z|x) says about x.

    E KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || p(z)): the mutual information of an example and
    its code, and how far the mixture q(z) of all posteriors is from the prior. A VAE whose
    posterior has collapsed has neither; one with a large marginal KL is sampled badly from p(z).

    I_q is estimated with a single draw z_i from each q(z|x_i), by
    log q(z_i|x_i) - log (1/N sum_j q(z_i|x_j)) over all pairs of the N examples given, which are
    taken for the population. It is at most log N: near that, give more examples.

    Source: Hoffman & Johnson, "ELBO surgery: yet another way to carve up the variational evidence
    lower bound", NIPS workshop 2016 (the split); Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4,
    Sec. 5.2 (active units).

    It is about z of `model.encode(x)`. Where inference goes on from there, as by a flow or a Markov
    chain, it describes the first step alone.

    Args:
        model: anything with `encode(x)`, which returns a density, `log_joint(x, z)` and
            `prior_distribution()`, such as `tfgen.models.VAE`.
        data: as in `importance_sampled_nll`, at least 2 examples.
        threshold: float >= 0, of `active_units`.
        batch_size: int, examples at a time.
        seed: int, of all draws; the same arguments give the same value.
        verbose: bool, whether to show a progress bar.

    Returns:
        `PosteriorCollapseReport`: `print(report.to_markdown())`, `report.plot()`.

    Raises:
        ValueError: if the encoder returns no density, or the data are unusable.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 3), networks.mlp_decoder(shape, 3))
        >>> images = np.random.default_rng(0).integers(2, size=(20, *shape))
        >>> report = posterior_collapse_report(model, images, verbose=False)
        >>> list(report.value)
        ['elbo', 'reconstruction', 'kl', 'mutual_information', 'marginal_kl']
        >>> bool(report.value["mutual_information"] <= np.log(20))
        True
    """
    check_model(model, "log_joint", "posterior_collapse_report")
    check_positive(batch_size=batch_size)
    batches, _ = open_batches(model, data, batch_size)
    batches = list(batches)
    columns = []
    for step, (x, count) in enumerate(batches):
        parts = _posterior_parts(model, x, seed_of(seed, step))
        columns.append([None if part is None else part.numpy()[:count] for part in parts])
    z, log_q, means, reconstruction, kl, kl_per_dimension = (
        None if part[0] is None else np.concatenate(part) for part in zip(*columns, strict=True)
    )
    units = _active_units(_flat(means), threshold)
    pairs = tf.function(
        lambda x, z: encode(model, x).log_prob(z[:, None]),
        jit_compile=getattr(model, "jit_compile", False),
        autograph=False,
    )
    information = log_q - _log_aggregate(pairs, batches, z, verbose)
    rows = {
        "elbo": -reconstruction - kl,
        "reconstruction": reconstruction,
        "kl": kl,
        "mutual_information": information,
        "marginal_kl": kl - information,
    }
    if kl_per_dimension is not None:
        kl_per_dimension = _flat(kl_per_dimension).mean(axis=0, dtype="float64")
    return PosteriorCollapseReport(
        {name: float(row.mean(dtype="float64")) for name, row in rows.items()},
        {name: standard_error(row) for name, row in rows.items()},
        kl_per_dimension,
        units,
        {"num_points": len(z), "log_num_points": round(math.log(len(z)), 2)}
        | {"threshold": threshold, "seed": seed},
    )


def _posterior_parts(model, x, seed):
    """Of a batch: z, log q(z|x), E[z|x], -log p(x|z), KL, and KL per dimension or None."""
    q, prior = encode(model, x), model.prior_distribution()
    if not isinstance(q, tfd.Distribution):
        raise ValueError(
            "posterior_collapse_report needs an encoder that returns a density q(z|x). Received: "
            f"one that returns {type(q).__name__}. Use active_units for deterministic encoders."
        )
    z = q.sample(seed=seed)
    reconstruction = prior.log_prob(z) - model.log_joint(x, z)
    kl = kl_divergence(q, prior, z)
    return z, q.log_prob(z), q.mean(), reconstruction, kl, _kl_per_dimension(q, prior)


def _kl_per_dimension(q, prior):
    if is_diagonal_normal(q) and is_diagonal_normal(prior):
        return tfd.kl_divergence(q.distribution, prior.distribution)
    return None


def _log_aggregate(log_densities, batches, z, verbose):
    """log (1/N sum_j q(z_i|x_j)) of each draw z_i, shape (N,)."""
    total = np.full(len(z), -np.inf)
    bar = keras.utils.Progbar(len(batches), verbose=int(verbose))
    for x, count in batches:
        for start in range(0, len(z), _NUM_DRAWS):
            rows = slice(start, start + _NUM_DRAWS)
            pairs = log_densities(x, z[rows]).numpy()[:, :count].astype("float64")
            total[rows] = np.logaddexp(total[rows], scipy.special.logsumexp(pairs, axis=1))
        bar.add(1)
    return total - math.log(len(z))


def _mean(output):
    return output.mean() if isinstance(output, tfd.Distribution) else output


def _flat(values):
    values = np.asarray(values)
    return values.reshape(len(values), -1)
