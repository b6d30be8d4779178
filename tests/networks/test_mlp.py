"""Fully connected networks: sizes by hand, values against NumPy, errors by text."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, models, networks


def test_encoder_has_the_papers_parameter_count():
    encoder = networks.mlp_encoder((28, 28, 1), latent_dim=20)
    by_hand = (784 * 512 + 512) + (512 * 512 + 512) + (512 * 40 + 40)
    assert encoder.count_params() == by_hand


def test_decoder_has_the_papers_parameter_count():
    decoder = networks.mlp_decoder((28, 28, 1), latent_dim=20)
    by_hand = (20 * 512 + 512) + (512 * 512 + 512) + (512 * 784 + 784)
    assert decoder.count_params() == by_hand


def test_width_may_name_each_layer():
    encoder = networks.mlp_encoder((28, 28, 1), 100, width=(392, 196, 98))
    decoder = networks.mlp_decoder((28, 28, 1), 100, width=[98, 196, 392], depth=1)

    def units(network):
        return [layer.units for layer in network.layers if isinstance(layer, keras.layers.Dense)]

    # Mi et al., arXiv:1812.05676v2, Sec. 3.1; the encoder ends in loc and scale.
    assert units(encoder) == [392, 196, 98, 200]
    assert units(decoder) == [98, 196, 392, 784]


def test_plain_network_is_dense_layers_with_relu_between():
    encoder = networks.mlp_encoder((2, 3, 1), latent_dim=4, head=None, width=5, depth=1)
    image = np.random.default_rng(0).normal(size=(7, 2, 3, 1)).astype("float32")
    weights, bias, out_weights, out_bias = encoder.get_weights()
    hidden = np.maximum(image.reshape(7, 6) @ weights + bias, 0)
    # Two float32 products of at most six terms.
    np.testing.assert_allclose(encoder(image), hidden @ out_weights + out_bias, atol=1e-5)


def test_depth_zero_is_linear():
    decoder = networks.mlp_decoder((2, 3, 1), latent_dim=2, head=None, depth=0)
    weights, bias = decoder.get_weights()
    z = np.array([[1.0, -2.0]], "float32")
    np.testing.assert_allclose(decoder(z), (z @ weights + bias).reshape(1, 2, 3, 1), atol=1e-6)


def test_head_reads_the_last_dense_layer():
    encoder = networks.mlp_encoder((4, 4, 1), latent_dim=3, width=8)
    *_, bias = encoder.get_weights()
    encoder.set_weights([*encoder.get_weights()[:-1], bias + np.arange(6, dtype="float32")])
    posterior = encoder(tf.zeros((1, 4, 4, 1)))
    np.testing.assert_allclose(posterior.mean()[0], [0, 1, 2], atol=1e-6)
    np.testing.assert_allclose(posterior.stddev()[0], np.log1p(np.exp([3.0, 4.0, 5.0])), rtol=1e-5)


@pytest.mark.parametrize(
    "head",
    [
        layers.IndependentNormal,
        layers.MultivariateNormalTriL,
        layers.OneHotCategorical,
        functools.partial(layers.MixtureNormal, 3),
        functools.partial(layers.CategoricalMixtureOfOneHotCategorical, num_components=2),
    ],
)
def test_encoder_takes_any_head(head):
    encoder = networks.mlp_encoder((5, 7, 2), latent_dim=4, head=head, width=8)
    posterior = encoder(tf.zeros((6, 5, 7, 2)))
    assert posterior.event_shape == (4,)
    assert posterior.log_prob(posterior.sample(seed=0)).shape == (6,)


@pytest.mark.parametrize(
    "head",
    [
        layers.IndependentBernoulli,
        layers.IndependentLogistic,
        functools.partial(layers.FixedScaleNormal, scale=0.1),
        functools.partial(layers.MixtureLogistic, 3),
    ],
)
def test_decoder_takes_any_head(head):
    decoder = networks.mlp_decoder((5, 7, 2), latent_dim=4, head=head, width=8)
    likelihood = decoder(tf.zeros((6, 4)))
    assert likelihood.event_shape == (5, 7, 2)
    assert likelihood.log_prob(tf.zeros((6, 5, 7, 2))).shape == (6,)


@pytest.mark.parametrize("network", [networks.mlp_encoder, networks.mlp_decoder])
@pytest.mark.parametrize(
    "arguments, text",
    [
        (dict(data_shape=None), "data_shape=None"),
        (dict(data_shape=(28, None)), r"data_shape=\(28, None\)"),
        (dict(data_shape=(28, 0, 1)), r"data_shape=\(28, 0, 1\)"),
        (dict(latent_dim=0), "latent_dim must be an int of at least 1. Received: latent_dim=0"),
        (dict(latent_dim=2.5), "latent_dim=2.5"),
        (dict(width=0), "width must be an int of at least 1. Received: width=0"),
        (dict(width=(8, -1)), r"a sequence of such ints.* Received: width=\(8, -1\)"),
        (dict(depth=-1), "depth must be an int of at least 0. Received: depth=-1"),
        (dict(head="normal"), "head must be None or a callable.* Received: head='normal'"),
        (dict(head=layers.IndependentNormal(2)), "Pass the class and not an instance"),
        (dict(head=lambda event_shape: keras.layers.Dense(3)), "head must be None or a callable"),
    ],
)
def test_errors_say_what_was_received(network, arguments, text):
    with pytest.raises(ValueError, match=text):
        network(**{"data_shape": (28, 28, 1), "latent_dim": 2, **arguments})


@pytest.mark.parametrize("shape", [(12,), (5, 3), (28, 28, 1), (4, 3, 2, 1)])
def test_dense_networks_take_data_of_any_shape(shape):
    x, z = tf.random.normal((6, *shape), seed=0), tf.zeros((6, 2))
    assert networks.mlp_encoder(shape, 2, width=4)(x).event_shape == (2,)
    decoder = networks.mlp_decoder(shape, 2, layers.IndependentNormal, width=4)
    assert decoder(z).event_shape == shape
    assert networks.mlp_generator(shape, 2, width=(4,))(z).shape == (6, *shape)
    assert networks.mlp_discriminator(shape, width=(4,))(x).shape == (6, 1)
    vae = models.VAE(networks.mlp_encoder(shape, 2, width=4), decoder)
    vae.compile("adam")
    history = vae.fit(x, epochs=2, verbose=0).history["elbo"]
    assert np.isfinite(history).all()
    assert vae.sample(3).shape == (3, *shape)
