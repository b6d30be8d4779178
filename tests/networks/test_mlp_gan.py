"""Fully connected generator and discriminators: sizes by hand, values against NumPy, errors."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import networks

SHAPE = (28, 28, 1)


def dense_params(*sizes):
    """Weights and biases of Dense layers from size to size."""
    return sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))


@pytest.mark.parametrize(
    "network, sizes",
    [
        # Soons, Question 2.3.
        (networks.mlp_generator(SHAPE, 32), (32, 128, 256, 512, 784)),
        (networks.mlp_discriminator(SHAPE), (784, 512, 256, 1)),
        # Mi et al., Sec. 3.1.
        (networks.mlp_generator(SHAPE, 100, width=(98, 196, 392)), (100, 98, 196, 392, 784)),
        (networks.mlp_discriminator(SHAPE, width=(392, 196, 98)), (784, 392, 196, 98, 1)),
        # Makhzani et al., App. A.1.
        (networks.mlp_code_discriminator(8), (8, 1000, 1000, 1)),
        (networks.mlp_code_discriminator(8, width=30, depth=3), (8, 30, 30, 30, 1)),
        (networks.mlp_code_discriminator(8, width=[30, 20]), (8, 30, 20, 1)),
        (networks.joint_discriminator(SHAPE, 8), (784 + 8, 512, 256, 1)),
    ],
)
def test_parameter_counts(network, sizes):
    assert network.count_params() == dense_params(*sizes)


def leaky_relu(x):
    return np.where(x > 0, x, 0.2 * x)


def test_generator_is_dense_leaky_relu_and_tanh():
    generator = networks.mlp_generator((2, 3, 1), latent_dim=4, width=(5,))
    z = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    weights, bias, out_weights, out_bias = generator.get_weights()
    images = np.tanh(leaky_relu(z @ weights + bias) @ out_weights + out_bias)
    # float32 sums of at most five terms of order one.
    np.testing.assert_allclose(generator(z), images.reshape(7, 2, 3, 1), atol=1e-5)


def test_discriminator_is_dense_leaky_relu_and_no_sigmoid():
    discriminator = networks.mlp_discriminator((2, 3, 1), width=(5,))
    images = 10 * np.random.default_rng(0).normal(size=(7, 2, 3, 1)).astype("float32")
    weights, bias, out_weights, out_bias = discriminator.get_weights()
    logits = leaky_relu(images.reshape(7, 6) @ weights + bias) @ out_weights + out_bias
    np.testing.assert_allclose(discriminator(images), logits, rtol=1e-5, atol=1e-4)
    assert np.abs(logits).max() > 1  # More than a sigmoid would give.


def test_joint_discriminator_joins_image_and_code():
    discriminator = networks.joint_discriminator((2, 3, 1), 4, width=(5,))
    rng = np.random.default_rng(0)
    images, codes = rng.normal(size=(7, 2, 3, 1)), rng.normal(size=(7, 4))
    weights, bias, out_weights, out_bias = discriminator.get_weights()
    pairs = np.concatenate([images.reshape(7, 6), codes], axis=1)
    logits = leaky_relu(pairs @ weights + bias) @ out_weights + out_bias
    inputs = [tf.cast(images, tf.float32), tf.cast(codes, tf.float32)]
    np.testing.assert_allclose(discriminator(inputs), logits, atol=1e-5)


def test_convolutional_joint_discriminator():
    encoder = networks.dcgan_encoder((8, 8, 1), 6, head=None, width=2)
    discriminator = networks.joint_discriminator((8, 8, 1), 4, width=5, image_network=encoder)
    assert discriminator.count_params() == encoder.count_params() + dense_params(6 + 4, 5, 1)
    noise = tf.random.stateless_normal((3, 8, 8, 1), seed=(0, 1))
    codes = tf.random.stateless_normal((3, 4), seed=(0, 2))
    logits = discriminator([noise, codes])
    assert np.all(discriminator([-noise, codes]) != logits)
    assert np.all(discriminator([noise, -codes]) != logits)


def test_dropout_follows_each_activation():
    generator = networks.mlp_generator(SHAPE, 4, width=(6, 5))
    discriminator = networks.mlp_discriminator(SHAPE, width=(6, 5))
    for network, rate in [(generator, 0.1), (discriminator, 0.3)]:
        kinds = [type(layer).__name__ for layer in network.layers]
        start = kinds.index("Dense")
        assert kinds[start : start + 5] == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
        rates = [layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
        assert rates == [rate, rate]


def test_dropout_zero_leaves_no_layer():
    discriminator = networks.mlp_discriminator(SHAPE, width=(6, 5), dropout=0)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in discriminator.layers)


def test_features_are_the_last_hidden_layer():
    discriminator = networks.mlp_discriminator((2, 3, 1), width=(6, 5))
    assert discriminator.get_layer("features").units == 5
    assert discriminator.layers[-1].units == 1


def test_sigmoid_output_is_in_the_unit_interval():
    generator = networks.mlp_generator(SHAPE, 4, width=8, output_activation="sigmoid")
    images = generator(1e3 * tf.random.stateless_normal((4, 4), seed=(0, 1)))
    # float32 reaches both ends, which tanh and no activation would pass.
    assert np.min(images) == 0 and np.max(images) == 1


@pytest.mark.parametrize(
    "network",
    [
        functools.partial(networks.mlp_generator, SHAPE, 2),
        functools.partial(networks.mlp_discriminator, SHAPE),
        functools.partial(networks.mlp_code_discriminator, 2),
        functools.partial(networks.joint_discriminator, SHAPE, 2),
    ],
)
@pytest.mark.parametrize(
    "arguments, text",
    [
        (dict(width=(8, 0)), r"sequence of such ints, .* Received: width=\(8, 0\)"),
        (dict(width=0.5), "width must be an int of at least 1. Received: width=0.5"),
        (dict(dropout=1), r"dropout must be a number in \[0, 1\). Received: dropout=1. Use 0 "),
        (dict(dropout=-0.1), "Received: dropout=-0.1"),
    ],
)
def test_errors_say_what_was_received(network, arguments, text):
    with pytest.raises(ValueError, match=text):
        network(**arguments)


def test_discriminator_without_hidden_layers():
    with pytest.raises(ValueError, match=r"needs a hidden layer.* Received: width=\(\)"):
        networks.mlp_discriminator(SHAPE, width=())
    with pytest.raises(ValueError, match="Received: width=10, depth=0"):
        networks.mlp_code_discriminator(4, width=10, depth=0)


def test_code_discriminator_without_latent_dimensions():
    with pytest.raises(ValueError, match="Received: latent_dim=0"):
        networks.mlp_code_discriminator(0)


@pytest.mark.parametrize("wrong", [networks.mlp_encoder((8, 8, 1), 2, width=2), "dcgan"])
def test_image_network_for_other_images(wrong):
    text = r"takes images of shape \(28, 28, 1\)\. Received: image_network=.* same image_shape"
    with pytest.raises(ValueError, match=text):
        networks.joint_discriminator(SHAPE, 2, image_network=wrong)
