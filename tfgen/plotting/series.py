"""Series as lines, and as the band in which most of them lie."""

from collections.abc import Sequence
from typing import Any

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
    shortened,
    subplots,
)

__all__ = ["MAX_CHANNELS", "MAX_PANEL_ROWS", "line_panels", "series"]

MAX_LINES = 50
MAX_CHANNELS = 20  # A page of panels.
MAX_PANEL_ROWS = 20
MAX_PANEL_COLUMNS = 6
MAX_LEGEND_ROWS = 9
HALF_A_STEP = np.array([-0.4, 0.4])  # As wide as a band of series of length one is drawn.


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
        of = "series" if reference is None else "reference"
        low, median, high = np.quantile(others[..., i], quantiles, axis=0)
        _draw_band(ax, steps, (low, median, high), f"{share:.0%} of {of}")
        for line, color in zip(x[:num_lines, :, i], np.resize(COLORS, num_lines), strict=False):
            ax.plot(steps, line, _marker(steps), color=str(color), linewidth=1)
        ax.set_ylabel(shortened(names[i]) if names else f"channel {i}", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("step", fontsize=8)
    axes[-1].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    legend_above(fig, axes[0])
    return fig, axes


def _draw_band(ax, steps, quantiles, label):
    """Between two of three quantiles, with the median; of one step as wide as a step."""
    at = steps if len(steps) > 1 else HALF_A_STEP
    low, median, high = (np.broadcast_to(values, at.shape) for values in quantiles)
    ax.fill_between(at, low, high, color="0.85", label=label)
    ax.plot(at, median, color="0.5", linestyle="--", linewidth=1, label="median")


def _marker(steps):
    """The format of lines: of one step there is no line, but a point."""
    return "-" if len(steps) > 1 else "o"


def line_panels(
    lines: np.ndarray,
    labels: Sequence[str],
    row_labels: Sequence[str],
    colors: Sequence[Any],
    legend_title: str | None = None,
    markers: Sequence[str] | None = None,
) -> Plots:
    """Lines over each other, one panel for each row and channel; the legend names the lines.

    Args:
        lines: array, shape (rows, num_lines, length, channels), with at most 20 rows; the first 6
            channels are drawn.
        labels: sequence of `num_lines` str.
        row_labels: sequence of str, one for each row.
        colors: sequence of `num_lines` colours of matplotlib.
        legend_title: str or None.
        markers: sequence of `num_lines` formats of matplotlib such as "o-"; None for plain lines.

    Returns:
        `(fig, axes)`, axes an array of shape (rows, channels).

    Example:
        >>> fig, axes = line_panels(np.zeros((3, 2, 5, 1)), ["a", "b"], ["x", "y", "z"], COLORS[:2])
        >>> axes.shape
        (3, 1)
    """
    lines = as_finite(4, lines=lines)[..., :MAX_PANEL_COLUMNS]
    rows, num_lines, length, channels = lines.shape
    steps = np.arange(length)
    formats = markers or [_marker(steps)] * num_lines
    size = (max(5.5, 2.4 * channels + 1.2), 1.15 * rows + 0.7)
    fig, axes = subplots(
        rows, channels, figsize=size, sharex=True, sharey="col", squeeze=False, layout="constrained"
    )
    for row, channel in np.ndindex(rows, channels):
        ax = axes[row, channel]
        for values, *style, color in zip(lines[row, :, :, channel], formats, colors, strict=True):
            ax.plot(steps, values, *style, color=color, linewidth=1, markersize=4)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    for ax, label in zip(axes[:, 0], row_labels, strict=True):
        ax.set_ylabel(label, fontsize=8)
    axes[-1, 0].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _name_channels(axes[0], channels)
    _name_lines(fig, axes[0, 0], labels, legend_title)
    return fig, axes


def _name_channels(axes, channels):
    for i, ax in enumerate(axes if channels > 1 else ()):
        ax.set_title(f"channel {i}", fontsize=8)


def _name_lines(fig, ax, labels, title):
    """A legend at the right, of every k-th line if they are many."""
    last = len(labels) - 1
    shown = np.unique(np.linspace(0, last, min(len(labels), MAX_LEGEND_ROWS)).round().astype(int))
    handles = [ax.lines[i] for i in shown]
    names = [labels[i] for i in shown]
    fig.legend(handles, names, loc="outside right upper", title=title, frameon=False, fontsize=8)


def _check_channels(num_channels):
    """Raises ValueError unless a figure has room for a panel for each channel."""
    if num_channels > MAX_CHANNELS:
        raise ValueError(
            f"x must have at most {MAX_CHANNELS} channels, one panel each. Received: x with "
            f"{num_channels} channels. Choose some of them, as in x[..., :{MAX_CHANNELS}]."
        )
