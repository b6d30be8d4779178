"""Data sets of tensorflow_datasets."""

import os
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tfgen.datasets import load
from tfgen.datasets.tfds_examples import close_names, read_tfds

needs_data = pytest.mark.skipif(
    "TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR names no folder of prepared data sets"
)


def drawn_faces(self, *args, **kwargs):
    """Five records of celeb_a: a red column at x = 40, a green row at y = 60, attributes."""
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


@pytest.mark.parametrize(
    "name, shape, labels",
    [
        ("cifar10", (32, 32, 3), ()),
        ("svhn_cropped", (32, 32, 3), ()),
        ("omniglot", (105, 105, 3), ()),
        ("kmnist", (28, 28, 1), ()),
        ("emnist/letters", (28, 28, 1), ()),
        ("binarized_mnist", (28, 28, 1), None),
        ("dsprites", (64, 64, 1), (5,)),
        ("shapes3d", (64, 64, 3), (6,)),
        ("smallnorb", (96, 96, 1), (4,)),
        ("symmetric_solids", (224, 224, 3), (1,)),
        ("bigearthnet", (120, 120, 3), None),
        ("bccd", (480, 640, 3), None),
        ("lfw", (250, 250, 3), None),
        ("nyu_depth_v2", (480, 640, 3), None),
    ],
)
def test_other_data_sets_of_images(name, shape, labels, tmp_path):
    with tfds.testing.mock_data(num_examples=3):
        examples = read_tfds(name, "train", data_dir=tmp_path)
        data, info = load(name, "train", 2, data_dir=tmp_path, labels=labels is not None)
    assert examples.rows.shape == (3, *shape) and info.image_shape == shape
    if labels is None:
        assert examples.labels is None and next(iter(data)).shape == (2, *shape)
    else:
        assert examples.labels.shape == (3, *labels)
        assert next(iter(data))[1].shape == (2, *labels)
        assert len(info.factor_names) == len(info.factor_sizes) == sum(labels)


@pytest.mark.parametrize(
    "name, why",
    [
        ("bigearthnet", "not delivered: 'labels' varies in length"),
        ("chexpert", "not delivered: 'label' varies in length"),
        ("voc", "'labels' varies in length, 'labels_no_difficult' varies in length"),
        ("lfw", "not delivered: 'label' is no class"),
        ("bccd", "which has none"),
        ("clic", "which has none"),
    ],
)
def test_labels_that_are_not_delivered_are_named(name, why, tmp_path):
    with tfds.testing.mock_data(num_examples=3):
        with pytest.raises(
            ValueError, match=f"labels=True needs labels. Received: '{name}', .*{why}"
        ):
            load(name, "train", data_dir=tmp_path, labels=True, image_size=16)
        assert load(name, "train", data_dir=tmp_path, image_size=16)[1].num_examples == 3


@pytest.mark.parametrize(
    "name, expected",
    [
        ("MNIST", "mnist"),
        ("CIFAR10", "cifar10"),
        ("CIFAR-10", "cifar10"),
        ("Fashion-MNIST", "fashion_mnist"),
        ("FashionMNIST", "fashion_mnist"),
        ("svhn", "svhn_cropped"),
        ("SVHN-cropped", "svhn_cropped"),
        ("dSprites", "dsprites"),
        ("CelebA", "celeb_a"),
        ("3DShapes", "3dshapes"),
        ("MPI3D", "mpi3d_toy"),
        ("Digits", "digits"),
    ],
)
def test_names_written_otherwise_are_suggested(name, expected):
    names = close_names(name, ("digits", "sprites", "3dshapes", "dsprites", "mpi3d_toy"))
    assert names[0] == expected and len(set(names)) == len(names) <= 3
    with pytest.raises(ValueError, match=f"Did you mean one of .*'{expected}'"):
        load(name)


@pytest.mark.parametrize("name", ["", "x", "nowhere", "data/images", "-", "___"])
def test_names_like_none_get_no_suggestions(name):
    assert close_names(name) == []


def test_factors_are_named_and_in_their_order():
    def drawn(self, *args, **kwargs):
        keys = [key for key in self.info.features if key.startswith("label_")]
        columns = {key: np.full(2, i) for i, key in enumerate(keys)}
        return tf.data.Dataset.from_tensor_slices(
            {"image": np.zeros((2, 64, 64, 1), "uint8"), **columns}
        )

    with tfds.testing.mock_data(as_dataset_fn=drawn):
        examples = read_tfds("dsprites", "train")
    assert examples.factor_names == ("shape", "scale", "orientation", "x_position", "y_position")
    assert examples.factor_sizes == (3, 6, 40, 32, 32)
    np.testing.assert_array_equal(examples.labels, [[0, 1, 2, 3, 4]] * 2)


def test_binary_pixels_are_black_and_white():
    def drawn(self, *args, **kwargs):
        images = np.eye(28, dtype="uint8")[None, :, :, None]
        return tf.data.Dataset.from_tensor_slices({"image": images})

    with tfds.testing.mock_data(as_dataset_fn=drawn):
        data, _ = load("binarized_mnist", "train", 1)
    np.testing.assert_array_equal(next(iter(data))[0, ..., 0], np.eye(28))


def test_images_of_many_sizes_need_one(tmp_path):
    def drawn(self, *args, **kwargs):
        def records():
            for size in (40, 80):
                yield {"image": np.full((size, 2 * size, 3), size, "uint8"), "label": size // 80}

        spec = {
            "image": tf.TensorSpec((None, None, 3), tf.uint8),
            "label": tf.TensorSpec((), tf.int64),
        }
        data = tf.data.Dataset.from_generator(records, output_signature=spec)
        return data.apply(tf.data.experimental.assert_cardinality(2))

    with tfds.testing.mock_data(as_dataset_fn=drawn):
        examples = read_tfds("cats_vs_dogs", "train", image_size=(16, 16))
        with pytest.raises(ValueError, match="many sizes. Received: image_size=None"):
            read_tfds("cats_vs_dogs", "train")
    assert examples.rows.shape == (2, 16, 16, 3) and list(examples.labels) == [0, 1]
    assert (examples.rows[0] == 40).all() and (examples.rows[1] == 80).all()


@pytest.mark.parametrize(
    "name, message",
    [
        ("iris", "load reads images. Received: source='iris', whose features are"),
        ("segment_anything", "load reads images. Received: source='segment_anything'"),
        ("cifar11", r"Did you mean one of \['cifar10"),
        ("fashion-mnist", "Did you mean one of .'fashion_mnist'"),
        ("nowhere/to/be/found", "No data set and no folder has this name. Received: .*Expected"),
    ],
)
def test_names_that_are_none(name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load(name, data_dir=tmp_path)


def test_a_name_is_no_folder(tmp_path, monkeypatch):
    """What is called like a data set is one; `./` makes it a folder."""
    from PIL import Image

    (tmp_path / "kmnist").mkdir()
    Image.fromarray(np.full((6, 6), 200, "uint8")).save(tmp_path / "kmnist" / "a.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="'kmnist' is not prepared"):
        load("kmnist", data_dir=tmp_path)
    assert load("./kmnist")[1].image_shape[:2] == (6, 6)


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
