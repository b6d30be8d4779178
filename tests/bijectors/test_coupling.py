"""Coupling layers: TFP, formulas by hand, elements that pass, images, errors by text."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate

from tfgen.bijectors.coupling import (
    AffineCoupling,
    SplineCoupling,
    alternating_mask,
    coupling_network,
)

tfb = tfp.bijectors


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def constant_network(values, size=1):
    """Network over vectors of `size` elements that returns `values` whatever its input."""
    network = coupling_network(size, hidden=(), num_parameters=len(values) // size)
    network.layers[-1].bias.assign(values)
    return network


# Masks and networks over vectors.


def test_alternating_masks_complete_each_other():
    assert_array_equal(alternating_mask(4), [1, 0, 1, 0])
    assert_array_equal(alternating_mask(4, first=0), [0, 1, 0, 1])


def test_network_takes_a_context_and_starts_at_zero():
    network = coupling_network(3, (5, 4), context_size=2, num_parameters=7)
    assert network.output_shape == (None, 21)
    assert network.count_params() == (5 * 5 + 5) + (5 * 4 + 4) + (4 * 21 + 21)
    assert not np.any(network([normal(6, 3), normal(6, 2)]))


# Affine couplings.


def test_affine_against_tfp(perturb):
    """RealNVP masks the first elements, and takes the scale as it is."""
    network = perturb(coupling_network(4, (8,)))
    coupling = AffineCoupling(network, [1, 1, 0, 0])

    def shift_and_log_scale(x, num_outputs, **kwargs):
        log_scale, shift = tf.split(network(tf.pad(x, [[0, 0], [0, 2]])), 2, axis=-1)
        return shift[:, 2:], tf.tanh(log_scale[:, 2:])

    theirs = tfb.RealNVP(num_masked=2, shift_and_log_scale_fn=shift_and_log_scale)
    x = tf.constant(normal(5, 4))
    y, log_det = coupling.forward(x)
    assert_allclose(y, theirs.forward(x), rtol=1e-5)
    assert_allclose(log_det, theirs.forward_log_det_jacobian(x, 1), rtol=1e-5)
    assert_allclose(coupling.inverse(x)[0], theirs.inverse(x), rtol=1e-5)


def test_affine_by_hand():
    """One mapped element; s = b tanh(3 / b) with the learned bound b = 2, t = 0.5."""
    coupling = AffineCoupling(constant_network([3.0, 0.5]), mask=[0])
    coupling.log_bound.assign([np.log(2.0)])
    log_scale = 2 * np.tanh(1.5)
    y, log_det = coupling.forward(tf.constant([[-1.5]]))
    assert_allclose(y, [[-1.5 * np.exp(log_scale) + 0.5]], rtol=1e-6)
    assert_allclose(log_det, [log_scale], rtol=1e-6)


def test_scale_is_bounded():
    coupling = AffineCoupling(constant_network([1e4, 0.0]), mask=[0])
    assert_allclose(coupling.forward(tf.ones((1, 1)))[0], [[np.e]], rtol=1e-6)


@pytest.mark.parametrize(
    "coupling_class, num_parameters", [(AffineCoupling, 2), (SplineCoupling, 23)]
)
def test_what_passes_is_untouched_and_what_is_mapped_unseen(
    coupling_class, num_parameters, perturb
):
    network = perturb(coupling_network(4, (8,), num_parameters=num_parameters))
    coupling = coupling_class(network, alternating_mask(4))
    x = normal(5, 4)
    y, log_det = coupling.forward(x)
    assert_array_equal(y[:, ::2], x[:, ::2])
    assert np.all(y[:, 1::2] != x[:, 1::2])
    shifted = x + [0.0, 0.3, 0.0, 0.0]
    assert_array_equal(coupling.forward(shifted.astype("float32"))[0][:, 3], y[:, 3])


def test_images_and_images_as_context(check_bijector):
    """A mask of one row per pixel row is broadcast, and the factor is learned for each channel."""
    inputs = [keras.Input((2, 2, 2)), keras.Input((2, 2, 1))]
    outputs = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.Concatenate()(inputs))
    coupling = AffineCoupling(keras.Model(inputs, outputs), np.reshape([0.0, 1.0], (2, 1, 1)))
    assert coupling.event_shape == (2, 2, 2) and coupling.log_bound.shape == (2,)
    check_bijector(coupling, normal(2, 2, 2, 2), normal(2, 2, 2, 1))


# Spline couplings.


def spline(num_bins=2, bound=3.0, seed=0):
    values = normal(3 * num_bins - 1, seed=seed)
    return SplineCoupling(constant_network(values), [0], num_bins, bound), values.astype("float64")


def test_spline_by_hand():
    """Durkan et al., Eq. 4, of the second of two bins, whose right end has slope 1."""
    coupling, values = spline()
    width, height = (
        6 * (1e-3 + (1 - 2e-3) / (1 + np.exp(first - second)))
        for first, second in (values[:2], values[2:4])
    )
    slope = 1e-3 + (1 - 1e-3) * np.log1p(np.exp(values[4] + np.log(np.e - 1)))
    x = np.float32(2.0)
    assert 3 - width < x < 3
    xi, s = (x - 3 + width) / width, height / width
    mixed = xi * (1 - xi)
    denominator = s + (1 + slope - 2 * s) * mixed
    expected = 3 - height + height * (s * xi**2 + slope * mixed) / denominator
    derivative = s**2 * (xi**2 + 2 * s * mixed + slope * (1 - xi) ** 2) / denominator**2
    y, log_det = coupling.forward(tf.fill((1, 1), x))
    assert_allclose(y, [[expected]], rtol=1e-5)
    assert_allclose(log_det, [np.log(derivative)], rtol=1e-4, atol=1e-5)


def test_spline_increases_within_its_bounds_and_is_the_identity_beyond():
    coupling, _ = spline(num_bins=8, bound=2.0, seed=3)
    x = np.linspace(-4, 4, 8001, dtype="float32")[:, None]
    y, log_det = (value.numpy() for value in coupling.forward(x))
    outside = np.abs(x[:, 0]) > 2
    assert_array_equal(y[outside], x[outside])
    assert not np.any(log_det[outside])
    assert np.all(np.diff(y[:, 0]) > 0)
    assert np.max(np.abs(y - x)) > 0.1
    # The slope integrates to the length of the interval: 8000 trapezoids, in bins of at least 4.
    assert_allclose(integrate.trapezoid(np.exp(log_det), x[:, 0]), 8.0, atol=0.02)


def test_spline_against_tfp():
    """Without a limit of slopes, the spline of TFP at all points of a wide interval."""
    coupling, values = spline(num_bins=5, seed=4)
    coupling.max_slope_ratio = None
    widths, heights, slopes = np.split(values.astype("float32"), [5, 10])
    shares = [6 * (1e-3 + (1 - 5e-3) * tf.nn.softmax(part)) for part in (widths, heights)]
    slopes = 1e-3 + (1 - 1e-3) * np.log1p(np.exp(slopes + np.log(np.e - 1)))
    theirs = tfb.RationalQuadraticSpline(*shares, slopes.astype("float32"), range_min=-3.0)
    x = tf.constant(np.linspace(-4, 4, 1001, dtype="float32")[:, None])
    y, log_det = coupling.forward(x)
    assert_allclose(y, theirs.forward(x), rtol=1e-5, atol=1e-5)
    # Near a knot the two may take the bins beside it.
    assert_allclose(log_det, theirs.forward_log_det_jacobian(x)[:, 0], rtol=1e-4, atol=1e-4)
    preimage, change = coupling.inverse(x)
    assert_allclose(preimage, theirs.inverse(x), rtol=1e-4, atol=1e-4)
    assert_allclose(change, theirs.inverse_log_det_jacobian(x)[:, 0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [1.0, 10.0, 1e3, 1e7])
def test_spline_comes_back_whatever_its_parameters(size):
    """The least slope is 2e-3 / 11, so that one rounding of y moves x by 3 * 6e-8 * 11 / 2e-3.

    In TFP's spline, which has no limit, two points of one image were up to 6 apart.
    """
    rounding = 3 * 2.0**-24 * 11 / 2e-3
    x = tf.constant(np.linspace(-4, 4, 2001, dtype="float32")[:, None])
    for seed in range(5):
        values = size * normal(3 * 8 - 1, seed=seed)
        coupling = SplineCoupling(constant_network(values), [0], num_bins=8)
        with tf.GradientTape() as tape:
            y, log_det = coupling.forward(x)
            preimage, change = coupling.inverse(y)
            total = tf.reduce_sum(y) + tf.reduce_sum(log_det) + tf.reduce_sum(preimage)
        assert np.all(np.diff(y[:, 0]) >= 0) and np.all(np.isfinite(log_det))
        assert np.min(log_det) > np.log(2e-3 / 11) - 1e-3
        assert_allclose(preimage, x, rtol=0, atol=2 * rounding)
        # The other way the greatest slope counts, which is 1e3 for a bin, and 1e4 for a knot.
        assert_allclose(coupling.forward(preimage)[0], y, rtol=0, atol=3 * 2.0**-24 * 1e4)
        gradients = tape.gradient(total, coupling.trainable_variables)
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_a_config_of_version_0_1_0_has_no_limit_of_slopes():
    coupling, _ = spline()
    config = coupling.get_config()
    del config["max_slope_ratio"]
    assert SplineCoupling.from_config(config).max_slope_ratio is None


def test_learned_bounds_of_scales_are_bounded():
    for log_bound, most in ((1e4, np.exp(2.0)), (-1e4, np.exp(-5.0))):
        coupling = AffineCoupling(constant_network([1e4, 0.0]), mask=[0])
        coupling.log_bound.assign([log_bound])
        assert_allclose(coupling.forward(tf.ones((1, 1)))[1], [most], rtol=1e-6)


# Saving, policies, errors.


def test_float32_whatever_the_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
        y, log_det = AffineCoupling(network, [1, 0]).forward(tf.ones((1, 2)))
    finally:
        keras.config.set_dtype_policy(before)
    assert y.dtype == log_det.dtype == tf.float32


def test_network_of_another_size():
    with pytest.raises(ValueError, match=r"SplineCoupling needs 23 values .*shape \(4,\)\. End"):
        SplineCoupling(coupling_network(2), [1, 0])


def test_mask_with_other_values():
    with pytest.raises(ValueError, match=r"Received: a mask of the values \[0\.5, 1\.0\]"):
        AffineCoupling(coupling_network(2), [1, 0.5])


def test_context_missing():
    with pytest.raises(ValueError, match="second input. Received: context=None"):
        AffineCoupling(coupling_network(2, context_size=1), [1, 0]).forward(tf.ones((1, 2)))
