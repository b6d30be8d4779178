"""Files that are whole or not there, whatever happens to the process that writes them."""

import contextlib
import os
import pathlib
import re
import shutil
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:  # Windows, where two holders of a file are not noticed.
    fcntl = None  # type: ignore[assignment]

__all__ = ["as_path", "cached_arrays", "chunk_length", "locked", "mapped_arrays", "written_aside"]

_NAME_ASIDE = re.compile(r"\.writing\.[0-9a-f]{32}\..*", re.DOTALL)
# Characters of a file's name that the name aside keeps: it has its ending, by which Keras and NumPy
# tell formats, and is not longer than file systems allow.
_KEPT_CHARACTERS = 50
# A writer that has not touched its file for so long was killed.
_ABANDONED_SECONDS = 3600
# Bytes of arrays that are written at a time.
_CHUNK = 2**22


def as_path(**values: Any) -> pathlib.Path:
    """The one value, a str or path, as a `pathlib.Path`.

    Raises:
        ValueError: if it is another thing, or empty, which would stand for the current folder.

    Example:
        >>> as_path(output_dir="runs/vae").name
        'vae'
    """
    ((name, value),) = values.items()
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError(
            f"{name} must be a path, a str or pathlib.Path that is not empty. Received: "
            f"{name}={value!r}. Use '.' for the current folder."
        )
    return pathlib.Path(value)


@contextlib.contextmanager
def written_aside(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a path beside `path` to write to; renames it to `path` when all went well.

    Readers, and a kill at any moment, see the old file or the new one. Of several writers, in one
    process or in many, the last one wins whole. Links are followed, a file that is replaced keeps
    its mode, and what a killed writer left behind is removed by one that comes an hour later.

    Args:
        path: path of the file; its folder exists.

    Raises:
        FileNotFoundError: if there is no such folder.
        PermissionError: if the file there is write-protected.
        ValueError: if there is a folder or device of that name.

    Errors that are raised while the file is written name `path`.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "notes.txt")
        >>> with written_aside(path) as aside:
        ...     _ = aside.write_text("done")
        >>> path.read_text(), [file.name for file in path.parent.iterdir()]
        ('done', ['notes.txt'])
    """
    target = _target(path)
    _remove_abandoned(target.parent)
    aside = target.with_name(f".writing.{uuid.uuid4().hex}.{target.name[-_KEPT_CHARACTERS:]}")
    try:
        with _named(aside, os.fspath(path)):
            yield aside
            _sync(aside)
            if target.exists():
                shutil.copymode(target, aside)
            os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: str | os.PathLike, message: str) -> Iterator[None]:
    """Holds a file that one process may have at a time; the system lets go when it dies.

    Args:
        path: path of the file, which is made; its folder exists.
        message: what the ValueError says if somebody else holds it.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "lock")
        >>> with locked(path, "taken"), locked(path, "It is taken."):
        ...     pass
        Traceback (most recent call last):
        ...
        ValueError: It is taken.
    """
    if fcntl is None:
        yield
        return
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(message) from None
        yield


def cached_arrays(
    path: str | os.PathLike, make: Callable[[], Sequence[np.ndarray]], num_arrays: int
) -> list[np.ndarray]:
    """The arrays in a `.npz` file, or those of `make()`, which are then written to it.

    Args:
        path: path of the file; its folder exists.
        make: function that returns arrays, without objects in them.
        num_arrays: int, how many they are.

    Raises:
        ValueError: if the file is damaged, by so little as a bit of an array.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "squares.npz")
        >>> cached_arrays(path, lambda: [np.arange(3) ** 2], 1)
        [array([0, 1, 4])]
        >>> cached_arrays(path, lambda: [], 1)
        [array([0, 1, 4])]
    """
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return _made_arrays(path, make)
    with file:
        try:
            return _load_arrays(file, num_arrays)
        except MemoryError:
            raise
        except Exception as error:  # Any that garbage in a zip archive or in a header leads to.
            raise ValueError(
                f"{os.fspath(path)} is damaged. Received: {os.fstat(file.fileno()).st_size} bytes "
                f"({type(error).__name__}: {error}). Delete it and call again: it will be made "
                "anew."
            ) from error


def _made_arrays(path, make):
    arrays = list(make())
    with written_aside(path) as aside:
        np.savez(aside, *arrays)
    return arrays


def _load_arrays(file, num_arrays):
    """List of arrays; any Exception if the file is damaged."""
    with zipfile.ZipFile(file) as archive:
        # A header that asks for less than there is would be read without a look at the checksum.
        if (name := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {name} differs")
        names, expected = archive.namelist(), [f"arr_{i}.npy" for i in range(num_arrays)]
    if sorted(names) != sorted(expected):
        raise ValueError(f"expected {num_arrays} arrays, found {len(names)}")
    file.seek(0)
    with np.load(file) as arrays:
        return [arrays[f"arr_{i}"] for i in range(num_arrays)]


def mapped_arrays(
    paths: Sequence[str | os.PathLike],
    expected: Sequence[tuple[Any, tuple[int | None, ...]]],
    make: Callable[[], Iterable[Sequence[np.ndarray]]],
) -> list[np.memmap]:
    """Memory maps of arrays in `.npy` files, which are first written if they are not there.

    The files appear together, whatever happens to the process that writes them: the first one
    comes last. Neither all of an array nor all of a file is in memory at any time.

    Args:
        paths: paths of the files, one for each array; their folder exists.
        expected: dtype and shape of each array, with None for sizes that are not known before.
        make: function that returns an iterable over tuples of arrays, of which the files hold all
            rows one after the other; at least one tuple.

    Returns:
        Read-only maps, one for each path.

    Raises:
        ValueError: if a file is cut short, no array, or not what is expected.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "squares.npy")
        >>> chunks = [(np.arange(3) ** 2,), (np.arange(3, 5) ** 2,)]
        >>> mapped_arrays([path], [("int64", (None,))], lambda: chunks)[0].tolist()
        [0, 1, 4, 9, 16]
        >>> mapped_arrays([path], [("int64", (5,))], lambda: [])[0].tolist()
        [0, 1, 4, 9, 16]
    """
    if not os.path.isfile(paths[0]):
        _write_rows(paths, make)
    arrays = [_map(path, paths) for path in paths]
    for path, array, (dtype, shape) in zip(paths, arrays, expected, strict=True):
        as_long = len(array) == len(arrays[0])
        if array.dtype != dtype or not _fits(array.shape, shape) or not as_long:
            raise ValueError(
                f"{os.fspath(path)} holds other data. Received: dtype {array.dtype}, shape "
                f"{array.shape}. Expected: dtype {np.dtype(dtype)}, shape {shape}, and as many "
                f"rows in every file. Delete {_names(paths)} and call again, or choose another "
                "path."
            )
    return arrays


def _fits(shape, expected):
    """Whether a shape is one of which some sizes may be unknown."""
    sizes = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(size in (None, got) for got, size in sizes)


def chunk_length(row_bytes: int) -> int:
    """Rows of so many bytes that are written at a time.

    Example:
        >>> chunk_length(2**20)
        4
    """
    return max(1, _CHUNK // max(1, row_bytes))


def _names(paths):
    return ", ".join(map(os.fspath, paths))


def _write_rows(paths, make):
    """Writes the rows of all chunks to files that are renamed together, the first one last."""
    with contextlib.ExitStack() as stack:
        asides = [stack.enter_context(written_aside(path)) for path in paths]
        files = [stack.enter_context(open(aside, "wb")) for aside in asides]
        length, parts = 0, ()
        for parts in make():
            for file, part in zip(files, parts, strict=True):
                if not length:
                    _write_header(file, part, length)
                file.write(np.ascontiguousarray(part).data)
            length += len(parts[0])
        if not length:
            raise ValueError(f"There are no examples. Received: nothing to write to {paths[0]}.")
        for file, part in zip(files, parts, strict=True):
            _write_header(file, part, length)


def _write_header(file, rows, length):
    """Writes a header, of the same size for any number of rows, at the begin of a file."""
    file.seek(0)
    described = np.lib.format.dtype_to_descr(rows.dtype)
    header = {"descr": described, "fortran_order": False, "shape": (length, *rows.shape[1:])}
    np.lib.format.write_array_header_1_0(file, header)


def _map(path, paths):
    """The array in one of some files, whose size is checked."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
        size = array.offset + array.nbytes
        if size != os.path.getsize(path) or not array.flags.c_contiguous:
            raise ValueError(f"expected {size} bytes, row by row")
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # Any that garbage in a header leads to.
        received = f"{os.path.getsize(path)} bytes" if os.path.exists(path) else "no file"
        raise ValueError(
            f"{os.fspath(path)} is damaged. Received: {received} ({type(error).__name__}: "
            f"{error}). Delete {_names(paths)} and call again: all will be made anew."
        ) from error
    return array


def _target(path):
    """The file that `path` stands for, which may be written."""
    target = pathlib.Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"Expected the path of a file in a folder that exists. Received: {os.fspath(path)!r}. "
            f"Make {str(target.parent)!r} first."
        )
    if target.exists() and not target.is_file():
        raise ValueError(
            f"Expected the path of a file to write. Received: {os.fspath(path)!r}, which is a "
            "folder or a device. Add the name of a file."
        )
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(
            f"Expected a file that may be written. Received: {os.fspath(path)!r}, which is "
            "write-protected. Choose another path, or change its mode."
        )
    return target


@contextlib.contextmanager
def _named(aside, path):
    """Lets errors name the path that the user gave where they name the one aside."""

    def named(value: Any) -> Any:
        text = str(value) if isinstance(value, str | pathlib.Path) else ""
        if aside.name not in text:
            return value
        return text.replace(str(aside), path).replace(aside.name, path)

    try:
        yield
    except Exception as error:
        error.args = tuple(named(value) for value in error.args)
        if isinstance(error, OSError) and error.errno:
            error.strerror = named(error.strerror)
            if path not in error.strerror:  # "No space left on device", without saying on which.
                error.filename = named(error.filename) or path
        raise


def _sync(path):
    """Waits until a file is on disk: renamed before, it could be empty after a loss of power."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _remove_abandoned(folder):
    for path in folder.glob(".writing.*"):
        with contextlib.suppress(OSError):  # Another process may have been faster.
            age = time.time() - path.stat().st_mtime
            if _NAME_ASIDE.fullmatch(path.name) and age > _ABANDONED_SECONDS:
                path.unlink()
