"""From the outputs of a network to the parameters of a distribution: shapes and bounds."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfgen._utils.arguments import as_event_shape, check_flags
from tfgen._utils.tensors import check_dtype, check_tensors
from tfgen._utils.typing import Shape, TensorLike

__all__ = [
    "MAX_SCALE",
    "MIN_SCALE",
    "as_params",
    "as_shape",
    "bounded",
    "bounded_scale",
    "check_options",
    "checked_params",
    "event_size",
    "positive",
    "split_components",
    "split_params",
]

# Bounds of scales. The square of each and of its inverse is a float32, and a scale above 0.04 plus
# the lower one is itself.
MIN_SCALE = 1e-9
MAX_SCALE = 1e10


def as_shape(event_shape: int | Shape, name: str = "event_shape") -> tuple[int, ...]:
    """An int, a sequence of ints or an integer vector as a tuple; () for scalars.

    Args:
        event_shape: the argument.
        name: its name, for the message.

    Raises:
        ValueError: unless all are ints of at least 1, and an event has at most 2**31 - 1 elements.

    Example:
        >>> as_shape(3), as_shape(np.array([28, 28, 1])), as_shape(())
        ((3,), (28, 28, 1), ())
    """
    shape = tf.get_static_value(event_shape) if tf.is_tensor(event_shape) else event_shape
    return as_event_shape(**{name: shape.tolist() if isinstance(shape, np.ndarray) else shape})


def event_size(event_shape: int | Shape) -> int:
    """Number of elements of an event.

    Example:
        >>> event_size((28, 28, 1))
        784
    """
    return math.prod(as_shape(event_shape))


def as_params(params: TensorLike, name: str = "params") -> tf.Tensor:
    """The outputs of a network as a tensor.

    Args:
        params: tensor, array, or distribution, which has a value.
        name: of the argument, for the message.

    Raises:
        ValueError: unless it is of floats.

    Example:
        >>> as_params([1.0, 2.0]).shape
        TensorShape([2])
    """
    check_tensors(0, "floats", **{name: params})
    return tf.convert_to_tensor(params)


def check_options(validate_args: bool, dtype: Any = None) -> None:
    """Raises ValueError unless the arguments that all `new` have in common are what they should be.

    Example:
        >>> check_options(validate_args=False, dtype="float32")
    """
    check_flags(validate_args=validate_args)
    check_dtype(dtype=dtype)


# Shapes. Those that are not known when a graph is made are looked at when it runs.


def split_params(params: TensorLike, event_shape: int | Shape, num_params: int) -> list[tf.Tensor]:
    """Splits the last axis of `params` into `num_params` tensors of shape (..., *event_shape).

    Args:
        params: tensor of shape (..., num_params * event_size), or in the event's shape with a last
            axis that is `num_params` times as long.
        event_shape: int or sequence of ints.
        num_params: int, parameters of one element of the event.

    Raises:
        ValueError: if `params` has neither shape (InvalidArgumentError at run time where its shape
            is not known before).

    Example:
        >>> loc, scale = split_params(tf.zeros((5, 8)), (2, 2), 2)
        >>> loc.shape
        TensorShape([5, 2, 2])
    """
    event_shape = as_shape(event_shape)
    params = as_params(params)
    leading = _leading_shape(params, event_shape, num_params)
    parts = tf.split(params, num_params, axis=-1)
    return [tf.reshape(part, tf.concat([leading, event_shape], axis=0)) for part in parts]


def _leading_shape(params, event_shape, num_params):
    """Shape of `params` before its event dimensions, which are flat or in the event's shape."""
    flat = (num_params * math.prod(event_shape),)
    shaped = (*event_shape[:-1], num_params * event_shape[-1]) if event_shape else flat
    may_be_flat, may_be_shaped = _may_end_in(params.shape, flat), _may_end_in(params.shape, shaped)
    if not may_be_flat and not may_be_shaped:
        raise ValueError(
            f"For event_shape={event_shape} the parameters must have the flat shape (..., "
            f"{flat[0]}) or end in the shape {shaped}. Received: shape {tuple(params.shape)}. End "
            f"the network with Dense({flat[0]}), which is the layer's params_size(event_shape)."
        )
    shape = tf.shape(params)
    # Of events such as (1, 3) both can be: what networks return has an axis of examples before it.
    is_unbatched = params.shape.rank == len(shaped)
    if not may_be_shaped or flat == shaped or (may_be_flat and is_unbatched):
        return shape[:-1]
    if not may_be_flat or params.shape[-len(shaped) :].is_fully_defined():
        return shape[: -len(shaped)]
    padded = tf.concat([[0] * len(shaped), shape], axis=0)
    is_shaped = tf.reduce_all(padded[-len(shaped) :] == shaped)
    return shape[: tf.size(shape) - tf.where(is_shaped, len(shaped), 1)]


def _may_end_in(shape, ending):
    """Whether a shape, as far as it is known, can end in some sizes."""
    if shape.rank is None:
        return True
    return shape.rank >= len(ending) and shape[-len(ending) :].is_compatible_with(ending)


def checked_params(params: TensorLike, expected: int, layer: str) -> tf.Tensor:
    """`params` as a tensor whose last axis has the expected size.

    Raises:
        ValueError: if it has another (InvalidArgumentError at run time where it is not known).

    Example:
        >>> checked_params([1.0, 2.0], 2, "IndependentNormal").shape
        TensorShape([2])
    """
    params = as_params(params)
    expects = f"{layer} expects parameters of shape (..., {expected})."
    remedy = f"End the network with Dense({expected}), the params_size of the layer's arguments."
    if not _may_end_in(params.shape, (expected,)):
        raise ValueError(f"{expects} Received: shape {tuple(params.shape)}. {remedy}")
    if _is_known(params):
        return params
    with tf.control_dependencies(_assertion(params, expected, f"{expects} {remedy}")):
        return tf.reshape(params, tf.concat([tf.shape(params)[:-1], [expected]], axis=0))


def _is_known(params):
    """Whether there is a last axis, of a size that is known."""
    return bool(params.shape.rank) and params.shape[-1] is not None


def _assertion(params, expected, message):
    """A check at run time, in a list, or none under XLA."""
    check = tf.debugging.assert_equal(tf.shape(params)[-1], expected, message)
    return [] if check is None else [check]


def split_components(params: TensorLike, num_components: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits of shape (..., K) and the parameters of K components, shape (..., K, size).

    Raises:
        ValueError: unless the last axis is K times an int above 1 (InvalidArgumentError at run
            time where it is not known).

    Example:
        >>> logits, components = split_components(tf.zeros((8, 15)), 3)
        >>> logits.shape, components.shape
        (TensorShape([8, 3]), TensorShape([8, 3, 4]))
    """
    params = as_params(params)
    size, remainder = -1, 0
    if _is_known(params):
        size, remainder = divmod(params.shape[-1] - num_components, num_components)
    if params.shape.rank == 0 or remainder or size == 0 or size < -1:
        raise ValueError(
            f"A mixture of {num_components} components needs {num_components} * (1 + n) "
            f"parameters, n for each component. Received: shape {tuple(params.shape)}. End the "
            "network with Dense(MixtureSameFamily.params_size(num_components, n))."
        )
    logits, rest = params[..., :num_components], params[..., num_components:]
    shape = tf.concat([tf.shape(params)[:-1], [num_components, size]], axis=0)
    return logits, tf.reshape(rest, shape)


# Bounds.


def bounded(values: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """`values`, and the nearer bound of those outside, where there is no gradient; NaN stays NaN.

    Example:
        >>> bounded(tf.constant([-5.0, 0.3, 7.0]), -1.0, 1.0).numpy()
        array([-1. ,  0.3,  1. ], dtype=float32)
    """
    low, high = tf.cast(low, values.dtype), tf.cast(high, values.dtype)
    return tf.where(values < low, low, tf.where(values > high, high, values))


def bounded_scale(raw: tf.Tensor, activation: Callable[[Any], Any]) -> tf.Tensor:
    """activation(raw) + 1e-9, at most 1e10, of any finite `raw`.

    So a normal's KL divergence and its log-density at |x - loc| < 1e9 are finite, and so are their
    gradients at |x - loc| < 1e5. In float32 a value above 0.04 is not moved by the lower bound.

    Args:
        raw: float tensor.
        activation: callable to values >= 0; where it overflows there is no gradient.

    Returns:
        Float tensor, shape of `raw`.

    Example:
        >>> scale = bounded_scale(tf.constant([-1e3, 0.0, 1e30]), tf.nn.softplus)
        >>> [f"{value:.4g}" for value in scale.numpy()]
        ['1e-09', '0.6931', '1e+10']
    """
    is_large = activation(raw) > MAX_SCALE
    scale = activation(tf.where(is_large, tf.zeros_like(raw), raw)) + MIN_SCALE
    return tf.where(is_large, tf.cast(MAX_SCALE, scale.dtype), scale)


def positive(raw: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """softplus(raw) + low, at most `high`, of any finite `raw`; beyond that there is no gradient.

    Example:
        >>> positive(tf.constant([-1e4, 0.0, 1e4]), 1e-3, 100.0).numpy().round(4)
        array([1.000e-03, 6.941e-01, 1.000e+02], dtype=float32)
    """
    return bounded(tf.nn.softplus(raw) + low, low, high)
