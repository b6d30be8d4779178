"""Folders of images."""

import functools
import os
import random
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from tfgen.datasets import folders, load
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


def png(color_type, channels, bits):
    """A PNG file of 4 x 4 pixels, of types that Pillow does not write."""

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    row = bytes(range(1 + 4 * channels * bits // 8))
    header = struct.pack(">IIBBBBB", 4, 4, bits, color_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(4 * row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(channels, bits):
    """A TIFF file of 4 x 4 pixels, of types that Pillow does not write."""
    offset = 8 + 2 + 9 * 12 + 4
    sizes = struct.pack(f"<{channels}H", *[bits] * channels)
    entries = [(256, 4), (257, 4), (259, 1), (262, 2 if channels == 3 else 1), (277, channels)]
    entries += [(278, 4), (279, 16 * channels * bits // 8), (273, offset + len(sizes))]
    fields = [(tag, struct.pack("<HHII", tag, 4, 1, value)) for tag, value in entries]
    inside = sizes.ljust(4, b"\0") if channels < 3 else struct.pack("<I", offset)
    fields += [(258, struct.pack("<HHI", 258, 3, channels) + inside)]
    directory = struct.pack("<H", 9) + b"".join(field for _, field in sorted(fields)) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + sizes + bytes(16 * channels * bits // 8)


# Files of 4 x 4 pixels, by their bits a channel.
DEEP = {
    **{f"{name}.png": functools.partial(png, *kind) for name, kind in {
        "grey": (0, 1), "colour": (2, 3), "transparent_grey": (4, 2), "transparent": (6, 4)
    }.items()},
    **{f"{channels}.tif": functools.partial(tiff, channels) for channels in (1, 3)},
    "grey.pgm": lambda bits: b"P5 4 4 %d\n" % (2**bits - 1) + bytes(2 * bits),
    "colour.ppm": lambda bits: b"P6 4 4 %d\n" % (2**bits - 1) + bytes(6 * bits),
    "plain.ppm": lambda bits: b"P3 4 4 %d\n" % (2**bits - 1) + b"9 " * 48,
}  # fmt: skip


@pytest.fixture(params=[2**26, 0], ids=["in memory", "on disk"])
def memory(request, monkeypatch):
    """Folders are read whole, or only the headers of their files."""
    monkeypatch.setattr(folders, "_MOST_IN_MEMORY", request.param)


@pytest.mark.parametrize("name", DEEP)
def test_images_of_16_bits_are_refused(tmp_path, memory, name):
    (tmp_path / f"z_{name}").write_bytes(DEEP[name](8))
    suffix = name.rpartition(".")[2]
    (tmp_path / f"a.{suffix}").write_bytes(DEEP[name](8))
    assert read_folder(tmp_path).rows.shape[:3] == (2, 4, 4)
    (tmp_path / f"z_{name}").write_bytes(DEEP[name](16))
    with pytest.raises(ValueError, match=f"8 bits a channel. Received: .*z_{name}"):
        read_folder(tmp_path)


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}], ids=str)
def test_images_with_fewer_bits_and_wide_rows_are_read(tmp_path, options):
    """Numbers of what a decoder is told are no bits: the bytes of a row are more than 255."""
    for suffix in ("bmp", "png", "tif", "ppm"):
        write(
            tmp_path / f"a.{suffix}",
            random_pixels(4, 300, 3),
            **(options if suffix == "tif" else {}),
        )
    (tmp_path / "b.ppm").write_bytes(b"P6 300 4 15\n" + bytes(3600))
    assert read_folder(tmp_path).rows.shape == (5, 4, 300, 3)


@pytest.mark.parametrize("suffix", ["gif", "png", "tif", "webp"])
def test_animations_and_pages_are_refused(tmp_path, memory, suffix):
    frames = [Image.fromarray(random_pixels(8, 8, 3)) for _ in range(3)]
    for name in "az":
        frames[0].save(tmp_path / f"{name}.{suffix}", save_all=True)
    assert read_folder(tmp_path).rows.shape == (2, 8, 8, 3)
    frames[0].save(tmp_path / f"z.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=rf"several frames. Received: .*z\.{suffix}"):
        read_folder(tmp_path)


def test_photographs_with_other_views_are_read(tmp_path):
    """What phones add to a JPEG file is another frame of it."""
    frames = [Image.fromarray(np.full((8, 8, 3), shade, "uint8")) for shade in (50, 200)]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(read_folder(tmp_path).rows, 50, atol=2)


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
    with pytest.raises(ValueError, match=r"no images.* 1 hidden, .*passed over: \['\._a.png'\]"):
        read_folder(tmp_path)


# Links, and what else may be an image.


def test_links_to_folders_are_followed(tmp_path):
    """Classes may lie elsewhere, and one may be a link to another."""
    for path in ("data/cat/1.png", "far/dogs/2.png", "far/dogs/deep/3.png"):
        write(tmp_path / path, random_pixels(4, 4))
    (tmp_path / "data/dog").symlink_to(tmp_path / "far/dogs")
    (tmp_path / "data/hound").symlink_to("dog")
    examples = read_folder(tmp_path / "data")
    assert examples.class_names == ("cat", "dog", "hound")
    assert examples.labels.tolist() == [0, 1, 1, 2, 2] and examples.skipped == ()


@pytest.mark.parametrize("target", [".", "..", "../..", "../b", "up", "/gone"])
def test_links_without_an_end_are_listed(tmp_path, target):
    """To the folder itself, to one above it, to each other, and to nothing."""
    for path in ("data/a/1.png", "data/b/2.png"):
        write(tmp_path / path, random_pixels(4, 4))
    (tmp_path / "data/a/up").symlink_to(target)
    (tmp_path / "data/b/down").symlink_to("../a")
    examples = read_folder(tmp_path / "data")
    assert examples.class_names == ("a", "b")
    assert any("up" in name or "down" in name for name in examples.skipped)
    assert len(examples.rows) <= 2 + 6  # Each image, and again through the links.


def test_folders_that_cannot_be_read_are_listed(tmp_path, monkeypatch):
    write(tmp_path / "a.png", random_pixels(4, 4))
    write(tmp_path / "locked" / "b.png", random_pixels(4, 4))
    scan = os.scandir

    def refused(path):
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    examples = read_folder(tmp_path)
    assert len(examples.rows) == 1 and examples.skipped == ("locked",)


@pytest.mark.parametrize("suffix", ["jfif", "jp2", "TGA", "avif", "ico", "heic", "svg", "jxl"])
def test_images_of_other_formats_are_listed(tmp_path, suffix):
    write(tmp_path / "a.png", random_pixels(4, 4))
    (tmp_path / f"sub/b.{suffix}").parent.mkdir()
    (tmp_path / f"sub/b.{suffix}").write_bytes(b"")
    assert load(tmp_path)[1].skipped == (f"sub/b.{suffix}",)
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=rf"no images.*passed over: \['sub/b\.{suffix}'\]"):
        load(tmp_path)
