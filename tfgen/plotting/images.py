"""Images in one grid, the primitive of the other figures of images."""

import inspect
import math
import warnings
from collections.abc import Sequence

import numpy as np

from tfgen._utils.arguments import as_numbers, as_pair, check_ints
from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import Plots, as_labels, check_drawable, subplots

__all__ = ["check_images", "check_num_images", "image_grid", "volume_slices"]

MIN_TILE_INCHES = 0.6
MIN_WIDTH_INCHES = 3.0  # The titles' length.
MAX_WIDTH_INCHES = 10.0
MAX_HEIGHT_INCHES = 20.0
INCHES_PER_CHARACTER = 0.07
LINE_INCHES = 0.15
MAX_IMAGES = 10_000  # 100 on a side, of 10 pixels each, fill the widest figure.
TOLERANCE = 0.05  # Part of the values, and of their range, that may be clipped unsaid.


def check_num_images(minimum: int = 1, /, **values: int) -> None:
    """Raises ValueError unless every value is a number of images that a figure can show.

    Example:
        >>> check_num_images(num_samples=64)
    """
    check_drawable(MAX_IMAGES, minimum, **values)


def check_images(**images: TensorLike) -> np.ndarray:
    """The one value, images, as a numpy array: finite, with one or three channels.

    Args:
        **images: array or tensor, shape (n, h, w, c); of volumes, (n, d, h, w, c).

    Returns:
        Array of the same shape, n >= 1, c 1 or 3.

    Raises:
        ValueError: if the shape is another, or a value is NaN or infinite.

    Example:
        >>> check_images(x=[[[[0.5]]]]).shape
        (1, 1, 1, 1)
    """
    ((name, _),) = images.items()
    array = as_numbers(**images)
    if array.ndim not in (4, 5) or 0 in array.shape or array.shape[-1] not in (1, 3):
        raise ValueError(
            f"{name} must be images of shape (n, height, width, channels), or volumes of shape (n, "
            "depth, height, width, channels), with 1 or 3 channels and n >= 1. Received: shape "
            f"{array.shape}. Reshape flat images, add the channel axis; series are for "
            "plotting.series, rows of tables for plotting.marginals."
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(
            f"{name} must be finite. Received: {np.sum(~np.isfinite(array))} of {array.size} "
            "values NaN or infinite. A model whose loss is NaN makes such images."
        )
    return array


def _check_value_range(images, value_range):
    """(low, high); raises if the range is empty, or integer pixels leave it."""
    low, high = as_pair(value_range=value_range)
    # Draws from a Normal may leave the range; integers that do are pixels in another unit.
    if np.issubdtype(images.dtype, np.integer) and images.max() > high:
        raise ValueError(
            f"Integer images must lie within value_range={value_range}. Received: a pixel of "
            f"{images.max()}. Pass value_range=(0, 255) for 8-bit images."
        )
    return low, high


def _level_of_the_user():
    """The `stacklevel` that names, from where this is called, the line outside of the package."""
    frame, level = inspect.currentframe(), 0
    while frame and frame.f_globals.get("__name__", "").startswith("tfgen."):
        frame, level = frame.f_back, level + 1
    return level


def _warn_of_clipping(images, value_range):
    """Warns if many pixels lie well outside of the range, where they all look alike."""
    low, high = value_range
    margin = TOLERANCE * (high - low)
    share = np.mean((images < low - margin) | (images > high + margin))
    if share > TOLERANCE:
        warnings.warn(
            f"{share:.0%} of the values lie outside of value_range={tuple(value_range)} and are "
            f"shown black or white. Received: images from {images.min():.3g} to "
            f"{images.max():.3g}. Pass value_range=(low, high), such as (-1, 1) for a tanh.",
            stacklevel=_level_of_the_user(),
        )


def _to_unit_range(images, value_range):
    """Maps `value_range` to [0, 1] and clips what lies outside."""
    low, high = value_range
    return np.clip((images.astype("float32") - low) / (high - low), 0.0, 1.0)


def _check_columns(columns, num_images):
    """Columns of the grid; None asks for the grid nearest to a square."""
    if columns is None:
        return math.ceil(math.sqrt(num_images))
    check_ints(1, "Use None for the grid nearest to a square.", columns=columns)
    return min(columns, num_images)


def _gap(tile_width):
    """White pixels between neighbouring images."""
    return max(1, tile_width // 28)


def _compose(tiles, columns):
    """One array, (rows * h + gaps, columns * w + gaps, c), of the images row by row."""
    _, height, width, channels = tiles.shape
    gap = _gap(width)
    rows = math.ceil(len(tiles) / columns)
    blank = np.ones((rows * columns - len(tiles), height, width, channels), tiles.dtype)
    cells = np.concatenate([tiles, blank])
    cells = np.pad(cells, [(0, 0), (0, gap), (0, gap), (0, 0)], constant_values=1.0)
    cells = cells.reshape(rows, columns, height + gap, width + gap, channels)
    grid = cells.swapaxes(1, 2).reshape(rows * (height + gap), columns * (width + gap), channels)
    return grid[:-gap, :-gap]


def _inches_per_pixel(grid_shape, columns):
    """100 pixels an inch, but legible tiles and a bounded page."""
    height, width = grid_shape[:2]
    legible = max(1 / 100, columns * MIN_TILE_INCHES / width)
    return min(legible, MAX_WIDTH_INCHES / width, MAX_HEIGHT_INCHES / height)


def _label_width(labels):
    """Inches that the longest label takes."""
    return INCHES_PER_CHARACTER * max(map(len, labels or [""]))


def _figure_size(grid_shape, scale, row_labels, column_labels):
    """Inches (width, height) of the grid with room for its labels and a title."""
    height, width = (scale * pixels for pixels in grid_shape[:2])
    below = 0.5 if column_labels else 0.1
    return max(width + _label_width(row_labels), MIN_WIDTH_INCHES), height + below + 0.4


def _draw(axes, pixels):
    """Shows an array with values in [0, 1], without ticks."""
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _tick(set_ticks, labels, first, pitch, room):
    """Writes labels from pixel `first`, each `pitch` on, or every k-th to leave `room` pixels."""
    step = math.ceil(room / pitch)
    centers = first + pitch * np.arange(len(labels))
    set_ticks(centers[::step], labels=labels[::step], fontsize=8)


def _titled_grid(tiles, columns, titles):
    """One Axes for each image, with its title."""
    rows = math.ceil(len(tiles) / columns)
    size = (max(1.1 * columns, 3.0), 1.3 * rows)
    fig, axes = subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, tile, title in zip(axes.flat[: len(tiles)], tiles, titles, strict=True):
        _draw(ax, tile)
        ax.set_title(title, fontsize=8)
    return fig, axes


def _label_tiles(axes, tile_shape, scale, row_labels, column_labels):
    """Labels of rows and columns as ticks; `scale` in inches a pixel."""
    height, width, _ = tile_shape
    gap = _gap(width)
    if row_labels is not None:
        room = LINE_INCHES / scale
        _tick(axes.set_yticks, row_labels, (height - 1) / 2, height + gap, room)
    if column_labels is not None:
        room = _label_width(column_labels) / scale
        _tick(axes.set_xticks, column_labels, (width - 1) / 2, width + gap, room)


def _plain_grid(tiles, columns, row_labels, column_labels):
    """One Axes with one array."""
    grid = _compose(tiles, columns)
    scale = _inches_per_pixel(grid.shape, columns)
    size = _figure_size(grid.shape, scale, row_labels, column_labels)
    fig, axes = subplots(figsize=size, layout="compressed")
    _draw(axes, grid)
    axes.tick_params(length=0)
    _label_tiles(axes, tiles.shape[1:], scale, row_labels, column_labels)
    return fig, axes


def image_grid(
    images: TensorLike,
    columns: int | None = None,
    value_range: Sequence[float] = (0.0, 1.0),
    titles: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
) -> Plots:
    """Images row by row in one grid.

    Args:
        images: array or tensor, shape (n, h, w, c), c 1 (shown grey) or 3 (RGB); or volumes, shape
            (n, d, h, w, c), of which the middle slice is shown.
        columns: int or None, images in a row; None gives the grid nearest to a square.
        value_range: (low, high), the values shown black and white; values outside are clipped, with
            a warning if they are many.
        titles: sequence of n str or None, one above each image.
        row_labels: sequence of str or None, one for each row. Not drawn beside `titles`.
        column_labels: sequence of str or None, one for each column. Not drawn beside `titles`.

    Returns:
        `(fig, axes)`: a single matplotlib Axes that shows one array; with `titles` an array of
        Axes, shape (rows, columns).

    Raises:
        ValueError: if the images are not finite or not (n, h, w, 1 or 3), integer pixels leave
            `value_range`, or the labels are not as many as what they label.

    Example:
        >>> fig, axes = image_grid(np.zeros((6, 28, 28, 1)), columns=3)
        >>> axes.images[0].get_array().shape  # 2 x 3 images and the gaps between them
        (57, 86)
    """
    images = check_images(images=images)
    images = images if images.ndim == 4 else images[:, images.shape[1] // 2]
    limits = _check_value_range(images, value_range)
    columns = _check_columns(columns, len(images))
    above = as_labels(len(images), titles=titles)
    rows = as_labels(math.ceil(len(images) / columns), row_labels=row_labels)
    below = as_labels(columns, column_labels=column_labels)
    _warn_of_clipping(images, limits)
    tiles = _to_unit_range(images, limits)
    if above is not None:
        return _titled_grid(tiles, columns, above)
    return _plain_grid(tiles, columns, rows, below)


def volume_slices(
    volumes: TensorLike,
    num_slices: int = 8,
    value_range: Sequence[float] = (0.0, 1.0),
    row_labels: Sequence[str] | None = None,
) -> Plots:
    """A row of slices, from the first to the last, of each volume.

    Args:
        volumes: array or tensor, shape (n, d, h, w, c), c 1 or 3.
        num_slices: int >= 1, slices in a row, evenly spaced; all if there are no more; of 1 the
            middle one.
        value_range: (low, high), the values shown black and white.
        row_labels: sequence of str or None, one for each volume.

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if the volumes are not finite or not (n, d, h, w, 1 or 3), or as `image_grid`.

    Example:
        >>> fig, axes = volume_slices(np.zeros((2, 16, 12, 12, 1)), num_slices=4)
        >>> axes.get_title()
        'slices 0 to 15'
    """
    array = check_images(volumes=volumes)
    if array.ndim != 5:
        raise ValueError(
            "volumes must have the shape (n, depth, height, width, channels). Received: shape "
            f"{array.shape}. Give a single volume a first axis."
        )
    check_drawable(100, num_slices=num_slices)
    depth = array.shape[1]
    chosen = np.unique(np.linspace(0, depth - 1, min(num_slices, depth)).round().astype(int))
    chosen = chosen if num_slices > 1 else np.array([depth // 2])
    tiles = array[:, chosen].reshape(-1, *array.shape[2:])
    fig, axes = image_grid(tiles, len(chosen), value_range, row_labels=row_labels)
    axes.set_title(
        f"slices {chosen[0]} to {chosen[-1]}" if chosen[1:].size else f"slice {chosen[0]}"
    )
    return fig, axes
