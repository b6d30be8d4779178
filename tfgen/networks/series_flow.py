"""Normalizing flow over series. Durkan et al., arXiv:1906.04032v2."""

import keras

from tfgen._utils.arguments import check_size
from tfgen._utils.typing import Shape
from tfgen.bijectors import ActNorm, Chain, SplineCoupling, alternating_mask
from tfgen.networks._blocks import output_dtype
from tfgen.networks._series import check_series_shape

__all__ = ["series_flow"]

_KERNEL_SIZE = 3


def _network(shape, num_outputs, width, depth, context_size):
    """Dilated convolutions that see both directions of time; the last one begins as zero."""
    dtype = output_dtype()
    x = series = keras.Input(shape, dtype=dtype)
    inputs = series
    if context_size:
        context = keras.Input((context_size,), dtype=dtype)
        repeated = keras.layers.RepeatVector(shape[0], dtype=dtype)(context)
        x = keras.layers.Concatenate(dtype=dtype)([series, repeated])
        inputs = [series, context]
    for i in range(depth):
        x = _convolution(width, dtype, dilation_rate=2**i, activation="relu")(x)
    return keras.Model(inputs, _convolution(num_outputs, dtype, kernel_initializer="zeros")(x))


def _convolution(filters, dtype, **kwargs):
    return keras.layers.Conv1D(filters, _KERNEL_SIZE, padding="same", dtype=dtype, **kwargs)


def series_flow(
    data_shape: Shape,
    num_couplings: int = 6,
    width: int = 32,
    depth: int = 3,
    num_bins: int = 8,
    bound: float = 4.0,
    context_size: int = 0,
) -> Chain:
    """Flow over series of fixed length: spline couplings of every other step, on standardized data.

    Each coupling maps every other step by splines, whose parameters a network of `depth`
    convolutions of 3 steps, with dilations 1, 2, 4 and so on, makes of the steps between them. It
    looks forwards and backwards: the flow is not causal.

    Source: Durkan et al., arXiv:1906.04032v2, for the splines, as `vector_flow`; the first batch
    sets scale and shift of each channel (`tfgen.bijectors.ActNorm`). The networks are our own.

    Args:
        data_shape: tuple of int, (length, channels), length >= 2.
        num_couplings: int >= 1; from 2 on every step is mapped.
        width: int >= 1, channels inside the networks.
        depth: int >= 1, convolutions of a network before its last.
        num_bins: int >= 2, bins of a spline.
        bound: float > 0, standard deviations from which on a spline is the identity.
        context_size: int >= 0, size of the context, a vector that all networks see; 0 for none.

    Returns:
        `tfgen.bijectors.Chain`, for `tfgen.models.NormalizingFlow`; the identity at first.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> series_flow((16, 2), num_couplings=2, width=4).event_shape
        (16, 2)
    """
    shape = check_series_shape(data_shape)
    check_size(2, length=shape[0], num_bins=num_bins)
    check_size(1, num_couplings=num_couplings, width=width, depth=depth)
    check_size(0, context_size=context_size)
    num_outputs = (3 * num_bins - 1) * shape[1]
    couplings = [
        SplineCoupling(
            _network(shape, num_outputs, width, depth, context_size),
            alternating_mask(shape[0], i % 2)[:, None],
            num_bins,
            bound,
        )
        for i in range(num_couplings)
    ]
    return Chain([*couplings, ActNorm(shape)])
