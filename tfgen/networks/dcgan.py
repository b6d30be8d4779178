"""Deep convolutional generator, discriminator and encoder (DCGAN), of images, series and volumes.

Radford, Metz & Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", arXiv:1511.06434v2.
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
    check_data_shape,
    check_halvings,
    convolution,
    halved_sizes,
    image_output,
    logit,
    minibatch_features,
    network_of,
    nonlinearity,
    output_channels,
    output_dtype,
    output_layer,
    projection_stack,
    stack,
    upsample,
    vector_condition,
)

__all__ = ["dcgan_discriminator", "dcgan_encoder", "dcgan_generator"]

_KERNEL_SIZE = 5
_SMALLEST_SIZE = 4


def _num_halvings(data_shape):
    """Halvings until the shortest side has at most four pixels, at least one."""
    return max(1, math.ceil(math.log2(min(data_shape[:-1]) / _SMALLEST_SIZE)))


def _initialized(make, *args, **kwargs):
    # One initializer per layer: the same one would draw the same weights twice.
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    return make(*args, kernel_initializer=initializer, **kwargs)


_dense = functools.partial(_initialized, keras.layers.Dense)


def _convolutions(data_shape, width, batch_norm, dropout=0.0, wrapper=None):
    """What discriminator and encoder share: convolutions that halve the data, to Flatten."""
    check_flags(batch_norm=batch_norm)
    num_halvings = _num_halvings(data_shape)
    halve = functools.partial(
        _initialized, convolution, _KERNEL_SIZE, strides=2, rank=len(data_shape) - 1
    )
    blocks = []
    for step in range(num_halvings):
        normalized = batch_norm and step > 0
        conv = halve(width * 2**step, use_bias=not normalized)
        name = FEATURES if step == num_halvings - 1 else None
        between = nonlinearity(normalized, dropout=dropout, name=name)
        blocks += [wrapper(conv) if wrapper else conv, *between]
    return [*blocks, keras.layers.Flatten()]


def _check(data_shape, latent_dim, width):
    """Returns `data_shape` as a tuple, or raises ValueError."""
    data_shape = check_data_shape(data_shape, latent_dim=latent_dim, width=width)
    check_halvings(data_shape, _num_halvings(data_shape))
    return data_shape


def dcgan_generator(
    data_shape: Shape,
    latent_dim: int,
    width: int = 64,
    batch_norm: bool = True,
    output_activation: Activation = "tanh",
    head: Head = None,
    conditional_norm: bool = False,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from latent variables to images, series or volumes.

    Dense to a map of 4x4 pixels, then 5x5 transposed convolutions of stride 2, each with half the
    filters of the one before and `width` in the last but one. Batch normalization and ReLU follow
    all but the last. Images of 32 or 28 pixels take three such convolutions, by way of 8 and 16 or
    7 and 14 pixels, images of 64 pixels four. Series and volumes take convolutions of their rank.

    Source: Radford et al., arXiv:1511.06434v2, Sec. 3 and 4, Fig. 1. `width=128` at 64 pixels is
    Fig. 1, with 1024 to 128 filters; 64 is the half of it that is common since.
    Deviation: padding is Keras' "same".

    Args:
        data_shape: tuple of int, (height, width, channels) of images, (length, channels) of series
            or (depth, height, width, channels) of volumes, from 2 pixels on each axis.
        latent_dim: int >= 1, latent dimensions; 100 in the paper.
        width: int >= 1, filters of the last but one transposed convolution.
        batch_norm: bool, whether to normalize all layers but the last by batch.
        output_activation: Keras activation of the pixels: "tanh" for images in [-1, 1], "sigmoid"
            for [0, 1], None for any range.
        head: callable from `data_shape` to a distribution layer with the same number of
            parameters for every pixel; None for plain numbers.
        conditional_norm: bool, whether a condition, a vector, is not joined to z but sets gain and
            shift of each batch normalization: `tfgen.layers.ConditionalBatchNormalization`.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to numbers of shape (batch, *data_shape), or to
        p(x|z) over them.

    Raises:
        ValueError: if an argument is out of range, an axis too short, or `head` is not a head or
            does not fit `output_activation`; or for `conditional_norm` without `batch_norm` or with
            a condition that is not a vector.

    Example:
        >>> generator = dcgan_generator((32, 32, 3), latent_dim=100, width=8)
        >>> generator(keras.ops.zeros((2, 100))).shape
        TensorShape([2, 32, 32, 3])
        >>> dcgan_generator((100, 3), latent_dim=20, width=8).output_shape  # Series.
        (None, 100, 3)
    """
    data_shape = _check(data_shape, latent_dim, width)
    output, num_parameters = image_output(head, data_shape, output_activation)
    check_flags(batch_norm=batch_norm, conditional_norm=conditional_norm)
    c = _condition_of_norm(batch_norm, **condition) if conditional_norm else None
    activate = functools.partial(nonlinearity, batch_norm, "relu", condition=c)
    full, *sizes, smallest = halved_sizes(data_shape, _num_halvings(data_shape))
    feature_map = (*smallest, width * 2 ** len(sizes))
    double = functools.partial(_initialized, upsample)
    blocks = [
        [
            *double(width * 2**step, _KERNEL_SIZE, size, use_bias=not batch_norm),
            *activate(),
        ]
        for step, size in enumerate(sizes)
    ]
    enlarge = [
        _dense(math.prod(feature_map), use_bias=not batch_norm),
        keras.layers.Reshape(feature_map),
        *activate(),
        *sum(reversed(blocks), []),
        *double(output_channels(num_parameters, data_shape), _KERNEL_SIZE, full),
        *output,
    ]
    if c is None:
        return stack((latent_dim,), enlarge, "dcgan_generator", **condition)
    z = keras.Input((latent_dim,))
    return network_of(z, c, chain(z, enlarge), "dcgan_generator", **condition)


def _condition_of_norm(batch_norm, **condition):
    if not batch_norm:
        raise ValueError(
            "conditional_norm=True sets gain and shift of batch normalization. Received: "
            "batch_norm=False. Leave one of the two out."
        )
    return vector_condition("conditional_norm", **condition)


def dcgan_discriminator(
    data_shape: Shape,
    width: int = 64,
    batch_norm: bool = True,
    spectral_norm: bool = False,
    dropout: float = 0.0,
    minibatch_discrimination: int = 0,
    projection: bool = False,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from data to one logit, the reverse of `dcgan_generator`.

    5x5 convolutions of stride 2, the first with `width` filters and each further one with twice as
    many, down to 4x4 pixels, then Dense(1). Batch normalization follows all convolutions but the
    first, leaky ReLU of slope 0.2 all of them; the last leaky ReLU is named "features".

    Source: Radford et al., arXiv:1511.06434v2, Sec. 3 and 4; filters are those of the generator.
    Miyato et al., arXiv:1802.05957v1, Eq. 8, for `spectral_norm`. Miyato & Koyama, "cGANs with
    projection discriminator" (arXiv:1802.05637), Eq. 3 of the submission to ICLR 2018, for
    `projection`.
    Deviation: no sigmoid at the end, since the losses take logits. Features are flattened for a
    `projection`, as they are for the last layer, where the paper's networks sum them over pixels.

    Args:
        data_shape: tuple of int, (height, width, channels) of images, (length, channels) of series
            or (depth, height, width, channels) of volumes, from 2 pixels on each axis.
        width: int >= 1, filters of the first convolution.
        batch_norm: bool, whether to normalize by batch. False for a critic under a gradient
            penalty, whose slope at one example must not depend on the rest of the batch.
        spectral_norm: bool, whether all weights are divided by an estimate of their largest
            singular value, by `tfgen.layers.SpectralNormalization`. Usually without `batch_norm`,
            which would scale the layers up again.
        dropout: float in [0, 1), rate after each activation.
        minibatch_discrimination: int >= 0, numbers that `tfgen.layers.MinibatchDiscrimination`
            appends to the last features. Not under a gradient penalty.
        projection: bool, whether a condition c, a vector, is not joined to the data but adds
            <V c, phi(x)> to the logit, phi the flat input of the last layer and V a trained matrix.
            `spectral_norm` normalizes V too.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, *data_shape) to logits of shape (batch, 1).

    Raises:
        ValueError: if an argument is out of range, an axis too short, or the condition of a
            `projection` is not a vector.

    Example:
        >>> discriminator = dcgan_discriminator((32, 32, 3), width=8)
        >>> discriminator(keras.ops.zeros((2, 32, 32, 3))).shape
        TensorShape([2, 1])
    """
    check_fractions("Use 0 for none.", dropout=dropout)
    data_shape = _check(data_shape, 1, width)
    check_flags(spectral_norm=spectral_norm, projection=projection)
    wrapper = layers.SpectralNormalization if spectral_norm else None
    last, compared = _initialized(logit), minibatch_features(minibatch_discrimination)
    if wrapper is not None:
        last = wrapper(last, dtype=output_dtype())
        compared = [wrapper(layer) for layer in compared]
    convolutions = _convolutions(data_shape, width, batch_norm, dropout, wrapper)
    arguments = data_shape, [*convolutions, *compared, last], "dcgan_discriminator"
    if not projection:
        return stack(*arguments, **condition)

    def embedding(units):
        layer = _dense(units, use_bias=False, name="embedding")
        return wrapper(layer, name="embedding") if wrapper else layer

    return projection_stack(*arguments, embedding, **condition)


def dcgan_encoder(
    data_shape: Shape,
    latent_dim: int,
    head: Head = layers.IndependentNormal,
    width: int = 64,
    batch_norm: bool = True,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Convolutional network from data to latent variables, with the discriminator's layers.

    Source: the convolutions of Radford et al., arXiv:1511.06434v2, Sec. 3, as in
    `dcgan_discriminator`. The paper itself has no encoder.

    Args:
        data_shape: tuple of int, (height, width, channels) of images, (length, channels) of series
            or (depth, height, width, channels) of volumes, from 2 pixels on each axis.
        latent_dim: int >= 1, latent dimensions.
        head: callable from `latent_dim` to a distribution layer; None for a plain vector.
        width: int >= 1, filters of the first convolution.
        batch_norm: bool, whether to normalize all convolutions but the first by batch.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, *data_shape) to q(z|x) over (batch, latent_dim).

    Raises:
        ValueError: if an argument is out of range, an axis too short or `head` is not a head.

    Example:
        >>> encoder = dcgan_encoder((32, 32, 3), latent_dim=20, width=8)
        >>> encoder(keras.ops.zeros((2, 32, 32, 3))).event_shape
        TensorShape([20])
    """
    data_shape = _check(data_shape, latent_dim, width)
    output, num_parameters = output_layer(head, latent_dim)
    return stack(
        data_shape,
        [*_convolutions(data_shape, width, batch_norm), _dense(num_parameters), output],
        name="dcgan_encoder",
        **condition,
    )
