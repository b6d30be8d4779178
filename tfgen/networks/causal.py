"""Encoder and decoder of causal convolutions for series. Bai et al., arXiv:1803.01271."""

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.arguments import check_activation, check_flags, check_size
from tfgen._utils.typing import Activation, Shape
from tfgen.networks._blocks import (
    ConditionOptions,
    Head,
    Layers,
    fast,
    output_channels,
    output_layer,
    stack,
)
from tfgen.networks._series import check_series_shape

__all__ = ["causal_decoder", "causal_encoder"]


def _check(data_shape, latent_dim, width, depth, kernel_size, activation, per_step):
    """Shapes of a series and of its codes, and the number of blocks, after checks of all."""
    check_size(1, latent_dim=latent_dim, width=width)
    check_size(2, kernel_size=kernel_size)
    check_activation(activation=activation)
    check_flags(per_step=per_step)
    shape = check_series_shape(data_shape)
    if depth is None:
        depth = _enough(shape[0], kernel_size)
    check_size(1, depth=depth)
    return shape, (shape[0], latent_dim) if per_step else (latent_dim,), depth


def _steps_seen(kernel_size, depth):
    """Steps of the input that one step of the output depends on."""
    return 1 + (kernel_size - 1) * (2**depth - 1)


def _enough(length, kernel_size):
    """The least number of blocks by which the last step sees the first."""
    return next(n for n in range(1, 64) if _steps_seen(kernel_size, n) >= length)


def _check_all_seen(length, kernel_size, depth):
    if _steps_seen(kernel_size, depth) < length:
        raise ValueError(
            f"The last step must see all {length} steps, since z is made of it. Received: depth="
            f"{depth} and kernel_size={kernel_size}, which see the last "
            f"{_steps_seen(kernel_size, depth)}. Use depth={_enough(length, kernel_size)} or None, "
            "or per_step=True."
        )


def _block(width, kernel_size, dilation, activation):
    """x + activation(causal convolution of x)."""
    convolution = keras.layers.Conv1D(
        width,
        kernel_size,
        padding="causal",
        dilation_rate=dilation,
        activation=activation,
        name=f"causal_{dilation}",
    )
    add = keras.layers.Add()
    return lambda x: add([x, convolution(x)])


def _blocks(width, depth, kernel_size, activation) -> Layers:
    """Blocks whose dilations are 1, 2, 4 and so on."""
    return [_block(width, kernel_size, 2**i, fast(activation)) for i in range(depth)]


def causal_encoder(
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: int = 64,
    depth: int | None = None,
    kernel_size: int = 3,
    activation: Activation = "gelu",
    per_step: bool = False,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Network of causal convolutions from series to latent variables.

    Dense of each step to `width` channels, then `depth` blocks x + activation(convolution of x),
    whose dilations are 1, 2, 4 and so on. A step of the output depends on that step of the input
    and on the 2^depth - 1 times `kernel_size` - 1 steps before it, and on none after it. Dense
    makes the parameters of the head from the last step, or, with `per_step`, those of z_t from
    step t.

    What is causal: with `per_step`, q(z_t|x) is q(z_t|x_1, ..., x_t), so that latents can be
    computed while a series comes in. Without, the one z is made of the last step, which sees the
    whole series: nothing that is decoded from it can be a forecast from the past alone.

    Series of different lengths are data with missing values: fill them with zeros to one length,
    and train a `MissingDataVAE` on (x, mask), with `condition_shape=data_shape`.

    Source: Bai et al., arXiv:1803.01271, Eq. 2 for dilated causal convolutions, Eq. 3 for residual
    blocks.
    Deviation: one convolution for each block, without weight normalization or dropout; the
    activation is before the sum, not after it as well.

    Args:
        data_shape: tuple of int, (length, channels).
        latent_dim: int >= 1, latent dimensions, of each step with `per_step`.
        head: callable from `latent_dim`, or (length, latent_dim) with `per_step`, to a distribution
            layer; None for plain numbers.
        width: int >= 1, channels of each block.
        depth: int >= 1, blocks; None for as many as let the last step see the first.
        kernel_size: int >= 2, steps that a convolution takes.
        activation: Keras activation of each convolution.
        per_step: bool, whether each step has latent variables of its own.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`. One of classes is known at all steps; one that is itself a
            series of this length is read causally as well.

    Returns:
        `keras.Model` from (batch, length, channels) to q(z|x) over (batch, latent_dim), or over
        (batch, length, latent_dim) with `per_step`.

    Raises:
        ValueError: if an argument is out of range, `head` is no head, or without `per_step` the
            last step does not see the first.

    Example:
        >>> causal_encoder((100, 3), latent_dim=8)(keras.ops.zeros((5, 100, 3))).event_shape
        TensorShape([8])
        >>> causal_encoder((100, 3), latent_dim=2, per_step=True).output_shape
        (None, 100, 2)
    """
    options = width, depth, kernel_size, activation
    shape, latent_shape, depth = _check(data_shape, latent_dim, *options, per_step)
    output, num_parameters = output_layer(head, latent_shape)
    if not per_step:
        _check_all_seen(shape[0], kernel_size, depth)
    hidden: Layers = [keras.layers.Dense(width), *_blocks(width, depth, kernel_size, activation)]
    if not per_step:
        hidden.append(lambda x: x[:, -1])
    hidden += [keras.layers.Dense(output_channels(num_parameters, latent_shape)), output]
    return stack(shape, hidden, name="causal_encoder", **condition)


def causal_decoder(
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: int = 64,
    depth: int | None = None,
    kernel_size: int = 3,
    activation: Activation = "gelu",
    per_step: bool = False,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Network of causal convolutions from latent variables to series.

    Dense from z to `width` channels at every step, or, with `per_step`, from z_t to those of step
    t; then the blocks of `causal_encoder`, and Dense to the parameters of the head at each step.

    What is causal: with `per_step`, p(x_t|z) is p(x_t|z_1, ..., z_t). Without, the convolutions are
    causal but z, which all steps are made of, is not. Either way the values are independent given
    z, and no x_t depends on earlier x by itself: the decoder is not autoregressive.

    Source: as `causal_encoder`.

    Args:
        data_shape: tuple of int, (length, channels).
        latent_dim: int >= 1, latent dimensions, of each step with `per_step`.
        head: callable from `data_shape` to a distribution layer with the same number of
            parameters for every step; None for plain numbers.
        width: int >= 1, channels of each block.
        depth: int >= 1, blocks; None for as many as let the last step see the first.
        kernel_size: int >= 2, steps that a convolution takes.
        activation: Keras activation of each convolution.
        per_step: bool, whether each step has latent variables of its own.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim), or (batch, length, latent_dim) with `per_step`, to
        p(x|z) over (batch, length, channels).

    Raises:
        ValueError: if an argument is out of range or `head` does not fit.

    Example:
        >>> causal_decoder((100, 3), latent_dim=8)(keras.ops.zeros((5, 8))).event_shape
        TensorShape([100, 3])
    """
    options = width, depth, kernel_size, activation
    shape, latent_shape, depth = _check(data_shape, latent_dim, *options, per_step)
    output, num_parameters = output_layer(head, shape)
    hidden: Layers = [keras.layers.Dense(width if per_step else shape[0] * width)]
    if not per_step:
        hidden.append(keras.layers.Reshape((shape[0], width)))
    hidden += _blocks(width, depth, kernel_size, activation)
    hidden += [keras.layers.Dense(output_channels(num_parameters, shape)), output]
    return stack(latent_shape, hidden, name="causal_decoder", **condition)
