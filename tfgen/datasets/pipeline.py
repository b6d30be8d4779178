"""Pipelines whose order and noise are pure functions of (seed, epoch, batch).

A shuffled `tf.data` pipeline normally starts over at its first order in a new process. Here the
order of an epoch is a permutation keyed by (seed, epoch), and the noise of a batch is keyed by
(seed, epoch, batch), so an interrupted run goes on exactly where it stopped.
"""

import threading

import numpy as np
import tensorflow as tf

__all__ = ["Position", "batch_seed", "resumable_dataset"]


class Position:
    """Epoch and step at which the next iteration of a pipeline starts.

    An iteration reads its position when its first batch is asked for, not when `iter` is
    called, and leaves the next epoch behind for whoever comes after it.

    Args:
        num_batches: int, batches in one epoch.

    Example:
        >>> position = Position(num_batches=10)
        >>> position.seek(epoch=3, step=4)
        >>> [tuple(map(int, position.take())) for _ in range(2)]
        [(3, 4), (4, 0)]
    """

    def __init__(self, num_batches):
        self.num_batches = num_batches
        self._next = (0, 0)
        self._lock = threading.Lock()

    def seek(self, epoch, step=0):
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

    def take(self):
        """(epoch, step), int64 scalars, of the iteration that starts now."""
        with self._lock:
            epoch, step = self._next
            self._next = (epoch + 1, 0)
        return np.int64(epoch), np.int64(step)


def batch_seed(seed, epoch, batch):
    """Stateless seed of the noise in one batch.

    Args:
        seed: int.
        epoch: int or int tensor of shape ().
        batch: int or int tensor of shape (), its number within the epoch.

    Returns:
        int64 tensor, shape (2,), for the stateless functions of `tf.random`.

    Example:
        >>> bool(tf.reduce_all(batch_seed(0, 1, 2) == batch_seed(0, 1, 2)))
        True
        >>> bool(tf.reduce_all(batch_seed(0, 1, 2) == batch_seed(0, 2, 1)))
        False
    """
    batch = tf.cast(batch, tf.int64)
    return tf.random.experimental.stateless_fold_in(_epoch_seed(seed, epoch), batch)


def resumable_dataset(
    load_batch, num_examples, batch_size, *, seed=0, shuffle=True, drop_remainder=False
):
    """A `tf.data.Dataset` that can start at any batch of any epoch.

    The dataset has one more method than others, `seek(epoch, step=0)`: see `Position.seek`.
    Without it every iteration that delivers a batch counts as one epoch. Datasets derived from
    it (`map`, `take`, a distributed dataset) follow the same position.

    Unshuffled datasets deliver the same batches, with the same noise, in every epoch.

    Args:
        load_batch: function of a seed, int64 tensor of shape (2,), and of positions of examples,
            int64 tensor of shape (batch,), that returns one batch. It must draw its noise
            statelessly from that seed.
        num_examples: int, examples in one epoch.
        batch_size: int, examples in a batch; the last one may be smaller.
        seed: int, of order and noise.
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
    num_batches = _count_batches(num_examples, batch_size, drop_remainder)
    position = Position(num_batches)
    static_size = batch_size if drop_remainder else None

    def epoch_of_batches(epoch, step):
        key_epoch = epoch if shuffle else tf.zeros_like(epoch)
        order = _example_order(num_examples, seed, key_epoch, shuffle)

        def batch_of(index):
            examples = order[index * batch_size : (index + 1) * batch_size]
            return batch_seed(seed, key_epoch, index), tf.ensure_shape(examples, [static_size])

        return tf.data.Dataset.range(step, num_batches).map(batch_of)

    dataset = _positions(position).flat_map(epoch_of_batches)
    dataset = _declare_cardinality(dataset, num_batches)
    dataset = dataset.map(load_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.seek = position.seek
    return dataset


def _count_batches(num_examples, batch_size, drop_remainder):
    """Batches in one epoch."""
    return num_examples // batch_size if drop_remainder else -(-num_examples // batch_size)


def _positions(position):
    """Dataset of one element, (epoch, step), read when the first batch is asked for."""

    def take(_):
        epoch, step = tf.numpy_function(position.take, [], (tf.int64, tf.int64))
        return tf.ensure_shape(epoch, []), tf.ensure_shape(step, [])

    return tf.data.Dataset.from_tensors(0).map(take)


def _example_order(num_examples, seed, epoch, shuffle):
    """Positions of the examples in the order in which an epoch delivers them."""
    order = tf.range(num_examples, dtype=tf.int64)
    if not shuffle:
        return order
    return tf.random.experimental.stateless_shuffle(order, _epoch_seed(seed, epoch), alg="philox")


def _epoch_seed(seed, epoch):
    """Stateless seed, int64 tensor of shape (2,)."""
    return tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])


def _declare_cardinality(dataset, num_batches):
    """`dataset` with a known cardinality, which a sought epoch may fall short of.

    `assert_cardinality` would make the rest of an epoch an error. Repeating nothing for ever
    counts as infinite and ends at once, so that `take` knows a number without enforcing it.
    """
    return dataset.concatenate(dataset.take(0).repeat()).take(num_batches)
