"""Flows over images and vectors, as bijectors, and the networks inside them.

P. Lippe, UvA Deep Learning Tutorials, tutorial 11 (normalizing flows on image modeling), which
Soons's course has.
"""

import math
from collections.abc import Sequence

import keras

from tfgen._utils.arguments import as_event_shape, check_size
from tfgen._utils.typing import Shape
from tfgen.bijectors import Bijector, Chain
from tfgen.bijectors.coupling import (
    AffineCoupling,
    SplineCoupling,
    alternating_mask,
    coupling_network,
)
from tfgen.bijectors.dequantization import VariationalDequantization
from tfgen.bijectors.glow import ActNorm, Invertible1x1Conv
from tfgen.bijectors.image import Split, Squeezed, channel_mask, checkerboard_mask
from tfgen.networks._blocks import check_image_shape, output_dtype

__all__ = [
    "gated_conv_net",
    "glow",
    "glow_net",
    "multiscale_flow",
    "simple_flow",
    "variational_dequantization",
    "vector_flow",
]

_KERNEL_SIZE = 3
# Standard deviations beyond which the splines of an image flow are the identity.
_SPLINE_BOUND = 4.0


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
    image_shape = check_image_shape(image_shape, width=width)
    check_size(1, num_outputs=num_outputs)
    check_size(0, num_layers=num_layers)
    inputs, x = _inputs(image_shape, context_shape)
    x = keras.layers.Conv2D(width, _KERNEL_SIZE, padding="same")(x)
    for _ in range(num_layers):
        x = _gated_block(x, width)
    return keras.Model(inputs, _last(num_outputs)(_concat_elu(x)), name="gated_conv_net")


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


def glow_net(
    image_shape: Shape, num_outputs: int, width: int = 64, context_shape: Shape | None = None
) -> keras.Model:
    """Convolutional network of Glow's couplings: 3x3, 1x1, and a 3x3 that begins as zero.

    Source: Kingma & Dhariwal, arXiv:1807.03039v2, with ReLU between.
    Deviation: the authors' code (openai/glow, tfops.py) draws the other weights from N(0, 0.05^2)
    and has an ActNorm after each of the first two convolutions; here Keras' initial weights, and no
    ActNorm.

    Args:
        image_shape: tuple of int, (height, width, channels).
        num_outputs: int >= 1, channels of the output.
        width: int >= 1, channels inside; 512 in the paper.
        context_shape: as in `gated_conv_net`.

    Returns:
        `keras.Model` as of `gated_conv_net`, zeros at first.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> glow_net((8, 8, 1), num_outputs=2, width=4)(keras.ops.ones((3, 8, 8, 1))).shape
        TensorShape([3, 8, 8, 2])
    """
    image_shape = check_image_shape(image_shape, width=width)
    check_size(1, num_outputs=num_outputs)
    inputs, x = _inputs(image_shape, context_shape)
    x = keras.layers.Conv2D(width, _KERNEL_SIZE, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(width, 1, activation="relu")(x)
    return keras.Model(inputs, _last(num_outputs)(x), name="glow_net")


def _last(num_outputs):
    """The last convolution of a network, zero at first."""
    return keras.layers.Conv2D(
        num_outputs,
        _KERNEL_SIZE,
        padding="same",
        kernel_initializer="zeros",
        dtype=output_dtype(),
    )


def _coupling(make_network, shape, mask, num_bins):
    """An affine coupling, or of splines, with a network from the number of its outputs."""
    if num_bins is None:
        return AffineCoupling(make_network(2 * shape[-1]), mask)
    check_size(2, num_bins=num_bins)
    network = make_network((3 * num_bins - 1) * shape[-1])
    return SplineCoupling(network, mask, num_bins, _SPLINE_BOUND)


def _couplings(masks, shape, width, num_layers, context_shape=None, num_bins=None):
    """Couplings from latents to data, whose masks are given from data to latents."""

    def network(num_outputs):
        return gated_conv_net(shape, num_outputs, width, num_layers, context_shape)

    return [_coupling(network, shape, mask, num_bins) for mask in reversed(masks)]


def _checkerboard_couplings(shape, num_couplings, *args):
    masks = [checkerboard_mask(shape, i % 2 == 1) for i in range(num_couplings)]
    return _couplings(masks, shape, *args)


def _channel_couplings(shape, num_couplings, *args):
    masks = [channel_mask(shape[-1], i % 2 == 1) for i in range(num_couplings)]
    return _couplings(masks, shape, *args)


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
    image_shape = check_image_shape(image_shape, width=width)
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
    shape = check_image_shape(image_shape, width=width)
    check_size(1, num_couplings=num_couplings)
    couplings = _checkerboard_couplings(shape, num_couplings, width, num_layers, shape)
    return VariationalDequantization(Chain(couplings), num_values)


def multiscale_flow(
    image_shape: Shape,
    width: int = 32,
    num_layers: int = 3,
    context_size: int = 0,
    num_bins: int | None = None,
) -> Chain:
    """Flow over images of three scales, half of whose latents leave at the second.

    From data to latents: 2 couplings with checkerboard masks and networks of `width` channels;
    squares of 2 x 2 pixels become channels; 2 couplings with channel masks, 3/2 `width`; half of
    the channels are final; the others are squeezed once more; 4 couplings, 2 `width`.

    With `num_bins` the couplings are monotonic splines, which are the identity beyond 4 standard
    deviations of the data: an `ActNorm` comes first, whose scales the first batch sets.

    Source: UvA Deep Learning Tutorial 11, `create_multiscale_flow`; Dinh et al.,
    arXiv:1605.08803v3, Sec. 3.6; with splines Durkan et al., arXiv:1906.04032v2, Sec. 3.1.

    Args:
        image_shape: tuple of int, (height, width, channels); height and width multiples of 4.
        width: int >= 1, channels inside the networks of the largest scale.
        num_layers: int >= 0, gated blocks of a network; see `gated_conv_net`.
        context_size: int >= 0, size of the context, a vector that all networks see; 0 for none.
        num_bins: int >= 2, bins of a spline; None for affine couplings.

    Returns:
        `tfgen.bijectors.Chain` over images, the identity at first; latents have the image's shape.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> multiscale_flow((8, 8, 1), width=4).event_shape
        (8, 8, 1)
    """
    shape = _check_squeezes("multiscale_flow", check_image_shape(image_shape, width=width), 2)
    height, columns, channels = shape
    half = (height // 2, columns // 2, 4 * channels)
    quarter = (height // 4, columns // 4, 8 * channels)
    options = (num_layers, _vector(context_size), num_bins)
    coarsest = Squeezed(Chain(_channel_couplings(quarter, 4, 2 * width, *options)))
    middle = _channel_couplings(half, 2, 3 * width // 2, *options)
    finest = _checkerboard_couplings(shape, 2, width, *options)
    norm = [] if num_bins is None else [ActNorm(shape)]
    return Chain([Squeezed(Chain([Split(coarsest), *middle])), *finest, *norm])


def _check_squeezes(name, image_shape, num_squeezes):
    factor = 2**num_squeezes
    if any(pixels % factor for pixels in image_shape[:2]):
        raise ValueError(
            f"{name} squeezes images {num_squeezes} times and expects height and width to be "
            f"multiples of {factor}. Received: image_shape={image_shape}. Resize the images, or "
            "use a flow of fewer scales, such as simple_flow."
        )
    return image_shape


def glow(
    image_shape: Shape,
    num_levels: int = 2,
    num_steps: int = 8,
    width: int = 64,
    num_bins: int | None = None,
    context_size: int = 0,
) -> Bijector:
    """Glow: at each scale steps of ActNorm, a 1x1 convolution and a coupling.

    From data to latents: squares of 2 x 2 pixels become channels; `num_steps` steps, whose coupling
    leaves the first half of the channels; half of the channels are final, and the others go on to
    the next level. At first it only rotates the channels of each pixel, until the first batch sets
    the scales (`tfgen.models.NormalizingFlow` does so).

    With `num_bins` the couplings are monotonic splines, which are the identity beyond 4 standard
    deviations of what `ActNorm` gives: a neural spline flow over images.

    Source: Kingma & Dhariwal, arXiv:1807.03039v2, Sec. 3; with splines Durkan et al.,
    arXiv:1906.04032v2.
    Deviation: `AffineCoupling` bounds its scales by a tanh; latents that leave early are judged by
    the prior as all others are, not by a normal that the others give. For ImageNet, the code of
    Durkan et al. (bayesiains/nsf, imagenet-64-8bit.json) has 8 bins in [-3, 3], 7 steps at each of
    4 levels, and residual networks in the couplings.

    Args:
        image_shape: tuple of int, (height, width, channels); height and width multiples of
            2^num_levels.
        num_levels: int >= 1, scales L.
        num_steps: int >= 1, steps K of each scale; 32 in the paper.
        width: int >= 1, channels inside the networks (`glow_net`); 512 in the paper.
        num_bins: int >= 2, bins of a spline; None for affine couplings.
        context_size: int >= 0, size of the context, a vector that all networks see; 0 for none.

    Returns:
        `tfgen.bijectors.Bijector` over images, for `tfgen.models.NormalizingFlow`; latents have the
        image's shape.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> flow = glow((8, 8, 1), num_levels=2, num_steps=1, width=4)
        >>> z, log_det = flow.inverse(keras.ops.ones((3, 8, 8, 1)))
        >>> z.shape, log_det.shape
        (TensorShape([3, 8, 8, 1]), TensorShape([3]))
    """
    check_size(num_levels=num_levels, num_steps=num_steps)
    shape = _check_squeezes("glow", check_image_shape(image_shape, width=width), num_levels)
    return _glow_level(shape, num_levels, num_steps, width, num_bins, _vector(context_size))


def _glow_level(image_shape, num_levels, num_steps, *options):
    height, columns, channels = image_shape
    shape = (height // 2, columns // 2, 4 * channels)
    parts = [part for _ in range(num_steps) for part in _glow_step(shape, *options)]
    if num_levels > 1:
        half = (*shape[:-1], 2 * channels)
        parts = [Split(_glow_level(half, num_levels - 1, num_steps, *options)), *parts]
    return Squeezed(Chain(parts))


def _glow_step(shape, width, num_bins, context_shape):
    """From latents to data."""
    coupling = _coupling(
        lambda num_outputs: glow_net(shape, num_outputs, width, context_shape),
        shape,
        channel_mask(shape[-1]),
        num_bins,
    )
    return [coupling, Invertible1x1Conv(shape), ActNorm(shape)]


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
