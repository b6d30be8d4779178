"""Checks of arguments that several areas share; each names the argument by its keyword."""

import math
import numbers
import os
from collections.abc import Collection, Iterable
from typing import Any

import keras
import numpy as np

__all__ = [
    "as_event_shape",
    "as_int",
    "as_numbers",
    "as_pair",
    "as_path",
    "as_sizes",
    "check_activation",
    "check_flags",
    "check_fractions",
    "check_ints",
    "check_numbers",
    "check_one_of",
    "check_positive",
    "check_seed",
    "check_size",
    "check_verbose",
    "check_weights",
    "is_real",
]


_LARGEST_INT = 2**31 - 1
_LARGEST_SIZE = 10**6


def check_ints(minimum: int = 1, remedy: str = "", /, **values: Any) -> None:
    """Raises ValueError unless every value is an int of at least `minimum`; ends in `remedy`.

    It must not exceed int32, in which TensorFlow counts.

    Example:
        >>> check_ints(0, depth=2, width=16)
    """
    for name, value in values.items():
        if not _is_int(value) or value < minimum:
            raise ValueError(
                f"{name} must be an int of at least {minimum}. Received: {name}={value!r}. "
                f"{remedy}".strip()
            )
        if value > _LARGEST_INT:
            raise ValueError(
                f"{name} must be an int of at most {_LARGEST_INT}. Received: {name}={value!r}."
            )


def _is_int(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_size(minimum: int = 1, /, **values: Any) -> None:
    """Raises ValueError unless every value can be the size of a layer or axis, or a number of them.

    That is an int from `minimum` to a million: more would take the memory of any machine.

    Example:
        >>> check_size(latent_dim=20, width=512)
    """
    check_ints(minimum, **values)
    for name, value in values.items():
        if value > _LARGEST_SIZE:
            raise ValueError(
                f"{name} must be an int of at most {_LARGEST_SIZE}, since there is memory for no "
                f"more. Received: {name}={value!r}."
            )


def check_seed(**values: Any) -> None:
    """Raises ValueError unless every value is a seed, an int from 0 to 2**31 - 1.

    Example:
        >>> check_seed(seed=0)
    """
    check_ints(0, **values)


def check_flags(**values: Any) -> None:
    """Raises ValueError unless every value is True or False.

    Example:
        >>> check_flags(biased=False)
    """
    for name, value in values.items():
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} must be True or False. Received: {name}={value!r}.")


def check_verbose(**values: Any) -> None:
    """Raises ValueError unless every value is a bool, or 0, 1 or 2 as Keras has them.

    Example:
        >>> check_verbose(verbose=1)
    """
    for name, value in values.items():
        if not isinstance(value, numbers.Integral | np.bool_) or not 0 <= int(value) <= 2:
            raise ValueError(f"{name} must be True, False, 0, 1 or 2. Received: {name}={value!r}.")


def check_activation(**values: Any) -> None:
    """Raises ValueError unless every value is an activation that Keras knows, or None.

    Example:
        >>> check_activation(activation="relu")
    """
    for name, value in values.items():
        try:
            known = value is None or callable(keras.activations.get(value))
        except (TypeError, ValueError):
            known = False
        if not known:
            raise ValueError(
                f"{name} must be a name such as 'relu', a function of tensors, or None. Received: "
                f"{name}={value!r}. See keras.activations for the names."
            )


def as_event_shape(**values: Any) -> tuple[int, ...]:
    """The one value, an int or a sequence of ints, as the shape of one example.

    Raises:
        ValueError: unless its sizes are ints of at least 1, and an example has at most 2**31 - 1
            elements.

    Example:
        >>> as_event_shape(event_shape=3), as_event_shape(event_shape=[28, 28, 1])
        ((3,), (28, 28, 1))
    """
    ((name, value),) = values.items()
    sizes = (value,) if _is_int(value) else value
    sizes = tuple(sizes) if isinstance(sizes, Iterable) else (None,)
    if not all(_is_int(size) and 1 <= size <= _LARGEST_INT for size in sizes) or (
        math.prod(sizes) > _LARGEST_INT
    ):
        raise ValueError(
            f"{name} must be an int or a sequence of ints of at least 1, the shape of one example. "
            f"Received: {name}={value!r}. Images of 28 pixels have (28, 28, 1)."
        )
    return tuple(int(size) for size in sizes)


def as_numbers(**values: Any) -> np.ndarray:
    """The one value as an array of numbers, of whatever dtype it has.

    Raises:
        ValueError: for strings, objects, or lists of several lengths.

    Example:
        >>> as_numbers(codes=[[1, 2], [3, 4]]).shape
        (2, 2)
    """
    ((name, value),) = values.items()
    try:
        array = np.asarray(value)
        is_numeric = array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"
    except (TypeError, ValueError):
        is_numeric = False
    if not is_numeric:
        raise ValueError(
            f"{name} must be an array of numbers. Received: {name} of type {type(value).__name__}, "
            "which holds something else, or rows of several lengths."
        )
    return array


def is_real(value: Any) -> bool:
    """Whether a value is one finite number; True and False are none.

    Example:
        >>> is_real(np.float32(0.5)), is_real(True), is_real(math.nan), is_real("1")
        (True, False, False, False)
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def as_int(minimum: int = 1, /, **values: Any) -> int:
    """The one value, a whole number such as 1e5, as an int.

    Raises:
        ValueError: unless it is whole and at least `minimum`.

    Example:
        >>> as_int(num_steps=1e5)
        100000
    """
    ((name, value),) = values.items()
    if is_real(value) and float(value).is_integer():
        value = int(float(value))
    check_ints(minimum, **{name: value})
    return value


def check_one_of(choices: Collection[Any], remedy: str = "", /, **values: Any) -> None:
    """Raises ValueError unless every value is one of `choices`; the message ends in `remedy`.

    Example:
        >>> check_one_of(("mean", "sum"), reduction="sum")
    """
    for name, value in values.items():
        if not _is_among(value, choices):
            raise ValueError(
                f"{name} must be one of {list(choices)}. Received: {name}={value!r}. "
                f"{remedy}".strip()
            )


def _is_among(value, choices):
    try:
        return bool(value in tuple(choices))
    except (TypeError, ValueError):  # An array is equal to many things.
        return False


def check_weights(**values: Any) -> None:
    """Raises ValueError unless every value, the weight of a term of a loss, is finite and >= 0.

    Example:
        >>> check_weights(beta=4.0)
    """
    for name, value in values.items():
        if not is_real(value) or value < 0:
            raise ValueError(
                f"{name} weights a term of the loss and must be a finite number >= 0. Received: "
                f"{name}={value!r}."
            )


def check_fractions(remedy: str = "", /, **values: Any) -> None:
    """Raises ValueError unless every value is in [0, 1); the message ends in `remedy`.

    Example:
        >>> check_fractions(dropout=0.5)
    """
    for name, value in values.items():
        if not is_real(value) or not 0 <= value < 1:
            raise ValueError(
                f"{name} must be a number in [0, 1). Received: {name}={value!r}. {remedy}".strip()
            )


def check_positive(remedy: str = "", /, **values: Any) -> None:
    """Raises ValueError unless every value is a finite number > 0; the message ends in `remedy`.

    Example:
        >>> check_positive(scale=0.1)
    """
    for name, value in values.items():
        if not is_real(value) or value <= 0:
            raise ValueError(
                f"{name} must be a finite number > 0. Received: {name}={value!r}. {remedy}".strip()
            )


def check_numbers(remedy: str = "", /, **values: Any) -> None:
    """Raises ValueError unless every value is a finite number; the message ends in `remedy`.

    Example:
        >>> check_numbers(bound=-1.0)
    """
    for name, value in values.items():
        if not is_real(value):
            raise ValueError(
                f"{name} must be a finite number. Received: {name}={value!r}. {remedy}".strip()
            )


def as_pair(remedy: str = "", /, **values: Any) -> tuple[float, float]:
    """The one value, an interval, as floats (low, high).

    Raises:
        ValueError: unless it is a pair of finite numbers, low < high.

    Example:
        >>> as_pair(value_range=(0, 1))
        (0.0, 1.0)
    """
    ((name, value),) = values.items()
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            f"{name} must be a pair (low, high) of finite numbers, low < high. "
            f"Received: {name}={value!r}. {remedy}".strip()
        )
    return low, high


def as_path(**values: Any) -> str:
    """The one value as a path.

    Raises:
        ValueError: unless it is a string or an `os.PathLike` of one.

    Example:
        >>> as_path(filepath="model.keras")
        'model.keras'
    """
    ((name, value),) = values.items()
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str):
        raise ValueError(f"{name} must be a path. Received: {name}={value!r}.")
    return path


def as_sizes(num_axes: int, remedy: str = "", /, **values: Any) -> tuple[int, ...] | None:
    """The one value, an int or one for each axis, as a tuple of ints; None if it is None.

    Raises:
        ValueError: unless it is an int of at least 1, or `num_axes` of them.

    Example:
        >>> as_sizes(2, image_size=28), as_sizes(2, image_size=(28, 32))
        ((28, 28), (28, 32))
    """
    ((name, value),) = values.items()
    if value is None:
        return None
    sides = (value,) * num_axes if isinstance(value, numbers.Integral) else value
    sides = tuple(sides) if isinstance(sides, list | tuple) else ()
    are_sizes = all(isinstance(side, numbers.Integral) and int(side) >= 1 for side in sides)
    if len(sides) != num_axes or not are_sizes:
        raise ValueError(
            f"{name} must be an int or {num_axes} ints, at least 1. Received: {name}={value!r}. "
            f"{remedy}".strip()
        )
    return tuple(int(side) for side in sides)
