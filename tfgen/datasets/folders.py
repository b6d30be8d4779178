"""Images in the files of a folder."""

import functools
import itertools
import os
import pathlib

import numpy as np

from tfgen._utils import extras
from tfgen._utils.files import chunk_length, mapped_arrays
from tfgen.datasets.examples import Examples
from tfgen.datasets.image_files import (
    ImageFiles,
    cache_name,
    common_shape,
    read_image,
    read_images,
)
from tfgen.datasets.splits import select, unsplit

__all__ = ["read_folder"]

_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
# Of images that are not read: cameras, browsers and programs leave them among those that are.
_OTHER_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        "apng arw avif avifs bw cr2 cr3 cur dcm dcx dds dib dng emf eps exr hdr heic heif icb icns "
        "ico j2c j2k jfif jif jp2 jpc jpe jpf jpx jxl mpo nef orf pbm pcx pfm pjp pjpeg pnm psd "
        "qoi ras raw rgb rgba rw2 sgi svg tga vda vst wmf xbm xpm"
    ).split()
)
# Bytes of pixels up to which the images of a folder are held in memory: those of MNIST are.
_MOST_IN_MEMORY = 2**26


def read_folder(
    folder: str | os.PathLike,
    split: str = "train",
    *,
    image_size: tuple[int, ...] | None = None,
    cache_dir: pathlib.Path | None = None,
) -> Examples:
    """Images in a folder and its subfolders, in the order of their paths.

    If every image lies in a subfolder, the names of the subfolders are the classes. Images have
    one channel if all are grey, else three; transparency is left out.

    Without a `cache_dir`, up to 64 MiB of pixels are held in memory. Of more, only the headers of
    the files are read here, and each image is decoded whenever rows are asked for.

    Links are followed. Passed over, and listed in `skipped`, are files and folders with the name
    of an image that are hidden, as their own name or that of a folder begins with a dot; folders,
    pipes and devices of such names; images of formats that are not read, by their names (.heic,
    .jfif, .svg); folders that cannot be read, links to nothing and to a folder that they lie in.

    Args:
        folder: path.
        split: str, "train" or "all" for every image, "train_shuffled" for every image in a random
            order, always the same, or a slice such as "train[:90%]".
        image_size: (height, width), or None if all images have the same size.
        cache_dir: path of a folder, which is made: the images stay there, decoded, in a file that
            belongs to their paths, sizes, times of change and `image_size`. None for memory,
            or for the files themselves.

    Returns:
        `Examples` with uint8 pixels, an array, `ImageFiles`, or a memory map if there is a
        `cache_dir`; and int32 labels or None.

    Raises:
        ValueError: if there are no images, one cannot be read, has several frames or more than 8
            bits a channel, or their sizes differ.

    Example:
        >>> import tempfile
        >>> import tensorflow as tf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     encoded = tf.io.encode_png(np.zeros((8, 6, 3), "uint8"))
        ...     tf.io.write_file(f"{folder}/black.png", encoded)
        ...     read_folder(folder).rows.shape
        (1, 8, 6, 3)
    """
    folder = pathlib.Path(folder)
    extras.require("PIL", extra="data")
    names, skipped = _image_names(folder)
    chosen = select(unsplit(len(names)), split)
    classes = _class_names(names)
    names = [names[index] for index in chosen]
    cache = None if cache_dir is None else cache_dir / cache_name(folder, names, image_size)
    read = functools.partial(_map_all, cache) if cache else _read
    images = read(folder, names, image_size)
    labels = _labels(names, classes) if classes else None
    return Examples(
        folder.resolve().name,
        images,
        images.shape[1:],
        labels,
        class_names=classes,
        cache=cache,
        skipped=skipped,
    )


def _image_names(folder):
    """Paths in a folder of all images, sorted, and of what could be one and is passed over."""
    names: list[str] = []
    skipped: list[str] = []
    for path in _walk(folder, skipped.append):
        name = os.path.relpath(path, folder)
        if _suffix(name) in _SUFFIXES:
            (names if _is_image(path, name) else skipped).append(name)
        elif _suffix(name) in _OTHER_SUFFIXES or _leads_nowhere(path):
            skipped.append(name)
    skipped = sorted(set(skipped), key=_parts)
    if not names:
        passed_over = f"{skipped[:3]} and others" if skipped[3:] else skipped
        raise ValueError(
            f"The folder has no images. Received: {str(folder)!r}, where {len(skipped)} hidden, "
            f"unreadable and other files and folders are passed over: {passed_over}. "
            f"Expected files that end in one of {sorted(_SUFFIXES)}, in it or its subfolders."
        )
    return sorted(names, key=_parts), tuple(skipped)


def _walk(folder, skip):
    """Paths of all files and folders in a folder, through links; `skip` is told what is left out.

    Left out are folders that cannot be read, and those that lie in themselves by a link.
    """

    def leave_out(path):
        skip(os.path.relpath(path, folder))

    above = {os.fspath(folder): frozenset((os.path.realpath(folder),))}
    walked = os.walk(folder, onerror=lambda error: leave_out(error.filename), followlinks=True)
    for place, folders, files in walked:
        real_paths = above.pop(place)
        yield from (os.path.join(place, name) for name in (*folders, *files))
        for name in tuple(folders):
            path = os.path.join(place, name)
            real_path = os.path.realpath(path)
            if real_path in real_paths:
                leave_out(path)
                folders.remove(name)
            above[path] = real_paths | {real_path}


def _suffix(name):
    return os.path.splitext(name)[1].lower()


def _parts(name):
    """Key that sorts names as the names of their folders, one after the other."""
    return os.path.normcase(name).replace(os.sep, "\0")


def _is_image(path, name):
    """Whether a path is, or should be, that of an image: a link to nothing is a missing one."""
    if any(part.startswith(".") for part in name.split(os.sep)):
        return False
    return os.path.isfile(path) or _leads_nowhere(path)


def _leads_nowhere(path):
    return os.path.islink(path) and not os.path.exists(path)


def _class_names(names):
    """Names of the subfolders, or () if an image lies in the folder itself."""
    folders = {name.partition(os.sep)[0] if os.sep in name else "" for name in names}
    return () if "" in folders else tuple(sorted(folders))


def _labels(names, classes):
    """Position of each image's subfolder in `classes`, int32."""
    return np.array([classes.index(name.partition(os.sep)[0]) for name in names], "int32")


def _read(folder, names, image_size):
    """Array of the images, in memory if they are few."""
    first = read_image(folder / names[0], image_size)
    if len(names) * first.nbytes <= _MOST_IN_MEMORY:
        return _read_all(folder, names, image_size)
    shape = common_shape(folder, names, image_size)
    return ImageFiles(folder.absolute(), np.array(list(map(os.fsencode, names))), shape, image_size)


def _read_all(folder, names, image_size):
    """uint8 array, shape (num_images, height, width, 1 or 3)."""
    rows = np.empty((len(names), 0, 0, 1), "uint8")
    for number, image in enumerate(read_images(folder, names, image_size)):
        if not number:
            rows = np.empty((len(names), *image.shape), "uint8")
        elif image.shape[-1] > rows.shape[-1]:
            rows = np.repeat(rows, image.shape[-1], axis=-1)
        rows[number] = image
    return rows


class _ColourAmongGrey(Exception):
    """An image has three channels, where those before it have one."""


def _map_all(cache, folder, names, image_size):
    """As `_read_all`, a memory map of a file, which is written first."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    expected = [("uint8", (len(names), *(image_size or (None, None)), None))]

    def mapped(channels):
        chunks = functools.partial(_chunks, folder, names, image_size, channels)
        return mapped_arrays([cache], expected, chunks)[0]

    try:
        return mapped(1)
    except _ColourAmongGrey:
        return mapped(3)


def _chunks(folder, names, image_size, channels):
    """Tuples of one array, some images, which have 1 or 3 channels."""
    images = read_images(folder, names, image_size)
    for image in images:
        others = itertools.islice(images, chunk_length(image.nbytes) - 1)
        yield (_stack([image, *others], channels),)


def _stack(images, channels):
    """Array of images, grey ones with as many channels as the others."""
    if max(image.shape[-1] for image in images) > channels:
        raise _ColourAmongGrey
    shape = (*images[0].shape[:2], channels)
    return np.stack([np.broadcast_to(image, shape) for image in images])
