"""Networks of a ladder VAE. Sonderby et al., arXiv:1602.02282v3."""

from collections.abc import Sequence

import keras
from typing_extensions import Unpack

from tfgen import layers
from tfgen._utils.arguments import check_activation, check_flags, check_size
from tfgen._utils.typing import Activation, Shape
from tfgen.layers.hierarchical import HierarchicalNormal
from tfgen.networks._blocks import (
    ConditionOptions,
    chain,
    check_image_shape,
    condition_input,
    join,
    layer_widths,
    network_of,
    normalization,
    output_dtype,
    stack,
)

__all__ = ["ladder_decoder", "ladder_encoder", "ladder_prior"]

LATENT_DIMS, WIDTHS = (64, 32, 16, 8, 4), (512, 256, 128, 64, 64)


def _mlp(width, depth, batch_norm, activation):
    """Hidden layers, each with batch normalization before its activation."""
    check_flags(batch_norm=batch_norm)
    check_activation(activation=activation)
    blocks = [
        [
            keras.layers.Dense(units, use_bias=not batch_norm),
            *normalization(batch_norm),
            keras.layers.Activation(activation),
        ]
        for units in layer_widths(width, depth)
    ]
    return sum(blocks, [])


def _check_sizes(**values):
    for name, sizes in values.items():
        if not isinstance(sizes, Sequence) or isinstance(sizes, str):
            raise ValueError(
                f"{name} must be a sequence of ints, one for each level, lowest first. Received: "
                f"{name}={sizes!r}."
            )


def _check_levels(latent_dims, widths):
    _check_sizes(latent_dims=latent_dims, widths=widths)
    check_size(1, **{f"latent_dims[{i}]": size for i, size in enumerate(latent_dims)})
    if len(latent_dims) < 2 or len(widths) != len(latent_dims):
        raise ValueError(
            "A ladder needs two levels or more, and a width for each, lowest first. Received: "
            f"latent_dims={tuple(latent_dims)}, widths={tuple(widths)}."
        )


def ladder_encoder(
    image_shape: Shape,
    latent_dims: Sequence[int] = LATENT_DIMS,
    widths: Sequence[int] = WIDTHS,
    depth: int = 2,
    batch_norm: bool = True,
    activation: Activation = "leaky_relu",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Bottom-up pass of a ladder VAE: what the image alone says about every level.

    An MLP d_i of `depth` layers on top of that of the level below, the first on the flat image, and
    for each level a linear map of d_i to loc and raw scale. Defaults are the paper's for MNIST.

    Source: Sonderby et al., arXiv:1602.02282v3, Eq. 14 to 16 and Sec. 3.
    Deviation: softplus gives the standard deviation, not the variance; Keras' leaky slope is 0.2,
    not 0.1.

    Args:
        image_shape: tuple of int, (height, width, channels), any size.
        latent_dims: sequence of int, sizes of z_1, ..., z_L, two or more.
        widths: sequence of int, units of the MLP of each level.
        depth: int >= 0, hidden layers of each MLP.
        batch_norm: bool, whether to normalize the hidden layers by batch.
        activation: Keras activation of the hidden layers.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `layers.Conditional`.

    Returns:
        `keras.Model` from (batch, height, width, channels) to the normal approximate likelihood of
        z = (z_1, ..., z_L) over (batch, sum(latent_dims)).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> encoder = ladder_encoder((8, 8, 1), latent_dims=(4, 2), widths=(32, 16))
        >>> encoder(keras.ops.zeros((5, 8, 8, 1))).event_shape
        TensorShape([6])
    """
    _check_levels(latent_dims, widths)
    inputs = keras.Input(check_image_shape(image_shape))
    c = condition_input(**condition)
    features, locs, scales = join(keras.layers.Flatten()(inputs), c), [], []
    for size, width in zip(latent_dims, widths, strict=True):
        features = chain(features, _mlp(width, depth, batch_norm, activation))
        locs.append(keras.layers.Dense(size, dtype=output_dtype())(features))
        scales.append(keras.layers.Dense(size, dtype=output_dtype())(features))
    params = keras.layers.Concatenate(dtype=output_dtype())([*locs, *scales])
    outputs = layers.IndependentNormal(sum(latent_dims))(params)
    return network_of(inputs, c, outputs, "ladder_encoder", **condition)


def ladder_prior(
    latent_dims: Sequence[int] = LATENT_DIMS,
    widths: Sequence[int] = WIDTHS,
    depth: int = 2,
    batch_norm: bool = True,
    activation: Activation = "leaky_relu",
    **condition: Unpack[ConditionOptions],
) -> HierarchicalNormal:
    """The levels' prior p(z_L) p(z_{L-1}|z_L) ...: an MLP from each level to the one below.

    Source: Sonderby et al., arXiv:1602.02282v3, Eq. 1, 2 and 11 to 13.
    Deviation: softplus gives the standard deviation, not the variance.

    Args:
        latent_dims: sequence of int, sizes of z_1, ..., z_L, two or more.
        widths: sequence of int, as `ladder_encoder` takes them: the MLP from z_{i+1} to z_i has the
            width of level i+1.
        depth: int >= 0, hidden layers of each MLP.
        batch_norm: bool, whether to normalize the hidden layers by batch.
        activation: Keras activation of the hidden layers.
        **condition: `num_classes` or `condition_shape`, of p(z_i|z_{i+1}, c), the levels below the
            top one: see `layers.Conditional`.

    Returns:
        `HierarchicalNormal`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> ladder_prior((4, 2), widths=(32, 16)).as_distribution().event_shape
        TensorShape([6])
    """
    _check_levels(latent_dims, widths)
    levels = zip(latent_dims[:-1], latent_dims[1:], widths[1:], strict=True)
    return HierarchicalNormal(
        [
            stack(
                (above,),
                [
                    *_mlp(width, depth, batch_norm, activation),
                    keras.layers.Dense(2 * size, dtype=output_dtype()),
                    layers.IndependentNormal(size),
                ],
                name=f"ladder_prior_{level}",
                **condition,
            )
            for level, (size, above, width) in enumerate(levels, start=1)
        ]
    )


def ladder_decoder(decoder: keras.Model, latent_dims: Sequence[int] = LATENT_DIMS) -> keras.Model:
    """A decoder of z_1 alone as one of z = (z_1, ..., z_L).

    Source: Sonderby et al., arXiv:1602.02282v3, Eq. 3: p(x|z) = p(x|z_1).

    Args:
        decoder: `keras.Model` from z_1 to p(x|z_1), such as `mlp_decoder(image_shape, 64)`; a
            conditional one makes one.
        latent_dims: sequence of int, sizes of z_1, ..., z_L.

    Returns:
        `keras.Model` from (batch, sum(latent_dims)) to p(x|z_1).

    Raises:
        ValueError: if the decoder takes another number of latent variables than `latent_dims[0]`.

    Example:
        >>> from tfgen.networks import mlp_decoder
        >>> decoder = ladder_decoder(mlp_decoder((8, 8, 1), latent_dim=4, width=32), (4, 2))
        >>> decoder(keras.ops.zeros((5, 6))).event_shape
        TensorShape([8, 8, 1])
    """
    _check_sizes(latent_dims=latent_dims)
    check_size(1, **{f"latent_dims[{i}]": size for i, size in enumerate(latent_dims or [None])})
    if not isinstance(decoder, keras.Model):
        raise ValueError(
            f"decoder must be a keras.Model from z_1 to p(x|z_1). Received: decoder={decoder!r}."
        )
    if decoder.input_shape != (None, latent_dims[0]):
        raise ValueError(
            f"The decoder must take z_1, of size {latent_dims[0]} for latent_dims="
            f"{tuple(latent_dims)}. Received: a decoder of input shape {decoder.input_shape}. "
            f"Build it with latent_dim={latent_dims[0]}."
        )
    z = keras.Input((sum(latent_dims),))
    lowest, name = z[:, : latent_dims[0]], "ladder_decoder"
    if not isinstance(decoder, layers.Conditional):
        return keras.Model(z, decoder(lowest), name=name)
    c = keras.Input(decoder.network.input_shape[-1][1:], name="condition")
    network = keras.Model([z, c], decoder.network([lowest, c]), name=name)
    return layers.Conditional(network, decoder.num_classes)
