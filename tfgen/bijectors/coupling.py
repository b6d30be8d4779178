"""Coupling layers. Dinh, Sohl-Dickstein & Bengio, arXiv:1605.08803v3."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.typing import Activation, LayerOptions
from tfgen.bijectors.bijector import CombinedBijector, Mapped, broadcast_to_context, register

tfb = tfp.bijectors

__all__ = ["AffineCoupling", "SplineCoupling", "alternating_mask", "coupling_network"]

# Least share of a bin's width and height, and least slope, of a spline.
_LEAST = 1e-3
# softplus(_SHIFT) = 1
_SHIFT = math.log(math.e - 1)


def alternating_mask(size: int, first: int = 1) -> np.ndarray:
    """Mask of a vector: `first`, 1 - `first`, `first`, ...

    Args:
        size: int, length of the vector.
        first: 0 or 1.

    Returns:
        NumPy array of 0.0 and 1.0, shape (size,).

    Example:
        >>> alternating_mask(5)
        array([1., 0., 1., 0., 1.])
    """
    return (np.arange(size) + first) % 2.0


def coupling_network(
    size: int,
    hidden: Sequence[int] = (64, 64),
    activation: Activation = "relu",
    context_size: int = 0,
    num_parameters: int = 2,
) -> keras.Model:
    """Fully connected network for a coupling layer over vectors; its last layer starts at 0.

    Args:
        size: int, length of the vectors.
        hidden: sequence of int, units of the hidden layers.
        activation: Keras activation of the hidden layers.
        context_size: int, size of the context; 0 for none.
        num_parameters: int, values for every element: 2 for `AffineCoupling`, 3 `num_bins` - 1 for
            `SplineCoupling`.

    Returns:
        `keras.Model` from (batch, size), or from [(batch, size), (batch, context_size)], to
        (batch, size * num_parameters).

    Example:
        >>> coupling_network(3, context_size=2).output_shape
        (None, 6)
    """
    dtype = keras.config.dtype_policy().variable_dtype
    inputs = [keras.Input((width,), dtype=dtype) for width in (size, context_size) if width]
    x = keras.layers.Concatenate(dtype=dtype)(inputs) if context_size else inputs[0]
    for units in hidden:
        x = keras.layers.Dense(units, activation, dtype=dtype)(x)
    x = keras.layers.Dense(size * num_parameters, kernel_initializer="zeros", dtype=dtype)(x)
    return keras.Model(inputs if context_size else inputs[0], x, name="coupling_network")


class _Coupling(CombinedBijector):
    """A map of some elements whose parameters a network makes of the others.

    Args:
        network: `keras.Model` from x, or [x, context], to `num_parameters` values for every element
            of x, along the last axis.
        mask: array, broadcast to the event's shape.
        num_parameters: int.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        network: keras.Model,
        mask: np.ndarray,
        num_parameters: int,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(network.inputs[0].shape[1:], **kwargs)
        self.network, self.mask = network, np.asarray(mask, "float32")
        self._check_network(num_parameters)
        self._check_mask()
        self.mapped = 1.0 - np.broadcast_to(self.mask, self.event_shape)

    def _check_network(self, num_parameters):
        *sizes, channels = self.event_shape
        expected, received = (*sizes, num_parameters * channels), self.network.output_shape[1:]
        if received != expected:
            raise ValueError(
                f"{type(self).__name__} needs {num_parameters} values for every element: a network "
                f"with outputs of shape {expected} for events of shape {self.event_shape}. "
                f"Received: a network with outputs of shape {received}. End it with "
                f"{expected[-1]} units or filters."
            )

    def _check_mask(self):
        values = np.unique(self.mask)
        if not set(values) <= {0.0, 1.0}:
            raise ValueError(
                "The mask must be 1 where an element passes unchanged and 0 where it is mapped. "
                f"Received: a mask of the values {values.tolist()}. Use 0 and 1."
            )

    def _repeated(self, x, context):
        """`x` with the leading axes of the context too, if the network takes one."""
        if len(self.network.inputs) == 1:
            return x
        if context is None:
            raise ValueError(
                "The network of this coupling takes a context as its second input. Received: "
                "context=None. Pass forward(x, context), or use a network with one input."
            )
        context_rank = len(self.network.inputs[1].shape) - 1
        return broadcast_to_context(x, context, len(self.event_shape), context_rank)

    def parameters(self, x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        """The network's output, shape (..., *output_shape[1:]), float32."""
        leading = tf.shape(x)[: len(x.shape) - len(self.event_shape)]
        inputs = [(1.0 - self.mapped) * x, context][: len(self.network.inputs)]
        flat = [
            _flatten(value, leading, node.shape[1:])
            for value, node in zip(inputs, self.network.inputs, strict=True)
        ]
        values = self.network(flat if len(flat) > 1 else flat[0])
        shape = tf.concat([leading, values.shape[1:]], axis=0)
        return tf.reshape(tf.cast(values, tf.float32), shape)

    def get_config(self) -> dict[str, Any]:
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "mask": self.mask.tolist()}


def _flatten(value, leading, shape):
    """`value`, broadcast to the leading axes, with these as one: shape (batch, *shape)."""
    value = tf.broadcast_to(value, tf.concat([leading, shape], axis=0))
    return tf.reshape(value, (-1, *shape))


@register
class AffineCoupling(_Coupling):
    """Scales and shifts some elements by what a network makes of the others.

    y = x where `mask` is 1, else y = x exp(s) + t. A learned factor f for each channel bounds the
    scale smoothly: s = exp(f) tanh(s_raw / exp(f)), f = 0 at first.

    Source: Dinh et al., arXiv:1605.08803v3, Eq. 7 and 9; the bound as in the UvA Deep Learning
    Tutorial 11, `CouplingLayer`.

    Args:
        network: `keras.Model` with the event's shape as input, or [x, context] as inputs, whose
            last axis has twice as many channels: first all s_raw, then all t. Start its last layer
            at zero, and the coupling starts as the identity.
        mask: array that broadcasts to the event's shape; 1 where an element passes unchanged and is
            seen by the network, 0 where it is mapped.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the network's output or the mask's values do not fit, or the context is
            missing.

    Example:
        >>> coupling = AffineCoupling(coupling_network(4), alternating_mask(4))
        >>> y, log_det = coupling.forward(tf.ones((8, 4)))
        >>> y.shape, log_det.shape
        (TensorShape([8, 4]), TensorShape([8]))
    """

    def __init__(
        self, network: keras.Model, mask: np.ndarray, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(network, mask, num_parameters=2, **kwargs)
        self.log_bound = self.add_weight(
            shape=self.event_shape[-1:], initializer="zeros", name="log_bound"
        )

    def _scale_and_shift(self, x, context):
        """Tuple (s, t), 0 where the element passes."""
        raw, shift = tf.split(self.parameters(x, context), 2, axis=-1)
        bound = tf.exp(tf.convert_to_tensor(self.log_bound))
        return self.mapped * bound * tf.tanh(raw / bound), self.mapped * shift

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x = self._repeated(x, context)
        log_scale, shift = self._scale_and_shift(x, context)
        return x * tf.exp(log_scale) + shift, self.sum_event(log_scale)

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        y = self._repeated(y, context)
        log_scale, shift = self._scale_and_shift(y, context)
        return (y - shift) * tf.exp(-log_scale), -self.sum_event(log_scale)


@register
class SplineCoupling(_Coupling):
    """Maps some elements by monotonic splines that a network makes of the others.

    Each mapped element goes through a rational-quadratic spline of `num_bins` bins from [-bound,
    bound] to itself; beyond that it passes unchanged.

    Source: Durkan et al., arXiv:1906.04032v2, Sec. 3.1, Eq. 4; least widths, heights and slopes of
    1e-3 as in the authors' code. The spline is `tfp.bijectors.RationalQuadraticSpline`.

    Args:
        network: as in `AffineCoupling`, with (3 `num_bins` - 1) times as many channels: widths,
            heights and inner slopes of the first channel, then of the second, and so on.
        mask: as in `AffineCoupling`.
        num_bins: int >= 2, bins K.
        bound: float > 0, in units of x.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: as `AffineCoupling`.

    Example:
        >>> network = coupling_network(4, num_parameters=3 * 8 - 1)
        >>> y, log_det = SplineCoupling(network, alternating_mask(4)).forward(tf.ones((8, 4)))
        >>> y.shape, log_det.shape
        (TensorShape([8, 4]), TensorShape([8]))
    """

    def __init__(
        self,
        network: keras.Model,
        mask: np.ndarray,
        num_bins: int = 8,
        bound: float = 3.0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(network, mask, num_parameters=3 * num_bins - 1, **kwargs)
        self.num_bins, self.bound = num_bins, bound

    def _spline(self, x, context):
        values = self.parameters(x, context)
        shape = tf.concat([tf.shape(x), [3 * self.num_bins - 1]], axis=0)
        sizes = [self.num_bins, self.num_bins, self.num_bins - 1]
        widths, heights, slopes = tf.split(tf.reshape(values, shape), sizes, axis=-1)
        return tfb.RationalQuadraticSpline(
            bin_widths=self._bins(widths),
            bin_heights=self._bins(heights),
            knot_slopes=_LEAST + (1.0 - _LEAST) * tf.math.softplus(slopes + _SHIFT),
            range_min=-self.bound,
        )

    def _bins(self, logits):
        """Positive sizes that sum to the interval's."""
        shares = _LEAST + (1.0 - _LEAST * self.num_bins) * tf.nn.softmax(logits)
        return 2.0 * self.bound * shares

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x = self._repeated(x, context)
        spline = self._spline(x, context)
        log_det = self.mapped * spline.forward_log_det_jacobian(x, event_ndims=0)
        return tf.where(self.mapped == 1, spline.forward(x), x), self.sum_event(log_det)

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        y = self._repeated(y, context)
        spline = self._spline(y, context)
        log_det = self.mapped * spline.inverse_log_det_jacobian(y, event_ndims=0)
        return tf.where(self.mapped == 1, spline.inverse(y), y), self.sum_event(log_det)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_bins": self.num_bins, "bound": self.bound}
