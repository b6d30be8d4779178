"""What `fit` does with data: checks before training begins, and the position of a resumed run."""

import contextlib
import json
import pathlib
import warnings

import keras
import numpy as np
import tensorflow as tf

from tfgen.datasets.pipeline import resumable_dataset

__all__ = ["ResumePosition", "as_dataset", "check", "num_batches", "unpack"]


def unpack(data):
    """The examples of a batch; labels are ignored."""
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError(
            "The models' losses are averages over examples and take no sample_weight. "
            "Received: a batch with sample weights. Resample the data instead."
        )
    return x


def _first_batch(x):
    """A NumPy batch to look at (all of an array), or None where looking would consume it."""
    if isinstance(x, tf.data.Dataset):
        batch = next(iter(x), None)
        return np.empty((0,)) if batch is None else np.asarray(unpack(batch))
    if isinstance(x, (np.ndarray, tf.Tensor)):
        return np.asarray(x)
    if isinstance(x, keras.utils.PyDataset):
        return np.asarray(unpack(x[0]))
    return None


def check(x, model):
    """Raises ValueError if training data are empty, misshapen, not finite, or not for this model.

    Arrays are checked whole, pipelines by their first batch.
    """
    batch = _first_batch(x)
    if batch is None:
        return
    if not batch.size:
        raise ValueError("Expected training data. Received: an empty data set.")
    if batch.shape[1:] != model.data_shape:
        raise ValueError(
            f"{type(model).__name__} was built for data of shape (batch, "
            f"{', '.join(map(str, model.data_shape))}). Received: shape {batch.shape}. Build the "
            "networks for this shape, or reshape or resize the data."
        )
    if not np.isfinite(batch).all():
        raise ValueError(
            f"Expected finite training data. Received: {np.count_nonzero(~np.isfinite(batch))} "
            f"values that are NaN or infinite, of {batch.size}. Clean the data first."
        )
    model.check_batch(batch)


def _remove_unreadable_metadata(callbacks):
    """Drops the notes of a BackupAndRestore killed while writing them; `steps` tells as much."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            path = pathlib.Path(callback.backup_dir, "training_metadata.json")
            try:
                json.loads(path.read_text()) if path.exists() else None
            except ValueError:
                path.unlink()


def as_dataset(x, batch_size, shuffle, seed):
    """Arrays as a pipeline that can resume; anything else unchanged."""
    if not isinstance(x, (np.ndarray, tf.Tensor)):
        return x
    data = tf.convert_to_tensor(x)
    return resumable_dataset(
        lambda _, examples: tf.gather(data, examples),
        len(x),
        batch_size or 32,
        seed=seed or 0,
        shuffle=shuffle,
    )


def num_batches(dataset):
    known = isinstance(dataset, tf.data.Dataset) and int(dataset.cardinality()) > 0
    return int(dataset.cardinality()) if known else None


class ResumePosition(keras.callbacks.Callback):
    """Begins training where the restored weights left it: at the epoch and the batch inside it.

    The position comes from the model's own count of steps, which is saved with the weights, because
    the notes of `keras.callbacks.BackupAndRestore` name no batch and may be older than its weights.
    Data with a `seek(epoch, step)` (`tfgen.datasets.load`) are moved there.

    Args:
        dataset: training data.
        callbacks: the callbacks of `fit`; `self.callbacks` are these and this one.
        initial_epoch: int, epoch at which `fit` would begin.
        num_batches: int or None, batches in one epoch.
    """

    def __init__(self, dataset, callbacks, initial_epoch, num_batches):
        super().__init__()
        self.seek = getattr(dataset, "seek", None)
        self.initial_epoch, self.num_batches = initial_epoch, num_batches
        callbacks = keras.tree.flatten(callbacks or [])
        _remove_unreadable_metadata(callbacks)
        self.callbacks = [*callbacks, self]  # Last: after the one that restores.

    def set_model(self, model):
        super().set_model(model)
        self._steps_before = self._steps_done()

    def _steps_done(self):
        return int(keras.ops.convert_to_numpy(self.model.steps))

    def on_train_begin(self, logs=None):
        done = self._steps_done() - self._steps_before
        if done and self.num_batches is None:
            return  # Keras' own note of the epoch is all there is.
        epochs, batch = divmod(done, self.num_batches) if done else (0, 0)
        self.first = (self.initial_epoch + epochs, batch)
        self.model._initial_epoch = self.first[0]
        if batch:
            self._announce_part_of_epoch(batch)

    def _announce_part_of_epoch(self, batch):
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        if self.seek is None:
            warnings.warn(
                f"Training resumes after batch {batch} of an epoch, but these data cannot be moved "
                "to a position, so the epoch begins anew. For an exact continuation pass an array "
                "or what tfgen.datasets.load returns.",
                stacklevel=2,
            )

    def on_epoch_begin(self, epoch, logs=None):
        if self.seek is not None:
            self.seek(epoch, self.first[1] if epoch == self.first[0] else 0)

    @contextlib.contextmanager
    def active(self, model):
        """Keeps Keras' state and its filter of warnings from outliving `fit`."""
        with warnings.catch_warnings():
            try:
                yield
            finally:
                model._initial_epoch = None
