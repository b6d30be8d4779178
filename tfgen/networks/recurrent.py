"""Recurrent encoder and decoder for series. Cho et al., arXiv:1406.1078."""

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.arguments import check_size
from tfgen._utils.typing import Shape
from tfgen.networks._blocks import (
    ConditionOptions,
    Head,
    Layers,
    output_channels,
    output_layer,
    stack,
)
from tfgen.networks._series import check_series_shape

__all__ = ["recurrent_decoder", "recurrent_encoder"]


def _check(data_shape, latent_dim, width, depth):
    """The shape of a series, after checks of all arguments."""
    check_size(1, latent_dim=latent_dim, width=width, depth=depth)
    return check_series_shape(data_shape)


def recurrent_encoder(
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: int = 64,
    depth: int = 1,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Recurrent network from series to latent variables.

    `depth` layers of gated recurrent units (GRU) that read the series forwards and backwards, then
    Dense from the last states to the parameters of the head.

    Series of different lengths are data with missing values: fill them with zeros to one length,
    and train a `MissingDataVAE` on (x, mask), with `condition_shape=data_shape`.

    Source: the unit is that of Cho et al., arXiv:1406.1078 (equations not checked), as in
    `keras.layers.GRU`: the reset gate multiplies the recurrent product, not the state before it.

    Args:
        data_shape: tuple of int, (length, channels).
        latent_dim: int >= 1, latent dimensions.
        head: callable from `latent_dim` to a distribution layer; None for a plain vector.
        width: int >= 1, units of each layer and direction.
        depth: int >= 1, layers.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, length, channels) to q(z|x) over (batch, latent_dim).

    Raises:
        ValueError: if an argument is out of range or `head` is not a head.

    Example:
        >>> recurrent_encoder((100, 3), latent_dim=8)(keras.ops.zeros((5, 100, 3))).event_shape
        TensorShape([8])
    """
    shape = _check(data_shape, latent_dim, width, depth)
    output, num_parameters = output_layer(head, latent_dim)
    hidden: Layers = [
        keras.layers.Bidirectional(keras.layers.GRU(width, return_sequences=i + 1 < depth))
        for i in range(depth)
    ]
    hidden += [keras.layers.Dense(num_parameters), output]
    return stack(shape, hidden, name="recurrent_encoder", **condition)


def recurrent_decoder(
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: int = 64,
    depth: int = 1,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Recurrent network from latent variables to series: `recurrent_encoder` reversed.

    z at every step goes through `depth` layers of gated recurrent units, forwards in time, and
    Dense to the parameters of the head at each step. Given z, all values are independent.

    Args:
        data_shape: tuple of int, (length, channels).
        latent_dim: int >= 1, latent dimensions.
        head: callable from `data_shape` to a distribution layer with the same number of
            parameters for every step; None for plain numbers.
        width: int >= 1, units of each layer.
        depth: int >= 1, layers.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to p(x|z) over (batch, length, channels).

    Raises:
        ValueError: if an argument is out of range or `head` does not fit.

    Example:
        >>> recurrent_decoder((100, 3), latent_dim=8)(keras.ops.zeros((5, 8))).event_shape
        TensorShape([100, 3])
    """
    shape = _check(data_shape, latent_dim, width, depth)
    output, num_parameters = output_layer(head, shape)
    hidden: Layers = [keras.layers.RepeatVector(shape[0])]
    hidden += [keras.layers.GRU(width, return_sequences=True) for _ in range(depth)]
    hidden += [keras.layers.Dense(output_channels(num_parameters, shape)), output]
    return stack((latent_dim,), hidden, name="recurrent_decoder", **condition)
