"""Convolutional encoder and decoder for small images, series and volumes.

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
    check_data_shape,
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


def _checked(data_shape, latent_dim, width, activation):
    """Shape and activation, after checks of all arguments."""
    shape = check_data_shape(data_shape, _NUM_HALVINGS, latent_dim=latent_dim, width=width)
    check_activation(activation=activation)
    return shape, fast(activation)


def conv_encoder(
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: int = 32,
    activation: Activation = "gelu",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from images, series or volumes to latent variables.

    Five convolutions of `width` (stride 2), `width`, 2 `width` (stride 2), 2 `width` and 2 `width`
    (stride 2) filters, whose kernels are 3 pixels wide on each axis, then Dense to the parameters
    of the head. An image of 28 pixels becomes 14, 7 and 4 pixels wide.

    Source: UvA Deep Learning Tutorial 9, `Encoder`; Soons, 2020, Question 1.12.
    Deviation: padding is Keras' "same", which at even sizes lies one pixel further right and down
    than PyTorch's padding of 1.

    Args:
        data_shape: tuple of int, (height, width, channels) of images, (length, channels) of series
            or (depth, height, width, channels) of volumes, from 5 pixels on each axis.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `latent_dim` to a distribution layer; None for a plain vector.
        width: int >= 1, filters of the first convolution.
        activation: Keras activation after each convolution.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, *data_shape) to q(z|x) over (batch, latent_dim).

    Raises:
        ValueError: if an argument is out of range, an axis too short or `head` is not a head.

    Example:
        >>> encoder = conv_encoder((28, 28, 1), latent_dim=20)
        >>> encoder(keras.ops.zeros((8, 28, 28, 1))).event_shape
        TensorShape([20])
        >>> conv_encoder((100, 3), latent_dim=20).output_shape  # Series of three channels.
        (None, 20)
    """
    data_shape, activation = _checked(data_shape, latent_dim, width, activation)
    output, num_parameters = output_layer(head, latent_dim)
    conv = functools.partial(_conv, rank=len(data_shape) - 1, activation=activation)
    return stack(
        data_shape,
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
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentBernoulli,
    width: int = 32,
    activation: Activation = "gelu",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from latent variables to data, the mirror of `conv_encoder`.

    Dense to the encoder's last feature map, then transposed convolutions of stride 2 with
    2 `width`, `width` and the head's number of filters, a convolution between each two. Sizes
    are those of the encoder, so 4 pixels become 7, 14 and 28.

    Source: UvA Deep Learning Tutorial 9, `Decoder`; Soons, 2020, Question 1.12.
    Deviation: no tanh at the end, since the head takes logits or an unbounded loc.

    Args:
        data_shape: tuple of int, (height, width, channels) of images, (length, channels) of series
            or (depth, height, width, channels) of volumes, from 5 pixels on each axis.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `data_shape` to a distribution layer with the same number of
            parameters for every pixel; None for plain numbers.
        width: int >= 1, filters of the last but one transposed convolution.
        activation: Keras activation after each layer but the last.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to p(x|z) over (batch, *data_shape).

    Raises:
        ValueError: if an argument is out of range, an axis too short or `head` does not fit.

    Example:
        >>> decoder = conv_decoder((28, 28, 1), latent_dim=20)
        >>> decoder(keras.ops.zeros((8, 20))).event_shape
        TensorShape([28, 28, 1])
    """
    data_shape, activation = _checked(data_shape, latent_dim, width, activation)
    output, num_parameters = output_layer(head, data_shape)
    full, half, quarter, eighth = halved_sizes(data_shape, _NUM_HALVINGS)
    feature_map = (*eighth, 2 * width)
    conv = functools.partial(_conv, rank=len(data_shape) - 1, activation=activation)
    return stack(
        (latent_dim,),
        [
            keras.layers.Dense(math.prod(feature_map), activation),
            keras.layers.Reshape(feature_map),
            *upsample(2 * width, _KERNEL_SIZE, quarter, activation=activation),
            conv(2 * width),
            *upsample(width, _KERNEL_SIZE, half, activation=activation),
            conv(width),
            *upsample(output_channels(num_parameters, data_shape), _KERNEL_SIZE, full),
            output,
        ],
        name="conv_decoder",
        **condition,
    )
