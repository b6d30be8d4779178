"""Writing aside: readers see the old file or the new one."""

import os

import pytest

from tfgen._utils.files import written_aside


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_is_there_when_all_is_written(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["model.keras"]


def test_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "codes.npz"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), written_aside(path) as aside:
        aside.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["codes.npz"]


def test_no_file_appears_when_writing_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), written_aside(tmp_path / "a.txt") as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_name_aside_keeps_its_ending_and_is_the_process_own(tmp_path):
    with written_aside(str(tmp_path / "model.weights.h5")) as aside:
        aside.write_text("")
        assert aside.parent == tmp_path
        assert aside.name.startswith(".")
        assert aside.name.endswith(".model.weights.h5")
        assert str(os.getpid()) in aside.name


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), written_aside(tmp_path / "a.txt"):
        pass
