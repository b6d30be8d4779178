"""DRAW's networks: the attention filters and each step against NumPy, sizes, errors by text."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose
from scipy import stats

from tfgen import layers
from tfgen.networks.draw import (
    DRAWDecoder,
    DRAWEncoder,
    NormalPosterior,
    apply_filters,
    attention_filters,
    lstm,
)

SHAPE = (4, 6, 2)
SIZE = dict(latent_dim=3, num_steps=2, width=5)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomized(network, seed=0):
    """The network with weights of order one, initial states included."""
    for i, weight in enumerate(network.weights):
        weight.assign(0.5 * normal(*weight.shape, seed=seed + i))
    return network


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


# The attention window.


def filters_by_loops(parameters, num_filters, height, width):
    """Eq. 19 to 26 for one example, term by term."""
    raw_x, raw_y, log_variance, log_stride, log_intensity = np.float64(parameters)
    center_x, center_y = (width + 1) / 2 * (raw_x + 1), (height + 1) / 2 * (raw_y + 1)
    stride = (max(width, height) - 1) / (num_filters - 1) * np.exp(log_stride)
    banks = []
    for center, pixels in ((center_y, height), (center_x, width)):
        bank = np.zeros((num_filters, pixels))
        for i in range(1, num_filters + 1):
            loc = center + (i - num_filters / 2 - 0.5) * stride
            for a in range(1, pixels + 1):
                bank[i - 1, a - 1] = np.exp(-((a - loc) ** 2) / (2 * np.exp(log_variance)))
        banks.append(bank / bank.sum(axis=1, keepdims=True))
    return *banks, np.exp(log_intensity)


def test_filters_against_the_equations():
    parameters = normal(3, 5)
    banks = attention_filters(tf.constant(parameters), 3, 4, 7)
    for example in range(3):
        expected = filters_by_loops(parameters[example], 3, 4, 7)
        for bank, by_loops in zip(banks, expected, strict=True):
            # Float32 rounding of exponents up to about 100.
            assert_allclose(np.squeeze(bank[example]), by_loops, rtol=1e-4, atol=1e-6)


def test_filters_sum_to_one_even_far_outside_of_the_image():
    parameters = tf.constant([[0.0] * 5, [9.0, -9.0, -3.0, 1.0, 0.0]])
    for bank in attention_filters(parameters, 5, 28, 20)[:2]:
        assert_allclose(tf.reduce_sum(bank, axis=-1), np.ones((2, 5)), rtol=1e-5)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30, float("inf")])
def test_filters_and_their_gradients_at_extreme_parameters(size):
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=5)), "float32")
    parameters = tf.constant(size * signs)
    images = tf.ones((len(signs), 6, 4, 1))
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        down, across, intensity = attention_filters(parameters, 3, 6, 4)
        read = intensity * apply_filters(down, images, across)
    for bank in (down, across):
        assert_allclose(tf.reduce_sum(bank, axis=-1), np.ones((32, 3)), rtol=1e-5)
    assert np.all(np.isfinite(read)) and np.all(np.isfinite(tape.gradient(read, parameters)))


def test_far_away_a_window_sees_the_nearest_pixels():
    parameters = tf.constant([[15.0, -1e9, 0.0, 0.0, 0.0]])
    down, across, _ = attention_filters(parameters, 3, 6, 4)
    assert list(np.argmax(down[0], axis=1)) == [0, 0, 0]
    assert list(np.argmax(across[0], axis=1)) == [3, 3, 3]


def test_a_sharp_grid_of_stride_one_reads_and_writes_the_pixels_themselves():
    """Around the center of 7 by 5 pixels; the stride is 1 when its logarithm is that of 2 / 6."""
    images = normal(1, 7, 5, 2)
    parameters = tf.constant([[0.0, 0.0, -6.0, np.log(2 / 6), 0.0]])
    down, across, _ = attention_filters(parameters, 3, 7, 5)
    patch = apply_filters(down, images, across)
    # A variance of exp(-6) leaves exp(-0.5 exp(6)), nothing, for the next pixel.
    assert_allclose(patch, images[:, 2:5, 1:4], atol=1e-5)
    transpose = tf.linalg.matrix_transpose
    written = apply_filters(transpose(down), patch, transpose(across))
    assert_allclose(written, np.pad(patch, [(0, 0), (2, 2), (1, 1), (0, 0)]), atol=1e-5)


def test_the_first_window_spans_the_image():
    """Zero parameters: the outermost of 4 filters lie on the first and the last of 28 pixels."""
    down, across, intensity = attention_filters(tf.zeros((1, 5)), 4, 28, 28)
    assert list(np.argmax(down[0], axis=1)) == list(np.argmax(across[0], axis=1)) == [0, 9, 18, 27]
    assert float(intensity[0, 0, 0, 0]) == 1.0


# Recurrence.


def test_lstm_against_keras():
    cell = keras.layers.LSTMCell(4)
    cell.build((None, 3))
    inputs, output, carry = normal(2, 3), normal(2, 4, seed=1), normal(2, 4, seed=2)
    expected, (_, expected_carry) = cell(inputs, [output, carry])
    gates = inputs @ cell.kernel.numpy() + output @ cell.recurrent_kernel.numpy() + cell.bias
    for ours, theirs in zip(lstm(gates, carry), (expected, expected_carry), strict=True):
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def lstm_in_numpy(gates, carry):
    take, keep, new, show = np.split(gates, 4, axis=-1)
    carry = sigmoid(keep) * carry + sigmoid(take) * np.tanh(new)
    return sigmoid(show) * np.tanh(carry), carry


@pytest.mark.parametrize("read_size", [None, 3])
def test_encoder_step_against_numpy(read_size):
    """Eq. 5, with Eq. 17 or 27 as what is read."""
    encoder = randomized(DRAWEncoder(SHAPE, decoder_width=4, read_size=read_size, **SIZE))
    x, error, h_dec = normal(2, *SHAPE), normal(2, *SHAPE, seed=1), normal(2, 4, seed=2)
    output, carry, _ = encoder.step(x, error, h_dec, encoder.begin(x))
    both = np.concatenate([x, error], axis=-1)
    kernel, bias = (w.numpy() for w in encoder.lstm.gates.weights)
    first = encoder.lstm.initial_output.numpy()
    for example in range(2):
        if read_size is None:
            image_part = x[example].ravel() @ encoder.image_gates.kernel.numpy()
            seen = error[example].ravel()
        else:
            window = h_dec[example] @ encoder.window.kernel.numpy() + encoder.window.bias
            down, across, intensity = filters_by_loops(window, read_size, *SHAPE[:2])
            patch = [down @ both[example, :, :, c] @ across.T for c in range(4)]
            seen, image_part = intensity * np.stack(patch, axis=-1).ravel(), 0.0
        gates = np.concatenate([seen, h_dec[example], first]) @ kernel + bias + image_part
        expected = lstm_in_numpy(gates, encoder.lstm.initial_carry.numpy())
        assert_allclose(output[example], expected[0], rtol=1e-4, atol=1e-5)
        assert_allclose(carry[example], expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("write_size", [None, 3])
def test_decoder_steps_against_numpy(write_size):
    """Eq. 7 and 8 twice, with Eq. 18 or 28 and 29 as what is written."""
    decoder = randomized(DRAWDecoder(SHAPE, write_size=write_size, **SIZE))
    z = normal(1, 2, 3)
    kernel, bias = (w.numpy() for w in decoder.lstm.gates.weights)
    write = [w.numpy() for w in decoder.write.weights]
    output, carry = decoder.lstm.initial_output.numpy(), decoder.lstm.initial_carry.numpy()
    canvas = decoder.initial_canvas.numpy().reshape(SHAPE)
    for step, ours in enumerate(decoder.canvases(z)):
        gates = np.concatenate([z[0, step], output]) @ kernel + bias
        output, carry = lstm_in_numpy(gates, carry)
        written = (output @ write[0] + write[1]).reshape(decoder.written_shape)
        if write_size is not None:
            window = output @ decoder.window.kernel.numpy() + decoder.window.bias
            down, across, intensity = filters_by_loops(window, write_size, *SHAPE[:2])
            channels = [down.T @ written[:, :, c] @ across for c in range(2)]
            written = np.stack(channels, axis=-1) / intensity
        canvas = canvas + written
        assert_allclose(ours[0], canvas, rtol=1e-4, atol=1e-5)
    assert_allclose(decoder(z).distribution.logits[0], canvas, rtol=1e-4, atol=1e-5)


def test_paper_sizes():
    """Sec. 4.2: 256 units, z of 100, 64 steps; weights counted by hand, of LSTMs with biases."""
    encoder = DRAWEncoder((28, 28, 1), read_size=2)
    decoder = DRAWDecoder((28, 28, 1), write_size=5)
    assert encoder.output_shape == decoder.input_shape == (None, 64, 100)
    window, states = 256 * 5 + 5, 2 * 256
    read_lstm, write_lstm = (4 * 256 * (n + 256 + 1) for n in (2 * 4 + 256, 100))
    assert encoder.count_params() == read_lstm + states + window + (256 * 200 + 200)
    assert decoder.count_params() == write_lstm + states + window + (256 * 25 + 25) + 784


def test_heads_with_two_parameters_for_each_pixel():
    head = functools.partial(layers.IndependentNormal, scale_activation="exponential")
    decoder = randomized(DRAWDecoder(SHAPE, write_size=2, head=head, **SIZE))
    z = normal(3, 2, 3)
    canvas = decoder.canvases(z)[-1]
    assert_allclose(decoder(z).mean(), canvas[..., :2])
    assert_allclose(decoder(z).stddev(), np.exp(canvas[..., 2:]), rtol=1e-5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(decoder))
    copy.set_weights(decoder.get_weights())
    assert_allclose(copy(z).stddev(), decoder(z).stddev())


# The posterior of one step.


def test_posterior_against_closed_forms():
    posterior = randomized(NormalPosterior(3, num_features=4))
    features = normal(2, 4)
    z, kl, log_ratio = posterior.draw(features, seed=[1, 2])
    parameters = features @ posterior.parameters.kernel.numpy() + posterior.parameters.bias
    loc, scale = parameters[:, :3], np.exp(parameters[:, 3:])
    assert_allclose(posterior.mean(features), loc, rtol=1e-5)
    # Eq. 11 for one step.
    expected = 0.5 * np.sum(loc**2 + scale**2 - np.log(scale**2) - 1, axis=1)
    assert_allclose(kl, expected, rtol=1e-4)
    expected = np.sum(stats.norm.logpdf(z, loc, scale) - stats.norm.logpdf(z), axis=1)
    assert_allclose(log_ratio, expected, rtol=1e-4)
    # Its mean is the KL divergence, to 5 standard errors.
    many = tf.repeat(features[:1], 20_000, axis=0)
    draws = posterior.draw(many, seed=[3, 4])[2].numpy()
    assert abs(draws.mean() - kl[0]) < 5 * draws.std() / np.sqrt(20_000)


# Errors.


@pytest.mark.parametrize(
    "network, arguments, message",
    [
        (DRAWEncoder, dict(num_steps=0), r"num_steps must be .* at least 1. Received: num_steps=0"),
        (DRAWEncoder, dict(read_size=0), r"read_size must be .* at least 1. Received: read_size=0"),
        (DRAWEncoder, dict(decoder_width=-1), r"decoder_width must be .* Received"),
        (DRAWDecoder, dict(num_steps=1.5), r"num_steps must be .* Received: num_steps=1.5"),
        (DRAWDecoder, dict(write_size=0), r"write_size must be .* Received: write_size=0"),
        (DRAWDecoder, dict(head=layers.StandardNormal(2)), "head must be None or a callable"),
    ],
)
def test_arguments_out_of_range(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network((8, 8, 1), width=4, **arguments)


def test_posterior_of_another_size():
    with pytest.raises(ValueError, match="Received: latent_dim=3 .* Give both the same latent_dim"):
        DRAWEncoder(SHAPE, posterior=NormalPosterior(2, 5), **SIZE)
