"""Layers for events with dependent elements. After TFP 0.25, `tfp.layers`."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.typing import TensorLike
from tfgen.layers import distributions
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)

__all__ = ["MultivariateNormalTriL", "OneHotCategorical", "checked_params"]


def checked_params(params: TensorLike, expected: int, layer: str) -> tf.Tensor:
    """`params` as a tensor; raises ValueError unless its last axis has the expected size."""
    params = tf.convert_to_tensor(params)
    if params.shape[-1] != expected:
        raise ValueError(
            f"{layer} expects parameters of shape (..., {expected}). "
            f"Received: shape {tuple(params.shape)}. End the network with Dense({expected}), "
            f"which is {layer}.params_size of the layer's arguments."
        )
    return params


@register
class MultivariateNormalTriL(ParametricDistribution):
    """Multivariate normal with a full covariance, from `d + d (d + 1) / 2` parameters.

    The diagonal of the lower-triangular scale is softplus(raw) + 1e-5.

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
        params = checked_params(
            params, MultivariateNormalTriL.params_size(event_size), "MultivariateNormalTriL"
        )
        fill = tfp.bijectors.FillScaleTriL(
            diag_shift=tf.constant(1e-5, params.dtype), validate_args=validate_args
        )
        return distributions.MultivariateNormalTriL(
            params[..., :event_size], fill(params[..., event_size:]), validate_args=validate_args
        )

    @staticmethod
    def params_size(event_size: int, name: str | None = None) -> int:
        """Number of parameters of one event."""
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
        params = checked_params(params, event_size, "OneHotCategorical")
        return distributions.OneHotCategorical(
            params, dtype=dtype or params.dtype, validate_args=validate_args
        )

    @staticmethod
    def params_size(event_size: int, name: str | None = None) -> int:
        """Number of parameters of one event."""
        return event_size
