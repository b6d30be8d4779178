"""Folders of images in memory maps: the same batches as from memory, and never stale ones."""

import functools
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from tfgen._utils import files
from tfgen.datasets import load

RNG = np.random.default_rng(0)


def write(path, *shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, shape, "uint8")).save(path)


@pytest.fixture
def folder(tmp_path):
    """Grey images of two classes."""
    for i in range(20):
        write(tmp_path / "images" / "ab"[i % 2] / f"{i:02}.png", 6, 4)
    return tmp_path / "images"


@pytest.fixture
def mapped(tmp_path):
    """`load` with a cache."""
    return functools.partial(load, cache_dir=tmp_path / "cache", batch_size=8)


@pytest.mark.parametrize("binarize", [None, "threshold", "stochastic", "fixed"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"labels": True, "shuffle": False, "value_range": (-1, 1)},
        {"split": "train[30%:]", "image_size": (3, 8), "drop_remainder": True, "seed": 5},
    ],
)
def test_batches_are_those_of_memory(
    folder, mapped, monkeypatch, decoded, binarize, options, assert_same
):
    """In several chunks, and again from the file alone."""
    monkeypatch.setattr(files, "_CHUNK", 3 * 24)
    memory = load(folder, batch_size=8, binarize=binarize, **options)
    assert_same(mapped(folder, binarize=binarize, **options), memory)
    decoded.clear()
    memory[0].seek(0)
    assert_same(mapped(folder, binarize=binarize, **options), memory)
    assert not decoded


def test_any_batch_can_be_sought(folder, mapped):
    dataset, _ = mapped(folder, binarize="stochastic", labels=True)
    _, second = list(dataset), list(dataset)
    dataset.seek(epoch=1, step=2)
    keras.tree.map_structure(np.testing.assert_array_equal, list(dataset), second[2:])


@pytest.mark.parametrize("colours", [[0], [11], [19], range(20), []])
def test_grey_images_among_coloured_ones(tmp_path, mapped, monkeypatch, colours, assert_same):
    monkeypatch.setattr(files, "_CHUNK", 4 * 24)
    for i in range(20):
        write(tmp_path / "images" / f"{i:02}.png", 6, 4, *([3] if i in colours else []))
    memory = load(tmp_path / "images", batch_size=8)
    assert memory[1].image_shape == (6, 4, 3 if colours else 1)
    assert_same(mapped(tmp_path / "images"), memory)


def test_each_image_is_decoded_once(folder, mapped, decoded, tmp_path):
    mapped(folder)
    assert sorted(decoded) == sorted(path.name for path in folder.rglob("*.png"))
    ((path, size),) = [(path, path.stat().st_size) for path in (tmp_path / "cache").iterdir()]
    assert path.suffix == ".npy" and size == 128 + 20 * 24


def rewrite(folder):
    write(folder / "a" / "00.png", 6, 4)


def touch(folder):
    os.utime(folder / "a" / "00.png", ns=(1, 1))


def add(folder):
    write(folder / "a" / "20.png", 6, 4)


def remove(folder):
    (folder / "a" / "00.png").unlink()


def rename(folder):
    (folder / "a" / "00.png").rename(folder / "b" / "00.png")


@pytest.mark.parametrize("change", [rewrite, touch, add, remove, rename])
def test_changed_folders_are_decoded_anew(folder, mapped, decoded, change, assert_same):
    mapped(folder)
    change(folder)
    decoded.clear()
    dataset = mapped(folder, labels=True)
    assert len(decoded) == len(list(folder.rglob("*.png")))
    assert_same(dataset, load(folder, labels=True, batch_size=8))


def test_other_folders_with_files_of_the_same_names_and_times(folder, mapped, assert_same):
    """As one archive with a test set beside its training set has them."""
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    for path in folder.rglob("*.png"):
        content = bytearray((other / path.relative_to(folder)).read_bytes())
        (other / path.relative_to(folder)).write_bytes(content)
    write(other / "a" / "00.png", 6, 4)
    size = (folder / "a" / "00.png").stat().st_size
    for place in (folder, other):
        path = place / "a" / "00.png"
        path.write_bytes(path.read_bytes().ljust(size + 100, b"\0"))
        for file in place.rglob("*.png"):
            os.utime(file, ns=(1, 1))
    mapped(folder)
    assert_same(mapped(other), load(other, batch_size=8))


def test_another_image_size_or_seed_has_a_file_of_its_own(folder, mapped, tmp_path, assert_same):
    for size in (None, 3, (3, 4)):
        assert_same(mapped(folder, image_size=size), load(folder, image_size=size, batch_size=8))
    for seed in (0, 1):
        options = {"binarize": "fixed", "seed": seed}
        assert_same(mapped(folder, **options), load(folder, batch_size=8, **options))
    assert len(list((tmp_path / "cache").iterdir())) == 3 + 2


def test_damaged_files_are_named(folder, mapped, tmp_path):
    mapped(folder, binarize="fixed")
    for path in (tmp_path / "cache").iterdir():
        whole = path.read_bytes()
        for content in (whole[:-1], b"", whole[:100], whole.replace(b"(20, 6,", b"(10,12,")):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=rf"{path.name} (is damaged|holds other).*Delete"):
                mapped(folder, binarize="fixed")
        path.unlink()
        mapped(folder, binarize="fixed")
        assert path.read_bytes() == whole


def truncated(path):
    path.write_bytes(path.read_bytes()[:60])


def link_to_nothing(path):
    path.unlink()
    path.symlink_to("gone.png")


def larger(path):
    write(path, 8, 8)


def of_16_bits(path):
    Image.fromarray(np.zeros((6, 4), "uint16")).save(path)


@pytest.mark.parametrize("damage", [truncated, link_to_nothing, larger, of_16_bits])
def test_images_that_cannot_be_read(folder, mapped, tmp_path, damage):
    """The error of `load` without a cache, in which no file is left."""
    damage(folder / "b" / "19.png")
    with pytest.raises(ValueError, match=r"Received: .*19\.png") as expected:
        load(folder)
    with pytest.raises(ValueError) as caught:
        mapped(folder)
    assert damage is link_to_nothing or str(caught.value) == str(expected.value)
    assert str(caught.value)[:20] == str(expected.value)[:20]
    assert list(tmp_path.glob("cache/*")) == []


KILLED = """
import os, signal, sys
from tfgen.datasets import image_files, load

read = image_files.read_image

def read_or_die(path, image_size):
    if path.name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(path, image_size)

image_files.read_image = read_or_die
load(sys.argv[1], cache_dir=sys.argv[2])
"""


@pytest.mark.slow
def test_a_killed_decode_leaves_no_file_that_is_taken_for_whole(tmp_path, mapped, assert_same):
    folder, cache = tmp_path / "images", tmp_path / "cache"
    for i in range(80):
        write(folder / f"{i:02}.bmp", 256, 512)
    command = [sys.executable, "-c", KILLED, str(folder), str(cache), "79.bmp"]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    (left,) = cache.iterdir()
    assert left.name.startswith(".writing.") and left.stat().st_size > 2**22
    assert_same(mapped(folder), load(folder, batch_size=8))


def test_only_folders_are_kept(folder, tmp_path):
    text = "Only the images of a folder.*Received: cache_dir=.*cache.*type {}.*Leave cache_dir out"
    for source in ("digits", "sprites", str(folder / "gone"), np.zeros((4, 8, 8), "uint8")):
        with pytest.raises(ValueError, match=text.format(type(source).__name__)):
            load(source, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


MEMORY = """
import sys
from tfgen.datasets import image_files, load

def anonymous(*_):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

peaks, read = [], image_files.read_image

def watched(path, image_size):
    peaks.append(anonymous())
    return read(path, image_size)

image_files.read_image = watched

def peak(split, **options):
    peaks.clear()
    dataset, _ = load(sys.argv[1], split, batch_size=16, binarize="fixed", **options)
    peaks.extend(anonymous() for _ in dataset)
    return max(peaks)

before = peak("train[:20%]", cache_dir=sys.argv[2])
print(peak("train[20%:]", cache_dir=sys.argv[2]) - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_folder(measured, tmp_path):
    """200 MiB of images take less than half of a copy."""
    for i in range(1300):
        path = tmp_path / "images" / f"{i:04}.bmp"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (256, 256), (i % 256, 0, 0)).save(path)
    (mapped,) = measured(MEMORY, tmp_path / "images", tmp_path / "cache")
    assert mapped < 100, mapped
