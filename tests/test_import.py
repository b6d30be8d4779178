"""Importing tfgen changes no global state, loads little, and says what it needs."""

import os
import pathlib
import subprocess
import sys

import pytest

import tfgen

LAZY = {"tfgen.datasets", "tfgen.metrics", "tfgen.tuning"}
HEAVY = {"matplotlib", "keras_tuner", "tensorflow_datasets", "SimpleITK"}
# Keras and TFP load scikit-learn too: what counts is submodules that are there only after tfgen.
NEW_MODULES = """
import sys
import keras, tensorflow_probability
tensorflow_probability.distributions, tensorflow_probability.bijectors, tensorflow_probability.mcmc
before = set(sys.modules)
import tfgen
print("loaded:", *sorted(set(sys.modules) - before))
"""


def python(code, **env):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}
    )


def loaded(code=""):
    """Names of the modules that `import tfgen` and then `code` load, without Keras' and TFP's."""
    result = python(NEW_MODULES.replace("import tfgen\n", f"import tfgen\n{code}\n"))
    assert result.returncode == 0, result.stderr[-2000:]
    return set(result.stdout.split("loaded:")[1].split())


def of(packages, modules):
    """Modules that are in one of the packages."""
    return {name for name in modules if any(f"{name}.".startswith(f"{p}.") for p in packages)}


def test_another_backend_is_refused():
    code = """
import keras
keras.config.backend = lambda: "jax"
import tfgen
"""
    result = python(code)
    assert result.returncode != 0
    assert "Received: backend 'jax'. Set the environment variable KERAS_BACKEND=tensorflow" in (
        result.stderr
    )


def test_import_changes_no_global_state():
    code = """
import random, warnings
import keras, numpy as np, tensorflow as tf
import tensorflow_probability.python.distributions
def state():
    return (keras.config.floatx(), keras.config.dtype_policy().name, random.getstate(),
            repr(np.random.get_state()), warnings.filters[:], tf.executing_eagerly(),
            tf.config.optimizer.get_jit())
before = state()
import tfgen
assert state() == before
print("ok")
"""
    result = python(code)
    assert result.stdout.strip().endswith("ok"), result.stderr[-2000:]


def test_import_loads_little():
    modules = loaded()
    assert "tfgen.models.vae" in modules
    assert not of({"sklearn", "PIL"} | HEAVY | LAZY, modules)


def test_what_is_loaded_would_be_seen():
    modules = loaded("tfgen.metrics, tfgen.datasets\nimport sklearn.cluster")
    assert {"tfgen.metrics", "tfgen.datasets"} <= modules
    assert of({"sklearn"}, modules)
    assert not of(HEAVY, modules)


def test_dir_lists_the_areas_and_nothing_else():
    folders = pathlib.Path(tfgen.__file__).parent.glob("[!_]*/__init__.py")
    assert dir(tfgen) == sorted(path.parent.name for path in folders)
    assert all(getattr(tfgen, name).__name__ == f"tfgen.{name}" for name in dir(tfgen))


def test_unknown_area():
    with pytest.raises(AttributeError, match="has no attribute 'flows'"):
        tfgen.flows  # noqa: B018
