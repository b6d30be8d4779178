"""Networks of a ladder VAE: the paper's sizes by hand, what depends on what, errors by text."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import networks
from tfgen.networks.ladder import ladder_decoder, ladder_encoder, ladder_prior

SHAPE, SIZES, WIDTHS = (4, 4, 1), (3, 2), (8, 6)


def dense(inputs, outputs):
    return (inputs + 1) * outputs


def mlp(inputs, width):
    """Two layers; batch normalization's shift is the bias, and it has a scale and two averages."""
    return dense(inputs, width) + dense(width, width) + 2 * 3 * width


def test_paper_sizes_for_mnist():
    sizes, widths = (64, 32, 16, 8, 4), (512, 256, 128, 64, 64)
    below = (784, 512, 256, 128, 64)
    encoder = sum(map(mlp, below, widths)) + sum(
        2 * dense(width, size) for width, size in zip(widths, sizes, strict=True)
    )
    assert ladder_encoder((28, 28, 1)).count_params() == encoder
    prior = sum(map(mlp, sizes[1:], widths[1:])) + sum(
        dense(width, 2 * size) for width, size in zip(widths[1:], sizes[:-1], strict=True)
    )
    assert sum(network.count_params() for network in ladder_prior().networks) == prior


def test_encoder_loc_and_scale_of_a_level_come_from_its_own_features():
    """The lower level does not depend on the upper level's MLP."""
    encoder = ladder_encoder(SHAPE, SIZES, WIDTHS, depth=1, batch_norm=False)
    x = tf.ones((2, *SHAPE))
    before = encoder(x)
    upper = next(layer for layer in encoder.layers if getattr(layer, "units", None) == 6)
    upper.kernel.assign(upper.kernel + 1.0)
    after = encoder(x)
    for parameter in ("mean", "stddev"):
        old, new = (getattr(q, parameter)().numpy() for q in (before, after))
        np.testing.assert_array_equal(old[:, :3], new[:, :3])
        assert np.all(old[:, 3:] != new[:, 3:])


def test_decoder_sees_the_lowest_level_alone():
    inner = networks.mlp_decoder(SHAPE, 3, width=8)
    decoder = ladder_decoder(inner, SIZES)
    z = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    np.testing.assert_array_equal(decoder(z).mean(), inner(z[:, :3]).mean())


@pytest.mark.parametrize("batch_norm", [True, False])
def test_batch_norm_and_activation(batch_norm):
    encoder = ladder_encoder(SHAPE, SIZES, WIDTHS, batch_norm=batch_norm, activation="tanh")
    kinds = [type(layer) for layer in encoder.layers]
    assert kinds.count(keras.layers.BatchNormalization) == 4 * batch_norm
    activations = [
        layer.activation.__name__ for layer in encoder.layers if hasattr(layer, "activation")
    ]
    assert activations.count("tanh") == 4


def test_errors():
    with pytest.raises(ValueError, match=r"two levels or more.*Received: latent_dims=\(3,\)"):
        ladder_prior((3,), (8,))
    with pytest.raises(ValueError, match=r"a width for each.*widths=\(8,\)"):
        ladder_encoder(SHAPE, SIZES, (8,))
    with pytest.raises(ValueError, match=r"Received: latent_dims\[1\]=0"):
        ladder_encoder(SHAPE, (3, 0), WIDTHS)
    with pytest.raises(
        ValueError, match=r"take z_1, of size 3.*Received.*Build it with latent_dim=3"
    ):
        ladder_decoder(networks.mlp_decoder(SHAPE, 5), SIZES)
