"""Series as lines, and as the band in which most of them lie."""

from collections.abc import Sequence

import numpy as np

from tfgen._utils.arguments import check_fractions, check_positive
from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import (
    COLORS,
    Plots,
    as_finite,
    as_labels,
    check_drawable,
    legend_above,
    subplots,
)

__all__ = ["MAX_CHANNELS", "series"]

MAX_LINES = 50
MAX_CHANNELS = 20  # A page of panels.


def series(
    x: TensorLike,
    reference: TensorLike | None = None,
    num_lines: int = 5,
    share: float = 0.9,
    channel_names: Sequence[str] | None = None,
) -> Plots:
    """Series as lines, one panel for each channel, over the band in which others lie.

    Args:
        x: array or tensor, shape (n, length, channels), such as samples of a model, with at most 20
            channels.
        reference: the same of other series, such as data: the band is between their quantiles at
            each step, with their median; None for that of `x` itself.
        num_lines: int, series of `x` to draw, the first ones, at most 50.
        share: float in (0, 1), of the reference in the band.
        channel_names: sequence of str, one for each channel.

    Returns:
        `(fig, axes)`, axes an array of shape (channels,).

    Raises:
        ValueError: if the series are not finite or not (n, length, channels), lengths differ, or an
            argument is out of range.

    Example:
        >>> x = np.sin(np.arange(50) / 5 + np.random.default_rng(0).normal(size=(20, 1)))[..., None]
        >>> fig, axes = series(x, num_lines=3)
        >>> len(axes[0].lines)  # And the median.
        4
    """
    x = as_finite(3, x=x)
    others = x if reference is None else as_finite(3, reference=reference)
    if others.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"reference must be series of shape {x.shape[1:]}, as x. Received: {others.shape[1:]}."
        )
    check_drawable(MAX_LINES, num_lines=num_lines)
    check_positive("0.9 leaves a twentieth on either side.", share=share)
    check_fractions("0.9 leaves a twentieth on either side.", share=share)
    _check_channels(x.shape[2])
    names = as_labels(x.shape[2], channel_names=channel_names)
    size = (6.0, 1.7 * x.shape[2] + 0.5)
    fig, axes = subplots(
        x.shape[2], 1, figsize=size, sharex=True, squeeze=False, layout="constrained"
    )
    axes = axes[:, 0]
    steps, quantiles = np.arange(x.shape[1]), (0.5 - share / 2, 0.5, 0.5 + share / 2)
    for i, ax in enumerate(axes):
        low, median, high = np.quantile(others[..., i], quantiles, axis=0)
        of = "series" if reference is None else "reference"
        ax.fill_between(steps, low, high, color="0.85", label=f"{share:.0%} of {of}")
        ax.plot(steps, median, color="0.5", linestyle="--", linewidth=1, label="median")
        for line, color in zip(x[:num_lines, :, i], np.resize(COLORS, num_lines), strict=False):
            ax.plot(steps, line, color=str(color), linewidth=1)
        ax.set_ylabel(names[i] if names else f"channel {i}", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("step", fontsize=8)
    legend_above(fig, axes[0])
    return fig, axes


def _check_channels(num_channels):
    """Raises ValueError unless a figure has room for a panel for each channel."""
    if num_channels > MAX_CHANNELS:
        raise ValueError(
            f"x must have at most {MAX_CHANNELS} channels, one panel each. Received: x with "
            f"{num_channels} channels. Choose some of them, as in x[..., :{MAX_CHANNELS}]."
        )
