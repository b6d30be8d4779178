"""Networks and presets of flows: by hand, sizes by formula, the identity at first."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tfgen._utils.keras_private import sublayers
from tfgen.bijectors import ActNorm, Invertible1x1Conv, SplineCoupling
from tfgen.models.normalizing_flow import NormalizingFlow
from tfgen.networks import flows

SHAPE = (4, 8, 1)


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def perturb(layer):
    """Weights that no initializer gives, so that nothing is zero."""
    rng = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign_add(0.1 * rng.normal(size=weight.shape))
    return layer


# The network.


def by_hand(weights, x):
    """One gated block between two 3x3 convolutions, in TensorFlow's own functions."""

    def conv(x):
        kernel, bias = next(weights), next(weights)
        return tf.nn.conv2d(x, kernel, 1, "SAME") + bias

    def concat_elu(x):
        return tf.concat([tf.nn.elu(x), tf.nn.elu(-x)], axis=-1)

    x = conv(x)
    value, gate = tf.split(conv(concat_elu(conv(concat_elu(x)))), 2, axis=-1)
    x += value * tf.sigmoid(gate)
    mean, variance = tf.nn.moments(x, axes=-1, keepdims=True)
    x = (x - mean) / tf.sqrt(variance + 1e-5) * next(weights) + next(weights)
    return conv(concat_elu(x))


def test_network_against_formulas():
    network = perturb(flows.gated_conv_net(SHAPE, 2, width=3, num_layers=1, context_shape=SHAPE))
    x, context = images(2, 3, *SHAPE)
    expected = by_hand(iter(network.get_weights()), tf.concat([x, context], axis=-1))
    assert_allclose(network([x, context]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels, outputs, width, layers", [(1, 2, 32, 3), (4, 8, 48, 3)])
def test_number_of_weights(channels, outputs, width, layers):
    """Kernels and biases of the course's `GatedConvNet`."""
    block = (9 * 2 * width * width + width) + (2 * width * 2 * width + 2 * width) + 2 * width
    ends = (9 * channels * width + width) + (9 * 2 * width * outputs + outputs)
    network = flows.gated_conv_net((4, 4, channels), outputs, width, layers)
    assert network.count_params() == ends + layers * block
    assert_array_equal(network(images(2, 4, 4, channels)), np.zeros((2, 4, 4, outputs)))


def test_network_is_saved(tmp_path):
    network = perturb(flows.gated_conv_net(SHAPE, 2, width=3, num_layers=1))
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras", safe_mode=True)
    assert_array_equal(loaded(images(2, *SHAPE)), network(images(2, *SHAPE)))


# The flows.


@pytest.mark.parametrize(
    "build",
    [
        lambda: flows.simple_flow(SHAPE, num_couplings=2, width=2, num_layers=1),
        lambda: flows.multiscale_flow(SHAPE, width=2, num_layers=0),
    ],
)
def test_flow_begins_as_the_identity(build):
    y = images(2, *SHAPE)
    x, log_det = build().inverse(y)
    assert_array_equal(x, y)
    assert_array_equal(log_det, np.zeros(2))


@pytest.mark.parametrize("num_bins", [None, 4])
def test_glow_begins_as_rotations_of_channels(num_bins):
    """Couplings pass on what they are given; squares of 4 x 4 pixels keep their lengths."""
    flow, y = flows.glow(SHAPE, 2, 2, width=2, num_bins=num_bins), images(2, *SHAPE)
    x, log_det = flow.inverse(y)
    assert_allclose(log_det, np.zeros(2), atol=1e-4)
    squares, rotated = (tf.nn.space_to_depth(values, 4) for values in (y, x))
    assert_allclose(tf.norm(rotated, axis=-1), tf.norm(squares, axis=-1), rtol=1e-5)
    steps = [part for part in sublayers(flow) if isinstance(part, Invertible1x1Conv)]
    assert [step.event_shape for step in steps] == 2 * [(2, 4, 4)] + 2 * [(1, 2, 8)]


@pytest.mark.parametrize(
    "preset, options",
    [
        ("simple_flow", {"num_layers": 0}),
        ("multiscale_flow", {"num_layers": 0}),
        ("multiscale_flow", {"num_layers": 0, "num_bins": 4}),
        ("glow", {"num_steps": 2}),
        ("glow", {"num_steps": 1, "num_bins": 4}),
    ],
)
@pytest.mark.parametrize("context_size", [0, 3])
def test_flow_is_invertible_with_the_jacobian_of_autodiff(preset, options, context_size):
    flow = perturb(getattr(flows, preset)((4, 4, 1), width=2, context_size=context_size, **options))
    x, context = tf.constant(images(2, 4, 4, 1)), images(2, 3) if context_size else None
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, log_det = flow.forward(x, context)
    jacobian = tape.batch_jacobian(y, x, experimental_use_pfor=False)
    _, expected = np.linalg.slogdet(np.reshape(jacobian, (2, 16, 16)))
    # Float32 rounding through eight networks.
    assert_allclose(log_det, expected, rtol=1e-3, atol=1e-3)
    assert np.abs(log_det).min() > 0.01
    preimage, change = flow.inverse(y, context)
    assert_allclose(preimage, x, rtol=1e-3, atol=1e-3)
    assert_allclose(change, -log_det, rtol=1e-3, atol=1e-3)


def test_masks_of_the_simple_flow_alternate():
    """The coupling next to the data leaves the pixels whose coordinates have an odd sum."""
    flow = perturb(flows.simple_flow(SHAPE, num_couplings=2, width=2, num_layers=0))
    y = images(1, *SHAPE)
    odd = np.indices(SHAPE[:2]).sum(axis=0) % 2 == 1
    for bijector, kept in zip(reversed(flow.bijectors), (odd, ~odd), strict=True):
        unchanged = np.equal(bijector.inverse(y)[0], y)[0, ..., 0]
        assert_array_equal(unchanged, kept)


def test_half_of_the_channels_leave_at_the_second_scale():
    """The last four couplings leave two of the four pixels of each square alone."""
    flow = flows.multiscale_flow((4, 4, 1), width=2, num_layers=0)
    inner = flow.bijectors[0].bijector.bijectors[0]
    y = images(1, *inner.event_shape)
    x, _ = perturb(inner).inverse(y)
    assert inner.event_shape == (2, 2, 4)
    assert_array_equal(x[..., 2:], y[..., 2:])
    assert not np.any(np.equal(x[..., :2], y[..., :2]))


def test_widths_grow_with_the_scale():
    """32, 48 and 64 channels in the course; all by one argument."""
    for width in (2, 4):
        flow = flows.multiscale_flow((4, 4, 1), width=width, num_layers=0)
        kernels = [v.shape for v in flow.trainable_variables if len(v.shape) == 4]
        widths = [shape[-1] for shape in kernels[::2]]
        assert widths == 4 * [2 * width] + 2 * [3 * width // 2] + 2 * [width]


def test_network_of_glow_against_formulas():
    network = perturb(flows.glow_net(SHAPE, 2, width=3, context_shape=(2,)))
    x, context = images(2, *SHAPE), images(2, 2)
    pixels = tf.tile(context[:, None, None], [1, *SHAPE[:2], 1])
    expected, *weights = tf.concat([x, pixels], axis=-1), *network.get_weights()
    for i in range(0, 6, 2):
        expected = tf.nn.conv2d(expected, weights[i], 1, "SAME") + weights[i + 1]
        expected = tf.nn.relu(expected) if i < 4 else expected
    assert_allclose(network([x, context]), expected, rtol=1e-4, atol=1e-5)
    assert [weight.shape[:2] for weight in weights[::2]] == [(3, 3), (1, 1), (3, 3)]


def test_a_level_of_glow_by_hand():
    """From data to latents: ActNorm, the convolution, a coupling that leaves the first half."""
    flow = perturb(flows.glow((4, 4, 1), num_levels=1, num_steps=1, width=2))
    coupling, convolution, norm = flow.bijector.bijectors
    y = images(2, 4, 4, 1)
    squares = tf.nn.space_to_depth(y, 2)
    mixed = convolution.inverse(norm.inverse(squares)[0])[0]
    x = coupling.inverse(mixed)[0]
    assert_allclose(flow.inverse(y)[0], tf.nn.depth_to_space(x, 2), rtol=1e-5, atol=1e-5)
    assert_array_equal(x[..., :2], mixed[..., :2])
    assert np.all(np.not_equal(x[..., 2:], mixed[..., 2:]))


def test_the_first_batch_sets_the_scales_of_glow():
    """ActNorm gives mean 0 and variance 1, which rotations of channels keep, at the last level."""
    keras.utils.set_random_seed(0)
    y = 3 + 5 * images(64, 4, 4, 1)
    flow = flows.glow((4, 4, 1), num_levels=2, num_steps=2, width=2)
    x = flow.initialize(y)
    assert_allclose(x, flow.inverse(y)[0], rtol=1e-3, atol=1e-3)
    norms = [part for part in sublayers(flow) if isinstance(part, ActNorm)]
    assert len(norms) == 4 and all(np.any(norm.loc) for norm in norms)
    last = tf.nn.space_to_depth(tf.nn.space_to_depth(x, 2)[..., :2], 2)
    assert_allclose(np.mean(last, axis=(0, 1, 2)), np.zeros(8), atol=1e-4)
    assert_allclose(np.mean(np.square(last)), 1, rtol=1e-4)


def test_splines_of_a_multiscale_flow_are_of_standardized_data():
    """The flow of shifted and scaled data is that of the data, once the first batch was seen."""
    keras.utils.set_random_seed(0)
    y = images(64, 4, 4, 1)
    flow = flows.multiscale_flow((4, 4, 1), width=2, num_layers=0, num_bins=4)
    x = flow.initialize(3 + 50 * y)
    # Splines begin as the identity: latents are the data, standardized.
    assert_allclose(x, (y - y.mean()) / y.std(), rtol=1e-3, atol=1e-3)
    kinds = [part for part in sublayers(flow) if isinstance(part, SplineCoupling)]
    shapes = 4 * [(1, 1, 8)] + 2 * [(2, 2, 4)] + 2 * [(4, 4, 1)]
    assert sorted(coupling.event_shape for coupling in kinds) == shapes


def test_variational_dequantization_is_uniform_at_first():
    dequantization = flows.variational_dequantization(SHAPE, 2, width=2, num_layers=1)
    x = tf.zeros((2, *SHAPE))
    _, log_q = dequantization.noise(x, [0, 1])
    assert_allclose(log_q, np.zeros(2), atol=1e-4)
    perturb(dequantization)
    assert np.abs(dequantization.noise(x, [0, 1])[1]).min() > 1e-3


def ring(num, seed):
    """Points at a distance N(2, 0.2^2) from (1, 0), and -log p of them in nats."""
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 2 * np.pi, num), rng.normal(2.0, 0.2, num)
    points = np.stack([1 + radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return points.astype("float32"), np.log(2 * np.pi * radius) - stats.norm(2, 0.2).logpdf(radius)


def test_vector_flow_fits_a_ring():
    """The entropy is 2.34 nats, the best normal is at 3.54; the density still integrates to 1."""
    keras.utils.set_random_seed(0)
    model = NormalizingFlow(flows.vector_flow(2, num_couplings=2, hidden=(32,)), seed=0)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False, steps_per_execution=1)
    model.fit(ring(2048, seed=0)[0], batch_size=256, epochs=12, verbose=0)
    x, nll = ring(2048, seed=1)
    loss = -np.mean(model.log_prob(x))
    normal = stats.multivariate_normal(x.mean(axis=0), np.cov(x.T))
    assert nll.mean() < loss < -normal.logpdf(x).mean() - 0.7
    axis = np.linspace(-6, 6, 240, endpoint=False) + 0.025
    grid = np.stack(np.meshgrid(axis + 1, axis), axis=-1).reshape(-1, 2).astype("float32")
    # Midpoints 1/4 of the ring's width apart; the splines' slopes jump, so no better than 1 %.
    assert np.exp(model.log_prob(grid)).sum() * 0.05**2 == pytest.approx(1, abs=0.01)


# Errors.


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: flows.vector_flow(1), "at least 2. Received: size=1"),
        (lambda: flows.multiscale_flow((6, 8, 1)), r"multiples of 4. Received: image_shape=\(6"),
        (lambda: flows.glow((12, 8, 1), 3), r"glow squeezes.*multiples of 8. Received: .*\(12"),
        (lambda: flows.glow(SHAPE, 0), "Received: num_levels=0"),
        (lambda: flows.glow(SHAPE, num_steps=0), "Received: num_steps=0"),
        (lambda: flows.multiscale_flow(SHAPE, num_bins=1), "at least 2. Received: num_bins=1"),
        (lambda: flows.glow(SHAPE, num_bins=1), "at least 2. Received: num_bins=1"),
        (lambda: flows.glow(SHAPE, context_size=-1), "Received: context_size=-1"),
        (lambda: flows.glow_net(SHAPE, 0), "Received: num_outputs=0"),
        (lambda: flows.glow_net(SHAPE, 2, context_shape=(4, 4, 1)), "as high and wide.*Received"),
        (lambda: flows.simple_flow((8, 1)), "three positive ints.*Received"),
        (lambda: flows.simple_flow(SHAPE, num_couplings=0), "Received: num_couplings=0"),
        (lambda: flows.gated_conv_net(SHAPE, 0), "Received: num_outputs=0"),
        (lambda: flows.gated_conv_net(SHAPE, 1, num_layers=-1), "Received: num_layers=-1"),
        (lambda: flows.variational_dequantization(SHAPE, 0), "Received: num_couplings=0"),
    ],
)
def test_arguments_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()
