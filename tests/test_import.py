"""Importing tfgen changes no global state, loads little, and says what it needs."""

import json
import pathlib
import subprocess
import sys

import pytest

import tfgen

LAZY = {"tfgen.datasets", "tfgen.metrics", "tfgen.tuning"}
HEAVY = {"matplotlib", "keras_tuner", "tensorflow_datasets", "SimpleITK"}
# One process imports Keras and TFP, which takes seconds; each code runs in a fork of it. Keras and
# TFP load scikit-learn too: what counts is modules that are there only after the code.
FORKS = """
import json, os, sys, traceback
import keras, tensorflow_probability
tensorflow_probability.distributions, tensorflow_probability.bijectors, tensorflow_probability.mcmc
before = set(sys.modules)
for code in json.loads(sys.argv[1]):
    sys.stdout.flush()
    if not os.fork():
        error = ""
        try:
            exec(code, {})
        except Exception:
            error = traceback.format_exc()
        loaded = sorted(set(sys.modules) - before)
        print("result:" + json.dumps({"loaded": loaded, "error": error}), flush=True)
        os._exit(0)
    os.wait()
"""
STATE = """
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
"""
OTHER_BACKEND = """
import keras
keras.config.backend = lambda: "jax"
import tfgen
"""
# A package without the imports of tfgen/__init__.py, which load the models.
ONE_AREA = f"""
import importlib, sys, types
sys.modules["tfgen"] = types.ModuleType("tfgen")
sys.modules["tfgen"].__path__ = {list(tfgen.__path__)}
importlib.import_module("tfgen.%s")
"""
# The command imports it itself, when it has read its arguments.
COMMAND = """
import sys
sys.argv = ["/usr/bin/tfgen", "--help"]
import tfgen
assert not {"tfgen.models", "tfgen.layers"} & set(sys.modules)
from tfgen.command.process import load_tensorflow
load_tensorflow()
"""
COMMAND_ON_OTHER_BACKEND = """
import keras, sys
keras.config.backend = lambda: "jax"
sys.argv = ["tfgen"]
from tfgen.command.process import load_tensorflow
load_tensorflow()
"""
CODES = {
    "tfgen": "import tfgen",
    "lazy areas": "import tfgen; tfgen.metrics, tfgen.datasets; import sklearn.cluster",
    "state": STATE,
    "other backend": OTHER_BACKEND,
    "command": COMMAND,
    "command on other backend": COMMAND_ON_OTHER_BACKEND,
    "datasets": ONE_AREA % "datasets",
    "plotting": ONE_AREA % "plotting",
}


@pytest.fixture(scope="module")
def results():
    """For each of `CODES` the modules it loaded and its error, a text that is empty without."""
    command = [sys.executable, "-c", FORKS, json.dumps(list(CODES.values()))]
    run = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in run.stdout.splitlines() if line.startswith("result:")]
    assert len(lines) == len(CODES), run.stderr[-2000:]
    found = [json.loads(line.removeprefix("result:")) for line in lines]
    return dict(zip(CODES, found, strict=True))


def of(packages, modules):
    """Modules that are in one of the packages."""
    return {name for name in modules if any(f"{name}.".startswith(f"{p}.") for p in packages)}


@pytest.mark.parametrize("code", ["other backend", "command on other backend"])
def test_another_backend_is_refused(results, code):
    message = "Received: backend 'jax'. Set the environment variable KERAS_BACKEND=tensorflow"
    assert message in results[code]["error"]


def test_a_command_loads_later_what_others_load_at_once(results):
    assert not results["command"]["error"]
    of_tfgen = of(
        {f"tfgen.{area}" for area in dir(tfgen) if area != "command"}, results["tfgen"]["loaded"]
    )
    assert of_tfgen <= set(results["command"]["loaded"])


def test_import_changes_no_global_state(results):
    assert not results["state"]["error"]


def test_import_loads_little(results):
    assert not results["tfgen"]["error"]
    modules = results["tfgen"]["loaded"]
    assert "tfgen.models.vae" in modules
    assert not of({"sklearn", "PIL"} | HEAVY | LAZY, modules)


def test_what_is_loaded_would_be_seen(results):
    modules = set(results["lazy areas"]["loaded"])
    assert {"tfgen.metrics", "tfgen.datasets"} <= modules
    assert of({"sklearn"}, modules)
    assert not of(HEAVY, modules)


@pytest.mark.parametrize(
    ("area", "packages"),
    [
        ("datasets", {"sklearn", "PIL", "tfgen.models"}),
        ("plotting", {"sklearn", "PIL", "scipy", "tfgen.models", "tfgen.datasets"}),
    ],
)
def test_an_area_alone_loads_no_optional_package(results, area, packages):
    assert not results[area]["error"]
    modules = results[area]["loaded"]
    assert f"tfgen.{area}" in modules
    assert not of(packages | HEAVY, modules)


def test_dir_lists_the_areas_and_nothing_else():
    folders = pathlib.Path(tfgen.__file__).parent.glob("[!_]*/__init__.py")
    assert dir(tfgen) == sorted(path.parent.name for path in folders)
    assert all(getattr(tfgen, name).__name__ == f"tfgen.{name}" for name in dir(tfgen))


def test_unknown_area():
    with pytest.raises(AttributeError, match="has no attribute 'flows'"):
        tfgen.flows  # noqa: B018
