"""Distributions that Keras can treat as tensors."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.typing import TensorLike

__all__ = ["symbolic", "tensor_coercible"]


class TensorCoercible:
    """Mixin that gives a `tfd.Distribution` one concrete value, drawn on first use.

    Keras converts whatever has `shape`, `__array__` and `__tf_tensor__`; that conversion is where
    the one reparameterized sample of a forward pass is drawn. TFP's `_TensorCoercible` did the same
    for Keras 2, with the same operators: `q + 1.0` and `q[0]` are tensors.
    """

    _plain_distribution: tfd.Distribution
    _convert_to_tensor_fn: Callable[[tfd.Distribution], TensorLike]
    _concrete_value: tf.Tensor | None

    def _value(self):
        if self._concrete_value is None:
            self._concrete_value = tf.convert_to_tensor(self._convert_to_tensor_fn(self))
        return self._concrete_value

    @property
    def shape(self) -> tf.TensorShape:
        return self._value().shape

    @property
    def _type_spec(self):
        """Lets a distribution and the value already drawn from it leave a `tf.function`."""
        return _TensorCoercibleSpec(*(tf.type_spec_from_value(part) for part in self._parts()))

    def _parts(self):
        return self._plain_distribution, self._value()

    def copy(self, **parameters: Any) -> tfd.Distribution:
        """As `tfd.Distribution.copy`; the copy draws a value of its own."""
        plain = self._plain_distribution.copy(**parameters)
        return tensor_coercible(plain, self._convert_to_tensor_fn)

    def numpy(self) -> np.ndarray:
        return self._value().numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._value(), dtype)

    def __tf_tensor__(self, dtype: tf.DType | None = None, name: str | None = None) -> tf.Tensor:
        value = self._value()
        return value if dtype is None else tf.cast(value, dtype)


def _operator(name):
    """The operator `name` of the tensor that a distribution stands for."""
    return lambda self, *args: getattr(self._value(), name)(*args)


for _name in {"__iter__", *tf.Tensor.OVERLOADABLE_OPERATORS} - {"__eq__", "__ne__"}:
    setattr(TensorCoercible, _name, _operator(_name))


class _TensorCoercibleSpec(tf.TypeSpec):
    """Type of a `TensorCoercible`: the type of the distribution and of its value."""

    def __init__(self, distribution_spec, value_spec):
        self._specs = (distribution_spec, value_spec)

    @property
    def value_type(self) -> type:
        return _coercible_class(self._specs[0].value_type)

    @property
    def _component_specs(self):
        return self._specs

    def _serialize(self):
        return self._specs

    def __repr__(self) -> str:
        """For the error of Keras' `network.export`, which quotes it."""
        return (
            f"{self.value_type.__name__}, a distribution, which no file for serving holds. Export "
            "its mean and parameters by tfgen.models.export_network(network, filepath). This is one"
        )

    def _to_components(self, value):
        return value._parts()

    def _from_components(self, components):
        distribution, value = components
        return tensor_coercible(distribution, lambda _: value)


@functools.cache
def _coercible_class(distribution_class):
    cls: Any = type(
        distribution_class.__name__, (TensorCoercible, distribution_class), {"__module__": __name__}
    )
    cls._type_spec = TensorCoercible._type_spec  # TFP's metaclass has just replaced it.
    return cls


def tensor_coercible(
    distribution: tfd.Distribution,
    convert_to_tensor_fn: Callable[[tfd.Distribution], TensorLike] = tfd.Distribution.sample,
) -> tfd.Distribution:
    """Returns a view of `distribution` that converts to a tensor, always to the same one.

    The view is an instance of the distribution's own class, so `isinstance` and the registered
    closed forms of `tfd.kl_divergence` see what they know.

    Args:
        distribution: a `tfd.Distribution`.
        convert_to_tensor_fn: callable, distribution to tensor; called at most once.

    Returns:
        `distribution` with `shape`, `numpy()`, conversion to a tensor and the tensor's operators.

    Raises:
        TypeError: if `distribution` is not a distribution.

    Example:
        >>> q = tensor_coercible(tfd.Normal([0.0, 1.0], 1.0), tfd.Distribution.mean)
        >>> (q + 1.0).numpy()
        array([1., 2.], dtype=float32)
    """
    if not isinstance(distribution, tfd.Distribution):
        raise TypeError(
            "A distribution layer's function must return a tfd.Distribution. Received: "
            f"{distribution!r}."
        )
    distribution_class: Any = type(distribution)
    view = object.__new__(_coercible_class(distribution_class))
    view.__dict__.update(vars(distribution))
    view.__dict__.update(
        _plain_distribution=distribution,
        _convert_to_tensor_fn=convert_to_tensor_fn,
        _concrete_value=None,
    )
    return view


def symbolic(distribution: tfd.Distribution) -> tf.Tensor:
    """The value of a `tensor_coercible` distribution in a graph, which is a distribution as well.

    While Keras traces a network that a user wrote as a class, it takes outputs for tensors by their
    type, and the network's own `call` may ask for the distribution's methods.

    Args:
        distribution: what `tensor_coercible` returns, in a graph.

    Returns:
        A symbolic tensor, an instance of the distribution's class.

    Example:
        >>> with tf.Graph().as_default():
        ...     value = symbolic(tensor_coercible(tfd.Normal([0.0, 1.0], 1.0)))
        ...     tf.is_tensor(value), value.mean().shape
        (True, TensorShape([2]))
    """
    value: Any = tf.identity(tf.convert_to_tensor(distribution))
    of_value = vars(value)
    names = {"name": property(lambda _: distribution.name)}  # Not the tensor's, which has a colon.
    value.__class__ = type("SymbolicDistribution", (type(value), type(distribution)), names)
    value.__dict__.update({k: v for k, v in vars(distribution).items() if k not in of_value})
    return value
