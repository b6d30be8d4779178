"""Two replicas, in a process of their own because devices are fixed once TensorFlow has begun."""

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import contextlib
import keras
from tfgen import layers, losses

x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")


def heads():
    prior = layers.StandardNormal(2)
    kl = layers.KLDivergenceRegularizer(prior, use_exact_kl=True)
    yield [layers.IndependentNormal(2, "mean", activity_regularizer=kl)]
    add_kl = layers.KLDivergenceAddLoss(prior, use_exact_kl=True)
    yield [layers.IndependentNormal(2, "mean"), add_kl]
    yield [layers.IndependentNormal(2, "mean", activity_regularizer="l2")]


def trained(number, scope):
    with scope:
        kernel = keras.initializers.RandomNormal(seed=1)
        first, last = (keras.layers.Dense(n, kernel_initializer=kernel) for n in (4, 8))
        between = list(heads())[number]
        model = keras.Sequential(
            [keras.Input((4,)), first, *between, last, layers.IndependentNormal(4)]
        )
        model.compile(keras.optimizers.SGD(0.1), losses.NegativeLogLikelihood())
    history = model.fit(x, x, batch_size=6, epochs=2, shuffle=False, verbose=0).history["loss"]
    loss = model.evaluate(x, x, batch_size=6, verbose=0)
    return [*history, loss, *model.get_weights()[0].ravel()]


strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for number in range(3):
    one, two = trained(number, contextlib.nullcontext()), trained(number, strategy.scope())
    # Sums of 12 float32 terms of order 1 in another order, over four steps.
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
print("as one device")
"""


@pytest.mark.slow
def test_losses_of_two_replicas_are_those_of_one_device():
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "as one device" in done.stdout, done.stderr[-2000:]
