"""Larsen's networks against Table 1 of arXiv:1512.09300v2, with sizes by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, networks

SHAPE = (64, 64, 3)
MAP = 8 * 8 * 256


def conv_params(*filters):
    """Weights of 5x5 convolutions without bias."""
    return sum(25 * a * b for a, b in zip(filters, filters[1:], strict=False))


def normalization(*channels):
    """Offset, scale, mean and variance of each channel."""
    return 4 * sum(channels)


def test_encoder_is_the_papers():
    encoder = networks.larsen_encoder(SHAPE)
    by_hand = conv_params(3, 64, 128, 256) + MAP * 2048 + (2048 + 1) * 2 * 128
    assert encoder.count_params() == by_hand + normalization(64, 128, 256, 2048)


def test_decoder_is_the_papers():
    decoder = networks.larsen_decoder(SHAPE)
    by_hand = 128 * MAP + conv_params(256, 256, 128, 32, 3) + 3
    assert decoder.count_params() == by_hand + normalization(MAP, 256, 128, 32)
    assert decoder.layers[-2].activation is keras.activations.tanh


def test_discriminator_is_the_papers():
    discriminator = networks.larsen_discriminator(SHAPE)
    by_hand = conv_params(3, 32, 128, 256, 256) + 32 + MAP * 512 + (512 + 1)
    assert discriminator.count_params() == by_hand + normalization(128, 256, 256, 512)


def test_order_of_layers():
    conv = ["Conv2D", "BatchNormalization", "Activation"]
    double = ["Conv2DTranspose", *conv[1:]]
    dense = ["Dense", *conv[1:]]
    expected = {
        networks.larsen_encoder: [*3 * conv, "Flatten", *dense, "Dense", "IndependentNormal"],
        networks.larsen_decoder: [
            *[*dense, "Reshape", *3 * double],
            *["Conv2D", "Activation", "FixedScaleNormal"],
        ],
        networks.larsen_discriminator: ["Conv2D", *3 * conv, "Flatten", *dense, "Dense"],
    }
    for network, kinds in expected.items():
        found = [type(layer).__name__ for layer in network((16, 16, 1), width=2).layers]
        assert found == ["InputLayer", *kinds]


def test_strides():
    def heights(network, kind):
        return [layer.output.shape[1] for layer in network.layers if isinstance(layer, kind)]

    conv = keras.layers.Conv2D
    assert heights(networks.larsen_encoder(SHAPE, width=2), conv) == [32, 16, 8]
    assert heights(networks.larsen_discriminator(SHAPE, width=2), conv) == [64, 32, 16, 8]
    decoder = networks.larsen_decoder(SHAPE, width=2)
    assert heights(decoder, keras.layers.Conv2DTranspose) == [16, 32, 64]


def test_features_are_the_last_convolution_before_its_normalization():
    discriminator = networks.larsen_discriminator(SHAPE, width=4)
    features = discriminator.get_layer("features")
    convolutions = [x for x in discriminator.layers if isinstance(x, keras.layers.Conv2D)]
    assert features is convolutions[-1]
    following = discriminator.layers[discriminator.layers.index(features) + 1]
    assert isinstance(following, keras.layers.BatchNormalization)


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 32, 3), (5, 9, 2)])
def test_other_image_shapes(image_shape):
    encoder = networks.larsen_encoder(image_shape, 4, width=2)
    decoder = networks.larsen_decoder(image_shape, 4, width=2)
    images = tf.zeros((3, *image_shape))
    likelihood = decoder(encoder(images).sample(seed=0))
    assert likelihood.event_shape == image_shape
    assert networks.larsen_discriminator(image_shape, width=2)(images).shape == (3, 1)


def test_the_likelihoods_mean_is_bounded_and_its_scale_one():
    decoder = networks.larsen_decoder((8, 8, 1), 4, width=2)
    likelihood = decoder(1e3 * tf.random.stateless_normal((3, 4), seed=(0, 1)))
    assert np.abs(likelihood.mean()).max() <= 1
    np.testing.assert_array_equal(likelihood.stddev(), np.ones((3, 8, 8, 1)))


def test_bernoulli_decoder_has_no_activation():
    head = layers.IndependentBernoulli
    decoder = networks.larsen_decoder((8, 8, 1), 4, head, width=2, output_activation=None)
    assert isinstance(decoder.layers[-2], keras.layers.Conv2D)


@pytest.mark.parametrize("network", [networks.larsen_decoder, networks.larsen_discriminator])
def test_width_must_have_a_half(network):
    with pytest.raises(ValueError, match="width must be an int of at least 2. Received: width=1"):
        network(SHAPE, width=1)


@pytest.mark.parametrize(
    "network",
    [networks.larsen_encoder, networks.larsen_decoder, networks.larsen_discriminator],
)
def test_image_too_small(network):
    with pytest.raises(ValueError, match=r"at least 5 .*Received: image_shape=\(4, 8, 1\)"):
        network((4, 8, 1))
