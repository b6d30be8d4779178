"""What all networks share: argument checks, the head, and layers that halve and double an image."""

import functools
import inspect
import math
import numbers

import keras

__all__ = [
    "check_arguments",
    "check_int",
    "halved_sizes",
    "output_channels",
    "output_layer",
    "stack",
    "upsample",
]


def stack(input_shape, layers, name):
    """Functional model that applies `layers` one after the other."""
    inputs = keras.Input(input_shape)
    outputs = functools.reduce(lambda x, layer: layer(x), layers, inputs)
    return keras.Model(inputs, outputs, name=name)


def check_int(minimum, **values):
    """Raises ValueError unless every value, named by its keyword, is an int from `minimum` on."""
    for name, value in values.items():
        if not isinstance(value, numbers.Integral) or value < minimum:
            raise ValueError(
                f"{name} must be an int of at least {minimum}. Received: {name}={value!r}."
            )


def check_image_shape(image_shape):
    """Returns `image_shape` as a tuple, or raises ValueError if it is not (h, w, c)."""
    shape = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    if len(shape) != 3 or not all(isinstance(d, numbers.Integral) and d > 0 for d in shape):
        raise ValueError(
            "image_shape must be three positive ints, (height, width, channels). "
            f"Received: image_shape={image_shape!r}. Grey images of 28 pixels are (28, 28, 1)."
        )
    return shape


def check_arguments(image_shape, latent_dim, width, num_halvings=0):
    """Checks what all networks have in common.

    Args:
        image_shape: sequence of int, (height, width, channels).
        latent_dim: int >= 1, latent dimensions.
        width: int >= 1, units or filters.
        num_halvings: int, how often the network halves height and width. Each time the image must
            become smaller, which takes more than 2**(num_halvings - 1) pixels.

    Returns:
        `image_shape` as a tuple.

    Raises:
        ValueError: if an argument is out of range or the image too small.

    Example:
        >>> check_arguments([28, 28, 1], latent_dim=20, width=32, num_halvings=3)
        (28, 28, 1)
    """
    check_int(1, latent_dim=latent_dim, width=width)
    shape = check_image_shape(image_shape)
    smallest = 2**num_halvings // 2 + 1
    if min(shape[:2]) < smallest:
        raise ValueError(
            f"This network halves an image {num_halvings} times and expects at least {smallest} "
            f"pixels of height and width. Received: image_shape={shape}. Resize the images, or use "
            "a network that halves fewer times: mlp never, conv 3 times, conv64 6 times."
        )
    return shape


def halved_sizes(image_shape, num_halvings):
    """Height and width before, between and after convolutions of stride 2, rounded up.

    Example:
        >>> halved_sizes((28, 20, 1), 3)
        [(28, 20), (14, 10), (7, 5), (4, 3)]
    """
    return [
        tuple(math.ceil(pixels / 2**step) for pixels in image_shape[:2])
        for step in range(num_halvings + 1)
    ]


def upsample(filters, kernel_size, size, **kwargs):
    """Layers that double an image to `size`, the inverse of halving with rounding up.

    Args:
        filters: int, output channels.
        kernel_size: int, pixels.
        size: tuple of int, (height, width) of the output. A doubled image has one row or column
            too many where this is odd; it is cut off.
        **kwargs: arguments of `keras.layers.Conv2DTranspose`.

    Returns:
        List of one or two layers.
    """
    transposed = keras.layers.Conv2DTranspose(filters, kernel_size, 2, padding="same", **kwargs)
    excess = [(0, pixels % 2) for pixels in size]
    return [transposed, keras.layers.Cropping2D(excess)] if (0, 1) in excess else [transposed]


def output_layer(head, event_shape):
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
        shape = (event_shape,) if isinstance(event_shape, numbers.Integral) else event_shape
        return keras.layers.Reshape(shape), math.prod(shape)
    # A layer instance is callable too, but on tensors.
    is_factory = callable(head) and not isinstance(head, keras.layers.Layer)
    layer = head(event_shape) if is_factory else None
    if not hasattr(layer, "params_size"):
        raise ValueError(
            "head must be None or a callable that takes an event shape and returns a distribution "
            "layer: tfgen.layers.IndependentNormal, or functools.partial of such a class. "
            f"Received: head={head!r}. Pass the class and not an instance."
        )
    return layer, _params_size(layer)


def _params_size(layer):
    """`params_size` of a layer, with those of the layer's own arguments that it asks for."""
    config = layer.get_config()
    names = set(inspect.signature(layer.params_size).parameters) - {"name"}
    return layer.params_size(**{name: config[name] for name in names})


def output_channels(num_parameters, image_shape):
    """Channels of an image of parameters, given their number.

    Raises:
        ValueError: if they are not the same number for every pixel.
    """
    channels, remainder = divmod(num_parameters, math.prod(image_shape[:2]))
    if remainder:
        raise ValueError(
            "A convolutional decoder expects a head with the same number of parameters for every "
            f"pixel. Received: a head with {num_parameters} parameters for image_shape="
            f"{image_shape}. Use mlp_decoder, or a head such as IndependentNormal."
        )
    return channels
