"""A prior that depends on the condition, p(z|c). Sohn, Lee & Yan, NIPS 2015."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Self, Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.typing import LayerOptions
from tfgen.layers.conditional import Condition
from tfgen.layers.distribution_lambda import register
from tfgen.layers.priors import Encoder, Prior, sample_at

__all__ = ["ConditionalDistribution", "ConditionalPrior"]


class ConditionalDistribution(tfd.Distribution):
    """p(z|c) of the conditions that `given` gives when it is asked, each for one row of z.

    Its batch shape is empty: draws and values of shape (..., n, *event_shape) go with n conditions,
    or with one for all.

    Args:
        density: callable from rows, shape (n, *event_shape), whose number alone counts, to the
            densities of their conditions, batch shape (n,).
        one: what it returns for one row, with the shape and kind of all.
    """

    def __init__(
        self,
        density: Callable[[tf.Tensor], tfd.Distribution],
        one: tfd.Distribution,
        name: str = "ConditionalDistribution",
    ) -> None:
        parameters = dict(locals())
        self.density, self.one = density, one
        super().__init__(
            dtype=one.dtype,
            reparameterization_type=one.reparameterization_type,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def beside(self, q: tfd.Distribution) -> tfd.Distribution:
        """The densities of the conditions of q's rows, in closed form; itself if q has no rows."""
        if q.batch_shape.rank != 1:
            return self
        num_rows = q.batch_shape[0]
        return self._of_rows(q.batch_shape_tensor()[0] if num_rows is None else num_rows)

    def _of_rows(self, num_rows):
        """The densities of the conditions of so many rows."""
        return self.density(tf.zeros((num_rows, *self.one.event_shape), self.dtype))

    def sample_at(self, num_samples: Any, temperature: float, seed: Any) -> tf.Tensor:
        """As `tfgen.layers.priors.sample_at`, of each condition."""
        return sample_at(self._of_rows(num_samples), (), temperature, seed)

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _event_shape(self):
        return self.one.event_shape

    def _event_shape_tensor(self):
        return self.one.event_shape_tensor()

    def _sample_n(self, n, seed=None):
        return self._of_rows(n).sample(seed=tfp.random.sanitize_seed(seed))

    def _log_prob(self, value):
        leading = tf.shape(value)[: tf.rank(value) - self.event_shape.rank]
        flat = tf.reshape(value, (-1, *self.event_shape))
        return tf.reshape(self.density(flat).log_prob(flat), leading)


@register
class ConditionalPrior(Prior):
    """p(z|c): a network from the condition to a density of z.

    A model with this prior is conditional. Its bound is

        log p(x|c) >= E_q(z|x,c)[log p(x|z, c)] - KL(q(z|x, c) || p(z|c))

    with the KL divergence in closed form between normals. `networks.mlp_prior` builds one. The
    network runs as in inference: it has no use for dropout.

    Source: Sohn, Lee & Yan, "Learning Structured Output Representation using Deep Conditional
    Generative Models", NIPS 2015, Eq. 4, whose x is c here, and whose y is x.

    Args:
        network: functional `keras.Model` from c to p(z|c); it ends in a distribution layer.
        num_classes: int >= 1: conditions are the numbers of classes, which the network takes
            one-hot. None: they are real.
        condition: one condition, to fix the prior to p(z|c) at this c; None to leave it open.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the network takes or returns something else, or the condition does not fit.

    Example:
        >>> from tfgen.layers import IndependentNormal, given
        >>> c = keras.Input((3,))
        >>> network = keras.Model(c, IndependentNormal(2)(keras.layers.Dense(4)(c)))
        >>> prior = ConditionalPrior(network, num_classes=3)
        >>> with given([0, 2, 1, 1]):
        ...     prior.as_distribution().sample(4, seed=0).shape
        TensorShape([4, 2])
    """

    def __init__(
        self,
        network: keras.Model,
        num_classes: int | None = None,
        condition: Any = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        _check_network(network, num_classes)
        self.network, self.num_classes = network, num_classes
        self.condition = None if condition is None else _one(self._condition, condition)
        one = self._density(tf.zeros((1, 1)), self._condition.zeros(1))
        _check_density(one)
        self.event_shape = tuple(one.event_shape)
        self.built = True

    @property
    def _condition(self):
        shape = () if self.num_classes else tuple(self.network.input_shape[1:])
        return Condition(shape, self.num_classes)

    @property
    def takes(self) -> Condition | None:
        """What it is given, or None under one condition."""
        return self._condition if self.condition is None else None

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        one = self._density(tf.zeros((1, 1)), self._condition.zeros(1))
        return ConditionalDistribution(lambda rows: self._density(rows, self.condition), one)

    def _density(self, rows, condition):
        return self.network(self._condition.inputs_for(rows, condition, self.compute_dtype))

    def under(self, condition: Any) -> Self:
        """The prior under one condition, with the same weights."""
        return type(self)(self.network, self.num_classes, condition, name=self.name)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "num_classes": self.num_classes,
            "condition": self.condition,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})


def _one(takes, condition):
    """One condition as a number or nested lists."""
    return np.asarray(takes.check(condition, 1))[0].tolist()


def _check_network(network, num_classes):
    shape = getattr(network, "input_shape", None)
    if not isinstance(network, keras.Model) or not isinstance(shape, tuple) or None in shape[1:]:
        raise ValueError(
            "The network of a ConditionalPrior is a keras.Model of one input, the condition. "
            f"Received: network={network!r} of input shape {shape}. Build it as keras.Model(c, "
            "output), or the prior by networks.mlp_prior."
        )
    if num_classes is not None:
        check_size(num_classes=num_classes)
        if tuple(shape[1:]) != (num_classes,):
            raise ValueError(
                "Classes are given to the network one-hot. Received: a network of input shape "
                f"{shape} with num_classes={num_classes}. Begin it with keras.Input(("
                f"{num_classes},))."
            )


def _check_density(output):
    if not isinstance(output, tfd.Distribution):
        raise ValueError(
            "The network of a ConditionalPrior must return a density p(z|c). Received: one that "
            f"returns {type(output).__name__}. End it in a layer such as layers.IndependentNormal."
        )
