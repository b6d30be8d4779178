"""Checks of networks and batches that several models share."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils import keras_private
from tfgen._utils.typing import Shape
from tfgen.losses.divergences import is_diagonal_normal

tfd = tfp.distributions

__all__ = [
    "check_batch_is_shared",
    "check_diagonal_normal",
    "check_discriminator",
    "check_distribution",
    "check_logits",
    "check_no_batch_normalization",
    "check_pairs",
    "check_several_examples",
    "input_shape",
    "is_distribution",
    "output_on_zeros",
]


def is_distribution(output: Any) -> bool:
    """Whether a network returned a distribution rather than a tensor."""
    return isinstance(output, tfd.Distribution)


def output_on_zeros(network: keras.Model) -> Any:
    """What a network returns for one example of zeros."""
    return network(tf.zeros((1, *network.input_shape[1:])))


def input_shape(
    network: keras.Model, role: str, remedy: str, num_classes: int = 0
) -> tuple[int, ...]:
    """Shape of one input of a network with a single known one, less the values of a label."""
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple):
        raise ValueError(
            f"The {role} must be a Keras model with one input of known shape. Received: "
            f"{network!r}. Begin it with {remedy}, or wrap it: "
            f"keras.Sequential([{remedy}, network])."
        )
    return (*shape[1:-1], shape[-1] - num_classes) if num_classes else tuple(shape[1:])


def check_distribution(network: keras.Model, role: str, density: str, layer: str) -> Any:
    """What the network returns; raises ValueError unless it is a distribution."""
    output = output_on_zeros(network)
    if not is_distribution(output):
        raise ValueError(
            f"The {role} of a VAE must return {density}, a distribution. Received: a {role} that "
            f"returns {type(output).__name__}. End it with a layer of tfgen.layers, for example "
            f"{layer}."
        )
    return output


def check_diagonal_normal(posterior: Any, what: str) -> None:
    """Raises ValueError unless an encoder returned independent normals."""
    if not is_diagonal_normal(posterior):
        raise ValueError(
            f"{what} needs an encoder that returns independent normals. Received: an encoder that "
            f"returns {type(posterior).__name__}. End it with layers.IndependentNormal."
        )


# Discriminators.


def check_discriminator(
    network: keras.Model, data_shape: Shape, name: str = "discriminator"
) -> None:
    """Raises ValueError if a network does not give logits for examples of `data_shape`."""
    shape = input_shape(network, name, f"keras.Input({tuple(data_shape)})")
    if shape != tuple(data_shape):
        raise ValueError(
            f"The {name} must take examples of shape {tuple(data_shape)}. Received: a {name} of "
            f"input shape {network.input_shape}. Build it for this shape."
        )
    check_logits(network, name)


def check_pairs(network: keras.Model, name: str, shapes: Sequence[Shape], remedy: str) -> None:
    """Raises ValueError unless a network takes pairs [x, z] of these shapes."""
    received = getattr(network, "input_shape", None)
    expected = [(None, *shape) for shape in shapes]
    if not isinstance(received, list) or [tuple(shape) for shape in received] != expected:
        raise ValueError(
            f"The {name} must take pairs [x, z] of shapes {expected}. Received: a {name} of "
            f"input shape {received}. Build it as {remedy}."
        )


def check_logits(network: keras.Model, name: str) -> None:
    """Raises ValueError if a network ends in probabilities."""
    activation = getattr(_last_layer(network), "activation", None)
    if activation in (keras.activations.sigmoid, keras.activations.softmax):
        raise ValueError(
            f"The {name} must return logits: the losses take the sigmoid where they need one. "
            f"Received: a {name} that ends in {activation.__name__}. End it with Dense(1)."
        )


def _last_layer(network: keras.layers.Layer) -> keras.layers.Layer:
    """The last layer of a network, or of the network that it ends in."""
    layers = getattr(network, "layers", None)
    return _last_layer(layers[-1]) if layers else network


def check_no_batch_normalization(network: keras.Model) -> None:
    """Raises ValueError if examples of a batch influence each other's logits."""
    for layer in keras_private.sublayers(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            raise ValueError(
                "A gradient penalty needs a discriminator that looks at each example alone. "
                f"Received: a discriminator with batch normalization, {layer.name!r}. Use none, or "
                "keras.layers.LayerNormalization (batch_norm=False in tfgen.networks)."
            )


# Batches.


def check_several_examples(batch_size: int, reason: str) -> None:
    """Raises ValueError for a batch of one example."""
    if batch_size < 2:
        raise ValueError(
            f"This model {reason}, which needs at least 2 examples. Received: a batch of "
            f"{batch_size}. Use a larger batch_size, or drop_remainder=True if the last batch has "
            "one example."
        )


def check_batch_is_shared(batch_size: int, discriminator_steps: int) -> None:
    """Raises ValueError if some step of the discriminator would see nothing."""
    if batch_size < discriminator_steps:
        raise ValueError(
            f"Each batch is split over discriminator_steps={discriminator_steps} steps, so that "
            f"each sees other examples. Received: a batch of {batch_size}. Give larger batches, "
            "such as batch_size=64 * discriminator_steps, and none that is left over."
        )
