"""Layers for counts and classes that are independent given the network's output.

Beside the Poisson layer of `independent`. All values are whole numbers, as floats.
"""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import check_ints
from tfgen._utils.typing import Shape, TensorLike
from tfgen.layers import distributions
from tfgen.layers.densities import CONCENTRATIONS
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.independent import (
    LOG_RATES,
    IndependentFamily,
    IndependentPoisson,
    independent,
)
from tfgen.layers.parameters import (
    as_shape,
    bounded,
    check_options,
    event_size,
    positive,
    split_params,
)

__all__ = [
    "IndependentCategorical",
    "IndependentNegativeBinomial",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
]

# Within which no probability is rounded to 0.
LOGITS = (-80.0, 80.0)


@register
class IndependentNegativeBinomial(IndependentFamily):
    """Independent counts whose variance mean + mean^2 / total_count exceeds their mean.

    log_mean, raw_total_count = split(inputs, 2, axis=-1): the log mean is taken as -80 to 40, and
    total_count = softplus + 1e-3, at most 1e4, the inverse dispersion. Support: 0, 1, 2, ...

    Source: a likelihood of scVI, whose user guide (docs.scvi-tools.org, read 2026-11) has the same
    two parameters, mean and inverse dispersion; the activations are tfgen's. Arguments as in
    `IndependentPoisson`.

    Example:
        >>> p = IndependentNegativeBinomial(2)(tf.constant([[0.0, 1.0, 0.0, 0.0]]))
        >>> p.mean().numpy().round(3)
        array([[1.   , 2.718]], dtype=float32)
    """

    num_params = 2

    @staticmethod
    def single(
        log_mean: tf.Tensor, raw_total_count: tf.Tensor, validate_args: bool = False
    ) -> tfd.Distribution:
        """One count."""
        total_count = positive(raw_total_count, *CONCENTRATIONS)
        logits = bounded(log_mean, *LOG_RATES) - tf.math.log(total_count)
        return tfd.NegativeBinomial(
            total_count, logits, require_integer_total_count=False, validate_args=validate_args
        )


class ZeroInflated(distributions.Mass):
    """Counts that are zero with probability s = sigmoid(logits), and else from a distribution.

    `tfd.Inflated` is the same, but takes its logits for half the log odds, and shapes that are
    known.

    Args:
        distribution: `tfd.Distribution` of counts, with scalar events.
        logits: float tensor, of its batch shape.
        validate_args: bool, for TFP.

    Example:
        >>> p = ZeroInflated(tfd.Poisson([3.0]), tf.constant([0.0]))
        >>> tf.exp(p.log_prob([0.0])).numpy().round(3), p.mean().numpy()
        (array([0.525], dtype=float32), array([1.5], dtype=float32))
    """

    def __init__(
        self,
        distribution: tfd.Distribution,
        logits: tf.Tensor,
        validate_args: bool = False,
        name: str = "ZeroInflated",
    ) -> None:
        parameters = dict(locals())
        self.distribution, self.logits = distribution, logits
        super().__init__(distribution.dtype, validate_args, parameters, name)

    @property
    def support_of(self) -> tfd.Distribution:
        """A distribution with the same support."""
        return self.distribution

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return dict(
            distribution=tfp.util.BatchedComponentProperties(),
            logits=tfp.util.ParameterProperties(),
        )

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        counted = self.distribution.log_prob(x) - tf.nn.softplus(self.logits)
        inflated = tf.where(x == 0, tf.math.log_sigmoid(self.logits), -math.inf)
        return tf.reduce_logsumexp(tf.stack(_broadcast(counted, inflated)), axis=0)

    def _mean(self) -> tf.Tensor:
        return tf.sigmoid(-self.logits) * self.distribution.mean()

    def _variance(self) -> tf.Tensor:
        mean, share = self.distribution.mean(), tf.sigmoid(self.logits)
        return (1 - share) * (self.distribution.variance() + share * tf.square(mean))

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seed = tfp.random.sanitize_seed(seed)
        counts = self.distribution.sample(n, seed=random.fold_in(seed, 0))
        u = random.uniform(tf.shape(counts), random.fold_in(seed, 1), counts.dtype)
        return tf.where(u < tf.sigmoid(self.logits), tf.zeros_like(counts), counts)


def _broadcast(a, b):
    shape = tf.broadcast_dynamic_shape(tf.shape(a), tf.shape(b))
    return tf.broadcast_to(a, shape), tf.broadcast_to(b, shape)


class _ZeroInflated(IndependentFamily):
    """Counts that are zero with a probability of its own; subclasses name the other counts."""

    counts: type[IndependentFamily]

    @classmethod
    def single(cls, *params: tf.Tensor, validate_args: bool = False) -> tfd.Distribution:
        """One count; its last parameter is the log odds of a zero that is no count."""
        *of_counts, logits = params
        counts = cls.counts.single(*of_counts, validate_args=validate_args)
        return ZeroInflated(counts, bounded(logits, *LOGITS), validate_args)


@register
class ZeroInflatedPoisson(_ZeroInflated):
    """Independent counts that are zero with probability s, and Poisson otherwise.

    log_rate, logits = split(inputs, 2, axis=-1), with the log rate of `IndependentPoisson` and
    s = sigmoid(logits), of logits from -80 to 80. The mean is (1 - s) times the rate. Support: 0,
    1, 2, ... Arguments as in `IndependentPoisson`.

    Example:
        >>> ZeroInflatedPoisson(2)(tf.zeros((5, 4))).mean()[0].numpy()
        array([0.5, 0.5], dtype=float32)
    """

    num_params = 2
    counts = IndependentPoisson


@register
class ZeroInflatedNegativeBinomial(_ZeroInflated):
    """Independent counts that are zero with probability s, and negative binomial otherwise.

    log_mean, raw_total_count, logits = split(inputs, 3, axis=-1), as in
    `IndependentNegativeBinomial` and `ZeroInflatedPoisson`. Support: 0, 1, 2, ...

    Example:
        >>> ZeroInflatedNegativeBinomial(2)(tf.zeros((5, 6))).mean()[0].numpy()
        array([0.5, 0.5], dtype=float32)
    """

    num_params = 3
    counts = IndependentNegativeBinomial


class Categorical(distributions.Categorical):
    """That of `distributions`, which TFP can validate where classes are floats.

    Example:
        >>> Categorical(tf.zeros(4), dtype=tf.float32, validate_args=True).log_prob(3.0).shape
        TensorShape([])
    """

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        return super()._log_prob(tf.cast(event, tf.int32))

    def _sample_control_dependencies(self, x: tf.Tensor) -> list[tf.Operation]:
        is_whole = tf.debugging.assert_equal(x, tf.round(x), "Classes are whole numbers.")
        checks = super()._sample_control_dependencies(tf.cast(x, tf.int32))
        return [is_whole, *checks] if self.validate_args else checks


@register
class IndependentCategorical(ParametricDistribution):
    """Independent classes, given by their numbers, such as columns of a table or grey values.

    Support: 0, ..., num_classes - 1, as floats. Class numbers have no mean: where a model shows
    E[x|z], it shows the likeliest class of each element.

    Args:
        event_shape: int or tuple, shape of one event.
        num_classes: int >= 2.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: logits, of shape (..., params_size): of class 0 for all elements of the event, of
            class 1, and so on; or (*batch, *event_shape[:-1], num_classes * event_shape[-1]).

    Returns:
        `tfd.Independent` over `tfd.Categorical`; `log_prob` in nats, summed over the event.

    Raises:
        ValueError: if there are fewer than 2 classes, or the inputs have neither shape.

    Example:
        >>> p = IndependentCategorical(2, num_classes=3)(tf.constant([[0.0, 5, 1, 0, 2, 0]]))
        >>> p.mode().numpy()
        array([[2., 0.]], dtype=float32)
    """

    def __init__(
        self,
        event_shape: int | Shape = (),
        num_classes: int = 256,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_ints(2, num_classes=num_classes)
        arguments = dict(
            event_shape=as_shape(event_shape),
            num_classes=int(num_classes),
            validate_args=validate_args,
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_shape: int | Shape = (),
        num_classes: int = 256,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params` as logits."""
        check_options(validate_args)
        check_ints(2, num_classes=num_classes)
        logits = tf.stack(split_params(params, event_shape, num_classes), axis=-1)
        classes = Categorical(logits, dtype=logits.dtype, validate_args=validate_args)
        return independent(classes, event_shape, validate_args)

    @staticmethod
    def params_size(
        event_shape: int | Shape = (), num_classes: int = 256, name: str | None = None
    ) -> int:
        """Number of parameters of one event."""
        check_ints(2, num_classes=num_classes)
        return num_classes * event_size(event_shape)
