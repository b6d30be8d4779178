"""The position at which a resumed run goes on, and what a backup holds besides weights."""

import contextlib
import csv
import itertools
import json
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np

from tfgen._utils import keras_private
from tfgen._utils.files import locked, written_aside
from tfgen.callbacks import SampleEvaluation
from tfgen.models import workers

__all__ = ["Progress", "ResumePosition"]

_DECISIONS = {**keras_private.DECISIONS, SampleEvaluation: SampleEvaluation.decisions}


class Progress(NamedTuple):
    """Where a model's training stands.

    Attributes:
        epoch: int, epochs that the model has begun, less the one that it is in.
        first_step: int, `steps` of the model when that epoch began.
        num_batches: int, batches in that epoch, 0 if it was not known.
    """

    epoch: int = 0
    first_step: int = 0
    num_batches: int = 0


class _CountEpochs(keras.callbacks.Callback):
    """Counts an epoch of the model as done, before any other callback saves the model.

    Attributes:
        averages: dict, logs of an epoch of which only the end was left to do.
    """

    averages: Mapping[str, Any] = MappingProxyType({})
    num_batches = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.num_batches = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.num_batches += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not (self.num_batches or self.averages):  # Its averages would be 0.
            raise ValueError(
                f"There was no batch to train on. Received: data that have come to an end in epoch "
                f"{epoch + 1}. Give data that begin anew in each epoch, or enough of them for "
                "steps_per_epoch."
            )
        for name, value in self.averages.items():
            logs.setdefault(name, value)  # type: ignore[union-attr]
        self.averages = {}
        progress = self.model.progress
        self.model.progress = Progress(progress.epoch + 1, _steps(self.model), progress.num_batches)


class _Restores(keras.callbacks.Callback):
    """The half of a `BackupAndRestore` that has its place among the other callbacks."""

    def __init__(self, backup, identity):
        super().__init__()
        self.backup, self.identity = backup, identity

    def set_params(self, params):
        self.backup.set_params(params)

    def set_model(self, model):
        super().set_model(model)
        self.backup.set_model(model)

    def on_train_begin(self, logs=None):
        folder = pathlib.Path(self.backup.backup_dir)
        _check_identity(folder, self.identity)
        if workers.is_chief(self.model):
            _note_identity(folder, self.identity)
        with workers.chief_first(self.model):
            self.backup.on_train_begin(logs)


class _Saves(keras.callbacks.Callback):
    """The other half, which saves after all callbacks have decided, and what they decided."""

    def __init__(self, backup, callbacks):
        super().__init__()
        self.backup, self.callbacks = backup, callbacks

    def _saving(self, hook, *args):
        """Calls what may save; only then is the state gathered."""
        self.model.gather_fit_state = self._fit_state
        try:
            with workers.saving_apart(self.model, self.backup):
                hook(*args)
        finally:
            self.model.gather_fit_state = dict

    def _fit_state(self):
        averages = {f"average.{i}": v for i, v in enumerate(_averages(self.model))}
        return {**_decisions(self.callbacks), **averages}

    def on_epoch_begin(self, epoch, logs=None):
        self.backup.on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch, logs=None):
        self._saving(self.backup.on_train_batch_end, batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._saving(self.backup.on_epoch_end, epoch, logs)

    def on_train_end(self, logs=None):
        with workers.saving_apart(self.model, self.backup):
            self.backup.on_train_end(logs)
        workers.wait_for_all(self.model)  # Another fit must not find what is being deleted.


class ResumePosition(keras.callbacks.Callback):
    """Begins training where the restored weights left it: at the epoch and the batch inside it.

    The position is the model's own `progress`, which is saved with the weights, because the notes
    of `keras.callbacks.BackupAndRestore` name no batch and may be older than its weights. Data with
    a `seek(epoch, step)` (`tfgen.datasets.load`) are moved there. Their epoch is counted by the
    model, over all calls of `fit`, so that another call sees another order and other noise. An
    interrupted epoch is averaged, ended and decided on as if it had not been interrupted.

    Args:
        seek: function (epoch, step) that moves the training data there, or None.
        callbacks: the callbacks of `fit`.
        initial_epoch: int, epoch at which `fit` would begin.
        num_batches: int or None, batches in one epoch.
        keeps_iterator: bool, whether Keras goes on in the same iteration in the next epoch.
    """

    def __init__(
        self,
        seek: Callable[[int, int], None] | None,
        callbacks: list[keras.callbacks.Callback],
        initial_epoch: int,
        num_batches: int | None,
        keeps_iterator: bool = False,
    ) -> None:
        super().__init__()
        self.seek, self.callbacks, self.counter = seek, callbacks, _CountEpochs()
        self.seekable = seek is not None and not keeps_iterator
        self.initial_epoch, self.num_batches = initial_epoch, num_batches
        for callback in callbacks:
            keras_private.forget_unreadable_notes(callback)

    def among(
        self, own: list, last: list, identity: dict[str, str]
    ) -> list[keras.callbacks.Callback]:
        """All callbacks in their order. A `BackupAndRestore` restores in its place, and saves last.

        Args:
            own: callbacks of the model that come first.
            last: callbacks of the model that come after those of `fit`.
            identity: what a backup is of; one of something else is refused.
        """
        backups = [c for c in self.callbacks if isinstance(c, keras.callbacks.BackupAndRestore)]
        placed = [_Restores(c, identity) if c in backups else c for c in self.callbacks]
        saves = [_Saves(backup, self.callbacks) for backup in backups]
        return [*own, self.counter, *placed, *last, *saves, self]

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._before = (_steps(model), model.progress)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        first_epoch = max(self._before[1].epoch, self.initial_epoch)
        self.averages = _numbered(self.model.fit_state, "average")
        self._check_agreement()
        if (_steps(self.model), self.model.progress) == self._before:
            self._begin(first_epoch, first_epoch, 0)
            return
        epoch, batch = self._position()
        self._begin(first_epoch, epoch, batch)
        _restore_decisions(self.callbacks, self.model.fit_state)
        self.model.fit_state = {}
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.CSVLogger) and callback.append:
                _drop_rows(callback.filename, callback.sep, self.first[0])

    def _check_agreement(self):
        epoch, first_step, _ = self.model.progress
        place = dict(step=_steps(self.model), epoch=epoch, first_step=first_step)
        workers.check_agreement(self.model, batches_of_an_epoch=self.num_batches or 0, **place)

    def _begin(self, first_epoch, epoch, batch):
        """Goes on at `epoch` of the model's count, `first_epoch` at the beginning of `fit`."""
        self.offset = first_epoch - self.initial_epoch
        self.first = (epoch - self.offset, batch)
        keras_private.begin_at_epoch(self.model, self.first[0])
        if not batch:
            self._count_from_here(epoch)
        else:
            keras_private.ignore_short_epochs()
        if self.seek is not None:
            self.seek(epoch, batch)

    def _position(self):
        """(epoch, batch) of the model's restored progress."""
        if not self.model.progress.num_batches and self.num_batches:
            self._count_as_0_1_0()
        progress, batch = self.model.progress, _steps(self.model) - self.model.progress.first_step
        known = self.num_batches or progress.num_batches
        if known != progress.num_batches:
            _warn_of_other_data(progress, self.num_batches)
        elif self.seekable:
            return progress.epoch, batch
        else:
            _warn_of_order()
        whole = progress.num_batches and batch >= progress.num_batches
        return progress.epoch + int(whole), 0

    def _count_as_0_1_0(self):
        """Progress from the steps alone, which is all that files of version 0.1.0 tell."""
        progress, num_batches = self.model.progress, int(self.num_batches or 0)
        epochs = (_steps(self.model) - progress.first_step) // num_batches
        first_step = progress.first_step + epochs * num_batches
        self.model.progress = Progress(progress.epoch + epochs, first_step, num_batches)

    def _count_from_here(self, epoch):
        self.model.progress = Progress(epoch, _steps(self.model), self.num_batches or 0)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        batch = self.first[1] if epoch == self.first[0] else 0
        if batch:
            for variable, value in zip(_average_variables(self.model), self.averages, strict=False):
                variable.assign(value)
            if self.num_batches and batch >= self.num_batches:
                logs_of_epoch = self.model.training_logs()
                self.counter.averages = {k: float(v) for k, v in logs_of_epoch.items()}
        else:
            self._count_from_here(epoch + self.offset)
        if self.seek is not None and self.seekable:
            self.seek(epoch + self.offset, batch)

    @contextlib.contextmanager
    def active(self, model: keras.Model) -> Iterator[None]:
        """Keeps the position, the filter of warnings and the locks from outliving `fit`."""
        backups = [c for c in self.callbacks if isinstance(c, keras.callbacks.BackupAndRestore)]
        with warnings.catch_warnings(), contextlib.ExitStack() as locks:
            for backup in backups if workers.is_chief(model) else ():
                locks.enter_context(_locked(backup.backup_dir))
            try:
                yield
            finally:
                keras_private.begin_at_epoch(model, None)


def _steps(model):
    return int(keras.ops.convert_to_numpy(model.steps))


def _average_variables(model):
    return [variable for metric in model.metrics for variable in metric.variables]


def _averages(model):
    return [keras.ops.convert_to_numpy(variable) for variable in _average_variables(model)]


def _warn_of_order():
    warnings.warn(
        "Training resumes, but these data cannot be moved to where it stopped: their order may "
        "differ, and an interrupted epoch begins anew. For an exact continuation pass an array "
        "or what tfgen.datasets.load returns, without steps_per_epoch.",
        stacklevel=2,
    )


def _warn_of_other_data(progress, num_batches):
    warnings.warn(
        "Training resumes on other data, or with another batch size: it was interrupted in epoch "
        f"{progress.epoch + 1}, of {progress.num_batches} batches. Received: an epoch of "
        f"{num_batches} batches. It goes on with whole epochs. Give the same data and batch_size "
        "for an exact continuation.",
        stacklevel=2,
    )


# Callbacks that decide.


def _deciding(callbacks):
    """Triples of a key, a callback and the name of an attribute that decides in it."""
    for kind, names in _DECISIONS.items():
        of_this_kind = [c for c in callbacks if isinstance(c, kind)]
        for (i, callback), name in itertools.product(enumerate(of_this_kind), names):
            yield f"{kind.__name__}.{i}.{name}", callback, name


def _decisions(callbacks):
    """What decides in the callbacks, as arrays; lists have a number after their keys."""
    values = {key: getattr(callback, name, None) for key, callback, name in _deciding(callbacks)}
    lists = {key: value for key, value in values.items() if isinstance(value, list)}
    parts = {f"{key}.{i}": part for key, value in lists.items() for i, part in enumerate(value)}
    scalars = {k: v for k, v in values.items() if v is not None and k not in lists}
    return {key: np.asarray(value) for key, value in {**scalars, **parts}.items()}


def _restore_decisions(callbacks, arrays):
    for key, callback, name in _deciding(callbacks):
        parts = _numbered(arrays, key)
        if parts:
            setattr(callback, name, parts)
        elif key in arrays:
            setattr(callback, name, arrays[key].item())


def _numbered(arrays, key):
    """The list whose parts `arrays` has as "key.0", "key.1" and so on."""
    return [arrays[f"{key}.{i}"] for i in range(len(arrays)) if f"{key}.{i}" in arrays]


def _drop_rows(path, separator, first_epoch):
    """Cuts the rows of epochs from `first_epoch` on, which come again, off a CSV file."""
    if not os.path.exists(path):
        return
    with open(path, newline="") as file:
        rows = list(csv.reader(file, delimiter=separator))
    kept = [row for row in rows if not (row and row[0].isdigit() and int(row[0]) >= first_epoch)]
    if len(kept) < len(rows):
        with open(path, "r+", newline="") as file:  # The callback has it open, to append.
            csv.writer(file, delimiter=separator).writerows(kept)
            file.truncate()


# What a backup is of.


def _locked(folder):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    return locked(
        pathlib.Path(folder, "lock"),
        f"A backup folder belongs to one run at a time. Received: {os.fspath(folder)}, which "
        "another fit is using, here or in another process. Give each run a folder.",
    )


def _check_identity(folder, identity):
    """Raises ValueError if a backup is of another model."""
    path = folder / "model.json"
    saved = json.loads(path.read_text()) if path.exists() else {}
    has_weights = any(folder.glob("*.weights.h5"))
    other = {
        name: f"{saved[name]!r} there, {identity.get(name)!r} here"
        for name in saved
        if has_weights and saved[name] != identity.get(name)
    }
    if other:
        raise ValueError(
            f"The backup in {folder} is of another model. Received: "
            + "; ".join(f"{name} {values}" for name, values in other.items())
            + ". Build and compile the model as it was, or give this run a folder of its own."
        )


def _note_identity(folder, identity):
    with written_aside(folder / "model.json") as aside:
        aside.write_text(json.dumps(identity))
