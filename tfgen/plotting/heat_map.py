"""A matrix as coloured cells with their numbers."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfgen._utils.arguments import as_numbers, as_pair
from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import Plot, as_labels, check_text, subplots

__all__ = ["heat_map"]

# Even in lightness, and in order for all three kinds of colour blindness.
COLOR_MAP = "viridis"
INCHES_PER_CHARACTER = 0.09
ROW_INCHES = 0.38
MIN_WIDTH_INCHES = 3.0  # The titles' length.


def _check_matrix(values):
    """Values as a float64 matrix with at least one number in it."""
    values = as_numbers(values=values).astype("float64")
    if values.ndim != 2 or not np.isfinite(values).any() or np.isinf(values).any():
        raise ValueError(
            "values must be a matrix of numbers, NaN where one is missing, and at least one that "
            f"is not. Received: shape {values.shape}, {np.isfinite(values).sum()} finite, "
            f"{np.isinf(values).sum()} infinite values."
        )
    return values


def _check_highlight(highlight, shape):
    """Cells as a list of pairs; raises where they are something else or not in the matrix."""
    cells = list(highlight) if isinstance(highlight, Iterable) else [highlight]
    for cell in cells:
        if not any(np.array_equal(cell, index) for index in np.ndindex(shape)):
            raise ValueError(
                f"highlight must hold (row, column) of a matrix of shape {shape}. "
                f"Received: {cell}. Count from 0."
            )
    return [tuple(cell) for cell in cells]


def _check_format(value_format):
    try:
        format(0.0, value_format)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "value_format must be a format of floats, such as '.2f' or '.0%'. Received: "
            f"value_format={value_format!r}."
        ) from error


def _color_limits(matrix, value_range):
    """Values of the darkest and the lightest colour."""
    if value_range is None:
        return np.nanmin(matrix), np.nanmax(matrix)
    return as_pair("Use None for the least and the greatest value.", value_range=value_range)


def _relative_luminance(rgba):
    """Of sRGB colours, in [0, 1]: Web Content Accessibility Guidelines 2.1."""
    rgb = np.asarray(rgba)[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def _text_color(rgba):
    """Black or white, whichever has the greater contrast: at least 4.58, the guidelines ask 4.5."""
    return "black" if _relative_luminance(rgba) > np.sqrt(1.05 * 0.05) - 0.05 else "white"


def _write_values(axes, image, values, texts):
    colors = image.to_rgba(values)
    for cell, text in np.ndenumerate(texts):
        missing = np.isnan(values[cell])
        color = "dimgray" if missing else _text_color(colors[cell])
        axes.text(*cell[::-1], text, ha="center", va="center", fontsize=8, color=color)


def _frame(axes, cells):
    """A frame that shows on light and dark: black around white."""
    from matplotlib.patches import Rectangle

    for row, column in cells:
        for color, width in (("black", 4.0), ("white", 1.5)):
            corner = (column - 0.46, row - 0.46)
            axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, ec=color, lw=width))


def _tick(set_ticks, labels):
    if labels is None:
        set_ticks([])
    else:
        set_ticks(range(len(labels)), labels=labels, fontsize=8)


def _longest(texts):
    return max(map(len, texts), default=0)


def _figure_size(texts, row_labels, column_labels):
    """Inches (width, height) that let every cell hold its text."""
    num_rows, num_columns = texts.shape
    characters = 2 + max(_longest(texts.flat), _longest(column_labels or []), 4)
    labels = INCHES_PER_CHARACTER * _longest(row_labels or [])
    width = INCHES_PER_CHARACTER * characters * num_columns + labels + 1.3
    return max(width, MIN_WIDTH_INCHES), ROW_INCHES * num_rows + 1.1


def heat_map(
    values: TensorLike,
    row_labels: Sequence[Any] | None = None,
    column_labels: Sequence[Any] | None = None,
    title: str | None = None,
    value_label: str | None = None,
    value_format: str = ".2f",
    value_range: Sequence[float] | None = None,
    highlight: Iterable[tuple[int, int]] = (),
) -> Plot:
    """A matrix as coloured cells, each with its number: dark is low, light is high.

    Write what rows and columns are on the axes: `axes.set(xlabel="latent_dim", ylabel="beta")`.

    Args:
        values: array, shape (num_rows, num_columns); a NaN is shown as a white cell with "n/a".
        row_labels: sequence of str or numbers, from top to bottom, or None.
        column_labels: sequence of str or numbers, from left to right, or None.
        title: str or None.
        value_label: str or None, what the values are and their unit, beside the colour bar.
        value_format: str, of the numbers in the cells, as in `format`.
        value_range: (low, high), the values of the darkest and the lightest colour; None for the
            least and the greatest value.
        highlight: sequence of (row, column), cells to frame, such as the best one.

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if `values` is not a matrix, has an infinite value or only NaN, if labels or
            cells do not fit it, or `value_range` or `value_format` is unusable.

    Example:
        >>> fig, axes = heat_map([[0.1, 0.5], [np.nan, 0.3]], row_labels=[1, 4], highlight=[(0, 1)])
        >>> [text.get_text() for text in axes.texts]
        ['0.10', '0.50', 'n/a', '0.30']
    """
    matrix = _check_matrix(values)
    rows = as_labels(matrix.shape[0], row_labels=row_labels)
    columns = as_labels(matrix.shape[1], column_labels=column_labels)
    cells = _check_highlight(highlight, matrix.shape)
    check_text(title=title, value_label=value_label)
    _check_format(value_format)
    low, high = _color_limits(matrix, value_range)
    shown = ["n/a" if np.isnan(value) else format(value, value_format) for value in matrix.flat]
    texts = np.reshape(shown, matrix.shape)
    size = _figure_size(texts, rows, columns)
    fig, axes = subplots(figsize=size, layout="constrained")
    image = axes.imshow(matrix, cmap=COLOR_MAP, vmin=low, vmax=high, aspect="auto")
    _write_values(axes, image, matrix, texts)
    _frame(axes, cells)
    _tick(axes.set_xticks, columns)
    _tick(axes.set_yticks, rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title or "", fontsize=10)
    fig.colorbar(image, ax=axes, label=value_label)
    return fig, axes
