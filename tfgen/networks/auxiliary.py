"""Networks of auxiliary variables. Salimans, Kingma & Welling, arXiv:1410.6460v4, Sec. 4."""

import keras

from tfgen import layers
from tfgen._utils.arguments import as_event_shape, check_size
from tfgen._utils.typing import Activation, Shape
from tfgen.networks._blocks import Head, Width, chain, dense_layers, layer_widths, output_layer

__all__ = ["mlp_auxiliary"]


def mlp_auxiliary(
    data_shape: Shape,
    latent_dim: int,
    output_dim: int | None = None,
    head: Head = layers.IndependentNormal,
    width: Width = 300,
    depth: int = 1,
    activation: Activation = "softplus",
) -> keras.Model:
    """Fully connected network from pairs of data and latent variables to auxiliary variables u.

    The flat data and the latent variables are joined; then `depth` times Dense(width), and Dense to
    the parameters of the head: r(u|x, z), or q(u|x, z).

    Source: Salimans, Kingma & Welling, arXiv:1410.6460v4, Sec. 4, reverse model of a Hamiltonian
    step; Ranganath, Tran & Blei, arXiv:1511.02386v2, Sec. 3.2.

    Args:
        data_shape: tuple of int, shape of x, or of features of x.
        latent_dim: int >= 1, latent dimensions.
        output_dim: int >= 1, auxiliary variables; `latent_dim` if None.
        head: callable from `output_dim` to a distribution layer; None for a plain vector.
        width: int >= 1, units of each hidden layer; or a sequence of int, those of one hidden layer
            after the other, which leaves `depth` unused.
        depth: int >= 0, hidden layers.
        activation: Keras activation of the hidden layers.

    Returns:
        `keras.Model` from [x of shape (batch, *data_shape), z of shape (batch, latent_dim)] to a
        density over (batch, output_dim).

    Raises:
        ValueError: if an argument is out of range or `head` is not a head.

    Example:
        >>> reverse = mlp_auxiliary((28, 28, 1), latent_dim=8)
        >>> reverse([keras.ops.zeros((5, 28, 28, 1)), keras.ops.zeros((5, 8))]).event_shape
        TensorShape([8])
    """
    output_dim = latent_dim if output_dim is None else output_dim
    check_size(1, latent_dim=latent_dim, output_dim=output_dim)
    output, num_parameters = output_layer(head, output_dim)
    data_shape = as_event_shape(data_shape=data_shape)
    data, code = keras.Input(data_shape), keras.Input((latent_dim,))
    pair = keras.layers.Concatenate()([keras.layers.Flatten()(data), code])
    hidden = dense_layers(layer_widths(width, depth), activation)
    # Small at first, so that u begins as nearly independent of x and z.
    small = keras.initializers.RandomNormal(stddev=0.01)
    last = keras.layers.Dense(num_parameters, kernel_initializer=small)
    outputs = chain(pair, [*hidden, last, output])
    return keras.Model([data, code], outputs, name="mlp_auxiliary")
