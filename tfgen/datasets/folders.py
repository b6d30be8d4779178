"""Images in the files of a folder."""

import collections
import concurrent.futures
import functools
import hashlib
import itertools
import os
import pathlib

import numpy as np
import tensorflow as tf

from tfgen._utils import extras
from tfgen._utils.files import chunk_length, mapped_arrays
from tfgen._utils.progress import with_progress
from tfgen.datasets.examples import Examples
from tfgen.datasets.images import resize
from tfgen.datasets.splits import select

__all__ = ["read_folder"]

_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
# Pillow's names of formats with 8 bits a channel, and what each is converted to.
_GREY_MODES = frozenset(("1", "L", "LA"))
_COLOUR_MODES = frozenset(("CMYK", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr"))
# Images that are decoded before they are needed.
_AHEAD = 32
# Part of the names in a cache: another number lets all be decoded anew.
_CACHE_VERSION = 1


def read_folder(
    folder: str | os.PathLike,
    split: str = "train",
    *,
    image_size: tuple[int, ...] | None = None,
    cache_dir: pathlib.Path | None = None,
) -> Examples:
    """Images in a folder and its subfolders, in the order of their paths.

    Hidden files and folders, whose names begin with a dot, are passed over, and so are folders,
    pipes and devices with the name of an image. If every image lies in a subfolder, the names of
    the subfolders are the classes. Images have one channel if all are grey, else three;
    transparency is left out.

    Args:
        folder: path.
        split: str, "train" or "all" for every image, or a slice such as "train[:90%]".
        image_size: (height, width), or None if all images have the same size.
        cache_dir: path of a folder, which is made: the images stay there, decoded, in a file that
            belongs to their paths, sizes, times of change and `image_size`. None for memory.

    Returns:
        `Examples` with uint8 pixels, a memory map if there is a `cache_dir`, and int32 labels or
        None.

    Raises:
        ValueError: if there are no images, one cannot be read, or their sizes differ.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     encoded = tf.io.encode_png(np.zeros((8, 6, 3), "uint8"))
        ...     tf.io.write_file(f"{folder}/black.png", encoded)
        ...     read_folder(folder).rows.shape
        (1, 8, 6, 3)
    """
    folder = pathlib.Path(folder)
    extras.require("PIL", extra="data")
    paths = _image_paths(folder)
    chosen = select({"train": np.arange(len(paths))}, split)
    names = _class_names(folder, paths)
    paths = [paths[index] for index in chosen]
    cache = None if cache_dir is None else cache_dir / _file_name(folder, paths, image_size)
    images = _map_all(paths, image_size, cache) if cache else _read_all(paths, image_size)
    labels = _labels(folder, paths, names) if names else None
    name = folder.resolve().name
    return Examples(name, images, images.shape[1:], labels, class_names=names, cache=cache)


def _image_paths(folder):
    """Paths of all images in a folder, sorted."""
    paths = sorted(path for path in folder.rglob("*") if _is_image(path, folder))
    if not paths:
        raise ValueError(
            f"The folder has no images. Received: {str(folder)!r}. "
            f"Expected files that end in one of {sorted(_SUFFIXES)}, in it or its subfolders."
        )
    return paths


def _is_image(path, folder):
    """Whether a path is, or should be, that of an image: a link to nothing is a missing one."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    if hidden or path.suffix.lower() not in _SUFFIXES:
        return False
    return path.is_file() or (path.is_symlink() and not path.exists())


def _class_names(folder, paths):
    """Names of the subfolders, or () if an image lies in the folder itself."""
    parts = [path.relative_to(folder).parts for path in paths]
    return () if min(map(len, parts)) == 1 else tuple(sorted({part[0] for part in parts}))


def _labels(folder, paths, names):
    """Position of each image's subfolder in `names`, int32."""
    return np.array([names.index(path.relative_to(folder).parts[0]) for path in paths], "int32")


def _read_all(paths, image_size):
    """uint8 array, shape (num_images, height, width, 1 or 3)."""
    images = list(_decoded(paths, image_size))
    return _stack(images, max(image.shape[-1] for image in images))


class _ColourAmongGrey(Exception):
    """An image has three channels, where those before it have one."""


def _map_all(paths, image_size, cache):
    """As `_read_all`, a memory map of a file, which is written first."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    expected = [("uint8", (len(paths), *(image_size or (None, None)), None))]

    def mapped(channels):
        chunks = functools.partial(_chunks, paths, image_size, channels)
        return mapped_arrays([cache], expected, chunks)[0]

    try:
        return mapped(1)
    except _ColourAmongGrey:
        return mapped(3)


def _chunks(paths, image_size, channels):
    """Tuples of one array, some images, which have 1 or 3 channels."""
    images = _decoded(paths, image_size)
    for image in images:
        others = itertools.islice(images, chunk_length(image.nbytes) - 1)
        yield (_stack([image, *others], channels),)


def _file_name(folder, paths, image_size):
    """A hash of all that decoded images depend on."""
    files = [(path.relative_to(folder).as_posix(), *_size_and_time(path)) for path in paths]
    parts = (_CACHE_VERSION, str(folder.resolve()), image_size, files)
    return f"{hashlib.sha256(repr(parts).encode()).hexdigest()}.npy"


def _size_and_time(path):
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return stat.st_size, stat.st_mtime_ns


def _stack(images, channels):
    """Array of images, grey ones with as many channels as the others."""
    if max(image.shape[-1] for image in images) > channels:
        raise _ColourAmongGrey
    shape = (*images[0].shape[:2], channels)
    return np.stack([np.broadcast_to(image, shape) for image in images])


def _decoded(paths, image_size):
    """Images of one size in the order of their paths, a few of them decoded ahead."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        read = _few_ahead(lambda path: pool.submit(_read_image, path, image_size), paths)
        shape = None
        for path, image in zip(paths, with_progress(read, len(paths)), strict=True):
            shape = shape or image.shape
            _check_size(path, image, paths[0], shape)
            yield image


def _few_ahead(submit, paths):
    """Results of futures that are submitted while those before them are used."""
    futures: collections.deque[concurrent.futures.Future] = collections.deque()
    for path in paths:
        futures.append(submit(path))
        if len(futures) > _AHEAD:
            yield futures.popleft().result()
    for future in futures:
        yield future.result()


def _read_image(path, image_size):
    """uint8 array, shape (height, width, 1 or 3)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            file.load()
            image = ImageOps.exif_transpose(file)
    except Exception as error:  # What Pillow raises depends on the format and on the damage.
        raise _unreadable(path, error) from error
    pixels = np.asarray(image.convert(_target_mode(path, image.mode)))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return resize(tf.convert_to_tensor(pixels), image_size).numpy()


def _unreadable(path, error):
    return ValueError(
        f"An image cannot be read. Received: {str(path)!r} ({error}). "
        "Expected a complete image file: repair it or move it out of the folder."
    )


def _target_mode(path, mode):
    """Mode to convert to: "L" for grey images, "RGB" for images with colours."""
    if mode in _GREY_MODES:
        return "L"
    if mode in _COLOUR_MODES:
        return "RGB"
    raise ValueError(
        f"Images must have 8 bits a channel. Received: {str(path)!r} of mode {mode!r}. "
        "Convert it, or pass an array of floats in [0, 1]."
    )


def _check_size(path, image, first_path, first_shape):
    if image.shape[:2] != first_shape[:2]:
        raise ValueError(
            f"The images have different sizes. Received: {str(first_path)!r} of (height, width) "
            f"{first_shape[:2]}, {str(path)!r} of {image.shape[:2]}. "
            "Pass image_size to resize them all."
        )
