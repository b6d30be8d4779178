"""Bijectors that treat every element alike, and those that only move elements."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import as_numbers, check_fractions, check_size
from tfgen._utils.typing import LayerOptions, Shape
from tfgen.bijectors.bijector import Bijector, Mapped, register

__all__ = ["Permute", "Sigmoid"]

# Of a number near 1 in float32, and the smallest that has all digits.
_ROUNDING, _SMALLEST = 1e-6, float(np.finfo("float32").tiny)


@register
class Permute(Bijector):
    """Reorders the last axis: element i of the image is element `permutation[i]`.

    Between two maps that treat elements in an order, or that leave some unchanged.

    Args:
        event_shape: int or tuple, shape of one example.
        permutation: sequence of int, each of 0 to size - 1 once; the reverse order if None.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if it is not a permutation of the last axis.

    Example:
        >>> Permute(3).forward(tf.constant([1.0, 2.0, 3.0]))[0].numpy()
        array([3., 2., 1.], dtype=float32)
    """

    def __init__(
        self,
        event_shape: int | Shape,
        permutation: Sequence[int] | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(event_shape, **kwargs)
        check_size(**{"event_shape[-1]": (self.event_shape or (None,))[-1]})
        order = list(range(self.event_shape[-1]))
        given = order[::-1] if permutation is None else permutation
        self.permutation = as_numbers(permutation=given).tolist()
        if np.ndim(given) != 1 or sorted(self.permutation) != order:
            raise ValueError(
                f"Expected a permutation of 0 to {order[-1]}, the indices of the last axis of "
                f"events of shape {self.event_shape}. Received: permutation={permutation}. Use "
                f"each index once, as np.random.default_rng(seed).permutation({len(order)}) does."
            )

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        return tf.gather(x, list(self.permutation), axis=-1), self.no_log_det(x)

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        return tf.gather(y, np.argsort(self.permutation), axis=-1), self.no_log_det(y)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "permutation": list(self.permutation)}


@register
class Sigmoid(Bijector):
    """From the reals to data in [0, 1]; its inverse is the logit transform.

    x = logit(alpha + (1 - 2 alpha) y), so that data of exactly 0 and 1 stay finite; latents beyond
    logit(alpha) and logit(1 - alpha) give data a little below 0 or above 1. Float32 cannot tell a
    sigmoid from 1 beyond 17: what is sent there comes back as some value beyond it, at most 88.

    Source: Papamakarios, Pavlakou & Murray, arXiv:1705.07057v4, App. D; Dinh et al.,
    arXiv:1605.08803v3, Sec. 4.1.

    Args:
        event_shape: int or tuple, shape of one example.
        alpha: float, 0 <= alpha < 0.5.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `alpha` is out of range.

    Example:
        >>> x, log_det = Sigmoid(2).inverse(tf.constant([0.5, 0.5]))
        >>> x.numpy(), round(float(log_det), 3)  # the slope of logit at 1/2 is 4: 2 ln 4
        (array([0., 0.], dtype=float32), 2.773)
    """

    def __init__(
        self, event_shape: int | Shape, alpha: float = 1e-6, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(event_shape, **kwargs)
        check_fractions("1e-6 keeps data of 0 and 1 finite.", alpha=alpha)
        if alpha >= 0.5:
            raise ValueError(
                f"alpha must be from 0 to below 0.5. Received: alpha={alpha}. 1e-6 keeps data of 0 "
                "and 1 finite."
            )
        self.alpha = alpha

    def _log_det(self, log_share, log_rest):
        """Of `forward`, given log sigmoid(x) and log sigmoid(-x)."""
        return self.sum_event(log_share + log_rest - math.log1p(-2 * self.alpha))

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        y = (tf.sigmoid(x) - self.alpha) / (1 - 2 * self.alpha)
        return y, self._log_det(tf.math.log_sigmoid(x), tf.math.log_sigmoid(-x))

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        # Both shares apart, since 1 - share has lost its digits where y is near 1.
        shares = self.alpha + (1 - 2 * self.alpha) * tf.stack([y, 1 - y])
        # A sigmoid that was rounded to 0 or 1 may now be as far outside; data beyond give NaN.
        shares = tf.where(shares > -_ROUNDING, tf.maximum(shares, _SMALLEST), shares)
        log_share, log_rest = tf.unstack(tf.math.log(shares))
        return log_share - log_rest, -self._log_det(log_share, log_rest)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}
