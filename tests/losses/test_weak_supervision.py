"""What pairs share, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses


def by_hand(loc, scale):
    """The same, pair by pair and dimension by dimension, in float64."""
    loc, scale = np.array(loc, "float64"), np.array(scale, "float64")
    new_loc, new_scale = loc.copy(), scale.copy()
    for pair in range(loc.shape[1]):
        (m, n), (s, t) = loc[:, pair], scale[:, pair]
        kl = np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
        for j in range(loc.shape[2]):
            if kl[j] < 0.5 * (kl.max() + kl.min()):
                new_loc[:, pair, j] = (m[j] + n[j]) / 2
                new_scale[:, pair, j] = np.sqrt((s[j] ** 2 + t[j] ** 2) / 2)
    return new_loc, new_scale


@pytest.mark.parametrize("dims", [1, 2, 7])
def test_average_shared(dims):
    rng = np.random.default_rng(dims)
    loc = rng.normal(size=(2, 20, dims)).astype("float32")
    scale = np.exp(0.3 * rng.normal(size=(2, 20, dims))).astype("float32")
    ours, expected = losses.average_shared(loc, scale), by_hand(loc, scale)
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[1], expected[1], rtol=1e-5)
    changed = np.any(np.asarray(ours[0]) != loc, axis=(0, 1))
    assert changed.all() if dims > 1 else not changed.any()


def test_the_average_is_that_of_a_mixtures_moments_but_for_the_distance():
    """Of equal locations: the variance of a draw from one of the two at random."""
    scale = tf.constant([[[1.0, 1.0]], [[3.0, 1.0]]])
    loc = tf.constant([[[2.0, 9.0]], [[2.0, -9.0]]])
    averaged = losses.average_shared(loc, scale)
    assert float(averaged[1][0, 0, 0]) == pytest.approx(np.sqrt((1 + 9) / 2))
    np.testing.assert_array_equal(averaged[0], loc)


def test_gradient_goes_to_both_of_what_is_shared_and_to_one_of_what_is_not():
    loc = tf.constant([[[0.1, 5.0]], [[0.0, -5.0]]])
    with tf.GradientTape() as tape:
        tape.watch(loc)
        first = tf.reduce_sum(losses.average_shared(loc, tf.ones_like(loc))[0][0])
    np.testing.assert_array_equal(tape.gradient(first, loc), [[[0.5, 1.0]], [[0.5, 0.0]]])


def test_three_examples_are_no_pair():
    with pytest.raises(ValueError, match="Received: loc of shape"):
        losses.average_shared(tf.zeros((3, 4, 2)), tf.ones((3, 4, 2)))
