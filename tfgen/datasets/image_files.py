"""Files with one image each: read singly, one after the other, or as an array on disk."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgen._utils.progress import with_progress
from tfgen.datasets.images import resize

__all__ = ["ImageFiles", "cache_name", "common_shape", "read_image", "read_images"]

# Pillow's names of formats with 8 bits a channel, and what each is converted to.
_GREY_MODES = frozenset(("1", "L", "LA"))
_COLOUR_MODES = frozenset(("CMYK", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr"))
# Pillow's names of what is in a file, where it cuts 16 bits a channel to 8: "RGB;16B".
_DEEP = re.compile(r";16[BLN]$")
_BITS_PER_SAMPLE = 258  # Number of a tag of TIFF.
# Frames of a photograph are other views of it, and what a display needs.
_OF_ONE_IMAGE = frozenset(("MPO",))
# Part of the names in a cache: another number lets all be decoded anew.
_CACHE_VERSION = 2
# Files that are read before they are needed.
_AHEAD = 32


def read_image(path: pathlib.Path, image_size: Sequence[int] | None = None) -> np.ndarray:
    """The image in a file, turned as its camera says, without transparency.

    Args:
        path: path of the file.
        image_size: (height, width) to resize to, or None.

    Returns:
        uint8 array, shape (height, width, 1) of a grey image, (height, width, 3) of others.

    Raises:
        ValueError: if the file cannot be read, has more than 8 bits a channel, or several frames,
            as animations and documents of many pages.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            header = _header_of(file)
            if not header.is_refused:
                file.load()
                image = ImageOps.exif_transpose(file)
    except Exception as error:  # What Pillow raises depends on the format and on the damage.
        raise _unreadable(path, error) from error
    _check_header(path, header)
    pixels = np.asarray(image.convert(_target_mode(path, image.mode)))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if image_size is None or tuple(image_size) == pixels.shape[:2]:
        return pixels
    return resize(tf.convert_to_tensor(pixels), image_size).numpy()


def read_images(
    folder: pathlib.Path, names: Sequence[str], image_size: Sequence[int] | None = None
) -> Iterator[np.ndarray]:
    """Images of one size in the order of their names, a few of them read ahead.

    Args:
        folder: path that the names are relative to.
        names: paths of the files.
        image_size: (height, width) to resize to, or None.

    Yields:
        What `read_image` returns.

    Raises:
        ValueError: as `read_image`, or if the sizes differ.
    """
    shape = None
    for path, image in _few_ahead(lambda path: read_image(path, image_size), folder, names):
        shape = shape or image.shape
        _check_size(path, image.shape, folder / names[0], shape)
        yield image


def common_shape(
    folder: pathlib.Path, names: Sequence[str], image_size: Sequence[int] | None = None
) -> tuple[int, int, int]:
    """(height, width, channels) of images, of which but one only the headers are read.

    Args:
        folder: path that the names are relative to.
        names: paths of the files.
        image_size: (height, width) to resize to, or None.

    Raises:
        ValueError: as `read_images`, but for what the header of a file does not tell.
    """
    first = read_image(folder / names[0], image_size).shape
    most_channels = 0
    for path, (size, channels) in _few_ahead(_read_header, folder, names):
        if image_size is None and size != first[:2]:  # Perhaps it lies on its side.
            _check_size(path, read_image(path).shape, folder / names[0], first)
        most_channels = max(most_channels, channels)
    return (*first[:2], most_channels)


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """An array of the images in files, which are read anew whenever rows are asked for.

    Args:
        folder: path that the names are relative to.
        names: array of bytes, the paths of the files.
        image_shape: (height, width, channels) of all images; grey ones become coloured.
        image_size: (height, width) that they are resized to, or None.

    Example:
        >>> import tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for shade in (0, 255):
        ...     encoded = tf.io.encode_png(np.full((4, 6, 1), shade, "uint8"))
        ...     tf.io.write_file(f"{folder}/{shade}.png", encoded)
        >>> images = ImageFiles(folder, np.array([b"0.png", b"255.png"]), (4, 6, 3))
        >>> images[1:].shape, images[:].max().item()
        ((1, 4, 6, 3), 255)
    """

    folder: pathlib.Path
    names: np.ndarray
    image_shape: tuple[int, ...]
    image_size: Sequence[int] | None = None
    dtype = np.dtype("uint8")

    @property
    def shape(self) -> tuple[int, ...]:
        """(num_images, height, width, channels)."""
        return (len(self.names), *self.image_shape)

    @property
    def ndim(self) -> int:
        """Number of axes, 4."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        names = self.names[rows]
        images = np.empty((len(names), *self.image_shape), "uint8")
        for name, image in zip(names, images, strict=True):
            image[:] = self._read(self.folder / os.fsdecode(name))
        return images

    def _read(self, path):
        """The image in a file, which may have changed since all of them were looked at."""
        image = read_image(path, self.image_size)
        if image.shape[:2] != self.image_shape[:2] or image.shape[2] > self.image_shape[2]:
            raise ValueError(
                f"An image has another shape than before. Received: {str(path)!r} of (height, "
                f"width, channels) {image.shape}. Expected: {self.image_shape}. Do not change a "
                "folder that is in use, or pass image_size."
            )
        return image


def cache_name(folder: pathlib.Path, names: Sequence[str], image_size: Sequence[int] | None) -> str:
    """Name of the file that holds decoded images: a hash of all that they depend on.

    Args:
        folder: path that the names are relative to.
        names: paths of the files.
        image_size: what the images are resized to, or None.

    Raises:
        ValueError: if a file is gone.
    """
    files = [(name.replace(os.sep, "/"), *_size_and_time(folder / name)) for name in names]
    parts = (_CACHE_VERSION, str(folder.resolve()), image_size, files)
    return f"{hashlib.sha256(repr(parts).encode()).hexdigest()}.npy"


def _size_and_time(path):
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return stat.st_size, stat.st_mtime_ns


def _unreadable(path, error):
    return ValueError(
        f"An image cannot be read. Received: {str(path)!r} ({error}). "
        "Expected a complete image file: repair it or move it out of the folder."
    )


def _few_ahead(
    read: Callable[[pathlib.Path], Any], folder: pathlib.Path, names: Sequence[str]
) -> Iterator[tuple[pathlib.Path, Any]]:
    """Pairs of a path and of what is read from it, by threads that are a few files ahead."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures: collections.deque[concurrent.futures.Future] = collections.deque()
        for number, name in enumerate(with_progress(names, len(names))):
            ahead = names[number + len(futures) : number + _AHEAD]
            futures.extend(pool.submit(read, folder / other) for other in ahead)
            yield folder / name, futures.popleft().result()


@dataclasses.dataclass(frozen=True)
class _Header:
    """What a file says of its image: (height, width) before it is turned, and how it is stored."""

    size: tuple[int, int]
    mode: str
    is_deep: bool
    has_frames: bool

    @property
    def is_refused(self):
        return self.is_deep or self.has_frames


def _header_of(file):
    """The header of a file that Pillow has opened, and not decoded yet."""
    is_deep = _is_deep(file)
    has_frames = file.format not in _OF_ONE_IMAGE and getattr(file, "is_animated", False)
    return _Header((file.height, file.width), file.mode, is_deep, bool(has_frames))


def _is_deep(file):
    """Whether its channels have more than 8 bits, to which Pillow would cut them."""
    if file.format == "TIFF":
        return max(file.tag_v2.get(_BITS_PER_SAMPLE, (8,))) > 8
    arguments = [part for tile in file.tile for part in np.atleast_1d(np.array(tile[3], object))]
    if file.format == "PPM" and file.tile[0][0].startswith("ppm"):
        return arguments[-1] > 255  # What white is.
    return any(isinstance(part, str) and _DEEP.search(part) for part in arguments)


def _read_header(path):
    """(height, width) before an image is turned, and its number of channels."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            header = _header_of(file)
    except Exception as error:  # As above.
        raise _unreadable(path, error) from error
    _check_header(path, header)
    return header.size, 1 if _target_mode(path, header.mode) == "L" else 3


def _check_header(path, header):
    _target_mode(path, header.mode)
    if header.is_deep:
        raise _too_deep(path, f"{header.mode!r} with more")
    if header.has_frames:
        raise ValueError(
            f"An image has several frames. Received: {str(path)!r}. Save each frame, or the one "
            "that you want, as a file of its own, or move it out of the folder."
        )


def _target_mode(path, mode):
    """Mode to convert to: "L" for grey images, "RGB" for images with colours."""
    if mode in _GREY_MODES:
        return "L"
    if mode in _COLOUR_MODES:
        return "RGB"
    raise _too_deep(path, repr(mode))


def _too_deep(path, mode):
    return ValueError(
        f"Images must have 8 bits a channel. Received: {str(path)!r} of mode {mode}. "
        "Convert it, or pass an array of floats in [0, 1]."
    )


def _check_size(path, shape, first_path, first_shape):
    if shape[:2] != first_shape[:2]:
        raise ValueError(
            f"The images have different sizes. Received: {str(first_path)!r} of (height, width) "
            f"{first_shape[:2]}, {str(path)!r} of {shape[:2]}. "
            "Pass image_size to resize them all."
        )
