"""Images with known factors, in the files that their authors publish.

- 3dshapes: Burgess & Kim, 3D Shapes Dataset (2018), of Kim & Mnih, arXiv:1802.05983: `3dshapes.h5`.
- cars3d: Reed, Zhang, Zhang & Lee, Deep Visual Analogy-Making (NeurIPS 2015): the folder `cars` of
  nips2015-analogy-data, a `.mat` file for each car.
- mpi3d: Gondal et al., arXiv:1906.03292: `mpi3d_toy.npz`, `mpi3d_realistic.npz`, `mpi3d_real.npz`
  and `mpi3d_real_complex.npz`.
"""

import contextlib
import dataclasses
import math
import os
import pathlib
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfgen._utils import extras
from tfgen._utils.files import as_path, chunk_length, mapped_arrays
from tfgen._utils.pipeline import row_reader
from tfgen._utils.progress import with_progress
from tfgen.datasets.examples import Examples
from tfgen.datasets.image_files import cache_name
from tfgen.datasets.images import resize, to_unit_interval
from tfgen.datasets.splits import hold_out, select

__all__ = ["FACTOR_IMAGES", "read_factor_images"]

_SHAPES_FACTORS = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
_CARS_FACTORS = ("elevation", "azimuth", "object_type")
_MPI_FACTORS = (
    "object_color",
    "object_shape",
    "object_size",
    "camera_height",
    "background_color",
    "horizontal_axis",
    "vertical_axis",
)
# Those of the first three files, and of the real-world complex images.
_MPI_SIZES = ((6, 6, 2, 3, 3, 40, 40), (4, 4, 2, 3, 3, 40, 40))
_CAR_SIZE = (64, 64)


# Share of the memory of a machine that images may take.
_MOST_OF_MEMORY = 0.5


@dataclasses.dataclass(frozen=True)
class _Images:
    """All images of a data set, uint8, shape (num_images, height, width, 3), and their factors."""

    shape: tuple[int, ...]
    # Int array, shape (num_images, num_factors), and how many values each factor has.
    factors: np.ndarray
    factor_sizes: tuple[int, ...]
    # Function that returns an iterator over the pixels, those of some images at a time.
    chunks: Callable[[], Iterator[np.ndarray]]
    # The pixels in the published file, or None where this is compressed.
    mapped: np.ndarray | None = None


def read_factor_images(
    name: str,
    split: str = "train",
    *,
    image_size: tuple[int, ...] | None = None,
    data_dir: str | os.PathLike | None = None,
    cache_dir: pathlib.Path | None = None,
) -> Examples:
    """Images of one split, and the factors that they were made from.

    A random tenth of the images, always the same, is the test split. "all" is in the order of the
    files, the others are not.

    Args:
        name: one of `FACTOR_IMAGES`.
        split: str, "train", "test", "all" or slices of these.
        image_size: (height, width) or None. The cars, of 128 x 128 pixels, become 64 x 64 without.
        data_dir: path of the folder that holds the file, or a folder `name` with the file in it;
            of cars3d, the folder with the `.mat` files, or one that holds it as `cars`.
        cache_dir: path of a folder, which is made: the pixels are kept there, 12 GB of mpi3d, and
            read from there. None reads them from the published file where they are not compressed
            in it, and else holds them in memory.

    Returns:
        `Examples` whose rows are positions of images, and whose int32 labels are the factors.

    Raises:
        ValueError: if there is no `data_dir`, the files are damaged or hold other data, or the
            images do not fit in memory.
        FileNotFoundError: if the files are not there.

    Example:
        >>> read_factor_images("3dshapes", data_dir="data/3dshapes")  # doctest: +SKIP
    """
    kind = _KINDS[name]
    path = _find(name, kind.path, data_dir)
    images = kind.open(path, image_size)
    read = row_reader(_pixels(path, images, cache_dir))
    size = image_size or images.shape[1:3]
    chosen = select(hold_out(len(images.factors)), split)

    def to_images(rows):
        return to_unit_interval(resize(read(rows), size))

    return Examples(
        name,
        chosen,
        (*size, images.shape[3]),
        images.factors[chosen].astype("int32"),
        to_images=to_images,
        factor_names=kind.factor_names,
        factor_sizes=images.factor_sizes,
    )


def _find(name, file, data_dir):
    """Path of the file, or of the folder of cars."""
    if data_dir is None:
        raise ValueError(
            f"{name!r} is read from {file!r} as its authors publish it. Received: data_dir=None. "
            f"Pass data_dir, the path of the folder that holds {file!r}."
        )
    folder = as_path(data_dir=data_dir)
    places = [folder / file, folder / name / file, folder / "data" / file]
    for path in [folder, *places] if folder.name == file else places:
        if path.exists():
            return path
    raise FileNotFoundError(
        f"{name!r} is read from {file!r} as its authors publish it. Received: "
        f"data_dir={str(folder)!r}, where none of {[str(path) for path in places]} is. "
        "Download it, which load does not, and pass the folder that holds it."
    )


def _pixels(path, images, cache_dir):
    """Array of all images, on disk if there is a place."""
    if cache_dir is not None:
        cache_dir.mkdir(parents=True, exist_ok=True)
        files = _cars(path) if path.is_dir() else [path]
        names = [str(file.relative_to(path.parent)) for file in files]
        cache = cache_dir / cache_name(path.parent, names, images.shape)
        expected = [("uint8", images.shape)]
        return mapped_arrays([cache], expected, lambda: zip(images.chunks(), strict=True))[0]
    if images.mapped is not None:
        return images.mapped
    _check_fits(path, math.prod(images.shape))
    rows = np.empty(images.shape, "uint8")
    first = 0
    for chunk in images.chunks():
        rows[first : first + len(chunk)] = chunk
        first += len(chunk)
    return rows


def _check_fits(path, num_bytes):
    """Raises ValueError if images take too much of the memory that the machine has."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows.
        return
    if num_bytes > _MOST_OF_MEMORY * memory:
        raise ValueError(
            f"The images take too much memory. Received: {str(path)!r}, which is compressed and "
            f"unpacks to {num_bytes / 1e9:.1f} GB, on a machine with {memory / 1e9:.1f} GB. "
            "Pass cache_dir, the path of a folder on a disk with so much space."
        )


def _open_shapes(path, _):
    """The images of an HDF5 file, whose labels are values of factors."""
    import h5py

    with _named(path):
        file = h5py.File(path, "r")
        images, labels = file["images"], file["labels"][:]
        _check(images.ndim == 4 and images.size, "images", images)
        as_many = labels.shape == (len(images), len(_SHAPES_FACTORS))
        _check(as_many and np.isfinite(labels).all(), "labels", labels, np.float64)
        values, factors = zip(
            *(np.unique(column, return_inverse=True) for column in labels.T), strict=True
        )
        sizes = tuple(map(len, values))
        if math.prod(sizes) != len(images):
            raise ValueError(f"{len(images)} images, where factors of {sizes} values make others")
        offset = images.id.get_offset()
        mapped = None if offset is None else np.memmap(path, "uint8", "r", offset, images.shape)

    def chunks():
        rows = (images.chunks or (1,))[0]  # Unpacked at once.
        rows *= max(1, chunk_length(math.prod(images.shape[1:])) // rows)
        starts = range(0, len(images), rows)
        with _named(path):
            for start in with_progress(starts, len(starts)):
                yield images[start : start + rows]

    return _Images(images.shape, np.stack(factors, axis=-1), sizes, chunks, mapped)


def _open_mpi(path, _):
    """The images of a `.npz` file, which are in the order of their factors."""
    with _named(path):
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo("images.npy")
            with archive.open(member) as file:
                shape, dtype = _array_header(file)
                header = file.tell()
        size = math.prod(shape)
        is_of_images = dtype == np.uint8 and len(shape) == 4 and size
        if not is_of_images or member.file_size != header + size:
            raise ValueError(f"images of dtype {dtype}, shape {shape}, {member.file_size} bytes")
        sizes = _sizes_of(shape[0])
        mapped = None
        if member.compress_type == zipfile.ZIP_STORED:
            offset = _offset(path, member) + header
            mapped = np.memmap(path, "uint8", "r", offset, shape)

    def chunks():
        rows = chunk_length(size // shape[0])
        starts = range(0, shape[0], rows)
        with _named(path), zipfile.ZipFile(path) as archive, archive.open(member) as file:
            file.read(header)
            for _ in with_progress(starts, len(starts)):
                read = file.read(rows * (size // shape[0]))
                yield np.frombuffer(read, "uint8").reshape(-1, *shape[1:])

    factors = np.stack(np.unravel_index(np.arange(shape[0]), sizes), axis=-1)
    return _Images(shape, factors, sizes, chunks, mapped)


def _sizes_of(num_images):
    """How many values each factor of mpi3d has."""
    for sizes in _MPI_SIZES:
        if math.prod(sizes) == num_images:
            return sizes
    raise ValueError(f"{num_images} images, where {list(map(math.prod, _MPI_SIZES))} are known")


def _array_header(file):
    """(shape, dtype) of an array in NumPy's format, whose header is read."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, is_fortran, dtype = read(file)
    if is_fortran:
        raise ValueError("an array column by column")
    return shape, dtype


def _offset(path, member):
    """Where the bytes of a member of a zip archive begin: after its name and extra fields."""
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        header = file.read(30)
    return member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))


def _open_cars(path, image_size):
    """The images of a folder of MATLAB files, one for each car."""
    extras.require("PIL", extra="data")
    files = _cars(path)
    size = tuple(image_size or _CAR_SIZE)
    elevations, azimuths = _views(files[0]).shape[:2]
    shape = (len(files) * elevations * azimuths, *size, 3)

    def chunks():
        for file in with_progress(files, len(files)):
            views = _views(file)
            if views.shape[:2] != (elevations, azimuths):
                raise ValueError(
                    f"Cars are seen from different sides. Received: {str(file)!r} with elevations "
                    f"and azimuths {views.shape[:2]}, others with {(elevations, azimuths)}. "
                    "Unpack the archive again."
                )
            yield np.stack([_shrunk(image, size) for image in views.reshape(-1, *views.shape[2:])])

    car, elevation, azimuth = np.unravel_index(
        np.arange(shape[0]), (len(files), elevations, azimuths)
    )
    factors = np.stack([elevation, azimuth, car], axis=-1)
    return _Images(shape, factors, (elevations, azimuths, len(files)), chunks)


def _cars(folder):
    """Paths of the files of all cars."""
    files = sorted(file for file in folder.glob("*.mat") if not file.name.startswith("."))
    if not files:
        raise ValueError(
            f"The folder has no cars. Received: {str(folder)!r}. Expected its files that end in "
            "'.mat'."
        )
    return files


def _views(path):
    """Images of one car, uint8, shape (num_elevations, num_azimuths, height, width, 3)."""
    import scipy.io

    with _named(path):
        images = scipy.io.loadmat(path, variable_names=["im"])["im"]
        _check(images.ndim == 5 and images.size, "im", images)
    return images.transpose(4, 3, 0, 1, 2)


def _shrunk(image, size):
    """An image of another size, by the filter that disentanglement_lib uses."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS))


def _check(has_shape, name, array, dtype=np.uint8):
    if not has_shape or array.dtype != dtype:
        raise ValueError(f"{name} of dtype {array.dtype}, shape {array.shape}")


@contextlib.contextmanager
def _named(path):
    """Lets errors name the file that they are of."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # Any that garbage in a file leads to.
        size = os.path.getsize(path)
        raise ValueError(
            f"{path} is damaged, or another file than its authors publish. Received: {size} bytes "
            f"({type(error).__name__}: {error}). Download it again."
        ) from error


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What a data set is read from, relative to its folder, and how."""

    path: str
    factor_names: tuple[str, ...]
    open: Callable[[pathlib.Path, Sequence[int] | None], _Images]


_KINDS = {
    "3dshapes": _Kind("3dshapes.h5", _SHAPES_FACTORS, _open_shapes),
    "cars3d": _Kind("cars", _CARS_FACTORS, _open_cars),
    **{
        name: _Kind(f"{name}.npz", _MPI_FACTORS, _open_mpi)
        for name in ("mpi3d_toy", "mpi3d_realistic", "mpi3d_real", "mpi3d_real_complex")
    },
}
# The published file of each, or the folder.
FACTOR_IMAGES = {name: kind.path for name, kind in _KINDS.items()}
