"""Fully connected generator and discriminators.

Soons, "Practical 3: Deep Generative Models", 2020, Question 2.3.
"""

import functools

import keras
from typing_extensions import Unpack

from tfgen._utils.arguments import as_event_shape, check_flags, check_size
from tfgen._utils.typing import Activation, Shape
from tfgen.networks._blocks import (
    FEATURES,
    ConditionOptions,
    Head,
    Width,
    chain,
    check_image_shape,
    condition_input,
    dense_layers,
    image_output,
    join,
    layer_widths,
    logit,
    minibatch_features,
    network_of,
    projection_stack,
    stack,
)

__all__ = ["joint_discriminator", "mlp_code_discriminator", "mlp_discriminator", "mlp_generator"]


def _discriminator_layers(width, dropout, activation, depth=1, minibatch_discrimination=0):
    """Hidden layers and logit of a discriminator."""
    widths = layer_widths(width, depth)
    if not widths:
        raise ValueError(
            "A discriminator needs a hidden layer, whose output are its features. "
            f"Received: width={width!r}, depth={depth}."
        )
    hidden = dense_layers(widths, activation, dropout, name=FEATURES)
    return [*hidden, *minibatch_features(minibatch_discrimination), logit()]


def mlp_generator(
    data_shape: Shape,
    latent_dim: int,
    width: Width = (128, 256, 512),
    dropout: float = 0.1,
    activation: Activation = "leaky_relu",
    output_activation: Activation = "tanh",
    head: Head = None,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Fully connected network from latent variables to data of any shape.

    For each of `width` Dense, activation and dropout, then Dense to the pixels.

    Source: Soons, "Practical 3: Deep Generative Models", 2020, Question 2.3 (z of 32), with the
    leaky ReLU of slope 0.2 and the tanh of the assignment's text, UvA Deep Learning, 2020.
    Mi et al., arXiv:1812.05676v2, Sec. 3: width=(98, 196, 392), dropout=0, activation="relu",
    output_activation="sigmoid" (z of 100).

    Args:
        data_shape: tuple of int, shape of one example: (height, width, channels) of an image,
            (n,) of n numbers, or any other.
        latent_dim: int >= 1, latent dimensions.
        width: sequence of int >= 1, units of one hidden layer after the other; an int for one.
        dropout: float in [0, 1), rate after each hidden layer.
        activation: Keras activation of the hidden layers. "leaky_relu" has slope 0.2 in Keras.
        output_activation: Keras activation of the pixels: "tanh" for images in [-1, 1], "sigmoid"
            for [0, 1], None for any range.
        head: callable from `data_shape` to a distribution layer; None for plain numbers.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to data of shape (batch, *data_shape), or to p(x|z)
        over them.

    Raises:
        ValueError: if an argument is out of range, or `head` is not a head or does not fit
            `output_activation`.

    Example:
        >>> generator = mlp_generator((28, 28, 1), latent_dim=32)
        >>> generator(keras.ops.zeros((8, 32))).shape
        TensorShape([8, 28, 28, 1])
    """
    check_size(1, latent_dim=latent_dim)
    data_shape = as_event_shape(data_shape=data_shape)
    output, num_parameters = image_output(head, data_shape, output_activation)
    return stack(
        (latent_dim,),
        [
            *dense_layers(layer_widths(width, depth=1), activation, dropout),
            keras.layers.Dense(num_parameters),
            *output,
        ],
        name="mlp_generator",
        **condition,
    )


def mlp_discriminator(
    data_shape: Shape,
    width: Width = (512, 256),
    dropout: float = 0.3,
    activation: Activation = "leaky_relu",
    minibatch_discrimination: int = 0,
    projection: bool = False,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Fully connected network from data of any shape to one logit.

    Flatten, for each of `width` Dense, activation and dropout, then Dense(1). The last hidden layer
    is named "features".

    Source: Soons, "Practical 3: Deep Generative Models", 2020, Question 2.3, with the slope 0.2 of
    the assignment's text. Mi et al., arXiv:1812.05676v2, Sec. 3: width=(392, 196, 98), dropout=0,
    activation="relu". Miyato & Koyama, "cGANs with projection discriminator" (arXiv:1802.05637),
    Eq. 3 of the submission to ICLR 2018, for `projection`.
    Deviation: no sigmoid at the end, since the losses take logits.

    Args:
        data_shape: tuple of int, shape of one example: (height, width, channels) of an image,
            (n,) of n numbers, or any other.
        width: sequence of int >= 1, units of one hidden layer after the other; an int for one.
        dropout: float in [0, 1), rate after each hidden layer.
        activation: Keras activation of the hidden layers.
        minibatch_discrimination: int >= 0, numbers that `tfgen.layers.MinibatchDiscrimination`
            appends to the last features. Not under a gradient penalty.
        projection: bool, whether a condition c, a vector, is not joined to the images but adds
            <V c, phi(x)> to the logit, phi the input of the last layer and V a trained matrix.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, *data_shape) to logits of shape (batch, 1).

    Raises:
        ValueError: if an argument is out of range, or the condition of a `projection` is not a
            vector.

    Example:
        >>> discriminator = mlp_discriminator((28, 28, 1))
        >>> discriminator(keras.ops.zeros((8, 28, 28, 1))).shape
        TensorShape([8, 1])
    """
    judges = _discriminator_layers(
        width, dropout, activation, minibatch_discrimination=minibatch_discrimination
    )
    check_flags(projection=projection)
    shape = as_event_shape(data_shape=data_shape)
    arguments = shape, [keras.layers.Flatten(), *judges], "mlp_discriminator"
    if projection:
        embedding = functools.partial(keras.layers.Dense, use_bias=False, name="embedding")
        return projection_stack(*arguments, embedding, **condition)
    return stack(*arguments, **condition)


def mlp_code_discriminator(
    latent_dim: int,
    width: Width = 1000,
    depth: int = 2,
    dropout: float = 0.0,
    activation: Activation = "relu",
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Fully connected network from latent variables to one logit: prior or encoder?

    Source: Makhzani et al., "Adversarial Autoencoders", arXiv:1511.05644v2, App. A.1: two layers of
    1000 ReLU units.
    Deviation: Keras' initial weights, where the paper draws them with standard deviation 0.01.

    Args:
        latent_dim: int >= 1, latent dimensions.
        width: int >= 1, units of each hidden layer; or a sequence of int, those of one hidden layer
            after the other, which leaves `depth` unused.
        depth: int >= 1, hidden layers; the last one is named "features".
        dropout: float in [0, 1), rate after each hidden layer.
        activation: Keras activation of the hidden layers.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from (batch, latent_dim) to logits of shape (batch, 1).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> discriminator = mlp_code_discriminator(latent_dim=8)
        >>> discriminator(keras.ops.zeros((5, 8))).shape
        TensorShape([5, 1])
    """
    check_size(1, latent_dim=latent_dim)
    layers = _discriminator_layers(width, dropout, activation, depth)
    return stack((latent_dim,), layers, "mlp_code_discriminator", **condition)


def joint_discriminator(
    image_shape: Shape,
    latent_dim: int,
    width: Width = (512, 256),
    dropout: float = 0.3,
    activation: Activation = "leaky_relu",
    image_network: keras.Model | None = None,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Network from pairs of an image and its latent variables to one logit.

    The flat image, or what `image_network` makes of it, and the latent variables are joined; then
    the layers of `mlp_discriminator` follow.

    Source: Dumoulin et al., "Adversarially Learned Inference", arXiv:1606.00704v3, Sec. 2.2, and
    Donahue et al., "Adversarial Feature Learning", arXiv:1605.09782v7, for the two inputs; layer
    sizes as in `mlp_discriminator`.

    Args:
        image_shape: tuple of int, (height, width, channels), any size.
        latent_dim: int >= 1, latent dimensions.
        width: sequence of int >= 1, units of one hidden layer after the other; an int for one.
        dropout: float in [0, 1), rate after each hidden layer.
        activation: Keras activation of the hidden layers.
        image_network: `keras.Model` from images to features of any shape, for a convolutional
            discriminator, such as `dcgan_encoder(image_shape, 256, head=None)`; None for pixels.
        **condition: `num_classes` or `condition_shape`, of a network that is given a condition: see
            `tfgen.layers.Conditional`.

    Returns:
        `keras.Model` from [images of shape (batch, height, width, channels), latent variables of
        shape (batch, latent_dim)] to logits of shape (batch, 1).

    Raises:
        ValueError: if an argument is out of range, or `image_network` takes other images.

    Example:
        >>> discriminator = joint_discriminator((28, 28, 1), latent_dim=8)
        >>> discriminator([keras.ops.zeros((5, 28, 28, 1)), keras.ops.zeros((5, 8))]).shape
        TensorShape([5, 1])
    """
    image_shape = check_image_shape(image_shape, latent_dim=latent_dim)
    if image_network is not None:
        _check_image_network(image_network, image_shape)
    image, code = keras.Input(image_shape), keras.Input((latent_dim,))
    features = keras.layers.Flatten()(image_network(image) if image_network else image)
    c = condition_input(**condition)
    pair = join(keras.layers.Concatenate()([features, code]), c)
    outputs = chain(pair, _discriminator_layers(width, dropout, activation))
    return network_of([image, code], c, outputs, "joint_discriminator", **condition)


def _check_image_network(image_network, image_shape):
    input_shape = getattr(image_network, "input_shape", None)
    if not isinstance(image_network, keras.Model) or input_shape != (None, *image_shape):
        raise ValueError(
            f"image_network must be a keras.Model that takes images of shape {image_shape}. "
            f"Received: image_network={image_network!r} with input_shape={input_shape}. Build it "
            "with the same image_shape."
        )
