"""Residual generator and discriminator, and the encoder that goes with them.

A. Sagar, "Generate High Fidelity Images With Generative Variational Autoencoder", Tables 1 and 2.
"""

import functools
import math

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.arguments import check_flags, check_fractions
from tfgen._utils.typing import Activation, Shape
from tfgen.networks._blocks import (
    FEATURES,
    ConditionOptions,
    Head,
    chain,
    check_image_shape,
    convolution,
    image_output,
    logit,
    nonlinearity,
    normalization,
    output_channels,
    output_layer,
    stack,
)

__all__ = ["gvae_encoder", "residual_discriminator", "residual_generator"]

_KERNEL_SIZE = 3
_NUM_ENCODER_HALVINGS = 4


_conv = functools.partial(convolution, _KERNEL_SIZE)


def _residual_block(hidden, filters, batch_norm, dropout):
    """Function that applies two convolutions and adds what they are given."""

    def block(x):
        residual = chain(
            x,
            [
                _conv(hidden, use_bias=not batch_norm),
                *nonlinearity(batch_norm, dropout=dropout),
                _conv(filters, use_bias=not batch_norm),
                *normalization(batch_norm),
            ],
        )
        shortcut = x if x.shape[-1] == filters else keras.layers.Conv2D(filters, 1)(x)
        return chain(keras.layers.Add()([residual, shortcut]), nonlinearity(batch_norm=False))

    return block


def _check(image_shape, latent_dim, width, batch_norm, dropout):
    """Returns `image_shape` as a tuple, or raises ValueError."""
    check_flags(batch_norm=batch_norm)
    check_fractions("Use 0 for none.", dropout=dropout)
    image_shape = check_image_shape(image_shape, latent_dim=latent_dim, width=width)
    if any(pixels % 4 for pixels in image_shape[:2]):
        raise ValueError(
            "A residual network halves or doubles an image twice and expects height and width to "
            f"be multiples of 4. Received: image_shape={image_shape}. Pad or resize the images, or "
            "use the dcgan networks, which take any size."
        )
    return image_shape


def residual_generator(
    image_shape: Shape,
    latent_dim: int = 512,
    width: int = 64,
    batch_norm: bool = True,
    dropout: float = 0.3,
    output_activation: Activation = "tanh",
    head: Head = None,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Residual network from latent variables to images.

    Dense to a map of a quarter of the image's size with 4 `width` channels, three pairs of residual
    blocks with `width` times 4, 2 and 1 filters, nearest-neighbour upsampling between the pairs,
    and a 3x3 convolution to the pixels.

    Source: Sagar, Table 1, which is `width=64` at 128 pixels and three channels.
    Interpretation, since text and tables contradict each other: a ResNet block a -> b -> c is a
    3x3 convolution with b filters, batch normalization, leaky ReLU, dropout, a 3x3 convolution with
    c filters, batch normalization, and leaky ReLU of the sum with the block's input, which passes a
    1x1 convolution where c is not a (He et al., arXiv:1512.03385v1, Sec. 3). The text's max pooling
    inside a block is left out, since every block of the tables keeps the size of its image. The
    first block's 512 -> 256 -> 256 is 256 -> 256 -> 256, since the map before it has 256 channels.

    Args:
        image_shape: tuple of int, (height, width, channels), both sizes multiples of 4.
        latent_dim: int >= 1, latent dimensions.
        width: int >= 1, filters of the last pair of blocks.
        batch_norm: bool, whether to normalize the blocks by batch.
        dropout: float in [0, 1), rate between the two convolutions of a block.
        output_activation: Keras activation of the pixels: "tanh" for images in [-1, 1], "sigmoid"
            for [0, 1], None for any range.
        head: callable from `image_shape` to a distribution layer with the same number of
            parameters for every pixel; None for plain images.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to images of shape (batch, height, width, channels),
        or to p(x|z) over them.

    Raises:
        ValueError: if an argument is out of range, or `head` is not a head or does not fit
            `output_activation`.

    Example:
        >>> generator = residual_generator((32, 32, 1), latent_dim=100, width=4)
        >>> generator(keras.ops.zeros((2, 100))).shape
        TensorShape([2, 32, 32, 1])
    """
    image_shape = _check(image_shape, latent_dim, width, batch_norm, dropout)
    output, num_parameters = image_output(head, image_shape, output_activation)
    feature_map = (image_shape[0] // 4, image_shape[1] // 4, 4 * width)
    block = functools.partial(_residual_block, batch_norm=batch_norm, dropout=dropout)
    return stack(
        (latent_dim,),
        [
            keras.layers.Dense(math.prod(feature_map)),
            keras.layers.Reshape(feature_map),
            block(4 * width, 4 * width),
            block(4 * width, 4 * width),
            keras.layers.UpSampling2D(),
            block(2 * width, 2 * width),
            block(2 * width, 2 * width),
            keras.layers.UpSampling2D(),
            block(width, width),
            block(width, width),
            _conv(output_channels(num_parameters, image_shape)),
            *output,
        ],
        name="residual_generator",
        **condition,
    )


def residual_discriminator(
    image_shape: Shape,
    width: int = 64,
    batch_norm: bool = False,
    dropout: float = 0.3,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Residual network from images to one logit.

    A 3x3 convolution with `width` filters, two pairs of residual blocks with `width` times 1 and 2,
    then 2 and 4 filters, average pooling after each pair, Dense to 1000 units at `width=64` and in
    proportion at others with leaky ReLU, named "features", then Dense(1).

    Source: Sagar, Table 2, which is `width=64` at 128 pixels and three channels; there the Dense
    layer alone has 262 million weights.
    Interpretation: blocks as in `residual_generator`; the first, 128 -> 64 -> 64 -> 64, is
    64 -> 64 -> 64, since the map before it has 64 channels. The text's four 3-D convolutions are
    not in the table; `gvae_encoder` has them.
    Deviation: the table ends with the 1000 units; the text wants a single value.

    Args:
        image_shape: tuple of int, (height, width, channels), both sizes multiples of 4.
        width: int >= 1, filters of the first convolution.
        batch_norm: bool, whether to normalize the blocks by batch, as the text says. False for the
            gradient penalty that the text uses as well: it bounds the slope of the logit at each
            image by itself, and batch normalization makes a logit depend on the whole batch
            (Gulrajani et al., arXiv:1704.00028v3, Sec. 4).
        dropout: float in [0, 1), rate between the two convolutions of a block.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, height, width, channels) to logits of shape (batch, 1).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> discriminator = residual_discriminator((32, 32, 1), width=4)
        >>> discriminator(keras.ops.zeros((2, 32, 32, 1))).shape
        TensorShape([2, 1])
    """
    image_shape = _check(image_shape, 1, width, batch_norm, dropout)
    block = functools.partial(_residual_block, batch_norm=batch_norm, dropout=dropout)
    return stack(
        image_shape,
        [
            _conv(width),
            block(width, width),
            block(width, 2 * width),
            keras.layers.AveragePooling2D(2),
            block(2 * width, 2 * width),
            block(2 * width, 4 * width),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(math.ceil(1000 * width / 64), "leaky_relu", name=FEATURES),
            logit(),
        ],
        name="residual_discriminator",
        **condition,
    )


def gvae_encoder(
    image_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: int = 64,
    batch_norm: bool = True,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Four-convolution network from images to latent variables.

    3x3 convolutions of stride 2 with `width` times 1, 2, 4 and 8 filters, batch normalization and
    leaky ReLU after each, then Dense to the parameters of the head.

    Source: Sagar, Sec. 4.2. The text gives neither filters nor strides.
    Deviation: 2-D convolutions for 2-D images where the text says 3-D.

    Args:
        image_shape: tuple of int, (height, width, channels), from 9 pixels on.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `latent_dim` to a distribution layer; None for a plain vector.
        width: int >= 1, filters of the first convolution.
        batch_norm: bool, whether to normalize by batch.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, height, width, channels) to q(z|x) over (batch, latent_dim).

    Raises:
        ValueError: if an argument is out of range, the image too small or `head` is not a head.

    Example:
        >>> encoder = gvae_encoder((32, 32, 1), latent_dim=100, width=4)
        >>> encoder(keras.ops.zeros((2, 32, 32, 1))).event_shape
        TensorShape([100])
    """
    image_shape = check_image_shape(
        image_shape, _NUM_ENCODER_HALVINGS, latent_dim=latent_dim, width=width
    )
    output, num_parameters = output_layer(head, latent_dim)
    check_flags(batch_norm=batch_norm)
    blocks = [
        [_conv(width * 2**step, strides=2, use_bias=not batch_norm), *nonlinearity(batch_norm)]
        for step in range(_NUM_ENCODER_HALVINGS)
    ]
    return stack(
        image_shape,
        [
            *sum(blocks, []),
            keras.layers.Flatten(),
            keras.layers.Dense(num_parameters),
            output,
        ],
        name="gvae_encoder",
        **condition,
    )
