"""Rows of tables: what real and generated ones have in common."""

import collections
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers, check_ints, check_seed
from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import (
    COLORS,
    Plots,
    as_finite,
    as_labels,
    legend_above,
    shortened,
    subplots,
)

__all__ = ["MAX_PANELS", "correlations", "marginals", "pair_plot"]

NUM_BINS = 40
NUM_CLASSES = 12  # Values of a column that has no more of them are drawn as bars.
OTHERS = "others"  # The bar of all classes but the most frequent.
MAX_PANELS = 40  # Of marginals: ten rows of four.
MAX_CHARACTERS = 28  # Of all classes, in one line below a panel.
MAX_COLUMNS = 8  # Of a pair plot.
MAX_LABEL = 14  # Characters of a class, which may stand upright below a panel.
MAX_NAME = 32  # Characters of a column.
EXACT_FLOATS = 2.0**53  # Whole numbers beyond are not all floats.
NAMES = ("real", "generated")
# From blue by white to red, which stay apart in three kinds of colour blindness.
SIGNED_COLORS = "RdBu_r"
INCHES_PER_CHARACTER = 0.07
MAX_NAMES = 40  # Of a matrix; more would be too small to read.


def _as_columns(name, rows):
    """Columns by name of a data frame, or of an array with numbers for names."""
    if hasattr(rows, "columns") and hasattr(rows, "dtypes"):
        names = _names_of(name, rows)
        return {key: _as_column(key, _values_of(rows.iloc[:, i])) for i, key in enumerate(names)}
    array = as_finite(2, **{name: rows})
    return {str(i): column for i, column in enumerate(array.T)}


def _names_of(name, frame):
    """Names of the columns of a data frame, which must be different."""
    names = [str(key) for key in frame.columns]
    if not names or not len(frame) or len(set(names)) < len(names):
        raise ValueError(
            f"{name} must have rows, and columns of different names. Received: {name} with "
            f"{len(frame)} rows and columns {names}."
        )
    return names


def _values_of(column):
    """A column of a data frame as an array: categories as objects, dates without their zone."""
    if getattr(column.dtype, "name", "") == "category":
        return column.astype(object).to_numpy()
    is_date = getattr(column.dtype, "kind", "") == "M"
    return column.to_numpy("datetime64[us]") if is_date else column.to_numpy()


def _as_column(name, values):
    """Finite numbers, dates, spans of time in days, or classes: texts and truth values."""
    if values.dtype.kind in "iuf":
        return as_finite(1, **{f"Column {name!r}": values})
    if values.dtype.kind in "mM" and np.isnat(values).any():
        raise ValueError(
            f"Column {name!r} must have no missing dates. Received: {np.isnat(values).sum()} of "
            f"{values.size} missing. Leave these rows out."
        )
    return values / np.timedelta64(1, "D") if values.dtype.kind == "m" else values


def _both(real, generated):
    """Columns of both, which must be the same; of one that is None, None."""
    pairs = [
        None if rows is None else _as_columns(name, rows)
        for name, rows in zip(NAMES, (real, generated), strict=True)
    ]
    given = [columns for columns in pairs if columns is not None]
    if not given:
        raise ValueError("Give real or generated rows, or both. Received: None and None.")
    if list(given[0]) != list(given[-1]):
        raise ValueError(
            "real and generated must have the same columns, in one order. Received: "
            f"{list(given[0])} and {list(given[-1])}. Give generated[real.columns]."
        )
    _check_panels(len(given[0]))
    return pairs


def _check_panels(num_columns):
    """Raises ValueError unless a figure has room for a panel for each column."""
    if num_columns > MAX_PANELS:
        raise ValueError(
            f"real and generated must have at most {MAX_PANELS} columns, one panel each. Received: "
            f"{num_columns}. Choose some of them."
        )


def _classes_of(columns):
    """The values of a column of few numbers, or its most frequent texts; else None."""
    kinds = {column.dtype.kind for column in columns}
    if kinds == {"M"}:
        return None
    values = np.concatenate(columns)
    counts = collections.Counter(values.tolist())
    if len(counts) > NUM_CLASSES and values.dtype.kind in "iuf":
        return None
    frequent = [value for value, _ in counts.most_common(NUM_CLASSES)]
    are_numbers = all(isinstance(value, numbers.Real) for value in frequent)
    return sorted(frequent, key=None if are_numbers else str)


def _shares(column, classes):
    """Of each class, and of all others, which may be none."""
    counts = collections.Counter(column.tolist())
    shares = [counts[value] / len(column) for value in classes]
    return [*shares, 1 - sum(shares)]


def _draw_bars(ax, columns, styles, classes):
    """Bars of classes side by side, and of all others where there are any."""
    shares = [_shares(column, classes) for column in columns]
    labels = [f"{value:.7g}" if isinstance(value, float) else str(value) for value in classes]
    labels = [shortened(label, MAX_LABEL) for label in labels]
    labels += [OTHERS] if max(others for *_, others in shares) > 1e-9 else []
    width = 0.8 / len(columns)
    for i, (heights, style) in enumerate(zip(shares, styles, strict=True)):
        at = np.arange(len(labels)) + width * (i - (len(columns) - 1) / 2)
        ax.bar(at, heights[: len(labels)], width, **style)
    upright = sum(map(len, labels)) > MAX_CHARACTERS
    ax.set_xticks(range(len(labels)), labels, fontsize=7, rotation=90 if upright else 0)


def _draw_marginal(ax, columns, styles, real):
    """Bars of classes, or outlines of histograms of numbers or dates; `real` may be None."""
    columns = _of_one_kind(columns)
    classes = _classes_of(columns)
    if classes is not None:
        _draw_bars(ax, columns, styles, classes)
        return
    if columns[0].dtype.kind == "M":
        columns = [_as_days(column) for column in columns]
        locator = extras.require("matplotlib.dates", "plot").AutoDateLocator(maxticks=4)
        formatter = extras.require("matplotlib.dates", "plot").ConciseDateFormatter(locator)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(formatter)
    _draw_histograms(ax, columns, styles, None if real is None else columns[0])


def _of_one_kind(columns):
    """Columns that can be counted together: dates beside other values become texts."""
    if len({column.dtype.kind == "M" for column in columns}) == 1:
        return columns
    return [
        np.datetime_as_string(column, unit="auto").astype(object)
        if column.dtype.kind == "M"
        else column
        for column in columns
    ]


def _as_days(dates):
    return np.asarray(extras.require("matplotlib.dates", "plot").date2num(dates))


def _draw_histograms(ax, columns, styles, real):
    """Outlines with the same bins, which end where real rows end; says what lies beyond."""
    low, high = (-np.inf, np.inf) if real is None else _limits(real)
    inside = [column[(column >= low) & (column <= high)] for column in columns]
    bins = _bins(np.concatenate(inside))
    for column, within, style in zip(columns, inside, styles, strict=True):
        # Those beyond count too: what is seen of them is their share of the area.
        weights = np.full(len(within), 1 / (len(column) * (bins[1] - bins[0])))
        ax.hist(within, bins, weights=weights, histtype="step", linewidth=1.5, **style)
    beyond = sum(map(len, columns)) - sum(map(len, inside))
    if beyond:
        ax.set_title(f"{beyond:,} of {len(columns[-1]):,} beyond", fontsize=6, color="0.4", pad=2)


def _limits(values):
    """A tenth more than the values take, on either side; half a unit around a single one."""
    low, high = float(values.min()), float(values.max())
    margin = 0.1 * (high - low) or 0.5
    return low - margin, high + margin


def _bins(values):
    """Edges of bins of one width: of whole numbers, one for each of them or of a few."""
    low, high = float(values.min()), float(values.max())
    if np.any(values % 1 != 0) or max(-low, high) >= EXACT_FLOATS:
        return _even_edges(low, high)
    width = max(1, math.ceil((high - low + 1) / NUM_BINS))
    return np.arange(low - 0.5, high + 0.5 + width, width)


def _even_edges(low, high):
    """At least as far apart as two numbers of that size are; around a single value of width 1."""
    least = NUM_BINS * float(np.spacing(max(abs(low), abs(high))))
    if high - low < least:
        half = max(least, 1.0 if high == low else 0.0) / 2
        low, high = (low + high) / 2 - half, (low + high) / 2 + half
    return np.linspace(low, high, NUM_BINS + 1)


def _styles(pairs):
    """Colours and labels of those that are given."""
    kinds = zip(NAMES, COLORS, pairs, strict=False)
    return [{"color": color, "label": name} for name, color, pair in kinds if pair is not None]


def marginals(real: Any = None, generated: Any = None, columns: int = 4) -> Plots:
    """Each column of real and of generated rows: histograms of numbers, bars of classes.

    Of a column of texts with more than 12 classes the 12 most frequent ones have a bar, and all
    others one together. Categories of a data frame are classes, dates have a histogram, and so have
    spans of time, in days. Beside real rows the bins of numbers end a tenth beyond them: how many
    generated rows lie further away stands above the panel.

    Args:
        real: data frame, or array of shape (rows, columns), with at most 40 columns; None for
            generated rows alone.
        generated: the same of what a model made, such as `info.decode(model.sample(1000))`.
        columns: int >= 1, panels in a row.

    Returns:
        `(fig, axes)`, axes an array of shape (rows of panels, columns).

    Raises:
        ValueError: if neither is given, the columns differ or are too many, or a number is not
            finite.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(2, 100, 3))
        >>> fig, axes = marginals(*rows)
        >>> axes.shape, axes[0, 0].get_xlabel()
        ((1, 3), '0')
    """
    check_ints(1, columns=columns)
    pairs = _both(real, generated)
    given = [pair for pair in pairs if pair is not None]
    names, styles = list(given[0]), _styles(pairs)
    wide = min(columns, len(names))
    high = -(-len(names) // wide)
    size = (max(2.3 * wide, 3.0), 1.9 * high + 0.3)
    fig, axes = subplots(high, wide, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for name, ax in zip(names, axes.flat, strict=False):
        _draw_marginal(ax, [pair[name] for pair in given], styles, real)
        ax.set_xlabel(shortened(name, MAX_NAME), fontsize=8)
        ax.set_yticks([])
        ax.tick_params(labelsize=7)
        ax.xaxis.get_offset_text().set_fontsize(6)
        ax.spines[["top", "right", "left"]].set_visible(False)
    if len(given) > 1:
        legend_above(fig, axes.flat[0])
    return fig, axes


def pair_plot(
    real: TensorLike,
    generated: TensorLike,
    names: Sequence[str] | None = None,
    max_points: int = 1000,
    seed: int = 0,
) -> Plots:
    """Every pair of numeric columns as points, real ones below the diagonal, generated ones above.

    On the diagonal are the marginals of both. What depends on each other in the data and not in
    samples has another shape on the two sides. All axes end where the real rows end: of generated
    ones beyond there is no more than their number, above the diagonal's panels.

    Args:
        real: array, shape (rows, columns), with 2 to 8 columns; or a data frame of numbers.
        generated: the same of what a model made.
        names: sequence of str, of the columns; None for those of a data frame, or numbers.
        max_points: int >= 1, points drawn of each, at random.
        seed: int >= 0, of these.

    Returns:
        `(fig, axes)`, axes an array of shape (columns, columns).

    Raises:
        ValueError: if the columns are not numbers, too many, or not the same.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(2, 100, 3))
        >>> fig, axes = pair_plot(*rows, names=["a", "b", "c"])
        >>> axes[2, 0].get_xlabel(), axes[2, 0].get_ylabel()
        ('a', 'c')
    """
    check_ints(1, max_points=max_points)
    check_seed(seed=seed)
    own = _common_names(real, generated)
    _check_no_categories(real=real, generated=generated)
    real, generated = as_finite(2, real=real), as_finite(2, generated=generated)
    num = real.shape[1]
    if generated.shape[1] != num or not 2 <= num <= MAX_COLUMNS:
        raise ValueError(
            f"real and generated must have the same 2 to {MAX_COLUMNS} columns. Received: "
            f"{num} and {generated.shape[1]}. Choose some of them."
        )
    names = as_labels(num, names=names) or own or [str(i) for i in range(num)]
    side = max(1.5 * num, 4.0)
    fig, axes = subplots(num, num, figsize=(side, side), sharex="col", layout="constrained")
    rng = np.random.default_rng(seed)
    shown = [rows[rng.permutation(len(rows))[:max_points]] for rows in (real, generated)]
    for i in range(num):
        for j in range(num):
            if i != j:
                rows, color = shown[j > i], COLORS[j > i]
                axes[i, j].scatter(rows[:, j], rows[:, i], 3, color=color, alpha=0.4, linewidths=0)
    _draw_diagonal(fig, axes, real, generated)
    _label_pairs(axes, real, names)
    return fig, axes


def _check_no_categories(**frames):
    """Raises ValueError if a data frame has columns of classes: their numbers are none."""
    for name, frame in frames.items():
        kinds = zip(getattr(frame, "columns", ()), getattr(frame, "dtypes", ()), strict=False)
        classes = [str(key) for key, kind in kinds if getattr(kind, "name", "") == "category"]
        if classes:
            raise ValueError(
                f"{name} must hold numbers. Received: {name} with columns of categories {classes}. "
                "Leave them out, or take marginals."
            )


def _common_names(*frames):
    """Names of the columns of data frames, which must have the same; None of arrays."""
    owns = [[str(key) for key in f.columns] for f in frames if hasattr(f, "columns")]
    if owns and owns[0] != owns[-1]:
        raise ValueError(
            "real and generated must have the same columns, in one order. Received: "
            f"{owns[0]} and {owns[-1]}. Give generated[real.columns]."
        )
    return owns[0] if owns else None


def _draw_diagonal(fig, axes, real, generated):
    styles = _styles([real, generated])
    for i in range(len(axes)):
        _draw_histograms(axes[i, i], [real[:, i], generated[:, i]], styles, real[:, i])
    legend_above(fig, axes[0, 0])


def _label_pairs(axes, real, names):
    """Names outside, and the same limits on both sides of the diagonal."""
    limits = [_limits(column) for column in real.T]
    for i, name in enumerate(names):
        axes[-1, i].set_xlabel(shortened(name), fontsize=8)
        axes[i, 0].set_ylabel(shortened(name), fontsize=8)
        for j in range(len(names)):
            axes[i, j].set_xlim(*limits[j])
            if i != j:
                axes[i, j].set_ylim(*limits[i])
            axes[i, j].tick_params(labelsize=6)
            if i == j or j > 0:
                axes[i, j].set_yticks([])


def correlations(
    real: TensorLike, generated: TensorLike, names: Sequence[str] | None = None
) -> Plots:
    """Matrices of correlations of real and of generated rows, and their difference.

    Blue is negative, white none and red positive; all three have the same scale, from -1 to 1.
    Cells without a correlation, which are NaN, are grey.

    Args:
        real: array, shape (columns, columns), values in [-1, 1] or NaN, such as those of
            `metrics.correlation_matrix`.
        generated: the same of what a model made.
        names: sequence of str, of up to 40 columns; None for no names.

    Returns:
        `(fig, axes)`, axes an array of the three: real, generated, generated - real.

    Raises:
        ValueError: if one is no such matrix, they are of different sizes, or there are too many or
            too few names.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(2, 100, 3))
        >>> matrices = [np.corrcoef(x, rowvar=False) for x in rows]
        >>> fig, axes = correlations(*matrices, names=["a", "b", "c"])
        >>> [ax.get_title() for ax in axes]
        ['real', 'generated', 'generated - real']
    """
    real, generated = _as_correlations(real=real), _as_correlations(generated=generated)
    if real.shape != generated.shape:
        raise ValueError(
            "real and generated must be of the same columns. Received: shapes "
            f"{real.shape} and {generated.shape}."
        )
    labels = as_labels(len(real), names=names)
    labels = None if labels is None else [shortened(label) for label in labels]
    if labels is not None and len(labels) > MAX_NAMES:
        raise ValueError(
            f"names must be at most {MAX_NAMES}, to be legible. Received: {len(labels)}. Leave "
            "them out, or choose some columns."
        )
    panels = {NAMES[0]: real, NAMES[1]: generated, f"{NAMES[1]} - {NAMES[0]}": generated - real}
    side, margin = max(2.4, 0.16 * len(labels or ())), _inches_of(labels or ())
    size = (3 * side + margin + 1.2, side + margin + 0.5)
    fig, axes = subplots(1, 3, figsize=size, sharey=True, layout="constrained")
    for ax, (title, matrix) in zip(axes, panels.items(), strict=True):
        image = ax.imshow(matrix, cmap=SIGNED_COLORS, vmin=-1, vmax=1)
        ax.set_facecolor("lightgrey")
        ax.set_title(title, fontsize=10)
        ax.set_xticks(range(len(labels or ())), labels or (), fontsize=7, rotation=90)
        ax.set_yticks(range(len(labels or ())), labels or (), fontsize=7)
    fig.colorbar(image, ax=axes, label="correlation")
    return fig, axes


def _inches_of(labels):
    """Of the longest label."""
    return INCHES_PER_CHARACTER * max(map(len, labels), default=0)


def _as_correlations(**values):
    """The one value as a square matrix of numbers in [-1, 1], or NaN."""
    ((name, value),) = values.items()
    matrix = as_numbers(**values).astype("float64")
    # Sums of products may round to a little more than 1.
    in_range = np.isnan(matrix) | (np.abs(matrix) <= 1 + 1e-6)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"{name} must be a square matrix. Received: shape {matrix.shape}.")
    if not in_range.all():
        raise ValueError(
            f"{name} must hold correlations, from -1 to 1. Received: values from "
            f"{np.nanmin(matrix):.9g} to {np.nanmax(matrix):.9g}. Give "
            "metrics.correlation_matrix of the rows."
        )
    return matrix
