"""Conditional batch normalization against NumPy and Keras' layer, saved, and at its limits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.layers import ConditionalBatchNormalization

RNG = np.random.default_rng(0)
X = (2 + 3 * RNG.normal(size=(6, 3, 2, 4))).astype("float32")
C = RNG.normal(size=(6, 5)).astype("float32")


def layer(**kwargs):
    made = ConditionalBatchNormalization(**kwargs)
    made.build([X.shape, C.shape])
    return made


def with_random_weights(made):
    for variable in made.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    return made


def by_numpy(made, x, c, mean, variance, epsilon=1e-3):
    """In float64, example by example."""
    weights = [v.numpy().astype("float64") for v in made.trainable_variables]
    gain_kernel, gain_bias, shift_kernel, shift_bias = weights
    found = []
    for row, condition in zip(x.astype("float64"), c, strict=True):
        normalized = (row - mean) / np.sqrt(variance + epsilon)
        gain, shift = condition @ gain_kernel + gain_bias, condition @ shift_kernel + shift_bias
        found.append(normalized * gain + shift)
    return np.array(found)


def test_of_a_batch_by_numpy():
    made = with_random_weights(layer())
    mean, variance = X.mean(axis=(0, 1, 2)), X.var(axis=(0, 1, 2))
    found = made([X, C], training=True)
    assert found.shape == made.compute_output_shape([X.shape, C.shape]) == X.shape
    # Float32 sums of five terms of order 1.
    assert_allclose(found, by_numpy(made, X, C, mean, variance), rtol=1e-4, atol=1e-4)


def test_of_its_averages_by_numpy():
    made = with_random_weights(layer(momentum=0.5, epsilon=0.1))
    made([X, C], training=True)
    # One step from mean 0 and variance 1.
    mean, variance = 0.5 * X.mean(axis=(0, 1, 2)), 0.5 + 0.5 * X.var(axis=(0, 1, 2))
    expected = by_numpy(made, X, C, mean, variance, epsilon=0.1)
    assert_allclose(made([X, C]), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("momentum, epsilon", [(0.99, 1e-3), (0.9, 1e-5)])
def test_at_first_it_is_keras_layer(momentum, epsilon):
    made = layer(momentum=momentum, epsilon=epsilon)
    reference = keras.layers.BatchNormalization(momentum=momentum, epsilon=epsilon)
    for training in (True, False, True, False):
        found, expected = made([X, C], training=training), reference(X, training=training)
        assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_classes_have_gains_and_shifts_of_their_own():
    """Of rows with the same x, the one-hot conditions pick rows of the weights."""
    made = with_random_weights(layer())
    x, c = np.repeat(X[:1], 5, axis=0), np.eye(5, dtype="float32")
    made.normalize.set_weights([np.zeros(4), np.ones(4)])
    gains = made.gain.kernel.numpy() + made.gain.bias.numpy()
    shifts = made.shift.kernel.numpy() + made.shift.bias.numpy()
    expected = x / np.sqrt(1.001) * gains[:, None, None] + shifts[:, None, None]
    assert_allclose(made([x, c]), expected, rtol=1e-4, atol=1e-4)


def test_of_vectors_saved_and_loaded(reloaded):
    x, c = keras.Input((4,)), keras.Input((5,))
    made = ConditionalBatchNormalization(momentum=0.7, epsilon=0.2)
    network = keras.Model([x, c], made([x, c]))
    with_random_weights(network)
    network([X[:, 0, 0], C], training=True)
    loaded = reloaded(network)
    assert_array_equal(loaded([X[:, 0, 0], C]), network([X[:, 0, 0], C]))
    config = loaded.layers[-1].get_config()
    assert (config["momentum"], config["epsilon"]) == (0.7, 0.2)


def test_mixed_precision(mixed_precision):
    made = layer()
    found = made([X, C], training=True)
    assert found.dtype == mixed_precision.split("_")[1]
    assert_allclose(np.mean(tf.cast(found, tf.float32), axis=(0, 1, 2)), np.zeros(4), atol=0.02)


@pytest.mark.parametrize("shapes", [[(2, 4)], [(2, 4), (2, 2, 2)], [(2,), (2, 3)]])
def test_inputs_that_are_no_pair(shapes):
    with pytest.raises(ValueError, match=r"a pair \[x, c\].* Received: inputs of shape"):
        ConditionalBatchNormalization()([tf.zeros(shape) for shape in shapes])
    with pytest.raises(ValueError, match=r"a pair \[x, c\].* Received: inputs of shape"):
        ConditionalBatchNormalization()(tf.zeros((2, 4)))


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="Received: momentum=1"):
        ConditionalBatchNormalization(momentum=1)
    with pytest.raises(ValueError, match="Received: epsilon=0"):
        ConditionalBatchNormalization(epsilon=0)
