"""Layers for mixtures of one family. After TFP 0.25, `tfp.layers`."""

import functools
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.arguments import check_flags, check_ints, check_size
from tfgen._utils.tensors import check_callables
from tfgen._utils.typing import Shape, TensorLike
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionLayer,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.distributions import Categorical
from tfgen.layers.independent import IndependentLogistic, IndependentNormal
from tfgen.layers.multivariate import OneHotCategorical
from tfgen.layers.parameters import as_shape, check_options, checked_params, split_components

__all__ = [
    "CategoricalMixtureOfOneHotCategorical",
    "MixtureLogistic",
    "MixtureNormal",
    "MixtureSameFamily",
]


def _mixture(params, num_components, component_fn, validate_args=False):
    logits, component_params = split_components(params, num_components)
    return tfd.MixtureSameFamily(
        Categorical(logits), component_fn(component_params), validate_args=validate_args
    )


def _check_components(component_layer):
    check_callables(
        "a distribution layer, such as IndependentNormal(2)", component_layer=component_layer
    )


def _log_mean(mixture):
    """log E[x] of a mixture of one-hot categoricals, also where E[x] underflows."""
    log_weights = tf.nn.log_softmax(mixture.mixture_distribution.logits_parameter())
    log_means = tf.nn.log_softmax(mixture.components_distribution.logits_parameter())
    return tf.reduce_logsumexp(log_weights[..., None] + log_means, axis=-2)


@register
class MixtureSameFamily(DistributionLayer):
    """Mixture whose components all come from one distribution layer.

    Source: `tfp.layers.MixtureSameFamily`, TFP 0.25.

    Args:
        num_components: int K.
        component_layer: a distribution layer, applied to parameters of shape (..., K, size).
        convert_to_tensor_fn: as in `DistributionLambda`. A mixture's draws are not reparameterized.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., K * (1 + component parameters)); the first K are the logits.

    Returns:
        `tfd.MixtureSameFamily`; `log_prob` in nats.

    Raises:
        ValueError: if the inputs' last axis is not K times an integer above 1.

    Example:
        >>> MixtureSameFamily(3, IndependentNormal(2))(tf.zeros((8, 15))).event_shape
        TensorShape([2])
    """

    def __init__(
        self,
        num_components: int,
        component_layer: keras.layers.Layer,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_size(num_components=num_components)
        if isinstance(component_layer, dict):
            component_layer = keras.saving.deserialize_keras_object(component_layer)
        _check_components(component_layer)
        check_flags(validate_args=validate_args)
        super().__init__(self._make, convert_to_tensor_fn, **kwargs)
        self.num_components = num_components
        self.component_layer = component_layer
        self.validate_args = validate_args

    def _make(self, params):
        return self.new(params, self.num_components, self.component_layer, self.validate_args)

    @staticmethod
    def new(
        params: TensorLike,
        num_components: int,
        component_layer: keras.layers.Layer,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The mixture for `params`, with components made by `component_layer`."""
        check_size(num_components=num_components)
        check_options(validate_args)
        _check_components(component_layer)
        return _mixture(params, num_components, component_layer, validate_args)

    @staticmethod
    def params_size(
        num_components: int, component_params_size: int, name: str | None = None
    ) -> int:
        """Number of parameters of one event."""
        check_size(num_components=num_components)
        check_ints(component_params_size=component_params_size)
        return num_components * (1 + component_params_size)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_components": self.num_components,
            "component_layer": keras.saving.serialize_keras_object(self.component_layer),
            "validate_args": self.validate_args,
        }


class _MixtureOf(ParametricDistribution):
    """Mixture of independent components; subclasses name the component's layer class."""

    component: type[ParametricDistribution]

    def __init__(
        self,
        num_components: int,
        event_shape: int | Shape = (),
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_size(num_components=num_components)
        arguments = dict(
            num_components=num_components,
            event_shape=as_shape(event_shape),
            validate_args=validate_args,
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @classmethod
    def new(
        cls,
        params: TensorLike,
        num_components: int,
        event_shape: int | Shape = (),
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The mixture for `params`: first the logits, then each component's parameters."""
        check_options(validate_args)
        size = cls.params_size(num_components, event_shape)
        layer = f"{cls.__name__}(num_components={num_components}, event_shape={event_shape})"
        params = checked_params(params, size, layer)
        return _mixture(
            params,
            num_components,
            lambda p: cls.component.new(p, event_shape, validate_args=validate_args),
            validate_args,
        )

    @classmethod
    def params_size(
        cls, num_components: int, event_shape: int | Shape = (), name: str | None = None
    ) -> int:
        """Number of parameters of one event."""
        return MixtureSameFamily.params_size(num_components, cls.component.params_size(event_shape))


@register
class MixtureNormal(_MixtureOf):
    """Mixture of independent normals.

    Source: `tfp.layers.MixtureNormal`, TFP 0.25. A mixture density network in one layer.

    Args:
        num_components: int K.
        event_shape: int or tuple, shape of one event.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., params_size(K, event_shape)).

    Returns:
        `tfd.MixtureSameFamily`; `log_prob` in nats.

    Example:
        >>> size = MixtureNormal.params_size(3, 2)
        >>> size, MixtureNormal(3, 2)(tf.zeros((8, size))).event_shape
        (15, TensorShape([2]))
    """

    component = IndependentNormal


@register
class MixtureLogistic(_MixtureOf):
    """Mixture of independent logistics; arguments as in `MixtureNormal`.

    Source: `tfp.layers.MixtureLogistic`, TFP 0.25.

    Example:
        >>> MixtureLogistic.params_size(5, (2, 2))
        45
    """

    component = IndependentLogistic


@register
class CategoricalMixtureOfOneHotCategorical(ParametricDistribution):
    """Mixture of one-hot categoricals, with the mean in closed form.

    Source: `tfp.layers.CategoricalMixtureOfOneHotCategorical`, TFP 0.25.

    Args:
        event_size: int, number of classes.
        num_components: int K.
        convert_to_tensor_fn: as in `DistributionLambda`.
        sample_dtype: dtype of samples; that of the parameters if None.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., K * (1 + event_size)).

    Returns:
        `tfd.MixtureSameFamily` with a further method `log_mean()`; `log_prob` in nats.

    Example:
        >>> layer = CategoricalMixtureOfOneHotCategorical(4, num_components=2)
        >>> layer(tf.zeros((1, 10))).mean().numpy().round(4)
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    def __init__(
        self,
        event_size: int,
        num_components: int,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        sample_dtype: Any = None,
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_size(event_size=event_size, num_components=num_components)
        arguments = dict(
            event_size=event_size,
            num_components=num_components,
            sample_dtype=sample_dtype,
            validate_args=validate_args,
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_size: int,
        num_components: int,
        dtype: Any = None,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The mixture for `params`: first the logits, then each component's logits."""
        check_options(validate_args, dtype)
        size = CategoricalMixtureOfOneHotCategorical.params_size(event_size, num_components)
        params = checked_params(params, size, "CategoricalMixtureOfOneHotCategorical")
        mixture = _mixture(
            params,
            num_components,
            lambda p: OneHotCategorical.new(p, event_size, dtype),
            validate_args,
        )
        mixture.log_mean = functools.partial(_log_mean, mixture)
        return mixture

    @staticmethod
    def params_size(event_size: int, num_components: int, name: str | None = None) -> int:
        """Number of parameters of one event."""
        return MixtureSameFamily.params_size(
            num_components, OneHotCategorical.params_size(event_size)
        )
