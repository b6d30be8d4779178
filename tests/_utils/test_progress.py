"""Progress bars, on a terminal and in a log."""

import sys

import pytest

from tfgen._utils.progress import ProgressBar, with_progress


def test_quick_work_shows_no_bar(capsys):
    assert list(with_progress(range(3), 3)) == [0, 1, 2]
    assert capsys.readouterr().out == ""


def test_long_work_shows_a_bar(capsys):
    assert list(with_progress(range(3), 3, patience=0.0)) == [0, 1, 2]
    assert "3/3" in capsys.readouterr().out


@pytest.mark.parametrize("num_steps, count", [(1000, 10), (4, 4), (None, 10)])
def test_a_log_has_a_line_for_each_tenth(num_steps, count, capsys):
    bar = ProgressBar(num_steps)
    for _ in range(num_steps or 1000):
        bar.add(1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == count and lines[-1].startswith(f"{num_steps or 512}/")


def test_a_log_says_what_is_left(capsys, monkeypatch):
    monkeypatch.setattr("time.monotonic", iter([0.0, 30.0]).__next__)
    ProgressBar(40).add(10)
    assert capsys.readouterr().out == "10/40 after 30 s, about 90 s left\n"


def test_a_terminal_sees_every_step(capsys, monkeypatch):
    monkeypatch.setattr("time.time", iter(range(10**6)).__next__)  # Keras shows 20 a second.
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    bar = ProgressBar(50)
    for _ in range(50):
        bar.add(1)
    assert capsys.readouterr().out.count("/50") == 50


def test_nothing_is_shown_if_not_asked_for(capsys):
    ProgressBar(3, verbose=False).add(3)
    assert capsys.readouterr().out == ""
