"""Distributions through normalizing flows. Rezende & Mohamed, arXiv:1505.05770v6."""

from typing import Any, Protocol

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.arguments import check_ints
from tfgen._utils.tensors import check_distributions, check_tensors
from tfgen._utils.typing import LayerOptions, Shape
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionLayer,
    DistributionOptions,
    register,
)
from tfgen.layers.independent import IndependentNormal
from tfgen.layers.parameters import as_shape, checked_params, event_size
from tfgen.layers.priors import Encoder, Prior, StandardNormal

__all__ = ["FlowDistribution", "FlowNormal", "FlowPrior"]


class BijectorLayer(Protocol):
    """What is asked of a bijector: `tfgen.bijectors.Bijector` is one."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of what it maps."""

    def forward(self, x: tf.Tensor, context: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """The image of x, and the log-determinant there."""

    def inverse(self, y: tf.Tensor, context: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """The point that is sent to y, and the inverse's log-determinant there."""


class FlowDistribution(tfd.Distribution):
    """Distribution of y = bijector.forward(x) for draws x of a base distribution.

    It is `tfd.TransformedDistribution` for the bijectors of `tfgen.bijectors`. The density of a
    draw that it has just made needs no inverse, so that maps without one can be posteriors.

    Args:
        base: `tfd.Distribution`.
        bijector: `tfgen.bijectors.Bijector` over its events.
        context: tensor, shape (batch, context_size), for the bijector.
        context_size: int or None; needed where the rank of `context` is not known.

    Raises:
        TypeError: if `base` is not a distribution.
        ValueError: if `bijector` is not a bijector, or `context` is not a tensor of floats.

    Example:
        >>> from tfgen.bijectors import Permute
        >>> base = tfd.MultivariateNormalDiag([0.0, 5.0])
        >>> FlowDistribution(base, Permute(2)).log_prob([5.0, 0.0]).numpy().round(3)
        np.float32(-1.838)
    """

    def __init__(
        self,
        base: tfd.Distribution,
        bijector: BijectorLayer,
        context: tf.Tensor | None = None,
        context_size: int | None = None,
        name: str = "FlowDistribution",
    ) -> None:
        parameters = dict(locals())
        check_distributions(base=base)
        check_bijector(bijector)
        if context is not None:
            check_tensors(1, context=context)
        self.base, self.bijector, self.context = base, bijector, context
        self.context_size = context_size
        self._last_draw = (None, None, None)
        super().__init__(
            dtype=base.dtype,
            reparameterization_type=base.reparameterization_type,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape_tensor(self):
        return self.base.batch_shape_tensor()

    def _batch_shape(self):
        return self.base.batch_shape

    def _event_shape_tensor(self):
        return self.base.event_shape_tensor()

    def _event_shape(self):
        return self.base.event_shape

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        x = self.base.sample(sample_shape, seed=seed)
        z, log_det = self._mapped("forward", x)
        self._last_draw = (z, x, log_det)
        return z

    def _sample_and_log_prob(self, sample_shape, seed, **kwargs):
        z = self.sample(sample_shape, seed)
        return z, self.log_prob(z)

    def _log_prob(self, value):
        x, log_det = self._preimage(value)
        return self.base.log_prob(x) - log_det

    def _preimage(self, value):
        """The point that is sent to `value`, and the map's log-determinant there."""
        z, *preimage = self._last_draw
        if value is z:
            return preimage
        x, log_det = self._mapped("inverse", value)
        return x, -log_det

    def log_det(self, z: tf.Tensor) -> tf.Tensor:
        """The map's log-determinant at the point that is sent to `z`, shape of `log_prob(z)`."""
        return self._preimage(z)[1]

    def center(self) -> tf.Tensor:
        """Where the base's mean is sent: one typical value, while the mean is not known."""
        return self._mapped("forward", self.base.mean())[0]

    def _mapped(self, direction, x):
        """A direction of the bijector, which must know the rank of what it is given."""
        mapped, x = getattr(self.bijector, direction), tf.convert_to_tensor(x)
        if x.shape.rank is not None:
            return mapped(x, self.context)
        events = tf.reshape(x, (-1, *self.bijector.event_shape))
        batch_shape = tf.shape(x)[: tf.rank(x) - len(self.bijector.event_shape)]
        y, log_det = mapped(events, self._context_of(batch_shape))
        return tf.reshape(y, tf.shape(x)), tf.reshape(log_det, batch_shape)

    def _context_of(self, batch_shape):
        """The context of all events of a batch of so many, one in a row."""
        if self.context is None:
            return None
        shape = tf.concat([batch_shape, [self.context_size]], 0)
        return tf.reshape(tf.broadcast_to(self.context, shape), (-1, self.context_size))


@register
class FlowNormal(DistributionLayer):
    """A diagonal normal, transformed by a flow, such as a posterior q(z|x).

    z = bijector.forward(loc + scale * noise, context); the network gives loc, scale and the flow's
    context.

    Source: Rezende & Mohamed, arXiv:1505.05770v6, Alg. 1; Kingma et al., arXiv:1606.04934v2, Alg. 1

    Args:
        event_shape: int or tuple, shape of one latent variable z.
        bijector: `tfgen.bijectors.Bijector` over that shape.
        context_size: int >= 0, size of the context, as the bijector was built for.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., params_size): context, loc, and scale before its softplus.

    Returns:
        `FlowDistribution`; its density at points other than its own draws needs a bijector with an
        inverse.

    Raises:
        ValueError: if the bijector is over another shape.

    Example:
        >>> from tfgen.bijectors import iaf
        >>> q = FlowNormal(2, iaf(2, context_size=3), context_size=3)(tf.zeros((8, 7)))
        >>> q.batch_shape, q.event_shape
        (TensorShape([8]), TensorShape([2]))
    """

    def __init__(
        self,
        event_shape: int | Shape,
        bijector: BijectorLayer,
        context_size: int = 0,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        super().__init__(self._new, convert_to_tensor_fn, **kwargs)
        self.event_shape, self.context_size = as_shape(event_shape), context_size
        check_ints(0, context_size=context_size)
        check_event_shape(bijector, self.event_shape)
        self.bijector = bijector

    def _new(self, params):
        params = checked_params(
            params, self.params_size(self.event_shape, self.context_size), "FlowNormal"
        )
        context, params = tf.split(params, [self.context_size, -1], axis=-1)
        base = IndependentNormal.new(params, self.event_shape)
        context = context if self.context_size else None
        return FlowDistribution(base, self.bijector, context, self.context_size)

    @staticmethod
    def params_size(
        event_shape: int | Shape, context_size: int = 0, name: str | None = None
    ) -> int:
        """Numbers that a network must return for one event."""
        check_ints(0, context_size=context_size)
        return 2 * event_size(event_shape) + context_size

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "event_shape": self.event_shape,
            "bijector": keras.saving.serialize_keras_object(self.bijector),
            "context_size": self.context_size,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


@register
class FlowPrior(Prior):
    """The standard normal, transformed by a trained flow.

    Training evaluates its density at given z, in the bijector's `inverse` direction: choose a flow
    with a fast inverse, such as `tfgen.bijectors.maf`.

    Args:
        bijector: `tfgen.bijectors.Bijector`, with an inverse and without context, over one latent
            variable.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `bijector` is not a bijector, or needs a context.

    Example:
        >>> from tfgen.bijectors import maf
        >>> FlowPrior(maf(2)).as_distribution().event_shape
        TensorShape([2])
    """

    def __init__(self, bijector: BijectorLayer, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        check_bijector(bijector)
        check_no_context(bijector)
        self.bijector = bijector
        self.base = StandardNormal(bijector.event_shape)
        self.built = True

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        return FlowDistribution(self.base.as_distribution(), self.bijector)

    def get_config(self) -> dict[str, Any]:
        bijector = keras.saving.serialize_keras_object(self.bijector)
        return {**super().get_config(), "bijector": bijector}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


def check_bijector(bijector: BijectorLayer) -> None:
    """Raises ValueError unless `bijector` has what is asked of one."""
    if not all(hasattr(bijector, name) for name in ("event_shape", "forward", "inverse")):
        raise ValueError(
            "bijector must be one of tfgen.bijectors, such as bijectors.maf(2). Received: "
            f"bijector={bijector!r}."
        )


def check_no_context(bijector: BijectorLayer) -> None:
    """Raises ValueError if `bijector` needs a context, which a density p(z) has none of."""
    shape = getattr(bijector, "context_shape", None)
    if shape is not None:
        raise ValueError(
            "A prior or density of codes is given no context. Received: a bijector with "
            f"context_shape={shape}. Build it with context_size=0."
        )


def check_event_shape(bijector: BijectorLayer, event_shape: tuple[int, ...]) -> None:
    """Raises ValueError unless `bijector` is over `event_shape`."""
    check_bijector(bijector)
    if bijector.event_shape != event_shape:
        raise ValueError(
            f"The bijector must be over the events of event_shape={event_shape}. Received: a "
            f"bijector over shape {bijector.event_shape}. Build it for that shape."
        )
