"""DCGAN's networks: Fig. 1 by hand, normalization, initial and spectrally normalized weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, networks


def kinds(network):
    return [type(layer).__name__ for layer in network.layers]


def map_sizes(network, kind):
    """(height, channels) after each layer of one kind."""
    shapes = [layer.output.shape for layer in network.layers if type(layer).__name__ == kind]
    return [(shape[1], shape[3]) for shape in shapes]


def conv_params(filters, bias=False):
    """Weights of 5x5 convolutions from each number of filters to the next."""
    pairs = list(zip(filters, filters[1:], strict=False))
    return sum(25 * a * b for a, b in pairs) + bias * sum(b for _, b in pairs)


def test_generator_is_the_papers_figure_1():
    generator = networks.dcgan_generator((64, 64, 3), latent_dim=100, width=128)
    assert generator.get_layer(index=2).output.shape == (None, 4, 4, 1024)
    assert map_sizes(generator, "Conv2DTranspose") == [(8, 512), (16, 256), (32, 128), (64, 3)]
    # Offset, scale, mean and variance of each normalized channel; only the last layer has a bias.
    normalization = 4 * (1024 + 512 + 256 + 128)
    by_hand = 100 * 4 * 4 * 1024 + conv_params([1024, 512, 256, 128, 3]) + 3 + normalization
    assert generator.count_params() == by_hand


def test_discriminator_has_as_many_parameters_as_by_hand():
    discriminator = networks.dcgan_discriminator((64, 64, 3), width=8)
    assert map_sizes(discriminator, "Conv2D") == [(32, 8), (16, 16), (8, 32), (4, 64)]
    normalization = 4 * (16 + 32 + 64)
    by_hand = conv_params([3, 8, 16, 32, 64]) + 8 + normalization + 4 * 4 * 64 + 1
    assert discriminator.count_params() == by_hand


def test_encoder_is_the_discriminator_with_another_end():
    arguments = dict(width=8, batch_norm=False)
    encoder = networks.dcgan_encoder((32, 32, 1), 5, **arguments)
    discriminator = networks.dcgan_discriminator((32, 32, 1), **arguments)
    difference = encoder.count_params() - discriminator.count_params()
    assert difference == (4 * 4 * 32 + 1) * (10 - 1)


@pytest.mark.parametrize(
    "pixels, heights", [(28, [14, 7, 4]), (32, [16, 8, 4]), (64, [32, 16, 8, 4]), (3, [2])]
)
def test_sizes_between_image_and_map(pixels, heights):
    discriminator = networks.dcgan_discriminator((pixels, pixels, 1), width=1)
    assert [height for height, _ in map_sizes(discriminator, "Conv2D")] == heights
    generator = networks.dcgan_generator((pixels, pixels, 1), 2, width=1)
    outputs = map_sizes(generator, "Activation")
    # The last activation is that of the image.
    assert [height for height, _ in outputs] == [*reversed(heights), pixels]


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (33, 64, 3), (45, 29, 2)])
def test_generator_gives_any_image_shape(image_shape):
    assert networks.dcgan_generator(image_shape, 2, width=1).output_shape == (None, *image_shape)


def test_batch_norm_spares_the_generators_output_and_the_discriminators_input():
    generator = networks.dcgan_generator((32, 32, 1), 2, width=1)
    block = ["Conv2DTranspose", "BatchNormalization", "Activation"]
    start = ["InputLayer", "Dense", "Reshape", *block[1:]]
    assert kinds(generator) == [*start, *block, *block, "Conv2DTranspose", "Activation", "Reshape"]
    discriminator = networks.dcgan_discriminator((32, 32, 1), width=1)
    block = ["Conv2D", "BatchNormalization", "Activation"]
    end = ["Flatten", "Dense"]
    assert kinds(discriminator) == ["InputLayer", "Conv2D", "Activation", *block, *block, *end]


@pytest.mark.parametrize(
    "network",
    [
        networks.dcgan_generator((32, 32, 1), 2, width=1, batch_norm=False),
        networks.dcgan_discriminator((32, 32, 1), width=1, batch_norm=False),
        networks.dcgan_encoder((32, 32, 1), 2, width=1, batch_norm=False),
    ],
)
def test_without_batch_norm_all_layers_have_biases(network):
    assert "BatchNormalization" not in kinds(network)
    assert all(layer.use_bias for layer in network.layers if hasattr(layer, "use_bias"))


def test_relu_in_the_generator_and_leaky_relu_in_the_discriminator():
    def names(network):
        found = [layer for layer in network.layers if isinstance(layer, keras.layers.Activation)]
        return [layer.activation.__name__ for layer in found]

    assert names(networks.dcgan_generator((28, 28, 1), 2, width=1)) == [*3 * ["relu"], "tanh"]
    discriminator = networks.dcgan_discriminator((28, 28, 1), width=1)
    assert names(discriminator) == 3 * ["leaky_relu"]
    slope = discriminator.get_layer("features")(tf.constant([-1.0, 1.0]))
    np.testing.assert_allclose(slope, [-0.2, 1.0], rtol=1e-6)


def test_initial_weights_have_the_papers_standard_deviation():
    generator = networks.dcgan_generator((16, 16, 1), 20, width=16)
    discriminator = networks.dcgan_discriminator((16, 16, 1), width=16)
    for network in (generator, discriminator):
        for weights in network.trainable_variables:
            if weights.name != "kernel":
                continue
            # The standard error of a standard deviation is 1 / sqrt(2 n) of it; five of them.
            tolerance = 5 / np.sqrt(2 * weights.numpy().size)
            np.testing.assert_allclose(np.std(weights), 0.02, rtol=tolerance)


def test_layers_of_the_same_shape_start_from_different_weights():
    first = networks.dcgan_discriminator((16, 16, 1), width=2)
    second = networks.dcgan_discriminator((16, 16, 1), width=2)
    assert np.all(first.get_weights()[0] != second.get_weights()[0])


def largest_singular_values(network):
    normalized = [part for part in network.layers if hasattr(part, "normalized_kernel")]
    kernels = [part.normalized_kernel().numpy() for part in normalized]
    return [np.linalg.svd(k.reshape(-1, k.shape[-1]), compute_uv=False)[0] for k in kernels]


def test_spectral_norm_bounds_every_layers_largest_singular_value():
    keras.utils.set_random_seed(0)
    network = networks.dcgan_discriminator(
        (16, 16, 1), width=4, batch_norm=False, spectral_norm=True
    )
    images = tf.random.stateless_normal((2, 16, 16, 1), seed=(0, 1))
    weights = [variable.numpy() for variable in network.trainable_variables]
    for _ in range(50):
        network(images, training=True)
    np.testing.assert_allclose(largest_singular_values(network), 3 * [1.0], rtol=0.01)
    for variable, before in zip(network.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, before)


def test_spectral_norm_estimates_from_below_and_not_at_inference():
    network = networks.dcgan_discriminator((8, 8, 1), width=2, spectral_norm=True)
    before = largest_singular_values(network)
    network(tf.ones((2, 8, 8, 1)))
    np.testing.assert_array_equal(largest_singular_values(network), before)
    assert min(before) > 1 - 1e-5


def test_dropout_follows_each_activation():
    discriminator = networks.dcgan_discriminator((16, 16, 1), width=1, dropout=0.25)
    assert kinds(discriminator).count("Dropout") == 2
    after = discriminator.layers[
        discriminator.layers.index(discriminator.get_layer("features")) + 1
    ]
    assert after.rate == 0.25


def test_head_sets_the_last_filters():
    head = layers.IndependentNormal
    decoder = networks.dcgan_generator((8, 8, 3), 2, width=2, output_activation=None, head=head)
    assert decoder.layers[-2].filters == 6
    assert decoder(tf.zeros((4, 2))).event_shape == (8, 8, 3)


@pytest.mark.parametrize(
    "network",
    [
        lambda shape: networks.dcgan_generator(shape, 2),
        networks.dcgan_discriminator,
        lambda shape: networks.dcgan_encoder(shape, 2),
    ],
)
@pytest.mark.parametrize(
    "shape, text", [((1, 8, 1), r"at least 2 .*\(1, 8, 1\)"), ((8,), r"data_shape=\(8,\)")]
)
def test_images_that_do_not_fit(network, shape, text):
    with pytest.raises(ValueError, match=text):
        network(shape)


@pytest.mark.parametrize("shape", [(30, 2), (13, 9, 12, 1)])
def test_series_and_volumes(shape):
    """Convolutions of their rank, each half as long, and the generator's way back."""
    rank = len(shape) - 1
    options = {"batch_norm": False, "spectral_norm": True, "minibatch_discrimination": 2}
    discriminator = networks.dcgan_discriminator(shape, 2, **options, num_classes=3)
    halves = [layer for layer in discriminator.network.layers if hasattr(layer, "layer")]
    kernels = [layer.layer.kernel.shape for layer in halves if layer.name.startswith("spectral")]
    assert sum(len(kernel) == rank + 2 for kernel in kernels) == (3 if rank == 1 else 2)
    generator = networks.dcgan_generator(shape, 2, 2, conditional_norm=True, num_classes=3)
    fake = generator(tf.zeros((3, 2)), condition=tf.eye(3))
    assert fake.shape == (3, *shape)
    assert discriminator(fake, condition=tf.eye(3)).shape == (3, 1)
    assert networks.dcgan_encoder(shape, 5, width=2)(fake).event_shape == (5,)


def test_dropout_out_of_range():
    with pytest.raises(ValueError, match="Received: dropout=1.5"):
        networks.dcgan_discriminator((8, 8, 1), dropout=1.5)
