"""Types that annotations of several areas use."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = [
    "Activation",
    "Distribution",
    "LayerOptions",
    "ModelOptions",
    "Seed",
    "Shape",
    "TensorLike",
]

Activation: TypeAlias = str | Callable[..., Any] | None
"""What `keras.activations.get` takes."""
TensorLike: TypeAlias = tf.Tensor | np.ndarray | float | Sequence[Any]
"""What TensorFlow converts to a tensor."""
Shape: TypeAlias = Sequence[int]
"""Static shape of one example or event."""
Distribution: TypeAlias = tfp.distributions.Distribution
"""A distribution of TensorFlow Probability, under a name that type checkers know."""
Seed: TypeAlias = tf.Tensor | Sequence[int]
"""Stateless seed, int32 of shape (2,)."""


class LayerOptions(TypedDict, total=False):
    """Arguments of `keras.layers.Layer`, for `**kwargs: Unpack[LayerOptions]`."""

    name: str | None
    trainable: bool
    dtype: Any
    autocast: bool
    activity_regularizer: Any
    input_shape: tuple[int | None, ...]


class ModelOptions(TypedDict, total=False):
    """Arguments of `GenerativeModel` and `keras.Model`, for `**kwargs: Unpack[ModelOptions]`."""

    seed: int | None
    name: str | None
    trainable: bool
    dtype: Any
    autocast: bool
