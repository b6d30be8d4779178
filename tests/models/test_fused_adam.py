"""The fused kernel takes the same steps as Keras' own Adam."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.models.fused_adam import fuse


def steps(optimizer, gradients):
    variable = keras.Variable(np.linspace(-1, 1, 5).astype("float32"))
    for gradient in gradients:
        optimizer.apply([gradient], [variable])
    return variable.numpy(), [v.numpy() for v in optimizer.variables]


def random_gradients(num=20):
    return list(tf.constant(np.random.default_rng(0).normal(size=(num, 5)).astype("float32")))


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"beta_1": 0.5, "beta_2": 0.99, "epsilon": 1e-3},
        {"weight_decay": 0.1},
        {"clipnorm": 0.5},
        {"learning_rate": keras.optimizers.schedules.CosineDecay(0.1, 20)},
    ],
    ids=lambda kwargs: next(iter(kwargs), "defaults"),
)
def test_same_steps_as_keras(kwargs):
    plain, fused = keras.optimizers.Adam(**kwargs), keras.optimizers.Adam(**kwargs)
    fuse(fused)
    assert "update_step" in vars(fused)
    (a, states_a), (b, states_b) = (
        steps(plain, random_gradients()),
        steps(fused, random_gradients()),
    )
    # Float32 rounding of 20 steps, of at most 0.1 each.
    assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for left, right in zip(states_a, states_b, strict=True):
        assert_allclose(left, right, rtol=1e-4, atol=1e-7)


def test_first_step_by_hand():
    """After one gradient g, m = (1 - b1) g and v = (1 - b2) g^2, so that the step is
    lr * g / (|g| + epsilon / sqrt(1 - b2)): Sec. 2 of the paper, epsilon outside the correction.
    """
    optimizer = keras.optimizers.Adam(0.1)
    fuse(optimizer)
    gradient = tf.constant([1.0, -2.0, 0.5, -0.1, 3.0])
    after, _ = steps(optimizer, [gradient])
    expected = 0.1 * gradient / (np.abs(gradient) + 1e-7 / np.sqrt(1 - 0.999))
    assert_allclose(after, np.linspace(-1, 1, 5) - expected, atol=1e-6)


def test_sparse_gradients_take_the_way_of_keras():
    gradient = tf.IndexedSlices(tf.constant([1.0, 2.0]), tf.constant([0, 3]), (5,))
    plain, fused = keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.1)
    fuse(fused)
    assert_array_equal(steps(plain, [gradient])[0], steps(fused, [gradient])[0])


@pytest.mark.parametrize(
    "optimizer",
    [keras.optimizers.Adam(amsgrad=True), keras.optimizers.AdamW(), keras.optimizers.SGD()],
)
def test_others_are_left_alone(optimizer):
    fuse(optimizer)
    assert "update_step" not in vars(optimizer)
