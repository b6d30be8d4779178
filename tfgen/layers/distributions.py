"""Distributions of TFP whose draws are the same with XLA and without, to float32 rounding.

Each is an instance of TFP's own class and differs from it in how it draws, and some in how fast
their `log_prob` is. The draws from a stateless seed are those that TFP makes without
XLA, to rounding, except for categorical ones.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfgen._utils import random

__all__ = [
    "Bernoulli",
    "Categorical",
    "IndependentBernoulli",
    "Logistic",
    "Mass",
    "MultivariateNormalTriL",
    "Normal",
    "OneHotCategorical",
    "Uniform",
]


def _noise(draw, distribution, n, seed, dtype=None):
    """`n` draws for each member of a batch, by a function of `_utils.random`."""
    shape = tf.concat([[n], distribution.batch_shape_tensor()], axis=0)
    return draw(shape, tfp.random.sanitize_seed(seed), dtype or distribution.dtype)


class Mass(tfd.AutoCompositeTensorDistribution):
    """Base of probability masses that TFP does not have, whose draws are not reparameterized.

    Scalar events are the default. A subclass gives `_parameter_properties`, `_log_prob` and
    `_sample_n`.

    Args:
        dtype: of its events.
        validate_args: bool, for TFP.
        parameters: dict of the constructor's arguments.
        name: str.
    """

    def __init__(
        self, dtype: Any, validate_args: bool, parameters: dict[str, Any], name: str
    ) -> None:
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _default_event_space_bijector(self) -> None:
        """None, as of all distributions of TFP that have a mass."""


class Normal(tfd.Normal):
    """`tfd.Normal`.

    Example:
        >>> Normal(0.0, 1.0).sample(3, seed=[0, 0]).shape
        TensorShape([3])
    """

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        return self.loc + self.scale * _noise(random.normal, self, n, seed)


class Uniform(tfd.Uniform):
    """`tfd.Uniform`.

    Example:
        >>> Uniform(-1.0, 1.0).sample(3, seed=[0, 0]).shape
        TensorShape([3])
    """

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        return self.low + (self.high - self.low) * _noise(random.uniform, self, n, seed)


class Logistic(tfd.Logistic):
    """`tfd.Logistic`.

    Example:
        >>> Logistic(0.0, 1.0).sample(3, seed=[0, 0]).shape
        TensorShape([3])
    """

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        u = _noise(random.uniform, self, n, seed)
        u = tf.maximum(u, np.finfo(self.dtype.as_numpy_dtype).tiny)  # Of 0 the logit is infinite.
        return self.loc + self.scale * (tf.math.log(u) - tf.math.log1p(-u))


class Bernoulli(tfd.Bernoulli):
    """`tfd.Bernoulli` of logits, whose `log_prob` takes one softplus instead of two.

    x log s(l) + (1 - x) log(1 - s(l)) = x l - softplus(l), with the logistic function s.

    Example:
        >>> Bernoulli(tf.zeros(2)).log_prob([0, 1]).numpy().round(4)
        array([-0.6931, -0.6931], dtype=float32)
    """

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        logits = self.logits_parameter()
        return tf.cast(event, logits.dtype) * logits - tf.nn.softplus(logits)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        probs = self.probs_parameter()
        u = _noise(random.uniform, self, n, seed, probs.dtype)
        return tf.cast(u < probs, self.dtype)


class IndependentBernoulli(tfd.Independent):
    """`tfd.Independent` of a `Bernoulli` of logits, whose `log_prob` takes few logarithms.

    sum_i log p(x_i) = sum_i x_i l_i - sum_i softplus(l_i).

    Example:
        >>> pixels = Bernoulli(tf.zeros((2, 4, 4)))
        >>> IndependentBernoulli(pixels, 2).log_prob(tf.zeros((4, 4))).numpy().round(3)
        array([-11.09, -11.09], dtype=float32)
    """

    def _log_prob(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        rank, size = self.event_shape.rank, self.event_shape.num_elements()
        logits = self.distribution.logits_parameter()
        if not (rank and size) or self.distribution.validate_args or logits.dtype.size < 4:
            return super()._log_prob(x, **kwargs)
        weighted = tf.reduce_sum(tf.cast(x, logits.dtype) * logits, axis=range(-rank, 0))
        rows = tf.reshape(logits, tf.concat([tf.shape(logits)[:-rank], [size]], axis=0))
        return weighted - _sum_of_softplus(rows)


@tf.custom_gradient
def _sum_of_softplus(logits):
    """Over the last axis, of known size.

    softplus(l) = max(l, 0) - log s(|l|) with the logistic function s. Its values are at least 1/2,
    so that the logarithm of a product of eight is taken for all of them at once.
    """
    size = logits.shape[-1]
    factors = math.gcd(size, 8)
    groups = tf.concat([tf.shape(logits)[:-1], [factors, size // factors]], axis=0)
    products = tf.reduce_prod(tf.reshape(tf.sigmoid(tf.abs(logits)), groups), axis=-2)
    logs = tf.reduce_sum(tf.math.log(products), axis=-1)
    value = tf.reduce_sum(tf.nn.relu(logits), axis=-1) - logs
    return value, lambda upstream: upstream[..., None] * tf.sigmoid(logits)


class Categorical(tfd.Categorical):
    """`tfd.Categorical`, whose `log_prob` normalizes logits once for all events that share them.

    Example:
        >>> Categorical(tf.zeros(4)).sample(3, seed=[0, 0]).dtype
        tf.int32
    """

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        logits, shape = self.logits_parameter(), tf.convert_to_tensor(event).shape
        *batch, depth = (None,) if logits.shape.rank is None else logits.shape.as_list()
        if self.validate_args or not depth or not _are_repeated(batch, shape):
            return super()._log_prob(event)
        index = tf.cast(event, tf.int32)
        is_class = (index >= 0) & (index < depth)
        first = np.reshape(np.arange(math.prod(batch), dtype="int32") * depth, batch)
        table = tf.reshape(tf.nn.log_softmax(logits), [-1])
        # As TFP's, an error on a CPU for what is no class, and NaN under XLA, which checks nothing.
        log_prob = tf.gather(table, tf.where(is_class, index + first, -1))
        return tf.where(is_class, log_prob, math.nan)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seed = tfp.random.sanitize_seed(seed)
        return tf.cast(random.categorical(self.logits_parameter(), n, seed), self.dtype)


def _are_repeated(batch, shape):
    """Whether events of this shape are several of each member of a batch."""
    return shape.rank is not None and shape.rank > len(batch) and shape[-len(batch) :] == batch


class OneHotCategorical(tfd.OneHotCategorical):
    """`tfd.OneHotCategorical`.

    Example:
        >>> OneHotCategorical(tf.zeros(4)).sample(3, seed=[0, 0]).shape
        TensorShape([3, 4])
    """

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seed, logits = tfp.random.sanitize_seed(seed), self.logits_parameter()
        depth = logits.shape[-1] or tf.shape(logits)[-1]
        return tf.one_hot(random.categorical(logits, n, seed), depth, dtype=self.dtype)


class MultivariateNormalTriL(tfd.MultivariateNormalTriL):
    """`tfd.MultivariateNormalTriL`.

    Example:
        >>> MultivariateNormalTriL(tf.zeros(2), tf.eye(2)).sample(3, seed=[0, 0]).shape
        TensorShape([3, 2])
    """

    @property
    def distribution(self) -> tfd.Distribution:
        """The standard normal that is scaled and shifted."""
        standard = super().distribution
        noise = Normal(standard.distribution.loc, standard.distribution.scale)
        return standard.copy(distribution=noise)
