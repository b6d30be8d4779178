"""Spectral normalization. Miyato et al., arXiv:1802.05957v1."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_ints
from tfgen._utils.typing import LayerOptions

__all__ = ["SpectralNormalization"]


def _normalized(x):
    return tf.math.l2_normalize(x, epsilon=1e-30)


@keras.saving.register_keras_serializable("tfgen")
class SpectralNormalization(keras.layers.Wrapper):
    """Divides the kernel of a layer by an estimate of its largest singular value, in each call.

    The kernel W is treated as a matrix, shape (inputs, units); the inputs of a convolution are all
    pixels under its window and their channels. The layer keeps unit vectors u and v, computes
    sigma(W) = v W u, and uses the kernel W / sigma(W); W itself is unchanged. A call with
    training=True first moves u towards the first singular vector, by `power_iterations` steps
    u = W^T W u / ||W^T W u||; in every call v = W u / ||W u||.

    The gradient passes through sigma, so that it has no part along v u^T: d sigma / d W = v u^T,
    whence d W / sigma = (dW - (v dW u) W / sigma) / sigma. `keras.layers.SpectralNormalization`
    overwrites W by W / sigma, which leaves the second term out.

    Source: Miyato et al., arXiv:1802.05957v1, Eq. 8; its gradient Eq. 9 to 12.
    Deviation: v is computed once more after u has moved, so that calls with and without training
    that follow each other have the same kernel.

    Args:
        layer: a layer with a `kernel`, such as `keras.layers.Dense` or `keras.layers.Conv2D`.
        power_iterations: int >= 1, for each call with training=True.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: what `layer` takes.
        training: bool, whether u moves.

    Returns:
        What `layer` returns.

    Raises:
        ValueError: if `layer` is not a layer or, once built, has no kernel, or `power_iterations`
            is out of range.

    Example:
        >>> dense = SpectralNormalization(keras.layers.Dense(2, use_bias=False))
        >>> _ = dense.build((None, 2)), dense.layer.kernel.assign([[8.0, 0.0], [0.0, 4.0]])
        >>> for _ in range(20):
        ...     y = dense(tf.ones((1, 2)), training=True)
        >>> [round(float(value), 4) for value in y[0]]
        [1.0, 0.5]
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        power_iterations: int = 1,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_ints(1, power_iterations=power_iterations)
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                f"layer must be a layer with a kernel, such as Dense. Received: layer={layer!r}."
            )
        super().__init__(layer, **kwargs)
        self.power_iterations = power_iterations

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if not hasattr(self.layer, "kernel"):
            raise ValueError(
                "layer must have a kernel to normalize, such as Dense or Conv2D. Received: layer="
                f"{self.layer.name!r}, a {type(self.layer).__name__}."
            )
        self.u = self.add_weight(
            shape=(self.layer.kernel.shape[-1],),
            initializer="random_normal",
            trainable=False,
            aggregation="only_first_replica",
            autocast=False,
            name="u",
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            self.u.assign(self._moved(tf.stop_gradient(self._matrix())))
        # All variables, since a scope hides one around it.
        values = [(v, v) for v in self.layer.variables]
        normalized = (self.layer.kernel, self.normalized_kernel())
        with keras.StatelessScope([*values, normalized]):
            return self.layer(inputs)

    def normalized_kernel(self) -> tf.Tensor:
        """W / sigma(W), the kernel that the layer has in a call."""
        matrix = self._matrix()
        return tf.reshape(matrix / self._sigma(matrix), self.layer.kernel.shape)

    def _matrix(self):
        """W, shape (inputs, units)."""
        kernel = tf.cast(tf.convert_to_tensor(self.layer.kernel), self.u.dtype)
        return tf.reshape(kernel, (-1, kernel.shape[-1]))

    def _moved(self, matrix):
        """u after the power iterations."""
        u = tf.convert_to_tensor(self.u)
        for _ in range(self.power_iterations):
            v = _normalized(tf.linalg.matvec(matrix, u))
            u = _normalized(tf.linalg.matvec(matrix, v, transpose_a=True))
        return u

    def _sigma(self, matrix):
        """v W u, through which the gradient passes to W alone; 1 where W is 0."""
        u = _normalized(tf.convert_to_tensor(self.u))
        image = tf.linalg.matvec(matrix, u)
        v = tf.stop_gradient(_normalized(image))
        sigma = tf.tensordot(v, image, 1)
        return tf.where(sigma > 0, sigma, 1.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}
