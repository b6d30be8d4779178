"""What all bijectors share, and how they combine. Papamakarios et al., arXiv:1912.02762v2."""

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import as_event_shape, as_numbers, check_size
from tfgen._utils.constructors import check_no_activity, taken
from tfgen._utils.typing import LayerOptions, Shape, TensorLike

__all__ = ["Bijector", "Chain", "Given", "Invert"]

Mapped: TypeAlias = tuple[tf.Tensor, tf.Tensor]
"""A point where a map sends another, and the log-determinant there."""

register = keras.saving.register_keras_serializable("tfgen")


def vector_size(event_shape: int | Shape) -> int:
    """Length of an event that must be a vector."""
    shape = as_event_shape(event_shape=event_shape)
    if len(shape) != 1:
        raise ValueError(
            "This bijector is over vectors, so event_shape must be an int or (size,). Received: "
            f"event_shape={shape}. Flatten the events, or use a coupling for images."
        )
    check_size(event_shape=shape[0])
    return shape[0]


def check_context(context: tf.Tensor | None, size: int) -> tf.Tensor:
    """`context` as a float32 tensor of shape (..., size)."""
    context = context if context is None else as_floats(context=context)
    if context is None or context.shape[-1:].as_list() != [size]:
        received = None if context is None else f"shape {tuple(context.shape)}"
        raise ValueError(
            f"A bijector with context_size={size} needs a context of shape (..., {size}). "
            f"Received: context of {received}. Pass forward(x, context), or set context_size=0 for "
            "a map without context."
        )
    return context


def check_hidden(hidden: Sequence[int]) -> None:
    """Raises ValueError unless `hidden` are units of hidden layers."""
    if not isinstance(hidden, list | tuple | np.ndarray):
        raise ValueError(
            f"hidden must be a sequence of ints, the units of the hidden layers. Received: hidden="
            f"{hidden!r}. Give (64, 64) for two layers."
        )
    check_size(**{f"hidden[{i}]": units for i, units in enumerate(hidden)})


def as_floats(**values: Any) -> tf.Tensor:
    """The one value as a float32 tensor, or ValueError."""
    ((name, value),) = values.items()
    try:
        return tf.cast(tf.convert_to_tensor(value), tf.float32)
    except (TypeError, ValueError, NotImplementedError, tf.errors.OpError) as error:
        raise ValueError(
            f"{name} must be a tensor of numbers. Received: {name} of type {type(value).__name__}, "
            "which holds something else, or rows of several lengths."
        ) from error


def bounded(values: tf.Tensor, bound: float | tf.Tensor) -> tf.Tensor:
    """`values` where they are near 0, and further out nearer to `bound` or -`bound`, smoothly.

    For logarithms of scales, which in float32 neither they nor a product of a few may leave.

    Example:
        >>> bounded(tf.constant([0.01, 100.0]), 5.0).numpy().round(4)
        array([0.01, 5.  ], dtype=float32)
    """
    return bound * tf.tanh(values / bound)


def leading_axes(ours: tf.TensorShape, theirs: tf.TensorShape) -> tf.TensorShape:
    """Static shape to which the leading axes of examples and contexts broadcast."""
    try:
        return tf.broadcast_static_shape(ours, tf.TensorShape(theirs))
    except ValueError as error:
        raise ValueError(
            "The leading axes of x or y, and those of the context, must broadcast together. "
            f"Received: examples of shape {ours}, and context of shape {theirs}, before their "
            "last axes. Give one context for each example."
        ) from error


def broadcast_to_context(
    x: tf.Tensor, context: tf.Tensor, event_rank: int = 1, context_rank: int = 1
) -> tf.Tensor:
    """`x` as float32, repeated along the leading axes that the context has and `x` has not.

    The map's image has these axes, and TensorFlow's loops want them from the start.

    Args:
        x: tensor, the last `event_rank` axes of which are an event's.
        context: tensor, the last `context_rank` axes of which are its own.
        event_rank: int.
        context_rank: int.

    Example:
        >>> broadcast_to_context(tf.zeros((8, 1, 2)), tf.zeros((5, 3))).shape
        TensorShape([8, 5, 2])
    """
    x = tf.cast(x, tf.float32)
    num_ours, num_theirs = len(x.shape) - event_rank, len(context.shape) - context_rank
    ours, theirs = x.shape[:num_ours], tf.TensorShape(context.shape[:num_theirs])
    static = leading_axes(ours, theirs)
    if ours.is_fully_defined() and ours == static:
        return x
    leading = tf.broadcast_dynamic_shape(tf.shape(x)[:num_ours], tf.shape(context)[:num_theirs])
    repeated = tf.broadcast_to(x, tf.concat([leading, tf.shape(x)[num_ours:]], axis=0))
    return tf.ensure_shape(repeated, static.concatenate(x.shape[num_ours:]))


def _events(event_shape, **values):
    """The one value as a float32 tensor whose last axes are an event's, or ValueError."""
    ((name, value),) = values.items()
    tensor = as_floats(**values)
    given, rank = tensor.shape, len(event_shape)
    if given.rank is None:
        return tensor
    if given.rank < rank or not given[given.rank - rank :].is_compatible_with(event_shape):
        raise ValueError(
            f"{name} must hold events of shape {event_shape}, so have a shape (..., "
            f"{', '.join(map(str, event_shape))}). Received: {name} of shape {given}."
        )
    return tensor


def _checked(name, map_):
    """The method `forward` or `inverse` of a class, behind a check of what it is given."""

    def forward(self, x, context=None):
        return map_(self, _events(self.event_shape, x=x), context)

    def inverse(self, y, context=None):
        return map_(self, _events(self.event_shape, y=y), context)

    return functools.wraps(map_)({"forward": forward, "inverse": inverse}[name])


class Bijector(keras.layers.Layer):
    """Base of the bijectors: a Keras layer that can be inverted and knows its Jacobian.

    As in TFP, `forward` leads from the base distribution to the data and `inverse` back, so that a
    flow's density is log p(y) = log p_base(x) + log|det dx/dy| with (x, log_det) = inverse(y).
    Both maps return their own log-determinant, from one evaluation of the networks inside.

    Source: Papamakarios et al., arXiv:1912.02762v2, Eq. 2 and 6.

    A subclass overrides `forward` and `inverse`; one without an inverse in closed form leaves that
    out; one that needs a context gives `context_shape`. All computations are in float32, whatever
    the precision policy.

    Args:
        event_shape: int or tuple, shape of one example; the same on both sides.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in {"forward", "inverse"} & set(vars(cls)):
            setattr(cls, name, _checked(name, vars(cls)[name]))

    def __init__(self, event_shape: int | Shape, **kwargs: Unpack[LayerOptions]) -> None:
        kwargs["dtype"] = kwargs.get("dtype") or keras.config.dtype_policy().variable_dtype
        super().__init__(**kwargs)
        check_no_activity(self, "A bijector, which maps both ways,")
        self.event_shape = as_event_shape(event_shape=event_shape)
        self.built = True

    @property
    def context_shape(self) -> Shape | None:
        """Shape of the context of one example, which the map needs; None for a map without."""
        return None

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        """The image of `x`.

        Args:
            x: tensor, shape (..., *event_shape).
            context: tensor, shape (..., context_size), what the map depends on besides; its leading
                axes and those of `x` broadcast together. Bijectors without a context ignore it.

        Returns:
            Tuple (y, log_det): y, shape (..., *event_shape), with the leading axes of both, and
            log_det = log|det dy/dx|, shape (...).
        """
        raise NotImplementedError

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        """The preimage of `y`: tuple (x, log_det), log_det = log|det dx/dy|; see `forward`."""
        raise NotImplementedError(
            f"{type(self).__name__} has no inverse in closed form: it can draw samples and give "
            "their density, as a posterior q(z|x) needs, but no density of other points. Use "
            "another bijector here."
        )

    def initialize(self, y: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        """Sets weights that depend on data from one batch; returns the preimage of `y`."""
        return self.inverse(y, context)[0]

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return self.forward(x, context)[0]

    def as_tfp(self, context: tf.Tensor | None = None) -> tfp.bijectors.Bijector:
        """This map for a fixed `context` as a `tfp.bijectors.Bijector`, for use with TFP.

        Example:
            >>> flow = Chain([])  # the identity
            >>> float(flow.as_tfp().forward(2.0))
            2.0
        """
        return _AsTFP(self, context)

    def no_log_det(self, x: tf.Tensor) -> tf.Tensor:
        """Zeros of the shape of a log-determinant, for maps that keep volumes."""
        return tf.zeros(tf.shape(x)[: tf.rank(x) - len(self.event_shape)])

    def sum_event(self, x: tf.Tensor) -> tf.Tensor:
        """Sum over the event's axes, shape (...)."""
        return tf.reduce_sum(x, axis=range(-len(self.event_shape), 0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **taken(type(self), event_shape=self.event_shape)}


def check_bijector(**values: Any) -> None:
    """Raises ValueError unless every value is a `Bijector`."""
    for name, value in values.items():
        if not isinstance(value, Bijector):
            raise ValueError(
                f"{name} must be a tfgen.bijectors.Bijector. Received: {name}={value!r}. Build one "
                "first; a class of your own inherits from Bijector."
            )


class CombinedBijector(Bijector):
    """A bijector made of others."""

    fixed = {"event_shape": "It is that of the bijectors."}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CombinedBijector":
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


@register
class Chain(CombinedBijector):
    """Bijectors one after the other; `forward` applies the first of them first.

    This is the reverse of `tfp.bijectors.Chain`, whose last bijector acts first. An empty chain is
    the identity on scalars.

    Args:
        bijectors: sequence of `Bijector`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if their event shapes or the shapes of their contexts differ, or one is not a
            `Bijector`.

    Example:
        >>> from tfgen.bijectors import ActNorm, Permute
        >>> chain = Chain([Permute(3), ActNorm(3)])
        >>> chain.forward(tf.constant([[1.0, 2.0, 3.0]]))[0].numpy()
        array([[3., 2., 1.]], dtype=float32)
    """

    def __init__(self, bijectors: Sequence[Bijector], **kwargs: Unpack[LayerOptions]) -> None:
        if not isinstance(bijectors, list | tuple):
            raise ValueError(
                f"bijectors must be a list of Bijector. Received: bijectors={bijectors!r}."
            )
        check_bijector(**{f"bijectors[{i}]": each for i, each in enumerate(bijectors)})
        shapes = [bijector.event_shape for bijector in bijectors]
        if len(set(shapes)) > 1:
            raise ValueError(
                "The bijectors of a Chain must have the same event_shape. Received: event shapes "
                f"{shapes}. Build them all for one shape."
            )
        super().__init__(shapes[0] if shapes else (), **kwargs)
        self.bijectors = list(bijectors)
        self._context_shape = _one_context_shape(bijectors)

    @property
    def context_shape(self) -> Shape | None:
        return self._context_shape

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        log_det = self.no_log_det(x)
        for bijector in self.bijectors:
            x, change = bijector.forward(x, context)
            log_det += change
        return x, log_det

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        log_det = self.no_log_det(y)
        for bijector in reversed(self.bijectors):
            y, change = bijector.inverse(y, context)
            log_det += change
        return y, log_det

    def initialize(self, y: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        for bijector in reversed(self.bijectors):
            y = bijector.initialize(y, context)
        return y

    def get_config(self) -> dict[str, Any]:
        bijectors = keras.saving.serialize_keras_object(self.bijectors)
        return {**super().get_config(), "bijectors": bijectors}


def _one_context_shape(bijectors):
    shapes = {bijector.context_shape for bijector in bijectors} - {None}
    if len(shapes) > 1:
        raise ValueError(
            "All bijectors of a Chain are given one context. Received: bijectors that need contexts"
            f" of shapes {sorted(shapes)}. Build them all for one shape."
        )
    return next(iter(shapes), None)


@register
class Invert(CombinedBijector):
    """A bijector the other way round: `forward` is its `inverse`.

    Args:
        bijector: `Bijector`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `bijector` is not a `Bijector`.

    Example:
        >>> from tfgen.bijectors import Sigmoid
        >>> Invert(Sigmoid(1)).forward(tf.constant([0.5]))[0].numpy()  # logit(0.5)
        array([0.], dtype=float32)
    """

    def __init__(self, bijector: Bijector, **kwargs: Unpack[LayerOptions]) -> None:
        check_bijector(bijector=bijector)
        super().__init__(bijector.event_shape, **kwargs)
        self.bijector = bijector

    @property
    def context_shape(self) -> Shape | None:
        return self.bijector.context_shape

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        return self.bijector.inverse(x, context)

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        return self.bijector.forward(y, context)

    def get_config(self) -> dict[str, Any]:
        bijector = keras.saving.serialize_keras_object(self.bijector)
        return {**super().get_config(), "bijector": bijector}


@register
class Given(CombinedBijector):
    """A bijector at one context, which all examples share: a map that needs none.

    Args:
        bijector: `Bijector` that needs a context.
        context: array of its `context_shape`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the context has another shape.

    Example:
        >>> from tfgen.bijectors import maf
        >>> y, _ = Given(maf(2, context_size=3), [1.0, 0.0, 0.0]).forward(tf.zeros((8, 2)))
        >>> y.shape
        TensorShape([8, 2])
    """

    def __init__(
        self, bijector: Bijector, context: TensorLike, **kwargs: Unpack[LayerOptions]
    ) -> None:
        check_bijector(bijector=bijector)
        super().__init__(bijector.event_shape, **kwargs)
        self.bijector = bijector
        self.context = as_numbers(context=context).astype("float32")
        if self.context.shape != bijector.context_shape:
            raise ValueError(
                f"The context of this bijector has shape {bijector.context_shape}. Received: "
                f"context of shape {self.context.shape}. Give one, for all examples."
            )

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        return self.bijector.forward(x, self.context)

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        return self.bijector.inverse(y, self.context)

    def initialize(self, y: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return self.bijector.initialize(y, self.context)

    def get_config(self) -> dict[str, Any]:
        bijector = keras.saving.serialize_keras_object(self.bijector)
        return {**super().get_config(), "bijector": bijector, "context": self.context.tolist()}


class _AsTFP(tfp.bijectors.Bijector):
    """A `Bijector` and a context as TFP knows them."""

    def __init__(self, bijector, context):
        parameters = dict(locals())
        self._bijector, self._context = bijector, context
        super().__init__(
            forward_min_event_ndims=len(bijector.event_shape),
            dtype=tf.float32,
            parameters=parameters,
            name=bijector.name,
        )

    def _forward(self, x):
        return self._bijector.forward(x, self._context)[0]

    def _forward_log_det_jacobian(self, x):
        return self._bijector.forward(x, self._context)[1]

    def _inverse(self, y):
        return self._bijector.inverse(y, self._context)[0]

    def _inverse_log_det_jacobian(self, y):
        return self._bijector.inverse(y, self._context)[1]
