"""Files that Keras has saved, read through before Keras takes half of a damaged one."""

import contextlib
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import h5py
import numpy as np

__all__ = ["add_checksum", "check_saved_file"]

_MARK = b"tfgen crc32 "
_CHUNK_SIZE = 2**20


def add_checksum(path: str | os.PathLike) -> None:
    """Appends to an HDF5 file a checksum of its bytes, for `check_saved_file`.

    HDF5 has none of its own. It reads as far as its header says, and passes over what follows.

    Args:
        path: path of the file, which has no checksum yet.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "a.weights.h5")
        >>> with h5py.File(path, "w") as file:
        ...     file["a"] = [1.0, 2.0]
        >>> add_checksum(path)
        >>> with h5py.File(path) as file:
        ...     file["a"][:].tolist()
        [1.0, 2.0]
    """
    with open(path, "r+b") as file:
        checksum = _crc32(file, os.path.getsize(path))
        file.write(_MARK + checksum)


def check_saved_file(path: str | os.PathLike) -> None:
    """Raises ValueError if a file that Keras has saved is damaged, down to one bit.

    Keras itself finds damage of `.keras` files late or, where memory is short, never, and that of
    weights when it has loaded half of them. A weights file without the checksum of `add_checksum`
    is read as a whole, which finds what is cut, not what is changed inside an array.

    Args:
        path: path of a `.keras`, `.h5` or `.weights.json` file; others are not looked at.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged; names the path.
    """
    endings = [ending for ending in _CHECKS if os.fspath(path).endswith(ending)]
    if not endings or os.path.isdir(path):
        return
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file of this name. Received: {os.fspath(path)!r}.")
    with _damage_named(path):
        _CHECKS[endings[0]](pathlib.Path(path))


@contextlib.contextmanager
def _damage_named(path: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Garbage leads to any.
        raise ValueError(
            f"{os.fspath(path)} is not complete: it is truncated, damaged or another format. "
            f"Received: {os.path.getsize(path)} bytes ({type(error).__name__}: {error}). Take "
            "another copy of it, or remove it and save or train again."
        ) from error


def _check_zip(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"Bad CRC-32 of {damaged}")
        config = json.loads(archive.read("config.json"))
        if not isinstance(config, dict) or "class_name" not in config:
            raise ValueError("config.json names no class")


def _check_h5(path: pathlib.Path) -> None:
    with path.open("rb") as file:
        end = max(0, path.stat().st_size - len(_MARK) - 4)
        file.seek(end)
        mark, checksum = file.read(len(_MARK)), file.read()
        if mark != _MARK:
            _read_h5(path)
            return
        file.seek(0)
        if _crc32(file, end) != checksum:
            raise ValueError("the checksum at its end is that of other bytes")


def _read_h5(path: pathlib.Path) -> None:
    def read(_: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            np.asarray(item)

    with h5py.File(path, "r") as file:
        file.visititems(read)


def _check_shards(path: pathlib.Path) -> None:
    """The files that a `.weights.json` of `save_weights(max_shard_size=)` names."""
    names = json.loads(path.read_text())["weight_map"].values()
    for name in {n for entry in names for n in ([entry] if isinstance(entry, str) else entry)}:
        check_saved_file(path.with_name(name))


def _crc32(file: BinaryIO, num_bytes: int) -> bytes:
    """Checksum of the next bytes of a file."""
    checksum = 0
    while num_bytes:
        chunk = file.read(min(num_bytes, _CHUNK_SIZE))
        if not chunk:
            raise EOFError(f"{num_bytes} bytes are missing")
        checksum, num_bytes = zlib.crc32(chunk, checksum), num_bytes - len(chunk)
    return checksum.to_bytes(4, "big")


_CHECKS = {".keras": _check_zip, ".h5": _check_h5, ".weights.json": _check_shards}
