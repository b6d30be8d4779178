import numpy as np
import pytest

from tfgen.callbacks.checks import non_negative, positive_int


@pytest.mark.parametrize("value", [0, 4, 0.5, np.float32(2.0)])
def test_non_negative_numbers_pass(value):
    assert non_negative("beta", value) == float(value)


@pytest.mark.parametrize("value", [-0.1, np.inf, np.nan])
def test_other_numbers_are_refused(value):
    with pytest.raises(ValueError, match=f"beta must be finite.*Received: {value}"):
        non_negative("beta", value)


@pytest.mark.parametrize("value", [1, 10.0, np.int64(3)])
def test_whole_numbers_pass(value):
    assert positive_int("every", value) == int(value)


@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_fractions_and_zero_are_refused(value):
    with pytest.raises(ValueError, match=f"every must be a whole number.*Received: {value}"):
        positive_int("every", value)
