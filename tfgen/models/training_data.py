"""What `fit` and `evaluate` do with data before the first batch: checks, and pipelines."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils.pipeline import last_batch, resumable_dataset

__all__ = [
    "as_dataset",
    "check",
    "first_batch",
    "num_batches",
    "prepared_for_validation",
    "split",
    "unpack",
]

# Keras' own, for arrays.
BATCH_SIZE = 32


def unpack(data: Any) -> tf.Tensor:
    """The examples of a batch; labels are ignored."""
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError(
            "The models' losses are averages over examples and take no sample_weight. "
            "Received: a batch with sample weights. Resample the data instead."
        )
    return x


def first_batch(x: Any) -> np.ndarray | None:
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


def check(x: Any, model: keras.Model, batch_size: int | None = None) -> None:
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


def prepared_for_validation(data: Any, model: keras.Model, batch_size: int | None) -> Any:
    """Validation data, which may come with labels, checked and as the model takes them."""
    if data is None:
        return None
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    check(x, model, batch_size)
    return keras.utils.pack_x_y_sample_weight(*model.prepare(x, y, training=False), sample_weight)


def split(x: Any, y: Any, fraction: float) -> tuple[Any, Any, tuple[Any, Any]]:
    """Arrays without their last `fraction`, and a pair of only that, as Keras splits them."""
    cut = int(len(x) * (1 - fraction)) if isinstance(x, (np.ndarray, tf.Tensor)) else 0
    if not 0 < cut:
        raise ValueError(
            "validation_split needs an array and must leave some of it for training. Received: "
            f"{type(x).__name__}, validation_split={fraction}. Pass validation_data instead."
        )
    one_for_all = y is None or np.ndim(y) == 0
    first, last = (y, y) if one_for_all else (y[:cut], y[cut:])
    return x[:cut], first, (x[cut:], last)


def as_dataset(x: Any, batch_size: int | None, shuffle: bool, seed: int | None) -> Any:
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


def num_batches(dataset: Any) -> int | None:
    """Batches of a data set that knows them."""
    known = isinstance(dataset, tf.data.Dataset) and int(dataset.cardinality()) > 0
    return int(dataset.cardinality()) if known else None
