"""Six-convolution networks: sizes by hand, odd sizes, batch normalization, errors by text."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, networks

# (inputs, filters) of Schik's convolutions at width 64, three channels and 32 latent dimensions.
CONVOLUTIONS = [(3, 64), (64, 128), (128, 128), (128, 256), (256, 512), (512, 32)]
# Offset, scale, mean and variance of each normalized channel.
NORMALIZATION = 4 * (64 + 128 + 128 + 256 + 512)


def test_encoder_has_the_papers_parameter_count():
    encoder = networks.conv64_encoder((64, 64, 3))
    by_hand = sum(16 * inputs * filters for inputs, filters in CONVOLUTIONS) + NORMALIZATION
    assert encoder.count_params() == by_hand + (32 * 64 + 64)


def test_decoder_has_the_papers_parameter_count():
    decoder = networks.conv64_decoder((64, 64, 3))
    by_hand = sum(16 * inputs * filters for inputs, filters in CONVOLUTIONS) + NORMALIZATION
    assert decoder.count_params() == by_hand + 3 + (32 * 32 + 32)


def test_64_pixels_become_one_and_64_again():
    encoder = networks.conv64_encoder((64, 64, 3), width=1)
    decoder = networks.conv64_decoder((64, 64, 3), width=1)
    heights = [layer.output.shape[1] for layer in encoder.layers if "conv" in layer.name]
    assert heights == [32, 16, 8, 4, 2, 1]
    heights = [layer.output.shape[1] for layer in decoder.layers if "conv" in layer.name]
    assert heights == [2, 4, 8, 16, 32, 64]


def test_normalization_and_activation_lie_between_convolutions():
    encoder = networks.conv64_encoder((64, 64, 1), width=1)
    kinds = [type(layer).__name__ for layer in encoder.layers]
    between = ["Conv2D", "BatchNormalization", "LeakyReLU"]
    assert kinds == ["InputLayer", *5 * between, "Conv2D", "Flatten", "Dense", "IndependentNormal"]


@pytest.mark.parametrize("image_shape", [(33, 33, 1), (48, 79, 2), (128, 64, 3)])
@pytest.mark.parametrize("head", [layers.FixedScaleNormal, layers.IndependentNormal])
def test_decoder_restores_the_encoders_image_shape(image_shape, head):
    encoder = networks.conv64_encoder(image_shape, latent_dim=3, width=2)
    decoder = networks.conv64_decoder(image_shape, latent_dim=3, head=head, width=2)
    images = tf.zeros((2, *image_shape))
    likelihood = decoder(encoder(images).sample(seed=0))
    assert likelihood.event_shape == image_shape
    assert likelihood.log_prob(images).shape == (2,)


def test_training_mode_normalizes_by_the_batch():
    encoder = networks.conv64_encoder((64, 64, 1), latent_dim=2, head=None, width=2)
    images = 100 * np.random.default_rng(0).normal(size=(4, 64, 64, 1)).astype("float32")
    # Without biases a new network is linear in the contrast, which the batch's own statistics
    # undo. At a contrast of 100 the normalization's epsilon of 1e-3 is lost in the tolerance.
    np.testing.assert_allclose(encoder(3 * images), 3 * encoder(images), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        encoder(3 * images, training=True), encoder(images, training=True), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("network", [networks.conv64_encoder, networks.conv64_decoder])
def test_image_too_small(network):
    with pytest.raises(ValueError, match=r"halves its data 6 times .* at least 33 .*\(32, 64, 1\)"):
        network((32, 64, 1))
