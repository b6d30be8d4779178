"""Conditional networks: what is given reaches them, in rows, and is checked."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal

from tfgen import layers, networks
from tfgen.layers import Conditional, conditionals_in, current_condition, given


def concatenation(size=3, num_classes=None):
    """[x, c] side by side."""
    x, c = keras.Input((2,)), keras.Input((size,))
    return Conditional(keras.Model([x, c], keras.layers.Concatenate()([x, c])), num_classes)


def test_given_is_nested_and_taken_away():
    network, x = concatenation(1), tf.zeros((1, 2))
    with given([5.0]):
        with given([[7.0]]):
            assert_array_equal(network(x), [[0, 0, 7]])
        assert_array_equal(network(x), [[0, 0, 5]])
        with given(None), pytest.raises(ValueError, match="needs a condition.*Received: none"):
            network(x)
    assert current_condition() is None
    with pytest.raises(ValueError, match="real numbers of shape"):
        network(x)
    assert_array_equal(network(x, condition=[3.0]), [[0, 0, 3]])


def test_what_is_given_is_taken_away_by_errors_too():
    with pytest.raises(KeyError), given(1):
        raise KeyError
    assert current_condition() is None


@pytest.mark.parametrize("in_graph", [False, True])
def test_conditions_are_repeated_as_a_whole(in_graph):
    network = concatenation(1)

    def call(x, c):
        with given(c):
            return network(x)

    if in_graph:
        call = tf.function(
            call, input_signature=[tf.TensorSpec((None, 2)), tf.TensorSpec((None, 1))]
        )
    c = tf.constant([[1.0], [2.0]])
    assert_array_equal(call(tf.zeros((6, 2)), c)[:, 2], [1, 2, 1, 2, 1, 2])
    assert call(tf.zeros((0, 2)), c[:0]).shape == (0, 3)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        call(tf.zeros((3, 2)), c)


def test_networks_are_nested_saved_and_loaded(tmp_path):
    decoder = networks.mlp_decoder((2, 2, 1), 2, width=4, num_classes=3)
    outer = keras.Sequential([keras.Input((2,)), decoder])
    assert conditionals_in(outer) == [decoder]
    outer.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    z = tf.ones((3, 2))
    with given([0, 1, 2]):
        assert_array_equal(loaded(z).mean(), outer(z).mean())
    under = decoder.under(2)
    assert_array_equal(under(z).mean(), decoder(z, condition=2).mean())
    assert under.trainable_variables[0] is decoder.trainable_variables[0]
    assert (under.input_shape, under.output_shape) == ((None, 2), (None, 2, 2, 1))


def test_shapes_and_specs():
    image = networks.conv_encoder((8, 8, 1), 2, condition_shape=(8, 8, 2))
    assert image.takes.shape == (8, 8, 2) and image.input_shape == (None, 8, 8, 1)
    assert image.takes.signature == tf.TensorSpec((None, 8, 8, 2), tf.float32, "condition")
    classes = concatenation(3, 3)
    assert classes.takes == layers.Condition((), 3)
    assert classes.takes.signature == tf.TensorSpec((None,), tf.int32, "condition")
    assert_array_equal(classes.takes.zeros(2), [0, 0])
    pairs = networks.joint_discriminator((8, 8, 1), 2, num_classes=3)
    assert pairs.input_shape == [(None, 8, 8, 1), (None, 2)]
    inputs = [tf.ones((3, 8, 8, 1)), tf.ones((3, 2))]
    assert_array_equal(pairs.under(1)(inputs), pairs(inputs, condition=1))
    assert pairs.under(1).input_shape == pairs.input_shape


def test_images_of_another_size_become_a_plane():
    """One more channel, linear in the condition."""
    network = networks.conv_encoder((8, 8, 1), 2, None, width=2, condition_shape=(4, 4, 1))
    plane = network.network.get_layer("condition_plane")
    assert plane.kernel.shape == (16, 64) and plane.activation is keras.activations.linear
    with given(np.ones((1, 4, 4, 1))):
        assert network(tf.zeros((2, 8, 8, 1))).shape == (2, 2)


@pytest.mark.parametrize(
    "make",
    [
        getattr(networks, name)
        for name in (
            "mlp_encoder",
            "conv_encoder",
            "conv64_encoder",
            "dcgan_encoder",
            "larsen_encoder",
            "gvae_encoder",
            "vq_encoder",
            "mlp_discriminator",
            "dcgan_discriminator",
            "larsen_discriminator",
            "residual_discriminator",
            "mlp_decoder",
            "conv_decoder",
            "conv64_decoder",
            "dcgan_generator",
            "larsen_decoder",
            "mlp_generator",
            "residual_generator",
            "mlp_code_discriminator",
        )
    ],
    ids=lambda make: make.__name__,
)
def test_every_builder_makes_a_network_that_obeys(make):
    keras.utils.set_random_seed(0)
    sizes = {"conv64_encoder": 64, "conv64_decoder": 64, "gvae_encoder": 16}
    shape = 2 * (sizes.get(make.__name__, 8),) + (1,)
    names = make.__code__.co_varnames[: make.__code__.co_argcount]
    values = {"image_shape": shape, "data_shape": shape, "latent_dim": 2, "width": 4, "head": None}
    values |= {"code_dim": 2, "num_blocks": 1}
    network = make(**{k: v for k, v in values.items() if k in names}, num_classes=3)
    assert isinstance(network, Conditional) and network.num_classes == 3
    x = tf.random.stateless_normal((2, *network.input_shape[1:]), [0, 1])
    one, other = (np.asarray(network(x, condition=c)) for c in (0, 1))
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    "network, num_classes, message",
    [
        (keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), None, "of two inputs"),
        (concatenation(3).network, 4, "one-hot. Received: a last input"),
        (concatenation(3).network, 0, "at least 1. Received: num_classes=0"),
    ],
)
def test_networks_that_are_none(network, num_classes, message):
    with pytest.raises(ValueError, match=message):
        Conditional(network, num_classes)


@pytest.mark.parametrize(
    "condition, message",
    [
        (np.zeros((2, 4)), r"real numbers of shape \(3,\).*Received: float64 of shape \(2, 4\)"),
        (np.full((2, 3), np.nan), "real numbers of shape"),
        ("abc", "Received: <U3"),
        ([[1, 2], [3]], "Received: object"),
        (np.zeros((3, 3)), "each of 2 examples.* Received: 3 conditions"),
    ],
)
def test_conditions_that_are_none(condition, message):
    with pytest.raises(ValueError, match=message):
        layers.Condition((3,)).check(condition, 2)


def test_conditions_of_another_shape_in_a_graph():
    with pytest.raises(ValueError, match=r"Received: a data set with conditions of shape \(2, 4\)"):
        tf.function(layers.Condition((3,)).check)(tf.zeros((2, 4)))
