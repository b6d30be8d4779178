"""Keras' Adam through TensorFlow's own kernel."""

import functools

import keras
import tensorflow as tf

from tfgen._utils import keras_private

__all__ = ["fuse"]


def fuse(optimizer: keras.optimizers.Optimizer) -> None:
    """Lets a plain `keras.optimizers.Adam` update each variable in one pass over memory.

    Keras computes the same update in a dozen operations, each of which reads and writes all
    weights. Config, state and saved files are unchanged, and the weights agree to float32
    rounding. Other optimizers, subclasses and AMSGrad stay as they are.

    Source: Kingma & Ba, arXiv:1412.6980v9, Algorithm 1, in the order of its Sec. 2.

    Args:
        optimizer: Keras optimizer.

    Example:
        >>> optimizer = keras.optimizers.Adam(1e-3)
        >>> fuse(optimizer)
        >>> variable = keras.Variable([1.0])
        >>> optimizer.apply([tf.constant([0.5])], [variable])
        >>> round(float(variable[0]), 6)
        0.999
    """
    if type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad:
        optimizer.update_step = functools.partial(_update_step, optimizer)


def _update_step(self, gradient, variable, learning_rate):
    """`keras.optimizers.Adam.update_step`, which sparse gradients still take."""
    if isinstance(gradient, tf.IndexedSlices):
        return keras.optimizers.Adam.update_step(self, gradient, variable, learning_rate)
    momentum, velocity = keras_private.adam_state(self, variable)
    step = tf.cast(self.iterations + 1, variable.dtype)
    beta_1, beta_2 = (tf.constant(b, variable.dtype) for b in (self.beta_1, self.beta_2))
    return tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=momentum.value.handle,
        v=velocity.value.handle,
        beta1_power=beta_1**step,
        beta2_power=beta_2**step,
        lr=tf.cast(learning_rate, variable.dtype),
        beta1=beta_1,
        beta2=beta_2,
        epsilon=self.epsilon,
        grad=tf.cast(gradient, variable.dtype),
    )
