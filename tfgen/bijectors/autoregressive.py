"""Masked autoregressive flows and their inverse.

Papamakarios, Pavlakou & Murray, arXiv:1705.07057v4 (MAF); Kingma et al., arXiv:1606.04934v2 (IAF);
Germain et al., arXiv:1502.03509v2 (MADE).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_activation, check_flags, check_positive, check_size
from tfgen._utils.typing import Activation, LayerOptions, Shape
from tfgen.bijectors.bijector import (
    Bijector,
    Chain,
    Invert,
    Mapped,
    bounded,
    broadcast_to_context,
    check_context,
    check_hidden,
    leading_axes,
    register,
    vector_size,
)
from tfgen.bijectors.elementwise import Permute
from tfgen.bijectors.glow import ActNorm

__all__ = ["MADE", "MaskedAutoregressive", "iaf", "maf"]

# Added to a gate's logit: gates start at 0.82, as open as the IAF paper advises (Sec. 4).
_GATE_BIAS = 1.5


class _MaskedDense(keras.layers.Dense):
    """Dense layer some of whose weights are 0 for ever.

    Args:
        mask: array of 0 and 1, shape (inputs, units).
        **kwargs: arguments of `keras.layers.Dense`.
    """

    def __init__(self, mask, **kwargs):
        super().__init__(mask.shape[1], **kwargs)
        self.mask = mask.astype("float32")
        self.build((None, len(mask)))
        self.input_spec = None  # Also a single vector.

    def call(self, x):
        return keras.ops.matmul(x, self.kernel * self.mask) + self.bias


@keras.saving.register_keras_serializable("tfgen")
class MADE(keras.layers.Layer):
    """Masked network whose outputs for element i depend on the elements before i only.

    Every hidden unit has a degree m, the last element that it sees, spread evenly from 1 to
    `size` - 1 (from 0, that is the context alone, if there is one), so that the outputs of element
    i are made of units of degrees below i. The context enters each hidden layer unmasked.

    Source: Germain et al., arXiv:1502.03509v2, Eq. 8, 9 and 13, without direct connections.
    Deviation: degrees are fixed, not drawn.

    Args:
        size: int, length of the vectors.
        num_parameters: int, outputs for every element.
        hidden: sequence of int, units of the hidden layers.
        activation: Keras activation of the hidden layers.
        context_size: int, size of the context; 0 for none.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        x: tensor, shape (..., size).
        terms: what `condition(context)` returned; needed if there is a context.

    Returns:
        Tensor, shape (..., size * num_parameters): the first outputs of all elements, then the
        second ones, and so on; zeros before training.

    Example:
        >>> MADE(3)(tf.zeros((8, 3))).shape
        TensorShape([8, 6])
    """

    def __init__(
        self,
        size: int,
        num_parameters: int = 2,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "elu",
        context_size: int = 0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        check_size(size=size, num_parameters=num_parameters)
        check_size(0, context_size=context_size)
        check_hidden(hidden)
        check_activation(activation=activation)
        self.size, self.num_parameters, self.hidden = size, num_parameters, tuple(hidden)
        self.activation = keras.activations.get(activation)
        self.context_size = context_size
        *inner, last = masks(size, num_parameters, self.hidden, bool(context_size))
        dtype = self.dtype_policy
        self.dense = [_MaskedDense(mask, dtype=dtype) for mask in inner]
        self.last = _MaskedDense(last, kernel_initializer="zeros", dtype=dtype)
        widths = self.hidden if context_size else ()
        self.context_dense = [keras.layers.Dense(w, use_bias=False, dtype=dtype) for w in widths]
        for layer in self.context_dense:
            layer.build((None, context_size))
            layer.input_spec = None
        self.built = True

    def condition(self, context: tf.Tensor | None) -> list[tf.Tensor]:
        """What the context adds to each hidden layer: a list of tensors, empty without context."""
        if not self.context_size:
            return []
        context = check_context(context, self.context_size)
        return [dense(context) for dense in self.context_dense]

    def call(self, x: tf.Tensor, terms: Sequence[tf.Tensor] | None = None) -> tf.Tensor:
        terms = terms or self.condition(None) or [0.0] * len(self.dense)
        for dense, term in zip(self.dense, terms, strict=True):
            x = self.activation(dense(x) + term)
        return self.last(x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "num_parameters": self.num_parameters,
            "hidden": self.hidden,
            "activation": keras.activations.serialize(self.activation),
            "context_size": self.context_size,
        }


def masks(
    size: int, num_parameters: int, hidden: Sequence[int], with_context: bool = False
) -> list[np.ndarray]:
    """Masks of a MADE's layers, from the inputs on; see `MADE`.

    Args:
        size: int, length of the vectors.
        num_parameters: int, outputs for every element.
        hidden: sequence of int, units of the hidden layers.
        with_context: bool, whether units that see no element are of use.

    Returns:
        List of Boolean arrays, shapes (inputs, units).

    Example:
        >>> [mask.astype(int).tolist() for mask in masks(2, 1, [1])]
        [[[1], [0]], [[0, 1]]]
    """
    lowest = 0 if with_context else min(1, size - 1)
    degrees = [
        np.arange(1, size + 1),
        *(np.linspace(lowest, size - 1, units).round() for units in hidden),
        np.tile(np.arange(size), num_parameters),
    ]
    return [a[:, None] <= b for a, b in itertools.pairwise(degrees)]


@register
class MaskedAutoregressive(Bijector):
    """Scales and shifts each element by functions of the elements before it, from a masked network.

    forward: y_i = x_i exp(s_i) + m_i with (m, s) = MADE(y, context), where s_i and m_i depend on
    y_1 to y_{i-1}. `inverse` is one pass of the network, so densities of data are fast (MAF);
    `forward` takes as many passes as there are elements. `Invert` swaps the two, so that drawing is
    fast, and so is the density of what was drawn (IAF): a posterior q(z|x) of T steps is
    Chain([Invert(MaskedAutoregressive(d, context_size=c, gated=True)), Permute(d), ...]), or in
    short `iaf(d, T, context_size=c)`.

    With `gated` the inverse is IAF's stable form, x = g y + (1 - g) m with gates g = sigmoid(s +
    1.5), which only contracts: good for posteriors that start from a normal distribution, not for
    densities of data, where scales may grow too.

    What the network gives for s is bounded smoothly, s = b tanh(s / b) with b = `max_log_scale`, as
    networks extrapolate: without a bound one draw from the tail may be larger than float32 holds.

    Source: Papamakarios et al., arXiv:1705.07057v4, Eq. 3 to 5; Kingma et al., arXiv:1606.04934v2,
    Algorithm 1.
    Deviation: the bound, in the form of Dinh et al., arXiv:1605.08803v3, Sec. 4.1.

    Args:
        event_shape: int or tuple (d,), shape of one example.
        hidden: sequence of int, units of the network's hidden layers; with less than d - 1 some
            elements do not see all that come before them.
        activation: Keras activation of the hidden layers.
        context_size: int, size of the context, which enters all hidden layers; 0 for none.
        gated: bool, gates instead of a scale.
        max_log_scale: float > 0, bound b of the network's s; None for none, which is what files
            saved by version 0.1.0 have.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the event is not a vector, the bound is not positive, or the context is
            missing or of another size.

    Example:
        >>> flow = MaskedAutoregressive(4, hidden=(16, 16), context_size=3)
        >>> x, log_det = flow.inverse(tf.zeros((5, 8, 4)), tf.ones((8, 3)))
        >>> x.shape, log_det.shape
        (TensorShape([5, 8, 4]), TensorShape([5, 8]))
    """

    def __init__(
        self,
        event_shape: int | Shape,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "elu",
        context_size: int = 0,
        gated: bool = False,
        max_log_scale: float | None = 5.0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(event_shape, **kwargs)
        size = vector_size(event_shape)
        if max_log_scale is not None:
            check_positive("5 bounds scales by 150; None is no bound.", max_log_scale=max_log_scale)
        check_flags(gated=gated)
        self.gated, self.max_log_scale = gated, max_log_scale
        self.made = MADE(size, 2, hidden, activation, context_size, dtype=self.dtype_policy)

    @property
    def context_shape(self) -> Shape | None:
        return (self.made.context_size,) if self.made.context_size else None

    def _parameters(self, y, terms):
        """Tuple (shift, log_scale): y = shift + x exp(log_scale)."""
        shift, raw = tf.split(self.made(y, terms), 2, axis=-1)
        raw = raw if self.max_log_scale is None else bounded(raw, self.max_log_scale)
        if not self.gated:
            return shift, raw
        # x = g y + (1 - g) m with odds g / (1 - g) of exp(logit).
        logit = raw + _GATE_BIAS
        return -shift * tf.exp(-logit), tf.math.softplus(-logit)

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x, terms = tf.convert_to_tensor(x), self.made.condition(context)
        x = broadcast_to_context(x, terms[0]) if terms else x
        elements = tf.range(self.made.size)

        def fill(i, y, _):
            shift, log_scale = self._parameters(y, terms)
            # Only element i, since others are not yet right, and might overflow.
            y = tf.where(elements == i, shift + x * tf.exp(log_scale), y)
            return i + 1, y, log_scale

        _, y, log_scale = tf.while_loop(
            lambda i, *_: i < self.made.size,
            fill,
            (0, tf.zeros_like(x), tf.zeros_like(x)),
            maximum_iterations=self.made.size,
        )
        return y, tf.reduce_sum(log_scale, axis=-1)

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        terms = self.made.condition(context)
        if terms:
            leading_axes(y.shape[:-1], terms[0].shape[:-1])
        shift, log_scale = self._parameters(y, terms)
        return (y - shift) * tf.exp(-log_scale), -tf.reduce_sum(log_scale, axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = self.made.get_config()
        ours = {key: config[key] for key in ("hidden", "activation", "context_size")}
        own = {"gated": self.gated, "max_log_scale": self.max_log_scale}
        return {**super().get_config(), **ours, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MaskedAutoregressive":
        return cls(**{"max_log_scale": None, **config})


def _alternate(steps):
    """Chain of the steps, each a list, with the order of elements reversed between each two."""
    reversal = Permute(steps[0][0].event_shape)
    return Chain([part for step in steps for part in (*step, reversal)][:-1])


def iaf(
    event_shape: int | Shape,
    num_steps: int = 4,
    hidden: Sequence[int] = (64, 64),
    context_size: int = 0,
    activation: Activation = "elu",
) -> Chain:
    """Inverse autoregressive flow: fast to draw from, with gates, for posteriors q(z|x).

    Source: Kingma et al., arXiv:1606.04934v2, Algorithm 1; the order of elements is reversed
    between steps, Sec. 4.

    Args:
        event_shape: int or tuple (d,), shape of z.
        num_steps: int >= 1, steps T.
        hidden: sequence of int, units of each network's hidden layers.
        context_size: int, size of the context, the encoder's features h; 0 for none.
        activation: Keras activation of the hidden layers.

    Returns:
        `Chain`.

    Example:
        >>> z, log_det = iaf(4, context_size=3).forward(tf.zeros((8, 4)), tf.ones((8, 3)))
        >>> z.shape, log_det.shape
        (TensorShape([8, 4]), TensorShape([8]))
    """
    check_size(num_steps=num_steps)
    steps = [
        [Invert(MaskedAutoregressive(event_shape, hidden, activation, context_size, gated=True))]
        for _ in range(num_steps)
    ]
    return _alternate(steps)


def maf(
    event_shape: int | Shape,
    num_steps: int = 4,
    hidden: Sequence[int] = (64, 64),
    context_size: int = 0,
    activation: Activation = "relu",
    normalize: bool = True,
    max_log_scale: float | None = 3.0,
) -> Chain:
    """Masked autoregressive flow: fast densities, for data.

    Source: Papamakarios et al., arXiv:1705.07057v4, Sec. 3.1 and, for normalization, 3.3.
    Deviation: `ActNorm` in place of batch normalization, whose maps differ in training and after.

    Args:
        event_shape: int or tuple (d,), shape of one example.
        num_steps: int >= 1, autoregressive models one after the other.
        hidden: sequence of int, units of each network's hidden layers.
        context_size: int, size of the context; 0 for none.
        activation: Keras activation of the hidden layers.
        normalize: bool, whether what each model is given is normalized by an `ActNorm`, which the
            first batch sets; the data are given to the last of them.
        max_log_scale: float > 0, as in `MaskedAutoregressive`. Normalized data need scales of 20 at
            most; larger ones gave longer tails than the data have, and a worse density.

    Returns:
        `Chain`, for `tfgen.models.NormalizingFlow`.

    Example:
        >>> x, log_det = maf(4).inverse(tf.zeros((8, 4)))
        >>> x.shape, log_det.shape
        (TensorShape([8, 4]), TensorShape([8]))
    """
    check_size(num_steps=num_steps)
    check_flags(normalize=normalize)
    steps = [
        [
            MaskedAutoregressive(
                event_shape, hidden, activation, context_size, max_log_scale=max_log_scale
            ),
            *([ActNorm(event_shape)] if normalize else []),
        ]
        for _ in range(num_steps)
    ]
    return _alternate(steps)
