"""Negative log-likelihood as a Keras loss."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.keras_private import is_symbolic
from tfgen._utils.tensors import check_broadcast, check_tensors, static_shape
from tfgen._utils.typing import TensorLike

__all__ = ["NegativeLogLikelihood"]


def _shaped_for(distribution, y):
    """`y` with as many axes as the distribution: `log_prob` would broadcast (B,) and (B, 1)."""
    rank = (distribution.batch_shape + distribution.event_shape).rank
    if rank is None or y.shape.rank == rank or not distribution.batch_shape.rank:
        return y
    shape = [distribution.batch_shape_tensor(), distribution.event_shape_tensor()]
    return tf.reshape(y, tf.concat(shape, axis=0))


def _check_size(distribution, y_true):
    """Raises ValueError unless `_shaped_for` can do what it does."""
    shape, received = (
        distribution.batch_shape + distribution.event_shape,
        static_shape(y_true=y_true),
    )
    if shape.rank == received.rank or not distribution.batch_shape.rank:
        return check_broadcast(shape, y_true=y_true)
    sizes = {shape.num_elements(), received.num_elements()} - {None}
    if len(sizes) > 1:
        raise ValueError(
            f"y_true must have the shape {shape} of y_pred. Received: y_true of shape {received}."
        )


def _with_rank_of(values, weights):
    """Weights per example, with axes of length 1 behind for all further axes of `values`."""
    if weights.shape.rank != values.shape.rank:
        weights = tf.reshape(weights, (-1, *[1] * (values.shape.rank - 1)))
    check_broadcast(values.shape, sample_weight=weights)
    return weights


@keras.saving.register_keras_serializable("tfgen")
class NegativeLogLikelihood(keras.losses.Loss):
    """-log p(y), in nats, for a model that ends in a distribution layer.

    `log_prob` sums over the event; the loss is its mean over the batch.

    Args:
        name: string, name in the logs.

    Call arguments:
        y_true: tensor of shape (batch, *event_shape); a last axis of length 1 may be missing or
            added, as Keras does with labels.
        y_pred: `tfd.Distribution`, the output of a distribution layer.
        sample_weight: None, or tensor of shape (batch,) or (batch, 1).

    Returns:
        Scalar, in nats.

    Raises:
        TypeError: if `y_pred` is not a distribution.
        ValueError: if `y_true` or `sample_weight` is not a tensor of its shape.

    Example:
        >>> p = tfd.Independent(tfd.Normal(tf.zeros((4, 2)), 1.0), 1)
        >>> round(float(NegativeLogLikelihood()(tf.zeros((4, 2)), p)), 4)  # log(2 pi)
        1.8379
    """

    def __init__(self, name: str = "negative_log_likelihood") -> None:
        if not isinstance(name, str):
            raise ValueError(f"name must be a string, that of the logs. Received: name={name!r}.")
        super().__init__(name=name)

    def __call__(
        self,
        y_true: TensorLike,
        y_pred: tfd.Distribution,
        sample_weight: TensorLike | None = None,
    ) -> tf.Tensor:
        """Overridden because Keras' own `__call__` turns the distribution into a sample.

        With several replicas each gives its part of the mean, as the losses of Keras do.
        """
        if is_symbolic() and not isinstance(y_pred, tfd.Distribution):
            return tf.zeros(())  # Keras wants to know a shape, and has lost the distribution.
        nll = self.call(y_true, y_pred)
        if sample_weight is not None:
            check_tensors(0, "numbers", sample_weight=sample_weight)
            nll *= _with_rank_of(nll, tf.cast(sample_weight, nll.dtype))
        return tf.reduce_mean(nll) / tf.distribute.get_strategy().num_replicas_in_sync

    def call(self, y_true: TensorLike, y_pred: tfd.Distribution) -> tf.Tensor:
        """-log p(y) per example."""
        if not isinstance(y_pred, tfd.Distribution):
            raise TypeError(
                "NegativeLogLikelihood needs a model whose output is a distribution. Received: "
                f"y_pred of type {type(y_pred).__name__}. End the model with a layer of "
                "tfgen.layers, such as IndependentNormal."
            )
        check_tensors(0, "numbers", y_true=y_true)
        _check_size(y_pred, y_true)
        return -y_pred.log_prob(_shaped_for(y_pred, tf.cast(y_true, y_pred.dtype)))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}
