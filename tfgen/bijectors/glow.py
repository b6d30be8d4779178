"""ActNorm and the invertible 1x1 convolution. Kingma & Dhariwal, arXiv:1807.03039v2."""

import math
from typing import Any

import keras
import scipy.linalg
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_seed, check_size
from tfgen._utils.typing import LayerOptions, Shape
from tfgen.bijectors.bijector import Bijector, Mapped, register

__all__ = ["ActNorm", "Invertible1x1Conv"]

# Least variance that a channel is scaled by: constant ones have none.
MIN_VARIANCE = 1e-6
# Largest log-scale in absolute value: a factor of 5e8, beyond the units of data.
_MAX_LOG_SCALE = 20.0


def check_channels(event_shape: tuple[int, ...]) -> None:
    """Raises ValueError unless the last axis is one that weights can be made for."""
    check_size(**{"event_shape[-1]": (event_shape or (None,))[-1]})


def _clipped(log_scale):
    return tf.clip_by_value(tf.convert_to_tensor(log_scale), -_MAX_LOG_SCALE, _MAX_LOG_SCALE)


@register
class ActNorm(Bijector):
    """Scale and shift of each channel, which the first batch sets.

    y = loc + exp(log_scale) x, where log_scale counts from -20 to 20. `initialize` makes the
    preimage of a batch have mean 0 and variance 1 in each channel; from then on both are trained as
    any weight is. Until then it is the identity. `tfgen.models.NormalizingFlow` initializes at the
    start of its first `fit`.

    Source: Kingma & Dhariwal, arXiv:1807.03039v2, Sec. 3.1. Their forward, from data to latents, is
    `inverse` here.

    Args:
        event_shape: int or tuple, shape of one example; channels are its last axis.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the event has no axis of channels.

    Example:
        >>> norm = ActNorm(2)
        >>> norm.initialize(tf.constant([[1.0, 5.0], [3.0, 9.0]])).numpy().round(3).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    def __init__(self, event_shape: int | Shape, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(event_shape, **kwargs)
        check_channels(self.event_shape)
        channels = self.event_shape[-1:]
        self.num_positions = math.prod(self.event_shape[:-1])
        self.loc = self.add_weight(shape=channels, initializer="zeros", name="loc")
        self.log_scale = self.add_weight(shape=channels, initializer="zeros", name="log_scale")

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        scale = tf.exp(_clipped(self.log_scale))
        return self.loc + scale * x, self.no_log_det(x) + self._log_det()

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        precision = tf.exp(-_clipped(self.log_scale))
        return (y - self.loc) * precision, self.no_log_det(y) - self._log_det()

    def _log_det(self):
        return self.num_positions * tf.reduce_sum(_clipped(self.log_scale))

    def initialize(self, y: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        mean, variance = tf.nn.moments(tf.reshape(y, (-1, self.event_shape[-1])), axes=0)
        self.loc.assign(mean)
        self.log_scale.assign(0.5 * tf.math.log(variance + MIN_VARIANCE))
        return self.inverse(y)[0]


@register
class Invertible1x1Conv(Bijector):
    """A learned matrix that mixes the channels of every pixel: a permutation made continuous.

    inverse(y) = W y with W = P L (U + diag(s)); P and the signs of s are fixed, L (unit lower
    triangular), U (strictly upper triangular) and log|s| are trained, and W begins as a random
    rotation; log|s| counts from -20 to 20. log|det W| = sum log|s| for each pixel.

    Source: Kingma & Dhariwal, arXiv:1807.03039v2, Sec. 3.2, Eq. 10 and 11. Their forward, from data
    to latents, is `inverse` here.

    Args:
        event_shape: int or tuple, shape of one example; channels are its last axis.
        seed: int or None, of the rotation.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the event has no axis of channels, or `seed` is not an int.

    Example:
        >>> y, log_det = Invertible1x1Conv((4, 4, 3), seed=0).forward(tf.ones((1, 4, 4, 3)))
        >>> bool(abs(log_det[0]) < 1e-4)  # a rotation, at first
        True
    """

    def __init__(
        self, event_shape: int | Shape, seed: int | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(event_shape, **kwargs)
        check_channels(self.event_shape)
        if seed is not None:
            check_seed(seed=seed)
        self.seed = seed
        self.num_positions = math.prod(self.event_shape[:-1])
        size = self.event_shape[-1]
        rotation = keras.initializers.Orthogonal(seed=seed)((size, size))
        permutation, lower, upper = scipy.linalg.lu(keras.ops.convert_to_numpy(rotation))
        diagonal = tf.linalg.diag_part(upper)
        self.permutation = self._weight("permutation", permutation, trainable=False)
        self.signs = self._weight("signs", tf.sign(diagonal), trainable=False)
        self.lower = self._weight("lower", lower)
        self.upper = self._weight("upper", upper)
        self.log_diagonal = self._weight("log_diagonal", tf.math.log(tf.abs(diagonal)))

    def _weight(self, name, value, trainable=True):
        initializer = keras.initializers.Constant(keras.ops.convert_to_numpy(value))
        return self.add_weight(
            shape=value.shape, initializer=initializer, trainable=trainable, name=name
        )

    def _factors(self):
        """L and U + diag(s); what the weights hold beyond the triangles has no effect."""
        lower, upper = tf.convert_to_tensor(self.lower), tf.convert_to_tensor(self.upper)
        lower = tf.linalg.set_diag(tf.linalg.band_part(lower, -1, 0), tf.ones(lower.shape[0]))
        diagonal = self.signs * tf.exp(_clipped(self.log_diagonal))
        return lower, tf.linalg.set_diag(tf.linalg.band_part(upper, 0, -1), diagonal)

    def _log_det(self):
        return self.num_positions * tf.reduce_sum(_clipped(self.log_diagonal))

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        lower, upper = self._factors()
        unmixed = tf.linalg.triangular_solve(lower, tf.transpose(self.permutation))
        inverse = tf.linalg.triangular_solve(upper, unmixed, lower=False)
        return self._mix(inverse, x), self.no_log_det(x) - self._log_det()

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        lower, upper = self._factors()
        matrix = tf.convert_to_tensor(self.permutation) @ lower @ upper
        return self._mix(matrix, y), self.no_log_det(y) + self._log_det()

    def _mix(self, matrix, x):
        return tf.tensordot(x, matrix, axes=[[-1], [1]])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
