"""Encoder, decoder and discriminator of VAE/GAN.

Larsen, Sonderby, Larochelle & Winther, "Autoencoding beyond pixels using a learned similarity
metric", arXiv:1512.09300v2, Table 1.
"""

import functools
import math

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.arguments import check_size
from tfgen._utils.typing import Activation, Shape
from tfgen.networks._blocks import (
    FEATURES,
    ConditionOptions,
    Head,
    check_image_shape,
    convolution,
    halved_sizes,
    image_output,
    logit,
    nonlinearity,
    output_channels,
    output_layer,
    stack,
    upsample,
)

__all__ = ["larsen_decoder", "larsen_discriminator", "larsen_encoder"]

_NUM_HALVINGS = 3
_KERNEL_SIZE = 5


_conv = functools.partial(convolution, _KERNEL_SIZE)


def _normalized(*weights):
    """Layers followed by batch normalization, so without bias, and ReLU."""
    return [*weights, *nonlinearity(batch_norm=True, activation="relu")]


def _halve(filters, name=None):
    return _normalized(_conv(filters, strides=2, use_bias=False, name=name))


def _double(filters, size):
    return _normalized(*upsample(filters, _KERNEL_SIZE, size, use_bias=False))


def _dense(units):
    return _normalized(keras.layers.Dense(units, use_bias=False))


def larsen_encoder(
    image_shape: Shape,
    latent_dim: int = 128,
    head: Head = layers.IndependentNormal,
    width: int = 64,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Three-convolution network from images to latent variables.

    5x5 convolutions of stride 2 with `width` times 1, 2 and 4 filters, Dense(32 `width`), each
    followed by batch normalization and ReLU; then Dense to the parameters of the head.

    Source: Larsen et al., arXiv:1512.09300v2, Table 1, column Encoder: 64, 128, 256 and 2048 at 64
    pixels and latent_dim=128. The authors' code has 1024 in place of 2048.

    Args:
        image_shape: tuple of int, (height, width, channels), from 5 pixels on.
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
        >>> encoder = larsen_encoder((64, 64, 3), width=4)
        >>> encoder(keras.ops.zeros((2, 64, 64, 3))).event_shape
        TensorShape([128])
    """
    image_shape = check_image_shape(image_shape, _NUM_HALVINGS, latent_dim=latent_dim, width=width)
    output, num_parameters = output_layer(head, latent_dim)
    return stack(
        image_shape,
        [
            *_halve(width),
            *_halve(2 * width),
            *_halve(4 * width),
            keras.layers.Flatten(),
            *_dense(32 * width),
            keras.layers.Dense(num_parameters),
            output,
        ],
        name="larsen_encoder",
        **condition,
    )


def larsen_decoder(
    image_shape: Shape,
    latent_dim: int = 128,
    head: Head = layers.FixedScaleNormal,
    width: int = 64,
    output_activation: Activation = "tanh",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Four-convolution network from latent variables to images.

    Dense to a map of an eighth of the image's size with 4 `width` channels, 5x5 transposed
    convolutions of stride 2 with `width` times 4, 2 and 1/2 filters, each followed by batch
    normalization and ReLU; then a 5x5 convolution to the pixels.

    Source: Larsen et al., arXiv:1512.09300v2, Table 1, column Decoder: 8x8x256, 256, 128, 32 and 3
    at 64 pixels. The paper's likelihood has identity covariance, so a scale of 1.

    Args:
        image_shape: tuple of int, (height, width, channels), from 5 pixels on.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `image_shape` to a distribution layer with the same number of
            parameters for every pixel; None for plain images.
        width: int >= 2, twice the filters of the last transposed convolution.
        output_activation: Keras activation of the pixels: "tanh" for images in [-1, 1], "sigmoid"
            for [0, 1], None for any range.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to p(x|z) over (batch, height, width, channels), or
        to images.

    Raises:
        ValueError: if an argument is out of range, the image too small, or `head` is not a head or
            does not fit `output_activation`.

    Example:
        >>> decoder = larsen_decoder((64, 64, 3), width=4)
        >>> decoder(keras.ops.zeros((2, 128))).event_shape
        TensorShape([64, 64, 3])
    """
    check_size(2, width=width)
    image_shape = check_image_shape(image_shape, _NUM_HALVINGS, latent_dim=latent_dim, width=width)
    output, num_parameters = image_output(head, image_shape, output_activation)
    full, half, quarter, eighth = halved_sizes(image_shape, _NUM_HALVINGS)
    feature_map = (*eighth, 4 * width)
    return stack(
        (latent_dim,),
        [
            *_dense(math.prod(feature_map)),
            keras.layers.Reshape(feature_map),
            *_double(4 * width, quarter),
            *_double(2 * width, half),
            *_double(width // 2, full),
            _conv(output_channels(num_parameters, image_shape)),
            *output,
        ],
        name="larsen_decoder",
        **condition,
    )


def larsen_discriminator(
    image_shape: Shape,
    width: int = 64,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Four-convolution network from images to one logit.

    A 5x5 convolution with `width`/2 filters and ReLU, 5x5 convolutions of stride 2 with `width`
    times 2, 4 and 4 filters, Dense(8 `width`), each followed by batch normalization and ReLU; then
    Dense(1). The fourth convolution, before its batch normalization, is named "features": it is
    Dis_l of Eq. 7, in whose values images are compared.

    Source: Larsen et al., arXiv:1512.09300v2, Table 1, column Discriminator: 32, 128, 256, 256 and
    512 at 64 pixels. Which layer is l is that of the authors' code, whose recon_depth=9 counts
    convolution, batch normalization and ReLU each as a layer.
    Deviation: no sigmoid at the end, since the losses take logits.

    Args:
        image_shape: tuple of int, (height, width, channels), from 5 pixels on.
        width: int >= 2, twice the filters of the first convolution.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, height, width, channels) to logits of shape (batch, 1).

    Raises:
        ValueError: if an argument is out of range or the image too small.

    Example:
        >>> discriminator = larsen_discriminator((64, 64, 3), width=4)
        >>> discriminator.get_layer("features").output.shape
        (None, 8, 8, 16)
    """
    check_size(2, width=width)
    return stack(
        check_image_shape(image_shape, _NUM_HALVINGS, width=width),
        [
            _conv(width // 2, activation="relu"),
            *_halve(2 * width),
            *_halve(4 * width),
            *_halve(4 * width, name=FEATURES),
            keras.layers.Flatten(),
            *_dense(8 * width),
            logit(),
        ],
        name="larsen_discriminator",
        **condition,
    )
