"""`EpochLines`: one line for each epoch of training, with the time that is left."""

import sys
import time
from typing import Any

import keras

__all__ = ["EpochLines"]

_REDRAW_SECONDS = 0.1
_BAR_LENGTH = 20
_ERASE_LINE = "\r\033[K"


class EpochLines(keras.callbacks.Callback):
    """Prints a line for each epoch: losses, seconds it took, time left until the last one.

    On a terminal there is also a bar for the epoch that runs. The first epoch compiles, which those
    to come do not: the time left is that of its later steps, and then the mean of the later
    epochs. After a kill,
    `keras.callbacks.BackupAndRestore` goes on where training stopped, and the first line says at
    which epoch. Pass `verbose=0` to `fit`, which else prints lines of its own.

    Example:
        >>> import numpy as np
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> model.compile()
        >>> x = np.zeros((8, *shape))
        >>> _ = model.fit(x, verbose=0, callbacks=[EpochLines()])  # doctest: +ELLIPSIS
        epoch 1/1  loss ..., ... s
    """

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._first: int | None = None
        self._first_step: tuple[int, float] | None = None  # How many there were, and when.
        self._first_end, self._compiling, self._steps = 0.0, 0.0, 0
        self._per_epoch: float | None = None  # None until something is known of it.

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._epoch_begin, self._drawn = epoch, time.monotonic(), 0.0
        if self._first is None:
            self._first = epoch
            if epoch:
                print(f"Goes on at epoch {epoch + 1} of {self.params['epochs']}.", flush=True)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now, num_batches = time.monotonic(), self.params["steps"]
        if self._epoch == self._first:
            self._first_step = self._first_step or (batch + 1, now)
            self._per_epoch = self._scaled(now, batch + 1)
            self._steps = batch + 1
        if num_batches and sys.stdout.isatty() and now - self._drawn > _REDRAW_SECONDS:
            self._drawn = now
            part = min(1.0, (batch + 1) / num_batches)
            bar = "█" * round(part * _BAR_LENGTH)
            head = f"{self._head()}  {bar:·<{_BAR_LENGTH}}"
            print(f"{_ERASE_LINE}{head} {self._left(self._epoch + part)}", end="", flush=True)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._test_begin, self._tested = time.monotonic(), False

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._epoch == self._first and not self._tested:
            self._compiling, self._tested = time.monotonic() - self._test_begin, True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._see_epoch(time.monotonic(), epoch)
        losses = [f"{k} {v:.4g}" for k, v in (logs or {}).items() if k.endswith("loss")]
        seconds = f"{time.monotonic() - self._epoch_begin:.1f} s"
        erase = _ERASE_LINE if sys.stdout.isatty() else ""
        line = ", ".join(part for part in [*losses, seconds, self._left(epoch + 1)] if part)
        print(f"{erase}{self._head()}  {line}", flush=True)

    def _head(self):
        total = str(self.params["epochs"])
        return f"epoch {self._epoch + 1:>{len(total)}}/{total}"

    def _see_epoch(self, now, epoch):
        """Takes the time of an epoch that has ended; a validation compiles too at its first."""
        if epoch == self._first:
            self._first_end = now
            self._per_epoch = self._scaled(now - self._compiling, self._steps)
        else:
            self._per_epoch = (now - self._first_end) / (epoch - self._first)

    def _scaled(self, now, steps):
        """Seconds of an epoch by its steps so far, of which the first one, or few, compiled."""
        compiled, then = self._first_step or (steps, now)
        later = steps - compiled
        return (now - then) / later * (self.params["steps"] or steps) if later > 0 else None

    def _left(self, done):
        """Time left after so many epochs."""
        rest = self.params["epochs"] - done
        if rest <= 0 or self._per_epoch is None:
            return ""
        return f"{_duration(self._per_epoch * rest)} left"


def _duration(seconds):
    """Seconds in the unit that suits them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
