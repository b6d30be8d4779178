"""Minibatch discrimination against loops of NumPy and SciPy's distances, and at its extremes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import distance

from tfgen.layers import MinibatchDiscrimination, SpectralNormalization

F = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def layer(num_kernels=3, kernel_dim=2):
    made = MinibatchDiscrimination(num_kernels, kernel_dim)
    made.build((None, 4))
    return made


def by_loops(features, kernel, num_kernels, kernel_dim):
    """Salimans et al. in float64, less the example itself, over the number of the others."""
    tensor = kernel.astype("float64").reshape(-1, num_kernels, kernel_dim)
    places = np.einsum("ia,abc->ibc", features, tensor)
    found = np.zeros((len(features), num_kernels))
    for i, j in np.ndindex(len(features), len(features)):
        if i != j:
            found[i] += np.exp(-np.abs(places[i] - places[j]).sum(axis=-1))
    return found / (len(features) - 1)


def test_values_are_those_of_loops():
    made = layer()
    found = made(F)
    assert found.shape == made.compute_output_shape((6, 4)) == (6, 7)
    assert_array_equal(found[:, :4], F)
    assert_allclose(found[:, 4:], by_loops(F, made.kernel.numpy(), 3, 2), rtol=1e-5, atol=1e-6)


def test_distances_are_scipys():
    made = layer(num_kernels=1, kernel_dim=4)
    made.kernel.assign(np.eye(4))
    closeness = np.exp(-distance.cdist(F, F, "cityblock"))
    expected = (closeness.sum(axis=1) - 1) / 5
    assert_allclose(made(F)[:, 4], expected, rtol=1e-5)


def test_equal_and_far_examples():
    equal = layer()(np.tile(F[:1], (5, 1)))
    assert_allclose(equal[:, 4:], 1.0, rtol=1e-6)
    assert_allclose(layer()(1e4 * F)[:, 4:], 0.0, atol=1e-6)
    assert_array_equal(layer()(F[:1])[:, 4:], np.zeros((1, 3)))


def test_order_and_size_of_the_batch():
    """Every example counts alike, and twice the same examples count no more."""
    made = layer()
    order = np.random.default_rng(1).permutation(6)
    assert_allclose(made(F[order]), np.asarray(made(F))[order], rtol=1e-5, atol=1e-6)
    many = np.tile(F, (200, 1))
    own = np.asarray(made(F))[:, 4:]
    # Each has itself among the others now: (5 own + 1) / 6, to a share of 1 / 1200.
    assert_allclose(made(many)[:6, 4:], (5 * own + 1) / 6, atol=2e-3)


def test_gradient_is_that_of_finite_differences():
    made = layer()
    weights = np.random.default_rng(2).normal(size=(6, 3))
    direction = np.random.default_rng(3).normal(size=(6, 4))
    with tf.GradientTape() as tape:
        x = tf.Variable(F)
        total = tf.reduce_sum(weights.astype("float32") * made(x)[:, 4:])
    slope = float(tf.reduce_sum(tape.gradient(total, x) * direction))

    def value(x):
        return np.sum(weights * by_loops(x, made.kernel.numpy(), 3, 2))

    h = 1e-5  # Far less than from any kink of a distance, where two coordinates agree.
    expected = (value(F + h * direction) - value(F - h * direction)) / (2 * h)
    assert slope == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_its_kernel_can_be_normalized(reloaded):
    network = keras.Sequential([keras.Input((4,)), SpectralNormalization(layer())])
    for _ in range(100):
        network(F, training=True)
    kernel = network.layers[0].layer.kernel.numpy()
    kernel = kernel / np.linalg.svd(kernel)[1][0]
    assert_allclose(network(F)[:, 4:], by_loops(F, kernel, 3, 2), rtol=1e-3, atol=1e-4)
    assert_array_equal(reloaded(network)(F), network(F))


def test_mixed_precision(mixed_precision):
    network = keras.Sequential([keras.Input((4,)), MinibatchDiscrimination(3, 2)])
    assert network(F).dtype == mixed_precision.split("_")[1]


@pytest.mark.parametrize("argument", ["num_kernels", "kernel_dim"])
def test_arguments_out_of_range(argument):
    with pytest.raises(ValueError, match=f"Received: {argument}=0"):
        MinibatchDiscrimination(**{"num_kernels": 1, argument: 0})


def test_images_must_be_flat():
    with pytest.raises(ValueError, match=r"Received: inputs of shape \(2, 4, 4, 1\)"):
        MinibatchDiscrimination(2)(tf.zeros((2, 4, 4, 1)))
