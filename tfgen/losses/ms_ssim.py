"""Multi-scale structural similarity of images, with a gradient.

Source: Wang, Simoncelli & Bovik, "Multi-scale Structural Similarity for Image Quality Assessment",
Asilomar 2003, Eq. 7 and Sec. 3.2.
"""

import numpy as np
import tensorflow as tf

from tfgen._utils.arguments import as_pair, check_ints
from tfgen._utils.tensors import check_same_shape, check_tensors
from tfgen._utils.typing import Shape, TensorLike

__all__ = ["check_window", "ms_ssim"]

_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al., 2003, Sec. 3.2.
_MAX_FILTER_SIZE = 11
_FILTER_SIGMA = 1.5
_NUM_SCALES = 3  # As many as the window is shrunk for.
_LUMINANCE_CONSTANT, _CONTRAST_CONSTANT = 0.01**2, 0.03**2  # Of pixels in [0, 1].
_LEAST_TERM = 0.01  # Below it gradients do not grow: those of powers below 1 are infinite at 0.


def _scale_sizes(size):
    """Shorter side of the image at each scale: halved, an odd one rounded up."""
    sizes = [size]
    while len(sizes) < len(_EXPONENTS):
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def _choose_filter_size(size):
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


def ms_ssim(
    a: TensorLike,
    b: TensorLike,
    value_range: tuple[float, float] = (0.0, 1.0),
    filter_size: int | None = None,
) -> tf.Tensor:
    """Multi-scale structural similarity of each pair of images.

    The image is compared at up to 5 scales, each of half the size, as many as the window fits into.
    The paper's exponents of these scales are divided by their sum. Negative contrast terms count as
    0. Channels are compared each on its own and averaged.

    The gradient of a term below 0.01 is that at 0.01. It is finite everywhere, and leads away from
    negative contrast, where the similarity is 0.

    Source: Wang, Simoncelli & Bovik, 2003, Eq. 7 and Sec. 3.2 (exponents, window of 11 pixels with
    standard deviation 1.5). Deviation: smaller images have fewer scales, and a smaller window.

    Args:
        a: float tensor, shape (batch, height, width, channels).
        b: like `a`, the other image of each pair.
        value_range: (low, high), the range that pixels may have, such as (0, 255) or (-1, 1).
        filter_size: odd int, width of the window. None: the largest up to 11 that fits at three
            scales, which is 7 at 28x28, 11 from 41 pixels on.

    Returns:
        Tensor, shape (batch,), in [0, 1]; 1 for identical images.

    Raises:
        ValueError: if the shapes differ or are not those of images, or the window does not fit.

    Example:
        >>> image = tf.reshape(tf.range(64.0) / 64, (1, 8, 8, 1))
        >>> ms_ssim(image, image).numpy().round(4), ms_ssim(image, 1 - image).numpy()
        (array([1.], dtype=float32), array([0.], dtype=float32))
    """
    check_tensors(4, a=a, b=b)
    check_same_shape(a=a, b=b)
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
    if a.shape.rank != 4:
        raise ValueError(
            f"a must have shape (batch, height, width, channels). Received: shape {a.shape}."
        )
    filter_size, num_scales = check_window(a.shape[1:], filter_size)
    low, high = as_pair(value_range=value_range)
    a, b = ((images - low) / (high - low) for images in (a, b))
    exponents = np.array(_EXPONENTS[:num_scales])[:, None] / sum(_EXPONENTS[:num_scales])
    terms = _terms(_channels_apart(a), _channels_apart(b), filter_size, num_scales)
    similarities = _product_of_powers(terms, tf.constant(exponents, terms.dtype))
    return tf.reduce_mean(tf.reshape(similarities, (-1, a.shape[-1])), axis=-1)


def _channels_apart(images):
    """(batch * channels, height, width), the channels of an image one after the other."""
    _, height, width, _ = images.shape
    return tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (-1, height, width))


def _terms(a, b, filter_size, num_scales):
    """Contrast at each scale but the last, contrast times luminance at that; (scales, batch)."""
    terms = []
    for scale in range(num_scales):
        luminance, contrast = _luminance_and_contrast(a, b, filter_size)
        map_of_term = luminance * contrast if scale == num_scales - 1 else contrast
        terms.append(tf.reduce_mean(map_of_term, axis=(1, 2)))
        a, b = _halved(a), _halved(b)
    return tf.stack(terms)


def _halved(images):
    """Means of 2 x 2 pixels, with the last row and column repeated where the size is odd."""
    odd = [[0, size % 2] for size in images.shape[1:]]
    images = tf.pad(images, [[0, 0], *odd], "SYMMETRIC")
    height, width = images.shape[1:]
    return tf.reduce_mean(tf.reshape(images, (-1, height // 2, 2, width // 2, 2)), axis=(2, 4))


def _luminance_and_contrast(a, b, filter_size):
    """Of each window."""
    moments = tf.concat([a, b, tf.square(a) + tf.square(b), a * b], axis=0)
    mean_a, mean_b, squares, product = tf.split(_window_means(moments, filter_size), 4)
    of_product, of_squares = mean_a * mean_b, tf.square(mean_a) + tf.square(mean_b)
    luminance = (2 * of_product + _LUMINANCE_CONSTANT) / (of_squares + _LUMINANCE_CONSTANT)
    covariance, variances = product - of_product, squares - of_squares
    return luminance, (2 * covariance + _CONTRAST_CONSTANT) / (variances + _CONTRAST_CONSTANT)


def _window_means(images, filter_size):
    """Gaussian-weighted means of all windows that fit.

    Sums of shifted images: a convolution of one channel is slow on a CPU, and on a GPU it rounds to
    the three digits of TensorFloat-32, of which variances leave none.
    """

    @tf.custom_gradient
    def means(images):
        def gradient(upstream):
            margin = [filter_size - 1] * 2  # The window is symmetric.
            return _window_means(tf.pad(upstream, [[0, 0], margin, margin]), filter_size)

        sums = _weighted_sum(images, filter_size, axis=1)
        return _weighted_sum(sums, filter_size, axis=2), gradient

    return means(images)


def _weighted_sum(images, filter_size, axis):
    """Of the rows of each window, or of its columns."""
    position = np.arange(filter_size) - (filter_size - 1) / 2
    weights = np.exp(-np.square(position / _FILTER_SIGMA) / 2)
    parts = [
        share * _shifted(images, i, filter_size, axis)
        for i, share in enumerate((weights / weights.sum()).tolist())
    ]
    return tf.add_n(parts)


def _shifted(images, start, filter_size, axis):
    """The rows, or columns, at place `start` of all windows."""
    end = start + images.shape[axis] - filter_size + 1
    return images[:, start:end] if axis == 1 else images[:, :, start:end]


def _product_of_powers(terms, exponents):
    """Over the first axis, of terms where they are positive, with the gradient of larger ones."""
    lifted = terms + tf.stop_gradient(tf.maximum(terms, _LEAST_TERM) - terms)
    smooth = tf.reduce_prod(tf.pow(lifted, exponents), axis=0)
    exact = tf.reduce_prod(tf.pow(tf.nn.relu(tf.stop_gradient(terms)), exponents), axis=0)
    return smooth + tf.stop_gradient(exact - smooth)
