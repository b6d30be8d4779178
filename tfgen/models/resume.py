"""The position at which a resumed run goes on."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras

from tfgen._utils import keras_private

__all__ = ["ResumePosition"]


class ResumePosition(keras.callbacks.Callback):
    """Begins training where the restored weights left it: at the epoch and the batch inside it.

    The position comes from the model's own count of steps, which is saved with the weights, because
    the notes of `keras.callbacks.BackupAndRestore` name no batch and may be older than its weights.
    Data with a `seek(epoch, step)` (`tfgen.datasets.load`) are moved there.

    Args:
        seek: function (epoch, step) that moves the training data there, or None.
        callbacks: the callbacks of `fit`; `self.callbacks` are these and this one.
        initial_epoch: int, epoch at which `fit` would begin.
        num_batches: int or None, batches in one epoch.
    """

    def __init__(
        self,
        seek: Callable[[int, int], None] | None,
        callbacks: Any,
        initial_epoch: int,
        num_batches: int | None,
    ) -> None:
        super().__init__()
        self.seek = seek
        self.initial_epoch, self.num_batches = initial_epoch, num_batches
        callbacks = keras.tree.flatten(callbacks or [])
        for callback in callbacks:
            keras_private.forget_unreadable_notes(callback)
        self.callbacks = [*callbacks, self]  # Last: after the one that restores.

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._steps_before = self._steps_done()

    def _steps_done(self):
        return int(keras.ops.convert_to_numpy(self.model.steps))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        done = self._steps_done() - self._steps_before
        if done and self.seek is None:
            self._warn()
        if done and self.num_batches is None:
            return  # Keras' own note of the epoch is all there is.
        epochs, batch = divmod(done, self.num_batches) if done else (0, 0)
        self.first = (self.initial_epoch + epochs, batch)
        keras_private.begin_at_epoch(self.model, self.first[0])
        if batch:
            keras_private.ignore_short_epochs()

    def _warn(self):
        warnings.warn(
            "Training resumes, but these data cannot be moved to where it stopped: their order may "
            "differ, and an interrupted epoch begins anew. For an exact continuation pass an array "
            "or what tfgen.datasets.load returns, without steps_per_epoch.",
            stacklevel=2,
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.seek is not None:
            self.seek(epoch, self.first[1] if epoch == self.first[0] else 0)

    @contextlib.contextmanager
    def active(self, model: keras.Model) -> Iterator[None]:
        """Keeps the position and the filter of warnings from outliving `fit`."""
        with warnings.catch_warnings():
            try:
                yield
            finally:
                keras_private.begin_at_epoch(model, None)
