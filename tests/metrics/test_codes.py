"""Checks and helpers that the scores of disentanglement share."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.metrics._codes import (
    active_dims,
    check_codes,
    check_codes_and_factors,
    points_by_value,
    split,
    standardize,
)

CODES, FACTORS = np.arange(12.0).reshape(6, 2), np.array([[0, 1], [1, 1], [2, 4]] * 2)


def test_types_and_values_of_checked_arrays():
    codes, factors = check_codes_and_factors(tf.constant(CODES, tf.float32), FACTORS.astype("f4"))
    assert codes.dtype == "float64" and factors.dtype == "int64"
    np.testing.assert_array_equal(codes, CODES)
    np.testing.assert_array_equal(factors, FACTORS)
    booleans = check_codes_and_factors(CODES, FACTORS[:, 1:] > 1)[1]
    np.testing.assert_array_equal(booleans[:, 0], [0, 0, 1, 0, 0, 1])


@pytest.mark.parametrize(
    "codes, message",
    [
        (CODES[:, 0], r"codes must have shape .* Received: shape \(6,\)"),
        (CODES[:1], r"at least 2 points.* Received: shape \(1, 2\)"),
        (CODES[:, :0], r"Received: shape \(6, 0\)"),
        (np.where(CODES == 3, np.nan, CODES), "codes must be finite. Received: NaN"),
        (np.where(CODES == 3, np.inf, CODES), "codes must be finite. Received: NaN or infinite"),
    ],
)
def test_errors_of_codes(codes, message):
    with pytest.raises(ValueError, match=message):
        check_codes_and_factors(codes, FACTORS)
    with pytest.raises(ValueError, match=r"runs\[1\] must"):
        check_codes(codes, "runs[1]")


@pytest.mark.parametrize(
    "factors, message",
    [
        (FACTORS[:, 0], r"factors must have shape .* Received: shape \(6,\)"),
        (FACTORS[:5], r"one row for each of the 6 codes. Received: shape \(5, 2\)"),
        (FACTORS[:, :0], r"Received: shape \(6, 0\)"),
        (FACTORS + 0.25, r"whole numbers.* Received: 0.25. .*np.digitize"),
        (np.where(FACTORS == 4, np.nan, 1.0), "whole numbers.* Received: nan"),
        (FACTORS.astype(str), "factors must be an array of numbers. Received: factors of type nd"),
        (FACTORS * [1, 0], r"at least 2 values.* columns \[1\] of factors. Leave these"),
    ],
)
def test_errors_of_factors(factors, message):
    with pytest.raises(ValueError, match=message):
        check_codes_and_factors(CODES, factors)


def test_error_of_too_few_columns():
    check_codes_and_factors(CODES, FACTORS, min_dims=2, min_factors=2)
    for codes, factors in ((CODES[:, :1], FACTORS), (CODES, FACTORS[:, :1])):
        with pytest.raises(ValueError, match="2 latent dimensions and 2 factors. Received: codes"):
            check_codes_and_factors(codes, factors, min_dims=2, min_factors=2)


@pytest.mark.parametrize("level", [0.1, -3e4, 1e-8])
def test_rounding_of_a_constant_is_no_activity(level):
    """Neighbouring float32 numbers, as a network computes a constant in batches of two sizes."""
    constant = np.full(50, level, "float32")
    constant[::2] = np.nextafter(constant[0], np.float32(np.inf))
    codes = np.stack([constant, constant + 0.01 * abs(level) * np.arange(50)], axis=1)
    codes = codes.astype("float64")
    assert codes[:, 0].var() > 0.0
    assert active_dims(codes).tolist() == [False, True]
    scaled = standardize(codes)
    assert not scaled[:, 0].any()
    np.testing.assert_allclose([scaled[:, 1].mean(), scaled[:, 1].std()], [0, 1], atol=1e-9)


def test_zeros_are_not_active():
    assert not active_dims(np.zeros((5, 2))).any()
    assert not standardize(np.zeros((5, 2))).any()


def test_points_by_value_against_unique():
    factor = np.random.default_rng(0).integers(-20, 20, size=60)
    values, counts = np.unique(factor, return_counts=True)
    assert 1 in counts
    groups = points_by_value(factor)
    assert [factor[group[0]] for group in groups] == values[counts > 1].tolist()
    for group in groups:
        np.testing.assert_array_equal(group, np.flatnonzero(factor == factor[group[0]]))


def test_error_of_values_that_no_two_points_share():
    with pytest.raises(ValueError, match="Received: a factor with 5 different values at 5 points"):
        points_by_value(np.arange(5))


def test_split_parts_the_points_and_follows_the_seed():
    codes = np.arange(50.0)[:, None]
    factors = np.arange(50)[:, None]
    train, test, train_factors, test_factors = split(codes, factors, seed=1)
    assert len(train) == 40 and len(test) == 10
    assert set(train[:, 0]) | set(test[:, 0]) == set(range(50))
    np.testing.assert_array_equal(train, train_factors)
    np.testing.assert_array_equal(test, test_factors)
    np.testing.assert_array_equal(split(codes, factors, seed=1)[1], test)
    assert set(split(codes, factors, seed=2)[1][:, 0]) != set(test[:, 0])


def test_error_of_a_factor_with_one_value_to_train_on():
    with pytest.raises(ValueError, match="4 in 5. Received: 2 points in all. Give more points"):
        split(CODES[:2], FACTORS[:2], seed=0)
