"""Flows over images and vectors, as bijectors, and the networks inside them.

P. Lippe, UvA Deep Learning Tutorials, tutorial 11 (normalizing flows on image modeling), which
Soons's course has.
"""

import math
from collections.abc import Sequence

import keras

from tfgen._utils.arguments import as_event_shape, check_size
from tfgen._utils.typing import Shape
from tfgen.bijectors import Chain
from tfgen.bijectors.coupling import (
    AffineCoupling,
    SplineCoupling,
    alternating_mask,
    coupling_network,
)
from tfgen.bijectors.dequantization import VariationalDequantization
from tfgen.bijectors.glow import ActNorm
from tfgen.bijectors.image import Split, Squeezed, channel_mask, checkerboard_mask
from tfgen.networks._blocks import check_arguments, output_dtype

__all__ = [
    "gated_conv_net",
    "multiscale_flow",
    "simple_flow",
    "variational_dequantization",
    "vector_flow",
]

_KERNEL_SIZE = 3


def _concat_elu(x):
    """elu of x and of -x, twice the channels."""
    return keras.ops.elu(keras.ops.concatenate([x, -x], axis=-1))


def _gated_block(x, width):
    """Two convolutions, whose output a gate lets through to be added to x; then normalization."""
    h = keras.layers.Conv2D(width, _KERNEL_SIZE, padding="same")(_concat_elu(x))
    h = keras.layers.Conv2D(2 * width, 1)(_concat_elu(h))
    value, gate = keras.ops.split(h, 2, axis=-1)
    return keras.layers.LayerNormalization(epsilon=1e-5)(x + value * keras.ops.sigmoid(gate))


def gated_conv_net(
    image_shape: Shape,
    num_outputs: int,
    width: int = 32,
    num_layers: int = 3,
    context_shape: Shape | None = None,
) -> keras.Model:
    """Convolutional network of a coupling layer, of gated residual blocks.

    A 3x3 convolution; `num_layers` times a block x + value * sigmoid(gate), where ConcatELU, 3x3
    convolution, ConcatELU, 1x1 convolution give value and gate, followed by normalization over
    channels; ConcatELU and a 3x3 convolution that begins as zero.

    Source: UvA Deep Learning Tutorial 11, `GatedConvNet`, after Ho et al., arXiv:1902.00275v2.

    Args:
        image_shape: tuple of int, (height, width, channels).
        num_outputs: int >= 1, channels of the output.
        width: int >= 1, channels inside.
        num_layers: int >= 0, gated blocks.
        context_shape: tuple of int, (height, width, channels) of a second input, whose channels are
            joined to the image's; or (size,), of one that every pixel is given; or None.

    Returns:
        `keras.Model` from (batch, *image_shape), or from this and the context, to (batch, height,
        width, num_outputs), zeros at first.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> network = gated_conv_net((8, 8, 1), num_outputs=2, width=4)
        >>> network(keras.ops.ones((3, 8, 8, 1))).shape
        TensorShape([3, 8, 8, 2])
    """
    image_shape = check_arguments(image_shape, width=width)
    check_size(1, num_outputs=num_outputs)
    check_size(0, num_layers=num_layers)
    inputs, x = _inputs(image_shape, context_shape)
    x = keras.layers.Conv2D(width, _KERNEL_SIZE, padding="same")(x)
    for _ in range(num_layers):
        x = _gated_block(x, width)
    output = keras.layers.Conv2D(
        num_outputs,
        _KERNEL_SIZE,
        padding="same",
        kernel_initializer="zeros",
        dtype=output_dtype(),
    )
    return keras.Model(inputs, output(_concat_elu(x)), name="gated_conv_net")


def _inputs(image_shape, context_shape):
    """Inputs of a network over images, and the image's channels with those of the context."""
    image = keras.Input(image_shape)
    if context_shape is None:
        return image, image
    shape = as_event_shape(context_shape=context_shape)
    if len(shape) != 1 and shape[:-1] != image_shape[:-1]:
        raise ValueError(
            f"context_shape must be {(*image_shape[:-1], 'channels')}, as high and wide as the "
            f"images, or (size,). Received: context_shape={context_shape!r}."
        )
    context = keras.Input(shape)
    pixels = context
    if len(shape) == 1:
        pixels = keras.layers.RepeatVector(math.prod(image_shape[:-1]))(context)
        pixels = keras.layers.Reshape((*image_shape[:-1], *shape))(pixels)
    return [image, context], keras.layers.Concatenate()([image, pixels])


def _coupling(shape, mask, width, num_layers, context_shape=None):
    network = gated_conv_net(shape, 2 * shape[-1], width, num_layers, context_shape)
    return AffineCoupling(network, mask)


def _checkerboard_couplings(shape, num_couplings, width, num_layers, context_shape=None):
    """From latents to data, the last mask not inverted."""
    return [
        _coupling(shape, checkerboard_mask(shape, i % 2 == 1), width, num_layers, context_shape)
        for i in reversed(range(num_couplings))
    ]


def _channel_couplings(shape, num_couplings, width, num_layers, context_shape=None):
    return [
        _coupling(shape, channel_mask(shape[-1], i % 2 == 1), width, num_layers, context_shape)
        for i in reversed(range(num_couplings))
    ]


def _vector(context_size):
    """Shape of a context of so many numbers, or None for none."""
    check_size(0, context_size=context_size)
    return (context_size,) if context_size else None


def simple_flow(
    image_shape: Shape,
    num_couplings: int = 8,
    width: int = 32,
    num_layers: int = 3,
    context_size: int = 0,
) -> Chain:
    """Flow over images of one scale: affine couplings with alternating checkerboard masks.

    Source: UvA Deep Learning Tutorial 11, `create_simple_flow`; couplings of Dinh et al.,
    arXiv:1605.08803v3.

    Args:
        image_shape: tuple of int, (height, width, channels).
        num_couplings: int >= 1.
        width: int >= 1, channels inside the networks.
        num_layers: int >= 0, gated blocks of a network; see `gated_conv_net`.
        context_size: int >= 0, size of the context, a vector that all networks see; 0 for none.

    Returns:
        `tfgen.bijectors.Chain`, for `tfgen.models.NormalizingFlow` with a dequantization; the
        identity at first.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> len(simple_flow((8, 8, 1), num_couplings=2, width=4).bijectors)
        2
    """
    image_shape = check_arguments(image_shape, width=width)
    check_size(1, num_couplings=num_couplings)
    context_shape = _vector(context_size)
    return Chain(
        _checkerboard_couplings(image_shape, num_couplings, width, num_layers, context_shape)
    )


def variational_dequantization(
    image_shape: Shape,
    num_couplings: int = 4,
    width: int = 16,
    num_layers: int = 3,
    num_values: int = 256,
) -> VariationalDequantization:
    """Dequantization by a flow over the noise, whose networks see the image as well.

    Source: UvA Deep Learning Tutorial 11; Ho et al., arXiv:1902.00275v2, Sec. 3.1.

    Args:
        image_shape: tuple of int, (height, width, channels).
        num_couplings: int >= 1, couplings with alternating checkerboard masks.
        width: int >= 1, channels inside the networks.
        num_layers: int >= 0, gated blocks of a network; see `gated_conv_net`.
        num_values: int >= 2, data are 0 to num_values - 1.

    Returns:
        `tfgen.bijectors.VariationalDequantization`, uniform at first.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> dequantization = variational_dequantization((8, 8, 1), width=4, num_values=17)
        >>> dequantization.event_shape
        (8, 8, 1)
    """
    shape = check_arguments(image_shape, width=width)
    check_size(1, num_couplings=num_couplings)
    couplings = _checkerboard_couplings(shape, num_couplings, width, num_layers, shape)
    return VariationalDequantization(Chain(couplings), num_values)


def multiscale_flow(
    image_shape: Shape, width: int = 32, num_layers: int = 3, context_size: int = 0
) -> Chain:
    """Flow over images of three scales, half of whose latents leave at the second.

    From data to latents: 2 couplings with checkerboard masks and networks of `width` channels;
    squares of 2 x 2 pixels become channels; 2 couplings with channel masks, 3/2 `width`; half of
    the channels are final; the others are squeezed once more; 4 couplings, 2 `width`.

    Source: UvA Deep Learning Tutorial 11, `create_multiscale_flow`; Dinh et al.,
    arXiv:1605.08803v3, Sec. 3.6.

    Args:
        image_shape: tuple of int, (height, width, channels); height and width multiples of 4.
        width: int >= 1, channels inside the networks of the largest scale.
        num_layers: int >= 0, gated blocks of a network; see `gated_conv_net`.
        context_size: int >= 0, size of the context, a vector that all networks see; 0 for none.

    Returns:
        `tfgen.bijectors.Chain` over images, the identity at first; latents have the image's shape.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> multiscale_flow((8, 8, 1), width=4).event_shape
        (8, 8, 1)
    """
    shape = _check_two_squeezes(check_arguments(image_shape, width=width))
    height, columns, channels = shape
    half = (height // 2, columns // 2, 4 * channels)
    quarter = (height // 4, columns // 4, 8 * channels)
    options = {"num_layers": num_layers, "context_shape": _vector(context_size)}
    coarsest = Squeezed(Chain(_channel_couplings(quarter, 4, 2 * width, **options)))
    middle = _channel_couplings(half, 2, 3 * width // 2, **options)
    finest = _checkerboard_couplings(shape, 2, width, **options)
    return Chain([Squeezed(Chain([Split(coarsest), *middle])), *finest])


def _check_two_squeezes(image_shape):
    if any(pixels % 4 for pixels in image_shape[:2]):
        raise ValueError(
            "multiscale_flow squeezes images twice and expects height and width to be multiples of "
            f"4. Received: image_shape={image_shape}. Resize the images, or use simple_flow."
        )
    return image_shape


def vector_flow(
    size: int,
    num_couplings: int = 6,
    hidden: Sequence[int] = (64, 64),
    num_bins: int = 8,
    bound: float = 4.0,
    context_size: int = 0,
) -> Chain:
    """Flow over vectors, such as the rows of a table: spline couplings on standardized data.

    Source: Durkan et al., arXiv:1906.04032v2, with alternating masks; the first batch sets scale
    and shift of each element (`tfgen.bijectors.ActNorm`).

    Args:
        size: int >= 2, length of the vectors.
        num_couplings: int >= 1.
        hidden: sequence of int, units of the networks' hidden layers.
        num_bins: int >= 2, bins of a spline.
        bound: float > 0, standard deviations from which on a spline is the identity.
        context_size: int >= 0, size of the context that all networks see; 0 for none.

    Returns:
        `tfgen.bijectors.Chain`, for `tfgen.models.NormalizingFlow`; the identity at first.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> vector_flow(2, num_couplings=2, hidden=(8,)).event_shape
        (2,)
    """
    check_size(2, size=size, num_bins=num_bins)
    check_size(1, num_couplings=num_couplings)
    couplings = [
        SplineCoupling(
            coupling_network(
                size, hidden, context_size=context_size, num_parameters=3 * num_bins - 1
            ),
            alternating_mask(size, i % 2),
            num_bins,
            bound,
        )
        for i in range(num_couplings)
    ]
    return Chain([*couplings, ActNorm(size)])
