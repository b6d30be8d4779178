"""Flows over series: volumes by automatic differentiation, what is mapped, what is learnt."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import models, networks

SHAPE = (6, 2)


def flow_of_random_weights(**arguments):
    flow = networks.series_flow(SHAPE, num_couplings=2, width=4, depth=2, num_bins=4, **arguments)
    rng = np.random.default_rng(0)
    for weight in flow.trainable_variables:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return flow


def test_it_is_the_identity_at_first():
    flow = networks.series_flow(SHAPE, width=4)
    x = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype("float32")
    y, log_det = flow.forward(x)
    np.testing.assert_allclose(y, x, atol=1e-5)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-5)


@pytest.mark.parametrize("context_size", [0, 3])
def test_inverse_and_volume(context_size):
    flow = flow_of_random_weights(context_size=context_size)
    rng = np.random.default_rng(1)
    x = tf.constant(rng.normal(size=(1, *SHAPE)), "float32")
    context = tf.constant(rng.normal(size=(1, 3)), "float32") if context_size else None
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, log_det = flow.forward(x, context)
    jacobian = tf.reshape(tape.jacobian(y, x), (12, 12))
    # float32 through two splines and a determinant of 12 rows.
    np.testing.assert_allclose(log_det[0], np.linalg.slogdet(jacobian)[1], rtol=1e-3, atol=1e-3)
    back, inverse_log_det = flow.inverse(y, context)
    # Where a spline is flat its inverse multiplies rounding: they come back to 1e-3.
    np.testing.assert_allclose(back, x, atol=1e-3)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-3)
    # Every step is mapped by one of the two couplings, depending on others.
    assert np.all(np.sum(np.abs(jacobian) > 1e-6, axis=1) > 1)


@pytest.mark.slow
def test_steps_that_depend_on_each_other_are_learnt():
    """A random walk, whose entropy is known, in nats: that of its independent steps."""
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(size=(2000, 8, 1)), axis=1).astype("float32")
    keras.utils.set_random_seed(0)
    flow = models.NormalizingFlow(networks.series_flow((8, 1), num_couplings=4, width=16), seed=0)
    flow.compile(keras.optimizers.Adam(5e-3))
    flow.fit(x, epochs=15, batch_size=100, verbose=0)
    entropy = 8 * 0.5 * np.log(2 * np.pi * np.e)
    independent = entropy + 0.5 * np.sum(np.log(np.arange(1, 9)))  # Var(x_t) = t.
    found = -np.mean(flow.log_prob(x))
    assert entropy - 0.2 < found < entropy + 0.3 * (independent - entropy)
    assert flow.sample(3, seed=0).shape == (3, 8, 1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(data_shape=(8, 8, 1)), r"shape \(length, channels\).*Received: data_shape"),
        (dict(data_shape=(1, 2)), "length must be an int of at least 2"),
        (dict(num_bins=1), "num_bins must be an int of at least 2"),
        (dict(depth=0), "depth must be an int of at least 1"),
        (dict(context_size=-1), "context_size must be an int of at least 0"),
        (dict(bound=0.0), "bound must be"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        networks.series_flow(**{"data_shape": SHAPE, "width": 4, **arguments})
