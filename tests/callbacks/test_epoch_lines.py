"""`EpochLines` prints one line an epoch, with the time left, and a bar on a terminal."""

import types

import pytest

from tfgen import callbacks
from tfgen.callbacks import epoch_lines

LOGS = {"loss": 1.25, "kl": 3.0, "val_loss": 1.5}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(epoch_lines.time, "monotonic", lambda: clock.now)
    return clock


def begun(epochs, first=0):
    lines = callbacks.EpochLines()
    lines.set_params({"epochs": epochs, "steps": 4})
    lines.on_train_begin()
    lines.on_epoch_begin(first)
    return lines


def test_a_line_has_losses_and_times(clock, capsys):
    lines = begun(epochs=10)
    clock.now = 2.0
    lines.on_epoch_end(0, LOGS)
    assert capsys.readouterr().out == "epoch  1/10  loss 1.25, val_loss 1.5, 2.0 s, 18 s left\n"


@pytest.mark.parametrize(
    ("seconds", "left"), [(60.0, "2 min left"), (7200.0, "4 h 0 min left"), (29.0, "58 s left")]
)
def test_time_left(clock, capsys, seconds, left):
    lines = begun(epochs=3)
    clock.now = seconds
    lines.on_epoch_end(0, {})
    assert capsys.readouterr().out.endswith(f"{left}\n")


def test_going_on_is_said_and_epochs_before_take_no_time(clock, capsys):
    lines = begun(epochs=10, first=7)
    clock.now = 5.0
    lines.on_epoch_end(7, LOGS)
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "Goes on at epoch 8 of 10.",
        "epoch  8/10  loss 1.25, val_loss 1.5, 5.0 s, 10 s left",
    ]


def test_last_epoch_leaves_no_time(clock, capsys):
    begun(epochs=1).on_epoch_end(0, LOGS)
    assert capsys.readouterr().out == "epoch 1/1  loss 1.25, val_loss 1.5, 0.0 s\n"


def test_a_terminal_has_a_bar_that_the_line_replaces(clock, capsys, monkeypatch):
    monkeypatch.setattr(epoch_lines.sys.stdout, "isatty", lambda: True, raising=False)
    lines = begun(epochs=2)
    clock.now = 1.0
    lines.on_train_batch_end(1)
    lines.on_train_batch_end(2)  # Too soon after the one before to be drawn.
    half = "█" * 10 + "·" * 10
    assert capsys.readouterr().out == f"\r\033[Kepoch 1/2  {half} 3 s left"
    lines.on_epoch_end(0, LOGS)
    assert capsys.readouterr().out.startswith("\r\033[Kepoch 1/2  loss 1.25")


def test_elsewhere_there_is_no_bar(clock, capsys):
    begun(epochs=2).on_train_batch_end(1)
    assert not capsys.readouterr().out
