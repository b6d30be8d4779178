"""Operations on batches of images: resize, crop, binarize, rescale."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgen._utils import random
from tfgen._utils.arguments import as_sizes
from tfgen._utils.typing import Seed

__all__ = [
    "as_image_sizes",
    "binarize",
    "crop",
    "rescale",
    "resize",
    "resize_all",
    "to_unit_interval",
]

_CHUNK_SIZE = 1024
_LARGEST_SIDE = 2**14


def as_image_sizes(num_axes: int, remedy: str = "", /, **values: Any) -> tuple[int, ...] | None:
    """`as_sizes` of images, which refuses sides that no image has.

    Example:
        >>> as_image_sizes(2, image_size=28)
        (28, 28)
    """
    ((name, value),) = values.items()
    sizes = as_sizes(num_axes, remedy, **values)
    if isinstance(value, bool) or max(sizes or (0,)) > _LARGEST_SIDE:
        raise ValueError(
            f"{name} must be an int of at most {_LARGEST_SIDE}, or one for each axis. Received: "
            f"{name}={value!r}. {remedy}".strip()
        )
    return sizes


def to_unit_interval(images: tf.Tensor) -> tf.Tensor:
    """Intensities in [0, 1]: uint8 images divided by 255, float images as they are.

    Args:
        images: tensor of any shape, uint8 or float.

    Returns:
        float32 tensor of the same shape.

    Example:
        >>> to_unit_interval(tf.constant([0, 51, 255], "uint8")).numpy().tolist()
        [0.0, 0.20000000298023224, 1.0]
    """
    floats = tf.cast(images, tf.float32)
    return floats / 255.0 if images.dtype == tf.uint8 else floats


def binarize(images: tf.Tensor, mode: str | None, seed: Seed) -> tf.Tensor:
    """Binary images of intensities.

    Args:
        images: float tensor, intensities in [0, 1].
        mode: "threshold" for 1 where the intensity exceeds 0.5, "stochastic" for one Bernoulli
            draw per value with the intensity as probability; any other mode changes nothing.
        seed: int tensor, shape (2,), of the draw.

    Returns:
        Tensor of the same shape and type.

    Example:
        >>> binarize(tf.constant([0.2, 0.5, 0.9]), "threshold", seed=(0, 0)).numpy().tolist()
        [0.0, 0.0, 1.0]
    """
    if mode == "threshold":
        return tf.cast(images > 0.5, images.dtype)
    if mode == "stochastic":
        noise = random.uniform(tf.shape(images), seed)
        return tf.cast(noise < images, images.dtype)
    return images


def rescale(images: tf.Tensor, value_range: tuple[float, float]) -> tf.Tensor:
    """Intensities in [0, 1] mapped linearly to [low, high].

    Args:
        images: float tensor.
        value_range: (low, high).

    Returns:
        Tensor of the same shape and type.

    Example:
        >>> rescale(tf.constant([0.0, 0.5, 1.0]), (-1, 1)).numpy().tolist()
        [-1.0, 0.0, 1.0]
    """
    low, high = value_range
    return images if (low, high) == (0, 1) else low + (high - low) * images


def crop(images: tf.Tensor, box: tuple[int, int, int, int]) -> tf.Tensor:
    """The part of the images inside a box.

    Args:
        images: tensor, shape (..., height, width, channels).
        box: (left, top, right, bottom) in pixels as in PIL: right and bottom are outside.

    Returns:
        Tensor, shape (..., bottom - top, right - left, channels).

    Example:
        >>> crop(tf.zeros((218, 178, 3)), (30, 50, 148, 168)).shape
        TensorShape([118, 118, 3])
    """
    left, top, right, bottom = box
    return images[..., top:bottom, left:right, :]


def resize(images: tf.Tensor, size: Sequence[int] | None) -> tf.Tensor:
    """Images of another size, without aliasing.

    Shrinking averages over the area that a new pixel covers; enlarging interpolates linearly.
    The aspect ratio is not kept. Images whose size only the run tells are interpolated linearly,
    over as large an area where they shrink.

    Args:
        images: uint8 or float tensor, shape (..., height, width, channels).
        size: (height, width) of the result, or None to change nothing.

    Returns:
        Tensor of the same type, shape (..., *size, channels); uint8 values are rounded.

    Example:
        >>> image = tf.constant([[0, 100], [100, 200]], "uint8")[..., None]
        >>> resize(image, (1, 1)).numpy().item()
        100
    """
    height, width = images.shape[-3:-1]
    if size is None or tuple(size) == (height, width):
        return images
    shrinks = None not in (height, width) and size[0] <= height and size[1] <= width
    method = "area" if shrinks else "bilinear"
    resized = tf.image.resize(images, size, method=method, antialias=True)
    return tf.cast(tf.round(resized), tf.uint8) if images.dtype == tf.uint8 else resized


def resize_all(images: np.ndarray, size: Sequence[int] | None) -> np.ndarray:
    """`resize` for an array of many images, a chunk at a time.

    Args:
        images: uint8 or float array, shape (num_images, height, width, channels).
        size: (height, width) of the result, or None to change nothing.

    Returns:
        Array of the same type, shape (num_images, *size, channels).

    Example:
        >>> resize_all(np.zeros((3, 8, 8, 1), "uint8"), (4, 6)).shape
        (3, 4, 6, 1)
    """
    if size is None or not len(images):
        return images if size is None else images.reshape(0, *size, images.shape[-1])
    starts = range(0, len(images), _CHUNK_SIZE)
    chunks = (tf.convert_to_tensor(images[start : start + _CHUNK_SIZE]) for start in starts)
    return np.concatenate([resize(chunk, size).numpy() for chunk in chunks])
