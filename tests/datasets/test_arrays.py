"""Images given as arrays, and scikit-learn's digits."""

import numpy as np
import pytest

from tfgen import datasets
from tfgen.datasets import load
from tfgen.datasets.arrays import read_array, read_digits


def test_bytes_keep_their_type_and_values():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 6, 3), "uint8")
    examples = read_array(pixels)
    assert examples.rows.dtype == np.uint8
    assert examples.image_shape == (8, 6, 3)
    np.testing.assert_array_equal(examples.rows, pixels)


def test_doubles_become_singles_and_get_a_channel():
    examples = read_array(np.linspace(0, 1, 24).reshape(2, 3, 4))
    assert examples.rows.dtype == np.float32
    assert examples.image_shape == (3, 4, 1)


def test_slices_take_images_and_labels_together():
    pixels = np.arange(10, dtype="uint8")[:, None, None] * np.ones((1, 2, 2), "uint8")
    examples = read_array((pixels, np.arange(10) * 2), "train[70%:]")
    np.testing.assert_array_equal(examples.rows[:, 0, 0, 0], [7, 8, 9])
    np.testing.assert_array_equal(examples.labels, [14, 16, 18])


def test_images_are_resized():
    assert read_array(np.zeros((3, 8, 8), "uint8"), image_size=(4, 2)).image_shape == (4, 2, 1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 8, 8)), r"no axis of size 0. Received: shape \(0, 8, 8\)"),
        (np.zeros(0), r"no axis of size 0. Received: shape \(0,\)"),
        (np.zeros((3, 0)), r"no axis of size 0. Received: shape \(3, 0\)"),
        (np.full((2, 4, 4), np.nan), "Received: NaN in 2 of 2 examples"),
        (np.full((2, 4, 4), np.inf), "Received: infinite values in 2 of 2 examples"),
        (np.full((2, 4, 4), 255.0), r"Received: values in \[255, 255\]. Divide by 255"),
        (np.full((2, 4, 4), -1.0), r"Received: values in \[-1, -1\]"),
        (np.zeros((2, 4, 4), "int64"), "Received: dtype int64. Convert it.*value_range=None"),
        (np.full((2, 4), 2.0), r"Received: values in \[2, 2\]. .*value_range=None.*load_table"),
        (np.ones((2, 4, 4), "uint8"), r"largest value is 1. Convert.*astype\('float32'\)"),
    ],
)
def test_unusable_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        read_array(images)


def test_labels_must_fit():
    with pytest.raises(ValueError, match=r"each of the 3 images. Received: labels of shape \(2,\)"):
        read_array((np.zeros((3, 4, 4)), np.zeros(2)))


def test_a_test_split_of_an_array_is_refused():
    with pytest.raises(ValueError, match=r"can be sliced: 'train\[:90%\]'"):
        read_array(np.zeros((3, 4, 4)), "test")


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    digits = load_digits()
    examples = read_digits("all")
    np.testing.assert_array_equal(examples.rows[..., 0] * 16, digits.images)
    np.testing.assert_array_equal(examples.labels, digits.target)
    assert examples.class_names == tuple("0123456789")


def test_digits_are_split_with_equal_shares_of_each_digit():
    train, test = read_digits("train"), read_digits("test")
    assert (len(train.rows), len(test.rows)) == (1437, 360)
    shares = [np.bincount(examples.labels) / len(examples.labels) for examples in (train, test)]
    # Counts are rounded to whole images, of which the smaller split has 360.
    np.testing.assert_allclose(*shares, atol=1 / 360)


def test_digits_for_training_and_testing_make_up_all():
    parts = np.concatenate([read_digits("train").rows, read_digits("test").rows])
    np.testing.assert_array_equal(np.sort(parts, 0), np.sort(read_digits("all").rows, 0))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("split", ["train", "all", "train[:50%]", "train[3:]"])
def test_a_memory_map_stays_on_disk(tmp_path, dtype, split):
    """Read in place, beside no file of ours; batches are those of the array."""
    images = np.random.default_rng(0).integers(256, size=(10, 8, 6, 1), dtype="uint8")
    images = images if dtype == "uint8" else (images / np.float32(255)).astype(dtype)
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = read_array(mapped, split).rows
    assert isinstance(rows, np.memmap) and np.shares_memory(rows, mapped)
    for binarize in (None, "fixed"):
        pipelines = [datasets.load(x, split, 4, binarize=binarize)[0] for x in (mapped, images)]
        for ours, expected in zip(*pipelines, strict=True):
            np.testing.assert_array_equal(ours, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_volumes_are_read_as_they_are():
    volumes = np.random.default_rng(0).integers(256, size=(6, 4, 5, 3, 1), dtype="uint8")
    data, info = load(volumes, "all", 3, shuffle=False)
    assert info.image_shape == (4, 5, 3, 1)
    np.testing.assert_allclose(np.concatenate(list(data)), volumes / 255, rtol=1e-6)
    fixed, _ = load(volumes, "all", 6, binarize="fixed")
    assert set(np.unique(next(iter(fixed)))) == {0.0, 1.0}
    with pytest.raises(ValueError, match="image_size is of images"):
        load(volumes, image_size=8)
    with pytest.raises(ValueError, match="NaN in 1 of 2 examples"):
        load(np.where(np.arange(2).reshape(2, 1, 1, 1, 1), np.nan, np.zeros((2, 2, 2, 2, 1))))


SHAPES = [(7,), (7, 5), (7, 6, 2), (7, 6, 4, 3), (7, 2, 3, 4, 1), (7, 2, 2, 2, 3, 1)]


@pytest.mark.parametrize(
    "dtype", ["uint8", "float32", "float64", "int64", "int8", "bool", "uint16"]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_numbers_of_any_shape_are_delivered_as_they_are(shape, dtype):
    values = np.random.default_rng(0).normal(scale=50, size=shape).astype(dtype)
    data, info = load((values, np.arange(7)), "all", 4, value_range=None, labels=True)
    rows = np.concatenate([rows for rows, _ in data.as_numpy_iterator()])
    expected = values.astype("float32").reshape(7, *(shape[1:] or (1,)))
    np.testing.assert_array_equal(rows, expected)
    assert info.data_shape == info.image_shape == expected.shape[1:] and info.value_range is None
    assert data.element_spec[0].shape[1:] == info.data_shape


@pytest.mark.parametrize("binarize", [None, "threshold", "stochastic", "fixed"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_intensities_of_any_shape(shape, dtype, binarize):
    """An array of three axes is one of images, which get a channel."""
    values = np.random.default_rng(0).integers(256, size=shape).astype("uint8")
    values = values if dtype == "uint8" else values / np.float32(255)
    data, info = load(values, "all", 7, binarize=binarize, value_range=(-1, 1))
    rows = next(iter(data)).numpy()
    assert info.data_shape == {1: (1,), 3: (*shape[1:], 1)}.get(len(shape), shape[1:])
    intensities = (values / 255 if dtype == "uint8" else values).reshape(rows.shape)
    if binarize is None:
        np.testing.assert_allclose(rows, 2 * intensities - 1, rtol=1e-5, atol=1e-6)
    elif binarize == "threshold":
        np.testing.assert_array_equal(rows, np.where(intensities > 0.5, 1, -1))
    else:
        assert set(np.unique(rows)) <= {-1, 1}
    if len(rows.shape) == 4:
        assert load(values, image_size=3)[1].image_shape[:2] == (3, 3)
    else:
        with pytest.raises(ValueError, match="image_size is of images"):
            load(values, image_size=3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers_as_they_are_must_be_finite(shape, bad):
    values = np.zeros(shape)
    values[3] = bad
    with pytest.raises(ValueError, match="source must be finite.*Received: .* in 1 of 7 examples"):
        load(values, value_range=None)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_memory_map_of_series_stays_on_disk(tmp_path, dtype):
    np.save(tmp_path / "x.npy", np.ones((9, 5, 2), dtype))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = read_array(mapped, as_it_is=True).rows
    assert isinstance(rows, np.memmap) and np.shares_memory(rows, mapped)


@pytest.mark.parametrize(
    "arguments",
    [{"source": "digits"}, {"source": "."}, {"source": np.ones((3, 4)), "binarize": "threshold"}],
    ids=str,
)
def test_values_as_they_are_are_those_of_arrays(arguments):
    with pytest.raises(
        ValueError, match="value_range=None delivers .* array as they are. Received"
    ):
        load(value_range=None, **arguments)
