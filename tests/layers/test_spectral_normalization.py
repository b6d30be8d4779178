"""Spectral normalization against NumPy's singular values, and its gradient by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.layers import SpectralNormalization

X = np.random.default_rng(0).normal(size=(7, 5)).astype("float32")
UPSTREAM = np.random.default_rng(1).normal(size=(7, 4)).astype("float32")


def svd(kernel):
    """Largest singular value of a kernel as a matrix (inputs, units), and its two vectors."""
    v, sigmas, u = np.linalg.svd(np.reshape(kernel, (-1, kernel.shape[-1])).astype("float64"))
    return sigmas[0], v[:, 0], u[0]


def converged(layer, x, num_calls=300):
    """The layer in a network, after `num_calls` calls in training."""
    network = keras.Sequential([keras.Input(x.shape[1:]), SpectralNormalization(layer)])
    for _ in range(num_calls):
        network(x[:1], training=True)
    return network


def dense(num_calls=300):
    initializer = keras.initializers.RandomNormal(stddev=2.0, seed=0)
    return converged(keras.layers.Dense(4, kernel_initializer=initializer), X, num_calls)


def gradient(network):
    kernel = network.layers[0].layer.kernel
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(UPSTREAM * network(X))
    return kernel.numpy(), tape.gradient(loss, kernel.value).numpy()


# Values.


def test_dense_is_divided_by_numpys_largest_singular_value():
    network = dense()
    kernel, bias = network.layers[0].layer.get_weights()
    assert svd(kernel)[0] > 2
    expected = X @ (kernel / svd(kernel)[0]) + bias
    assert_allclose(network(X), expected, rtol=1e-4, atol=1e-5)
    assert_allclose(network(X, training=True), expected, rtol=1e-4, atol=1e-5)


def test_convolution_is_divided_by_that_of_its_kernel_as_a_matrix():
    x = np.random.default_rng(2).normal(size=(2, 6, 6, 3)).astype("float32")
    layer = keras.layers.Conv2D(4, 3, activation="tanh", padding="same")
    network = converged(layer, x)
    kernel, bias = layer.get_weights()
    plain = keras.layers.Conv2D(4, 3, activation="tanh", padding="same")
    plain.build(x.shape)
    plain.set_weights([kernel / svd(kernel)[0], bias])
    assert_allclose(network(x), plain(x), rtol=1e-4, atol=1e-5)


def test_a_call_is_one_power_iteration_of_numpy():
    """From u to W^T W u; sigma is |W u|."""
    network = dense(num_calls=0)
    layer, kernel = network.layers[0], network.layers[0].layer.kernel.numpy().astype("float64")
    u = layer.u.numpy().astype("float64")
    for training in (False, True, True):
        y = network(X, training=training)
        if training:
            u = kernel.T @ (kernel @ u)
        u /= np.linalg.norm(u)
        assert_allclose(y, X @ kernel / np.linalg.norm(kernel @ u), rtol=1e-4, atol=1e-5)
    twice = SpectralNormalization(network.layers[0].layer, power_iterations=2)
    twice.build(X.shape)
    twice.u.assign(u)
    twice(X, training=True)
    for _ in range(2):
        u = kernel.T @ (kernel @ u)
        u /= np.linalg.norm(u)
    assert_allclose(twice.u, u, rtol=1e-4, atol=1e-5)


def test_weights_stay_and_u_moves_in_training_alone():
    network = dense(num_calls=0)
    layer = network.layers[0]
    kernel, u = layer.layer.kernel.numpy(), layer.u.numpy()
    network(X)
    assert_array_equal(layer.u, u)
    network(X, training=True)
    assert not np.allclose(layer.u, u)
    assert_array_equal(layer.layer.kernel, kernel)
    assert [v.name for v in network.trainable_variables] == ["kernel", "bias"]


def test_no_division_by_zero():
    network = dense(num_calls=0)
    network.layers[0].layer.kernel.assign(np.zeros((5, 4)))
    network(X, training=True)
    _, found = gradient(network)
    assert_array_equal(network(X), np.zeros((7, 4)))
    assert np.isfinite(found).all()


# The gradient.


def test_gradient_is_miyatos():
    """(G - <G, W_SN> v u^T) / sigma, G the gradient by W_SN: Eq. 12, with Eq. 11 for its sum."""
    kernel, found = gradient(dense())
    sigma, v, u = svd(kernel)
    by_normalized = X.T @ UPSTREAM
    along = np.sum(by_normalized * kernel / sigma)
    expected = (by_normalized - along * np.outer(v, u)) / sigma
    assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    # It is not what is left where sigma counts as a constant.
    assert np.abs(found - by_normalized / sigma).max() > 0.1


def test_gradient_is_that_of_finite_differences_with_exact_singular_values():
    kernel, found = gradient(dense())
    kernel, h = kernel.astype("float64"), 1e-6

    def loss(kernel):
        return np.sum(UPSTREAM * (X @ (kernel / svd(kernel)[0])))

    for i in np.ndindex(kernel.shape):
        step = np.zeros(kernel.shape)
        step[i] = h
        slope = (loss(kernel + step) - loss(kernel - step)) / (2 * h)
        assert found[i] == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_gradient_never_changes_the_scale():
    """Also long before u is a singular vector: the output does not depend on the scale of W."""
    kernel, found = gradient(dense(num_calls=1))
    assert abs(np.sum(kernel * found)) < 1e-4 * np.linalg.norm(kernel) * np.linalg.norm(found)


# In use.


def test_saved_network_goes_on(reloaded):
    network = dense(num_calls=2)
    loaded = reloaded(network)
    assert_array_equal(loaded(X), network(X))
    assert_array_equal(loaded(X, training=True), network(X, training=True))
    layer = SpectralNormalization(keras.layers.Dense(2), power_iterations=3)
    assert SpectralNormalization.from_config(layer.get_config()).power_iterations == 3


def test_files_with_the_wrapper_of_keras_load(reloaded):
    """Discriminators of before had it; both have the same name but for their package."""
    wrapper = keras.layers.SpectralNormalization(keras.layers.Dense(1))
    network = keras.Sequential([keras.Input((5,)), wrapper])
    network(X, training=True)
    loaded = reloaded(network)
    assert type(loaded.layers[0]) is keras.layers.SpectralNormalization
    assert_array_equal(loaded(X), network(X))


def test_mixed_precision(mixed_precision):
    network = dense()
    assert network(X, training=True).dtype == mixed_precision.split("_")[1]
    assert network.layers[0].u.dtype == "float32"
    kernel = network.layers[0].layer.kernel.numpy()
    found = np.asarray(network(X), "float32")
    # Half precision keeps 8 bits or more of sums of 5 products.
    assert_allclose(found, X @ kernel / svd(kernel)[0], atol=0.1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"layer": "dense"}, "Received: layer='dense'"),
        ({"power_iterations": 0}, "Received: power_iterations=0"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpectralNormalization(**{"layer": keras.layers.Dense(2), **arguments})


def test_a_layer_without_a_kernel():
    with pytest.raises(ValueError, match="kernel to normalize.*Received: layer='flatten"):
        SpectralNormalization(keras.layers.Flatten(name="flatten"))(tf.zeros((2, 3)))
