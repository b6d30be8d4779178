"""Checks of class probabilities: what passes comes back, what is none is refused."""

import numpy as np
import pytest

from tfgen.metrics._samples import probability_array


def test_probabilities_come_back_in_double_precision():
    rows = np.array([[0.25, 0.75], [1.0, 0.0]], "float32")
    array = probability_array(rows)
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, rows)
    probability_array([[0.5, 0.5009]])  # Rounding.


@pytest.mark.parametrize("shape", [(2,), (0, 2), (3, 1), (2, 2, 2)])
def test_shapes(shape):
    with pytest.raises(ValueError, match=r"2 classes. Received: shape \("):
        probability_array(np.ones(shape))


@pytest.mark.parametrize("row", [[1.1, -0.1], [0.5, 0.502], [0.5, 0.498], [np.nan, 1.0]])
def test_rows_that_are_no_probabilities(row):
    with pytest.raises(ValueError, match="sum to 1; end the classifier in a softmax"):
        probability_array([[0.5, 0.5], row])


def test_what_is_said_of_sums_is_no_probability_either():
    with pytest.raises(ValueError, match="sums from 1 to 1.00002"):
        probability_array([[0.5, 0.5], [0.5, 0.50002]], tolerance=1e-5)
