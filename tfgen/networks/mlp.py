"""Fully connected encoder and decoder. Soons, "Practical 3: Deep Generative Models", 2020."""

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.arguments import as_event_shape, check_size
from tfgen._utils.typing import Activation, Shape
from tfgen.networks._blocks import (
    ConditionOptions,
    Head,
    Width,
    chain,
    condition_input,
    dense_layers,
    layer_widths,
    output_layer,
    stack,
)

__all__ = ["mlp_decoder", "mlp_encoder", "mlp_prior"]


def mlp_encoder(
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: Width = 512,
    depth: int = 2,
    activation: Activation = "relu",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Fully connected network from data of any shape to latent variables.

    flatten, `depth` times Dense(width), Dense to the parameters of the head.

    `mlp_encoder(data_shape, 100, width=(392, 196, 98))` is the stack of Mi, Shen & Zhang, "A Probe
    Towards Understanding GAN and VAE Models", arXiv:1812.05676v2, Sec. 3.

    Source: Soons, "Practical 3: Deep Generative Models", 2020, Question 1.9: 512-512, z of 20.

    Args:
        data_shape: tuple of int, shape of one example: (height, width, channels) of an image,
            (n,) of n numbers, or any other.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `latent_dim` to a distribution layer; None for a plain vector.
        width: int >= 1, units of each hidden layer; or a sequence of int, those of one hidden layer
            after the other, which leaves `depth` unused.
        depth: int >= 0, hidden layers; 0 makes the network linear.
        activation: Keras activation of the hidden layers.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, *data_shape) to q(z|x) over (batch, latent_dim).

    Raises:
        ValueError: if an argument is out of range or `head` is not a head.

    Example:
        >>> encoder = mlp_encoder((28, 28, 1), latent_dim=20)
        >>> encoder(keras.ops.zeros((8, 28, 28, 1))).event_shape
        TensorShape([20])
    """
    check_size(1, latent_dim=latent_dim)
    data_shape = as_event_shape(data_shape=data_shape)
    output, num_parameters = output_layer(head, latent_dim)
    return stack(
        data_shape,
        [
            keras.layers.Flatten(),
            *dense_layers(layer_widths(width, depth), activation),
            keras.layers.Dense(num_parameters),
            output,
        ],
        name="mlp_encoder",
        **condition,
    )


def mlp_decoder(
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentBernoulli,
    width: Width = 512,
    depth: int = 2,
    activation: Activation = "relu",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Fully connected network from latent variables to data of any shape: `mlp_encoder` reversed.

    Source: Soons, "Practical 3: Deep Generative Models", 2020, Question 1.9.

    Args:
        data_shape: tuple of int, shape of one example: (height, width, channels) of an image,
            (n,) of n numbers, or any other.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `data_shape` to a distribution layer; None for plain numbers.
        width: int >= 1, units of each hidden layer; or a sequence of int, those of one hidden layer
            after the other, which leaves `depth` unused.
        depth: int >= 0, hidden layers; 0 makes the network linear.
        activation: Keras activation of the hidden layers.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to p(x|z) over (batch, *data_shape).

    Raises:
        ValueError: if an argument is out of range or `head` is not a head.

    Example:
        >>> decoder = mlp_decoder((28, 28, 1), latent_dim=20)
        >>> decoder(keras.ops.zeros((8, 20))).event_shape
        TensorShape([28, 28, 1])
    """
    check_size(1, latent_dim=latent_dim)
    data_shape = as_event_shape(data_shape=data_shape)
    output, num_parameters = output_layer(head, data_shape)
    return stack(
        (latent_dim,),
        [
            *dense_layers(layer_widths(width, depth), activation),
            keras.layers.Dense(num_parameters),
            output,
        ],
        name="mlp_decoder",
        **condition,
    )


def mlp_prior(
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: Width = 512,
    depth: int = 1,
    activation: Activation = "relu",
    **condition: Unpack[ConditionOptions],
) -> layers.ConditionalPrior:
    """Fully connected network from a condition to p(z|c), the prior of a conditional model.

    flatten, `depth` times Dense(width), Dense to the parameters of the head.

    Source: Sohn, Lee & Yan, "Learning Structured Output Representation using Deep Conditional
    Generative Models", NIPS 2015, the prior network of Eq. 4 (its sizes not checked).

    Args:
        latent_dim: int >= 1, latent dimensions.
        head: callable from `latent_dim` to a distribution layer.
        width: int >= 1, units of each hidden layer; or a sequence of int, those of one hidden layer
            after the other, which leaves `depth` unused.
        depth: int >= 0, hidden layers; 0 makes the network linear, a density for each class.
        activation: Keras activation of the hidden layers.
        **condition: `num_classes` or `condition_shape`, one of which is needed.

    Returns:
        `tfgen.layers.ConditionalPrior`.

    Raises:
        ValueError: if an argument is out of range, there is no condition, or `head` is not a head.

    Example:
        >>> prior = mlp_prior(latent_dim=20, width=64, num_classes=10)
        >>> prior.takes
        Condition(shape=(), num_classes=10, optional=False)
    """
    check_size(latent_dim=latent_dim)
    c = condition_input(**condition)
    if c is None:
        raise ValueError(
            "mlp_prior is p(z|c), of a condition. Received: neither num_classes nor "
            "condition_shape. Give one, or take layers.StandardNormal for p(z)."
        )
    if head is None:
        raise ValueError(
            "The prior is a density, p(z|c). Received: head=None. Give it a distribution layer, "
            "such as layers.IndependentNormal."
        )
    output, num_parameters = output_layer(head, latent_dim)
    hidden = dense_layers(layer_widths(width, depth), activation)
    parts = [keras.layers.Flatten(), *hidden, keras.layers.Dense(num_parameters), output]
    network = keras.Model(c, chain(c, parts), name="mlp_prior")
    return layers.ConditionalPrior(network, condition.get("num_classes"))
