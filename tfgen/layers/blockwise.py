"""Likelihoods of tables, whose columns are of several kinds."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.typing import Shape, TensorLike
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.parameters import as_shape, check_options, checked_params, event_size

__all__ = ["Blockwise"]


def _as_layers(parts):
    """Distribution layers, from their configs if need be."""
    parts = list(parts) if isinstance(parts, Sequence) and len(parts) else [parts]
    layers = [keras.saving.deserialize_keras_object(p) if isinstance(p, dict) else p for p in parts]
    for layer in layers:
        if not isinstance(layer, ParametricDistribution):
            raise ValueError(
                "parts must be distribution layers, in the order of the columns. "
                f"Received: {layer!r}. Give for example [layers.IndependentNormal(3), "
                "layers.IndependentCategorical(1, num_classes=4)]."
            )
    return layers


def _check_options(parts):
    """Raises ValueError for options of a part that a row, which is drawn as one, does not have."""
    for part in parts:
        name = "seed" if part.seed is not None else "convert_to_tensor_fn"
        value = getattr(part, name)
        if value not in (None, "sample"):
            raise ValueError(
                f"A row becomes a tensor as one, and its parts have no {name} of their own. "
                f"Received: {type(part).__name__}({name}={value!r}) among parts. Give it to "
                "Blockwise."
            )


def _size(layer):
    """Of one event; one-hot vectors have a size, and no shape."""
    return event_size(layer.arguments.get("event_shape", layer.arguments.get("event_size")))


def _params_size(layer):
    """How many parameters a layer takes, given those of its arguments that this depends on."""
    names = set(inspect.signature(layer.params_size).parameters) - {"name"}
    return layer.params_size(**{name: layer.arguments[name] for name in names})


@register
class Blockwise(ParametricDistribution):
    """Rows of a table whose columns are of several kinds: a layer for each group of columns.

    Given the network's output, the groups are independent. Columns of one group depend on each
    other only if their layer says so.

    Args:
        event_shape: int or tuple, shape of one row; a vector.
        parts: list of distribution layers, in the order of the columns, whose event sizes sum to
            that of a row: `[IndependentNormal(3), IndependentCategorical(1, num_classes=4)]`. They
            have no `seed` and no `convert_to_tensor_fn` of their own.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time; each part has its own.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., params_size), the parameters of the first part, of the second, and so
            on.

    Returns:
        `tfd.Blockwise` of the parts' distributions; `log_prob` in nats, of a mixed density where
        some columns have a mass. Its mean is that of each column; for classes it is the likeliest.

    Raises:
        ValueError: if `parts` are not such layers, their sizes do not sum to that of a row, or the
            inputs have another size.

    Example:
        >>> from tfgen import layers
        >>> parts = [layers.IndependentNormal(3), layers.IndependentCategorical(1, num_classes=4)]
        >>> head = Blockwise(4, parts)
        >>> head.params_size(4, parts), head(tf.zeros((5, 10))).sample().shape
        (10, TensorShape([5, 4]))
    """

    def __init__(
        self,
        event_shape: int | Shape,
        parts: Sequence[keras.layers.Layer],
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        self.params_size(event_shape, parts)
        layers = _as_layers(parts)
        _check_options(layers)
        arguments = dict(
            event_shape=as_shape(event_shape), parts=layers, validate_args=validate_args
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)
        self.parts = layers

    @staticmethod
    def new(
        params: TensorLike,
        event_shape: int | Shape,
        parts: Sequence[keras.layers.Layer],
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params`, those of the parts one after the other."""
        check_options(validate_args)
        size = Blockwise.params_size(event_shape, parts)
        parts = _as_layers(parts)
        params = checked_params(params, size, "Blockwise")
        blocks = tf.split(params, [_params_size(part) for part in parts], axis=-1)
        rows = [part(block) for part, block in zip(parts, blocks, strict=True)]
        return tfd.Blockwise(rows, validate_args=validate_args)

    @staticmethod
    def params_size(
        event_shape: int | Shape, parts: Sequence[keras.layers.Layer], name: str | None = None
    ) -> int:
        """Number of parameters of one event."""
        shape, layers = as_shape(event_shape), _as_layers(parts)
        sizes = [_size(layer) for layer in layers]
        if len(shape) != 1 or sum(sizes) != shape[0]:
            raise ValueError(
                f"The sizes of parts must sum to that of a row, a vector. Received: event_shape="
                f"{shape} and parts of {sizes} columns. Give each column to one part."
            )
        return sum(map(_params_size, layers))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "parts": [keras.saving.serialize_keras_object(p) for p in self.parts]}
