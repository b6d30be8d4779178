"""The device of these tests: the first GPU, or what TFGEN_GPU_TESTS_DEVICE names.

`TFGEN_GPU_TESTS_DEVICE=CPU:0` runs them on a machine without a GPU, `CPU:1` on a second logical CPU
of it, so that what was left on the first would be seen.
"""

import contextlib
import importlib.util
import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

NAME = os.environ.get("TFGEN_GPU_TESTS_DEVICE", "GPU:0")
KIND = NAME.split(":")[0]


def _prepare():
    """What must be set before TensorFlow begins."""
    if NAME == "CPU:1":
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


with contextlib.suppress(RuntimeError):  # It has begun: other tests were collected before.
    _prepare()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One process, where these tests are named alone: several would share the GPU."""
    return 0


def _reason_to_skip():
    if "PYTEST_XDIST_WORKER" in os.environ:
        return "several processes would share the GPU: pytest -n 0 -m gpu tests/gpu"
    if not any(found.name.endswith(NAME) for found in tf.config.list_logical_devices(KIND)):
        return f"TensorFlow sees no {NAME}; TFGEN_GPU_TESTS_DEVICE=CPU:0 runs this on a CPU"
    return None


@pytest.fixture(autouse=True)
def device():
    """Name of the device, such as "GPU:0"; the test is skipped where there is none."""
    if reason := _reason_to_skip():
        pytest.skip(reason)
    return NAME


@pytest.fixture(autouse=True)
def full_float32():
    """No TensorFloat-32, which keeps 10 bits of what is multiplied."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    yield
    tf.config.experimental.enable_tensor_float_32_execution(before)


def _placed(name):
    """Where a user's code runs: a GPU is taken without being named."""
    return contextlib.nullcontext() if name.startswith("GPU") else tf.device(name)


@pytest.fixture
def placed():
    """Function from the name of a device to the context in which TensorFlow uses it."""
    return _placed


@pytest.fixture
def on_device(device):
    """Everything in the test is on the device."""
    with _placed(device):
        yield


# The tiny models of tests/models.


def _battery():
    path = pathlib.Path(__file__).parents[1] / "models" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tfgen_battery", path)
    battery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(battery)
    return battery


BATTERY = _battery()


def pytest_generate_tests(metafunc):
    """Runs a test that asks for `model_name` once for every model."""
    if "model_name" in metafunc.fixturenames:
        metafunc.parametrize("model_name", BATTERY._BUILDERS)


@pytest.fixture
def build_model():
    """Function from a name to a new tiny model."""

    def build(name):
        keras.utils.set_random_seed(0)
        return BATTERY._BUILDERS[name](BATTERY._networks(), seed=0)

    return build


@pytest.fixture(scope="session")
def images():
    """32 images near one of two constant ones, float32 of shape (32, 2, 2, 1)."""
    rng = np.random.default_rng(0)
    centres = rng.choice([-1.0, 1.0], size=(32, 1, 1, 1))
    return (centres + 0.2 * rng.normal(size=(32, 2, 2, 1))).astype("float32")
