"""How much of its latent space a VAE uses: active units, KL per dimension, mutual information."""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils.arguments import check_ints, check_seed, check_verbose, is_real
from tfgen._utils.progress import ProgressBar
from tfgen.losses.free_bits import kl_of_dimensions
from tfgen.metrics._figures import kl_bars
from tfgen.metrics._likelihood import (
    NO_LIKELIHOOD,
    compiled_as,
    conditioned_on,
    encode,
    open_batches,
    seed_of,
    standard_error,
)
from tfgen.metrics._posteriors import code_of, flat, kl_of
from tfgen.metrics._tables import markdown
from tfgen.metrics.protocols import Data, HasElbo, HasEncoder, require

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
            `mutual_information` + `marginal_kl`; the last two are left out where q(z|x) has a
            density only at its own draws, as behind a flow without an inverse.
        standard_error: dict from name to that of the mean.
        kl_per_dimension: float64 array, shape (latent_dim,), whose sum is `kl`; None unless q(z|x)
            and p(z) are diagonal normals.
        active_units: `ActiveUnits`.
        settings: dict of sizes, threshold and seed.
    """

    value: dict[str, float]
    standard_error: dict[str, float]
    kl_per_dimension: np.ndarray | None
    active_units: ActiveUnits
    settings: dict[str, Any]

    def to_markdown(self) -> str:
        """Table of all values, and below it the active units and the settings."""
        rows = [
            (name, f"{value:.2f}", f"{self.standard_error[name]:.2g}")
            for name, value in self.value.items()
        ]
        units = f"active units: {self.active_units.num_active} of {len(self.active_units.active)}"
        notes = [units, *(f"{key}: {value}" for key, value in self.settings.items())]
        return markdown(("nats per example", "value", "standard error"), rows, notes)

    def plot(self) -> tuple[Any, Any]:
        """The KL divergence of each dimension, largest first: `(fig, axes)` of matplotlib.

        Raises:
            ValueError: if it is not known by dimension.
        """
        if self.kl_per_dimension is None:
            raise ValueError(
                "A KL divergence per dimension needs diagonal normals q(z|x) and p(z). Received: "
                "kl_per_dimension=None. Look at active_units.variances instead."
            )
        return kl_bars(self.kl_per_dimension, self.active_units.active)


def active_units(
    model: HasEncoder, data: Data, threshold: float = 0.01, *, batch_size: int = 100
) -> ActiveUnits:
    """Latent dimensions whose posterior mean varies with the data: Var_x(E[z_u|x]) > threshold.

    The mean of a flow q(z|x) has no closed form: its `center()`, where it sends the mean of its
    base, stands in. That does not vary either where q(z|x) does not depend on x.

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
    require(model, HasEncoder, "active_units", NO_LIKELIHOOD)
    check_ints(batch_size=batch_size)
    _check_threshold(threshold)
    batches, _ = open_batches(model, data, batch_size)
    means = [flat(code_of(encode(model, x)))[:count] for x, count in batches]
    return _active_units(np.concatenate(means), threshold)


def _check_threshold(threshold: float) -> None:
    if not is_real(threshold) or threshold < 0:
        raise ValueError(
            "threshold must be a finite number >= 0, a variance of posterior means. Received: "
            f"threshold={threshold!r}."
        )


def _active_units(means: np.ndarray, threshold: float) -> ActiveUnits:
    if len(means) < 2:
        raise ValueError(
            "data must hold at least 2 examples to see what varies. Received: data of "
            f"{len(means)} examples."
        )
    variances = means.astype("float64").var(axis=0, ddof=1)
    active = variances > threshold
    return ActiveUnits(int(active.sum()), active, variances)


def posterior_collapse_report(
    model: HasElbo,
    data: Data,
    *,
    threshold: float = 0.01,
    batch_size: int = 100,
    seed: int = 0,
    verbose: bool = True,
) -> PosteriorCollapseReport:
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

    The KL divergence is in closed form where there is one, and else a Monte Carlo estimate of a
    draw from each q(z|x), log q(z|x) - log p(z); of a flow, the entropy of its base is exact. The
    estimate of I_q needs the density of q(z|x) at draws of other examples: it is left out, and
    `settings` says so, for flows without an inverse.

    It is about z of `model.encode(x)`. Where inference goes on from there, as by a Markov chain, it
    describes only the first step.

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
    require(model, HasElbo, "posterior_collapse_report", NO_LIKELIHOOD)
    check_ints(batch_size=batch_size)
    check_seed(seed=seed)
    check_verbose(verbose=verbose)
    _check_threshold(threshold)
    batches = list(open_batches(model, data, batch_size)[0])
    draws = _draw_all(model, batches, seed)
    units = _active_units(flat(draws.codes), threshold)
    log_aggregate = _log_aggregate(model, batches, draws.z, verbose)
    rows = {
        "elbo": -draws.reconstruction - draws.kl,
        "reconstruction": draws.reconstruction,
        "kl": draws.kl,
    }
    settings: dict[str, Any] = {
        "num_points": len(draws.z),
        "log_num_points": round(math.log(len(draws.z)), 2),
        "threshold": threshold,
        "seed": seed,
    }
    if log_aggregate is None:
        settings["mutual_information"] = "not known, q(z|x) has a density at its own draws alone"
    else:
        information = draws.log_q - log_aggregate
        rows |= {"mutual_information": information, "marginal_kl": draws.kl - information}
    kl_per_dimension = draws.kl_per_dimension
    if kl_per_dimension is not None:
        kl_per_dimension = flat(kl_per_dimension).mean(axis=0, dtype="float64")
    return PosteriorCollapseReport(
        {name: float(row.mean(dtype="float64")) for name, row in rows.items()},
        {name: standard_error(row) for name, row in rows.items()},
        kl_per_dimension,
        units,
        settings,
    )


class _Draws(NamedTuple):
    """One draw of z from q(z|x) of each example, and what is known there; arrays or tensors.

    Attributes:
        z: shape (num_examples, *latent_shape).
        log_q: log q(z|x), shape (num_examples,).
        codes: E[z|x], shape of z.
        reconstruction: -log p(x|z), shape (num_examples,).
        kl: KL(q(z|x) || p(z)), shape (num_examples,).
        kl_per_dimension: shape (num_examples, latent size); None unless q(z|x) and p(z) are
            diagonal normals.
    """

    z: Any
    log_q: Any
    codes: Any
    reconstruction: Any
    kl: Any
    kl_per_dimension: Any


def _draw_all(model: HasElbo, batches: list[tuple[Any, int]], seed: int) -> _Draws:
    columns = []
    for step, (x, count) in enumerate(batches):
        with conditioned_on(model, x):
            draws = _draw(model, x, seed_of(seed, step))
        columns.append([None if part is None else part.numpy()[:count] for part in draws])
    return _Draws(
        *(None if part[0] is None else np.concatenate(part) for part in zip(*columns, strict=True))
    )


def _draw(model: HasElbo, x: Any, seed: tf.Tensor) -> _Draws:
    q, prior = encode(model, x), model.prior_distribution()
    if not isinstance(q, tfd.Distribution):
        raise ValueError(
            "posterior_collapse_report needs an encoder that returns a density q(z|x). Received: "
            f"one that returns {type(q).__name__}. Use active_units for deterministic encoders."
        )
    z = q.sample(seed=seed)
    return _Draws(
        z,
        q.log_prob(z),
        code_of(q),
        prior.log_prob(z) - model.log_joint(x, z),
        kl_of(q, prior, z),
        kl_of_dimensions(q, prior),
    )


def _log_aggregate(
    model: HasElbo, batches: list[tuple[Any, int]], z: np.ndarray, verbose: bool
) -> np.ndarray | None:
    """log (1/N sum_j q(z_i|x_j)) of each draw z_i, shape (N,); None if it has no density there."""
    log_densities = compiled_as(model, _log_density_of_all)
    total = np.full(len(z), -np.inf)
    bar = ProgressBar(len(batches), verbose)
    for x, count in batches:
        for start in range(0, len(z), _NUM_DRAWS):
            rows = slice(start, start + _NUM_DRAWS)
            try:
                pairs = log_densities(x, z[rows]).numpy()[:, :count].astype("float64")
            except NotImplementedError:
                return None
            total[rows] = np.logaddexp(total[rows], scipy.special.logsumexp(pairs, axis=1))
        bar.add(1)
    return total - math.log(len(z))


def _log_density_of_all(model: HasElbo, x: Any, z: tf.Tensor) -> tf.Tensor:
    """log q(z_i|x_j) of every draw and example, shape (len(z), batch)."""
    q = encode(model, x)
    # Each pair has a copy of z: the loop of an inverse autoregressive flow keeps its shape.
    pairs = (z.shape[0], q.batch_shape[0], *z.shape[1:])
    return q.log_prob(tf.broadcast_to(z[:, None], pairs))
