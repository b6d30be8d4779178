"""Data larger than memory: the examples of a pipeline in files, to be read in any order."""

import os

import numpy as np
import tensorflow as tf

from tfgen._utils.files import as_path, chunk_length, mapped_arrays
from tfgen._utils.progress import with_progress

__all__ = ["memory_map"]


def memory_map(
    dataset: tf.data.Dataset, path: str | os.PathLike
) -> np.memmap | tuple[np.memmap, ...]:
    """The examples of a finite `tf.data.Dataset` as memory maps of `.npy` files.

    The data set, for example TFRecords that `Dataset.map` parses, is gone through once, and its
    examples are written in their order; `fit` then takes them from the files in an order that
    depends on the seed and the epoch alone, so that training can stop and go on at any batch. If
    the files are there, they are opened and no example is read. What they hold is compared with
    the shapes, dtypes and cardinality of the data set and no more: delete them when the data
    change. Files appear whole or not at all, and must not be changed while they are in use.

    Args:
        dataset: `tf.data.Dataset` of examples, not of batches: x, or a tuple such as (x, y), of
            tensors of numbers with a fixed shape. Batches of a fixed size cannot be told from
            examples, and are taken for them.
        path: path of the file, whose name ends in ".npy"; its folder exists. The second part of a
            tuple goes to a file with ".1" before that ending, the next ones likewise.

    Returns:
        Read-only memory map, shape (num_examples, ...), or a tuple of them.

    Raises:
        ValueError: if the data are infinite, empty, batches, of varying shape or no numbers, or
            there is a file that is damaged or has another shape or dtype.
        FileNotFoundError: if there is no such folder.

    Errors that the data set itself raises are passed on, and leave no file.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "squares.npy")
        >>> dataset = tf.data.Dataset.range(5).map(lambda n: (tf.stack([n, n**2]), n > 2))
        >>> x, y = memory_map(dataset, path)
        >>> x.shape, x[3].tolist(), y.tolist()
        ((5, 2), [3, 9], [False, False, False, True, True])
    """
    path = as_path(path=path)
    _check_path(path)
    specs = _checked_specs(dataset)
    num_examples = _cardinality(dataset)
    expected = [(spec.dtype.as_numpy_dtype, (num_examples, *spec.shape)) for spec in specs]
    paths = [path, *(path.with_suffix(f".{i}.npy") for i in range(1, len(specs)))]
    maps = mapped_arrays(paths, expected, lambda: _chunks(dataset, specs, num_examples))
    return tuple(maps) if isinstance(dataset.element_spec, tuple) else maps[0]


def _chunks(dataset, specs, num_examples):
    """Tuples of arrays with some examples each."""
    size = chunk_length(sum(spec.dtype.size * spec.shape.num_elements() for spec in specs))
    num_chunks = num_examples and -(-num_examples // size)
    for chunk in with_progress(dataset.batch(size), num_chunks):
        yield tuple(part.numpy() for part in tf.nest.flatten(chunk))


def _cardinality(dataset):
    """Number of examples, or None where it is not known."""
    cardinality = int(dataset.cardinality())
    if cardinality in (tf.data.INFINITE_CARDINALITY, 0):
        received = "none" if cardinality == 0 else "a data set without end"
        raise ValueError(
            f"dataset must have a finite number of examples, at least one. Received: {received}. "
            "Leave out repeat(), or use take()."
        )
    return None if cardinality == tf.data.UNKNOWN_CARDINALITY else cardinality


def _check_path(path):
    if path.suffix != ".npy":
        raise ValueError(
            f"path must be that of a file whose name ends in '.npy'. Received: {str(path)!r}. "
            "Add the ending."
        )


def _checked_specs(dataset):
    """What is known of the tensors of an example."""
    if not isinstance(dataset, tf.data.Dataset):
        raise ValueError(
            "dataset must be a tf.data.Dataset of examples. Received: dataset of type "
            f"{type(dataset).__name__}. Arrays are saved by np.save and opened by "
            "np.load(path, mmap_mode='r')."
        )
    spec = dataset.element_spec
    specs = spec if isinstance(spec, tuple) else (spec,)
    if not specs or not all(map(_is_array, specs)):
        raise ValueError(
            "dataset must give one tensor, or a tuple of tensors, of numbers and of a shape that "
            f"is known. Received: elements {spec}. Take batches apart by Dataset.unbatch(), and "
            "let a function in Dataset.map give tensors of numbers, with tf.ensure_shape where "
            "the shape is not known."
        )
    return specs


def _is_array(spec):
    """Whether arrays of NumPy, which has neither bfloat16 nor strings, hold what it describes."""
    if not isinstance(spec, tf.TensorSpec) or not spec.shape.num_elements():
        return False
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    return dtype.kind in "biuf" and dtype.isbuiltin == 1
