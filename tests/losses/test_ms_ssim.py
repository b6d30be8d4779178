"""MS-SSIM with a gradient: against tf.image, finite differences, and where terms are clipped."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.losses import ms_ssim


def smooth_images(num, size, channels=1, seed=0):
    """Noise at several scales, in [0, 1], so that pairs are neither equal nor unrelated."""
    rng = np.random.default_rng(seed)
    common = rng.uniform(size=(1, size, size, channels))
    coarse = rng.uniform(size=(num, -(-size // 8), -(-size // 8), channels))
    coarse = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :size, :size]
    return 0.5 * common + 0.3 * coarse + 0.2 * rng.uniform(size=(num, size, size, channels))


def pair(num, size, channels=1):
    """Images so alike that all terms are above 0.01, where the gradient is that of the value."""
    a, b = (smooth_images(num, size, channels, seed) for seed in (0, 1))
    return a, 0.6 * a + 0.4 * b


def value_and_gradient(function, b):
    with tf.GradientTape() as tape:
        tape.watch(b)
        value = function(b)
    return value.numpy(), tape.gradient(value, b).numpy()


@pytest.mark.parametrize("size, channels", [(176, 1), (181, 3)])
def test_value_and_gradient_against_tf_image(size, channels):
    """At the paper's five scales; its exponents, which sum to 1.0001, divided by their sum."""
    a, b = (images.astype("float32") for images in pair(2, size, channels))
    exponents = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])

    def reference(b):
        return tf.image.ssim_multiscale(a, b, 1.0, (exponents / exponents.sum()).tolist())

    value, gradient = value_and_gradient(lambda b: ms_ssim(a, b), tf.constant(b))
    expected, expected_gradient = value_and_gradient(reference, tf.constant(b))
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    assert np.all((value > 0.05) & (value < 0.95))
    scale = np.abs(expected_gradient).max()
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-3 * scale)


@pytest.mark.parametrize("size, window", [(9, 3), (28, None), (28, 11)])
def test_gradient_against_finite_differences(size, window):
    """In float64, along a random direction, on images in [-1, 1]."""
    a, b = (2 * images - 1 for images in pair(3, size, channels=2))
    direction = np.random.default_rng(2).normal(size=b.shape)

    def function(b):
        return ms_ssim(a, b, (-1.0, 1.0), window)

    _, gradient = value_and_gradient(function, tf.constant(b))
    ends = [tf.reduce_sum(function(b + step * direction)) for step in (1e-5, -1e-5)]
    assert np.sum(gradient * direction) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("a, b", [(0.3, 0.3), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_constant_images(a, b):
    """Of which contrast is 1, and similarity the luminance to the power of its exponent."""
    images = [np.full((2, 28, 28, 1), pixel, "float32") for pixel in (a, b)]
    value, gradient = value_and_gradient(lambda b: ms_ssim(images[0], b), tf.constant(images[1]))
    luminance = (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
    np.testing.assert_allclose(value, luminance ** (0.3001 / 0.6305), rtol=1e-4)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", ["opposite", "mixed", "one scale"])
def test_gradient_leads_out_of_negative_contrast(kind):
    """Where similarity is 0 or near it: 200 steps of ascent on pixels find the image."""
    a = np.float32(np.random.default_rng(0).uniform(size=(1, 28, 28, 1)))
    start = {"opposite": 1 - a, "mixed": 0.5 + 0.1 * (0.5 - a), "one scale": np.roll(a, 1, axis=1)}
    b = keras.Variable(start[kind])
    assert float(ms_ssim(a, b.value)[0]) < 0.5
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build([b])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -ms_ssim(a, b.value)
        gradient = tape.gradient(loss, b.value)
        optimizer.apply([gradient], [b])
        return tf.reduce_max(tf.abs(gradient))

    gradients = np.array([step() for _ in range(200)])
    assert np.isfinite(gradients).all()
    assert gradients[0] > 1e-6
    assert float(ms_ssim(a, b.value)[0]) > 0.9


def test_value_of_negative_contrast_is_zero():
    a = np.float32(np.random.default_rng(0).uniform(size=(3, 28, 28, 1)))
    np.testing.assert_array_equal(ms_ssim(a, 1 - a), np.zeros(3))


def test_under_xla():
    a, b = (images.astype("float32") for images in pair(2, 28))
    compiled = tf.function(ms_ssim, jit_compile=True)
    np.testing.assert_allclose(compiled(a, b), ms_ssim(a, b), rtol=1e-4)


@pytest.mark.parametrize(
    "a, b, message",
    [
        ((2, 8, 8, 1), (2, 8, 8, 2), "shape"),
        ((2, 8, 8), (2, 8, 8), "Received"),
        ((1, 2, 8, 8, 1), (1, 2, 8, 8, 1), r"must have shape \(batch, height.*Received"),
        ((2, 2, 8, 1), (2, 2, 8, 1), r"Received: 3 for images of shape \(2, 8, 1\)"),
    ],
)
def test_shapes(a, b, message):
    with pytest.raises(ValueError, match=message):
        ms_ssim(tf.zeros(a), tf.zeros(b))
