"""Convolutional networks of a VQ-VAE: parameters by hand, sizes, blocks, errors by text."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, models
from tfgen.networks.vq import vq_decoder, vq_encoder


def conv(inputs, filters, size):
    return size**2 * inputs * filters + filters


def block(width):
    return conv(width, width, 3) + conv(width, width, 1)


def test_paper_sizes():
    """128 pixels become 32, with 256 hidden units; code size 64."""
    encoder, decoder = vq_encoder((128, 128, 3)), vq_decoder((128, 128, 3))
    assert encoder.output_shape == decoder.input_shape == (None, 32, 32, 64)
    ends = conv(3, 256, 4) + conv(256, 256, 4) + conv(256, 64, 1)
    assert encoder.count_params() == ends + 2 * block(256)
    ends = conv(64, 256, 3) + conv(256, 256, 4) + conv(256, 3, 4)
    assert decoder.count_params() == ends + 2 * block(256)


@pytest.mark.parametrize("image_shape, quarter", [((28, 28, 1), (7, 7)), ((5, 10, 3), (2, 3))])
def test_decoder_restores_the_encoders_image_shape(image_shape, quarter):
    encoder = vq_encoder(image_shape, code_dim=3, width=4, num_blocks=1)
    decoder = vq_decoder(image_shape, 3, layers.IndependentNormal, width=4, num_blocks=0)
    assert encoder.output_shape == decoder.input_shape == (None, *quarter, 3)
    assert decoder(encoder(tf.zeros((2, *image_shape)))).event_shape == image_shape


def test_residual_blocks_add_their_input():
    with_blocks = vq_encoder((4, 4, 1), 2, width=3, num_blocks=1)
    without = vq_encoder((4, 4, 1), 2, width=3, num_blocks=0)
    ends, inner = with_blocks.get_weights(), with_blocks.get_weights()[4:8]
    without.set_weights(ends[:4] + ends[8:])
    with_blocks.set_weights(ends[:4] + [np.zeros_like(w) for w in inner] + ends[8:])
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 1)).astype("float32")
    np.testing.assert_allclose(with_blocks(x), without(x), rtol=1e-5, atol=1e-6)


def test_normalized_vectors():
    """Mean 0 and standard deviation 1 over all vectors of an example, whatever its values."""
    encoder = vq_encoder((8, 12, 1), code_dim=3, width=4, normalize=True)
    x = (
        np.random.default_rng(0).normal(size=(5, 8, 12, 1))
        * 10.0 ** np.arange(5)[:, None, None, None]
    )
    vectors = encoder(x).numpy().reshape(5, -1)
    np.testing.assert_allclose(vectors.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(vectors.std(axis=1), 1, rtol=0.05)


def test_errors():
    with pytest.raises(ValueError, match="num_blocks must be.*Received: num_blocks=-1"):
        vq_encoder((8, 8, 1), num_blocks=-1)
    with pytest.raises(ValueError, match="code_dim must be.*Received: code_dim=0"):
        vq_decoder((8, 8, 1), code_dim=0)
    with pytest.raises(ValueError, match=r"at least 3 .*Received: data_shape=\(2, 8, 1\)"):
        vq_encoder((2, 8, 1))


@pytest.mark.parametrize("shape", [(21, 2), (9, 8, 10, 1)], ids=["series", "volumes"])
def test_a_vq_vae_of_series_and_volumes(shape):
    model = models.VQVAE(
        vq_encoder(shape, code_dim=3, width=4, num_blocks=1),
        vq_decoder(shape, code_dim=3, width=4, num_blocks=1, head=layers.FixedScaleNormal),
        num_codes=8,
        seed=0,
    )
    model.compile("adam")
    x = np.random.default_rng(0).normal(size=(12, *shape)).astype("float32")
    model.fit(x, verbose=0)
    sizes = [-(-pixels // 4) for pixels in shape[:-1]]
    assert model.latent_shape == (*sizes, 3) and model.num_indices == np.prod(sizes)
    assert model.reconstruct(x).shape == x.shape and model.sample(4, seed=0).shape == (4, *shape)
