"""Checks of tensors by what is known of them without their values, and of what takes their place.

They add nothing to a graph. Values are looked at where they are those of Python or NumPy.
"""

import math
import numbers
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.arguments import as_numbers, is_real

__all__ = [
    "check_broadcast",
    "check_callables",
    "check_distributions",
    "check_dtype",
    "check_finite",
    "check_indices",
    "check_last_axis",
    "check_leaves",
    "check_rows",
    "check_same_shape",
    "check_stateless_seed",
    "check_tensors",
    "static_shape",
]

Kind: TypeAlias = Literal["numbers", "floats", "ints"]

_HAS_KIND = {
    "numbers": lambda dtype: dtype.is_floating or dtype.is_integer or dtype.is_bool,
    "floats": lambda dtype: dtype.is_floating,
    "ints": lambda dtype: dtype.is_integer,
}


def check_tensors(min_rank: int = 0, kind: Kind = "floats", /, **values: Any) -> None:
    """Raises ValueError unless every value is a tensor, or an array, or numbers in lists.

    Args:
        min_rank: int, least number of axes, where it is known.
        kind: "floats", "ints" or "numbers", which may be truth values too.
        **values: what to check, by the names of the arguments.

    Raises:
        ValueError: if a value is none, or has other elements or less axes.

    Example:
        >>> check_tensors(1, x=tf.zeros((2, 3)), y=[1.0, 2.0])
    """
    for name, value in values.items():
        dtype, shape = _described(name, value)
        if not _HAS_KIND[kind](dtype) or (shape.rank is not None and shape.rank < min_rank):
            axes = f" with at least {min_rank} axes" if min_rank else ""
            raise ValueError(
                f"{name} must be a tensor of {kind}{axes}. Received: {name} of shape {shape} and "
                f"dtype {dtype.name}. Give it as an array of that kind."
            )


def static_shape(**values: Any) -> tf.TensorShape:
    """The shape of the one value as far as it is known.

    Example:
        >>> static_shape(x=[[1.0, 2.0]])
        TensorShape([1, 2])
    """
    ((name, value),) = values.items()
    return _described(name, value)[1]


def _described(name, value):
    """Dtype and static shape, of an array of numbers or of what is a tensor by its attributes."""
    if isinstance(value, np.ndarray | np.generic) or not _is_tensor(value):
        value = _as_array(name, value)
    return tf.as_dtype(value.dtype), tf.TensorShape(value.shape)


def _is_tensor(value):
    return (
        tf.is_tensor(value)
        or isinstance(value, keras.KerasTensor | keras.Variable)
        or (hasattr(value, "dtype") and hasattr(value, "shape"))
    )


def _as_array(name, value):
    """An array of numbers; of ones that are no array, of the dtypes that TensorFlow gives them."""
    if isinstance(value, list | tuple) and any(tf.is_tensor(part) for part in value):
        return tf.convert_to_tensor(value)
    array = as_numbers(**{name: value})
    if isinstance(value, np.ndarray | np.generic):
        return array
    return array.astype("float32") if array.dtype.kind == "f" else array


def check_same_shape(**values: Any) -> None:
    """Raises ValueError unless the shapes of all values agree as far as they are known.

    Example:
        >>> check_same_shape(real=tf.zeros((2, 3)), fake=tf.ones((2, 3)))
    """
    shapes = {name: _described(name, value)[1] for name, value in values.items()}
    first, *others = shapes.values()
    if not all(first.is_compatible_with(other) for other in others):
        received = ", ".join(f"{name} of shape {shape}" for name, shape in shapes.items())
        raise ValueError(f"{' and '.join(shapes)} must have one shape. Received: {received}.")


def check_broadcast(shape: Any, /, **values: Any) -> None:
    """Raises ValueError unless every value broadcasts with a shape, as far as both are known.

    Example:
        >>> check_broadcast((4, 2), z=tf.zeros(2))
    """
    for name, value in values.items():
        received = _described(name, value)[1]
        try:
            tf.broadcast_static_shape(tf.TensorShape(shape), received)
        except ValueError:
            raise ValueError(
                f"{name} must have the shape {shape}, or one that broadcasts with it. Received: "
                f"{name} of shape {received}."
            ) from None


def check_rows(minimum: int, /, **values: Any) -> None:
    """Raises ValueError unless every value has some examples at least, as far as is known.

    Example:
        >>> check_rows(2, x=tf.zeros((2, 3)))
    """
    for name, value in values.items():
        shape = _described(name, value)[1]
        if shape.rank == 0 or (shape.rank and shape[0] is not None and shape[0] < minimum):
            raise ValueError(
                f"{name} must have at least {minimum} examples along its first axis. Received: "
                f"{name} of shape {shape}."
            )


def check_last_axis(size: int, /, **values: Any) -> None:
    """Raises ValueError unless the last axis of every value has a size, as far as it is known.

    Example:
        >>> check_last_axis(3, vectors=tf.zeros((2, 3)))
    """
    for name, value in values.items():
        shape = _described(name, value)[1]
        if shape.rank == 0 or (shape.rank and shape[-1] not in (None, size)):
            raise ValueError(
                f"{name} must have the shape (..., {size}). Received: {name} of shape {shape}."
            )


def check_indices(count: int, /, **values: Any) -> None:
    """Raises ValueError unless every value is a tensor of ints; of an array, from 0 to count - 1.

    Example:
        >>> check_indices(3, indices=[[0, 2]])
    """
    for name, value in values.items():
        dtype, shape = _described(name, value)
        if not dtype.is_integer or (_is_known(value) and not _all_within(value, 0, count - 1)):
            raise ValueError(
                f"{name} must be a tensor of ints from 0 to {count - 1}. Received: {name} of dtype "
                f"{dtype.name} and shape {shape}{f', {value!r}' * _is_known(value)}."
            )


def _is_known(value):
    """Whether the values are those of Python or NumPy, so that they can be looked at."""
    is_array = isinstance(value, np.ndarray | np.generic)
    parts = value if isinstance(value, list | tuple) else ()
    return is_array or not (_is_tensor(value) or any(tf.is_tensor(part) for part in parts))


def _all_within(value, low, high):
    values = np.asarray(value)
    return bool(np.all((values >= low) & (values <= high)))


def check_stateless_seed(**values: Any) -> None:
    """Raises ValueError unless every value is a stateless seed: two ints of 32 bits.

    Example:
        >>> check_stateless_seed(seed=(0, 1))
    """
    for name, value in values.items():
        dtype, shape = _described(name, value)
        fits = not _is_known(value) or _all_within(value, -(2**31), 2**31 - 1)
        if not dtype.is_integer or not shape.is_compatible_with((2,)) or not fits:
            raise ValueError(
                f"{name} must be a stateless seed, two ints such as (0, 1). Received: {name} of "
                f"dtype {dtype.name} and shape {shape}."
            )


def check_finite(minimum: float = -math.inf, /, **values: Any) -> None:
    """Raises ValueError unless every value is a finite number >= minimum, or a tensor of floats.

    Example:
        >>> check_finite(0.0, minimum=0.5, bound=tf.constant(1.0))
    """
    for name, value in values.items():
        if tf.is_tensor(value) or isinstance(value, keras.Variable):
            check_tensors(0, "numbers", **{name: value})
        elif not is_real(value) or value < minimum:
            at_least = "" if minimum == -math.inf else f" of at least {minimum:g}"
            raise ValueError(
                f"{name} must be a finite number{at_least}. Received: {name}={value!r}."
            )


def check_distributions(**values: Any) -> None:
    """Raises TypeError unless every value is a `tfd.Distribution`.

    Example:
        >>> check_distributions(prior=tfd.Normal(0.0, 1.0))
    """
    for name, value in values.items():
        if not isinstance(value, tfd.Distribution):
            raise TypeError(
                f"{name} must be a tfd.Distribution. Received: {name} of type "
                f"{type(value).__name__}. A layer of tfgen.layers returns one."
            )


def check_callables(expected: str, /, **values: Any) -> None:
    """Raises ValueError unless every value can be called; `expected` says what it is.

    Example:
        >>> check_callables("a function from examples to logits", discriminator=tf.nn.relu)
    """
    for name, value in values.items():
        if not callable(value):
            raise ValueError(f"{name} must be {expected}. Received: {name}={value!r}.")


def check_dtype(**values: Any) -> None:
    """Raises ValueError unless every value is a dtype of numbers, or None.

    Example:
        >>> check_dtype(sample_dtype="float32")
    """
    for name, value in values.items():
        try:
            known = value is None or _HAS_KIND["numbers"](tf.as_dtype(value))
        except (TypeError, ValueError):
            known = False
        if not known or isinstance(value, numbers.Number):  # An enum of TensorFlow's.
            raise ValueError(
                f"{name} must be a dtype of numbers such as 'float32', or None. Received: {name}="
                f"{value!r}."
            )


def check_leaves(inputs: Any) -> None:
    """Raises ValueError if there is an array of anything but numbers in a structure.

    Keras would hand it to TensorFlow before the layer sees it.

    Example:
        >>> check_leaves({"x": np.zeros(3), "y": [tf.zeros(2), None]})
    """
    for leaf in tf.nest.flatten(inputs):
        if isinstance(leaf, np.ndarray):
            as_numbers(inputs=leaf)
