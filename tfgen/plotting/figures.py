"""What the figures share: matplotlib on first use, colours, labels, the latent size."""

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any, TypeAlias

from tfgen._utils import extras

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLORS",
    "MARKERS",
    "Plot",
    "Plots",
    "check_labels",
    "flat_latent_dim",
    "subplots",
    "value_range_of",
]

Plot: TypeAlias = "tuple[Figure, Axes]"
"""A figure and its only axes."""
Plots: TypeAlias = "tuple[Figure, Any]"
"""A figure and its axes, one or an array of them."""

# Ten colours that stay apart in three kinds of colour blindness: Petroff, arXiv:2107.02270v3.
COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
MARKERS = ("o", "^", "s", "D", "v", "P", "X")


def subplots(rows: int = 1, columns: int = 1, **kwargs: Any) -> Plots:
    """`matplotlib.pyplot.subplots`, imported on first use so that `import tfgen` stays fast.

    Args:
        rows: int, rows of axes.
        columns: int, columns of axes.
        **kwargs: further arguments of `matplotlib.pyplot.subplots`, such as `figsize` in inches.

    Returns:
        `(fig, axes)` as matplotlib gives them.

    Raises:
        ImportError: if matplotlib is missing.

    Example:
        >>> fig, axes = subplots(1, 2, figsize=(4, 2))
        >>> axes.shape
        (2,)
    """
    return extras.require("matplotlib.pyplot", extra="plot").subplots(rows, columns, **kwargs)


def check_labels(expected: int, **labels: Sized | None) -> None:
    """Raises ValueError unless the labels are None, or one for each of `expected` things.

    Example:
        >>> check_labels(2, row_labels=["original", "reconstruction"], column_labels=None)
    """
    for name, value in labels.items():
        if value is not None and len(value) != expected:
            raise ValueError(
                f"{name} must hold one label for each of {expected}. Received: {len(value)} labels."
            )


def flat_latent_dim(model: Any, caller: str) -> int:
    """Size k of a latent space of shape (k,).

    Args:
        model: model with a `latent_shape`.
        caller: str, the function that asks, for the error message.

    Returns:
        int, k.

    Raises:
        ValueError: if the latent space has another rank than one.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 20), networks.mlp_decoder(shape, 20))
        >>> flat_latent_dim(model, "traversals")
        20
    """
    shape = tuple(model.latent_shape)
    if len(shape) != 1:
        raise ValueError(
            f"{caller} expects a model whose latent_shape is (k,). Received: latent_shape={shape}. "
            "It shows latent vectors; feature maps have no dimensions to name."
        )
    return shape[0]


def value_range_of(model: Any, value_range: Sequence[float] | None) -> Sequence[float]:
    """The values shown black and white: those given, or the model's, or 0 and 1.

    Args:
        model: any; its attribute `value_range`, if it has one, is (low, high) or None.
        value_range: (low, high) or None.

    Example:
        >>> import types
        >>> value_range_of(types.SimpleNamespace(value_range=(-1, 1)), None)
        (-1, 1)
    """
    if value_range is None:
        value_range = getattr(model, "value_range", None)
    return (0.0, 1.0) if value_range is None else value_range
