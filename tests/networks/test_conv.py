"""Convolutional networks for small images: sizes by hand, odd sizes, mirror, errors by text."""

import pytest
import tensorflow as tf

from tfgen import layers, networks


def spatial_sizes(network):
    """Heights and widths from layer to layer, without repetitions."""
    sizes = [
        tuple(layer.output.shape[1:3]) for layer in network.layers if len(layer.output.shape) == 4
    ]
    return [size for size, previous in zip(sizes, [None, *sizes], strict=False) if size != previous]


def test_encoder_has_the_courses_parameter_count():
    encoder = networks.conv_encoder((28, 28, 1), latent_dim=20)
    by_hand = sum(
        9 * inputs * filters + filters
        for inputs, filters in [(1, 32), (32, 32), (32, 64), (64, 64), (64, 64)]
    )
    assert encoder.count_params() == by_hand + (4 * 4 * 64 * 40 + 40)


def test_decoder_has_the_courses_parameter_count():
    decoder = networks.conv_decoder((28, 28, 1), latent_dim=20)
    by_hand = sum(
        9 * inputs * filters + filters
        for inputs, filters in [(64, 64), (64, 64), (64, 32), (32, 32), (32, 1)]
    )
    assert decoder.count_params() == by_hand + (20 * 4 * 4 * 64 + 4 * 4 * 64)


def test_28_pixels_become_4_and_28_again():
    encoder = networks.conv_encoder((28, 28, 1), latent_dim=2)
    decoder = networks.conv_decoder((28, 28, 1), latent_dim=2, head=None)
    assert spatial_sizes(encoder) == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert spatial_sizes(decoder) == [(4, 4), (8, 8), (7, 7), (14, 14), (28, 28)]


@pytest.mark.parametrize("image_shape", [(32, 32, 3), (5, 5, 1), (29, 45, 2), (8, 31, 4)])
def test_decoder_restores_the_encoders_image_shape(image_shape):
    encoder = networks.conv_encoder(image_shape, latent_dim=3, width=2)
    decoder = networks.conv_decoder(image_shape, latent_dim=3, width=2)
    images = tf.zeros((2, *image_shape))
    likelihood = decoder(encoder(images).sample(seed=0))
    assert likelihood.event_shape == image_shape
    assert likelihood.log_prob(images).shape == (2,)


def test_every_output_pixel_depends_on_the_latent_vector():
    decoder = networks.conv_decoder((29, 45, 1), latent_dim=3, head=None, width=4)
    first, second = decoder(tf.constant([[1.0, 0.0, 0.0], [0.0, 2.0, -1.0]]))
    assert tf.reduce_all(first != second)


@pytest.mark.parametrize(
    "head, channels",
    [
        (layers.IndependentBernoulli, 3),
        (layers.FixedScaleNormal, 3),
        (layers.IndependentNormal, 6),
        (None, 3),
    ],
)
def test_head_sets_the_last_filters(head, channels):
    decoder = networks.conv_decoder((8, 8, 3), latent_dim=2, head=head, width=2)
    assert decoder.layers[-2].filters == channels


def test_first_channels_are_loc():
    decoder = networks.conv_decoder((8, 8, 1), latent_dim=2, head=layers.IndependentNormal)
    last = decoder.layers[-2]
    last.kernel.assign(tf.zeros(last.kernel.shape))
    last.bias.assign([3.0, 0.0])
    likelihood = decoder(tf.zeros((1, 2)))
    tf.debugging.assert_near(likelihood.mean(), tf.fill((1, 8, 8, 1), 3.0))
    tf.debugging.assert_near(likelihood.stddev(), tf.fill((1, 8, 8, 1), 0.6931472))


def test_activation_reaches_every_hidden_layer_and_not_the_last():
    networks_built = [
        networks.conv_encoder((8, 8, 1), latent_dim=2, activation="tanh"),
        networks.conv_decoder((8, 8, 1), latent_dim=2, activation="tanh"),
    ]
    for network in networks_built:
        names = [
            layer.activation.__name__ for layer in network.layers if hasattr(layer, "activation")
        ]
        assert names == ["tanh"] * 5 + ["linear"]


@pytest.mark.parametrize("network", [networks.conv_encoder, networks.conv_decoder])
def test_image_too_small(network):
    with pytest.raises(ValueError, match=r"at least 5 .*Received: image_shape=\(28, 4, 1\)"):
        network((28, 4, 1), latent_dim=2)


def test_head_with_parameters_apart_from_pixels():
    def head(event_shape):
        return layers.MixtureNormal(3, event_shape)

    with pytest.raises(ValueError, match=r"same number of parameters .* Use mlp_decoder"):
        networks.conv_decoder((8, 8, 1), latent_dim=2, head=head)
