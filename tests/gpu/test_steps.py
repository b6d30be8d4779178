"""What a device computes is what the CPU does: draws, and a training step of every model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import models
from tfgen._utils import random

pytestmark = pytest.mark.gpu

RATE = 0.01
POLICIES = ["mixed_float16", "mixed_bfloat16"]


@pytest.fixture
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def fit_once(model, images):
    """What one training step on these images logs, and how far it moves each weight."""
    before = model.get_weights()
    y = (images[:, 0, 0, 0] > 0).astype("int32") if getattr(model, "num_classes", 0) else None
    logs = model.fit(images, y, batch_size=len(images), shuffle=False, verbose=0).history
    pairs = zip(model.weights, before, model.get_weights(), strict=True)
    return logs, {v.path: (b - a) / RATE for v, a, b in pairs if v.trainable}


def cpus_step(name, build_model, images):
    """The step of the CPU, and the weights that it began with."""
    with tf.device("CPU:0"):
        model = build_model(name)
        weights = model.get_weights()
        model.compile(keras.optimizers.SGD(RATE), run_eagerly=True)
        return *fit_once(model, images), weights


def devices_step(name, build_model, images, weights, **options):
    model = build_model(name)
    model.set_weights(weights)
    model.compile(keras.optimizers.SGD(RATE), steps_per_execution=1, **options)
    return model, *fit_once(model, images)


def moves_within(num_steps, model, images):
    """float16 leaves a step out that overflows, and halves the scale of the loss for the next."""
    moved = (any(map(np.any, fit_once(model, images)[1].values())) for _ in range(num_steps))
    return any(moved)


def is_on(tensor, device):
    return tensor.device.endswith(device)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_draws_are_those_of_the_cpu(device, placed, jit_compile):
    def draws():
        shape, seed = (100, 7), [3, 5]
        uniform, normal = random.uniform(shape, seed), random.normal(shape, seed)
        return uniform, normal, random.categorical(tf.zeros((3, 4)), 50, seed)

    with tf.device("CPU:0"):
        uniform, normal, classes = draws()
    with placed(device):
        ours = tf.function(draws, jit_compile=jit_compile)()
    assert_array_equal(ours[0], uniform)
    # Of numbers up to 6, after a logarithm, a root and a sine: a few roundings of 2^-24 * 6.
    assert_allclose(ours[1], normal, rtol=0, atol=3e-6)
    assert_array_equal(ours[2], classes)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_step_is_that_of_the_cpu(model_name, jit_compile, device, placed, build_model, images):
    logs, steps, weights = cpus_step(model_name, build_model, images)
    with placed(device):
        model, our_logs, our_steps = devices_step(
            model_name, build_model, images, weights, jit_compile=jit_compile
        )
    assert all(is_on(v.value, device) for v in model.trainable_variables)
    assert model.jit_compile == jit_compile
    assert set(our_logs) == set(logs)
    for key, value in logs.items():
        # Float32 sums in another order, through some hundred operations.
        assert our_logs[key] == pytest.approx(value, rel=1e-3, abs=1e-4), key
    assert any(np.any(step) for step in steps.values())
    for (path, step), ours in zip(steps.items(), our_steps.values(), strict=True):
        # And the rounding of weights of order 1, 2^-24, in units of the rate.
        atol = 1e-3 * np.abs(step).max() + 1e-4
        assert_allclose(ours, step, rtol=1e-3, atol=atol, err_msg=path)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_em_is_that_of_the_cpu(device, placed, jit_compile):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(m, 1.0, size=(200, 3)) for m in (-3.0, 3.0)])

    def fitted(name, **options):
        with placed(name):
            model = models.MixtureEM(2, (3,), seed=0)
            model.compile(**options)
            history = model.fit(x, batch_size=100, epochs=3, verbose=0).history
        return history["log_likelihood"], model.means.numpy()

    likelihoods, means = fitted("CPU:0", run_eagerly=True)
    our_likelihoods, our_means = fitted(device, jit_compile=jit_compile)
    # Sums of 400 float64 terms in another order.
    assert_allclose(our_likelihoods, likelihoods, rtol=1e-10)
    assert_allclose(our_means, means, rtol=1e-10)


@pytest.mark.parametrize("policy", POLICIES, indirect=True)
def test_mixed_precision_is_near_float32(policy, model_name, device, placed, build_model, images):
    keras.config.set_dtype_policy("float32")
    logs, _, weights = cpus_step(model_name, build_model, images)
    keras.config.set_dtype_policy(policy)
    with placed(device):
        model, our_logs, _ = devices_step(
            model_name, build_model, images, weights, jit_compile=False
        )
        assert model.dtype_policy.name == policy
        assert all(v.dtype == "float32" for v in model.trainable_variables)
        assert moves_within(8, model, images)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    for key, value in logs.items():
        # bfloat16 keeps 8 bits: 2^-9 of each number, through a few layers.
        assert our_logs[key] == pytest.approx(value, rel=0.05, abs=0.05), key
