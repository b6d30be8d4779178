"""Multi-scale structural similarity of images: how alike random pairs are.

Source: Wang, Simoncelli & Bovik, "Multi-scale Structural Similarity for Image Quality Assessment",
Asilomar 2003, Eq. 7 and Sec. 3.2; Odena, Olah & Shlens, arXiv:1610.09585v4, Sec. 4.2 (pairs).
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen import losses
from tfgen._utils.arguments import as_numbers, as_pair, check_ints, check_seed, check_size
from tfgen._utils.typing import TensorLike
from tfgen.losses.ms_ssim import check_window
from tfgen.metrics._images import check_image_shape
from tfgen.metrics._samples import flat_samples

__all__ = ["MeanAndError", "ms_ssim", "pairwise_ms_ssim"]

_BATCH_SIZE = 256


class MeanAndError(NamedTuple):
    """A mean of random draws and its standard error."""

    mean: float
    standard_error: float


def _check_images(
    images: TensorLike, value_range: tuple[float, float], name: str = "images"
) -> np.ndarray:
    """Images as an array, whose values lie in the range; else ValueError."""
    images = as_numbers(**{name: images})
    check_image_shape(images, name)
    low, high = as_pair(value_range=value_range)
    if not (low <= images.min() and images.max() <= high):
        raise ValueError(
            f"Pixels of {name} must lie in value_range={tuple(value_range)}. "
            f"Received: values from {images.min()} to {images.max()}."
        )
    return images


@tf.function
def _similarities(
    a: tf.Tensor, b: tf.Tensor, value_range: tuple[float, float], filter_size: int
) -> tf.Tensor:
    a, b = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
    return losses.ms_ssim(a, b, value_range, filter_size)


def _batches(num_pairs: int) -> list[slice]:
    return [slice(start, start + _BATCH_SIZE) for start in range(0, num_pairs, _BATCH_SIZE)]


def ms_ssim(
    a: TensorLike,
    b: TensorLike,
    value_range: tuple[float, float] = (0.0, 1.0),
    filter_size: int | None = None,
) -> np.ndarray:
    """Multi-scale structural similarity of each pair of images; see `tfgen.losses.ms_ssim`.

    At 28x28 there are two scales with a window of 11, three with 7 or 5, four with 3.

    Args:
        a: array or tensor, shape (num_images, height, width, channels).
        b: like `a`, the other image of each pair.
        value_range: (low, high), the range that pixels may have, such as (0, 255) or (-1, 1).
        filter_size: odd int, width of the window. None: the largest up to 11 that fits at three
            scales, which is 7 at 28x28, 11 from 41 pixels on.

    Returns:
        float32 array, shape (num_images,), in [0, 1]; 1 for identical images. It depends on the
        window: state it beside the value.

    Raises:
        ValueError: if shapes differ or are not those of images, pixels leave the range, or the
            window does not fit.

    Example:
        >>> images = np.random.default_rng(0).uniform(size=(2, 28, 28, 1))
        >>> ms_ssim(images, images).round(4)
        array([1., 1.], dtype=float32)
    """
    a, b = _check_images(a, value_range, "a"), _check_images(b, value_range, "b")
    if a.shape != b.shape:
        raise ValueError(f"a and b must have one shape. Received: {a.shape} and {b.shape}.")
    filter_size, _ = check_window(a.shape[1:], filter_size)
    values = [
        _similarities(a[rows], b[rows], tuple(value_range), filter_size)
        for rows in _batches(len(a))
    ]
    return np.concatenate(values)


def pairwise_ms_ssim(
    images: TensorLike,
    num_pairs: int = 1000,
    seed: int = 0,
    value_range: tuple[float, float] = (0.0, 1.0),
    filter_size: int | None = None,
) -> MeanAndError:
    """Mean MS-SSIM of random pairs of distinct images: high if samples lack variety.

    Source: Odena, Olah & Shlens, arXiv:1610.09585v4, Sec. 4.2. There within a class; for samples
    of all classes, compare with the value of as many real images.

    Args:
        images: array or tensor, shape (num_images, height, width, channels), at least 2.
        num_pairs: int >= 2, pairs drawn, independently of each other.
        seed: int, which pairs.
        value_range: (low, high), as in `ms_ssim`.
        filter_size: odd int or None, as in `ms_ssim`.

    Returns:
        `MeanAndError`, the mean in [0, 1] (1 if all images are the same) and its standard error,
        which holds while pairs are fewer than images: beyond, pairs share images.

    Raises:
        ValueError: as `ms_ssim`, and for fewer than 2 images or pairs.

    Example:
        >>> round(pairwise_ms_ssim(np.full((5, 28, 28, 1), 0.3), num_pairs=10).mean, 4)
        1.0
    """
    images = _check_images(images, value_range)
    flat_samples(images, "images")
    check_ints(2, num_pairs=num_pairs)
    check_size(num_pairs=num_pairs)
    check_seed(seed=seed)
    rng = np.random.default_rng(seed)
    first = rng.integers(len(images), size=num_pairs)
    second = (first + rng.integers(1, len(images), size=num_pairs)) % len(images)
    parts = [
        ms_ssim(images[first[rows]], images[second[rows]], value_range, filter_size)
        for rows in _batches(num_pairs)
    ]
    values = np.concatenate(parts).astype("float64")
    return MeanAndError(float(values.mean()), float(values.std(ddof=1) / np.sqrt(num_pairs)))
