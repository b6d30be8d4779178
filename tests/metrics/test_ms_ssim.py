"""MS-SSIM: against NumPy, against tf.image, at identical and unrelated images; random pairs."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfgen.datasets import load
from tfgen.metrics.ms_ssim import ms_ssim, pairwise_ms_ssim

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def smooth_images(num, size, channels=1, seed=0):
    """Noise at several scales, in [0, 1], so that pairs are neither equal nor unrelated."""
    rng = np.random.default_rng(seed)
    common = rng.uniform(size=(1, size, size, channels))
    coarse = rng.uniform(size=(num, -(-size // 8), -(-size // 8), channels))
    coarse = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :size, :size]
    return 0.5 * common + 0.3 * coarse + 0.2 * rng.uniform(size=(num, size, size, channels))


def window_means(image, size):
    """Gaussian-weighted mean (standard deviation 1.5) of each window that fits."""
    position = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(position[:, None] ** 2 + position[None] ** 2) / (2 * 1.5**2))
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return np.einsum("ijkl,kl->ij", windows, weights / weights.sum())


def halve(image):
    """Means of 2 x 2 pixels, with the last row and column repeated where the size is odd."""
    height, width = image.shape
    image = np.pad(image, ((0, height % 2), (0, width % 2)), mode="edge")
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4


def wang(a, b, num_scales, size, value_range=1.0):
    """Wang et al., 2003, Eq. 2 to 7, of two images of one channel, in float64."""
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    weights = WEIGHTS[:num_scales] / WEIGHTS[:num_scales].sum()
    product = 1.0
    for scale in range(num_scales):
        mean_a, mean_b = window_means(a, size), window_means(b, size)
        variance_a = window_means(a**2, size) - mean_a**2
        variance_b = window_means(b**2, size) - mean_b**2
        covariance = window_means(a * b, size) - mean_a * mean_b
        contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        last = scale == num_scales - 1
        term = np.mean(luminance * contrast) if last else np.mean(contrast)
        product *= max(term, 0.0) ** weights[scale]
        a, b = halve(a), halve(b)
    return product


# (image size, window) and the number of scales into which the window fits.
SCALES = [
    (28, 11, 2),
    (28, 7, 3),
    (28, 5, 3),
    (28, 3, 4),
    (32, None, 3),
    (28, None, 3),
    (64, None, 3),
    (81, None, 4),
    (176, None, 5),
    (8, None, 2),
]
CHOSEN = {8: 3, 28: 7, 32: 7, 64: 11, 81: 11, 176: 11}


@pytest.mark.parametrize("size, window, num_scales", SCALES)
def test_against_numpy(size, window, num_scales):
    a, b = smooth_images(3, size), smooth_images(3, size, seed=1)
    b = 0.6 * a + 0.4 * b
    values = ms_ssim(a, b, filter_size=window)
    window = window or CHOSEN[size]
    expected = [wang(i[..., 0], j[..., 0], num_scales, window) for i, j in zip(a, b, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    assert np.all(values < 0.95)


def test_against_tf_image_at_the_papers_five_scales():
    a, b = smooth_images(2, 176, channels=3), smooth_images(2, 176, channels=3, seed=1)
    expected = tf.image.ssim_multiscale(np.float32(a), np.float32(b), max_val=1.0)
    # The exponents sum to 1.0001.
    np.testing.assert_allclose(ms_ssim(a, b), expected, rtol=1e-3)
    assert np.all(np.asarray(expected) > 0.01)


def test_one_scale_is_ssim():
    a, b = smooth_images(4, 12), smooth_images(4, 12, seed=1)
    expected = tf.image.ssim(np.float32(a), np.float32(b), max_val=1.0)
    np.testing.assert_allclose(ms_ssim(a, b, filter_size=11), expected, rtol=1e-4)
    assert np.all(np.asarray(expected) > 0.01)


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (0, 255)])
def test_identical_images_give_one(value_range):
    low, high = value_range
    a = low + (high - low) * smooth_images(4, 28)
    np.testing.assert_allclose(ms_ssim(a, a, value_range), np.ones(4), atol=1e-5)


def test_value_range_is_a_change_of_units():
    a, b = smooth_images(4, 28), smooth_images(4, 28, seed=1)
    bytes_a, bytes_b = (255 * a).astype("uint8"), (255 * (0.5 * a + 0.5 * b)).astype("uint8")
    a, b = bytes_a / 255, bytes_b / 255
    expected = ms_ssim(a, b)
    assert np.all(expected > 0.1)
    np.testing.assert_allclose(ms_ssim(2 * a - 1, 2 * b - 1, (-1, 1)), expected, rtol=1e-4)
    np.testing.assert_allclose(ms_ssim(bytes_a, bytes_b, (0, 255)), expected, rtol=1e-4)


def test_opposite_images_give_zero():
    """Each local covariance is negative: the terms are clipped, not raised to a power."""
    a = np.random.default_rng(0).uniform(size=(3, 28, 28, 1))
    np.testing.assert_array_equal(ms_ssim(a, 1 - a), np.zeros(3))


def test_is_symmetric_and_falls_with_noise():
    a, noise = smooth_images(4, 28), np.random.default_rng(1).uniform(size=(4, 28, 28, 1))
    values = [ms_ssim(a, (1 - share) * a + share * noise).mean() for share in (0.1, 0.3, 0.9)]
    assert values[0] > values[1] > values[2]
    np.testing.assert_allclose(ms_ssim(a, noise), ms_ssim(noise, a), rtol=1e-5)


def test_batches_and_channels_give_the_same():
    a, b = smooth_images(300, 8), smooth_images(300, 8, seed=1)
    values = ms_ssim(a, b)
    np.testing.assert_allclose(values[[0, 257, 299]], ms_ssim(a[[0, 257, 299]], b[[0, 257, 299]]))
    colour_a, colour_b = a[:3].transpose(3, 1, 2, 0), b[:3].transpose(3, 1, 2, 0)
    np.testing.assert_allclose(ms_ssim(colour_a, colour_b), [values[:3].mean()], rtol=1e-5)


# Random pairs.


def test_pairs_are_distinct_and_equally_likely():
    """All pairs of 5 images enumerated: an image with itself, which gives 1, is not among them."""
    images = smooth_images(5, 8)
    pairs = itertools.permutations(range(5), 2)
    values = [float(ms_ssim(images[i : i + 1], images[j : j + 1])[0]) for i, j in pairs]
    mean, error = pairwise_ms_ssim(images, num_pairs=4000)
    assert error == pytest.approx(np.std(values) / np.sqrt(4000), rel=0.1)
    # Counting the pairs of an image with itself would add (1 - mean) / 5.
    assert 5 * error < (1 - np.mean(values)) / 10
    assert mean == pytest.approx(np.mean(values), abs=5 * error)


def test_mean_and_standard_error_by_hand():
    """Of two images every pair is the same pair; of a collapsed generator all give 1."""
    images = smooth_images(2, 28)
    expected = ms_ssim(images[:1], images[1:])[0]
    mean, error = pairwise_ms_ssim(images, num_pairs=10)
    assert mean == pytest.approx(expected, rel=1e-6)
    assert error == pytest.approx(0.0, abs=1e-6)
    collapsed = np.repeat(images[:1], 20, axis=0)
    assert pairwise_ms_ssim(collapsed, num_pairs=10).mean == pytest.approx(1.0, abs=1e-6)


def test_seed_and_settings_are_passed_on():
    images = smooth_images(20, 28)
    assert pairwise_ms_ssim(images, 20, seed=1) == pairwise_ms_ssim(images, 20, seed=1)
    assert pairwise_ms_ssim(images, 20, seed=1) != pairwise_ms_ssim(images, 20, seed=2)
    small = pairwise_ms_ssim(images, 20, filter_size=3).mean
    assert small != pytest.approx(pairwise_ms_ssim(images, 20).mean, rel=1e-3)
    scaled = pairwise_ms_ssim(tf.constant(2 * images - 1), 20, value_range=(-1, 1)).mean
    assert scaled == pytest.approx(pairwise_ms_ssim(images, 20).mean, rel=1e-4)


@pytest.mark.real_data
def test_digits_of_one_class_are_more_alike():
    dataset, _ = load("mnist", "test", labels=True)
    images, labels = next(iter(dataset.unbatch().batch(2000)))
    ones = images[labels == 1]
    everything, one_class = pairwise_ms_ssim(images, 500), pairwise_ms_ssim(ones, 500)
    assert one_class.mean > everything.mean + 5 * np.hypot(one_class[1], everything[1])


# Errors.


def test_shapes():
    a = smooth_images(3, 28)
    with pytest.raises(ValueError, match=r"one shape. Received: \(3, 28, 28, 1\) and \(2, 28, 28"):
        ms_ssim(a, a[:2])
    for images in (a[..., 0], a[:0], a[0]):
        with pytest.raises(ValueError, match=r"height, width, channels\).*Received: shape"):
            ms_ssim(images, images)
        with pytest.raises(ValueError, match=r"height, width, channels\).*Received: shape"):
            pairwise_ms_ssim(images)


def test_values_out_of_range():
    a = smooth_images(3, 28)
    message = r"must lie in value_range=\(0.0, 1.0\). Received: values from -1"
    with pytest.raises(ValueError, match=message):
        ms_ssim(a, np.where(a > 0.5, -1.0, a))
    with pytest.raises(ValueError, match="must lie in value_range.*Received: values from nan"):
        ms_ssim(np.full_like(a, np.nan), a)
    with pytest.raises(ValueError, match="must lie in value_range"):
        pairwise_ms_ssim(255 * a)
    with pytest.raises(ValueError, match=r"low < high. Received: value_range=\(1, 1\)"):
        ms_ssim(a, a, (1, 1))


@pytest.mark.parametrize("window", [1, 4, 29])
def test_window_that_does_not_fit(window):
    a = smooth_images(3, 28)
    with pytest.raises(
        ValueError, match=f"odd, at least 3.*Received: {window} for images of shape"
    ):
        ms_ssim(a, a, filter_size=window)


def test_image_smaller_than_every_window():
    a = np.zeros((2, 2, 28, 1))
    with pytest.raises(ValueError, match=r"Received: 3 for images of shape \(2, 28, 1\)"):
        ms_ssim(a, a)


def test_too_few_images_or_pairs():
    a = smooth_images(3, 28)
    with pytest.raises(ValueError, match="images must hold at least 2.*Received"):
        pairwise_ms_ssim(a[:1])
    with pytest.raises(ValueError, match="at least 2. Received: num_pairs=1"):
        pairwise_ms_ssim(a, num_pairs=1)
