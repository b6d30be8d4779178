"""What a pipeline reads: the examples of one split, once in memory or in a file."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfgen._utils.files import chunk_length, mapped_arrays
from tfgen._utils.pipeline import row_reader
from tfgen._utils.progress import with_progress
from tfgen.datasets import images as image_ops

__all__ = ["Batches", "Examples", "binarize_once"]

Batches: TypeAlias = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor | None]]
"""From positions, int tensor of shape (batch,), to (images, labels or None)."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images of one split, with what is known of them.

    Args:
        name: str, of the data set.
        rows: array, memory map or other array on disk, shape (num_examples, ...), what is held of
            each image: its uint8 or float pixels, or what `to_images` draws it from.
        image_shape: (height, width, channels).
        labels: array, shape (num_examples, ...), or None.
        to_images: function of a batch of rows that returns intensities in [0, 1], float32.
        class_names: tuple of str, what integer labels stand for.
        factor_names: tuple of str, what the columns of `labels` stand for.
        factor_sizes: tuple of int, how many values each factor has.
        cache: path of the file that holds the rows, of which copies may stand beside it; or None.
        skipped: tuple of str, files that were passed over.
        why_no_labels: str, "whose labels ..." where the source has some and they are not delivered.

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
    cache: pathlib.Path | None = None
    skipped: tuple[str, ...] = ()
    why_no_labels: str = ""

    def batches(self) -> Batches:
        """Function from positions, int tensor of shape (batch,), to (images, labels or None)."""
        read_rows = row_reader(self.rows)
        read_labels = None if self.labels is None else row_reader(self.labels)
        to_images = self.to_images  # Without the rows, of which the reader may have a copy.

        def batch(positions):
            images = to_images(read_rows(positions))
            return images, None if read_labels is None else read_labels(positions)

        return batch


def binarize_once(examples: Examples, seed: int, chunk_size: int | None = None) -> Examples:
    """The examples with each pixel replaced by one Bernoulli draw.

    Where rows are kept in a file of a cache, the draws are kept beside it and are a memory map too.
    Where images are decoded when they are asked for, the same draws are made then.

    Args:
        examples: `Examples` that hold pixels.
        seed: int >= 0.
        chunk_size: int, images drawn at a time, without effect on the draws; None for as many as
            take some MiB.

    Returns:
        `Examples` with binary uint8 pixels, 0 or 255.

    Raises:
        ValueError: if the images are drawn on the fly.

    Example:
        >>> grey = Examples("grey", np.full((5, 8, 8, 1), 128, "uint8"), (8, 8, 1))
        >>> np.unique(binarize_once(grey, seed=0).rows).tolist()
        [0, 255]
    """
    if tuple(examples.rows.shape[1:]) != tuple(examples.image_shape):
        raise ValueError(
            "binarize='fixed' needs images in memory. Received: "
            f"{examples.name!r}, whose images are drawn on the fly. "
            "Use binarize='threshold', or None where they are binary already."
        )
    rows = examples.rows
    if not isinstance(rows, np.ndarray):
        return dataclasses.replace(examples, rows=_Drawn(rows, seed))
    draw = functools.partial(_draws, rows, seed, chunk_size or chunk_length(rows[0].nbytes))
    if examples.cache is None:
        return dataclasses.replace(examples, rows=np.concatenate(list(draw())))
    path = examples.cache.with_suffix(f".fixed-{seed}.npy")
    drawn, *_ = mapped_arrays([path], [("uint8", rows.shape)], lambda: zip(draw(), strict=True))
    return dataclasses.replace(examples, rows=drawn, cache=path)


def _draws(pixels, seed, chunk_size):
    """Chunks of binary uint8 pixels, 0 or 255."""
    generator = np.random.default_rng(seed)
    starts = range(0, len(pixels), chunk_size)
    for start in with_progress(starts, len(starts)):
        chunk = pixels[start : start + chunk_size]
        yield _bernoulli(chunk, generator.random(chunk.shape, "float32"))


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """The rows of `_draws` as an array that draws those that are asked for."""

    pixels: Any
    seed: int
    dtype = np.dtype("uint8")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        size = int(np.prod(self.shape[1:]))
        noise = [_noise(self.seed, int(row) * size, size) for row in rows]
        return _bernoulli(self.pixels[rows], np.reshape(noise, (len(rows), *self.shape[1:])))


def _noise(seed, first, size):
    """Some of the float32 numbers that `default_rng(seed)` draws, from the one at `first` on."""
    bits = np.random.PCG64(np.random.SeedSequence(seed))
    bits.advance(first // 2)  # Each step of it gives two numbers.
    return np.random.Generator(bits).random(size + first % 2, "float32")[first % 2 :]


def _bernoulli(pixels, noise):
    """Binary uint8 pixels, 0 or 255."""
    intensities = image_ops.to_unit_interval(tf.convert_to_tensor(pixels)).numpy()
    return (noise < intensities).astype("uint8") * 255
