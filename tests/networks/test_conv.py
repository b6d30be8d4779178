"""Convolutional networks for small images: sizes by hand, odd sizes, mirror, errors by text."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, models, networks
from tfgen.networks import _blocks


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
    with pytest.raises(ValueError, match=r"at least 5 .*Received: data_shape=\(28, 4, 1\)"):
        network((28, 4, 1), latent_dim=2)


def test_head_with_parameters_apart_from_pixels():
    def head(event_shape):
        return layers.MixtureNormal(3, event_shape)

    with pytest.raises(ValueError, match=r"same number of parameters .* Use mlp_decoder"):
        networks.conv_decoder((8, 8, 1), latent_dim=2, head=head)


# Series and volumes.


def with_weights(network):
    return [layer for layer in network.layers if layer.weights]


def of_series(network, images):
    """Gives a network of series the weights of one of images that are one pixel wide.

    "same" padding puts that pixel under the middle of a kernel of three; a doubled one lies under
    its first column, before the second is cut off.
    """
    for mine, theirs in zip(with_weights(network), with_weights(images), strict=True):
        weights = theirs.get_weights()
        if "Conv" in type(mine).__name__:
            weights[0] = weights[0][:, 0 if "Transpose" in type(mine).__name__ else 1]
        mine.set_weights(weights)


def of_volumes(network, images):
    """Gives a network of volumes of one slice the weights of one of images."""
    for mine, theirs in zip(with_weights(network), with_weights(images), strict=True):
        weights = theirs.get_weights()
        if "Conv" in type(mine).__name__:
            kernel = np.zeros((3, *weights[0].shape), "float32")
            kernel[0 if "Transpose" in type(mine).__name__ else 1] = weights[0]
            weights[0] = kernel
        mine.set_weights(weights)


def test_series_are_images_one_pixel_wide(monkeypatch):
    monkeypatch.setattr(_blocks, "check_halvings", lambda *args: None)  # One pixel is too few.
    rng, sizes = np.random.default_rng(0), dict(latent_dim=3, head=None, width=4)
    x, z = rng.normal(size=(2, 13, 2)), rng.normal(size=(2, 3))
    series, images = (networks.conv_encoder(s, **sizes) for s in ((13, 2), (13, 1, 2)))
    of_series(series, images)
    np.testing.assert_allclose(series(x), images(x[:, :, None]), rtol=1e-4, atol=1e-5)
    series, images = (networks.conv_decoder(s, **sizes) for s in ((13, 2), (13, 1, 2)))
    of_series(series, images)
    np.testing.assert_allclose(series(z), images(z)[:, :, 0], rtol=1e-4, atol=1e-5)


def test_volumes_of_one_slice_are_images(monkeypatch):
    monkeypatch.setattr(_blocks, "check_halvings", lambda *args: None)
    rng, sizes = np.random.default_rng(0), dict(latent_dim=3, head=None, width=4)
    x, z = rng.normal(size=(2, 9, 6, 2)), rng.normal(size=(2, 3))
    volumes, images = (networks.conv_encoder(s, **sizes) for s in ((1, 9, 6, 2), (9, 6, 2)))
    of_volumes(volumes, images)
    np.testing.assert_allclose(volumes(x[:, None]), images(x), rtol=1e-4, atol=1e-5)
    volumes, images = (networks.conv_decoder(s, **sizes) for s in ((1, 9, 6, 2), (9, 6, 2)))
    of_volumes(volumes, images)
    np.testing.assert_allclose(volumes(z)[:, 0], images(z), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(50, 3), (11, 2), (8, 9, 10, 1)], ids=str)
@pytest.mark.parametrize("condition", [{}, {"num_classes": 4}, {"condition_shape": 3}], ids=str)
def test_vaes_of_series_and_volumes(shape, condition):
    sizes = dict(latent_dim=2, width=2, **condition)
    vae = models.VAE(
        networks.conv_encoder(shape, **sizes),
        networks.conv_decoder(shape, head=layers.IndependentNormal, **sizes),
        seed=0,
    )
    vae.compile("adam")
    x = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
    c = {
        (): (),
        ("num_classes",): (np.arange(8) % 4,),
        ("condition_shape",): (x[:, :3].reshape(8, -1)[:, :3],),
    }
    vae.fit(x, *c[tuple(condition)], verbose=0)
    given = {"condition": c[tuple(condition)][0][:5]} if condition else {}
    assert vae.sample(5, seed=0, **given).shape == (5, *shape)
    assert vae.reconstruct(x[:5], **given).shape == (5, *shape)


@pytest.mark.parametrize("shape", [(8,), (2, 8, 8, 8, 1), "ab", (8, 0), (8.0, 1)], ids=str)
def test_shapes_that_are_none(shape):
    with pytest.raises(ValueError, match=r"data_shape must be positive ints, \(length, channels\)"):
        networks.conv_encoder(shape, 2)
