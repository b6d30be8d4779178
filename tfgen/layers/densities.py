"""Layers for real, positive and bounded numbers, independent given the network's output.

Beside the normal and the logistic layer of `independent`. All of them are TFP's distributions, with
parameters that any float32 from -1e4 to 1e4 gives, and a finite log-density at them.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.arguments import as_pair
from tfgen._utils.typing import Shape, TensorLike
from tfgen.layers.distribution_lambda import ConvertToTensor, DistributionOptions, register
from tfgen.layers.independent import (
    IndependentFamily,
    IndependentLayer,
    LocationScale,
    independent,
)
from tfgen.layers.parameters import as_shape, bounded, check_options, positive, split_params

__all__ = [
    "CONCENTRATIONS",
    "IndependentBeta",
    "IndependentContinuousBernoulli",
    "IndependentGamma",
    "IndependentLaplace",
    "IndependentLogNormal",
    "IndependentStudentT",
    "IndependentTruncatedNormal",
]

CONCENTRATIONS = (1e-3, 1e4)
RATES = (1e-6, 1e6)
# The variance of a log-normal variable is then a float32, and so is its inverse.
LOG_LOCS, LOG_SCALE = (-30.0, 30.0), 3.0
# From 2 on there is a variance; above 1e4 a normal distribution is as good.
DEGREES = (2.0, 1e4)
# Of a truncated normal, in widths of its interval: what TFP's float32 formulas allow.
SCALES = (0.01, 100.0)


@register
class IndependentLaplace(LocationScale):
    """Independent Laplace variables; parameters and arguments as in `IndependentNormal`.

    Minus its log-density is the absolute error divided by the scale, plus a term of the scale
    alone. Support: all real numbers.

    Example:
        >>> p = IndependentLaplace(2)(tf.zeros((5, 4)))
        >>> p.log_prob([1.0, -1.0]).shape
        TensorShape([5])
    """

    family = tfd.Laplace


@register
class IndependentLogNormal(LocationScale):
    """Independent positive variables whose logarithms are normal.

    Parameters and arguments as in `IndependentNormal`, of the logarithm: its loc is taken as -30 to
    30, its scale as at most 3. Support: numbers above 0. The mean exp(loc + scale^2 / 2) is far to
    the right of the median exp(loc) where the scale is large.

    Example:
        >>> IndependentLogNormal(2)(tf.zeros((5, 4))).mean()[0].numpy().round(3)
        array([1.272, 1.272], dtype=float32)
    """

    @staticmethod
    def family(loc: tf.Tensor, scale: tf.Tensor, validate_args: bool) -> tfd.Distribution:
        """The distribution of one variable."""
        scale = bounded(scale, 0.0, LOG_SCALE)
        return tfd.LogNormal(bounded(loc, *LOG_LOCS), scale, validate_args=validate_args)


@register
class IndependentStudentT(LocationScale):
    """Independent Student-t variables: a normal likelihood that outliers do not pull away.

    loc, raw, raw_df = split(inputs, 3, axis=-1), with the scale of `IndependentNormal` and the
    degrees of freedom 2 + softplus(raw_df), at most 1e4. Support: all numbers.

    Arguments as in `IndependentNormal`.

    Example:
        >>> IndependentStudentT(2)(tf.zeros((5, 6))).distribution.df[0].numpy().round(3)
        array([2.693, 2.693], dtype=float32)
    """

    num_params = 3

    @staticmethod
    def family(
        loc: tf.Tensor, scale: tf.Tensor, raw_df: tf.Tensor, validate_args: bool
    ) -> tfd.Distribution:
        """The distribution of one variable."""
        return tfd.StudentT(positive(raw_df, *DEGREES), loc, scale, validate_args=validate_args)


@register
class IndependentGamma(IndependentFamily):
    """Independent Gamma variables, from raw concentrations and raw rates.

    raw_concentration, raw_rate = split(inputs, 2, axis=-1); concentration = softplus + 1e-3, at
    most 1e4; rate = softplus + 1e-6, at most 1e6. Support: numbers above 0; the mean is
    concentration / rate. Arguments as in `IndependentPoisson`.

    Example:
        >>> IndependentGamma(2)(tf.zeros((5, 4))).mean()[0].numpy().round(3)
        array([1.001, 1.001], dtype=float32)
    """

    num_params = 2

    @staticmethod
    def single(
        raw_concentration: tf.Tensor, raw_rate: tf.Tensor, validate_args: bool = False
    ) -> tfd.Distribution:
        """One variable."""
        concentration = positive(raw_concentration, *CONCENTRATIONS)
        return tfd.Gamma(concentration, positive(raw_rate, *RATES), validate_args=validate_args)


class Beta(tfd.Beta):
    """`tfd.Beta`, whose draws are not rounded to 0 and 1, where there is no density.

    Example:
        >>> bool(Beta(1e-3, 1e-3).sample(seed=[0, 1]) > 0)
        True
    """

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        limits = np.finfo(self.dtype.as_numpy_dtype)
        return bounded(super()._sample_n(n, seed), limits.tiny, 1 - limits.epsneg)


@register
class IndependentBeta(IndependentFamily):
    """Independent Beta variables, from two raw concentrations.

    raw_1, raw_0 = split(inputs, 2, axis=-1); concentrations = softplus + 1e-3, at most 1e4.
    Support: numbers strictly between 0 and 1. For images with black or white pixels use
    `IndependentContinuousBernoulli` or `IndependentTruncatedNormal`. Arguments as in
    `IndependentPoisson`.

    Example:
        >>> IndependentBeta(2)(tf.zeros((5, 4))).mean()[0].numpy()
        array([0.5, 0.5], dtype=float32)
    """

    num_params = 2

    @staticmethod
    def single(raw_1: tf.Tensor, raw_0: tf.Tensor, validate_args: bool = False) -> tfd.Distribution:
        """One variable."""
        concentrations = [positive(raw, *CONCENTRATIONS) for raw in (raw_1, raw_0)]
        return Beta(*concentrations, validate_args=validate_args)


@register
class IndependentContinuousBernoulli(IndependentFamily):
    """Independent numbers from 0 to 1 with densities C(l) exp(l x), from logits l.

    This is `IndependentBernoulli`, normalized over grey values: C(l) = l / (exp(l) - 1).
    Support: [0, 1]. The mean is not the logistic function of l.

    Source: Loaiza-Ganem & Cunningham, "The continuous Bernoulli", arXiv:1907.06845 (equations not
    checked in the paper; the README of the authors' code gives the same constant, as a function of
    lambda = sigmoid(l)). Arguments as in `IndependentPoisson`.

    Example:
        >>> p = IndependentContinuousBernoulli(2)(tf.constant([[0.0, 5.0]]))
        >>> p.mean().numpy().round(3)
        array([[0.5  , 0.807]], dtype=float32)
    """

    @staticmethod
    def single(logits: tf.Tensor, validate_args: bool = False) -> tfd.Distribution:
        """One variable."""
        return tfd.ContinuousBernoulli(
            logits=logits, dtype=logits.dtype, validate_args=validate_args
        )


@register
class IndependentTruncatedNormal(IndependentLayer):
    """Independent normal variables, truncated to an interval.

    raw_loc, raw_scale = split(inputs, 2, axis=-1). With w = high - low the width of the interval,
    the normal variable before it is cut has loc = low + w sigmoid(raw_loc) and
    scale = w min(0.01 + softplus(raw_scale), 100). Support: [low, high].

    Args:
        event_shape: int or tuple, shape of one event.
        bounds: tuple (low, high) of float, in units of the data.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., params_size), or (*batch, *event_shape[:-1], 2 * event_shape[-1]).

    Returns:
        `tfd.Independent` over `tfd.TruncatedNormal`; `log_prob` in nats, summed over the event.

    Raises:
        ValueError: unless `bounds` are two numbers in ascending order.

    Example:
        >>> IndependentTruncatedNormal(2, bounds=(0.0, 10.0))(tf.zeros((5, 4))).mean()[0].numpy()
        array([5., 5.], dtype=float32)
    """

    num_params = 2

    def __init__(
        self,
        event_shape: int | Shape = (),
        bounds: tuple[float, float] = (0.0, 1.0),
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        arguments = dict(
            event_shape=as_shape(event_shape),
            bounds=as_pair(bounds=bounds),
            validate_args=validate_args,
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @classmethod
    def new(
        cls,
        params: TensorLike,
        event_shape: int | Shape = (),
        bounds: tuple[float, float] = (0.0, 1.0),
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params`: first half raw loc, second half raw scale."""
        check_options(validate_args)
        low, high = as_pair(bounds=bounds)
        raw_loc, raw_scale = split_params(params, event_shape, cls.num_params)
        loc = low + (high - low) * tf.sigmoid(raw_loc)
        scale = (high - low) * positive(raw_scale, *SCALES)
        cut = tfd.TruncatedNormal(loc, scale, low, high, validate_args=validate_args)
        return independent(cut, event_shape, validate_args)
