"""Checks of arguments that several areas share; each names the argument by its keyword."""

import math
import numbers
from collections.abc import Collection
from typing import Any

__all__ = [
    "as_int",
    "as_pair",
    "as_sizes",
    "check_fractions",
    "check_ints",
    "check_one_of",
    "check_positive",
    "check_weights",
]


def check_ints(minimum: int = 1, remedy: str = "", /, **values: Any) -> None:
    """Raises ValueError unless every value is an int of at least `minimum`; ends in `remedy`.

    Example:
        >>> check_ints(0, depth=2, width=16)
    """
    for name, value in values.items():
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < minimum:
            raise ValueError(
                f"{name} must be an int of at least {minimum}. Received: {name}={value!r}. "
                f"{remedy}".strip()
            )


def as_int(minimum: int = 1, /, **values: Any) -> int:
    """The one value, a whole number such as 1e5, as an int.

    Raises:
        ValueError: unless it is whole and at least `minimum`.

    Example:
        >>> as_int(num_steps=1e5)
        100000
    """
    ((name, value),) = values.items()
    if isinstance(value, numbers.Real) and float(value).is_integer():
        value = int(float(value))
    check_ints(minimum, **{name: value})
    return value


def check_one_of(choices: Collection[Any], remedy: str = "", /, **values: Any) -> None:
    """Raises ValueError unless every value is one of `choices`; the message ends in `remedy`.

    Example:
        >>> check_one_of(("mean", "sum"), reduction="sum")
    """
    for name, value in values.items():
        if value not in tuple(choices):
            raise ValueError(
                f"{name} must be one of {list(choices)}. Received: {name}={value!r}. "
                f"{remedy}".strip()
            )


def check_weights(**values: Any) -> None:
    """Raises ValueError unless every value, the weight of a term of a loss, is finite and >= 0.

    Example:
        >>> check_weights(beta=4.0)
    """
    for name, value in values.items():
        if not isinstance(value, numbers.Real) or not 0 <= float(value) < math.inf:
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
        if not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
            raise ValueError(
                f"{name} must be a number in [0, 1). Received: {name}={value!r}. {remedy}".strip()
            )


def check_positive(remedy: str = "", /, **values: Any) -> None:
    """Raises ValueError unless every value is a finite number > 0; the message ends in `remedy`.

    Example:
        >>> check_positive(scale=0.1)
    """
    for name, value in values.items():
        if not isinstance(value, numbers.Real) or not 0 < float(value) < math.inf:
            raise ValueError(
                f"{name} must be a finite number > 0. Received: {name}={value!r}. {remedy}".strip()
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
