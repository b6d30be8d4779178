"""Checks of images: rounding of pixels at the ends of their range passes, more does not."""

import re

import numpy as np
import pytest

from tfgen.metrics._images import check_pixels


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (-3.0, 0.0), (0.0, 255.0)])
@pytest.mark.parametrize("end", [0, 1])
def test_pixels_leave_the_range_by_rounding_at_most(value_range, end):
    images = np.array(value_range)  # float64, so that a part of a millionth is there.
    outwards = (2 * end - 1) * np.ptp(images)
    images[end] += 0.9e-6 * outwards
    check_pixels(images, value_range)
    images[end] += 0.2e-6 * outwards
    with pytest.raises(ValueError, match="must have pixels in value_range") as error:
        check_pixels(images, value_range)
    # What is said of them lies outside of the range too.
    said = re.search(r"values from (\S+) to (\S+)\. ", str(error.value)).groups()
    assert not value_range[0] <= float(said[0]) <= float(said[1]) <= value_range[1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value):
    with pytest.raises(ValueError, match="must be finite"):
        check_pixels(np.array([0.5, value]), (0, 1))
