"""Examples in memory."""

import gc

import numpy as np
import pytest
import tensorflow as tf

from tfgen._utils.pipeline import row_reader
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


def test_binarize_once_draws_the_same_in_chunks_of_any_size():
    drawn = [binarize_once(grey(9), seed=0, chunk_size=size).rows for size in (None, 1, 2, 9)]
    for other in drawn[1:]:
        np.testing.assert_array_equal(drawn[0], other)


@pytest.mark.parametrize(
    "part",
    [
        lambda x: x,
        lambda x: x[1:],  # Not where TensorFlow wants its tensors to begin.
        lambda x: x[::2],
        lambda x: x[:, ::-1],
        lambda x: x[64:72],
        lambda x: x.T,
    ],
)
@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int32", "float16", "float32", "float64", ">f4"]
)
def test_rows_of_memory_maps_are_those_of_arrays(tmp_path, part, dtype):
    array = np.random.default_rng(0).integers(0, 256, (100, 24)).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    mapped = part(np.load(tmp_path / "a.npy", mmap_mode="r"))
    positions = np.array([3, 0, 7, 3])
    for read in (row_reader(mapped), tf.function(row_reader(mapped))):
        rows = read(tf.constant(positions))
        np.testing.assert_array_equal(rows, part(array)[positions])


def test_a_memory_map_lives_as_long_as_its_readers(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100.0))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    batches = iter(tf.data.Dataset.range(3).map(row_reader(mapped)))
    del mapped
    gc.collect()
    assert [float(batch) for batch in batches] == [0, 1, 2]
