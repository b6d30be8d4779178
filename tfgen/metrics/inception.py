"""Features of Keras' Inception network, where its weights are on disk."""

import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils.arguments import as_numbers, as_pair, check_ints, check_verbose
from tfgen._utils.progress import ProgressBar
from tfgen._utils.typing import TensorLike
from tfgen.metrics._images import check_image_shape, check_pixels

__all__ = ["inception_features"]

_SIZE = 299
_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{_FILE}"


def _find_weights(weights: str | os.PathLike | None) -> pathlib.Path:
    """Path of the weights; FileNotFoundError at once where Keras would download them."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    path = pathlib.Path(weights or pathlib.Path(home, "models", _FILE)).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights of InceptionV3 are missing. Received: no file {path}. Download {_URL} to "
            "that place, or pass the path of the file as weights."
        )
    return path


def inception_features(
    images: TensorLike,
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
    weights: str | os.PathLike | None = None,
    batch_size: int = 32,
    verbose: bool = False,
) -> np.ndarray:
    """Average-pooled features of InceptionV3, trained on ImageNet, from `keras.applications`.

    Images are resized bilinearly to 299 x 299 pixels; grey ones get three equal channels.

    These are not the weights of the FID (Heusel et al., arXiv:1706.08500v6), which are those of an
    older Inception network: a Frechet distance of these features compares with others of the same
    file only.

    Source: Szegedy et al., arXiv:1512.00567v3.

    Args:
        images: array or tensor, shape (num_images, height, width, 1 or 3).
        value_range: (low, high), what black and white are in `images`.
        weights: path of a file of weights without the top; None for the one that Keras keeps in
            `~/.keras/models`. Nothing is downloaded.
        batch_size: int >= 1, images at a time.
        verbose: bool, whether to show a progress bar.

    Returns:
        float32 array, shape (num_images, 2048), values >= 0.

    Raises:
        FileNotFoundError: if the weights are missing; says which file, and where to get it.
        ValueError: if the images have another shape or leave the range.

    Example:
        >>> inception_features(np.zeros((2, 28, 28, 1)), weights="absent.h5")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: The weights of InceptionV3 are missing. ...
    """
    low, high = as_pair(value_range=value_range)
    check_ints(batch_size=batch_size)
    check_verbose(verbose=verbose)
    images = as_numbers(images=images).astype("float32", copy=False)
    check_image_shape(images, "images")
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels. Received: shape {images.shape}.")
    check_pixels(images, value_range, "images")
    network = keras.applications.InceptionV3(
        include_top=False, weights=str(_find_weights(weights)), pooling="avg"
    )
    bar = ProgressBar(len(images), verbose)
    features = []
    for start in range(0, len(images), batch_size):
        batch = (images[start : start + batch_size] - low) * (2.0 / (high - low)) - 1.0
        batch = tf.image.resize(batch, (_SIZE, _SIZE), antialias=True)
        batch = tf.repeat(batch, 3 // batch.shape[-1], axis=-1)
        features.append(network.predict_on_batch(batch))
        bar.add(len(batch))
    return np.concatenate(features)
