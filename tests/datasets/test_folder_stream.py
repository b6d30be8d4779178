"""Folders that are decoded while they are read: the same batches as from memory, in flat memory."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from toy import Interrupt

from tfgen import models, networks
from tfgen.datasets import folders, image_files, load
from tfgen.datasets.examples import Examples, binarize_once

RNG = np.random.default_rng(0)


def write(path, *shape, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, shape, "uint8")).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Images of 3 x 5 pixels, grey and coloured, of two classes and of several formats."""
    suffixes = ("png", "jpg", "bmp", "webp", "gif")
    for i in range(20):
        write(tmp_path / "ab"[i % 2] / f"{i:02}.{suffixes[i % 5]}", 3, 5, *([3] if i > 12 else []))
    return tmp_path


@pytest.fixture
def streamed(monkeypatch):
    """`load` that holds no images in memory."""

    def load_streamed(*arguments, **options):
        with monkeypatch.context() as patch:
            patch.setattr(folders, "_MOST_IN_MEMORY", 0)
            return load(*arguments, **options)

    return load_streamed


@pytest.mark.parametrize("binarize", [None, "threshold", "stochastic", "fixed"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"labels": True, "shuffle": False, "value_range": (-1, 1)},
        {"split": "train[30%:]", "image_size": (3, 7), "drop_remainder": True, "seed": 5},
    ],
)
def test_batches_are_those_of_memory(folder, streamed, binarize, options, assert_same):
    """Bit for bit; of an odd number of pixels, as random numbers are drawn in pairs."""
    options = {"batch_size": 8, "binarize": binarize, **options}
    assert_same(streamed(folder, **options), load(folder, **options))


def test_any_batch_can_be_sought_without_decoding_those_before(folder, streamed, decoded):
    whole, _ = load(folder, batch_size=4)
    _, second = list(whole), list(whole)
    dataset, _ = streamed(folder, batch_size=4)
    decoded.clear()
    dataset.seek(epoch=1, step=3)
    keras.tree.map_structure(np.testing.assert_array_equal, list(dataset), second[3:])
    assert len(decoded) == 8


def test_only_the_first_image_is_decoded_before_it_is_needed(folder, streamed, decoded):
    streamed(folder)
    assert decoded == ["00.png"]


def weights_after(dataset, *callbacks):
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder((3, 5, 3), 2, width=4)
    vae = models.VAE(encoder, networks.mlp_decoder((3, 5, 3), 2, width=4), seed=0)
    vae.compile("adam", steps_per_execution=1)
    vae.fit(dataset, epochs=2, verbose=0, callbacks=list(callbacks))
    return vae.get_weights()


def test_training_goes_on_in_the_middle_of_an_epoch(folder, streamed, tmp_path_factory):
    """Bit for bit, as training from memory that was never interrupted."""
    backup = functools.partial(
        keras.callbacks.BackupAndRestore,
        tmp_path_factory.mktemp("backup"),
        save_freq=2,
        delete_checkpoint=False,
    )
    options = {"batch_size": 4, "binarize": "stochastic"}
    with pytest.raises(KeyboardInterrupt):
        weights_after(streamed(folder, **options)[0], backup(), Interrupt(7))
    resumed = weights_after(streamed(folder, **options)[0], backup())
    expected = weights_after(load(folder, **options)[0])
    keras.tree.map_structure(np.testing.assert_array_equal, resumed, expected)


def test_the_current_folder_may_change(folder, streamed, monkeypatch):
    monkeypatch.chdir(folder.parent)
    dataset, _ = streamed(folder.name)
    monkeypatch.chdir("/")
    assert len(list(dataset)) == 1


def truncate(path):
    path.write_bytes(path.read_bytes()[:60])


def enlarge(path):
    write(path, 8, 8)


def colour(path):
    write(path, 3, 5, 3)


@pytest.mark.parametrize(
    "change, text", [(truncate, "cannot be read"), (enlarge, "another shape"), (colour, "another")]
)
def test_images_that_change_are_named_when_they_are_read(tmp_path, streamed, change, text):
    for i in range(4):
        write(tmp_path / f"{i}.png", 3, 5)
    dataset, _ = streamed(tmp_path)
    change(tmp_path / "2.png")
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{text}.* Received: .*2\.png"):
        list(dataset)


def no_image(path):
    path.write_text("no image")


def of_16_bits(path):
    Image.fromarray(np.zeros((3, 5), "uint16")).save(path)


@pytest.mark.parametrize("damage", [no_image, enlarge, of_16_bits])
def test_images_that_cannot_be_used_are_named_at_once(folder, streamed, damage):
    """With the words that `load` uses of images in memory."""
    damage(folder / "a" / "10.png")
    with pytest.raises(ValueError, match=r"Received: .*10\.png") as expected:
        load(folder)
    with pytest.raises(ValueError) as caught:
        streamed(folder)
    assert str(caught.value) == str(expected.value)


def test_images_on_their_side_are_turned(tmp_path, streamed, assert_same):
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: a quarter turn.
    write(tmp_path / "a.jpg", 3, 5)
    write(tmp_path / "b.jpg", 5, 3, exif=exif)
    assert_same(streamed(tmp_path), load(tmp_path))


def test_large_folders_are_not_held_in_memory(folder, monkeypatch):
    monkeypatch.setattr(folders, "_MOST_IN_MEMORY", 20 * 3 * 5)
    assert isinstance(folders.read_folder(folder).rows, np.ndarray)
    monkeypatch.setattr(folders, "_MOST_IN_MEMORY", 20 * 3 * 5 - 1)
    assert isinstance(folders.read_folder(folder).rows, image_files.ImageFiles)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_draws_of_single_rows_are_those_of_all(size):
    pixels = RNG.integers(0, 256, (9, size, size, 1), "uint8")

    class OnDisk:
        shape, dtype, ndim = pixels.shape, pixels.dtype, 4
        __getitem__ = pixels.__getitem__

    rows = np.array([0, 3, 4, 8])
    expected = binarize_once(Examples("grey", pixels, (size, size, 1)), seed=3).rows[rows]
    drawn = binarize_once(Examples("grey", OnDisk(), (size, size, 1)), seed=3).rows
    np.testing.assert_array_equal(drawn[rows], expected)


MEMORY = """
import sys
from tfgen.datasets import folders, load

def anonymous(*_):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

def peak(split, most):
    folders._MOST_IN_MEMORY = most
    dataset, _ = load(sys.argv[1], split, batch_size=16, binarize="fixed")
    return max(anonymous() for _ in dataset)

before = peak("train[:20%]", 0)
print(peak("train[20%:]", 0) - before, peak("train[20%:]", 2**40) - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_folder(measured, tmp_path):
    """200 MiB of images take less than a quarter of that; in memory more than one copy."""
    for i in range(1300):
        Image.new("RGB", (256, 256), (i % 256, 0, 0)).save(tmp_path / f"{i:04}.bmp")
    streamed, memory = measured(MEMORY, tmp_path)
    assert streamed < 50 and memory > 200, (streamed, memory)
