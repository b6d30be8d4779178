"""Six-convolution encoder and decoder for 64x64 images.

M. Schik, "Overview of Variational Autoencoder-based Generative Models", section VI.
"""

import math

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.typing import Shape
from tfgen.networks._blocks import (
    ConditionOptions,
    Head,
    check_image_shape,
    halved_sizes,
    output_channels,
    output_layer,
    stack,
    upsample,
)

__all__ = ["conv64_decoder", "conv64_encoder"]

_NUM_HALVINGS = 6
_KERNEL_SIZE = 4


def _filters(width):
    """Filters of the first five convolutions."""
    return [width, 2 * width, 2 * width, 4 * width, 8 * width]


def _halve(filters):
    # No bias: batch normalization or the Dense layer that follows has one.
    return keras.layers.Conv2D(filters, _KERNEL_SIZE, 2, padding="same", use_bias=False)


def _between():
    return [keras.layers.BatchNormalization(), keras.layers.LeakyReLU(negative_slope=0.3)]


def conv64_encoder(
    image_shape: Shape,
    latent_dim: int = 32,
    head: Head = layers.IndependentNormal,
    width: int = 64,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Six-convolution network from images of 64 pixels to latent variables.

    4x4 convolutions of stride 2 with `width` times 1, 2, 2, 4 and 8 filters, a sixth with
    `latent_dim` filters, batch normalization and leaky ReLU between each two, then Dense to the
    parameters of the head. An image of 64 pixels ends as one pixel.

    Source: Schik, section VI.A; filters and the slope 0.3 as in the author's code, since the text
    does not give them.
    Deviation: the text's exp on the scale is the head's `scale_activation="exponential"`.

    Args:
        image_shape: tuple of int, (height, width, channels), from 33 pixels on.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `latent_dim` to a distribution layer; None for a plain vector.
        width: int >= 1, filters of the first convolution.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, height, width, channels) to q(z|x) over (batch, latent_dim).

    Raises:
        ValueError: if an argument is out of range, the image too small or `head` is not a head.

    Example:
        >>> encoder = conv64_encoder((64, 64, 3), latent_dim=32, width=4)
        >>> encoder(keras.ops.zeros((8, 64, 64, 3))).event_shape
        TensorShape([32])
    """
    image_shape = check_image_shape(image_shape, _NUM_HALVINGS, latent_dim=latent_dim, width=width)
    output, num_parameters = output_layer(head, latent_dim)
    blocks = [[_halve(filters), *_between()] for filters in _filters(width)]
    return stack(
        image_shape,
        [
            *sum(blocks, []),
            _halve(latent_dim),
            keras.layers.Flatten(),
            keras.layers.Dense(num_parameters),
            output,
        ],
        name="conv64_encoder",
        **condition,
    )


def conv64_decoder(
    image_shape: Shape,
    latent_dim: int = 32,
    head: Head = layers.FixedScaleNormal,
    width: int = 64,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Six-convolution network from latent variables to images, the reverse of `conv64_encoder`.

    Dense to the encoder's last feature map, then 4x4 transposed convolutions of stride 2 with
    `width` times 8, 4, 2, 2 and 1 filters and the head's number of filters, batch normalization
    and leaky ReLU between each two.

    Source: Schik, section VI.A, with its normal distribution of fixed variance as head.
    Deviation: the text's exact reverse of the encoder; the author's code grows its first 4x4 map
    in one step and adds a 5x5 convolution and a sigmoid.

    Args:
        image_shape: tuple of int, (height, width, channels), from 33 pixels on.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `image_shape` to a distribution layer with the same number of
            parameters for every pixel; None for plain images.
        width: int >= 1, filters of the last but one transposed convolution.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to p(x|z) over (batch, height, width, channels).

    Raises:
        ValueError: if an argument is out of range, the image too small or `head` does not fit.

    Example:
        >>> decoder = conv64_decoder((64, 64, 3), latent_dim=32, width=4)
        >>> decoder(keras.ops.zeros((8, 32))).event_shape
        TensorShape([64, 64, 3])
    """
    image_shape = check_image_shape(image_shape, _NUM_HALVINGS, latent_dim=latent_dim, width=width)
    output, num_parameters = output_layer(head, image_shape)
    full, *sizes, smallest = halved_sizes(image_shape, _NUM_HALVINGS)
    feature_map = (*smallest, latent_dim)
    blocks = [
        [*upsample(filters, _KERNEL_SIZE, size, use_bias=False), *_between()]
        for filters, size in zip(reversed(_filters(width)), reversed(sizes), strict=True)
    ]
    return stack(
        (latent_dim,),
        [
            keras.layers.Dense(math.prod(feature_map)),
            keras.layers.Reshape(feature_map),
            *sum(blocks, []),
            *upsample(output_channels(num_parameters, image_shape), _KERNEL_SIZE, full),
            output,
        ],
        name="conv64_decoder",
        **condition,
    )
