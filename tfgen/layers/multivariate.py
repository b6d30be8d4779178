"""Layers for events with dependent elements. After TFP 0.25, `tfp.layers`."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.typing import TensorLike
from tfgen.layers import distributions
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.parameters import MAX_SCALE, bounded, check_options, checked_params

MIN_DIAGONAL = 1e-5

__all__ = ["MultivariateNormalTriL", "OneHotCategorical"]


def _scale(raw, event_size):
    """Lower-triangular matrix, as `tfp.bijectors.FillScaleTriL` makes it.

    That bijector sets the diagonal, whose gradient XLA cannot compile for batches of any size.
    """
    matrix = tfp.math.fill_triangular(raw)
    is_diagonal = tf.eye(event_size, dtype=tf.bool)
    diagonal = tf.reduce_sum(tf.where(is_diagonal, matrix, tf.zeros_like(matrix)), axis=-1)
    diagonal = bounded(tf.nn.softplus(diagonal) + MIN_DIAGONAL, MIN_DIAGONAL, MAX_SCALE)
    return tf.where(is_diagonal, diagonal[..., None], matrix)


@register
class MultivariateNormalTriL(ParametricDistribution):
    """Multivariate normal with a full covariance, from `d + d (d + 1) / 2` parameters.

    The diagonal of the lower-triangular scale is softplus(raw) + 1e-5, at most 1e10.

    Source: `tfp.layers.MultivariateNormalTriL`, TFP 0.25.

    Args:
        event_size: int, dimension d.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., d + d * (d + 1) // 2).

    Returns:
        `tfd.MultivariateNormalTriL`; `log_prob` in nats.

    Raises:
        ValueError: if the last axis of the inputs has another size.

    Example:
        >>> MultivariateNormalTriL(2)(tf.zeros((8, 5))).event_shape
        TensorShape([2])
    """

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_size(event_size=event_size)
        arguments = dict(event_size=int(event_size), validate_args=validate_args)
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_size: int,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params`: loc, then scale in `tfp.math.fill_triangular` order."""
        check_options(validate_args)
        params = checked_params(
            params, MultivariateNormalTriL.params_size(event_size), "MultivariateNormalTriL"
        )
        scale = _scale(params[..., event_size:], event_size)
        return distributions.MultivariateNormalTriL(
            params[..., :event_size], scale, validate_args=validate_args
        )

    @staticmethod
    def params_size(event_size: int, name: str | None = None) -> int:
        """Number of parameters of one event."""
        check_size(event_size=event_size)
        return event_size + event_size * (event_size + 1) // 2


@register
class OneHotCategorical(ParametricDistribution):
    """Categorical variable as a one-hot vector, from logits.

    Source: `tfp.layers.OneHotCategorical`, TFP 0.25.

    Args:
        event_size: int, number of classes.
        convert_to_tensor_fn: as in `DistributionLambda`.
        sample_dtype: dtype of samples; that of the parameters if None.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: logits of shape (..., event_size).

    Returns:
        `tfd.OneHotCategorical`; `log_prob` in nats.

    Example:
        >>> OneHotCategorical(4)(tf.zeros((8, 4))).mean()[0].numpy().round(4)
        array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        sample_dtype: Any = None,
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_size(event_size=event_size)
        arguments = dict(
            event_size=int(event_size), sample_dtype=sample_dtype, validate_args=validate_args
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_size: int,
        dtype: Any = None,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params` as logits."""
        check_options(validate_args, dtype)
        size = OneHotCategorical.params_size(event_size)
        params = checked_params(params, size, "OneHotCategorical")
        return distributions.OneHotCategorical(
            params, dtype=dtype or params.dtype, validate_args=validate_args
        )

    @staticmethod
    def params_size(event_size: int, name: str | None = None) -> int:
        """Number of parameters of one event."""
        check_size(event_size=event_size)
        return event_size
