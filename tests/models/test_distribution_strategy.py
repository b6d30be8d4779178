"""Two replicas, in a process of their own because devices are fixed once TensorFlow has begun."""

import pathlib
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
import sys

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from tfgen import datasets, models, networks

sys.path.insert(0, sys.argv[1])
import conftest

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def check_replicas(model):
    for variable in model.trainable_variables:
        first, second = variable.value.values
        np.testing.assert_array_equal(first, second, err_msg=variable.path)
    draws = [strategy.run(model.next_seed).values for _ in range(10)]
    seeds = {tuple(seed.numpy()) for replicas in draws for seed in replicas}
    assert len(seeds) == 20, "two draws of two replicas have one seed"


data, info = datasets.load("digits", batch_size=120, labels=True)
with strategy.scope():
    options = {"latent_dim": 4, "width": 32, "num_classes": 10}
    model = models.VAE(networks.mlp_encoder(info.image_shape, **options),
                       networks.mlp_decoder(info.image_shape, **options), seed=0)
    model.compile("adam", jit_compile=False)
losses = model.fit(data, epochs=2, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
assert int(tf.convert_to_tensor(model.steps.value)) == 2 * 12
check_replicas(model)
history = model.fit(data.unbatch().batch(15), verbose=0).history  # Eight examples and seven.
assert np.isfinite(history["loss"][0])

x = np.random.default_rng(0).normal(size=(32, 2, 2, 1)).astype("float32")
for name in sys.argv[2:]:
    with strategy.scope():
        model = conftest._BUILDERS[name](conftest._networks(), seed=0)
        before = [v.numpy() for v in model.decoder.trainable_variables]
        model.compile(keras.optimizers.SGD(0.01), jit_compile=False)
    history = model.fit(x, batch_size=16, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values()), (name, history)
    after = [v.numpy() for v in model.decoder.trainable_variables]
    assert not any(np.array_equal(a, b) for a, b in zip(before, after)), name
    check_replicas(model)
    if name == "wgan":
        assert max(np.abs(w).max() for w in model.discriminator.get_weights()) <= np.float32(0.1)
    print(name, "trained")
print("two replicas trained")
"""
# Turns and old samples, averages of a codebook, scales set by data.
NAMES = ["gan_proximity", "vq_vae", "flow"]
# Clipping, second derivatives, a multiplier that a step assigns, shuffling.
MORE_NAMES = ["vae", "wgan", "wgan_gp", "constrained", "factor_vae"]


@pytest.mark.parametrize("names", [NAMES, pytest.param(MORE_NAMES, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_two_replicas(names):
    folder = str(pathlib.Path(__file__).parent)
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), folder, *names],
        capture_output=True,
        text=True,
    )
    assert "two replicas trained" in result.stdout, result.stderr[-3000:]
