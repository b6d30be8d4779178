"""Pipelines whose order and noise are pure functions of (seed, epoch, batch).

A shuffled `tf.data` pipeline starts over at its first order in a new process. Here the order of an
epoch and the seeds of its batches' noise are drawn from a generator of random numbers that is
keyed by (seed, epoch), so an interrupted run goes on exactly where it stopped (with the same
version of NumPy, which may change its generators in a new one).
"""

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["Position", "last_batch", "plan_epoch", "resumable_dataset", "row_reader"]

# Bytes to whose multiples TensorFlow aligns its tensors; NumPy aligns what it saves to them too.
_ALIGNMENT = 64


class Position:
    """Epoch and step at which the next iteration of a pipeline starts.

    An iteration reads its position when its first batch is asked for, not when `iter` is
    called, and leaves the next epoch behind for whoever comes after it.

    Args:
        num_batches: int, batches in one epoch.

    Example:
        >>> position = Position(num_batches=10)
        >>> position.seek(epoch=3, step=4)
        >>> position.take(), position.take()
        ((3, 4), (4, 0))
    """

    def __init__(self, num_batches: int) -> None:
        self.num_batches = num_batches
        self._next = (0, 0)
        self._lock = threading.Lock()

    def seek(self, epoch: int, step: int = 0) -> None:
        """Lets the next iteration deliver the rest of `epoch`, from batch `step` on.

        Args:
            epoch: int >= 0.
            step: int in [0, num_batches], batches of that epoch to leave out.

        Raises:
            ValueError: if the epoch or the step lies outside its range.
        """
        if epoch < 0 or not 0 <= step <= self.num_batches:
            raise ValueError(
                f"seek expects epoch >= 0 and step in [0, {self.num_batches}], the batches of one "
                f"epoch. Received: epoch={epoch}, step={step}. Seek the next epoch with step=0 "
                "to go on behind the last batch."
            )
        with self._lock:
            self._next = (int(epoch), int(step))

    def take(self) -> tuple[int, int]:
        """(epoch, step) of the iteration that starts now."""
        with self._lock:
            epoch, step = self._next
            self._next = (epoch + 1, 0)
        return epoch, step


def plan_epoch(
    num_examples: int, batch_size: int, num_batches: int, *, seed: int, epoch: int, shuffle: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which examples an epoch's batches hold, and the seeds of their noise.

    Args:
        num_examples: int.
        batch_size: int.
        num_batches: int, batches to deliver.
        seed: int >= 0.
        epoch: int >= 0; without effect if the data are not shuffled.
        shuffle: bool.

    Returns:
        A tuple of int64 arrays with a row for each batch. seeds: shape (num_batches, 2).
        examples: positions, shape (num_batches, batch_size). sizes: shape (num_batches,), how many
        of these count, fewer only in a last batch that the examples do not fill.

    Example:
        >>> plan_epoch(3, 2, 2, seed=0, epoch=0, shuffle=False)[1:]
        (array([[0, 1], [2, 0]]), array([2, 1]))
    """
    generator = np.random.default_rng((seed, epoch if shuffle else 0))
    seeds = generator.integers(np.iinfo("int64").max, size=(num_batches, 2))
    order = generator.permutation(num_examples) if shuffle else np.arange(num_examples)
    sizes = np.minimum(batch_size, num_examples - batch_size * np.arange(num_batches))
    return seeds, np.resize(order, (num_batches, batch_size)), sizes


def resumable_dataset(
    load_batch: Callable[[tf.Tensor, tf.Tensor], Any],
    num_examples: int,
    batch_size: int,
    *,
    seed: int = 0,
    shuffle: bool = True,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """A `tf.data.Dataset` that can start at any batch of any epoch.

    The dataset has one more method than others, `seek(epoch, step=0)`: see `Position.seek`.
    Without it every iteration that delivers a batch counts as one epoch. Datasets derived from
    it (`map`, `take`, a distributed dataset) follow the same position. Its attribute
    `smallest_batch` is the number of examples in its smallest batch.

    Unshuffled datasets deliver the same batches, with the same noise, in every epoch.

    Args:
        load_batch: function of a seed, int64 tensor of shape (2,), and of positions of examples,
            int64 tensor of shape (batch,), that returns one batch. It must draw its noise
            statelessly from that seed.
        num_examples: int, examples in one epoch.
        batch_size: int, examples in a batch; the last one may be smaller.
        seed: int of order and noise; ValueError if it is negative.
        shuffle: bool, a new order in each epoch.
        drop_remainder: bool, leave out a last batch that is smaller than the others.

    Returns:
        A `tf.data.Dataset` of what `load_batch` returns, with known cardinality.

    Example:
        >>> dataset = resumable_dataset(lambda seed, examples: examples, 5, 2)
        >>> first = [batch.numpy().tolist() for batch in dataset]
        >>> dataset.seek(epoch=0, step=1)
        >>> [batch.numpy().tolist() for batch in dataset] == first[1:]
        True
    """
    _check_seed(seed)
    batch_size = min(batch_size, max(num_examples, 1))
    num_batches = _count_batches(num_examples, batch_size, drop_remainder)
    position = Position(num_batches)
    sizes = (num_examples, batch_size, num_batches)
    plan = functools.partial(plan_epoch, *sizes, seed=seed, shuffle=shuffle)
    batches = _planned_batches(position, plan, batch_size)
    dataset = _loaded(_declare_cardinality(batches, num_batches), load_batch, drop_remainder)
    dataset.seek = position.seek
    dataset.smallest_batch = batch_size if drop_remainder else last_batch(num_examples, batch_size)
    return dataset


def _loaded(dataset, load_batch, drop_remainder):
    """What `load_batch` returns for each row of a plan."""

    def load(batch_seed, examples, size):
        return load_batch(batch_seed, examples if drop_remainder else examples[:size])

    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(_options())


def _options():
    """Options that spare an iteration the tuning of its buffers, and a rewriting of its graph.

    The thread that tunes sleeps through the end of the iteration, and for a second holds up the
    next one. What rewrites the graph copies the arrays in it, memory maps too.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options


def _count_batches(num_examples, batch_size, drop_remainder):
    """Batches in one epoch."""
    return num_examples // batch_size if drop_remainder else -(-num_examples // batch_size)


def last_batch(num_examples: int, batch_size: int) -> int:
    """Examples in the last batch of all of them, the smallest one."""
    return num_examples % batch_size or batch_size


def _planned_batches(position, plan_epoch, batch_size):
    """Dataset of the rows of a plan that is made when the first batch is asked for."""

    def next_plan():
        epoch, step = position.take()
        return [rows[step:] for rows in plan_epoch(epoch=epoch)]

    def plan(_):
        seeds, examples, sizes = tf.numpy_function(next_plan, [], (tf.int64, tf.int64, tf.int64))
        seeds = tf.ensure_shape(seeds, (None, 2))
        return seeds, tf.ensure_shape(examples, (None, batch_size)), tf.ensure_shape(sizes, (None,))

    return tf.data.Dataset.from_tensors(0).map(plan).unbatch()


def _declare_cardinality(dataset, num_batches):
    """`dataset` with a known cardinality, which a sought epoch may fall short of.

    `assert_cardinality` would make the rest of an epoch an error. Repeating nothing for ever
    counts as infinite and ends at once, so that `take` knows a number without enforcing it.
    """
    return dataset.concatenate(dataset.take(0).repeat()).take(num_batches)


def row_reader(array: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """Function from positions, int tensor of shape (batch,), to these rows of an array.

    Arrays in memory become a tensor of the host. What lies on disk stays there: rows are read when
    a batch needs them, unless a pipeline's graph is rewritten (`_options`, and
    `models.workers.undivided`).

    Args:
        array: NumPy array, tensor or memory map; or any array on disk that takes sorted positions
            in square brackets, such as a data set of h5py.

    Example:
        >>> row_reader(np.array([[1, 2], [3, 4], [5, 6]]))(tf.constant([2, 0])).numpy().tolist()
        [[5, 6], [1, 2]]
    """
    if isinstance(array, np.memmap):
        return _gatherer(_shared(array)) if _can_be_shared(array) else _reader(array)
    if not isinstance(array, np.ndarray | tf.Tensor):
        return _reader(array)
    # On a machine with a GPU the rows would otherwise be copied back from it for each batch.
    with tf.device("CPU:0"):
        return _gatherer(tf.convert_to_tensor(array))


def _gatherer(tensor):
    """Function from positions to rows of a tensor."""
    return lambda rows: tf.gather(tensor, rows)


def _can_be_shared(array):
    """Whether a memory map lies as a tensor of TensorFlow does."""
    aligned = array.ctypes.data % _ALIGNMENT == 0
    return aligned and array.flags.c_contiguous and array.dtype.isnative and array.size > 0


class _Writable:
    """Says of a map that it may be written: of others no tensor is made. No reader writes to it."""

    def __init__(self, array):
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}
        self.array = array  # Open for as long as there is the tensor.


def _shared(array):
    """A tensor that is the memory map itself, so that rows are read without Python."""
    return tf.experimental.dlpack.from_dlpack(np.asarray(_Writable(array)).__dlpack__())


def _reader(array):
    """Function from positions to rows that Python reads."""
    dtype = tf.as_dtype(array.dtype)

    def read(rows):
        unique, places = np.unique(rows, return_inverse=True)  # In the order that files want.
        return np.asarray(array[unique], dtype.as_numpy_dtype)[places]  # Bytes in their order too.

    def take(rows):
        examples = tf.numpy_function(read, [rows], dtype, stateful=False)
        return tf.ensure_shape(examples, (None, *array.shape[1:]))

    return take


def _check_seed(seed):
    if seed < 0:
        raise ValueError(
            f"The seed must be an int, at least 0. Received: seed={seed!r}. "
            "Any such number will do."
        )
