"""What a pipeline reads: the examples of one split, held in memory once."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfgen.datasets import images as image_ops

__all__ = ["Batches", "Examples", "binarize_once"]

Batches: TypeAlias = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor | None]]
"""From positions, int tensor of shape (batch,), to (images, labels or None)."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images of one split, with what is known of them.

    Args:
        name: str, of the data set.
        rows: array, shape (num_examples, ...), what is held in memory of each image: its uint8 or
            float pixels, or what `to_images` draws it from.
        image_shape: (height, width, channels).
        labels: array, shape (num_examples, ...), or None.
        to_images: function of a batch of rows that returns intensities in [0, 1], float32.
        class_names: tuple of str, what integer labels stand for.
        factor_names: tuple of str, what the columns of `labels` stand for.
        factor_sizes: tuple of int, how many values each factor has.

    Example:
        >>> pixels = np.full((5, 8, 8, 1), 255, "uint8")
        >>> images, labels = Examples("white", pixels, (8, 8, 1)).batches()(tf.range(2))
        >>> images.shape, float(tf.reduce_max(images)), labels
        (TensorShape([2, 8, 8, 1]), 1.0, None)
    """

    name: str
    rows: np.ndarray
    image_shape: tuple[int, ...]
    labels: np.ndarray | None = None
    to_images: Callable[[tf.Tensor], tf.Tensor] = image_ops.to_unit_interval
    class_names: tuple[str, ...] = ()
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()

    def batches(self) -> Batches:
        """Function from positions, int tensor of shape (batch,), to (images, labels or None)."""
        # On a machine with a GPU the rows would otherwise be copied back from it for each batch.
        with tf.device("CPU:0"):
            rows = tf.convert_to_tensor(self.rows)
            labels = None if self.labels is None else tf.convert_to_tensor(self.labels)

        def batch(positions):
            images = self.to_images(tf.gather(rows, positions))
            return images, None if labels is None else tf.gather(labels, positions)

        return batch


def binarize_once(examples: Examples, seed: int, chunk_size: int = 1024) -> Examples:
    """The examples with each pixel replaced by one Bernoulli draw.

    Args:
        examples: `Examples` that hold pixels.
        seed: int >= 0.
        chunk_size: int, images drawn at a time.

    Returns:
        `Examples` with binary uint8 pixels, 0 or 255.

    Raises:
        ValueError: if the images are drawn on the fly.

    Example:
        >>> grey = Examples("grey", np.full((5, 8, 8, 1), 128, "uint8"), (8, 8, 1))
        >>> np.unique(binarize_once(grey, seed=0).rows).tolist()
        [0, 255]
    """
    if examples.rows.ndim != 4:
        raise ValueError(
            "binarize='fixed' needs images in memory. Received: "
            f"{examples.name!r}, whose images are drawn on the fly. "
            "Use binarize='threshold', or None where they are binary already."
        )
    starts = range(0, len(examples.rows), chunk_size)
    generator = np.random.default_rng(seed)
    chunks = [_bernoulli(examples.rows[start : start + chunk_size], generator) for start in starts]
    return dataclasses.replace(examples, rows=np.concatenate(chunks))


def _bernoulli(pixels, generator):
    """Binary uint8 pixels, 0 or 255."""
    intensities = image_ops.to_unit_interval(tf.convert_to_tensor(pixels)).numpy()
    draws = generator.random(pixels.shape, "float32") < intensities
    return draws.astype("uint8") * 255
