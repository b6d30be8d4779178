"""Convolutional encoder and decoder for small images.

P. Lippe, UvA Deep Learning Tutorials, tutorial 9 (deep autoencoders), with latent variables as in
Soons, "Practical 3: Deep Generative Models", 2020, Question 1.12.
"""

import functools
import math

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.arguments import check_activation
from tfgen._utils.typing import Activation, Shape
from tfgen.networks._blocks import (
    ConditionOptions,
    Head,
    check_arguments,
    convolution,
    fast,
    halved_sizes,
    output_channels,
    output_layer,
    stack,
    upsample,
)

__all__ = ["conv_decoder", "conv_encoder"]

_NUM_HALVINGS = 3
_KERNEL_SIZE = 3


_conv = functools.partial(convolution, _KERNEL_SIZE)


def conv_encoder(
    image_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: int = 32,
    activation: Activation = "gelu",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from images to latent variables.

    Five 3x3 convolutions of `width` (stride 2), `width`, 2 `width` (stride 2), 2 `width` and
    2 `width` (stride 2) filters, then Dense to the parameters of the head. An image of 28 pixels
    becomes 14, 7 and 4 pixels wide.

    Source: UvA Deep Learning Tutorial 9, `Encoder`; Soons, 2020, Question 1.12.
    Deviation: padding is Keras' "same", which at even sizes lies one pixel further right and down
    than PyTorch's padding of 1.

    Args:
        image_shape: tuple of int, (height, width, channels), from 5 pixels on.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `latent_dim` to a distribution layer; None for a plain vector.
        width: int >= 1, filters of the first convolution.
        activation: Keras activation after each convolution.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, height, width, channels) to q(z|x) over (batch, latent_dim).

    Raises:
        ValueError: if an argument is out of range, the image too small or `head` no head.

    Example:
        >>> encoder = conv_encoder((28, 28, 1), latent_dim=20)
        >>> encoder(keras.ops.zeros((8, 28, 28, 1))).event_shape
        TensorShape([20])
    """
    image_shape = check_arguments(image_shape, latent_dim, width, _NUM_HALVINGS)
    check_activation(activation=activation)
    activation = fast(activation)
    output, num_parameters = output_layer(head, latent_dim)
    conv = functools.partial(_conv, activation=activation)
    return stack(
        image_shape,
        [
            conv(width, strides=2),
            conv(width),
            conv(2 * width, strides=2),
            conv(2 * width),
            conv(2 * width, strides=2),
            keras.layers.Flatten(),
            keras.layers.Dense(num_parameters),
            output,
        ],
        name="conv_encoder",
        **condition,
    )


def conv_decoder(
    image_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentBernoulli,
    width: int = 32,
    activation: Activation = "gelu",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from latent variables to images, the mirror of `conv_encoder`.

    Dense to the encoder's last feature map, then 3x3 transposed convolutions of stride 2 with
    2 `width`, `width` and the head's number of filters, a 3x3 convolution between each two. Sizes
    are those of the encoder, so 4 pixels become 7, 14 and 28.

    Source: UvA Deep Learning Tutorial 9, `Decoder`; Soons, 2020, Question 1.12.
    Deviation: no tanh at the end, since the head takes logits or an unbounded loc.

    Args:
        image_shape: tuple of int, (height, width, channels), from 5 pixels on.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `image_shape` to a distribution layer with the same number of
            parameters for every pixel; None for plain images.
        width: int >= 1, filters of the last but one transposed convolution.
        activation: Keras activation after each layer but the last.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to p(x|z) over (batch, height, width, channels).

    Raises:
        ValueError: if an argument is out of range, the image too small or `head` does not fit.

    Example:
        >>> decoder = conv_decoder((28, 28, 1), latent_dim=20)
        >>> decoder(keras.ops.zeros((8, 20))).event_shape
        TensorShape([28, 28, 1])
    """
    image_shape = check_arguments(image_shape, latent_dim, width, _NUM_HALVINGS)
    check_activation(activation=activation)
    activation = fast(activation)
    output, num_parameters = output_layer(head, image_shape)
    full, half, quarter, eighth = halved_sizes(image_shape, _NUM_HALVINGS)
    feature_map = (*eighth, 2 * width)
    conv = functools.partial(_conv, activation=activation)
    return stack(
        (latent_dim,),
        [
            keras.layers.Dense(math.prod(feature_map), activation),
            keras.layers.Reshape(feature_map),
            *upsample(2 * width, _KERNEL_SIZE, quarter, activation=activation),
            conv(2 * width),
            *upsample(width, _KERNEL_SIZE, half, activation=activation),
            conv(width),
            *upsample(output_channels(num_parameters, image_shape), _KERNEL_SIZE, full),
            output,
        ],
        name="conv_decoder",
        **condition,
    )
