"""Layers for pixels and latents that are independent given the network's output. After TFP 0.25."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.typing import Activation, Shape, TensorLike
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.distributions import Bernoulli, Logistic, Normal

__all__ = [
    "FixedScaleNormal",
    "IndependentBernoulli",
    "IndependentLogistic",
    "IndependentNormal",
    "IndependentPoisson",
]


def as_shape(event_shape: int | Shape) -> tuple[int, ...]:
    """An int, a sequence of ints or an integer vector as a tuple."""
    return tuple(int(dim) for dim in np.ravel(event_shape))


def event_size(event_shape: int | Shape) -> int:
    """Number of elements of an event."""
    return math.prod(as_shape(event_shape))


def _leading_shape(params, event_shape, num_params):
    """Shape of `params` before its event dimensions, which are flat or in the event's shape."""
    ndims, flat = len(event_shape), num_params * math.prod(event_shape)
    static = tuple(params.shape)
    shaped = (*event_shape[:-1], num_params * event_shape[-1]) if ndims else ()
    if ndims and static[-ndims:] == shaped:
        return tf.shape(params)[:-ndims]
    if static[-1:] in ((None,), (flat,)):
        return tf.shape(params)[:-1]
    raise ValueError(
        f"For event_shape={event_shape} the parameters must have the flat shape (..., {flat}) or "
        f"end in the shape {shaped or (flat,)}. Received: shape {static}. End the network with "
        f"Dense({flat}), which is the layer's params_size(event_shape)."
    )


def _split(params, event_shape, num_params):
    """Splits the last axis of `params` into `num_params` tensors of shape (..., *event_shape)."""
    event_shape = as_shape(event_shape)
    params = tf.convert_to_tensor(params)
    leading = _leading_shape(params, event_shape, num_params)
    parts = tf.split(params, num_params, axis=-1)
    return [tf.reshape(part, tf.concat([leading, event_shape], axis=0)) for part in parts]


def _independent(distribution, event_shape, validate_args):
    return tfd.Independent(distribution, len(as_shape(event_shape)), validate_args=validate_args)


class _Independent(ParametricDistribution):
    """Variables with `num_params` parameters each."""

    num_params = 1

    @classmethod
    def params_size(cls, event_shape: int | Shape = (), name: str | None = None) -> int:
        """Number of parameters of one event."""
        return cls.num_params * event_size(event_shape)


@register
class IndependentBernoulli(_Independent):
    """Independent Bernoulli pixels from logits.

    Source: `tfp.layers.IndependentBernoulli`, TFP 0.25; Kingma & Welling, arXiv:1312.6114v10,
    Eq. 11, as a decoder.

    Args:
        event_shape: int or tuple, shape of one event, such as (28, 28, 1).
        convert_to_tensor_fn: as in `DistributionLambda`; `tfd.Bernoulli.logits` works too.
        sample_dtype: dtype of samples; that of the parameters if None.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: logits of shape (..., params_size) or (..., *event_shape).

    Returns:
        `tfd.Independent` over `tfd.Bernoulli`; `log_prob` in nats, summed over the event.

    Example:
        >>> IndependentBernoulli((4, 4, 1))(tf.zeros((2, 16))).event_shape
        TensorShape([4, 4, 1])
    """

    def __init__(
        self,
        event_shape: int | Shape = (),
        convert_to_tensor_fn: ConvertToTensor = "sample",
        sample_dtype: Any = None,
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        arguments = dict(
            event_shape=as_shape(event_shape),
            sample_dtype=sample_dtype,
            validate_args=validate_args,
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_shape: int | Shape = (),
        dtype: Any = None,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params` as logits."""
        (logits,) = _split(params, event_shape, 1)
        pixel = Bernoulli(logits, dtype=dtype or logits.dtype, validate_args=validate_args)
        return _independent(pixel, event_shape, validate_args)


class _LocScale(_Independent):
    """Two parameters, loc and raw scale; subclasses name the family."""

    num_params = 2
    family: type[tfd.Distribution]

    def __init__(
        self,
        event_shape: int | Shape = (),
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        scale_activation: Activation = "softplus",
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        arguments = dict(
            event_shape=as_shape(event_shape),
            validate_args=validate_args,
            scale_activation=keras.activations.get(scale_activation),
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @classmethod
    def new(
        cls,
        params: TensorLike,
        event_shape: int | Shape = (),
        validate_args: bool = False,
        name: str | None = None,
        scale_activation: Activation = "softplus",
    ) -> tfd.Distribution:
        """The distribution for `params`: first half loc, second half raw scale."""
        loc, raw = _split(params, event_shape, 2)
        scale = keras.activations.get(scale_activation)(raw)
        return _independent(
            cls.family(loc, scale, validate_args=validate_args), event_shape, validate_args
        )


@register
class IndependentNormal(_LocScale):
    """Independent normal variables, such as the diagonal Gaussian q(z|x).

    loc, raw = split(inputs, 2, axis=-1); scale = scale_activation(raw).

    Source: `tfp.layers.IndependentNormal`, TFP 0.25; Kingma & Welling, arXiv:1312.6114v10, Eq. 9.
    Deviation: the paper's App. C outputs log(scale**2); TFP and tfgen apply a softplus by default.

    Args:
        event_shape: int or tuple, shape of one event.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        scale_activation: name of a Keras activation or a registered callable with positive values;
            "softplus" as in TFP, "exponential" when the network gives log(scale).
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., params_size), or (*batch, *event_shape[:-1], 2 * event_shape[-1]), the
            output of a convolution with twice the event's channels.

    Returns:
        `tfd.Independent` over `tfd.Normal`; `log_prob` in nats, summed over the event.

    Raises:
        ValueError: if the inputs have neither shape.

    Example:
        >>> q = IndependentNormal(3)(tf.zeros((8, 6)))
        >>> q.event_shape, q.stddev()[0, 0].numpy().round(4)
        (TensorShape([3]), np.float32(0.6931))
    """

    family = Normal


@register
class IndependentLogistic(_LocScale):
    """Independent logistic variables; parameters as in `IndependentNormal`.

    Source: `tfp.layers.IndependentLogistic`, TFP 0.25.

    Example:
        >>> IndependentLogistic((4, 4, 1))(tf.zeros((2, 4, 4, 2))).event_shape
        TensorShape([4, 4, 1])
    """

    family = Logistic


@register
class IndependentPoisson(_Independent):
    """Independent Poisson counts from log rates.

    Source: `tfp.layers.IndependentPoisson`, TFP 0.25. Arguments and shapes as in
    `IndependentBernoulli`, without `sample_dtype`.

    Example:
        >>> IndependentPoisson(2)(tf.zeros((5, 2))).mean()[0].numpy()
        array([1., 1.], dtype=float32)
    """

    def __init__(
        self,
        event_shape: int | Shape = (),
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        arguments = dict(event_shape=as_shape(event_shape), validate_args=validate_args)
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_shape: int | Shape = (),
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params` as log rates."""
        (log_rate,) = _split(params, event_shape, 1)
        count = tfd.Poisson(log_rate=log_rate, validate_args=validate_args)
        return _independent(count, event_shape, validate_args)


@register
class FixedScaleNormal(_Independent):
    """Independent normal variables around the inputs, with one constant scale.

    Source: M. Schik, "Overview of Variational Autoencoder-based Generative Models", Eq. 5: with
    scale = sqrt(1/2) its log-density is -||x - loc||^2 up to a constant.

    Args:
        event_shape: int or tuple, shape of one event.
        scale: float > 0, standard deviation, in units of the data.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: loc, of shape (..., params_size) or (..., *event_shape).

    Returns:
        `tfd.Independent` over `tfd.Normal`; `log_prob` in nats, summed over the event.

    Raises:
        ValueError: if `scale` is not positive.

    Example:
        >>> FixedScaleNormal(2, scale=0.1)(tf.zeros((5, 2))).stddev()[0].numpy()
        array([0.1, 0.1], dtype=float32)
    """

    def __init__(
        self,
        event_shape: int | Shape = (),
        scale: float = 1.0,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        if not scale > 0:
            raise ValueError(f"scale must be a positive float. Received: scale={scale}.")
        arguments = dict(
            event_shape=as_shape(event_shape), scale=float(scale), validate_args=validate_args
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_shape: int | Shape = (),
        scale: float = 1.0,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params` as loc."""
        (loc,) = _split(params, event_shape, 1)
        return _independent(
            Normal(loc, scale, validate_args=validate_args), event_shape, validate_args
        )
