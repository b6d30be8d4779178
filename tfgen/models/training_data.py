"""What `fit` does with data: checks before training begins, and the position of a resumed run."""

import contextlib
import json
import pathlib
import warnings

import keras
import numpy as np
import tensorflow as tf

from tfgen.datasets.pipeline import last_batch, resumable_dataset

__all__ = [
    "ResumePosition",
    "as_dataset",
    "check",
    "examples",
    "first_batch",
    "num_batches",
    "split",
    "unpack",
]

# Keras' own, for arrays.
BATCH_SIZE = 32


def unpack(data):
    """The examples of a batch; labels are ignored."""
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError(
            "The models' losses are averages over examples and take no sample_weight. "
            "Received: a batch with sample weights. Resample the data instead."
        )
    return x


def first_batch(x):
    """A NumPy batch to look at (all of an array), or None where looking would consume it."""
    if isinstance(x, tf.data.Dataset):
        batch = next(iter(x), None)
        return np.empty((0,)) if batch is None else np.asarray(unpack(batch))
    if isinstance(x, (np.ndarray, tf.Tensor)):
        return np.asarray(x)
    if isinstance(x, keras.utils.PyDataset):
        return np.asarray(unpack(x[0]))
    return None


def _smallest_batch(x, batch_size):
    """Examples in the smallest batch, where that is known without looking at them all."""
    if isinstance(x, (np.ndarray, tf.Tensor)):
        return last_batch(len(x), batch_size or BATCH_SIZE)
    return getattr(x, "smallest_batch", None)


def check(x, model, batch_size=None):
    """Raises ValueError if training data are empty, misshapen, not finite, or not for this model.

    Arrays are checked whole, pipelines by their first batch.
    """
    batch = first_batch(x)
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
    smallest = _smallest_batch(x, batch_size)
    if smallest is not None:
        model.check_batch_size(smallest)


def _remove_unreadable_metadata(callbacks):
    """Drops the notes of a BackupAndRestore killed while writing them; `steps` tells as much."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            path = pathlib.Path(callback.backup_dir, "training_metadata.json")
            try:
                json.loads(path.read_text()) if path.exists() else None
            except ValueError:
                path.unlink()


def examples(data):
    """The examples of validation data, which may come with labels; None if there are none."""
    return data[0] if isinstance(data, tuple) else data


def split(x, fraction):
    """Arrays without, and with only, their last `fraction`, as Keras splits them."""
    cut = int(len(x) * (1 - fraction)) if isinstance(x, (np.ndarray, tf.Tensor)) else 0
    if not 0 < cut:
        raise ValueError(
            "validation_split needs an array and must leave some of it for training. Received: "
            f"{type(x).__name__}, validation_split={fraction}. Pass validation_data instead."
        )
    return x[:cut], x[cut:]


def as_dataset(x, batch_size, shuffle, seed):
    """An array, or a tuple of them, as a pipeline that can resume; anything else unchanged."""
    if not all(isinstance(part, (np.ndarray, tf.Tensor)) for part in tf.nest.flatten(x)):
        return x
    data = tf.nest.map_structure(tf.convert_to_tensor, x)
    return resumable_dataset(
        lambda _, examples: tf.nest.map_structure(lambda part: tf.gather(part, examples), data),
        len(tf.nest.flatten(x)[0]),
        batch_size or BATCH_SIZE,
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
        seek: function (epoch, step) that moves the training data there, or None.
        callbacks: the callbacks of `fit`; `self.callbacks` are these and this one.
        initial_epoch: int, epoch at which `fit` would begin.
        num_batches: int or None, batches in one epoch.
    """

    def __init__(self, seek, callbacks, initial_epoch, num_batches):
        super().__init__()
        self.seek = seek
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
        if done and self.seek is None:
            self._warn()
        if done and self.num_batches is None:
            return  # Keras' own note of the epoch is all there is.
        epochs, batch = divmod(done, self.num_batches) if done else (0, 0)
        self.first = (self.initial_epoch + epochs, batch)
        self.model._initial_epoch = self.first[0]
        if batch:  # Keras warns of an epoch that is shorter than the others.
            warnings.filterwarnings("ignore", message="Your input ran out of data")

    def _warn(self):
        warnings.warn(
            "Training resumes, but these data cannot be moved to where it stopped: their order may "
            "differ, and an interrupted epoch begins anew. For an exact continuation pass an array "
            "or what tfgen.datasets.load returns, without steps_per_epoch.",
            stacklevel=2,
        )

    def on_epoch_begin(self, epoch, logs=None):
        if self.seek is not None:
            self.seek(epoch, self.first[1] if epoch == self.first[0] else 0)

    @contextlib.contextmanager
    def active(self, model):
        """Keeps Keras' state and its filter of warnings from outliving `fit`."""
        model._fitting = True
        with warnings.catch_warnings():
            try:
                yield
            finally:
                model._initial_epoch, model._fitting = None, False
