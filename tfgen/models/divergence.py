"""Stops training that has diverged, before anything of it is saved."""

import os
from collections.abc import Iterable
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils import keras_private
from tfgen.models.term_averages import TermAverages

__all__ = ["StopOnDivergence"]


def _all_finite(tensors):
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])


class StopOnDivergence(keras.callbacks.Callback):
    """Raises FloatingPointError when a loss or a weight is NaN or infinite.

    `fit` of a model puts it before all other callbacks, so that those which save the model never
    see such a state: the last good one stays on disk. Losses are looked at after each call of the
    compiled loop, weights once an epoch, and with the losses if a callback saves by batches.

    Args:
        callbacks: the other callbacks of `fit`.
        averages: `TermAverages` of the model, or None if it logs no losses.
        losses: names of what is minimised, among those of `averages`.
    """

    def __init__(
        self, callbacks: Any = (), averages: TermAverages | None = None, losses: Iterable[str] = ()
    ) -> None:
        super().__init__()
        callbacks = keras.tree.flatten(callbacks or [])
        self.averages, self.losses = averages, sorted(set(losses))
        self.saves_by_batches = any(map(keras_private.saves_by_batches, callbacks))
        self.paths = [path for c in callbacks for path in keras_private.saved_paths(c)]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        bad = [name for name in self.losses if not np.isfinite((logs or {}).get(name, 0.0))]
        if bad:
            self._stop(f"{' and '.join(bad)} became NaN or infinite at step {self._step(bad)}")
        if self.saves_by_batches:
            self._check_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._check_weights()

    def _step(self, names):
        """The first step at which one of these losses was not finite, counted from 1."""
        # Steps that were finite in every replica, each of which adds its share of 1.
        averages: Any = self.averages
        finite = keras.ops.convert_to_numpy(averages.finite_steps)
        indices = [averages.names.index(name) for name in names]
        return (
            self.model.progress.first_step + np.floor(finite + 1e-3).astype(int)[indices].min() + 1
        )

    def _check_weights(self):
        if not _all_finite([v.value for v in self.model.trainable_variables]):
            self._stop(f"weights became NaN or infinite by step {int(self.model.steps.numpy())}")

    def _stop(self, what: str) -> NoReturn:
        saved = " and ".join(path for path in self.paths if os.path.exists(path))
        where = f"The last good state is in {saved}" if saved else "No callback saved a good state"
        raise FloatingPointError(
            f"Training of {type(self.model).__name__} diverged: {what} (epoch {self.epoch + 1}). "
            f"{where}. Lower the learning rate or clip gradients "
            "(keras.optimizers.Adam(clipnorm=1.0)), or look for NaN in data that come in batches, "
            "of which only the first is checked; keras.callbacks.BackupAndRestore(folder) keeps "
            "the last good state."
        )
