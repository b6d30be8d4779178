"""Types that annotations of several areas use."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np
import tensorflow as tf

__all__ = ["LayerOptions", "ModelOptions", "Seed", "Shape", "TensorLike"]

TensorLike: TypeAlias = tf.Tensor | np.ndarray | float | Sequence[Any]
"""What TensorFlow converts to a tensor."""
Shape: TypeAlias = Sequence[int]
"""Static shape of one example or event."""
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
