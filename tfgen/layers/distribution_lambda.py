"""The layer that ends a network in a distribution. After TFP 0.25, `tfp.layers`."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.arguments import check_flags, check_seed
from tfgen._utils.keras_private import is_symbolic
from tfgen._utils.tensors import check_callables, check_dtype, check_leaves
from tfgen._utils.typing import LayerOptions
from tfgen.layers.held_variables import check_no_variables, held_by
from tfgen.layers.tensor_coercible import symbolic, tensor_coercible

__all__ = [
    "ConvertToTensor",
    "DistributionLambda",
    "DistributionLayer",
    "DistributionOptions",
    "ParametricDistribution",
    "add_activity_loss",
    "register",
    "serialized",
    "track_prior",
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


# Methods of every distribution that need no argument and return a tensor.
_STATISTICS = ("sample", "mean", "mode", "stddev", "variance", "covariance", "entropy")


def _checked_convert_fn(fn):
    """Returns a distribution member's name, or a callable."""
    if isinstance(fn, dict):
        fn = keras.saving.deserialize_keras_object(fn)
    name = _member_name(fn)
    if not (callable(fn) if name is None else _is_member(name)):
        raise ValueError(
            "convert_to_tensor_fn must be a method of tfd.Distribution or its name "
            f"{_STATISTICS}, a parameter of one class such as 'logits', or a callable from "
            f"distribution to tensor. Received: {fn!r}."
        )
    return name or fn


def _is_member(name):
    """Whether it is the name of a statistic, or of a parameter of one class of TFP at least."""
    if name in _STATISTICS:
        return True
    classes = [c for c in vars(tfd).values() if inspect.isclass(c)]
    is_public = not name.startswith("_") and not hasattr(tfd.Distribution, name)
    return is_public and any(hasattr(c, name) for c in classes)


def _evaluate_member(distribution, name):
    """`distribution.name()` or `distribution.name`, looking through `tfd.Independent`."""
    owner = distribution
    if not hasattr(owner, name):
        owner = getattr(distribution, "distribution", distribution)
    if not hasattr(owner, name):
        raise ValueError(
            f"convert_to_tensor_fn={name!r} must be a member of the layer's distribution. Received:"
            f" {distribution!r}, which has none of that name. Use 'mean', or another distribution."
        )
    member = getattr(owner, name)
    return member() if callable(member) else member


def add_activity_loss(layer: keras.layers.Layer, distribution: tfd.Distribution) -> None:
    """Adds the loss of a layer's activity regularizer, as the mean over the batch.

    Keras calls it on tensors only. As there a scalar is divided by the batch size; values of single
    examples are averaged, and `KLDivergenceRegularizer` has done so.
    """
    regularizer = layer.activity_regularizer
    if regularizer is None:
        return
    loss = tf.convert_to_tensor(regularizer(distribution))
    value = tf.convert_to_tensor(distribution)
    if loss.shape.rank != 0:
        loss = tf.reduce_mean(loss)
    elif value.shape.rank != 0 and not getattr(regularizer, "is_mean", False):
        loss = tf.math.divide_no_nan(loss, tf.cast(tf.shape(value)[0], loss.dtype))
    layer.add_loss(loss)


def track_prior(layer: keras.layers.Layer, prior: Any) -> None:
    """Lets a layer have the weights of a p(z), or those that a function uses which returns it."""
    if isinstance(prior, keras.layers.Layer):
        layer.prior = prior
    elif held := held_by("distribution_b", prior):
        layer.held_by_prior = held


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
        check_callables(
            "a function from the layer's inputs to a tfd.Distribution",
            make_distribution_fn=make_distribution_fn,
        )
        if seed is not None:
            check_seed(seed=seed)
        self.make_distribution_fn = make_distribution_fn
        self.convert_to_tensor_fn = _checked_convert_fn(convert_to_tensor_fn)
        self.seed = None if seed is None else int(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        track_prior(self, getattr(self.activity_regularizer, "distribution_b", None))
        held = [
            *held_by("make_distribution_fn", self.make_distribution_fn),
            *held_by("convert_to_tensor_fn", self.convert_to_tensor_fn),
        ]
        if held:
            self.held = held
        self.built = True  # Keras builds on tensors of known rank only, and here is nothing to do.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Overridden because Keras turns arrays into tensors before `call` sees them."""
        check_leaves((args, kwargs))
        return super().__call__(*args, **kwargs)

    def call(self, inputs: Any) -> tfd.Distribution:
        distribution = self._distribution(inputs)
        if is_symbolic():
            return symbolic(distribution)
        add_activity_loss(self, distribution)
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
    registered name, never pickled, so `.keras` files load with `safe_mode=True`. Layers and Keras
    variables that `make_distribution_fn` refers to are trained and saved with this layer.

    Args:
        make_distribution_fn: callable from the layer's inputs to a `tfd.Distribution`. To save the
            model, decorate it with `keras.saving.register_keras_serializable`.
        convert_to_tensor_fn: method of `tfd.Distribution` or its name, or a callable from the
            distribution to a tensor.
        seed: int or None, seed of the layer's draws.
        **kwargs: arguments of `keras.layers.Layer`. `activity_regularizer` is called with the
            distribution; as in Keras the scalar it returns is divided by the batch size, except
            for that of `KLDivergenceRegularizer`, a mean.

    Call arguments:
        inputs: tensor or structure of tensors, handed to `make_distribution_fn`.

    Returns:
        The distribution; `log_prob` in nats.

    Raises:
        ValueError: if `convert_to_tensor_fn` is neither a member name nor callable; if there is no
            `make_distribution_fn`, or `seed` is no int of 32 bits; if a function
            uses a tf.Variable, which Keras never trains; when saving, if a function is a lambda.
        TypeError: if `make_distribution_fn` does not return a distribution.

    Example:
        >>> layer = DistributionLambda(lambda t: tfd.Normal(t[..., 0], tf.exp(t[..., 1])))
        >>> layer(tf.zeros((8, 2))).batch_shape
        TensorShape([8])
    """

    def _distribution(self, inputs):
        distribution = super()._distribution(inputs)
        check_no_variables("make_distribution_fn", distribution.trainable_variables)
        return distribution

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
        check_flags(validate_args=arguments["validate_args"])
        check_dtype(sample_dtype=arguments.get("sample_dtype"))
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
