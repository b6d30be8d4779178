"""Resizing, cropping, binarization and scaling of images."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.datasets.images import binarize, crop, rescale, resize, resize_all, to_unit_interval


def test_bytes_become_intensities():
    result = to_unit_interval(tf.constant([0, 128, 255], tf.uint8))
    np.testing.assert_allclose(result, [0, 128 / 255, 1], rtol=1e-7)  # One float32 rounding.


def test_floats_stay_as_they_are():
    values = tf.constant([0.0, 0.3, 1.0])
    np.testing.assert_array_equal(to_unit_interval(values), values)


def test_threshold_is_above_one_half():
    result = binarize(tf.constant([0.0, 0.5, 0.51, 1.0]), "threshold", (0, 0))
    np.testing.assert_array_equal(result, [0, 0, 1, 1])


@pytest.mark.parametrize("intensity", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_stochastic_binarization_has_the_intensity_as_mean(intensity):
    draws = binarize(tf.fill([100_000], intensity), "stochastic", (1, 2)).numpy()
    assert set(np.unique(draws)) <= {0, 1}
    # 5 standard errors; exact where the intensity is 0 or 1.
    tolerance = 5 * np.sqrt(intensity * (1 - intensity) / draws.size)
    assert abs(draws.mean() - intensity) <= tolerance + 1e-7


def test_other_modes_do_not_binarize():
    images = tf.constant([0.2, 0.7])
    np.testing.assert_array_equal(binarize(images, None, (0, 0)), images)
    np.testing.assert_array_equal(binarize(images, "fixed", (0, 0)), images)


def test_rescale_maps_the_ends():
    np.testing.assert_allclose(rescale(tf.constant([0.0, 0.25, 1.0]), (-1, 3)), [-1, 0, 3])


def test_crop_is_that_of_pillow():
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (218, 178, 3), "uint8")
    box = (30, 50, 148, 168)
    np.testing.assert_array_equal(
        crop(tf.constant(pixels), box), np.asarray(Image.fromarray(pixels).crop(box))
    )


def test_shrinking_averages_areas():
    pixels = np.random.default_rng(0).random((2, 8, 6, 3), "float32")
    expected = pixels.reshape(2, 4, 2, 3, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(resize(tf.constant(pixels), (4, 3)), expected, rtol=1e-6)


def test_shrinking_does_not_alias():
    stripes = np.tile(np.array([0, 255], "uint8"), 59)[None, :, None]
    image = np.broadcast_to(stripes, (118, 118, 1))
    small = resize(tf.constant(image), (64, 64)).numpy()
    # Each new pixel covers 1.84 old ones, so never more than about half of it is of one colour.
    assert 96 < small.min() and small.max() < 160


def test_enlarging_interpolates_between_neighbours():
    image = tf.constant([0.0, 1.0], shape=(1, 2, 1))
    enlarged = resize(image, (1, 4)).numpy().ravel()
    np.testing.assert_allclose(enlarged, [0, 0.25, 0.75, 1], atol=1e-6)


def test_bytes_are_rounded():
    image = tf.constant([[0, 1], [1, 1]], tf.uint8)[..., None]
    resized = resize(image, (1, 1))
    assert resized.dtype == tf.uint8
    assert int(resized[0, 0, 0]) == 1


@pytest.mark.parametrize("size", [None, (4, 6)])
def test_the_same_size_changes_nothing(size):
    image = tf.zeros((4, 6, 1), tf.uint8)
    assert resize(image, size) is image


def test_many_images_are_resized_as_single_ones():
    images = np.random.default_rng(0).integers(0, 256, (1030, 4, 4, 1), "uint8")
    resized = resize_all(images, (2, 2))
    assert resized.shape == (1030, 2, 2, 1)
    np.testing.assert_array_equal(resized[1027], resize(tf.constant(images[1027]), (2, 2)))
