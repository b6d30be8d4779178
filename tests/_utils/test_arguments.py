"""Checks of arguments: what passes, what does not, and what the message says."""

import numpy as np
import pytest

from tfgen._utils.arguments import (
    as_int,
    as_pair,
    as_sizes,
    check_fractions,
    check_ints,
    check_numbers,
    check_one_of,
    check_positive,
    check_weights,
)


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_ints_that_pass(value):
    check_ints(width=value)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "2", None, np.float32(2)])
def test_ints_that_do_not(value):
    with pytest.raises(ValueError, match="width must be an int of at least 1. Received: width="):
        check_ints(depth=2, width=value)


def test_least_int():
    check_ints(0, depth=0)
    with pytest.raises(ValueError, match="depth must be an int of at least 2. Received: depth=1"):
        check_ints(2, depth=1)


@pytest.mark.parametrize("value", [1, 10.0, np.int64(3), np.float32(3), 1e5])
def test_whole_numbers_become_ints(value):
    assert as_int(steps=value) == value and isinstance(as_int(steps=value), (int, np.integer))


@pytest.mark.parametrize("value", [0, -1.0, 2.5, np.inf, np.nan, "2", None, True])
def test_other_numbers_are_no_ints(value):
    with pytest.raises(ValueError, match="steps must be an int of at least 1. Received: steps="):
        as_int(steps=value)


def test_one_of():
    check_one_of(("mean", "sum"), reduction="sum", other="mean")
    with pytest.raises(ValueError, match=r"\['mean', 'sum'\]. Received: reduction='max'. Add"):
        check_one_of(("mean", "sum"), "Add it up.", reduction="max")


def test_one_of_without_remedy_ends_in_a_full_stop():
    with pytest.raises(ValueError, match=r"Received: estimator=None\.$"):
        check_one_of({"mws": 1}, estimator=None)


@pytest.mark.parametrize("value", [0, 0.5, 4, np.float32(1.5)])
def test_weights_that_pass(value):
    check_weights(beta=value)


@pytest.mark.parametrize("value", [-1e-9, float("inf"), float("nan"), "1", None, [1.0], True])
def test_weights_that_do_not(value):
    with pytest.raises(ValueError, match="beta weights a term .* Received: beta="):
        check_weights(alpha=1.0, beta=value)


@pytest.mark.parametrize("value", [0, 0.5, 1 - 1e-9])
def test_fractions_that_pass(value):
    check_fractions(dropout=value)


@pytest.mark.parametrize("value", [-0.1, 1, 1.0, float("nan"), None, "0.5", False])
def test_fractions_that_do_not(value):
    with pytest.raises(ValueError, match=r"dropout must be a number in \[0, 1\). Received: drop"):
        check_fractions(dropout=value)


@pytest.mark.parametrize("value", [True, np.bool_(True), np.inf, np.nan, "1", None, [1.0]])
@pytest.mark.parametrize("check", [check_positive, check_numbers])
def test_no_numbers(check, value):
    with pytest.raises(ValueError, match="must be a finite number.* Received: scale="):
        check(scale=value)


def test_pair():
    pair = as_pair(value_range=np.array([-1, 1]))
    assert pair == (-1.0, 1.0)
    assert all(isinstance(bound, float) for bound in pair)


@pytest.mark.parametrize(
    "value", [(1, 0), (0, 0), (0,), (0, 1, 2), 1, None, "ab", (0, float("inf")), (float("nan"), 1)]
)
def test_no_pair(value):
    with pytest.raises(ValueError, match=r"value_range must be .* Received: value_range=.* Give"):
        as_pair("Give the range of the pixels.", value_range=value)


@pytest.mark.parametrize(
    ("value", "sizes"),
    [(28, (28, 28)), ((28, 32), (28, 32)), ([1, 2], (1, 2)), (np.int32(3), (3, 3)), (None, None)],
)
def test_sizes(value, sizes):
    assert as_sizes(2, image_size=value) == sizes


@pytest.mark.parametrize("value", [0, (28,), (1, 2, 3), (0, 28), 28.0, (28.0, 28), "28"])
def test_no_sizes(value):
    with pytest.raises(ValueError, match="image_size must be an int or 2 ints, .* Use None"):
        as_sizes(2, "Use None to keep them.", image_size=value)
