"""What the components of a mixture are: mean images, or ellipses in the plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import (
    COLORS,
    Plots,
    as_points,
    check_methods,
    check_unused,
    subplots,
    value_range_of,
)
from tfgen.plotting.images import image_grid

__all__ = ["mixture_components"]

# Standard deviations that an ellipse reaches: 86 % of a Gaussian in the plane lies within 2.
RADIUS = 2.0


def _covariance_matrix(covariance):
    """2 x 2, from a matrix, two variances or one."""
    covariance = np.asarray(covariance)
    return covariance if covariance.ndim == 2 else np.diag(np.broadcast_to(covariance, 2))


def _ellipse(mean, covariance):
    """Points at distance `RADIUS` from the mean, shape (101, 2)."""
    angles = np.linspace(0.0, 2 * np.pi, 101)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    return np.asarray(mean) + (RADIUS * np.linalg.cholesky(covariance) @ circle).T


def _ellipses(weights, means, covariances, x):
    fig, axes = subplots(figsize=(5.0, 4.5), layout="constrained")
    if x is not None:
        axes.plot(*x.T, ".", color="0.7", markersize=3, zorder=0)
    for i, (weight, mean, covariance) in enumerate(zip(weights, means, covariances, strict=True)):
        points = _ellipse(mean, _covariance_matrix(covariance))
        axes.plot(*points.T, color=COLORS[i % len(COLORS)], label=f"{weight:.1%}")
        axes.plot(*mean, "+", color=COLORS[i % len(COLORS)])
    axes.legend(title="weight", fontsize=8)
    axes.set(xlabel="$x_0$", ylabel="$x_1$", title=f"Components, {RADIUS:g} standard deviations")
    return fig, axes


def mixture_components(
    model: Any, value_range: Sequence[float] | None = None, x: TensorLike | None = None
) -> Plots:
    """The components of a mixture, of greatest weight first, with their weights.

    Args:
        model: `MixtureEM` of images, or Gaussian of points in the plane.
        value_range: (low, high), the values of a mean image shown black and white; None for those
            that the model says it returns (`model.value_range`), or else (0, 1). Of images only.
        x: array of shape (n, 2) or None, points to show below the ellipses. Of points only.

    Returns:
        `(fig, axes)`: of images an array of Axes with one mean each; of points one Axes with the
        ellipses of two standard deviations.

    Raises:
        ValueError: if the data are neither images nor, with Gaussians, points in the plane, or an
            argument is for the other kind.

    Example:
        >>> from tfgen.models.mixture_em import MixtureEM
        >>> model = MixtureEM(2, (2,), "spherical")
        >>> model.set_parameters([[0.0, 0.0], [5.0, 0.0]], [1.0, 4.0], weights=[0.25, 0.75])
        >>> fig, axes = mixture_components(model)
        >>> [text.get_text() for text in axes.get_legend().get_texts()]
        ['75.0%', '25.0%']
    """
    check_methods(model, "mixture_weights", "means", "covariances")
    weights, means = np.asarray(model.mixture_weights), np.asarray(model.means)
    order = np.argsort(-weights, kind="stable")
    covariances = model.covariances
    if means.shape[1:] == (2,) and covariances is not None:
        check_unused("a mixture of images", value_range=value_range)
        points = None if x is None else as_points(x=x)
        return _ellipses(weights[order], means[order], covariances[order], points)
    if means.ndim != 4:
        raise ValueError(
            "mixture_components shows images, shape (h, w, c), or Gaussians of points, shape (2,). "
            f"Received: a mixture of data of shape {means.shape[1:]}. Plot model.means yourself."
        )
    check_unused("a mixture of points in the plane", x=x)
    titles = [f"{weight:.1%}" for weight in weights[order]]
    return image_grid(means[order], value_range=value_range_of(model, value_range), titles=titles)
