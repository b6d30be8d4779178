"""What all networks share: argument checks, the head, and layers that halve and double an image."""

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypedDict

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import (
    check_activation,
    check_flags,
    check_fractions,
    check_size,
)
from tfgen._utils.typing import Activation, Shape
from tfgen.layers import (
    Conditional,
    ConditionalBatchNormalization,
    IndependentBernoulli,
    IndependentPoisson,
    MinibatchDiscrimination,
)
from tfgen.layers.independent import as_shape

__all__ = [
    "FEATURES",
    "ConditionOptions",
    "Head",
    "Layers",
    "Width",
    "Crop",
    "chain",
    "condition_input",
    "check_data_shape",
    "check_halvings",
    "convolution",
    "dense_layers",
    "fast",
    "gelu",
    "halved_sizes",
    "image_output",
    "join",
    "layer_widths",
    "logit",
    "minibatch_features",
    "network_of",
    "nonlinearity",
    "normalization",
    "output_channels",
    "output_layer",
    "projection_stack",
    "stack",
    "upsample",
    "vector_condition",
]

Layers: TypeAlias = list[Callable[..., Any]]
"""Layers and functions of tensors, to be applied one after the other."""
Head: TypeAlias = Callable[..., keras.layers.Layer] | None
"""From the shape of one event to the distribution layer that ends a network; None for none."""
Width: TypeAlias = int | Sequence[int]
"""Units of each hidden layer, or of one after the other."""
_MOST = 10**6


class ConditionOptions(TypedDict, total=False):
    """What makes a network conditional: one of the two, for `**condition: Unpack[...]`."""

    num_classes: int | None
    condition_shape: int | Shape | None


FEATURES = "features"
"""Name of the layer of a discriminator whose output compares images, by `get_layer`."""


def chain(x: Any, layers: Iterable[Callable[..., Any]]) -> Any:
    """Applies `layers` one after the other."""
    return functools.reduce(lambda x, layer: layer(x), layers, x)


def stack(
    input_shape: Shape,
    layers: Iterable[Callable[..., Any]],
    name: str,
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """Functional model that applies `layers` one after the other.

    With `num_classes` or `condition_shape` it is a `Conditional`, whose condition is appended to
    its input, after a Flatten that it may begin with: see `join`.
    """
    inputs, c = keras.Input(input_shape), condition_input(**condition)
    layers = list(layers)
    begin = layers[:1] if isinstance(layers[0], keras.layers.Flatten) else []
    joined = join(chain(inputs, begin), c)
    return network_of(inputs, c, chain(joined, layers[len(begin) :]), name, **condition)


def projection_stack(
    input_shape: Shape,
    layers: Layers,
    name: str,
    embedding: Callable[[int], keras.layers.Layer],
    **condition: Unpack[ConditionOptions],
) -> keras.Model:
    """The logit psi(phi(x)) + <V c, phi(x)>: `layers` are those of phi, a vector, and then psi.

    `embedding` makes the layer V, from c to vectors of the size that it is given.
    """
    *features, psi = layers
    inputs, c = keras.Input(input_shape), vector_condition("projection", **condition)
    phi = chain(inputs, features)
    product = keras.layers.Dot(axes=1, dtype=output_dtype())([embedding(phi.shape[-1])(c), phi])
    outputs = keras.layers.Add(dtype=output_dtype())([psi(phi), product])
    return network_of(inputs, c, outputs, name, **condition)


def vector_condition(use: str, **condition: Unpack[ConditionOptions]) -> Any:
    """The last input of a network with the option `use`; ValueError unless it is a vector."""
    c = condition_input(**condition)
    if c is None or len(c.shape) != 2:
        raise ValueError(
            f"{use}=True takes a condition that is a vector. Received: num_classes="
            f"{condition.get('num_classes')!r} and condition_shape="
            f"{condition.get('condition_shape')!r}. Give num_classes, or an int condition_shape, "
            f"or leave {use} out."
        )
    return c


def network_of(
    inputs: Any, c: Any, outputs: Any, name: str, **condition: Unpack[ConditionOptions]
) -> keras.Model:
    """The functional model from `inputs`, a `Conditional` where `c` is a condition and not None."""
    if c is None:
        return keras.Model(inputs, outputs, name=name)
    network = keras.Model([*keras.tree.flatten(inputs), c], outputs, name=name)
    return Conditional(network, condition.get("num_classes"))


def condition_input(
    num_classes: int | None = None, condition_shape: int | Shape | None = None
) -> Any:
    """The last input of a conditional network, or None.

    Raises:
        ValueError: if both are given, or one is out of range.
    """
    if num_classes is not None and condition_shape is not None:
        raise ValueError(
            "Conditions are classes, or of a shape: give num_classes or condition_shape. Received: "
            f"num_classes={num_classes} and condition_shape={condition_shape}."
        )
    if num_classes is not None:
        check_size(num_classes=num_classes)
        return keras.Input((num_classes,), name="condition")
    if condition_shape is None:
        return None
    shape = (condition_shape,) if isinstance(condition_shape, int) else tuple(condition_shape)
    if not shape or not _are_positive(shape):
        raise ValueError(
            "condition_shape must be the shape of one condition, positive ints, or one int. "
            f"Received: condition_shape={condition_shape!r}. Give num_classes for classes."
        )
    return keras.Input(shape, name="condition")


def join(x: Any, condition: Any) -> Any:
    """Appends a condition to vectors, or to what has channels as one more, a linear map of it.

    Conditions that are images of the same size are appended as channels themselves, and None is
    no condition.
    """
    if condition is None:
        return x
    if len(x.shape) == 2:
        return keras.layers.Concatenate()([x, keras.layers.Flatten()(condition)])
    sizes = x.shape[1:-1]
    if condition.shape[1:-1] != sizes:
        vectors = keras.layers.Flatten()(condition)
        plane = keras.layers.Dense(math.prod(sizes), name="condition_plane")(vectors)
        condition = keras.layers.Reshape((*sizes, 1))(plane)
    return keras.layers.Concatenate()([x, condition])


def output_dtype() -> str:
    """Dtype of outputs: that of the weights, so float32 also under a mixed-precision policy."""
    return keras.config.dtype_policy().variable_dtype


@keras.saving.register_keras_serializable("tfgen")
def gelu(x: Any) -> Any:
    """x Phi(x), the exact GELU, with its derivative computed on the way: training is faster.

    Source: Hendrycks & Gimpel, arXiv:1606.08415v4, Sec. 2; `keras.activations.gelu`.

    Args:
        x: tensor of floats. The derivative, Phi(x) + x phi(x), is kept until it is used.

    Example:
        >>> float(gelu(tf.constant(0.0))), round(float(gelu(tf.constant(1.0))), 4)
        (0.0, 0.8413)
    """
    return _gelu(tf.convert_to_tensor(x))


@tf.custom_gradient
def _gelu(x):
    twice = 1.0 + tf.math.erf(math.sqrt(0.5) * x)
    slope = 0.5 * twice + x * _normal_density(x)
    # In this order LiteRT, which knows no erf, finds its own GELU.
    return (0.5 * x) * twice, lambda upstream: upstream * _gelu_slope(x, slope)


@tf.custom_gradient
def _gelu_slope(x, slope):
    """The derivative of `gelu` that is known, with a derivative of its own."""
    return slope, lambda upstream: (upstream * (2.0 - tf.square(x)) * _normal_density(x), None)


def _normal_density(x):
    return math.sqrt(0.5 / math.pi) * tf.exp(-0.5 * tf.square(x))


def fast(activation: Activation) -> Activation:
    """Our own implementation of an activation of Keras, if there is one."""
    return gelu if activation in ("gelu", keras.activations.gelu) else activation


def layer_widths(width: Width, depth: int) -> tuple[int, ...]:
    """Units of the hidden layers: `width` if it is a sequence, else `depth` times `width`.

    Raises:
        ValueError: if `width` or `depth` is out of range.

    Example:
        >>> layer_widths(512, depth=2), layer_widths([392, 196, 98], depth=2)
        ((512, 512), (392, 196, 98))
    """
    if not isinstance(width, Sequence):
        check_size(1, width=width)
        check_size(0, depth=depth)
        return depth * (width,)
    if not _are_positive(width):
        raise ValueError(
            "width must be an int of at least 1 or a sequence of such ints, one for each hidden "
            f"layer. Received: width={width!r}."
        )
    return tuple(width)


def _are_positive(values):
    return all(isinstance(value, numbers.Integral) and 0 < int(value) <= _MOST for value in values)


def check_image_shape(image_shape: Shape, num_halvings: int = 0, **sizes: Any) -> tuple[int, ...]:
    """The shape of images as a tuple.

    Args:
        image_shape: sequence of int, (height, width, channels).
        num_halvings: int, how often the network halves height and width. Each time the image must
            become smaller, which takes more than 2**(num_halvings - 1) pixels.
        **sizes: numbers of units, filters or latent dimensions, each an int >= 1.

    Raises:
        ValueError: if it is no shape of images, these are too small, or a size is out of range.

    Example:
        >>> check_image_shape([28, 28, 1], 3, latent_dim=20, width=32)
        (28, 28, 1)
    """
    check_size(1, **sizes)
    shape = _as_shape(image_shape)
    if len(shape) != 3 or not _are_positive(shape):
        raise ValueError(
            "image_shape must be three positive ints, (height, width, channels). "
            f"Received: image_shape={image_shape!r}. Grey images of 28 pixels are (28, 28, 1)."
        )
    check_halvings(shape, num_halvings, "image_shape")
    return shape


def _as_shape(value):
    return tuple(value) if isinstance(value, (tuple, list)) else ()


def check_data_shape(data_shape: Shape, num_halvings: int = 0, **sizes: Any) -> tuple[int, ...]:
    """The shape of a series, an image or a volume, with channels, as a tuple.

    Args:
        data_shape: sequence of int.
        num_halvings: as of `check_image_shape`.
        **sizes: likewise.

    Raises:
        ValueError: if it is none of these, they are too small, or a size is out of range.

    Example:
        >>> check_data_shape([100, 3], width=32)
        (100, 3)
    """
    check_size(1, **sizes)
    shape = _as_shape(data_shape)
    if len(shape) not in (2, 3, 4) or not _are_positive(shape):
        raise ValueError(
            "data_shape must be positive ints, (length, channels) of series, (height, width, "
            "channels) of images or (depth, height, width, channels) of volumes. Received: "
            f"data_shape={data_shape!r}. Give what has no channels one: (100,) becomes (100, 1)."
        )
    check_halvings(shape, num_halvings)
    return shape


def check_halvings(shape: Shape, num_halvings: int, name: str = "data_shape") -> None:
    """Raises ValueError unless each halving makes all axes but that of channels smaller.

    Example:
        >>> check_halvings((28, 28, 1), 3)
    """
    smallest = 2**num_halvings // 2 + 1
    if min(shape[:-1]) < smallest:
        raise ValueError(
            f"This network halves its data {num_halvings} times and expects at least {smallest} "
            f"pixels on each axis. Received: {name}={shape}. Resize the data, or use a network "
            "that halves fewer times: mlp never, vq twice, conv 3 times, conv64 6 times."
        )


def halved_sizes(data_shape: Shape, num_halvings: int) -> list[tuple[int, ...]]:
    """All axes but the channels before, between and after convolutions of stride 2, rounded up.

    Example:
        >>> halved_sizes((28, 20, 1), 3)
        [(28, 20), (14, 10), (7, 5), (4, 3)]
    """
    return [
        tuple(math.ceil(pixels / 2**step) for pixels in data_shape[:-1])
        for step in range(num_halvings + 1)
    ]


def dense_layers(
    widths: Sequence[int], activation: Activation, dropout: float = 0.0, name: str | None = None
) -> Layers:
    """Hidden Dense layers with dropout after each activation; `name` is that of the last Dense."""
    check_fractions("Use 0 for none.", dropout=dropout)
    check_activation(activation=activation)
    names = [None] * (len(widths) - 1) + [name]
    layers: Layers = []
    for units, layer_name in zip(widths, names, strict=False):
        dense = keras.layers.Dense(units, fast(activation), name=layer_name)
        layers += [dense, *_dropout(dropout)]
    return layers


def _dropout(rate):
    return [keras.layers.Dropout(rate)] if rate else []


def normalization(batch_norm: bool, condition: Any = None) -> Layers:
    """Batch normalization, with gain and shift of a condition if there is one; or nothing.

    Its averages forget within tens of steps, as is usual for adversarial networks: they move, and
    samples drawn during training use the averages.
    """
    check_flags(batch_norm=batch_norm)
    if not batch_norm:
        return []
    if condition is None:
        return [keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)]
    conditional = ConditionalBatchNormalization(momentum=0.9, epsilon=1e-5)
    return [lambda x: conditional([x, condition])]


def nonlinearity(
    batch_norm: bool,
    activation: Activation = "leaky_relu",
    dropout: float = 0.0,
    name: str | None = None,
    condition: Any = None,
) -> Layers:
    """Layers between two with weights; `name` is the activation's. Keras' leaky slope is 0.2."""
    check_activation(activation=activation)
    activate = keras.layers.Activation(fast(activation), name=name)
    return [*normalization(batch_norm, condition), activate, *_dropout(dropout)]


def logit(**kwargs: Any) -> keras.layers.Layer:
    """The last layer of a discriminator, one number without sigmoid."""
    return keras.layers.Dense(1, dtype=output_dtype(), name="logit", **kwargs)


def minibatch_features(minibatch_discrimination: int) -> Layers:
    """The layer that compares the examples of a batch by so many numbers; none for 0."""
    check_size(0, minibatch_discrimination=minibatch_discrimination)
    if not minibatch_discrimination:
        return []
    return [MinibatchDiscrimination(minibatch_discrimination)]


def convolution(
    kernel_size: int, filters: int, strides: int = 1, rank: int = 2, **kwargs: Any
) -> keras.layers.Layer:
    """Convolution over `rank` axes that keeps their sizes, or halves them with rounding up."""
    layer = getattr(keras.layers, f"Conv{rank}D")
    return layer(filters, kernel_size, strides, padding="same", **kwargs)


def upsample(filters: int, kernel_size: int, size: Shape, **kwargs: Any) -> Layers:
    """Layers that double series, images or volumes to `size`, the inverse of `convolution`.

    Args:
        filters: int, output channels.
        kernel_size: int, pixels.
        size: tuple of int, of the output, without channels. What is doubled has one row too many
            along axes where this is odd; it is cut off.
        **kwargs: arguments of `keras.layers.Conv2DTranspose`.

    Returns:
        List of one or two layers.
    """
    rank = len(size)
    layer = getattr(keras.layers, f"Conv{rank}DTranspose")
    transposed = layer(filters, kernel_size, 2, padding="same", **kwargs)
    excess = [(0, pixels % 2) for pixels in size]
    if (0, 1) not in excess:
        return [transposed]
    crop = Crop if rank == 2 else getattr(keras.layers, f"Cropping{rank}D")
    return [transposed, crop(excess[0] if rank == 1 else excess)]


@keras.saving.register_keras_serializable("tfgen")
class Crop(keras.layers.Cropping2D):
    """`keras.layers.Cropping2D`, whose gradient is a padding: many times as fast on a CPU."""

    def call(self, inputs: Any) -> Any:
        if self.data_format == "channels_first":
            return super().call(inputs)
        (top, bottom), (left, right) = self.cropping
        height, width = inputs.shape[1] - top - bottom, inputs.shape[2] - left - right
        return keras.ops.slice(
            inputs, (0, top, left, 0), (keras.ops.shape(inputs)[0], height, width, inputs.shape[3])
        )


def output_layer(head: Head, event_shape: int | Shape) -> tuple[keras.layers.Layer, int]:
    """The layer that ends a network, and how many numbers it takes for one event.

    Args:
        head: callable from an event shape to a distribution layer, or None for the numbers alone.
        event_shape: int or tuple of int.

    Returns:
        Tuple (layer, number of parameters).

    Raises:
        ValueError: if `head` is something else.
    """
    if head is None:
        shape = as_shape(event_shape)
        return keras.layers.Reshape(shape, dtype=output_dtype()), math.prod(shape)
    # A layer instance is callable too, but on tensors.
    is_factory = callable(head) and not isinstance(head, keras.layers.Layer)
    layer = _made_by(head, event_shape) if is_factory else None
    if not hasattr(layer, "params_size"):
        raise ValueError(
            "head must be None or a callable that takes an event shape and returns a distribution "
            "layer: tfgen.layers.IndependentNormal, or functools.partial of such a class. "
            f"Received: head={head!r}. Pass the class and not an instance."
        )
    return layer, _params_size(layer)


def _made_by(head, event_shape):
    """What a head makes; None for a function of something else, which then fails in its own way."""
    try:
        return head(event_shape)
    except TypeError:
        return None


def _params_size(layer):
    """`params_size` of a layer, with those of the layer's own arguments that it asks for."""
    config = layer.get_config()
    names = set(inspect.signature(layer.params_size).parameters) - {"name"}
    return layer.params_size(**{name: config[name] for name in names})


def image_output(
    head: Head, data_shape: Shape, output_activation: Activation
) -> tuple[Layers, int]:
    """The layers that end a generator, and how many numbers they take for one example.

    Args:
        head: callable from `data_shape` to a distribution layer; None for the numbers.
        data_shape: tuple of int.
        output_activation: Keras activation of the pixels, or None.

    Returns:
        Tuple (list of layers, number of parameters).

    Raises:
        ValueError: if `head` is no head, or takes something else than one loc per pixel after an
            activation.
    """
    check_activation(output_activation=output_activation)
    output, num_parameters = output_layer(head, data_shape)
    if output_activation is None:
        return [output], num_parameters
    unbounded = isinstance(output, (IndependentBernoulli, IndependentPoisson))
    if unbounded or num_parameters != math.prod(data_shape):
        raise ValueError(
            "With an output_activation a head must take one number per pixel, its loc. Received: "
            f"output_activation={output_activation!r}, and as head a {type(output).__name__} of "
            f"{num_parameters} parameters for data of shape {tuple(data_shape)}, which takes "
            "logits, rates or scales. Set output_activation=None, or use a head such as "
            "FixedScaleNormal."
        )
    activation = keras.layers.Activation(output_activation, dtype=output_dtype())
    return [activation, output], num_parameters


def output_channels(num_parameters: int, data_shape: Shape) -> int:
    """Channels of a series, image or volume of parameters, given their number.

    Raises:
        ValueError: if they are not the same number for every pixel.
    """
    channels, remainder = divmod(num_parameters, math.prod(data_shape[:-1]))
    if remainder:
        raise ValueError(
            "A convolutional decoder expects a head with the same number of parameters for every "
            f"pixel. Received: a head with {num_parameters} parameters for data of shape "
            f"{tuple(data_shape)}. Use mlp_decoder, or a head such as IndependentNormal."
        )
    return channels
