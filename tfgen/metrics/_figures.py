"""The pictures of two reports, with matplotlib, which is imported on first use."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgen._utils import extras

__all__ = ["information_map", "kl_bars"]

# Two that stay apart in three kinds of colour blindness: Petroff, arXiv:2107.02270v3.
_COLORS = {"active": "#3f90da", "inactive": "#bd1f01"}


def _subplots(width: float, height: float) -> tuple[Any, Any]:
    plt = extras.require("matplotlib.pyplot", extra="plot")
    return plt.subplots(figsize=(width, height), layout="constrained")


def kl_bars(kl_per_dimension: np.ndarray, active: np.ndarray) -> tuple[Any, Any]:
    """The KL divergence of each latent dimension in nats, largest first: `(fig, axes)`."""
    order = np.argsort(kl_per_dimension)[::-1]
    fig, axes = _subplots(6, 3)
    for label, shown in (("active", active[order]), ("inactive", ~active[order])):
        if shown.any():
            heights = kl_per_dimension[order][shown]
            axes.bar(1 + np.flatnonzero(shown), heights, color=_COLORS[label], label=label)
    axes.set(xlabel="rank of the latent dimension", ylabel="KL(q(z|x) || p(z)) (nats)")
    axes.set_xlim(0.3, len(order) + 0.7)
    axes.legend(frameon=False)
    return fig, axes


def information_map(information: np.ndarray, factor_names: Sequence[str]) -> tuple[Any, Any]:
    """Cells of mutual information in nats, factors by latent dimensions: `(fig, axes)`."""
    num_latents, num_factors = information.shape
    longest = max(map(len, factor_names))
    fig, axes = _subplots(0.6 * num_latents + 0.09 * longest + 1.8, 0.38 * num_factors + 1.1)
    image = axes.imshow(information.T, aspect="auto")
    middle = (information.min() + information.max()) / 2
    for (latent, factor), nats in np.ndenumerate(information):
        color = "black" if nats > middle else "white"
        axes.text(latent, factor, f"{nats:.2f}", ha="center", va="center", fontsize=8, color=color)
    latents = [f"$z_{{{i}}}$" for i in range(num_latents)]
    axes.set_xticks(range(num_latents), labels=latents, fontsize=8)
    axes.set_yticks(range(num_factors), labels=list(factor_names), fontsize=8)
    axes.set(xlabel="latent dimension", ylabel="factor")
    axes.set_title("Mutual information of codes and factors", fontsize=10)
    fig.colorbar(image, ax=axes, label="nats")
    return fig, axes
