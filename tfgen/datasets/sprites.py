"""Sprites with the five known factors of dSprites, drawn in code.

Source: Matthey, Higgins, Hassabis & Lerchner, dSprites (2017): white shapes on black, 64 x 64
pixels, one for each combination of 3 shapes, 6 scales, 40 orientations and 32 x 32 positions. An
image's index counts these combinations, with the shape as slowest and the vertical position as
fastest factor, as in dSprites.

The values of the factors are those of dSprites: shapes square, ellipse, heart; scales from 0.5 to
1; orientations from 0 to 2 pi, both ends included, so that the first and the last are the same.
Positions are one pixel apart, and no shape touches the frame. A square repeats itself every
quarter turn and an ellipse every half turn, here as there: an encoder cannot tell these
orientations apart.

Deviation: the outlines are formulas, so single pixels differ from the files of dSprites.
"""

import functools

import numpy as np
import tensorflow as tf

from tfgen._utils.typing import TensorLike
from tfgen.datasets.examples import Examples
from tfgen.datasets.images import as_image_sizes, resize
from tfgen.datasets.splits import hold_out, select

__all__ = [
    "FACTOR_NAMES",
    "FACTOR_SIZES",
    "NUM_SPRITES",
    "SHAPE_NAMES",
    "draw",
    "factors_of",
    "index_of",
    "read_sprites",
]

FACTOR_NAMES = ("shape", "scale", "orientation", "position_x", "position_y")
FACTOR_SIZES = (3, 6, 40, 32, 32)
NUM_SPRITES = 737_280
SHAPE_NAMES = ("square", "ellipse", "heart")

# Index distance between neighbouring values of each factor.
_STRIDES = (245_760, 40_960, 1024, 32, 1)
_IMAGE_SIZE = 64
# A template is the shape in its leftmost, topmost position; it moves by up to 31 pixels.
_MAX_SHIFT = 31
_TEMPLATE_SIZE = _IMAGE_SIZE - _MAX_SHIFT

# Pixels from the middle of a shape to its farthest point at scale 1: within a template, whose
# outermost pixels are 16 away, and without a pixel's centre on the outline of an upright square.
_RADIUS = 15.4


def factors_of(index: TensorLike) -> tf.Tensor:
    """Factors of sprites.

    Args:
        index: int array or tensor, shape (...), values in [0, 737280).

    Returns:
        int32 tensor, shape (..., 5), in the order of `FACTOR_NAMES`.

    Raises:
        ValueError: if an index lies outside its range.

    Example:
        >>> factors_of([0, 737279]).numpy().tolist()
        [[0, 0, 0, 0, 0], [2, 5, 39, 31, 31]]
    """
    index = _as_int("index", index, (NUM_SPRITES,))
    return index[..., None] // _STRIDES % FACTOR_SIZES


def index_of(factors: TensorLike) -> tf.Tensor:
    """Index of sprites, the inverse of `factors_of`.

    Args:
        factors: int array or tensor, shape (..., 5), in the order of `FACTOR_NAMES`.

    Returns:
        int32 tensor, shape (...).

    Raises:
        ValueError: if a factor lies outside its range.

    Example:
        >>> int(index_of([2, 5, 39, 31, 31]))
        737279
    """
    factors = _as_factors(factors)
    return tf.reduce_sum(factors * _STRIDES, axis=-1)


def draw(factors: TensorLike) -> tf.Tensor:
    """Images of sprites.

    Args:
        factors: int array or tensor, shape (num_images, 5), in the order of `FACTOR_NAMES`.

    Returns:
        float32 tensor of zeros and ones, shape (num_images, 64, 64, 1).

    Raises:
        ValueError: if a factor lies outside its range.

    Example:
        >>> image = draw([[0, 0, 0, 31, 31]])
        >>> image.shape, int(tf.reduce_sum(image))
        (TensorShape([1, 64, 64, 1]), 121)
    """
    shape, scale, orientation, shift_x, shift_y = tf.unstack(_as_factors(factors), axis=-1)
    _, num_scales, num_orientations, _, _ = FACTOR_SIZES
    template = (shape * num_scales + scale) * num_orientations + orientation
    bits = _place(template, shift_x, shift_y)
    pixels = tf.reshape(_unpack(bits), (-1, _IMAGE_SIZE, _IMAGE_SIZE, 1))
    return tf.cast(pixels, tf.float32)


def _place(template, shift_x, shift_y):
    """Image rows as 64-bit numbers, shape (num_images, 64); the lowest bit is the left pixel."""
    table = tf.constant(_template_rows())
    first_row = template * (_TEMPLATE_SIZE + 2 * _MAX_SHIFT) + _MAX_SHIFT - shift_y
    rows = tf.gather(table, first_row[:, None] + tf.range(_IMAGE_SIZE))
    return tf.bitwise.left_shift(rows, tf.cast(shift_x, tf.uint64)[:, None])


def _unpack(bits):
    """Bits of 64-bit numbers, uint8, shape (..., 8, 8), the lowest first."""
    octets = tf.bitcast(bits, tf.uint8)[..., None]
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(octets, np.arange(8, dtype="uint8")), 1)


@functools.cache
def _template_rows():
    """Rows of all templates as numbers, uint64, with empty rows above and below each."""
    templates = _draw_templates().reshape(-1, _TEMPLATE_SIZE, _TEMPLATE_SIZE)
    place_values = np.uint64(1) << np.arange(_TEMPLATE_SIZE, dtype="uint64")
    rows = (templates * place_values).sum(axis=-1, dtype="uint64")
    return np.pad(rows, ((0, 0), (_MAX_SHIFT, _MAX_SHIFT))).reshape(-1)


def _draw_templates():
    """Shapes in the middle of their template, bool, shape (3, 6, 40, 33, 33)."""
    _, num_scales, num_orientations, _, _ = FACTOR_SIZES
    radius = _RADIUS * np.linspace(0.5, 1, num_scales)[:, None, None, None]
    angle = np.linspace(0, 2 * np.pi, num_orientations)[:, None, None]
    half = _TEMPLATE_SIZE // 2
    y, x = np.mgrid[half : -half - 1 : -1, -half : half + 1]
    turned_x = (np.cos(angle) * x + np.sin(angle) * y) / radius
    turned_y = (np.cos(angle) * y - np.sin(angle) * x) / radius
    return np.stack([inside(turned_x, turned_y) for inside in (_square, _ellipse, _heart)])


def _square(x, y):
    """Whether points lie in the square inside the unit circle; y points upwards."""
    return np.maximum(np.abs(x), np.abs(y)) < np.sqrt(0.5)


def _ellipse(x, y):
    """Whether points lie in an ellipse twice as wide as high, inside the unit circle."""
    return x**2 + (2 * y) ** 2 < 1


def _heart(x, y):
    """Whether points lie in the heart (x^2 + y^2 - 1)^3 < x^2 y^3, inside the unit circle."""
    # The smallest circle around this heart has its centre at y = 0.241 and the radius 1.256.
    x, y = 1.256 * x, 1.256 * y + 0.241
    return (x**2 + y**2 - 1) ** 3 < x**2 * y**3


def read_sprites(split: str = "train", *, image_size: tuple[int, ...] | None = None) -> Examples:
    """Sprites to train and to test on.

    A random tenth of the indices, always the same, is the test split. "all" is in the order of
    the indices, the others are not.

    Args:
        split: str, "train", "test", "all" or slices of these.
        image_size: (height, width) or None.

    Returns:
        `Examples` whose rows and labels are the factors, int32; `to_images` draws them.

    Example:
        >>> read_sprites("test").rows.shape
        (73728, 5)
    """
    height, width = as_image_sizes(2, image_size=image_size) or (_IMAGE_SIZE, _IMAGE_SIZE)
    factors = factors_of(select(hold_out(NUM_SPRITES), split)).numpy()

    def to_images(rows):
        return resize(draw(rows), (height, width))

    return Examples(
        "sprites",
        factors,
        (height, width, 1),
        factors,
        to_images=to_images,
        factor_names=FACTOR_NAMES,
        factor_sizes=FACTOR_SIZES,
    )


def _as_int(name, values, sizes):
    """int32 tensor; values are checked where they are known, which they are not in a graph."""
    if tf.is_tensor(values) and not values.dtype.is_integer:
        _refuse(name, f"a tensor of {values.dtype.name}")
    if not tf.is_symbolic_tensor(values):
        values = _checked(name, values, sizes)
    return tf.cast(values, tf.int32)


def _checked(name, values, sizes):
    """Array of integers, each below the size of its column."""
    try:
        array = np.asarray(values)
    except ValueError:  # Rows of different lengths.
        array = np.empty((), object)
    if array.size and array.dtype.kind not in "iu":
        _refuse(name, f"{type(values).__name__} of dtype {array.dtype}")
    if array.ndim and array.shape[-1] == len(sizes) or len(sizes) == 1:
        _check_range(name, array, sizes)
    return array


def _refuse(name, received):
    raise ValueError(
        f"{name} must be an array of integers. Received: {name} is {received}. The factors are "
        f"{dict(zip(FACTOR_NAMES, FACTOR_SIZES, strict=True))}."
    )


def _as_factors(factors):
    """int32 tensor, shape (..., 5), checked."""
    factors = _as_int("factors", factors, FACTOR_SIZES)
    if factors.shape.rank == 0 or factors.shape[-1] != len(FACTOR_SIZES):
        raise ValueError(
            f"Factors must have {len(FACTOR_SIZES)} columns: {', '.join(FACTOR_NAMES)}. "
            f"Received: factors of shape {tuple(factors.shape)}. "
            "Use factors_of to get the factors of an index."
        )
    return factors


def _check_range(name, values, sizes):
    if (values < 0).any() or (values >= np.array(sizes)).any():
        raise ValueError(
            f"Each value of {name} must be at least 0 and below {', '.join(map(str, sizes))}. "
            f"Received: values from {values.min()} to {values.max()}. "
            f"The factors are {dict(zip(FACTOR_NAMES, FACTOR_SIZES, strict=True))}."
        )
