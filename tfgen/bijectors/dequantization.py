"""Noise that makes whole numbers a continuum. Ho et al., arXiv:1902.00275v2."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import (
    as_event_shape,
    check_fractions,
    check_ints,
    check_positive,
)
from tfgen._utils.constructors import taken
from tfgen._utils.typing import LayerOptions, Seed, Shape
from tfgen.bijectors.bijector import Bijector, check_bijector, register

__all__ = ["UniformDequantization", "VariationalDequantization", "dequantized_logit"]

# Least noise: uniform draws are multiples of twice as much, and 0 has no logit.
SMALLEST_DRAW = 2.0**-24
# Whole numbers of a pipeline went through a division and a product in float32.
ROUNDING = 1e-3


def dequantized_logit(
    x: tf.Tensor, u: tf.Tensor, num_values: int = 256, alpha: float = 1e-5
) -> tuple[tf.Tensor, tf.Tensor]:
    """y = logit(alpha / 2 + (1 - alpha) v) of v = (x + u) / num_values, from (0, 1) to the reals.

    Source: Dinh et al., arXiv:1605.08803v3, Sec. 4.1, in the form of the UvA Deep Learning
    Tutorial 11: alpha keeps y finite where v is 0 or 1.

    Args:
        x: tensor, whole numbers from 0 to num_values - 1.
        u: tensor like `x`, noise from 0 to 1.
        num_values: int.
        alpha: float in (0, 1).

    Returns:
        Tuple (y, log_slope), tensors like `x`; log_slope = log|dy/du|, elementwise.

    Example:
        >>> y, log_slope = dequantized_logit(tf.constant(0.0), tf.constant(1.0), num_values=2)
        >>> float(y), round(float(tf.exp(log_slope)), 4)  # the slope of logit at 1/2 is 4
        (0.0, 2.0)
    """
    scale = (1 - alpha) / num_values
    below = alpha / 2 + scale * (x + u)
    above = alpha / 2 + scale * ((num_values - 1 - x) + (1 - u))  # 1 - below, more exactly.
    log_below, log_above = tf.math.log(below), tf.math.log(above)
    return log_below - log_above, math.log(scale) - log_below - log_above


@register
class UniformDequantization(keras.layers.Layer):
    """Adds uniform noise to whole numbers and maps them to the reals.

    A density p(y) of what it returns gives log P(x) >= E_q(u|x)[log p(y) + log|dy/du| - log q(u|x)]
    with the noise u in (0, 1) from q, here uniform, and y of `dequantized_logit`.

    Source: Theis, van den Oord & Bethge, arXiv:1511.01844v3, Sec. 3.1; Ho et al.,
    arXiv:1902.00275v2, Eq. 10 and 12.

    Args:
        event_shape: int or tuple, shape of one example.
        num_values: int >= 2, data are 0 to num_values - 1: 256 for 8-bit images.
        alpha: float in (0, 1), see `dequantized_logit`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `num_values` or `alpha` is out of range.

    Example:
        >>> dequantization = UniformDequantization((28, 28, 1))
        >>> y, log_weight = dequantization.dequantize(tf.zeros((8, 28, 28, 1)), seed=[0, 1])
        >>> y.shape, log_weight.shape
        (TensorShape([8, 28, 28, 1]), TensorShape([8]))
    """

    def __init__(
        self,
        event_shape: int | Shape,
        num_values: int = 256,
        alpha: float = 1e-5,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        kwargs["dtype"] = kwargs.get("dtype") or keras.config.dtype_policy().variable_dtype
        super().__init__(**kwargs)
        check_ints(2, "8-bit images have 256 values.", num_values=num_values)
        check_fractions("1e-5 keeps the logit of 0 and 1 finite.", alpha=alpha)
        check_positive("1e-5 keeps the logit of 0 and 1 finite.", alpha=alpha)
        self.event_shape = as_event_shape(event_shape=event_shape)
        self.num_values, self.alpha = num_values, alpha
        self.built = True

    def check(self, x: np.ndarray) -> None:
        """Raises ValueError unless `x`, an array, holds whole numbers from 0 to num_values - 1."""
        highest = self.num_values - 1
        whole = np.abs(x - np.round(x)).max() <= ROUNDING
        if not whole or x.min() < -ROUNDING or x.max() > highest + ROUNDING:
            raise ValueError(
                f"Dequantization expects whole numbers from 0 to {highest}. Received: "
                f"{'whole' if whole else 'broken'} numbers from {x.min():g} to {x.max():g}. Load "
                f"the data with datasets.load(..., value_range=(0, {highest})), or set num_values "
                "to the number of grey values."
            )

    def noise(self, x: tf.Tensor, seed: Seed) -> tuple[tf.Tensor, tf.Tensor]:
        """One draw of u from q(u|x), and log q(u|x), shape (...)."""
        # As TensorFlow's own draws from [SMALLEST_DRAW, 1).
        u = SMALLEST_DRAW + (1 - SMALLEST_DRAW) * random.uniform(tf.shape(x), seed)
        return u, self.sum_event(tf.zeros_like(x))

    def dequantize(self, x: tf.Tensor, seed: Seed) -> tuple[tf.Tensor, tf.Tensor]:
        """One draw of y, and what it adds to log p(y) in an estimate of log P(x).

        Args:
            x: tensor, shape (..., *event_shape).
            seed: stateless seed, shape (2,).

        Returns:
            Tuple (y, log_weight): y like `x`; log_weight = log|dy/du| - log q(u|x), in nats, shape
            (...), with exp(log p(y) + log_weight) an unbiased estimate of P(x).
        """
        x = tf.round(x)
        u, log_q = self.noise(x, seed)
        y, log_slope = dequantized_logit(x, u, self.num_values, self.alpha)
        return y, self.sum_event(log_slope) - log_q

    def middle(self, x: tf.Tensor) -> tf.Tensor:
        """y without noise: that of u = 1/2."""
        x = tf.round(x)
        return dequantized_logit(x, 0.5 * tf.ones_like(x), self.num_values, self.alpha)[0]

    def requantize(self, y: tf.Tensor) -> tf.Tensor:
        """The whole numbers, as floats, whose noise gives `y`; the nearest if there are none."""
        v = (tf.sigmoid(y) - self.alpha / 2) / (1 - self.alpha)
        return tf.clip_by_value(tf.floor(self.num_values * v), 0, self.num_values - 1)

    def sum_event(self, x: tf.Tensor) -> tf.Tensor:
        """Sum over the event's axes, shape (...)."""
        return tf.reduce_sum(x, axis=range(-len(self.event_shape), 0))

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "num_values": self.num_values, "alpha": self.alpha}
        return {**config, **taken(type(self), event_shape=self.event_shape)}


@register
class VariationalDequantization(UniformDequantization):
    """Adds noise from a flow that is conditioned on the data.

    u = sigmoid(f(logit(e), x)) with uniform e and a bijector f whose context is the data, scaled to
    [-1, 1]; it is trained with the flow over y. With the identity as f it is uniform.

    Source: Ho et al., arXiv:1902.00275v2, Eq. 11 to 13, with a logistic instead of a normal base as
    in the UvA Deep Learning Tutorial 11.

    Args:
        bijector: `Bijector` over one example, which takes a context of the same shape.
        num_values: int >= 2, see `UniformDequantization`.
        alpha: float in (0, 1), see `dequantized_logit`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `bijector` is not such a `Bijector`, or a number is out of range.

    Example:
        >>> from tfgen.networks import variational_dequantization
        >>> dequantization = variational_dequantization((8, 8, 1), width=4, num_values=17)
        >>> y, log_weight = dequantization.dequantize(tf.zeros((2, 8, 8, 1)), seed=[0, 1])
        >>> y.shape, log_weight.shape
        (TensorShape([2, 8, 8, 1]), TensorShape([2]))
    """

    fixed = {"event_shape": "It is that of the bijector."}

    def __init__(
        self,
        bijector: Bijector,
        num_values: int = 256,
        alpha: float = 1e-5,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_bijector(bijector=bijector)
        super().__init__(bijector.event_shape, num_values, alpha, **kwargs)
        self.bijector = bijector

    def noise(self, x: tf.Tensor, seed: Seed) -> tuple[tf.Tensor, tf.Tensor]:
        e, _ = super().noise(x, seed)
        logit = tf.math.log(e) - tf.math.log1p(-e)
        context = 2 * x / (self.num_values - 1) - 1
        y, log_det = self.bijector.forward(logit, context)
        slopes = _log_sigmoid_slope(y) - _log_sigmoid_slope(logit)
        return tf.sigmoid(y), -log_det - self.sum_event(slopes)

    def get_config(self) -> dict[str, Any]:
        bijector = keras.saving.serialize_keras_object(self.bijector)
        return {**super().get_config(), "bijector": bijector}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "VariationalDequantization":
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


def _log_sigmoid_slope(y):
    return -tf.nn.softplus(y) - tf.nn.softplus(-y)
