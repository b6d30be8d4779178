"""A density over the plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgen._utils.arguments import as_numbers
from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import Plot, as_points, check_drawable, check_methods, subplots
from tfgen.plotting.heat_map import COLOR_MAP

__all__ = ["density"]

MAX_CELLS = 1000  # Along an axis; the figure has 550 pixels.


def _check_ranges(ranges):
    """((low, high), (low, high)) as an array; raises where they are something else."""
    ranges = as_numbers(ranges=ranges).astype("float64")
    is_right = ranges.shape == (2, 2) and np.all(np.isfinite(ranges))
    if not is_right or not np.all(ranges[:, 0] < ranges[:, 1]):
        raise ValueError(
            "ranges must be ((low, high), (low, high)) of the two dimensions, finite, low < high. "
            f"Received: ranges={ranges.tolist()}."
        )
    return ranges


def _check_model(model):
    """Raises ValueError unless the model has densities, and of points of the plane if it says."""
    check_methods(model, "log_prob")
    for name in ("data_shape", "event_shape"):
        shape = tuple(getattr(model, name, (2,)))
        if shape != (2,):
            raise ValueError(
                f"model must be of two dimensions. Received: model with {name} {shape}. Pass the "
                "density of two of them."
            )


def _cell_centers(low, high, num):
    edges = np.linspace(low, high, num + 1)
    return (edges[:-1] + edges[1:]) / 2


def _density_on_grid(model, ranges, num):
    """p(x) at num x num cells' centers, shape (num, num), the first row at the bottom."""
    first, second = np.meshgrid(*(_cell_centers(low, high, num) for low, high in ranges))
    points = np.stack([first.ravel(), second.ravel()], axis=-1).astype("float32")
    values = np.asarray(model.log_prob(points))
    if values.shape != (num**2,):
        raise ValueError(
            f"model must give one log_prob for each of {num**2} points of the plane. Received: "
            f"values of shape {values.shape}. Pass a model of two dimensions."
        )
    return np.exp(values).reshape(num, num)


def density(
    model: Any, ranges: Sequence[Sequence[float]], data: TensorLike | None = None, num: int = 128
) -> Plot:
    """The density p(x) of a model over two dimensions as colours, and points of the data on it.

    The title tells how much of the probability lies inside, the sum over the cells: for a density
    that is normalized and smooth at the width of a cell, at most 1 up to the error of that sum.

    Args:
        model: anything with `log_prob` of points of shape (n, 2), in nats: a `NormalizingFlow` or a
            `tfd.Distribution`.
        ranges: ((low, high), (low, high)), what the horizontal and the vertical axis show.
        data: array, shape (n, 2), points to draw, or None.
        num: int, cells along each axis, at most 1000.

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if `ranges` or `data` is not such a pair or array, or the model has other
            dimensions.

    Example:
        >>> import tensorflow_probability as tfp
        >>> normal = tfp.distributions.MultivariateNormalDiag([0.0, 0.0])
        >>> fig, axes = density(normal, [(-4, 4), (-4, 4)], num=40)
        >>> axes.get_title()
        'p(x), 100 % of it inside'
    """
    _check_model(model)
    check_drawable(MAX_CELLS, num=num)
    limits = _check_ranges(ranges)
    points = None if data is None else as_points(data=data)
    values = _density_on_grid(model, limits, num)
    inside = values.sum() * np.prod(np.diff(limits, axis=1)) / num**2
    fig, axes = subplots(figsize=(5.5, 4.6), layout="constrained")
    image = axes.imshow(values, cmap=COLOR_MAP, vmin=0, extent=limits.ravel(), origin="lower")
    if points is not None:
        axes.scatter(*points.T, s=6, color="white", edgecolors="black", linewidths=0.3, alpha=0.7)
    axes.set(xlim=limits[0], ylim=limits[1], xlabel="$x_{0}$", ylabel="$x_{1}$")
    axes.set_aspect("auto")
    axes.set_title(f"p(x), {inside:.0%} of it inside".replace("%", " %"))
    fig.colorbar(image, ax=axes, label="p(x)")
    return fig, axes
