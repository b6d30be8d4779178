"""What all networks share: composition, saving, training, compilation."""

import functools

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfgen import layers, networks
from tfgen.networks import _blocks

PAIRS = {
    "mlp": (networks.mlp_encoder, networks.mlp_decoder, (6, 5, 1)),
    "conv": (networks.conv_encoder, networks.conv_decoder, (11, 8, 2)),
    "conv64": (networks.conv64_encoder, networks.conv64_decoder, (35, 40, 1)),
}


@pytest.fixture(params=PAIRS)
def pair(request):
    """Encoder, decoder and a batch of images."""
    encoder, decoder, image_shape = PAIRS[request.param]
    images = np.random.default_rng(0).uniform(size=(4, *image_shape)).astype("float32")
    return encoder(image_shape, 3, width=2), decoder(image_shape, 3, width=2), images


def test_decoder_follows_encoder_in_one_keras_model(pair):
    encoder, decoder, images = pair
    model = keras.Model(encoder.inputs, decoder(encoder.outputs[0]))
    assert model.predict(images, verbose=0).shape == images.shape
    assert model.count_params() == encoder.count_params() + decoder.count_params()


def test_saved_networks_give_the_same_densities(pair, tmp_path):
    encoder, decoder, images = pair
    z = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
    for network, inputs, event in [(encoder, images, z), (decoder, z, images)]:
        network.save(tmp_path / "network.keras")
        loaded = keras.saving.load_model(tmp_path / "network.keras")
        np.testing.assert_array_equal(
            loaded(inputs).log_prob(event), network(inputs).log_prob(event)
        )


def test_head_made_by_partial_is_saved_with_its_arguments(tmp_path):
    head = functools.partial(layers.FixedScaleNormal, scale=0.25)
    networks.mlp_decoder((2, 2, 1), 1, head=head, width=2).save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    np.testing.assert_array_equal(loaded(tf.zeros((1, 1))).stddev(), np.full((1, 2, 2, 1), 0.25))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_every_weight_has_a_gradient(pair, jit_compile):
    encoder, decoder, images = pair
    variables = [v.value for v in encoder.trainable_variables + decoder.trainable_variables]

    @tf.function(jit_compile=jit_compile)
    def gradients():
        with tf.GradientTape() as tape:
            posterior = encoder(images, training=True)
            z = posterior.sample(seed=(0, 1))
            likelihood = decoder(z, training=True).log_prob(images)
            loss = tf.reduce_sum(posterior.log_prob(z)) - tf.reduce_sum(likelihood)
        return tape.gradient(loss, variables)

    assert all(np.isfinite(gradient).all() for gradient in gradients())


def test_batch_size_and_image_shape_show_in_the_model(pair):
    encoder, decoder, images = pair
    assert encoder.input_shape == (None, *images.shape[1:])
    assert encoder.output_shape == (None, 3)
    assert decoder.output_shape == (None, *images.shape[1:])


@pytest.mark.parametrize("height, width", [(28, 28), (9, 14), (64, 33)])
def test_upsample_inverts_halving(height, width):
    (_, small) = _blocks.halved_sizes((height, width, 1), 1)
    image = tf.zeros((1, *small, 1))
    for layer in _blocks.upsample(2, 4, (height, width)):
        image = layer(image)
    assert image.shape == (1, height, width, 2)


def test_crop_is_that_of_keras_with_its_gradient():
    images = tf.random.stateless_normal((2, 5, 6, 3), [0, 1])
    results = []
    for crop in (_blocks.Crop, keras.layers.Cropping2D):
        with tf.GradientTape() as tape:
            tape.watch(images)
            cropped = crop([(0, 1), (2, 1)])(images)
            loss = tf.reduce_sum(tf.square(cropped))
        results.append((cropped, tape.gradient(loss, images)))
    for ours, keras_own in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, keras_own)


def test_image_shape_may_be_a_list():
    assert networks.mlp_encoder([4, 4, 1], 2, width=2).input_shape == (None, 4, 4, 1)


def test_parameters_that_do_not_fit_the_pixels():
    assert _blocks.output_channels(24, (2, 3, 1)) == 4
    with pytest.raises(ValueError, match="a head with 25 parameters"):
        _blocks.output_channels(25, (2, 3, 1))


def test_averages_of_batch_normalization_forget_in_ten_steps():
    (layer,) = _blocks.normalization(batch_norm=True)
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(50, 4)).astype("float32")
    for _ in range(2):
        layer(x, training=True)
    # 1 - 0.9^2 of the way from 0 and 1 to the batch's mean and variance.
    np.testing.assert_allclose(layer.moving_mean, 0.19 * x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, 0.81 + 0.19 * x.var(0), rtol=1e-4)
    assert _blocks.normalization(batch_norm=False) == []


def derivatives(function, x, order):
    """The function and its derivatives."""
    if order == 0:
        return [function(x)]
    with tf.GradientTape() as tape:
        tape.watch(x)
        *lower, last = derivatives(function, x, order - 1)
    return [*lower, last, tape.gradient(last, x)]


# Rounding of exp, erfc and a sum of three terms, each below 2 in absolute value, in three orders.
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gelu_and_three_derivatives(dtype, tolerance, jit_compile):
    points = np.linspace(-12.0, 12.0, 101)

    @tf.function(jit_compile=jit_compile)
    def ours(x):
        return derivatives(_blocks.gelu, x, order=3)

    def theirs(x):
        return derivatives(lambda x: keras.activations.gelu(x, approximate=False), x, order=3)

    density, x = scipy.stats.norm.pdf(points), tf.constant(points, dtype)
    exact = [
        points * scipy.stats.norm.cdf(points),
        scipy.stats.norm.cdf(points) + points * density,
        density * (2 - points**2),
        density * (points**3 - 4 * points),
    ]
    for given, formula, library in zip(ours(x), exact, theirs(x), strict=True):
        np.testing.assert_allclose(given, formula, rtol=20 * tolerance, atol=10 * tolerance)
        # The library's square root of 1/2 has eight digits.
        np.testing.assert_allclose(given, library, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gelu_of_half_precision(dtype):
    x = tf.cast(tf.linspace(-6.0, 6.0, 25), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = _blocks.gelu(x)
    slope = tape.gradient(y, x)
    assert y.dtype == slope.dtype == x.dtype
    eps = 2.0**-10 if dtype == "float16" else 2.0**-7
    exact = tf.cast(x, "float64").numpy()
    normal = scipy.stats.norm
    np.testing.assert_allclose(
        tf.cast(y, "float64"), exact * normal.cdf(exact), rtol=4 * eps, atol=4 * eps
    )
    np.testing.assert_allclose(
        tf.cast(slope, "float64"),
        normal.cdf(exact) + exact * normal.pdf(exact),
        rtol=4 * eps,
        atol=4 * eps,
    )


def test_networks_take_our_gelu_and_keep_it_in_files(tmp_path):
    encoder = networks.conv_encoder((8, 8, 1), 2, width=2, activation="gelu")
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    for network in (encoder, loaded):
        assert network.layers[1].activation is _blocks.gelu
