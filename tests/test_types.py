"""Everything public has type hints, and a type checker sees wrong calls by them."""

import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest

import tfgen

ROOT = pathlib.Path(__file__).parents[1]
# Calls, and what mypy must find in them: nothing, or a keyword that is misspelt.
RIGHT = """
import keras
import numpy as np
from tfgen import callbacks, datasets, layers, losses, metrics, models, networks, plotting

encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2, width=64)
decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2)
model = models.BetaVAE(encoder, decoder, beta=3.0, prior=layers.StandardNormal(2), seed=0)
model.compile(keras.optimizers.Adam(1e-3))
data, info = datasets.load("digits", "train", binarize="threshold")
model.fit(data, epochs=2, callbacks=[callbacks.KLWarmUp(num_steps=10)])
figure, axes = plotting.samples(model)
layers.IndependentNormal((2, 3), name="q", dtype="float32")
score = metrics.squared_mmd(np.zeros((8, 2)), np.ones((8, 2)))
"""
WRONG = {
    "models.BetaVAE(encoder, decoder, betta=3)": "betta",
    "models.VAE(encoder, decoder, sed=0)": "sed",
    "networks.mlp_encoder((8, 8, 1), latent_dims=2)": "latent_dims",
    "layers.IndependentNormal(2, reinterpreted=1)": "reinterpreted",
    "datasets.load('digits', batchsize=3)": "batchsize",
    "plotting.samples(model, num_image=3)": "num_image",
}


def is_tfgens(thing):
    return (getattr(thing, "__module__", None) or "").startswith("tfgen.")


def public_names():
    """Pairs of a full name and what it names, for each `__all__`."""
    for area in tfgen.__all__:
        module = importlib.import_module(f"tfgen.{area}")
        yield from ((f"{area}.{name}", getattr(module, name)) for name in module.__all__)


def functions_of(cls):
    """Public methods and the constructor that tfgen gives to a class, its parents' included."""
    for name in dir(cls):
        attribute = inspect.getattr_static(cls, name)
        if isinstance(attribute, staticmethod | classmethod):
            attribute = attribute.__func__
        elif isinstance(attribute, property):
            attribute = attribute.fget
        if inspect.isfunction(attribute) and is_tfgens(attribute):
            if name == "__init__" or not name.startswith("_"):
                yield name, inspect.unwrap(attribute)


def public_functions():
    for name, thing in public_names():
        if inspect.isclass(thing):
            yield from ((f"{name}.{method}", found) for method, found in functions_of(thing))
        elif callable(thing):
            yield name, inspect.unwrap(thing)


def lacking(function):
    """Parameters without annotation, and "return" if what is returned has none."""
    signature = inspect.signature(function)
    without = [
        parameter.name
        for position, parameter in enumerate(signature.parameters.values())
        if parameter.annotation is inspect.Parameter.empty
        if not (position == 0 and parameter.name in ("self", "cls"))
    ]
    has_return = signature.return_annotation is not inspect.Signature.empty
    return without + ([] if has_return else ["return"])


def test_everything_public_has_type_hints():
    without = {}
    for name, function in public_functions():
        if lacking(function):
            place = f"{function.__module__}.{function.__qualname__}"
            without[place] = f"{', '.join(lacking(function))} (as {name})"
    lines = [f"{place}: {parameters}" for place, parameters in sorted(without.items())]
    assert not lines, f"{len(lines)} without hints:\n" + "\n".join(lines)


def test_package_says_that_it_is_typed():
    assert (pathlib.Path(tfgen.__file__).parent / "py.typed").exists()


def mypy(folder, code):
    """mypy's errors in `code`, run outside the checkout, where it sees only what is installed."""
    pytest.importorskip("mypy")
    path = folder / "script.py"
    path.write_text(code, encoding="utf-8")
    options = ["--config-file", ROOT / "setup.cfg", "--cache-dir", ROOT / ".mypy_cache"]
    command = [sys.executable, "-m", "mypy", *options, path]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert not result.stderr
    return [line for line in result.stdout.splitlines() if "script.py" in line and "error:" in line]


def test_type_checker_sees_misspelt_keywords_and_nothing_else(tmp_path):
    messages = mypy(tmp_path, RIGHT + "\n".join(WRONG) + "\n")
    first = RIGHT.count("\n") + 1
    by_line = {int(line.split("script.py:")[1].split(":")[0]): line for line in messages}
    assert {line: text for line, text in by_line.items() if line < first} == {}
    seen = {
        call
        for line, call in enumerate(WRONG, first)
        if f'"{WRONG[call]}"' in by_line.get(line, "")
    }
    assert seen == set(WRONG)
