"""Writing aside: readers see the old file or the new one. Caches: damaged ones are refused."""

import errno
import os
import pathlib
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tfgen._utils.files import cached_arrays, written_aside

HOUR = 3600


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, text):
    with written_aside(path) as aside:
        aside.write_text(text)


def test_file_is_there_when_all_is_written(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["model.keras"]


def test_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "codes.npz"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), written_aside(path) as aside:
        aside.write_text("half")
        raise OSError("disk full")
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["codes.npz"]


def test_no_file_appears_when_writing_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), written_aside(tmp_path / "a.txt") as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_name_aside_keeps_its_ending_in_the_same_folder(tmp_path):
    with written_aside(str(tmp_path / "model.weights.h5")) as aside:
        aside.write_text("")
        assert aside.parent == tmp_path
        assert aside.name.startswith(".")
        assert aside.name.endswith(".model.weights.h5")


def test_the_longest_name_that_a_file_may_have(tmp_path):
    path = tmp_path / ("é" * 125 + ".npz")  # 254 of 255 bytes.
    write(path, "whole")
    assert path.read_text(encoding="utf-8") == "whole"


# Several writers.


def test_of_two_writers_the_last_one_wins(tmp_path):
    path = tmp_path / "a.txt"
    with written_aside(path) as first:
        first.write_text("first")
        with written_aside(path) as second:
            second.write_text("second")
        assert path.read_text(encoding="utf-8") == "second"
    assert path.read_text(encoding="utf-8") == "first"
    assert names(tmp_path) == ["a.txt"]


def test_threads_that_write_one_path_leave_it_whole(tmp_path):
    path, failed = tmp_path / "a.txt", []
    contents = [letter * 10_000 for letter in "abcd"]

    def rewrite(text):
        try:
            for _ in range(20):
                write(path, text)
                assert path.read_text(encoding="utf-8") in contents
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=rewrite, args=(text,)) for text in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert names(tmp_path) == ["a.txt"]


WRITER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("files", sys.argv[1])  # Without TensorFlow.
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)
for _ in range(50):
    with files.written_aside(sys.argv[2]) as aside:
        aside.write_text(sys.argv[3] * 100_000)
"""


def test_processes_that_write_one_path_leave_it_whole(tmp_path):
    path, source = tmp_path / "a.txt", sys.modules[written_aside.__module__].__file__
    commands = [[sys.executable, "-c", WRITER, source, str(path), letter] for letter in "ab"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for command in commands]
    assert [process.communicate()[1] for process in processes] == [b"", b""]
    assert path.read_text(encoding="utf-8") in ("a" * 100_000, "b" * 100_000)
    assert names(tmp_path) == ["a.txt"]


def test_what_a_killed_writer_left_goes_after_an_hour(tmp_path):
    kept = [f".writing.{'0' * 32}.young.txt", ".writing.mine.txt"]
    for name in (*kept, f".writing.{'0' * 32}.old.txt"):
        (tmp_path / name).touch()
    for name in (kept[1], f".writing.{'0' * 32}.old.txt"):
        os.utime(tmp_path / name, (time.time() - 2 * HOUR,) * 2)
    write(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == sorted([*kept, "a.txt"])


# The file that is replaced.


def test_links_stay_links(tmp_path):
    (tmp_path / "store").mkdir()
    path = tmp_path / "link.txt"
    path.symlink_to("store/file.txt")
    write(path, "new")  # The link pointed to nothing before.
    write(path, "newer")
    assert path.is_symlink()
    assert (tmp_path / "store" / "file.txt").read_text(encoding="utf-8") == "newer"
    assert names(tmp_path / "store") == ["file.txt"]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_mode_stays(tmp_path):
    path, new = tmp_path / "a.txt", tmp_path / "new.txt"
    path.touch()
    path.chmod(0o640)
    write(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    plain = tmp_path / "plain.txt"
    plain.touch()
    write(new, "new")  # One that was not there has the mode of any new file.
    assert new.stat().st_mode == plain.stat().st_mode


def test_a_write_protected_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr("os.access", lambda *_: False)  # Root may write anywhere.
    with pytest.raises(PermissionError, match=r"Received: '.*a\.txt', which is write-protected"):
        write(path, "new")
    assert path.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_replaced(tmp_path, make):
    make(tmp_path / "x.keras")
    with pytest.raises(ValueError, match=r"Received: '.*x\.keras', which is a folder or a device"):
        write(tmp_path / "x.keras", "new")


def test_data_are_on_disk_before_the_name_is(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def noted_fsync(descriptor):
        done.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def noted_replace(source, target):
        done.append(("replace", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr("os.fsync", noted_fsync)
    monkeypatch.setattr("os.replace", noted_replace)
    write(tmp_path / "a.txt", "new")
    inode = (tmp_path / "a.txt").stat().st_ino
    assert done == [("fsync", inode), ("replace", inode)]


# Errors name the path that was given.


def test_nothing_written_is_an_error(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"'[^']*/a\.txt'$"),
        written_aside(tmp_path / "a.txt"),
    ):
        pass


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: '.*none/a\.txt'\. Make '.*none' first"):
        write(tmp_path / "none" / "a.txt", "new")


@pytest.mark.parametrize(
    "make_error",
    [
        lambda aside: ValueError(f"Received: filepath={aside}"),
        lambda aside: ValueError(f"Received: {aside.name}", aside),
        lambda aside: OSError(errno.ENOSPC, "No space left on device"),
        lambda aside: OSError(errno.EIO, "Input/output error", aside),
        lambda aside: OSError(errno.EIO, f"Can't write data: filename = '{aside}'"),
    ],
)
def test_errors_name_the_path_and_not_the_one_aside(tmp_path, make_error):
    path = tmp_path / "model.keras"
    with pytest.raises((ValueError, OSError)) as caught, written_aside(path) as aside:
        raise make_error(aside)
    assert str(path) in str(caught.value)
    assert ".writing." not in str(caught.value) and "None" not in str(caught.value)


# Caches.


def test_cached_arrays_are_made_once(tmp_path):
    arrays = [np.arange(6.0).reshape(2, 3), np.array(1, "uint8")]
    first = cached_arrays(tmp_path / "a.npz", lambda: arrays, 2)
    again = cached_arrays(tmp_path / "a.npz", pytest.fail, 2)
    for a, b, c in zip(arrays, first, again, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        assert a.dtype == c.dtype


def refused(path, num_arrays=1):
    """Whether a cache is refused, with its path and the remedy; nothing is made."""
    whole = path.read_bytes()
    try:
        cached_arrays(path, pytest.fail, num_arrays)
    except ValueError as error:
        assert str(error).startswith(f"{path} is damaged. Received: {len(whole)} bytes (")
        assert str(error).endswith("Delete it and call again: it will be made anew.")
        assert path.read_bytes() == whole
        return True
    return False


def flipped(content, bit):
    content = bytearray(content)
    content[bit // 8] ^= 1 << bit % 8
    return content


def test_a_cache_with_any_bit_flipped_is_refused(tmp_path):
    """Or the bit is one that no reader looks at: a time, a version, an attribute."""
    path, array = tmp_path / "a.npz", np.arange(32, dtype="float16")
    cached_arrays(path, lambda: [array], 1)
    whole = path.read_bytes()
    start = whole.index(b"\x93NUMPY")
    for bit in range(8 * len(whole)):
        path.write_bytes(flipped(whole, bit))
        if not refused(path):
            assert not start <= bit // 8 < start + 128 + array.nbytes
            (kept,) = cached_arrays(path, pytest.fail, 1)
            assert kept.dtype == array.dtype and np.array_equal(kept, array)


def test_a_header_that_asks_for_less_is_refused(tmp_path):
    """NumPy reads 20000 of 30000 elements, and never comes to the checksum."""
    path, array = tmp_path / "a.npz", np.arange(30000, dtype="float16")
    cached_arrays(path, lambda: [array], 1)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"(30000,)", b"(20000,)"))
    assert len(np.load(path)["arr_0"]) == 20000
    assert refused(path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04", b"\x93NUMPY\x01\x00garbage"])
def test_garbage_in_a_cache_is_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert refused(path)


def test_a_cache_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    cached_arrays(path, lambda: [np.arange(4), np.ones(3)], 2)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert refused(path, num_arrays=2)


@pytest.mark.parametrize("arrays", [{}, {"arr_0": 1}, {"arr_0": 1, "arr_2": 1}, {"a": 1, "b": 2}])
def test_a_cache_without_an_entry_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    assert refused(tmp_path / "a.npz", num_arrays=2)


def test_objects_in_a_cache_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", np.array([{}], dtype=object))
    assert refused(tmp_path / "a.npz")


def test_a_deleted_cache_is_made_anew(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"garbage")
    assert refused(path)
    path.unlink()
    (array,) = cached_arrays(path, lambda: [np.ones(2)], 1)
    assert array.tolist() == np.load(path)["arr_0"].tolist() == [1, 1]


def test_lack_of_memory_is_no_damage(tmp_path, monkeypatch):
    def no_memory(file):
        raise MemoryError

    cached_arrays(tmp_path / "a.npz", lambda: [np.ones(2)], 1)
    monkeypatch.setattr(np, "load", no_memory)
    with pytest.raises(MemoryError):
        cached_arrays(tmp_path / "a.npz", pytest.fail, 1)
