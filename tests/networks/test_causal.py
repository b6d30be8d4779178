"""Causal convolutions: parameters by hand, what depends on what, masks, learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, models, networks

SHAPE = (12, 2)


def dependence(network, shape):
    """Matrix of booleans: whether output step t depends on input step s, by gradients."""
    x = tf.Variable(np.random.default_rng(0).normal(size=(1, *shape)).astype("float32"))
    with tf.GradientTape() as tape:
        steps = tf.reduce_sum(network(x), axis=-1)[0]
    jacobian = tape.jacobian(steps, x)[:, 0]
    return np.any(np.abs(jacobian.numpy()) > 0, axis=-1)


def test_parameters_by_hand():
    """12 steps take 3 blocks of 3 taps: the last step sees 1 + 2 (1 + 2 + 4) = 15."""
    encoder = networks.causal_encoder(SHAPE, latent_dim=4, width=5)
    blocks = 3 * (3 * 5 * 5 + 5)
    assert encoder.count_params() == (2 * 5 + 5) + blocks + (5 * 8 + 8)
    decoder = networks.causal_decoder(SHAPE, latent_dim=4, width=5)
    assert decoder.count_params() == (4 * 60 + 60) + blocks + (5 * 4 + 4)
    per_step = networks.causal_decoder(SHAPE, latent_dim=4, width=5, per_step=True)
    assert per_step.count_params() == (4 * 5 + 5) + blocks + (5 * 4 + 4)


def test_a_block_by_hand():
    network = networks.causal_encoder(
        SHAPE, 3, head=None, width=4, depth=2, kernel_size=2, activation="tanh", per_step=True
    )
    x = np.random.default_rng(0).normal(size=SHAPE)
    first, *convolutions, last = [layer for layer in network.layers if layer.weights]
    kernel, bias = first.get_weights()
    h = x @ kernel + bias
    for dilation, convolution in zip((1, 2), convolutions, strict=True):
        kernel, bias = convolution.get_weights()
        earlier = np.concatenate([np.zeros((dilation, 4)), h[:-dilation]])
        h = h + np.tanh(earlier @ kernel[0] + h @ kernel[1] + bias)
    kernel, bias = last.get_weights()
    np.testing.assert_allclose(network(x[None])[0], h @ kernel + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [networks.causal_encoder, networks.causal_decoder])
@pytest.mark.parametrize("depth, seen", [(None, 12), (2, 7), (1, 3)])
def test_a_step_depends_on_those_before_and_on_none_after(make, depth, seen):
    network = make(SHAPE, 2, head=None, width=4, depth=depth, per_step=True)
    ages = np.arange(12)[:, None] - np.arange(12)
    np.testing.assert_array_equal(dependence(network, SHAPE), (ages >= 0) & (ages < seen))


def test_the_convolutions_of_a_decoder_of_one_z_are_causal():
    decoder = networks.causal_decoder(SHAPE, 2, head=None, width=4)
    reshape = next(x for x in decoder.layers if isinstance(x, keras.layers.Reshape))
    after = keras.Model(reshape.output, decoder.output)
    np.testing.assert_array_equal(dependence(after, (12, 4)), np.tri(12, dtype=bool))


def test_every_step_reaches_the_code():
    encoder = networks.causal_encoder(SHAPE, latent_dim=3, head=None, width=4)
    x = tf.Variable(np.random.default_rng(0).normal(size=(1, *SHAPE)).astype("float32"))
    with tf.GradientTape() as tape:
        code = tf.reduce_sum(encoder(x))
    assert np.all(np.abs(tape.gradient(code, x)) > 0)


def test_a_series_that_comes_in_is_encoded_as_it_will_be_when_it_is_whole():
    encoder = networks.causal_encoder(SHAPE, 2, width=4, per_step=True)
    shorter = networks.causal_encoder((5, 2), 2, width=4, depth=3, per_step=True)
    shorter.set_weights(encoder.get_weights())
    x = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype("float32")
    early, whole = shorter(x[:, :5]).stddev(), encoder(x).stddev()
    np.testing.assert_allclose(early, whole[:, :5], rtol=1e-5)


def test_a_gan_of_series_is_made_of_the_same_networks():
    generator = networks.causal_decoder(SHAPE, latent_dim=2, head=None, width=4)
    critic = networks.causal_encoder(SHAPE, latent_dim=1, head=None, width=4)
    gan = models.GAN(generator, critic, seed=0)
    gan.compile("adam")
    gan.fit(np.zeros((8, *SHAPE), "float32"), batch_size=4, verbose=0)
    assert gan.sample(3, seed=0).shape == (3, *SHAPE)


def test_the_mask_reaches_the_code():
    encoder = networks.causal_encoder(SHAPE, 2, width=4, condition_shape=SHAPE)
    x, mask = np.zeros((1, *SHAPE), "float32"), np.ones((1, *SHAPE), "float32")
    shorter = mask * (np.arange(12) < 5)[None, :, None]
    with layers.given(mask):
        whole = encoder(x).mean()
    with layers.given(shorter):
        assert np.any(np.abs(encoder(x).mean() - whole) > 1e-4)


def test_a_network_is_saved_and_loaded(tmp_path):
    encoder = networks.causal_encoder(SHAPE, 2, head=None, width=4)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    x = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype("float32")
    np.testing.assert_allclose(loaded(x), encoder(x), rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(data_shape=(8, 8, 1)), r"shape \(length, channels\).*Received: data_shape"),
        (dict(data_shape=(8,)), "data_shape must be positive ints"),
        (dict(depth=0), "depth must be an int of at least 1"),
        (dict(width=2.5), "width must be an int"),
        (dict(kernel_size=1), "kernel_size must be an int of at least 2"),
        (dict(activation="rleu"), "activation must be a name"),
        (dict(per_step="yes"), "per_step must be True or False"),
    ],
)
@pytest.mark.parametrize("make", [networks.causal_encoder, networks.causal_decoder])
def test_what_is_refused(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**{"data_shape": (8, 1), "latent_dim": 2, **arguments})


def test_an_encoder_that_would_not_see_the_first_steps_is_refused():
    message = r"must see all 12 steps.*Received: depth=2 .*see the last 7. Use depth=3 or None"
    with pytest.raises(ValueError, match=message):
        networks.causal_encoder(SHAPE, latent_dim=2, depth=2)
