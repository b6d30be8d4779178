"""Residual networks against Sagar's tables 1 and 2, an eighth as wide, and blocks by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import networks
from tfgen.networks import residual


def conv_params(filters_in, filters, size=3):
    return size**2 * filters_in * filters + filters


def block_params(filters_in, hidden, filters):
    """Two convolutions, and one of 1x1 pixels where the shortcut must change its channels."""
    shortcut = conv_params(filters_in, filters, size=1) if filters != filters_in else 0
    return conv_params(filters_in, hidden) + conv_params(hidden, filters) + shortcut


# Filters of the blocks, columns "Filter" of tables 1 and 2 as read here.
GENERATOR = [
    (256, 256, 256),
    (256, 256, 256),
    (256, 128, 128),
    (128, 128, 128),
    (128, 64, 64),
    (64, 64, 64),
]
DISCRIMINATOR = [(64, 64, 64), (64, 64, 128), (128, 128, 128), (128, 128, 256)]


def test_generator_has_the_tables_filters():
    generator = networks.residual_generator((4, 4, 3), 512, batch_norm=False)
    by_hand = (512 + 1) * 256 + sum(block_params(*block) for block in GENERATOR)
    assert generator.count_params() == by_hand + conv_params(64, 3)


def test_discriminator_has_the_tables_filters():
    discriminator = networks.residual_discriminator((4, 4, 3))
    by_hand = conv_params(3, 64) + sum(block_params(*block) for block in DISCRIMINATOR)
    assert discriminator.count_params() == by_hand + (256 + 1) * 1000 + (1000 + 1)


def sizes(network, *kinds):
    """Sizes (channels, height) after the layers of some kinds."""
    shapes = [layer.output.shape for layer in network.layers if isinstance(layer, kinds)]
    return [(shape[3], shape[1]) for shape in shapes]


def test_generator_has_the_tables_sizes():
    generator = networks.residual_generator((128, 128, 3), latent_dim=4, width=8)
    found = sizes(generator, keras.layers.Reshape, keras.layers.Add, keras.layers.UpSampling2D)
    table = [(256, 32), (256, 32), (256, 32), (256, 64), (128, 64), (128, 64), (128, 128)]
    table += [(64, 128), (64, 128)]
    *hidden, image = found
    assert hidden == [(channels // 8, height) for channels, height in table]
    assert image == (3, 128)


def test_discriminator_has_the_tables_sizes():
    discriminator = networks.residual_discriminator((128, 128, 3), width=2)
    first, *_ = sizes(discriminator, keras.layers.Conv2D)
    rest = sizes(discriminator, keras.layers.Add, keras.layers.AveragePooling2D)
    table = [(64, 128), (64, 128), (128, 128), (128, 64), (128, 64), (256, 64), (256, 32)]
    assert [first, *rest] == [(channels // 32, height) for channels, height in table]
    assert discriminator.get_layer("features").units == 32  # 1000 / 32, rounded up.


def build_block(hidden, filters, channels, **arguments):
    inputs = keras.Input((4, 4, channels))
    arguments = {"batch_norm": False, "dropout": 0.0, **arguments}
    return keras.Model(inputs, residual._residual_block(hidden, filters, **arguments)(inputs))


def test_block_adds_its_input():
    block = build_block(2, 3, channels=3)
    block.set_weights([np.zeros_like(weights) for weights in block.get_weights()])
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(block(images), np.where(images > 0, images, 0.2 * images), rtol=1e-6)


def test_block_by_hand():
    # A constant image and kernels that see its centre only: two leaky ReLUs and a shortcut.
    block = build_block(1, 2, channels=1)
    shapes = [weights.shape for weights in block.get_weights()]
    assert shapes == [(3, 3, 1, 1), (1,), (3, 3, 1, 2), (2,), (1, 1, 1, 2), (2,)]
    first, second = np.zeros((3, 3, 1, 1)), np.zeros((3, 3, 1, 2))
    first[1, 1], second[1, 1, 0] = 2.0, [3.0, -1.0]
    shortcut = np.array([1.0, 10.0]).reshape(1, 1, 1, 2)
    weights = [first, [1.0], second, [0.0, 0.5], shortcut, [0.0, 0.0]]
    block.set_weights([np.asarray(values) for values in weights])
    # x = -1: hidden = leaky(-2 + 1) = -0.2; (-0.6, 0.7) + (-1, -10) = (-1.6, -9.3), times 0.2.
    expected = np.broadcast_to([-0.32, -1.86], (1, 4, 4, 2))
    np.testing.assert_allclose(block(-tf.ones((1, 4, 4, 1))), expected, rtol=1e-6)


def test_blocks_have_dropout_between_their_convolutions():
    for network in [
        networks.residual_generator((8, 8, 1), 2, width=1),
        networks.residual_discriminator((8, 8, 1), width=1),
    ]:
        rates = [layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
        blocks = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
        assert rates == [0.3] * len(blocks)
    kinds = [type(layer).__name__ for layer in build_block(1, 1, 1, dropout=0.3).layers]
    assert kinds == ["InputLayer", "Conv2D", "Activation", "Dropout", "Conv2D", "Add", "Activation"]


@pytest.mark.parametrize(
    "network, default, layers_in_a_block",
    [
        (lambda **kwargs: networks.residual_generator((8, 8, 1), 2, width=1, **kwargs), True, 12),
        (lambda **kwargs: networks.residual_discriminator((8, 8, 1), width=1, **kwargs), False, 8),
        (lambda **kwargs: networks.gvae_encoder((9, 9, 1), 2, width=1, **kwargs), True, 4),
    ],
)
def test_batch_norm_present_and_absent(network, default, layers_in_a_block):
    def count(**arguments):
        normalization = keras.layers.BatchNormalization
        return sum(isinstance(layer, normalization) for layer in network(**arguments).layers)

    assert count(batch_norm=True) == layers_in_a_block
    assert count(batch_norm=False) == 0
    assert count() == count(batch_norm=default)


def test_critics_logit_does_not_depend_on_the_rest_of_the_batch():
    critic = networks.residual_discriminator((8, 8, 1), width=2, dropout=0)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    # Another batch size may sum in another order.
    np.testing.assert_allclose(
        critic(images, training=True)[:1], critic(images[:1], training=True), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("image_shape", [(32, 32, 1), (28, 28, 1), (8, 12, 3)])
def test_other_image_shapes(image_shape):
    generator = networks.residual_generator(image_shape, 4, width=2)
    critic = networks.residual_discriminator(image_shape, width=2)
    assert critic(generator(tf.zeros((3, 4)))).shape == (3, 1)


def test_encoder_is_four_halving_convolutions():
    encoder = networks.gvae_encoder((32, 32, 1), 5, batch_norm=False)
    found = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(layer.filters, layer.output.shape[1]) for layer in found] == [
        (64, 16),
        (128, 8),
        (256, 4),
        (512, 2),
    ]
    by_hand = sum(conv_params(a, b) for a, b in [(1, 64), (64, 128), (128, 256), (256, 512)])
    assert encoder.count_params() == by_hand + (2 * 2 * 512 + 1) * 10


@pytest.mark.parametrize("network", [networks.residual_generator, networks.residual_discriminator])
@pytest.mark.parametrize(
    "arguments, text",
    [
        (dict(image_shape=(30, 32, 1)), r"multiples of 4. Received: image_shape=\(30, 32, 1\)"),
        (dict(width=0), "Received: width=0"),
        (dict(dropout=1.0), "Received: dropout=1.0"),
    ],
)
def test_errors_say_what_was_received(network, arguments, text):
    with pytest.raises(ValueError, match=text):
        network(**{"image_shape": (8, 8, 1), **arguments})


def test_image_too_small_for_the_encoder():
    with pytest.raises(ValueError, match=r"at least 9 .*Received: image_shape=\(8, 8, 1\)"):
        networks.gvae_encoder((8, 8, 1), 2)
