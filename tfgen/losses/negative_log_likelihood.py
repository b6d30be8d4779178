"""Negative log-likelihood as a Keras loss."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

__all__ = ["NegativeLogLikelihood"]


@keras.saving.register_keras_serializable("tfgen")
class NegativeLogLikelihood(keras.losses.Loss):
    """-log p(y), in nats, for a model that ends in a distribution layer.

    `log_prob` sums over the event; the loss is its mean over the batch.

    Args:
        name: string, name in the logs.

    Call arguments:
        y_true: tensor that `y_pred.log_prob` accepts.
        y_pred: `tfd.Distribution`, the output of a distribution layer.
        sample_weight: None, or tensor that broadcasts to the distribution's batch shape.

    Returns:
        Scalar, in nats.

    Raises:
        TypeError: if `y_pred` is not a distribution.

    Example:
        >>> p = tfd.Independent(tfd.Normal(tf.zeros((4, 2)), 1.0), 1)
        >>> round(float(NegativeLogLikelihood()(tf.zeros((4, 2)), p)), 4)  # log(2 pi)
        1.8379
    """

    def __init__(self, name="negative_log_likelihood"):
        super().__init__(name=name)

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Overridden because Keras' own `__call__` turns the distribution into a sample."""
        nll = self.call(y_true, y_pred)
        if sample_weight is not None:
            nll *= tf.cast(sample_weight, nll.dtype)
        return tf.reduce_mean(nll)

    def call(self, y_true, y_pred):
        """-log p(y) per example."""
        if not isinstance(y_pred, tfd.Distribution):
            raise TypeError(
                "NegativeLogLikelihood needs a model whose output is a distribution. Received: "
                f"y_pred of type {type(y_pred).__name__}. End the model with a layer of "
                "tfgen.layers, such as IndependentNormal."
            )
        return -y_pred.log_prob(tf.cast(y_true, y_pred.dtype))

    def get_config(self):
        return {"name": self.name}
