"""Recurrent networks: parameters by hand, order in time."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import networks


def gru_parameters(inputs, units):
    """Three gates, each with two matrices and, as Keras has it, two biases."""
    return 3 * (inputs * units + units * units + 2 * units)


def test_parameters_by_hand():
    encoder = networks.recurrent_encoder((20, 3), latent_dim=4, width=5, depth=2)
    both = 2 * gru_parameters(3, 5) + 2 * gru_parameters(10, 5)
    assert encoder.count_params() == both + 10 * 8 + 8
    decoder = networks.recurrent_decoder((20, 3), latent_dim=4, width=5, depth=2)
    assert decoder.count_params() == gru_parameters(4, 5) + gru_parameters(5, 5) + 5 * 6 + 6


def test_the_first_step_is_a_gru_by_hand():
    """h_1 of h_0 = 0, the update gate u, the reset gate r and the candidate c, in Keras' order."""
    decoder = networks.recurrent_decoder((7, 2), latent_dim=3, head=None, width=4)
    z = np.random.default_rng(0).normal(size=(5, 3))
    kernel, recurrent, bias = decoder.layers[2].get_weights()
    bias = np.random.default_rng(1).normal(size=bias.shape)
    decoder.layers[2].set_weights([kernel, recurrent, bias])
    u, r, c = np.split(z @ kernel + bias[0], 3, axis=1)
    of_u, of_r, of_c = np.split(bias[1], 3)
    u, r = (1 / (1 + np.exp(-gate)) for gate in (u + of_u, r + of_r))
    h = (1 - u) * np.tanh(c + r * of_c)
    kernel, bias = decoder.layers[3].get_weights()
    np.testing.assert_allclose(decoder(z)[:, 0], h @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_what_is_decoded_early_does_not_depend_on_the_length():
    z = np.random.default_rng(0).normal(size=(2, 3))
    long, short = (networks.recurrent_decoder((n, 2), 3, head=None, width=4) for n in (9, 4))
    short.set_weights(long.get_weights())
    np.testing.assert_allclose(short(z), long(z)[:, :4], rtol=1e-5, atol=1e-6)


def test_every_step_reaches_the_code():
    encoder = networks.recurrent_encoder((12, 2), latent_dim=3, head=None, width=4)
    x = tf.Variable(np.random.default_rng(0).normal(size=(1, 12, 2)).astype("float32"))
    with tf.GradientTape() as tape:
        code = tf.reduce_sum(encoder(x))
    assert np.all(np.abs(tape.gradient(code, x)) > 0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(data_shape=(8, 8, 1)), r"shape \(length, channels\).*Received: data_shape"),
        (dict(data_shape=(8,)), "data_shape must be positive ints"),
        (dict(depth=0), "depth must be an int of at least 1"),
        (dict(width=2.5), "width must be an int"),
    ],
)
@pytest.mark.parametrize("make", [networks.recurrent_encoder, networks.recurrent_decoder])
def test_what_is_refused(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**{"data_shape": (8, 1), "latent_dim": 2, **arguments})
