"""What a model or a network does with data, as closed functions of tensors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils.typing import Distribution
from tfgen.models.checks import input_shape, is_distribution
from tfgen.models.outputs import mean_of

__all__ = [
    "SAMPLING",
    "Endpoint",
    "condition_specs",
    "data_spec",
    "network_endpoints",
    "parameters_of",
]


# The arguments of endpoints that sample.
SAMPLING = (
    tf.TensorSpec((), tf.int32, name="num_samples"),
    tf.TensorSpec((2,), tf.int32, name="seed"),
)


class Endpoint(NamedTuple):
    """A function that is served.

    Attributes:
        function: callable from tensors to a tensor or a dict of tensors.
        signature: list of `tf.TensorSpec`, its arguments, with their names.
        draws: bool, whether it draws random numbers.
    """

    function: Callable[..., Any]
    signature: list[tf.TensorSpec]
    draws: bool = False


def data_spec(model: keras.Model) -> tf.TensorSpec:
    """The argument of endpoints that are given data."""
    return tf.TensorSpec((None, *model.data_shape), name="x")


def condition_specs(model: keras.Model) -> list[tf.TensorSpec]:
    """The further argument of a conditional model; none of another."""
    return [] if model.conditions is None else [model.conditions.signature]


def network_endpoints(network: keras.Model) -> dict[str, Endpoint]:
    """The endpoints of a network by name; `export_network` lists them.

    Raises:
        ValueError: if the shape of its inputs is not known.
    """
    signature = _input_specs(network)

    def call(*inputs):
        return network(inputs[0] if len(inputs) == 1 else list(inputs), training=False)

    output = call(*(tf.zeros((1, *spec.shape[1:]), spec.dtype) for spec in signature))
    if not is_distribution(output):
        return {"serve": Endpoint(call, signature)}
    return {
        "mean": Endpoint(lambda *x: mean_of(call(*x)), signature),
        "parameters": Endpoint(lambda *x: parameters_of(call(*x)), signature),
    }


def _input_specs(network):
    """The signature of a network with one input or a list of them."""
    inputs = getattr(network, "inputs", None)
    if not inputs:
        _check_callable(network)
        shape = input_shape(network, "network", "keras.Input(shape)")
        inputs = [keras.KerasTensor((None, *shape))]
    names = ["inputs"] if len(inputs) == 1 else [f"inputs_{i}" for i in range(len(inputs))]
    return [
        tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name)
        for tensor, name in zip(inputs, names, strict=True)
    ]


def _check_callable(network):
    if not isinstance(network, keras.Model) or type(network).call is keras.Model.call:
        raise ValueError(
            "A network that is exported alone must be a keras.Model with a call method. Received: "
            f"{type(network).__name__}. Export the model that it is part of: model.export(path)."
        )


def parameters_of(distribution: Distribution) -> dict[str, tf.Tensor]:
    """The tensors that a distribution was made of, by their names in TFP.

    Those of a distribution inside `tfd.Independent` have their own names, those of the parts of a
    mixture or of a flow the name of the part before theirs.

    Args:
        distribution: a `tfd.Distribution`.

    Example:
        >>> from tensorflow_probability import distributions as tfd
        >>> normal = tfd.Independent(tfd.Normal(tf.zeros((8, 2)), 0.5), 1)
        >>> {name: tuple(value.shape) for name, value in parameters_of(normal).items()}
        {'loc': (8, 2), 'scale': ()}
    """
    found: dict[str, tf.Tensor] = {}
    for name, value in distribution.parameters.items():
        if is_distribution(value):
            prefix = "" if name == "distribution" else f"{name}_"
            found |= {f"{prefix}{key}": part for key, part in parameters_of(value).items()}
        elif isinstance(value, float | np.ndarray | keras.Variable) or tf.is_tensor(value):
            found[name] = tf.convert_to_tensor(value)
    return found
