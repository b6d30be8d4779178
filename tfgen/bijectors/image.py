"""Masks, squeeze and split of flows over images. Dinh et al., arXiv:1605.08803v3."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import as_event_shape, check_flags, check_size
from tfgen._utils.typing import LayerOptions, Shape
from tfgen.bijectors.bijector import (
    Bijector,
    CombinedBijector,
    Mapped,
    broadcast_to_context,
    check_bijector,
    register,
)

__all__ = ["Split", "Squeezed", "channel_mask", "checkerboard_mask"]


def checkerboard_mask(image_shape: Shape, invert: bool = False) -> np.ndarray:
    """Mask of a coupling layer: 1 for every other pixel, which passes unchanged.

    Source: Dinh et al., arXiv:1605.08803v3, Sec. 3.4: 1 where the sum of the spatial coordinates is
    odd.

    Args:
        image_shape: tuple of int, (height, width, channels).
        invert: bool, 1 where the sum is even instead.

    Returns:
        Array of 0 and 1, float32, shape (height, width, 1).

    Raises:
        ValueError: if `image_shape` is another, or `invert` is not a bool.

    Example:
        >>> checkerboard_mask((2, 3, 1))[..., 0].tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    shape = as_event_shape(image_shape=image_shape)
    check_flags(invert=invert)
    if len(shape) < 2:
        raise ValueError(
            f"image_shape must be (height, width, channels). Received: image_shape={image_shape!r}."
        )
    rows, columns = np.indices(shape[:2])
    return ((rows + columns + invert) % 2).astype("float32")[..., None]


def channel_mask(num_channels: int, invert: bool = False) -> np.ndarray:
    """Mask of a coupling layer: 1 for the first half of the channels, which passes unchanged.

    Source: Dinh et al., arXiv:1605.08803v3, Sec. 3.4.

    Args:
        num_channels: int.
        invert: bool, 1 for the second half instead.

    Returns:
        Array of 0 and 1, float32, shape (1, 1, num_channels).

    Raises:
        ValueError: if `num_channels` is not an int >= 1, or `invert` is not a bool.

    Example:
        >>> channel_mask(4, invert=True).ravel().tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    check_size(num_channels=num_channels)
    check_flags(invert=invert)
    first = np.arange(num_channels) < num_channels // 2
    return (first != invert).astype("float32")[None, None]


class _Around(CombinedBijector):
    """A bijector that applies another to a view or a part of each example.

    Args:
        bijector: `Bijector`.
        event_shape: tuple, of this one.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    fixed = {"event_shape": "It is that of the bijector, before what is taken of it."}

    def __init__(
        self, bijector: Bijector, event_shape: Shape, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(event_shape, **kwargs)
        self.bijector = bijector

    @property
    def context_shape(self) -> Shape | None:
        return self.bijector.context_shape

    def take(self, x: tf.Tensor) -> tf.Tensor:
        """What the inner bijector is given of `x`."""
        raise NotImplementedError

    def put_back(self, part: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """`x` with `part` instead of `take(x)`; `part` may have more leading axes."""
        raise NotImplementedError

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        y, log_det = self.bijector.forward(self.take(x), context)
        return self.put_back(y, x), log_det

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x, log_det = self.bijector.inverse(self.take(y), context)
        return self.put_back(x, y), log_det

    def initialize(self, y: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return self.put_back(self.bijector.initialize(self.take(y), context), y)

    def get_config(self) -> dict[str, Any]:
        bijector = keras.saving.serialize_keras_object(self.bijector)
        return {**super().get_config(), "bijector": bijector}


@register
class Squeezed(_Around):
    """A bijector on squares of 2 x 2 pixels: (2 h, 2 w, c) becomes (h, w, 4 c) inside, and back.

    Latents keep the image's shape, so that flows of several scales are bijectors like others.

    Source: Dinh et al., arXiv:1605.08803v3, Sec. 3.6, the squeezing operation.

    Args:
        bijector: `Bijector` with an event shape (h, w, 4 c), to which a context is passed as it is.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the event shape is another.

    Example:
        >>> from tfgen.bijectors import ActNorm
        >>> Squeezed(ActNorm((14, 14, 4))).event_shape
        (28, 28, 1)
    """

    def __init__(self, bijector: Bijector, **kwargs: Unpack[LayerOptions]) -> None:
        check_bijector(bijector=bijector)
        shape = bijector.event_shape
        if len(shape) != 3 or shape[-1] % 4:
            raise ValueError(
                "Squeezed expects a bijector over images with a multiple of 4 channels. Received: "
                f"event_shape={shape}. Build it for (height / 2, width / 2, 4 * channels)."
            )
        height, width, channels = shape
        super().__init__(bijector, (2 * height, 2 * width, channels // 4), **kwargs)

    def take(self, x: tf.Tensor) -> tf.Tensor:
        squares = tf.nn.space_to_depth(tf.reshape(x, (-1, *self.event_shape)), 2)
        return self._with_leading_axes(squares, x)

    def put_back(self, part: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        images = tf.nn.depth_to_space(tf.reshape(part, (-1, *self.bijector.event_shape)), 2)
        return self._with_leading_axes(images, part)

    def _with_leading_axes(self, images, x):
        return tf.reshape(images, tf.concat([tf.shape(x)[:-3], images.shape[1:]], axis=0))


@register
class Split(_Around):
    """A bijector on the first half of the channels; the other half passes unchanged.

    The half that passes is final: only the prior judges it, which makes a flow of several scales.

    Source: Dinh et al., arXiv:1605.08803v3, Eq. 13 to 15.

    Args:
        bijector: `Bijector` with an event shape (..., c); this one has (..., 2 c).
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `bijector` is not a `Bijector`.

    Example:
        >>> from tfgen.bijectors import ActNorm
        >>> Split(ActNorm((14, 14, 2))).event_shape
        (14, 14, 4)
    """

    def __init__(self, bijector: Bijector, **kwargs: Unpack[LayerOptions]) -> None:
        check_bijector(bijector=bijector)
        *sizes, channels = bijector.event_shape
        super().__init__(bijector, (*sizes, 2 * channels), **kwargs)

    def take(self, x: tf.Tensor) -> tf.Tensor:
        return x[..., : x.shape[-1] // 2]

    def put_back(self, part: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        rest = broadcast_to_context(x[..., x.shape[-1] // 2 :], part, *[len(self.event_shape)] * 2)
        return tf.concat([part, rest], axis=-1)
