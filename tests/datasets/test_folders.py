"""Folders of images."""

import os
import random
import threading

import numpy as np
import pytest
from PIL import Image

from tfgen.datasets import load
from tfgen.datasets.folders import read_folder

RNG = np.random.default_rng(0)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def random_pixels(*shape):
    return RNG.integers(0, 256, shape, "uint8")


def test_images_come_in_the_order_of_their_paths(tmp_path):
    images = [write(tmp_path / f"{name}.png", random_pixels(6, 4, 3)) for name in "cab"]
    examples = read_folder(tmp_path)
    np.testing.assert_array_equal(examples.rows, [images[1], images[2], images[0]])
    assert examples.name == tmp_path.name
    assert examples.labels is None and examples.class_names == ()


@pytest.mark.parametrize("suffix", ["png", "pgm", "bmp", "tif", "PNG"])
def test_grey_images_have_one_channel(tmp_path, suffix):
    pixels = write(tmp_path / f"a.{suffix}", random_pixels(6, 4))
    np.testing.assert_array_equal(read_folder(tmp_path).rows, pixels[None, ..., None])


def test_grey_images_among_coloured_ones_get_three_channels(tmp_path):
    grey = write(tmp_path / "a.png", random_pixels(6, 4))
    colour = write(tmp_path / "b.png", random_pixels(6, 4, 3))
    rows = read_folder(tmp_path).rows
    np.testing.assert_array_equal(rows, [np.stack([grey] * 3, -1), colour])


def test_transparency_is_left_out(tmp_path):
    pixels = write(tmp_path / "a.png", random_pixels(6, 4, 4))
    np.testing.assert_array_equal(read_folder(tmp_path).rows[0], pixels[..., :3])


def test_photographs_are_turned_as_their_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # Orientation: upside down.
    pixels = write(tmp_path / "a.png", random_pixels(6, 4), exif=exif)
    np.testing.assert_array_equal(read_folder(tmp_path).rows[0, ..., 0], pixels[::-1, ::-1])


def test_subfolders_are_classes(tmp_path):
    for path in ("dog/1.png", "cat/deep/1.png", "cat/2.png"):
        write(tmp_path / path, random_pixels(4, 4))
    examples = read_folder(tmp_path)
    assert examples.class_names == ("cat", "dog")
    np.testing.assert_array_equal(examples.labels, [0, 0, 1])
    np.testing.assert_array_equal(read_folder(tmp_path, "train[2:]").labels, [1])


def test_image_size_evens_out_different_sizes(tmp_path):
    big = write(tmp_path / "big.png", random_pixels(8, 8))
    small = write(tmp_path / "small.png", random_pixels(4, 4))
    rows = read_folder(tmp_path, image_size=(4, 4)).rows[..., 0]
    averages = big.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(rows[0], averages, atol=0.5)  # Rounded to whole numbers.
    np.testing.assert_array_equal(rows[1], small)


def test_different_sizes_need_image_size(tmp_path):
    write(tmp_path / "a.png", random_pixels(8, 8))
    write(tmp_path / "b.png", random_pixels(4, 6))
    with pytest.raises(ValueError, match=r"b.png' of \(4, 6\). Pass image_size"):
        read_folder(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="no images. Received: .*Expected files that end in"):
        read_folder(tmp_path)


def test_foreign_files_are_named(tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    with pytest.raises(ValueError, match="cannot be read. Received: .*broken.png"):
        read_folder(tmp_path)


def test_truncated_files_are_named(tmp_path):
    write(tmp_path / "a.png", random_pixels(64, 64))
    complete = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(complete[: len(complete) // 2])
    with pytest.raises(ValueError, match="cannot be read. Received: .*a.png"):
        read_folder(tmp_path)


def test_images_of_16_bits_are_refused(tmp_path):
    write(tmp_path / "deep.png", RNG.integers(0, 2**16, (4, 4), "uint16"))
    with pytest.raises(ValueError, match="8 bits a channel. Received: .*deep.png"):
        read_folder(tmp_path)


def test_what_is_no_image_is_passed_over(tmp_path):
    """What file managers, notebooks and programs leave beside images."""
    pixels = write(tmp_path / "a.png", random_pixels(4, 4))
    for path in ("._a.png", ".thumbnails/a.png", ".ipynb_checkpoints/a-checkpoint.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("no image")
    (tmp_path / "folder.png").mkdir()
    examples = []
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")  # To open it waits for somebody who writes to it.
        (tmp_path / "device.png").symlink_to("/dev/zero")
    reading = threading.Thread(target=lambda: examples.append(read_folder(tmp_path)), daemon=True)
    reading.start()
    reading.join(timeout=20)
    np.testing.assert_array_equal(examples[0].rows, pixels[None, ..., None])


def test_a_hidden_folder_may_hold_images(tmp_path):
    write(tmp_path / ".cache" / "a.png", random_pixels(4, 4))
    assert len(read_folder(tmp_path / ".cache").rows) == 1


def test_a_link_to_an_image_that_is_gone_is_named(tmp_path):
    write(tmp_path / "a.png", random_pixels(4, 4))
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"cannot be read. Received: .*b\.png"):
        read_folder(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of what it passes over.
@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpg", "pgm", "png", "tif", "webp"])
def test_damage_is_named_in_every_format(tmp_path, suffix):
    """Bytes at random: what is no image any more is named, and nothing else is raised."""
    path, rng = tmp_path / f"a.{suffix}", random.Random(0)
    write(path, random_pixels(16, 16))
    whole = path.read_bytes()
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(3):
            content[rng.randrange(min(len(content), 100))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([None, len(content) // 2])])
        try:
            read_folder(tmp_path)
        except ValueError as error:
            assert f"a.{suffix}" in str(error)


def test_an_image_too_large_to_unpack_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.png", random_pixels(64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"cannot be read. Received: .*a\.png.*exceeds limit"):
        read_folder(tmp_path)


def test_what_is_passed_over_is_listed(tmp_path):
    write(tmp_path / "a.png", random_pixels(4, 4))
    for path in ("._a.png", ".thumbnails/a.png", "b.png/notes.txt", ".DS_Store", "notes.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("no image")
    skipped = ["._a.png", ".thumbnails/a.png", "b.png"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        skipped.append("pipe.png")
    assert list(load(tmp_path)[1].skipped) == skipped


def test_a_folder_of_hidden_files_alone_is_refused(tmp_path):
    (tmp_path / "._a.png").write_text("no image")
    with pytest.raises(ValueError, match="no images. Received: .*with 1 hidden file"):
        read_folder(tmp_path)
