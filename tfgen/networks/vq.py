"""Convolutional networks of a VQ-VAE. van den Oord et al., arXiv:1711.00937v2."""

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.arguments import check_flags, check_size
from tfgen._utils.typing import Shape
from tfgen.networks._blocks import (
    ConditionOptions,
    Head,
    chain,
    check_data_shape,
    convolution,
    halved_sizes,
    output_channels,
    output_dtype,
    output_layer,
    stack,
    upsample,
)

__all__ = ["vq_decoder", "vq_encoder"]

_NUM_HALVINGS = 2
_KERNEL_SIZE = 4


def _residual_block(width, rank):
    """Function that adds ReLU, a 3x3 convolution, ReLU and a 1x1 convolution to its input."""

    def block(x):
        residual = [
            keras.layers.Activation("relu"),
            convolution(3, width, rank=rank, activation="relu"),
            convolution(1, width, rank=rank),
        ]
        return keras.layers.Add()([x, chain(x, residual)])

    return block


def vq_encoder(
    data_shape: Shape,
    code_dim: int = 64,
    width: int = 256,
    num_blocks: int = 2,
    normalize: bool = False,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from images to a map of vectors, a quarter as high and wide.

    Series and volumes work as well: kernels have as many axes as the data.

    Two 4x4 convolutions of stride 2, residual blocks (ReLU, 3x3, ReLU, 1x1), and a 1x1 convolution
    to `code_dim` channels.

    Source: van den Oord et al., arXiv:1711.00937v2, Sec. 4.1; the last convolution is that of the
    authors' code, and the ReLU after the first, between two linear maps.

    Args:
        data_shape: tuple of int, (height, width, channels) of images, (length, channels) of series
            or (depth, height, width, channels) of volumes, from 3 pixels on each axis.
        code_dim: int >= 1, size of each vector.
        width: int >= 1, filters of all other convolutions.
        num_blocks: int >= 0, residual blocks.
        normalize: bool, whether all vectors of an example are normalized together, by a
            `keras.layers.LayerNormalization` at the end: for an `FSQVAE`.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, ceil(height / 4),
        ceil(width / 4), code_dim).

    Raises:
        ValueError: if an argument is out of range or an axis too short.

    Example:
        >>> vq_encoder((28, 28, 1), code_dim=8, width=16)(keras.ops.zeros((5, 28, 28, 1))).shape
        TensorShape([5, 7, 7, 8])
    """
    data_shape = check_data_shape(data_shape, _NUM_HALVINGS, code_dim=code_dim, width=width)
    check_size(0, num_blocks=num_blocks)
    check_flags(normalize=normalize)
    rank = len(data_shape) - 1
    axes = tuple(range(1, rank + 2))
    return stack(
        data_shape,
        [
            convolution(_KERNEL_SIZE, width, 2, rank, activation="relu"),
            convolution(_KERNEL_SIZE, width, 2, rank),
            *(_residual_block(width, rank) for _ in range(num_blocks)),
            keras.layers.Activation("relu"),
            convolution(1, code_dim, rank=rank, dtype=output_dtype()),
            *([keras.layers.LayerNormalization(axes, dtype=output_dtype())] if normalize else []),
        ],
        name="vq_encoder",
        **condition,
    )


def vq_decoder(
    data_shape: Shape,
    code_dim: int = 64,
    head: Head = layers.IndependentBernoulli,
    width: int = 256,
    num_blocks: int = 2,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from a map of codes to images, the mirror of `vq_encoder`.

    Source: van den Oord et al., arXiv:1711.00937v2, Sec. 4.1; the first convolution, 3x3 to `width`
    channels, is that of the authors' code.

    Args:
        data_shape: tuple of int, (height, width, channels) of images, (length, channels) of series
            or (depth, height, width, channels) of volumes, from 3 pixels on each axis.
        code_dim: int >= 1, size of each code.
        head: callable from `data_shape` to a distribution layer with the same number of parameters
            for every pixel; None for plain images.
        width: int >= 1, filters of the hidden convolutions.
        num_blocks: int >= 0, residual blocks.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, ceil(height / 4), ceil(width / 4), code_dim) to p(x|z) over
        (batch, height, width, channels).

    Raises:
        ValueError: if an argument is out of range, an axis too short or `head` does not fit.

    Example:
        >>> vq_decoder((28, 28, 1), code_dim=8, width=16)(keras.ops.zeros((5, 7, 7, 8))).event_shape
        TensorShape([28, 28, 1])
    """
    data_shape = check_data_shape(data_shape, _NUM_HALVINGS, code_dim=code_dim, width=width)
    check_size(0, num_blocks=num_blocks)
    rank = len(data_shape) - 1
    output, num_parameters = output_layer(head, data_shape)
    full, half, quarter = halved_sizes(data_shape, _NUM_HALVINGS)
    return stack(
        (*quarter, code_dim),
        [
            convolution(3, width, rank=rank),
            *(_residual_block(width, rank) for _ in range(num_blocks)),
            keras.layers.Activation("relu"),
            *upsample(width, _KERNEL_SIZE, half, activation="relu"),
            *upsample(output_channels(num_parameters, data_shape), _KERNEL_SIZE, full),
            output,
        ],
        name="vq_decoder",
        **condition,
    )
