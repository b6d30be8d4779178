"""Classes of which some are known. Kingma et al., arXiv:1406.5298."""

import math

import numpy as np
import tensorflow as tf

from tfgen._utils.tensors import check_indices, check_tensors, static_shape

__all__ = ["class_posterior"]


def class_posterior(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Class probabilities and their KL divergence: q(y|x) if the label y is missing, else y itself.

    KL(q(y) || p(y)) = ln K - H(q(y)) for K classes that are equally probable. If y is known, q(y)
    is one at y, and the KL divergence is ln K = -log p(y).

    Source: the terms of y in the bounds L and U of Kingma et al., arXiv:1406.5298v2 (equations not
    checked in the paper itself; published notes on it give the same).

    Args:
        logits: tensor, shape (batch, K), of q(y|x).
        labels: tensor of ints in [0, K), shape (batch,); negative where they are missing.

    Returns:
        Tuple of probabilities, shape (batch, K), and the KL divergence in nats, shape (batch,),
        from 0 to ln K.

    Raises:
        ValueError: if an argument has another shape or kind.

    Example:
        >>> probabilities, kl = class_posterior([[0.0, 0.0], [0.0, 0.0]], [-1, 1])
        >>> probabilities.numpy(), kl.numpy().round(3)
        (array([[0.5, 0.5],
               [0. , 1. ]], dtype=float32), array([0.   , 0.693], dtype=float32))
    """
    check_tensors(2, logits=logits)
    check_tensors(1, "ints", labels=labels)
    shape = static_shape(logits=logits)
    if shape.rank != 2 or not shape[:1].is_compatible_with(static_shape(labels=labels)):
        raise ValueError(
            "logits must have shape (batch, classes), and labels one for each row. Received: "
            f"logits of shape {shape} and labels of shape {static_shape(labels=labels)}."
        )
    num_classes = shape[1]
    check_indices(num_classes, labels=labels if tf.is_tensor(labels) else np.maximum(labels, 0))
    logits, labels = tf.convert_to_tensor(logits), tf.convert_to_tensor(labels)
    known = tf.one_hot(labels, num_classes, dtype=logits.dtype)
    probabilities = tf.where((labels < 0)[:, None], tf.nn.softmax(logits), known)
    negative_entropy = tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1)
    return probabilities, math.log(num_classes) + negative_entropy
