"""What a code costs and what is lost without more of it: the rate-distortion plane."""

from collections.abc import Sequence

import numpy as np

from tfgen._utils.arguments import as_numbers
from tfgen.plotting.figures import COLORS, MARKERS, Plot, check_text, subplots

__all__ = ["rate_distortion"]

# More values than this would print over each other on the colour bar.
MAX_TICKED_BETAS = 10
MIN_ISOLINE = 0.15  # Of the width; a shorter line has no room for its label.
SHAPES = (*MARKERS, "<", ">", "p", "h", "d", "8")


def _check_points(**columns):
    """Those that are given, by name, as arrays of one length."""
    given = {
        name: as_numbers(**{name: column}).astype("float64")
        for name, column in columns.items()
        if column is not None or name in ("rate", "distortion")
    }
    shapes = {name: column.shape for name, column in given.items()}
    if len(set(shapes.values())) > 1 or given["rate"].ndim != 1 or not given["rate"].size:
        raise ValueError(
            "rate_distortion expects sequences of one length, an entry for each model, at least "
            f"one. Received: {shapes}. Leave out models without a value."
        )
    bad = [name for name, column in given.items() if not np.all(np.isfinite(column))]
    if bad:
        raise ValueError(
            f"rate_distortion expects finite values. Received: NaN or infinite {', '.join(bad)}. "
            "Leave out models that diverged."
        )
    return given


def _color_norm(beta):
    """Logarithmic where it can be: betas are tried in factors."""
    from matplotlib import colors

    if beta.min() > 0 and beta.min() < beta.max():
        return colors.LogNorm(beta.min(), beta.max())
    return colors.Normalize(beta.min(), max(beta.max(), beta.min() + 1e-6))


def _draw_isolines(axes):
    """Lines of one ELBO = -(R + D), with labels where a curve, which is convex, leaves room."""
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.autoscale(False)
    for total in MaxNLocator(8).tick_values(left + bottom, right + top):
        start, end = max(left, total - top), min(right, total - bottom)
        if end - start < MIN_ISOLINE * (right - left):
            continue
        axes.plot([start, end], [total - start, total - end], "--", color="0.7", lw=0.8, zorder=0)
        x = start + 0.8 * (end - start)
        style = {"fontsize": 7, "color": "0.4", "backgroundcolor": "white", "zorder": 0}
        rotation = {"rotation": -45, "transform_rotates_text": True, "rotation_mode": "anchor"}
        axes.text(x, total - x, f"ELBO {-total:g}", ha="center", va="center", **rotation, **style)


def _draw_curve(axes, rate, distortion, beta):
    """Line through the means of each beta, in order of beta."""
    means = [(rate[beta == b].mean(), distortion[beta == b].mean()) for b in np.unique(beta)]
    axes.plot(*zip(*means, strict=True), color="0.4", linewidth=1.0, alpha=0.6, zorder=1)


def _draw_points(axes, points, norm):
    """One shape for each latent size; returns what the colour bar describes."""
    sizes = points.get("latent_dim", np.zeros(len(points["rate"])))
    style = {"s": 45, "edgecolors": "black", "linewidths": 0.5, "zorder": 2}
    for i, size in enumerate(np.unique(sizes)):
        chosen = {name: column[sizes == size] for name, column in points.items()}
        rate, distortion, beta = (chosen.get(n) for n in ("rate", "distortion", "beta"))
        coded = {"c": beta, "norm": norm, "cmap": "viridis"}
        color = {"color": COLORS[0]} if beta is None else coded
        style["marker"] = SHAPES[i % len(SHAPES)]
        shown = axes.scatter(rate, distortion, **color, **style)
        axes.scatter([], [], color="white", label=f"{size:g}", **style)  # The legend's.
        if beta is not None:
            _draw_curve(axes, rate, distortion, beta)
    return shown


def _label_betas(fig, axes, shown, beta, label):
    """Colour bar, with the very values where they are few."""
    bar = fig.colorbar(shown, ax=axes, label=label)
    values = np.unique(beta)
    if len(values) <= MAX_TICKED_BETAS:
        bar.set_ticks(values, labels=[f"{value:g}" for value in values])
        bar.minorticks_off()


def rate_distortion(
    rate: Sequence[float],
    distortion: Sequence[float],
    beta: Sequence[float] | None = None,
    latent_dim: Sequence[int] | None = None,
    beta_label: str = "beta",
) -> Plot:
    """Models in the plane of rate and distortion, with lines of equal ELBO.

    The rate R = E[KL(q(z|x) || p(z))] is what the code costs, the distortion D = E[-log p(x|z)]
    what it does not say; -ELBO = R + D. A beta above 1 moves a model up and to the left.

    Source: Alemi et al., arXiv:1711.00464v3, Fig. 1.

    Args:
        rate: sequence of n float, R of each model, nats per example.
        distortion: sequence of n float, D of each model, nats per example.
        beta: sequence of n float or None, the weight of the KL term: the points' colour, and the
            order of a line through the mean points of each beta.
        latent_dim: sequence of n int or None, the points' shape; each size has a line of its own.
        beta_label: string, at the colour bar, for colours that stand for another weight.

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if the sequences differ in length, are empty, or are not finite.

    Example:
        >>> fig, axes = rate_distortion([25, 15, 8], [80, 88, 99], beta=[1, 2, 4])
        >>> axes.get_xlabel()
        'rate R = KL(q(z|x) || p(z)), nats per example'
    """
    columns = {"rate": rate, "distortion": distortion, "beta": beta, "latent_dim": latent_dim}
    points = _check_points(**columns)
    check_text(beta_label=beta_label)
    fig, axes = subplots(figsize=(7.0, 5.0), layout="constrained")
    norm = _color_norm(points["beta"]) if beta is not None else None
    shown = _draw_points(axes, points, norm)
    axes.margins(0.08)
    _draw_isolines(axes)
    if beta is not None:
        _label_betas(fig, axes, shown, points["beta"], beta_label)
    if latent_dim is not None:
        fig.legend(title="latent size", loc="outside right upper", fontsize=8)
    axes.set(
        xlabel="rate R = KL(q(z|x) || p(z)), nats per example",
        ylabel="distortion D = -log p(x|z), nats per example",
        title="Rate and distortion",
    )
    return fig, axes
