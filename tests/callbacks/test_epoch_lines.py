"""`EpochLines` prints one line an epoch, with the time left, and a bar on a terminal."""

import time
import types

import numpy as np
import pytest

from tfgen import callbacks, models, networks
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


def trained(lines, clock, epoch, first_step, step):
    """An epoch of four steps, of which the first takes longer."""
    clock.now += first_step
    lines.on_train_batch_end(0)
    for batch in range(1, 4):
        clock.now += step
        lines.on_train_batch_end(batch)
    lines.on_epoch_end(epoch, LOGS)


def test_a_line_has_losses_and_times(clock, capsys):
    trained(begun(epochs=10), clock, 0, first_step=0.5, step=0.5)
    assert capsys.readouterr().out == "epoch  1/10  loss 1.25, val_loss 1.5, 2.0 s, 18 s left\n"


def test_what_compiles_is_not_expected_of_later_epochs(clock, capsys, monkeypatch):
    monkeypatch.setattr(epoch_lines, "_duration", lambda seconds: f"{seconds:.1f} s")
    lines = begun(epochs=10)
    trained(lines, clock, 0, first_step=100.0, step=0.25)
    lines.on_epoch_begin(1)
    trained(lines, clock, 1, first_step=0.5, step=0.5)
    lines.on_epoch_begin(2)
    trained(lines, clock, 2, first_step=1.0, step=1.0)
    ends = [line.split(", ")[-1] for line in capsys.readouterr().out.splitlines()]
    assert ends == ["9.0 s left", "16.0 s left", "21.0 s left"]


def test_validation_compiles_too(clock, capsys):
    lines = begun(epochs=10)
    clock.now = 50.0
    for batch in range(4):
        lines.on_train_batch_end(batch)
        clock.now += 1.0 if batch < 3 else 0.0
    lines.on_test_begin()
    clock.now += 50.0
    lines.on_test_batch_end(0)
    clock.now += 1.5
    lines.on_test_batch_end(1)
    lines.on_epoch_end(0, LOGS)
    assert capsys.readouterr().out.endswith("104.5 s, 54 s left\n")  # 9 epochs of 4.5 / 3 * 4.


def test_an_epoch_of_one_step_says_nothing_of_those_to_come(clock, capsys):
    lines = callbacks.EpochLines()
    lines.set_params({"epochs": 3, "steps": 1})
    lines.on_train_begin()
    for epoch in range(2):
        lines.on_epoch_begin(epoch)
        clock.now += 7.0
        lines.on_train_batch_end(0)
        lines.on_epoch_end(epoch, LOGS)
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("7.0 s") and second.endswith("7.0 s, 7 s left")


def test_the_time_of_the_first_line_is_about_right():
    """In a model that compiles much longer than it trains."""
    lefts = []

    class Noted(callbacks.EpochLines):
        def _left(self, done):
            lefts.append((done, self._per_epoch, time.monotonic()))
            return super()._left(done)

    model = models.VAE(networks.mlp_encoder((8, 8, 1), 2), networks.mlp_decoder((8, 8, 1), 2))
    model.compile()
    x = np.zeros((640, 8, 8, 1))
    model.fit(x, validation_data=x, epochs=10, verbose=0, callbacks=[Noted()])
    ends = [entry for entry in lefts if entry[0] == int(entry[0])]
    took = (ends[-1][2] - ends[0][2]) / 9
    assert took / 5 < ends[0][1] < took * 5


@pytest.mark.parametrize(
    ("seconds", "left"), [(60.0, "2 min left"), (7200.0, "4 h 0 min left"), (29.0, "58 s left")]
)
def test_time_left(clock, capsys, seconds, left):
    trained(begun(epochs=3), clock, 0, first_step=0.0, step=seconds / 4)
    assert capsys.readouterr().out.endswith(f"{left}\n")


def test_going_on_is_said_and_epochs_before_take_no_time(clock, capsys):
    trained(begun(epochs=10, first=7), clock, 7, first_step=1.25, step=1.25)
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
    clock.now = 90.0
    lines.on_train_batch_end(0)
    clock.now += 1.0
    lines.on_train_batch_end(1)
    lines.on_train_batch_end(2)  # Too soon after the one before to be drawn.
    quarter, half = "█" * 5 + "·" * 15, "█" * 10 + "·" * 10
    out = capsys.readouterr().out
    assert out == f"\r\033[Kepoch 1/2  {quarter} \r\033[Kepoch 1/2  {half} 6 s left"
    lines.on_epoch_end(0, LOGS)
    assert capsys.readouterr().out.startswith("\r\033[Kepoch 1/2  loss 1.25")


def test_elsewhere_there_is_no_bar(clock, capsys):
    begun(epochs=2).on_train_batch_end(1)
    assert not capsys.readouterr().out
