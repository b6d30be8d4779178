"""What all bijectors share, and how they combine. Papamakarios et al., arXiv:1912.02762v2."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.layers.independent import as_shape

tfb = tfp.bijectors

__all__ = ["Bijector", "Chain", "Invert"]

register = keras.saving.register_keras_serializable("tfgen")


def vector_size(event_shape):
    """Length of an event that must be a vector."""
    shape = as_shape(event_shape)
    if len(shape) != 1:
        raise ValueError(
            "This bijector is over vectors, so event_shape must be an int or (size,). Received: "
            f"event_shape={shape}. Flatten the events, or use a coupling for images."
        )
    return shape[0]


def check_context(context, size):
    """`context` as a float32 tensor of shape (..., size)."""
    if context is None or context.shape[-1] != size:
        received = None if context is None else f"shape {tuple(context.shape)}"
        raise ValueError(
            f"A bijector with context_size={size} needs a context of shape (..., {size}). "
            f"Received: context of {received}. Pass forward(x, context), or set context_size=0 for "
            "a map without context."
        )
    return tf.cast(context, tf.float32)


class Bijector(keras.layers.Layer):
    """Base of the bijectors: a Keras layer that can be inverted and knows its Jacobian.

    As in TFP, `forward` leads from the base distribution to the data and `inverse` back, so that a
    flow's density is log p(y) = log p_base(x) + log|det dx/dy| with (x, log_det) = inverse(y).
    Both maps return their own log-determinant, from one evaluation of the networks inside.

    Source: Papamakarios et al., arXiv:1912.02762v2, Eq. 2 and 6.

    A subclass overrides `forward` and `inverse`; one without an inverse in closed form leaves that
    out. All computations are in float32, whatever the precision policy.

    Args:
        event_shape: int or tuple, shape of one example; the same on both sides.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, event_shape, **kwargs):
        kwargs["dtype"] = kwargs.get("dtype") or keras.config.dtype_policy().variable_dtype
        super().__init__(**kwargs)
        self.event_shape = as_shape(event_shape)
        self.built = True

    def forward(self, x, context=None):
        """The image of `x`.

        Args:
            x: tensor, shape (..., *event_shape).
            context: tensor, shape (..., context_size), what the map depends on besides; its leading
                axes are those of `x` or broadcast to them. Bijectors without a context ignore it.

        Returns:
            Tuple (y, log_det): y like `x`; log_det = log|det dy/dx|, shape (...).
        """
        raise NotImplementedError

    def inverse(self, y, context=None):
        """The preimage of `y`: tuple (x, log_det), log_det = log|det dx/dy|; see `forward`."""
        raise NotImplementedError(
            f"{type(self).__name__} has no inverse in closed form: it can draw samples and give "
            "their density, as a posterior q(z|x) needs, but no density of other points. Use "
            "another bijector here."
        )

    def initialize(self, y, context=None):
        """Sets weights that depend on data from one batch; returns the preimage of `y`."""
        return self.inverse(y, context)[0]

    def call(self, x, context=None):
        return self.forward(x, context)[0]

    def as_tfp(self, context=None):
        """This map for a fixed `context` as a `tfp.bijectors.Bijector`, for use with TFP.

        Example:
            >>> flow = Chain([])  # the identity
            >>> float(flow.as_tfp().forward(2.0))
            2.0
        """
        return _AsTFP(self, context)

    def no_log_det(self, x):
        """Zeros of the shape of a log-determinant, for maps that keep volumes."""
        return tf.zeros(tf.shape(x)[: tf.rank(x) - len(self.event_shape)])

    def sum_event(self, x):
        """Sum over the event's axes, shape (...)."""
        return tf.reduce_sum(x, axis=range(-len(self.event_shape), 0))

    def get_config(self):
        return {**super().get_config(), "event_shape": self.event_shape}


class CombinedBijector(Bijector):
    """A bijector made of others."""

    @classmethod
    def from_config(cls, config):
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


@register
class Chain(CombinedBijector):
    """Bijectors one after the other; `forward` applies the first of them first.

    Unlike `tfp.bijectors.Chain`, whose last bijector acts first. An empty chain is the identity on
    scalars.

    Args:
        bijectors: sequence of `Bijector`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if their event shapes differ.
    """

    def __init__(self, bijectors, **kwargs):
        shapes = [bijector.event_shape for bijector in bijectors]
        if len(set(shapes)) > 1:
            raise ValueError(
                "The bijectors of a Chain must have the same event_shape. Received: event shapes "
                f"{shapes}. Build them all for one shape."
            )
        super().__init__(shapes[0] if shapes else (), **kwargs)
        self.bijectors = list(bijectors)

    def forward(self, x, context=None):
        log_det = self.no_log_det(x)
        for bijector in self.bijectors:
            x, change = bijector.forward(x, context)
            log_det += change
        return x, log_det

    def inverse(self, y, context=None):
        log_det = self.no_log_det(y)
        for bijector in reversed(self.bijectors):
            y, change = bijector.inverse(y, context)
            log_det += change
        return y, log_det

    def initialize(self, y, context=None):
        for bijector in reversed(self.bijectors):
            y = bijector.initialize(y, context)
        return y

    def get_config(self):
        config = super().get_config()
        del config["event_shape"]
        return {**config, "bijectors": keras.saving.serialize_keras_object(self.bijectors)}


@register
class Invert(CombinedBijector):
    """A bijector the other way round: `forward` is its `inverse`.

    Args:
        bijector: `Bijector`.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, bijector, **kwargs):
        super().__init__(bijector.event_shape, **kwargs)
        self.bijector = bijector

    def forward(self, x, context=None):
        return self.bijector.inverse(x, context)

    def inverse(self, y, context=None):
        return self.bijector.forward(y, context)

    def get_config(self):
        config = super().get_config()
        del config["event_shape"]
        return {**config, "bijector": keras.saving.serialize_keras_object(self.bijector)}


class _AsTFP(tfb.Bijector):
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
