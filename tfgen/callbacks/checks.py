"""Checks of arguments that the callbacks share."""

import math

__all__ = ["non_negative", "positive_int"]


def non_negative(name, value):
    """`value` as a float, which must be finite and not negative.

    Args:
        name: str, what the value is, for the error message.
        value: number.

    Returns:
        float >= 0.

    Raises:
        ValueError: if `value` is negative, infinite or NaN.

    Example:
        >>> non_negative("beta", 4)
        4.0
    """
    value = float(value)
    if not 0.0 <= value < math.inf:
        raise ValueError(
            f"{name} must be finite and not negative. Received: {value}. Give a number >= 0."
        )
    return value


def positive_int(name, value):
    """`value` as an int, which must be a whole number of at least one.

    Args:
        name: str, what the value is, for the error message.
        value: number.

    Returns:
        int >= 1.

    Raises:
        ValueError: if `value` is no whole number, or under one.

    Example:
        >>> positive_int("num_steps", 1000)
        1000
    """
    if int(value) != value or value < 1:
        raise ValueError(
            f"{name} must be a whole number, at least 1. Received: {value}. Give an int >= 1."
        )
    return int(value)
