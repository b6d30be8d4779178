"""Minibatch discrimination. Salimans et al., arXiv:1606.03498v1."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.replicas import whole_batch
from tfgen._utils.typing import LayerOptions

__all__ = ["MinibatchDiscrimination"]


@keras.saving.register_keras_serializable("tfgen")
class MinibatchDiscrimination(keras.layers.Layer):
    """Appends to the features of each example how close it is to the rest of its batch.

    Features f_i, shape (A,), become M_i = f_i T, shape (num_kernels, kernel_dim). For each kernel b
    the mean of exp(-||M_ib - M_jb||_1) over j != i is appended: 1 if all examples of the batch are
    equal, near 0 if they are far apart. A discriminator that sees these notices a generator that
    always makes the same image.

    Source: Salimans et al., arXiv:1606.03498v1, Sec. 3.2, its equations for c_b and o.
    Deviation: the mean over the others, where the paper has the sum over all j, i too, so that
    batches of another size look alike. With several replicas it is over all their examples.

    Args:
        num_kernels: int >= 1, features that are appended.
        kernel_dim: int >= 1, dimensions in which each of them measures distances.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (batch, A).

    Returns:
        Tensor, shape (batch, A + num_kernels). In a batch of one the appended features are 0.

    Raises:
        ValueError: if an argument is out of range, or `inputs` has other axes.

    Example:
        >>> MinibatchDiscrimination(2)(tf.ones((3, 4))).numpy()[0].tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self, num_kernels: int, kernel_dim: int = 5, **kwargs: Unpack[LayerOptions]
    ) -> None:
        check_size(num_kernels=num_kernels, kernel_dim=kernel_dim)
        super().__init__(**kwargs)
        self.num_kernels, self.kernel_dim = num_kernels, kernel_dim

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 2:
            raise ValueError(
                "inputs must have shape (batch, features). Received: inputs of shape "
                f"{tuple(input_shape)}. Put keras.layers.Flatten() before."
            )
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.num_kernels * self.kernel_dim), name="kernel"
        )

    def call(self, inputs: Any) -> Any:
        places = tf.matmul(inputs, tf.convert_to_tensor(self.kernel))
        places = tf.cast(tf.reshape(places, (-1, self.num_kernels, self.kernel_dim)), tf.float32)
        others = whole_batch(places)
        distances = tf.reduce_sum(tf.abs(places[:, None] - others[None]), axis=-1)
        num_others = tf.cast(tf.maximum(tf.shape(others)[0] - 1, 1), tf.float32)
        closeness = (tf.reduce_sum(tf.exp(-distances), axis=1) - 1.0) / num_others
        return tf.concat([inputs, tf.cast(closeness, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return (input_shape[0], input_shape[-1] + self.num_kernels)

    def get_config(self) -> dict[str, Any]:
        own = {"num_kernels": self.num_kernels, "kernel_dim": self.kernel_dim}
        return {**super().get_config(), **own}
