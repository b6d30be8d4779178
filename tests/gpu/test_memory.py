"""Memory of the device: what training leaves behind, and where data are."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import models, networks

pytestmark = pytest.mark.gpu

MB = 2**20


def vae(**options):
    """The VAE with the networks' default width: 5 MB of weights, thrice with those of Adam."""
    shape = (28, 28, 1)
    model = models.VAE(networks.mlp_encoder(shape, 10), networks.mlp_decoder(shape, 10), seed=0)
    model.compile(keras.optimizers.Adam(1e-3), **options)
    return model


def bytes_in_use(device):
    """Of a GPU, what TensorFlow has allocated; of a CPU, the variables that are alive."""
    gc.collect()
    if device.startswith("GPU"):
        return tf.config.experimental.get_memory_info(device)["current"]
    variables = [thing for thing in gc.get_objects() if isinstance(thing, tf.Variable)]
    return sum(int(np.prod(v.shape)) * v.dtype.size for v in variables)


def test_repeated_fits_of_one_model_need_no_more_memory(device, on_device):
    model, x, used = vae(), np.zeros((512, 28, 28, 1), "float32"), []
    for _ in range(6):
        model.fit(x, batch_size=128, verbose=0)
        used.append(bytes_in_use(device))
    # The first two fits make what stays. x has 1.6 MB.
    assert max(used[2:]) - used[1] < MB, used


def test_models_that_are_gone_leave_no_memory_behind(device, on_device):
    x, used = np.zeros((512, 28, 28, 1), "float32"), []
    for _ in range(5):
        model = vae()
        model.fit(x, batch_size=128, verbose=0)
        weights = sum(v.numpy().nbytes for v in model.variables)
        del model
        used.append(bytes_in_use(device))
    assert weights > 4 * MB
    assert max(used[2:]) - used[1] < MB, used


def test_arrays_stay_in_the_memory_of_the_host(device, on_device):
    if not device.startswith("GPU"):
        pytest.skip("a CPU has no memory of its own")
    x = np.zeros((160 * 1024, 28, 28, 1), "float32")
    model = vae(jit_compile=False, steps_per_execution=1)  # Nothing is compiled anew for more data.
    model.fit(x[:2048], batch_size=1024, verbose=0)  # What the model itself needs.
    before = tf.config.experimental.get_memory_info(device)["current"]
    tf.config.experimental.reset_memory_stats(device)
    model.fit(x, batch_size=1024, verbose=0)
    peak = tf.config.experimental.get_memory_info(device)["peak"]
    # x has 490 MB; some batches of 3 MB with their activations, and prefetched ones.
    assert peak - before < x.nbytes / 2, (peak / MB, before / MB)
