"""The whole batch of a training step, of which a replica of a `tf.distribute.Strategy` sees part.

A loss that is a mean over examples needs none of this: the gradients of the replicas are added up.
What compares the examples of a batch with each other does.
"""

import tensorflow as tf

__all__ = ["own_rows", "whole_batch"]


def _context():
    """The replica that calls, or None where there is one alone."""
    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context


def whole_batch(x: tf.Tensor) -> tf.Tensor:
    """`x` of all replicas, one after the other along the first axis; `x` itself of one.

    A function of the result has the same value in each replica. Where each of them divides it by
    their number and takes the gradient, as a training step does, the sum of these gradients is that
    of the function of the whole batch: the gradient passes through the gathering.

    Args:
        x: tensor, shape (batch, ...), of this replica; the other axes agree in all of them.

    Example:
        >>> whole_batch(tf.constant([1.0, 2.0])).numpy()
        array([1., 2.], dtype=float32)
    """
    context = _context()
    return x if context is None else context.all_gather(tf.convert_to_tensor(x), axis=0)


def own_rows(whole: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The rows of a tensor over the whole batch that belong to the examples `x` of this replica.

    Args:
        whole: tensor, shape (whole batch, ...), in the order of `whole_batch`.
        x: tensor, shape (batch, ...), of this replica.

    Example:
        >>> own_rows(tf.constant([5, 6]), tf.zeros((2, 3))).numpy()
        array([5, 6], dtype=int32)
    """
    context, size = _context(), tf.shape(x)[0]
    if context is None:
        return whole
    before = context.all_gather(size[None], axis=0)[: context.replica_id_in_sync_group]
    start = tf.reduce_sum(before)
    return whole[start : start + size]
