"""`load`, from its arguments to the batches."""

import dataclasses
import inspect
import os
import pathlib
import sys

import numpy as np
import pandas
import pytest
import tensorflow as tf

from tfgen import datasets
from tfgen.datasets import load

load_file = sys.modules[load.__module__]

needs_data = pytest.mark.skipif(
    "TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR names no folder of prepared data sets"
)


def ramp(num_images=10):
    """uint8 images, each of one intensity, so that a pixel tells the image."""
    values = np.linspace(0, 255, num_images).astype("uint8")
    return np.broadcast_to(values[:, None, None, None], (num_images, 16, 16, 1))


def epoch_of(dataset):
    return np.concatenate([batch.numpy() for batch in dataset])


def test_arrays_need_no_optional_package(monkeypatch):
    for module in ("sklearn", "sklearn.datasets", "PIL", "tensorflow_datasets", "SimpleITK"):
        monkeypatch.setitem(sys.modules, module, None)
    dataset, _ = load((ramp(), np.arange(10)), labels=True, batch_size=10, binarize="stochastic")
    assert len(dataset) == 1


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("sklearn.datasets", {"source": "digits"}),
        ("tensorflow_datasets", {"source": "mnist"}),
        ("tensorflow_datasets", {"source": ramp(), "split": "train[:5]"}),
        ("PIL", {"source": pathlib.Path(__file__).parent}),
    ],
)
def test_missing_packages_say_what_to_install(monkeypatch, module, arguments):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module} is not .* pip install 'tfgen\[data\]'"):
        load(**arguments)


def test_info_describes_the_data():
    _, info = load("digits", "train[:100]", value_range=(-1, 1), binarize="threshold")
    assert info == datasets.DatasetInfo(
        name="digits",
        split="train[:100]",
        image_shape=(8, 8, 1),
        value_range=(-1.0, 1.0),
        num_examples=100,
        class_names=tuple("0123456789"),
        binarize="threshold",
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.name = "other"


def test_batches_have_a_known_shape_and_number():
    dataset, _ = load(ramp(), batch_size=4)
    assert dataset.element_spec == tf.TensorSpec((None, 16, 16, 1), tf.float32)
    assert len(dataset) == 3
    dataset, _ = load(ramp(), batch_size=4, drop_remainder=True)
    assert dataset.element_spec.shape == (4, 16, 16, 1) and len(dataset) == 2


def test_pixels_arrive_as_intensities():
    np.testing.assert_allclose(epoch_of(load(ramp(), "all")[0]), ramp() / 255.0, rtol=1e-6)


def test_only_training_splits_are_shuffled_unless_told_otherwise():
    in_order = ramp() / np.float32(255)
    for split, options, shuffled in [
        ("train", {}, True),
        ("train[:100%]", {}, True),
        ("all", {}, False),
        ("train", {"shuffle": False}, False),
        ("all", {"shuffle": True}, True),
    ]:
        delivered = epoch_of(load(ramp(), split, **options)[0])
        assert (delivered != in_order).any() == shuffled, (split, options)
        np.testing.assert_array_equal(np.sort(delivered, axis=0), in_order)


def test_value_range_is_where_black_and_white_go():
    images = epoch_of(load(ramp(), value_range=(-2, 3))[0])
    assert (images.min(), images.max()) == (-2, 3)


def test_threshold():
    images = epoch_of(load(ramp(), "all", binarize="threshold", value_range=(-1, 1))[0])
    np.testing.assert_array_equal(images, np.where(ramp() > 127, 1.0, -1.0))


def test_stochastic_noise_follows_the_intensity_and_changes_with_the_epoch():
    dataset, _ = load(np.full((400, 16, 16), 0.3), binarize="stochastic")
    first, second = epoch_of(dataset), epoch_of(dataset)
    assert set(np.unique(first)) == {0, 1}
    # 5 standard errors over 102,400 pixels.
    assert abs(first.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / first.size)
    # Independent draws differ with probability 2 * 0.3 * 0.7.
    assert abs((first != second).mean() - 0.42) < 5 * np.sqrt(0.42 * 0.58 / first.size)


def test_stochastic_noise_of_unshuffled_data_stays():
    dataset, _ = load(ramp(), "all", binarize="stochastic")
    np.testing.assert_array_equal(epoch_of(dataset), epoch_of(dataset))


def test_fixed_noise_stays_with_its_image():
    images = np.full((20, 16, 16), 0.5)
    dataset, _ = load((images, np.arange(20)), binarize="fixed", labels=True, batch_size=20)
    epochs = [next(iter(dataset)) for _ in range(2)]
    first, second = (images.numpy()[np.argsort(labels)] for images, labels in epochs)
    assert (epochs[0][1].numpy() != epochs[1][1].numpy()).any()
    np.testing.assert_array_equal(first, second)
    assert abs(first.mean() - 0.5) < 5 * np.sqrt(0.25 / first.size)  # 5 standard errors.


@pytest.mark.parametrize("binarize", [None, "stochastic", "fixed"])
def test_a_new_process_goes_on_bit_for_bit(binarize):
    options = {"binarize": binarize, "batch_size": 3, "seed": 5}
    uninterrupted, _ = load(ramp(), **options)
    epochs = [list(uninterrupted) for _ in range(3)]
    resumed, _ = load(ramp(), **options)
    resumed.seek(2, 1)
    for batch, expected in zip(resumed, epochs[2][1:], strict=True):
        np.testing.assert_array_equal(batch, expected)


def test_seeds_give_different_orders_and_noise():
    for binarize in (None, "stochastic", "fixed"):
        first, second = (epoch_of(load(ramp(), binarize=binarize, seed=s)[0]) for s in (0, 1))
        assert (first != second).any(), binarize


def test_labels_stay_with_their_images():
    dataset, _ = load((ramp(), np.arange(10)), labels=True, batch_size=4)
    for images, labels in dataset:
        values = np.rint(images[:, 0, 0, 0] * 255).astype(int)
        np.testing.assert_array_equal(values, ramp()[labels, 0, 0, 0])


def test_sprites_arrive_with_their_factors():
    dataset, info = load("sprites", "test[:50]", labels=True, batch_size=20)
    assert info.factor_names == datasets.sprites.FACTOR_NAMES
    assert info.factor_sizes == (3, 6, 40, 32, 32)
    for images, factors in dataset:
        np.testing.assert_array_equal(images, datasets.sprites.draw(factors))


def test_digits_are_resized():
    dataset, info = load("digits", "test", image_size=16)
    assert info.image_shape == next(iter(dataset)).shape[1:] == (16, 16, 1)


@pytest.mark.parametrize("as_path", [str, pathlib.Path])
def test_folders_are_read(tmp_path, as_path):
    for index, image in enumerate(ramp(3)):
        tf.io.write_file(f"{tmp_path}/{index}.png", tf.io.encode_png(image))
    dataset, info = load(as_path(tmp_path), "all")
    np.testing.assert_array_equal(epoch_of(dataset), ramp(3) / np.float32(255))
    assert info.name == tmp_path.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "minst"}, r"Did you mean one of \['mnist'.*one of \['digits', 'sprites', "),
        ({"source": pathlib.Path("nowhere")}, "Received: source='nowhere'"),
        ({"split": None}, "Received: split=None"),
        ({"split": "validation"}, "Received: split='validation'"),
        ({"batch_size": 0}, "at least 1. Received: batch_size=0"),
        ({"batch_size": 2.5}, "Received: batch_size=2.5"),
        ({"binarize": "dynamic"}, "'stochastic', 'fixed'.* Received: binarize='dynamic'"),
        ({"value_range": (1, 0)}, r"low < high.*Received: value_range=\(1, 0\)"),
        ({"value_range": (0, np.inf)}, r"Received: value_range=\(0, inf\)"),
        ({"value_range": (0, 1, 2)}, r"Received: value_range=\(0, 1, 2\)"),
        ({"image_size": 0}, "Received: image_size=0"),
        ({"image_size": (8, 8, 1)}, r"Received: image_size=\(8, 8, 1\)"),
        ({"image_size": "64"}, "Received: image_size='64'"),
        ({"source": ramp(), "labels": True}, "Received: 'array', which has none"),
        ({"source": ramp(3), "drop_remainder": True}, "no batch. Received: 3 images"),
        ({"source": "sprites", "binarize": "fixed"}, "Received: 'sprites'"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"source": ramp(), "data_dir": "data"}, "of data sets .* by name. Received: data_dir='da"),
        ({"source": pathlib.Path(), "data_dir": "data"}, "by name. Received: data_dir='data'"),
        ({"source": ramp(), "download": True}, "by name. Received: data_dir=None and download=T"),
    ],
)
def test_unusable_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**{"source": "digits", **arguments})


# Tables.

TABLE = pandas.DataFrame({"size": [1.0, 2.0, 5.0, 3.0], "colour": ["red", "blue", "red", "red"]})


@pytest.mark.parametrize("name", ["", "table.csv", "TABLE.CSV", "table.csv.gz"])
def test_tables_are_those_of_load_table(tmp_path, name, assert_same):
    TABLE.to_csv(tmp_path / (name or "other.csv"), index=False)
    for source in (tmp_path / name, str(tmp_path / name)) if name else (TABLE,):
        found = load(source, "train[:75%]", 2, seed=3, shuffle=True, drop_remainder=True)
        expected = datasets.load_table(
            source, "train[:75%]", 2, seed=3, shuffle=True, drop_remainder=True
        )
        assert_same(found, expected)
        assert found[1].data_shape == (3,) and len(found[0]) == 1


@pytest.mark.parametrize(
    "argument",
    [
        {"binarize": "threshold"},
        {"value_range": (-1, 1)},
        {"value_range": None},
        {"image_size": 8},
        {"data_dir": "data"},
        {"labels": True},
        {"download": True},
        {"cache_dir": "cache"},
    ],
    ids=str,
)
def test_arguments_of_images_are_refused_with_tables(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"Received: {name}=.* with a table.*load_table.*label="):
        load(TABLE, **argument)


def test_every_argument_of_load_counts_with_tables():
    """Those that `load_table` does not take are refused."""
    taken = inspect.signature(datasets.load_table).parameters
    of_images = {
        n: p.default for n, p in inspect.signature(load).parameters.items() if n not in taken
    }
    assert of_images == load_file._DEFAULTS


@pytest.mark.parametrize("name", ["image.png", "rows.tsv", "rows.parquet", "rows.npy", "notes"])
@pytest.mark.parametrize("as_path", [str, pathlib.Path])
def test_files_are_told_from_names(tmp_path, monkeypatch, name, as_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"Received: source='.*{name}', another file.*pandas"):
        load(as_path(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="'mnist' is not prepared"):
        load("mnist", data_dir="nowhere")


def test_tables_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: source='.*gone\.csv'"):
        load(tmp_path / "gone.csv")
    (tmp_path / "images.csv").mkdir()
    with pytest.raises(ValueError, match=r"folder has no images. Received: '.*images\.csv'"):
        load(tmp_path / "images.csv")


def test_missing_data_name_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -c"):
        load("mnist", data_dir=tmp_path)


@needs_data
@pytest.mark.real_data
def test_mnist_binarized():
    dataset, info = load("mnist", "test", binarize="stochastic", labels=True)
    assert (info.num_examples, info.image_shape) == (10_000, (28, 28, 1))
    images = np.concatenate([images.numpy() for images, _ in dataset])
    assert set(np.unique(images)) == {0, 1}
    # The mean intensity of MNIST's test images is 0.1325; binarizing keeps it on average.
    assert images.mean() == pytest.approx(0.1325, abs=0.001)
