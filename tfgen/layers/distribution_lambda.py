"""The layer that ends a network in a distribution. After TFP 0.25, `tfp.layers`."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.typing import LayerOptions
from tfgen.layers.tensor_coercible import tensor_coercible

__all__ = [
    "ConvertToTensor",
    "DistributionLambda",
    "DistributionLayer",
    "DistributionOptions",
    "ParametricDistribution",
    "register",
    "serialized",
]

ConvertToTensor: TypeAlias = str | Callable[..., Any] | property
"""A member of `tfd.Distribution` or its name, or a callable from distribution to tensor."""


class DistributionOptions(LayerOptions, total=False):
    """Arguments of `DistributionLambda`, for `**kwargs: Unpack[DistributionOptions]`."""

    seed: int | None


register = keras.saving.register_keras_serializable("tfgen")


def serialized(value: Any) -> Any:
    """Config of a Keras object or a function, by the name under which it is registered.

    Raises:
        ValueError: for a lambda, which Keras would pickle and then refuse to load.
    """
    if getattr(value, "__name__", None) == "<lambda>":
        raise ValueError(
            f"A lambda cannot be saved as part of a model. Received: {value!r}. Write a named "
            "function and decorate it with keras.saving.register_keras_serializable()."
        )
    return keras.saving.serialize_keras_object(value)


def _member_name(fn):
    """Name of a member of a TFP distribution, None for any other callable."""
    if isinstance(fn, str):
        return fn
    fn = fn.fget if isinstance(fn, property) else fn
    is_tfp = getattr(fn, "__module__", "").startswith("tensorflow_probability.")
    is_member = is_tfp and "." in getattr(fn, "__qualname__", "")
    return fn.__name__ if is_member else None


def _checked_convert_fn(fn):
    """Returns a distribution member's name, or a callable."""
    if isinstance(fn, dict):
        fn = keras.saving.deserialize_keras_object(fn)
    name = _member_name(fn)
    if name is None and not callable(fn):
        raise ValueError(
            "convert_to_tensor_fn must be a method of tfd.Distribution (or its name, such as "
            f"'sample' or 'mean') or a callable from distribution to tensor. Received: {fn!r}."
        )
    return name or fn


def _evaluate_member(distribution, name):
    """`distribution.name()` or `distribution.name`, looking through `tfd.Independent`."""
    if not hasattr(distribution, name) and hasattr(distribution, "distribution"):
        distribution = distribution.distribution
    member = getattr(distribution, name)
    return member() if callable(member) else member


class DistributionLayer(keras.layers.Layer):
    """Base of all layers whose output is a distribution; `DistributionLambda` has the arguments."""

    def __init__(
        self,
        make_distribution_fn: Callable[..., tfd.Distribution],
        convert_to_tensor_fn: ConvertToTensor = "sample",
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        kwargs["dtype"] = kwargs.get("dtype") or keras.config.dtype_policy().variable_dtype
        super().__init__(**kwargs)
        if isinstance(make_distribution_fn, dict):
            make_distribution_fn = keras.saving.deserialize_keras_object(make_distribution_fn)
        self.make_distribution_fn = make_distribution_fn
        self.convert_to_tensor_fn = _checked_convert_fn(convert_to_tensor_fn)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        prior = getattr(self.activity_regularizer, "distribution_b", None)
        if isinstance(prior, keras.layers.Layer):
            self.prior = prior  # Keras tracks the weights of layers only.

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def call(self, inputs: Any) -> tfd.Distribution:
        distribution = self._distribution(inputs)
        if self.activity_regularizer is not None:  # Keras calls it on tensors only.
            self.add_loss(self.activity_regularizer(distribution))
        return distribution

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        to_tensor = tf.function(
            lambda x: tf.convert_to_tensor(self._distribution(x)), autograph=False
        )
        specs = keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), inputs)
        traced = to_tensor.get_concrete_function(specs).structured_outputs
        return keras.KerasTensor(traced.shape, traced.dtype.name)

    def _distribution(self, inputs):
        return tensor_coercible(self.make_distribution_fn(inputs), self._to_tensor)

    def _to_tensor(self, distribution):
        if self.convert_to_tensor_fn == "sample":
            return distribution.sample(seed=tf.cast(self.seed_generator.next(), tf.int32))
        if isinstance(self.convert_to_tensor_fn, str):
            return _evaluate_member(distribution, self.convert_to_tensor_fn)
        return self.convert_to_tensor_fn(distribution)

    def get_config(self) -> dict[str, Any]:
        convert = self.convert_to_tensor_fn
        if not isinstance(convert, str):
            convert = serialized(convert)
        return {**super().get_config(), "convert_to_tensor_fn": convert, "seed": self.seed}


@register
class DistributionLambda(DistributionLayer):
    """Layer whose output is a `tfp.distributions` object.

    Calling it gives the distribution. Where Keras needs a tensor (the next layer, `predict`, a
    metric) the distribution becomes one: by default a reparameterized sample, drawn once. `predict`
    joins the batches' tensors along their first axis.

    As `tfp.layers.DistributionLambda` of TFP 0.25. Deviations: parameters and densities are float32
    under a mixed-precision policy; draws come from the layer's own seed; functions are saved by
    registered name, never pickled, so `.keras` files load with `safe_mode=True`.

    Args:
        make_distribution_fn: callable from the layer's inputs to a `tfd.Distribution`. To save the
            model, decorate it with `keras.saving.register_keras_serializable`.
        convert_to_tensor_fn: method of `tfd.Distribution` or its name, or a callable from the
            distribution to a tensor.
        seed: int or None, seed of the layer's draws.
        **kwargs: arguments of `keras.layers.Layer`. `activity_regularizer` is called with the
            distribution.

    Call arguments:
        inputs: tensor or structure of tensors, handed to `make_distribution_fn`.

    Returns:
        The distribution; `log_prob` in nats.

    Raises:
        ValueError: if `convert_to_tensor_fn` is neither a member name nor callable; when saving, if
            a function is a lambda.
        TypeError: if `make_distribution_fn` returns no distribution.

    Example:
        >>> layer = DistributionLambda(lambda t: tfd.Normal(t[..., 0], tf.exp(t[..., 1])))
        >>> layer(tf.zeros((8, 2))).batch_shape
        TensorShape([8])
    """

    def get_config(self) -> dict[str, Any]:
        make = serialized(self.make_distribution_fn)
        return {**super().get_config(), "make_distribution_fn": make}


class ParametricDistribution(DistributionLayer):
    """A distribution layer made by its class's own static `new`.

    Args:
        arguments: dict of the constructor's own arguments, for `get_config`, which are those of
            `new` too, where `sample_dtype` is named `dtype`; functions are saved by registered
            name.
        **kwargs: arguments of `DistributionLambda`.
    """

    new: Callable[..., tfd.Distribution]
    params_size: Callable[..., int]

    def __init__(
        self,
        arguments: dict[str, Any],
        convert_to_tensor_fn: ConvertToTensor,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        names = {"sample_dtype": "dtype"}
        new = functools.partial(self.new, **{names.get(k, k): v for k, v in arguments.items()})
        super().__init__(new, convert_to_tensor_fn, **kwargs)
        self.arguments = arguments

    def get_config(self) -> dict[str, Any]:
        arguments = {
            key: serialized(value) if callable(value) else value
            for key, value in self.arguments.items()
        }
        return {**super().get_config(), **arguments}
