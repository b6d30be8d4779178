"""Two replicas, in a process of their own because devices are fixed once TensorFlow has begun."""

import subprocess
import sys
import textwrap

SCRIPT = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tfgen import datasets, models, networks

data, info = datasets.load("digits", batch_size=120)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = models.VAE(networks.mlp_encoder(info.image_shape, 4, width=32),
                       networks.mlp_decoder(info.image_shape, 4, width=32), seed=0)
    model.compile("adam", jit_compile=False)
losses = model.fit(data, epochs=3, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
assert int(tf.convert_to_tensor(model.steps.value)) == 3 * 12
seeds = model.distribute_strategy.run(model.next_seed).values
assert seeds[0][1] != seeds[1][1], seeds
print("two replicas trained")
"""


def test_two_replicas():
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], capture_output=True, text=True
    )
    assert "two replicas trained" in result.stdout, result.stderr[-3000:]
