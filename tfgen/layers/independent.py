"""Layers for pixels and latents that are independent given the network's output. After TFP 0.25."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.arguments import check_activation, is_real
from tfgen._utils.typing import Activation, Shape, TensorLike
from tfgen.layers import distributions
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.distributions import Bernoulli, Logistic, Normal
from tfgen.layers.parameters import (
    MAX_SCALE,
    MIN_SCALE,
    as_shape,
    bounded,
    bounded_scale,
    check_options,
    event_size,
    split_params,
)
from tfgen.layers.tensor_coercible import tensor_coercible

__all__ = [
    "FixedScaleNormal",
    "LOG_RATES",
    "IndependentBernoulli",
    "IndependentFamily",
    "IndependentLayer",
    "IndependentLogistic",
    "IndependentNormal",
    "IndependentPoisson",
    "LocationScale",
    "SharedScaleNormal",
    "independent",
]


# Bounds within which the rate and its inverse are float32.
LOG_RATES = (-80.0, 40.0)


def check_scale(scale: Any) -> None:
    """Raises ValueError unless `scale` is a number from 1e-9 to 1e10."""
    if not is_real(scale) or not MIN_SCALE <= scale <= MAX_SCALE:
        raise ValueError(
            f"scale must be a positive float. Received: scale={scale!r}. Give a standard deviation "
            f"in units of the data, from {MIN_SCALE:.0e} to {MAX_SCALE:.0e}."
        )


def independent(
    distribution: tfd.Distribution, event_shape: int | Shape, validate_args: bool = False
) -> tfd.Distribution:
    """One distribution over events, of one for each of their elements.

    Example:
        >>> independent(tfd.Normal(tf.zeros((5, 2, 3)), 1.0), (2, 3)).event_shape
        TensorShape([2, 3])
    """
    return tfd.Independent(distribution, len(as_shape(event_shape)), validate_args=validate_args)


class IndependentLayer(ParametricDistribution):
    """Base of layers of variables with `num_params` parameters each."""

    num_params = 1

    @classmethod
    def params_size(cls, event_shape: int | Shape = (), name: str | None = None) -> int:
        """Number of parameters of one event."""
        return cls.num_params * event_size(event_shape)


class IndependentFamily(IndependentLayer):
    """Base of layers without arguments of their own.

    `single` of a subclass makes the distribution of one variable from its parameters, as a network
    returns them.
    """

    single: Callable[..., tfd.Distribution]

    def __init__(
        self,
        event_shape: int | Shape = (),
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        arguments = dict(event_shape=as_shape(event_shape), validate_args=validate_args)
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @classmethod
    def new(
        cls,
        params: TensorLike,
        event_shape: int | Shape = (),
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params`, of `num_params` equal parts along the last axis."""
        check_options(validate_args)
        parts = split_params(params, event_shape, cls.num_params)
        single = cls.single(*parts, validate_args=validate_args)
        return independent(single, event_shape, validate_args)


@register
class IndependentBernoulli(IndependentLayer):
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
        >>> IndependentBernoulli((4, 4, 1))(keras.ops.zeros((2, 16))).event_shape
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
        check_options(validate_args, dtype)
        (logits,) = split_params(params, event_shape, 1)
        pixel = Bernoulli(logits, dtype=dtype or logits.dtype, validate_args=validate_args)
        rank = len(as_shape(event_shape))
        return distributions.IndependentBernoulli(pixel, rank, validate_args=validate_args)


class LocationScale(IndependentLayer):
    """Base of layers of a loc, a raw scale and perhaps more; subclasses name the family."""

    num_params = 2
    family: Callable[..., tfd.Distribution]

    def __init__(
        self,
        event_shape: int | Shape = (),
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        scale_activation: Activation = "softplus",
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_activation(scale_activation=scale_activation)
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
        """The distribution for `params`: first the locs, then the raw scales."""
        check_options(validate_args)
        check_activation(scale_activation=scale_activation)
        loc, raw, *more = split_params(params, event_shape, cls.num_params)
        scale = bounded_scale(raw, keras.activations.get(scale_activation))
        single = cls.family(loc, scale, *more, validate_args=validate_args)
        return independent(single, event_shape, validate_args)


@register
class IndependentNormal(LocationScale):
    """Independent normal variables, such as the diagonal Gaussian q(z|x).

    loc, raw = split(inputs, 2, axis=-1); scale = min(scale_activation(raw) + 1e-9, 1e10).

    Source: `tfp.layers.IndependentNormal`, TFP 0.25; Kingma & Welling, arXiv:1312.6114v10, Eq. 9.
    Deviation: the paper's App. C outputs log(scale**2); TFP and tfgen apply a softplus by default.

    Args:
        event_shape: int or tuple, shape of one event.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        scale_activation: name of a Keras activation or a registered callable with values >= 0;
            "softplus" as in TFP, "exponential" when the network gives log(scale). The scale is
            that plus 1e-9, at most 1e10, so that the KL divergence of any raw scale is finite.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., params_size), or (*batch, *event_shape[:-1], 2 * event_shape[-1]), the
            output of a convolution with twice the event's channels.

    Returns:
        `tfd.Independent` over `tfd.Normal`; `log_prob` in nats, summed over the event.

    Raises:
        ValueError: if the inputs have neither shape.

    Example:
        >>> q = IndependentNormal(3)(keras.ops.zeros((8, 6)))
        >>> q.event_shape, q.stddev()[0, 0].numpy().round(4)
        (TensorShape([3]), np.float32(0.6931))
    """

    family = Normal


@register
class IndependentLogistic(LocationScale):
    """Independent logistic variables; parameters as in `IndependentNormal`.

    Source: `tfp.layers.IndependentLogistic`, TFP 0.25.

    Example:
        >>> IndependentLogistic((4, 4, 1))(keras.ops.zeros((2, 4, 4, 2))).event_shape
        TensorShape([4, 4, 1])
    """

    family = Logistic


@register
class IndependentPoisson(IndependentFamily):
    """Independent Poisson counts from log rates, which are limited to -80 to 40.

    Source: `tfp.layers.IndependentPoisson`, TFP 0.25. Arguments and shapes as in
    `IndependentBernoulli`, without `sample_dtype`.

    Example:
        >>> IndependentPoisson(2)(keras.ops.zeros((5, 2))).mean()[0].numpy()
        array([1., 1.], dtype=float32)
    """

    @staticmethod
    def single(log_rate: tf.Tensor, validate_args: bool = False) -> tfd.Distribution:
        """A count, from its log rate."""
        return tfd.Poisson(log_rate=bounded(log_rate, *LOG_RATES), validate_args=validate_args)


@register
class FixedScaleNormal(IndependentLayer):
    """Independent normal variables around the inputs, with one constant scale.

    Source: M. Schik, "Overview of Variational Autoencoder-based Generative Models", Eq. 5: with
    scale = sqrt(1/2) its log-density is -||x - loc||^2 up to a constant.

    Args:
        event_shape: int or tuple, shape of one event.
        scale: float from 1e-9 to 1e10, standard deviation, in units of the data.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: loc, of shape (..., params_size) or (..., *event_shape).

    Returns:
        `tfd.Independent` over `tfd.Normal`; `log_prob` in nats, summed over the event.

    Raises:
        ValueError: if `scale` is out of that range.

    Example:
        >>> FixedScaleNormal(2, scale=0.1)(keras.ops.zeros((5, 2))).stddev()[0].numpy()
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
        check_scale(scale)
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
        check_options(validate_args)
        check_scale(scale)
        (loc,) = split_params(params, event_shape, 1)
        return independent(
            Normal(loc, scale, validate_args=validate_args), event_shape, validate_args
        )


@register
class SharedScaleNormal(FixedScaleNormal):
    """Independent normal variables around the inputs, with one trained scale for all of them.

    As the decoder's head it makes a sigma-VAE, which balances reconstruction and KL divergence by
    itself: at the optimum sigma^2 is the mean squared error per pixel. The weight is log(sigma);
    `layer.scale` is sigma.

    Source: Rybkin, Daniilidis & Levine (arXiv:2006.13202), the shared sigma-VAE, Eq. 2 and 3 of the
    submission to ICLR 2021. Their "optimal" sigma-VAE solves for sigma in each batch (Eq. 5); here
    it is a weight, so that p(x|z) is known without x.

    Args:
        event_shape: int or tuple, shape of one event.
        scale: float from 1e-9 to 1e10, the first standard deviation, in units of the data.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: loc, of shape (..., params_size) or (..., *event_shape).

    Returns:
        `tfd.Independent` over `tfd.Normal`; `log_prob` in nats, summed over the event.

    Raises:
        ValueError: if `scale` is out of that range.

    Example:
        >>> layer = SharedScaleNormal(2, scale=0.5)
        >>> layer(keras.ops.zeros((5, 2))).stddev()[0].numpy(), len(layer.trainable_weights)
        (array([0.5, 0.5], dtype=float32), 1)
    """

    def __init__(
        self,
        event_shape: int | Shape = (),
        scale: float = 1.0,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        super().__init__(event_shape, scale, convert_to_tensor_fn, validate_args, **kwargs)
        initial = keras.initializers.Constant(math.log(scale))
        self.log_scale = self.add_weight(
            shape=(), initializer=initial, autocast=False, name="log_scale"
        )

    @property
    def scale(self) -> tf.Tensor:
        """The standard deviation, a scalar tensor."""
        return bounded(tf.exp(tf.convert_to_tensor(self.log_scale)), MIN_SCALE, MAX_SCALE)

    def _distribution(self, inputs):
        event_shape, validate_args = self.arguments["event_shape"], self.arguments["validate_args"]
        (loc,) = split_params(inputs, event_shape, 1)
        normal = Normal(loc, self.scale, validate_args=validate_args)
        return tensor_coercible(independent(normal, event_shape, validate_args), self._to_tensor)
