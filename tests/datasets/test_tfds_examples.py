"""Data sets of tensorflow_datasets."""

import os
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfgen.datasets.tfds_examples import read_tfds

needs_data = pytest.mark.skipif(
    "TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR names no folder of prepared data sets"
)


def drawn_faces(self, *args, **kwargs):
    """Five records of celeb_a: a red column at x = 40, a green row at y = 60, attributes."""
    import tensorflow as tf

    images = np.zeros((5, 218, 178, 3), "uint8")
    images[:, :, 40, 0] = 255
    images[:, 60, :, 1] = 255
    attributes = {name: np.zeros(5, bool) for name in self.info.features["attributes"]}
    attributes["Bald"][3] = True
    return tf.data.Dataset.from_tensor_slices({"image": images, "attributes": attributes})


def read_faces(**options):
    with tfds.testing.mock_data(as_dataset_fn=drawn_faces):
        return read_tfds("celeb_a", "train", **options)


def test_faces_are_cropped_to_the_box():
    images = read_faces(image_size=(118, 118)).rows
    assert images.shape == (5, 118, 118, 3)
    np.testing.assert_array_equal(np.unique(np.nonzero(images[..., 0])[2]), [40 - 30])
    np.testing.assert_array_equal(np.unique(np.nonzero(images[..., 1])[1]), [60 - 50])


def test_faces_are_64_pixels_wide_unless_told_otherwise():
    images = read_faces().rows
    assert images.dtype == np.uint8 and images.shape == (5, 64, 64, 3)
    # The red column is spread over its share of the new pixels, 64 / 118 in all.
    assert images[0, 20, :, 0].sum() == pytest.approx(255 * 64 / 118, abs=1)


def test_attributes_are_factors():
    examples = read_faces()
    assert len(examples.factor_names) == 40 and examples.factor_sizes == (2,) * 40
    expected = np.zeros((5, 40))
    expected[3, examples.factor_names.index("Bald")] = 1
    np.testing.assert_array_equal(examples.labels, expected)


def test_mock_data_has_the_structure_of_the_faces(tmp_path):
    with tfds.testing.mock_data(num_examples=3):
        examples = read_tfds("celeb_a", "train", data_dir=tmp_path)
    assert examples.rows.shape == (3, 64, 64, 3) and examples.labels.shape == (3, 40)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "celeb_a"])
def test_missing_data_are_an_error_at_once(tmp_path, monkeypatch, name):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    start = time.monotonic()
    with pytest.raises(FileNotFoundError) as error:
        read_tfds(name, "train", data_dir=tmp_path)
    # tensorflow_datasets would try for minutes to download.
    assert time.monotonic() - start < 30
    command = f"tfds.load('{name}', data_dir='{tmp_path}')"
    assert f'python -c "import tensorflow_datasets as tfds; {command}"' in str(error.value)
    assert "TFDS_DATA_DIR" in str(error.value) and "download=True" in str(error.value)


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"Received: data_dir='{tmp_path}'"):
        read_tfds("mnist", "train")


def test_download_prepares_the_data(tmp_path, monkeypatch):
    prepared = []
    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", lambda self: prepared.append(self.name)
    )
    with pytest.raises(FileNotFoundError):
        read_tfds("mnist", "train", data_dir=tmp_path, download=True)
    assert prepared == ["mnist"]


@needs_data
@pytest.mark.real_data
def test_mnist_is_read_whole_and_in_order():
    train, test = (read_tfds("mnist", split) for split in ("train[:1000]", "test"))
    assert train.rows.shape == (1000, 28, 28, 1) and test.rows.shape == (10_000, 28, 28, 1)
    assert train.class_names == tuple("0123456789")
    expected = tfds.load("mnist", split="test", batch_size=-1, download=False)
    np.testing.assert_array_equal(test.rows, expected["image"])
    np.testing.assert_array_equal(test.labels, expected["label"])


@needs_data
@pytest.mark.real_data
def test_fashion_mnist_has_names_for_its_classes():
    examples = read_tfds("fashion_mnist", "test[:10]", image_size=(14, 14))
    assert examples.rows.shape == (10, 14, 14, 1)
    assert examples.class_names[9] == "Ankle boot"


@needs_data
@pytest.mark.real_data
@pytest.mark.parametrize("split", ["validation", "train[:60001]"])
def test_unknown_splits_are_refused(split):
    with pytest.raises(ValueError, match="No such split of 'mnist'. Received: split="):
        read_tfds("mnist", split)
