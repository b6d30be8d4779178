"""Differentiable augmentation of the images that a discriminator sees."""

from collections.abc import Callable

import tensorflow as tf

from tfgen._utils.arguments import check_one_of
from tfgen._utils.random import fold_in, uniform
from tfgen._utils.tensors import check_stateless_seed, check_tensors, static_shape
from tfgen._utils.typing import Seed

__all__ = ["AUGMENTATIONS", "as_policies", "diff_augment"]


def _one_each(images, seed, i, low, high):
    """A uniform draw for each image, to be multiplied with its pixels."""
    draws = uniform((tf.shape(images)[0], 1, 1, 1), fold_in(seed, i), images.dtype)
    return low + (high - low) * draws


def _scaled(images, axis, factor):
    """The differences of `images` to their mean over `axis`, times a factor."""
    mean = tf.reduce_mean(images, axis, keepdims=True)
    return mean + factor * (images - mean)


def _color(images, seed):
    """Another brightness, saturation (of images with several channels) and contrast."""
    images += _one_each(images, seed, 0, -0.5, 0.5)
    images = _scaled(images, -1, _one_each(images, seed, 1, 0.0, 2.0))
    return _scaled(images, (1, 2, 3), _one_each(images, seed, 2, 0.5, 1.5))


def _integers(images, seed, i, low, high):
    """One from `low` to `high` for each image, shape (batch, 1)."""
    draws = uniform((tf.shape(images)[0], 1), fold_in(seed, i))
    return low + tf.cast(tf.floor(draws * (high - low + 1)), tf.int32)


def _translation(images, seed):
    """Moved by up to an eighth of height and width, with zeros where nothing was."""
    rows, columns = (_moves(images, seed, i) for i in range(2))
    return tf.einsum("bih,bjw,bhwc->bijc", rows, columns, images)


def _moves(images, seed, i):
    """Matrices that move pixels along one axis, a row or column each, shape (batch, size, size)."""
    size = images.shape[1 + i]
    places = tf.range(size)
    by = _integers(images, seed, i, -(size // 8), size // 8)[..., None]
    return tf.cast(places[:, None] - places == by, images.dtype)


def _cutout(images, seed):
    """Zeros in a square of half the height and width, whose centre is anywhere in the image."""
    within = []
    for i, size in enumerate(images.shape[1:3]):
        cut = size // 2
        start = _integers(images, seed, i, 0, size - cut % 2) - cut // 2
        places = tf.range(size)[None]
        within.append((places >= start) & (places < start + cut))
    square = within[0][:, :, None, None] & within[1][:, None, :, None]
    return tf.where(square, tf.zeros_like(images), images)


_POLICIES: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
AUGMENTATIONS = tuple(_POLICIES)


def as_policies(**values: str) -> list[str]:
    """The policies of the one value, names of `AUGMENTATIONS` joined by commas.

    Raises:
        ValueError: if it is not a string or names an unknown policy.

    Example:
        >>> as_policies(augment="color,cutout"), as_policies(augment="")
        (['color', 'cutout'], [])
    """
    ((name, value),) = values.items()
    if isinstance(value, str) and not value:
        return []
    names = value.split(",") if isinstance(value, str) else [value]
    for policy in names:
        check_one_of(AUGMENTATIONS, "Join several by commas; '' is none.", **{name: policy})
    return names


def diff_augment(images: tf.Tensor, policy: str, seed: Seed) -> tf.Tensor:
    """Images, changed at random by functions that pass gradients on.

    - "color": brightness by a draw from [-0.5, 0.5], then saturation (differences of channels to
      their mean) times one from [0, 2], then contrast (to the image's mean) times [0.5, 1.5];
    - "translation": by up to an eighth of height and width, with zeros where nothing was;
    - "cutout": zeros in a square of half of height and width, centred anywhere in the image.

    They follow each other in the order given. Every image of a batch has draws of its own; with
    one seed they are the same in each call, so that two batches are treated alike.

    Source: Zhao et al., arXiv:2006.10738 (equations not checked); the ranges are those of
    DiffAugment_tf.py in the authors' repository mit-han-lab/data-efficient-gans. They are for
    pixels in [-1, 1], where zeros are grey.

    Args:
        images: float tensor, shape (batch, height, width, channels), of known height and width.
        policy: string, names of `AUGMENTATIONS` joined by commas; "" changes nothing.
        seed: stateless seed, int32 of shape (2,).

    Returns:
        Tensor of the shape and dtype of `images`.

    Raises:
        ValueError: if there is no such policy, or images have other axes.

    Example:
        >>> images = tf.ones((2, 8, 8, 1))
        >>> float(tf.reduce_sum(diff_augment(images, "", seed=[0, 1])))
        128.0
        >>> float(tf.reduce_sum(diff_augment(images, "cutout", seed=[0, 1]))) < 128.0
        True
    """
    names = as_policies(policy=policy)
    _check_images(images)
    check_stateless_seed(seed=seed)
    images = tf.convert_to_tensor(images)
    for i, name in enumerate(names):
        images = _POLICIES[name](images, fold_in(seed, i))
    return images


def _check_images(images):
    check_tensors(4, images=images)
    shape = static_shape(images=images)
    if shape.rank != 4 or None in shape[1:3]:
        raise ValueError(
            "images must have shape (batch, height, width, channels) with known height and width. "
            f"Received: images of shape {shape}."
        )
