"""Coupling layers. Dinh, Sohl-Dickstein & Bengio, arXiv:1605.08803v3."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import (
    as_numbers,
    check_activation,
    check_ints,
    check_one_of,
    check_positive,
    check_size,
    is_real,
)
from tfgen._utils.typing import Activation, LayerOptions, Shape
from tfgen.bijectors.bijector import (
    CombinedBijector,
    Mapped,
    as_floats,
    bounded,
    broadcast_to_context,
    check_hidden,
    register,
)

__all__ = ["AffineCoupling", "SplineCoupling", "alternating_mask", "coupling_network"]

# Least share of a bin's width and height, and least slope, of a spline.
_LEAST = 1e-3
# The logarithm of the learned bound of an affine coupling's log-scale: from 0.007 to 7.4.
_LEAST_LOG_BOUND, _MOST_LOG_BOUND = -5.0, 2.0
# Under a root, so that its gradient is finite.
_SMALLEST = 1e-30
# softplus(_SHIFT) = 1
_SHIFT = math.log(math.e - 1)


def alternating_mask(size: int, first: int = 1) -> np.ndarray:
    """Mask of a vector: `first`, 1 - `first`, `first`, ...

    Args:
        size: int, length of the vector.
        first: 0 or 1.

    Returns:
        NumPy array of 0.0 and 1.0, shape (size,).

    Raises:
        ValueError: if `size` is not an int >= 1, or `first` is neither 0 nor 1.

    Example:
        >>> alternating_mask(5)
        array([1., 0., 1., 0., 1.])
    """
    check_size(size=size)
    check_ints(0, first=first)
    check_one_of((0, 1), "Masks are of 0 and 1.", first=first)
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

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> coupling_network(3, context_size=2).output_shape
        (None, 6)
    """
    check_size(size=size, num_parameters=num_parameters)
    check_size(0, context_size=context_size)
    check_hidden(hidden)
    check_activation(activation=activation)
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
        if not (isinstance(network, keras.Model) and getattr(network, "inputs", None)):
            raise ValueError(
                "network must be a keras.Model with inputs, such as coupling_network makes. "
                f"Received: network={network!r}."
            )
        super().__init__(network.inputs[0].shape[1:], **kwargs)
        self.network, self.mask = network, as_numbers(mask=mask).astype("float32")
        self._check_network(num_parameters)
        self._check_mask()
        self.mapped = 1.0 - np.broadcast_to(self.mask, self.event_shape)

    @property
    def context_shape(self) -> Shape | None:
        inputs = self.network.inputs
        return tuple(inputs[1].shape[1:]) if len(inputs) > 1 else None

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
        try:
            np.broadcast_to(self.mask, self.event_shape)
        except ValueError as error:
            raise ValueError(
                f"The mask must broadcast to an event of shape {self.event_shape}. Received: a "
                f"mask of shape {self.mask.shape}."
            ) from error
        values = np.unique(self.mask)
        if not set(values) <= {0.0, 1.0}:
            raise ValueError(
                "The mask must be 1 where an element passes unchanged and 0 where it is mapped. "
                f"Received: a mask of the values {values.tolist()}. Use 0 and 1."
            )

    def _repeated(self, x, context):
        """`x` with the leading axes of the context too, if the network takes one."""
        node = self.context_shape
        if node is None:
            return x
        if context is None:
            raise ValueError(
                "The network of this coupling takes a context as its second input. Received: "
                "context=None. Pass forward(x, context), or use a network with one input."
            )
        context, context_rank = as_floats(context=context), len(node)
        last = context.shape[max(context.shape.rank - context_rank, 0) :]
        if not last.is_compatible_with(node):
            raise ValueError(
                f"The network of this coupling takes a context of shape (..., "
                f"{', '.join(map(str, node))}). Received: context of shape {context.shape}."
            )
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
    """Scales and shifts some elements by functions of the others, from a network.

    y = x where `mask` is 1, else y = x exp(s) + t. A learned factor f for each channel bounds the
    scale smoothly: s = exp(f) tanh(s_raw / exp(f)), f = 0 at first and at most 2.

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
        log_bound = tf.convert_to_tensor(self.log_bound)
        bound = tf.exp(tf.clip_by_value(log_bound, _LEAST_LOG_BOUND, _MOST_LOG_BOUND))
        return self.mapped * bounded(raw, bound), self.mapped * shift

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x = self._repeated(x, context)
        log_scale, shift = self._scale_and_shift(x, context)
        return x * tf.exp(log_scale) + shift, self.sum_event(log_scale)

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        y = self._repeated(y, context)
        log_scale, shift = self._scale_and_shift(y, context)
        return (y - shift) * tf.exp(-log_scale), -self.sum_event(log_scale)


def _padded(values, first, last):
    """`values` with a number before and one after each row, unless it is None."""
    pads = [None if pad is None else tf.fill([*_leading(values), 1], pad) for pad in (first, last)]
    return tf.concat([part for part in (pads[0], values, pads[1]) if part is not None], axis=-1)


def _leading(values):
    return tf.unstack(tf.shape(values)[:-1])


@register
class SplineCoupling(_Coupling):
    """Maps some elements by monotonic splines, whose parameters a network computes from the others.

    Each mapped element goes through a rational-quadratic spline of `num_bins` bins from [-bound,
    bound] to itself; beyond that it passes unchanged.

    A knot's slope is at most `max_slope_ratio` times the mean slope of each bin beside it. In a bin
    of mean slope s between knots of slope d, the slope falls to 2 s^2 / (s + d): without this limit
    it may be so small that points far apart have one image in float32, and no inverse finds them.
    With it slopes are at least 2e-3 / (1 + max_slope_ratio), whatever the network gives.

    Source: Durkan et al., arXiv:1906.04032v2, Sec. 3.1, Eq. 4; least widths, heights and slopes of
    1e-3 as in the authors' code.
    Deviation: the limit of slopes. It holds at the ends too, where the slope is 1 if it may.

    Args:
        network: as in `AffineCoupling`, with (3 `num_bins` - 1) times as many channels: widths,
            heights and inner slopes of the first channel, then of the second, and so on.
        mask: as in `AffineCoupling`.
        num_bins: int >= 2, bins K.
        bound: float > 0, in units of x.
        max_slope_ratio: float >= 1; None for no limit, which is what files saved by version 0.1.0
            have.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: as `AffineCoupling`, or if a number is out of range.

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
        max_slope_ratio: float | None = 10.0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_ints(2, num_bins=num_bins)
        if num_bins >= 1 / _LEAST:
            raise ValueError(f"num_bins must be below {1 / _LEAST:g}. Received: {num_bins=}.")
        check_positive(bound=bound)
        _check_slope_ratio(max_slope_ratio)
        super().__init__(network, mask, num_parameters=3 * num_bins - 1, **kwargs)
        self.num_bins, self.bound, self.max_slope_ratio = num_bins, bound, max_slope_ratio

    def _spline(self, x, context):
        """Knots across and up, and slopes there: tensors of shape (..., num_bins + 1)."""
        values = self.parameters(x, context)
        shape = tf.concat([tf.shape(x), [3 * self.num_bins - 1]], axis=0)
        sizes = [self.num_bins, self.num_bins, self.num_bins - 1]
        widths, heights, slopes = tf.split(tf.reshape(values, shape), sizes, axis=-1)
        widths, heights = self._bins(widths), self._bins(heights)
        slopes = _LEAST + (1.0 - _LEAST) * tf.math.softplus(slopes + _SHIFT)
        slopes = self._limited(_padded(slopes, 1.0, 1.0), heights / widths)
        return self._knots(widths), self._knots(heights), slopes

    def _bins(self, logits):
        """Positive sizes that sum to the interval's."""
        shares = _LEAST + (1.0 - _LEAST * self.num_bins) * tf.nn.softmax(logits)
        return 2.0 * self.bound * shares

    def _knots(self, sizes):
        inner = tf.cumsum(sizes[..., :-1], axis=-1) - self.bound
        return _padded(inner, -self.bound, self.bound)

    def _limited(self, slopes, means):
        """Slopes of knots, none too steep for the bins beside it, whose `means` are given."""
        if self.max_slope_ratio is None:
            return slopes
        steepest = float(slopes.dtype.max)
        least = tf.minimum(_padded(means, steepest, None), _padded(means, None, steepest))
        return tf.minimum(slopes, self.max_slope_ratio * least)

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x = self._repeated(x, context)
        across, up, slopes = self._spline(x, context)
        return self._apply(x, *_spline_forward(self._inside(x), across, up, slopes))

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        y = self._repeated(y, context)
        across, up, slopes = self._spline(y, context)
        return self._apply(y, *_spline_inverse(self._inside(y), across, up, slopes))

    def _inside(self, x):
        return tf.clip_by_value(x, -self.bound, self.bound)

    def _apply(self, x, image, log_slope):
        """`image` and its log-determinant where an element is mapped and within the bounds."""
        mapped = (self.mapped == 1) & (tf.abs(x) < self.bound)
        log_slope = tf.where(mapped, log_slope, 0.0)
        return tf.where(mapped, image, x), self.sum_event(log_slope)

    def get_config(self) -> dict[str, Any]:
        names = ("num_bins", "bound", "max_slope_ratio")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SplineCoupling":
        return super().from_config({"max_slope_ratio": None, **config})


def _check_slope_ratio(ratio):
    if ratio is not None and not (is_real(ratio) and ratio >= 1):
        raise ValueError(
            "max_slope_ratio must be a number of at least 1, or None for no limit. Received: "
            f"max_slope_ratio={ratio!r}. With 1 a knot is as steep as the flatter bin beside it."
        )


def _bin_of(values, knots, *tables):
    """For each value, the entries of each table at its bin's two ends: tuples (left, right)."""
    inner = knots[..., 1:-1]
    index = tf.reduce_sum(tf.cast(values[..., None] >= inner, tf.int32), axis=-1)
    at = tf.one_hot(index, inner.shape[-1] + 1)
    return [
        (tf.reduce_sum(at * table[..., :-1], -1), tf.reduce_sum(at * table[..., 1:], -1))
        for table in tables
    ]


def _spline_forward(x, across, up, slopes):
    """Rational-quadratic splines and the logarithms of their slopes; Durkan et al., Eq. 4 and 5."""
    (x0, x1), (y0, y1), (d0, d1) = _bin_of(x, across, across, up, slopes)
    share, rest = (x - x0) / (x1 - x0), (x1 - x) / (x1 - x0)
    s = (y1 - y0) / (x1 - x0)
    numerator = share * (s * share + d0 * rest)
    y = y0 + (y1 - y0) * numerator / _denominator(share, rest, s, d0, d1)
    return y, _log_slope(share, rest, s, d0, d1)


def _denominator(share, rest, s, d0, d1):
    """s + (d0 + d1 - 2 s) share rest, as a sum of positive terms."""
    return s * (share**2 + rest**2) + (d0 + d1) * share * rest


def _log_slope(share, rest, s, d0, d1):
    quadratic = d1 * share**2 + 2.0 * s * share * rest + d0 * rest**2
    denominator = _denominator(share, rest, s, d0, d1)
    return 2.0 * tf.math.log(s) + tf.math.log(quadratic) - 2.0 * tf.math.log(denominator)


def _spline_inverse(y, across, up, slopes):
    """Preimages under the splines, and the logarithms of the inverses' slopes.

    a share^2 + b share = s eta, where eta is the share of the bin's height; Durkan et al., Eq. 6 to
    8. Of the two ways to write the root, the one that subtracts nothing: a = s - b > 0 where b < 0.
    """
    (x0, x1), (y0, y1), (d0, d1) = _bin_of(y, up, across, up, slopes)
    s, eta = (y1 - y0) / (x1 - x0), (y - y0) / (y1 - y0)
    b = d0 - eta * (d0 + d1 - 2.0 * s)
    a = s - b
    root = tf.abs(b) + tf.sqrt(tf.maximum(b**2 + 4.0 * a * s * eta, _SMALLEST))
    share = tf.where(b < 0, root / (2.0 * tf.where(b < 0, a, 1.0)), 2.0 * s * eta / root)
    share = tf.clip_by_value(share, 0.0, 1.0)
    return x0 + (x1 - x0) * share, -_log_slope(share, 1.0 - share, s, d0, d1)
