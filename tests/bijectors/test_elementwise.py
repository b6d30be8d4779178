"""Permutations and the sigmoid: closed forms, ends of the range, errors by text."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from tfgen.bijectors.elementwise import Permute, Sigmoid


def test_permutation_is_that_of_numpy():
    x = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    y, log_det = Permute(3, np.array([1, 2, 0])).forward(x)
    assert_array_equal(y, x.numpy()[:, [1, 2, 0]])
    assert_array_equal(log_det, [0.0, 0.0])
    assert_array_equal(Permute(3, [1, 2, 0]).inverse(y)[0], x)


def test_permutation_reverses_by_default():
    images = tf.reshape(tf.range(12.0), (1, 2, 2, 3))
    assert_array_equal(Permute((2, 2, 3)).forward(images)[0], images[..., ::-1])


@pytest.mark.parametrize("permutation", [[0, 0, 1], [0, 1], [1, 2, 3]])
def test_no_permutation(permutation):
    with pytest.raises(ValueError, match=r"permutation of 0 to 2, .* Received: permutation=\["):
        Permute(3, permutation)


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 0.05])
def test_logit_against_scipy_in_double_precision(alpha):
    y = np.array([[0.3, 0.5], [1e-3, 0.999]], "float32")
    x, log_det = Sigmoid(2, alpha).inverse(y)
    share = alpha + (1 - 2 * alpha) * y.astype("float64")
    assert_allclose(x, special.logit(share), rtol=1e-5)
    expected = np.sum(np.log((1 - 2 * alpha) / (share * (1 - share))), axis=-1)
    assert_allclose(log_det, expected, rtol=1e-5)


def test_ends_are_finite_and_symmetric():
    x, log_det = Sigmoid(1).inverse(tf.constant([[0.0], [1.0]]))
    end = np.log((1 - 1e-6) / 1e-6)
    assert_allclose(x, [[-end], [end]], rtol=1e-6)
    assert_allclose(log_det, [np.log((1 - 2e-6) / (1e-6 * (1 - 1e-6)))] * 2, rtol=1e-6)


@pytest.mark.parametrize("alpha", [-0.1, 0.5])
def test_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match=f"alpha must be .* Received: alpha={alpha}"):
        Sigmoid(2, alpha)


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 0.05])
def test_sigmoid_of_extremes_comes_back_finite(alpha):
    """Beyond 17 a sigmoid is rounded to 1; the way back ends at most at 88, the smallest number."""
    x = tf.constant([[-1e4, -50.0, 50.0, 1e4]])
    y, log_det = Sigmoid(4, alpha).forward(x)
    preimage, change = Sigmoid(4, alpha).inverse(y)
    assert np.all(np.isfinite([log_det, change]))
    assert np.all(np.sign(preimage) == np.sign(x)) and np.all(np.abs(preimage) < 88)
    assert np.min(np.abs(preimage)) > 15


def test_data_outside_of_a_sigmoid_are_not_made_up():
    assert np.all(np.isnan(Sigmoid(2).inverse(tf.constant([[-0.1, 1.1]]))[0]))
