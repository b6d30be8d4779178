"""Data in parts: batches of a data set, chunks of an array, copies of a batch."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils.typing import TensorLike
from tfgen.models.checks import as_array, check_finite
from tfgen.models.training_data import unpack

__all__ = ["CHUNK", "batches_of", "chunks", "joined", "of_some", "repeat_batch"]

# Examples at a time, so that memory does not grow with their number.
CHUNK = 500


def chunks(z: Any) -> list[Any]:
    """Parts of `z` along its first axis; one empty part if there is nothing."""
    return [z[i : i + CHUNK] for i in range(0, max(len(z), 1), CHUNK)]


def batches_of(x: Any, unpack: Callable[[Any], Any] = unpack) -> Iterable[Any]:
    """Batches of a data set, of an array, or of what NumPy makes one of.

    Args:
        x: `tf.data.Dataset`, `keras.utils.PyDataset`, array, tensor, data frame or list.
        unpack: callable, which takes what is needed of a data set's batch.

    Raises:
        ValueError: if a data set never ends, or `x` is none of these.
    """
    if isinstance(x, tf.data.Dataset):
        check_finite(int(x.cardinality()) != tf.data.INFINITE_CARDINALITY)
        return map(unpack, x)
    if isinstance(x, keras.utils.PyDataset):
        check_finite(x.num_batches is not None)
        return (unpack(x[i]) for i in range(x.num_batches))
    return chunks(as_array(x))


def of_some(parts: Sequence[Any]) -> Sequence[Any]:
    """What was found of batches; raises ValueError if there is no batch."""
    if not parts:
        raise ValueError(
            "x must have examples. Received: x, a data set without batches. Give one with some."
        )
    return parts


def joined(codes: Sequence[TensorLike]) -> np.ndarray:
    """Codes of batches as one array; raises ValueError if there is no batch."""
    return np.concatenate(of_some(codes))


def repeat_batch(x: Any, num_copies: Any) -> Any:
    """`num_copies` copies of a batch one after the other, shape (num_copies * batch, ...)."""

    def repeat(part):
        part = tf.convert_to_tensor(part)
        return tf.tile(part, [num_copies, *[1] * (len(part.shape) - 1)])

    return tf.nest.map_structure(repeat, x)
