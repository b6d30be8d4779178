"""Examples in memory."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.datasets.examples import Examples, binarize_once


def grey(num_images, value=64):
    return Examples("grey", np.full((num_images, 8, 8, 1), value, "uint8"), (8, 8, 1))


def test_batches_pair_images_and_labels():
    pixels = np.arange(5, dtype="uint8").reshape(5, 1, 1, 1) * 51
    labels = np.arange(5) * 10
    fetch = Examples("steps", pixels, (1, 1, 1), labels).batches()
    images, batch_labels = fetch(tf.constant([3, 0]))
    np.testing.assert_allclose(np.ravel(images), [0.6, 0], rtol=1e-6)
    np.testing.assert_array_equal(batch_labels, [30, 0])


def test_binarize_once_draws_with_the_intensity_as_probability():
    drawn = binarize_once(grey(2000), seed=0).rows
    assert set(np.unique(drawn)) == {0, 255}
    probability = 64 / 255
    # 5 standard errors of the mean of all pixels.
    tolerance = 5 * np.sqrt(probability * (1 - probability) / drawn.size)
    assert abs(drawn.mean() / 255 - probability) < tolerance


def test_binarize_once_depends_on_the_seed_alone():
    first, same, other = (binarize_once(grey(10), seed).rows for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_binarize_once_draws_chunks_independently():
    drawn = binarize_once(grey(8), seed=0, chunk_size=4).rows
    assert (drawn[:4] != drawn[4:]).any()


def test_binarize_once_refuses_images_drawn_on_the_fly():
    factors = Examples("sprites", np.zeros((3, 5), "int32"), (64, 64, 1))
    with pytest.raises(ValueError, match="images in memory. Received: 'sprites'"):
        binarize_once(factors, seed=0)
