"""Examples that are already in memory: arrays, and the digits of scikit-learn."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfgen._utils import extras
from tfgen.datasets.examples import Examples
from tfgen.datasets.images import resize_all
from tfgen.datasets.splits import select, unsplit

__all__ = ["read_array", "read_digits"]

_NUM_TEST_DIGITS = 360
_ANY_NUMBERS = "value_range=None delivers any numbers as they are; load_table standardizes rows."


def read_array(
    source: Any,
    split: str = "train",
    *,
    image_size: tuple[int, ...] | None = None,
    name: str = "array",
    as_it_is: bool = False,
) -> Examples:
    """Images or other examples, and labels, given as arrays.

    Args:
        source: array, or a tuple (array, labels). Images have the shape (num_examples, height,
            width) or (num_examples, height, width, channels); others, such as rows
            (num_examples, features), keep theirs. They are uint8, or float with intensities in
            [0, 1]. Labels have num_examples rows. A memory map of uint8 or float32 stays on disk,
            unless the images are resized.
        split: str, "train" or "all" for every image, "train_shuffled" for every image in a random
            order, always the same, or a slice such as "train[:90%]".
        image_size: (height, width) or None.
        name: str.
        as_it_is: bool, for numbers of any type and size, delivered as they are, where an array of
            three axes is one of series (num_examples, length, channels).

    Returns:
        `Examples`.

    Raises:
        ValueError: if the array is empty, not finite, or not in [0, 1] where it must be, or the
            labels do not fit.

    Example:
        >>> read_array(np.zeros((10, 8, 6), "uint8"), "train[:50%]").rows.shape
        (5, 8, 6, 1)
    """
    images, labels = _pair(source)
    images = _as_numbers(images) if as_it_is else _as_images(images)
    labels = None if labels is None else _as_labels(labels, len(images))
    chosen = select(unsplit(len(images)), split)
    labels = None if labels is None else _rows(labels, chosen)
    to_images = {"to_images": _as_floats} if as_it_is else {}
    return _examples(name, _rows(images, chosen), labels, image_size, **to_images)


def read_digits(split: str = "train", *, image_size: tuple[int, ...] | None = None) -> Examples:
    """The 1797 handwritten digits of scikit-learn, 8 x 8 pixels, embedded in that package.

    The split into 1437 images for training and 360 for tests is always the same, with equal
    shares of each digit.

    Args:
        split: str, "train", "test", "all" or slices of these.
        image_size: (height, width) or None.

    Returns:
        `Examples` with float32 pixels, multiples of 1/16, and int32 labels.

    Example:
        >>> read_digits("test").rows.shape
        (360, 8, 8, 1)
    """
    digits = extras.require("sklearn.datasets", extra="data").load_digits()
    chosen = select(_split_digits(digits.target), split)
    images = (digits.images[chosen, ..., None] / 16).astype("float32")
    labels = digits.target[chosen].astype("int32")
    names = tuple(str(name) for name in digits.target_names)
    return _examples("digits", images, labels, image_size, class_names=names)


def _pair(source):
    """Images, and labels or None."""
    if not isinstance(source, tuple):
        return source, None
    if len(source) != 2:
        raise ValueError(
            "source must be images or a tuple (images, labels). Received: source is a tuple of "
            f"{len(source)}. Pass several arrays of images as one, by np.concatenate."
        )
    return source


def _as_array(name, values):
    """Array of numbers."""
    try:
        array = values if isinstance(values, np.memmap) else np.asarray(values)
    except ValueError:  # Rows of different lengths.
        array = np.empty((), object)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise ValueError(
            f"{name} must be an array of numbers. Received: {type(values).__name__} of dtype "
            f"{array.dtype}, shape {array.shape}. Images of different sizes are read from a folder."
        )
    return array


def _rows(array, chosen):
    """The chosen rows, a view of the array if they lie together: a memory map stays on disk."""
    first, last = chosen[0], chosen[-1]
    together = np.array_equal(chosen, np.arange(first, last + 1))
    return array[first : last + 1] if together else array[chosen]


def _examples(name, images, labels, image_size, **options):
    if images.ndim != 4 and image_size is not None:
        raise ValueError(
            f"image_size is of images. Received: image_size={image_size} with examples of shape "
            f"{images.shape[1:]}. Resize them first, or leave it out."
        )
    images = resize_all(images, image_size)
    return Examples(name, images, images.shape[1:], labels, **options)


def _as_floats(rows):
    return tf.cast(rows, tf.float32)


def _split_digits(labels):
    """Positions of the examples of each split, shuffled once and for all."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        np.arange(len(labels)), test_size=_NUM_TEST_DIGITS, stratify=labels, random_state=0
    )
    return {"train": train, "test": test}


def _as_images(images):
    """uint8 or float32 array of intensities, shape (num_examples, ...), checked."""
    images = _with_axes(images)
    images = images[..., None] if images.ndim == 3 else images
    _check_values(images)
    return images if images.dtype == np.uint8 else images.astype("float32", copy=False)


def _as_numbers(values):
    """uint8 or float32 array of any finite numbers, shape (num_examples, ...)."""
    values = _with_axes(values)
    if values.dtype == np.uint8:
        return values
    with np.errstate(over="ignore"):
        values = values.astype("float32", copy=False)
    _check_finite(values, "be finite, in float32 too")
    return values


def _with_axes(values):
    """Array of numbers, shape (num_examples, ..., features)."""
    values = _as_array("source", values)
    if 0 in values.shape:
        raise ValueError(
            "source, an array, must have at least one example, and no axis of size 0. Received: "
            f"shape {values.shape}. Images have the shape (num_examples, height, width) or "
            "(num_examples, height, width, channels)."
        )
    return values[:, None] if values.ndim == 1 else values


def _check_finite(values, expected):
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all():
        what = "NaN" if np.isnan(low) else "infinite values"
        bad = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())
        raise ValueError(
            f"Numbers in source must {expected}. Received: {what} in {bad} of {len(values)} "
            "examples. Leave these out or replace the values, as np.nan_to_num does."
        )


def _check_values(images):
    if images.dtype == np.uint8:
        _check_bytes(images)
    elif np.issubdtype(images.dtype, np.floating):
        _check_intensities(images)
    else:
        raise ValueError(
            "An array in source must be uint8 in [0, 255] or float in [0, 1]. "
            f"Received: dtype {images.dtype}. Convert it, for example with "
            f"images.astype('float32'). {_ANY_NUMBERS}"
        )


def _check_bytes(images):
    if images.max() == 1:
        raise ValueError(
            "uint8 images in source hold intensities from 0 to 255. Received: uint8 images whose "
            "largest value is 1. Convert binary images with images.astype('float32')."
        )


def _check_intensities(images):
    _check_finite(images, "be finite, and lie in [0, 1]")
    low, high = images.min(), images.max()
    if low < 0 or high > 1:
        raise ValueError(
            "Floats in source must have intensities in [0, 1]. Received: values in "
            f"[{low:g}, {high:g}]. Divide by 255 if they lie in [0, 255]; `value_range` sets the "
            f"range that the pipeline delivers. {_ANY_NUMBERS}"
        )


def _as_labels(labels, num_examples):
    """Array of labels, checked."""
    labels = _as_array("Labels in source", labels)
    if labels.shape[:1] != (num_examples,):
        raise ValueError(
            f"Labels in source must have one row for each of the {num_examples} images. "
            f"Received: labels of shape {labels.shape}. Pass (images, labels) of equal length."
        )
    return labels
