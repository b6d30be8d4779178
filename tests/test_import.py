"""Importing tfgen changes no global state, and says what it needs."""

import subprocess
import sys


def python(code, **env):
    import os

    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}
    )


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


def test_import_changes_no_global_state_and_loads_nothing_heavy():
    code = """
import random, sys, warnings
import keras, numpy as np, tensorflow as tf
import tensorflow_probability.python.distributions
def state():
    return (keras.config.floatx(), keras.config.dtype_policy().name, random.getstate(),
            repr(np.random.get_state()), warnings.filters[:], tf.executing_eagerly(),
            tf.config.optimizer.get_jit())
before, modules = state(), set(sys.modules)
import tfgen
assert state() == before
heavy = {"matplotlib", "sklearn", "tensorflow_datasets", "keras_tuner", "PIL"}
assert not heavy & (set(sys.modules) - modules), set(sys.modules) - modules
assert set(tfgen.__all__) <= {name for name in tfgen.__all__ if getattr(tfgen, name)}
print("ok")
"""
    result = python(code)
    assert result.stdout.strip().endswith("ok"), result.stderr[-2000:]


def test_unknown_area():
    import pytest

    import tfgen

    with pytest.raises(AttributeError, match="has no attribute 'flows'"):
        tfgen.flows  # noqa: B018
