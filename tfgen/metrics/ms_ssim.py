"""Multi-scale structural similarity of images: how alike random pairs are.

Source: Wang, Simoncelli & Bovik, "Multi-scale Structural Similarity for Image Quality Assessment",
Asilomar 2003, Eq. 7 and Sec. 3.2; Odena, Olah & Shlens, arXiv:1610.09585v4, Sec. 4.2 (pairs).
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen._utils.arguments import as_numbers, as_pair, check_ints, check_seed, check_size
from tfgen._utils.typing import Shape, TensorLike
from tfgen.metrics._images import check_image_shape
from tfgen.metrics._samples import flat_samples

__all__ = ["MeanAndError", "ms_ssim", "pairwise_ms_ssim"]

_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al., 2003, Sec. 3.2.
_MAX_FILTER_SIZE = 11
_NUM_SCALES = 3  # As many as the window is shrunk for.
_BATCH_SIZE = 256


class MeanAndError(NamedTuple):
    """A mean of random draws and its standard error."""

    mean: float
    standard_error: float


def _scale_sizes(size: int) -> list[int]:
    """Shorter side of the image at each scale: halved, an odd one rounded up."""
    sizes = [size]
    while len(sizes) < len(_EXPONENTS):
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def _choose_filter_size(size: int) -> int:
    """The largest odd window, up to 11, that fits the image at 3 scales."""
    smallest = _scale_sizes(size)[_NUM_SCALES - 1]
    return min(_MAX_FILTER_SIZE, smallest - 1 + smallest % 2)


def check_window(image_shape: Shape, filter_size: int | None) -> tuple[int, int]:
    """The window and the number of scales at which it fits; ValueError if at none."""
    size = min(image_shape[:2])
    if filter_size is None:
        filter_size = max(_choose_filter_size(size), 3)
    check_ints(filter_size=filter_size)
    if filter_size % 2 == 0 or not 3 <= filter_size <= size:
        raise ValueError(
            "filter_size must be odd, at least 3 and at most the image's shorter side. Received: "
            f"{filter_size} for images of shape {tuple(image_shape)}."
        )
    return filter_size, sum(scale >= filter_size for scale in _scale_sizes(size))


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


@tf.function(reduce_retracing=True)
def _similarities(
    a: tf.Tensor, b: tf.Tensor, low: float, width: float, filter_size: int, num_scales: int
) -> tf.Tensor:
    exponents = np.array(_EXPONENTS[:num_scales]) / sum(_EXPONENTS[:num_scales])
    a, b = tf.cast(a, tf.float32) - low, tf.cast(b, tf.float32) - low
    return tf.image.ssim_multiscale(
        a, b, max_val=width, power_factors=exponents.tolist(), filter_size=filter_size
    )


def _batches(num_pairs: int) -> list[slice]:
    return [slice(start, start + _BATCH_SIZE) for start in range(0, num_pairs, _BATCH_SIZE)]


def ms_ssim(
    a: TensorLike,
    b: TensorLike,
    value_range: tuple[float, float] = (0.0, 1.0),
    filter_size: int | None = None,
) -> np.ndarray:
    """Multi-scale structural similarity of each pair of images, by `tf.image.ssim_multiscale`.

    The image is compared at up to 5 scales, each of half the size, as many as the window fits into:
    at 28x28 two with a window of 11, three with 7 or 5, four with 3. The paper's exponents of these
    scales are divided by their sum. Negative contrast terms count as 0. Channels are compared each
    on its own and averaged.

    Source: Wang, Simoncelli & Bovik, 2003, Eq. 7 and Sec. 3.2 (exponents, window of 11 pixels with
    standard deviation 1.5). Deviation: smaller images have fewer scales, and a smaller window.

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
        ValueError: if shapes differ or are no images', pixels leave the range, or the window does
            not fit.

    Example:
        >>> images = np.random.default_rng(0).uniform(size=(2, 28, 28, 1))
        >>> ms_ssim(images, images).round(4)
        array([1., 1.], dtype=float32)
    """
    a, b = _check_images(a, value_range, "a"), _check_images(b, value_range, "b")
    if a.shape != b.shape:
        raise ValueError(f"a and b must have one shape. Received: {a.shape} and {b.shape}.")
    filter_size, num_scales = check_window(a.shape[1:], filter_size)
    low, high = value_range
    values = [
        _similarities(a[rows], b[rows], float(low), float(high - low), filter_size, num_scales)
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
    """Mean MS-SSIM of random pairs of distinct images: high where samples lack variety.

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
        >>> pairwise_ms_ssim(np.full((5, 28, 28, 1), 0.3), num_pairs=10)
        MeanAndError(mean=1.0, standard_error=0.0)
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
