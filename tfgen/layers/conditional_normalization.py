"""Conditional batch normalization. Dumoulin et al., 2016; de Vries et al., 2017."""

from typing import Any

import keras
from typing_extensions import Unpack

from tfgen._utils.arguments import check_fractions, check_positive
from tfgen._utils.typing import LayerOptions

__all__ = ["ConditionalBatchNormalization"]


@keras.saving.register_keras_serializable("tfgen")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch normalization whose gain and shift are linear in a condition.

    y = (gain + W c) * normalized(x) + shift + V c, for each channel; gain begins at 1, shift, W and
    V at 0, so that it starts as `keras.layers.BatchNormalization`, in training and at inference.
    Mean and variance are those of the whole batch, whatever the conditions.

    Source: Dumoulin et al., ICLR 2017 (arXiv:1610.07629), Eq. 5, "conditional instance
    normalization", with a gain and a shift for each class; de Vries et al., arXiv:1707.00683
    (equations not checked), where they are functions of a vector, there with a hidden layer.
    Deviation: mean and variance are over the batch, not over each example.

    Args:
        momentum: float in [0, 1), of the averages that inference uses.
        epsilon: float > 0, added to the variance.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: [x, c], x of shape (batch, ..., channels) and c of shape (batch, k), for classes
            one-hot.
        training: bool, whether the moments are those of the batch.

    Returns:
        Tensor of the shape of x.

    Raises:
        ValueError: if an argument is out of range, or the inputs are not such a pair.

    Example:
        >>> layer = ConditionalBatchNormalization(epsilon=1e-5)
        >>> y = layer([keras.ops.array([[1.0], [3.0]]), keras.ops.eye(2)], training=True)
        >>> y.numpy().round(3).tolist()
        [[-1.0], [1.0]]
    """

    def __init__(
        self, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Unpack[LayerOptions]
    ) -> None:
        check_fractions(momentum=momentum)
        check_positive(epsilon=epsilon)
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape: Any) -> None:
        _check_pair(input_shape)
        x_shape, condition_shape = input_shape
        affine = {"center": False, "scale": False, "dtype": self.dtype_policy}
        self.normalize = keras.layers.BatchNormalization(-1, self.momentum, self.epsilon, **affine)
        self.gain, self.shift = (
            keras.layers.Dense(
                x_shape[-1],
                kernel_initializer="zeros",
                bias_initializer=initial,
                dtype=self.dtype_policy,
                name=name,
            )
            for name, initial in (("gain", "ones"), ("shift", "zeros"))
        )
        self.normalize.build(x_shape)
        self.gain.build(condition_shape)
        self.shift.build(condition_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, c = inputs
        shape = (-1, *[1] * (len(x.shape) - 2), x.shape[-1])
        gain, shift = (keras.ops.reshape(part(c), shape) for part in (self.gain, self.shift))
        return gain * self.normalize(x, training=training) + shift

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def _check_pair(shapes):
    is_pair = isinstance(shapes, list | tuple) and len(shapes) == 2
    ranks = [len(shape) if isinstance(shape, list | tuple) else 0 for shape in shapes]
    if not is_pair or ranks[0] < 2 or ranks[1] != 2:
        raise ValueError(
            "inputs must be a pair [x, c] of shapes (batch, ..., channels) and (batch, k). "
            f"Received: inputs of shape {shapes}. Give classes one-hot."
        )
