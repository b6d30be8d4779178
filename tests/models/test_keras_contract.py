"""Every line of the contract with Keras, for every model class; see keras_contract.py."""

import pathlib

import keras
import numpy as np
import pytest
from keras_contract import LINES, table

from tfgen import models

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "keras.md"


# Models of the battery that take images alone.
ONLY_IMAGES = ("draw", "conditional_draw", "flow")
# Their y are masks, of which what is exported takes one: tests/models/test_missing_data.py.
OF_MASKS = ("missing_data_vae", "miwae")
WITH_Y = (" y", "labels", "targets", "`export` and")


def mixture_em(x):
    model = models.MixtureEM(2, x.shape[1:], "diagonal", seed=0)
    model.compile(run_eagerly=True)
    model.initialize(x)
    return model


def build(name, build_model, x):
    """A compiled model, of images or flat data as `x` are."""
    if name == "mixture_em":
        return mixture_em(x)
    model = build_model(name)
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    return model


def run_line(line, name, build_model, blobs, monkeypatch):
    """A cell of the table: works with its values, or is refused with its message."""
    if line.flat:
        blobs = blobs.reshape(-1, 4)
        monkeypatch.setitem(build_model.__globals__, "SHAPE", (4,))
    model, x = build(name, build_model, blobs), blobs[:16]
    y = np.arange(16) % 2 if getattr(model, "num_classes", None) else None
    if line.refuses(model):
        with pytest.raises(ValueError, match=line.message):
            line.do(model, x, y)
    else:
        line.do(model, x, y)


@pytest.mark.filterwarnings("ignore:.*takes no labels")
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.title)
@pytest.mark.parametrize("name", ["vae", "mixture_em"])
def test_contract(name, line, build_model, blobs, monkeypatch):
    run_line(line, name, build_model, blobs, monkeypatch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*takes no labels")
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.title)
def test_contract_of_every_model(model_name, line, build_model, blobs, monkeypatch):
    others = (line.flat and model_name in ONLY_IMAGES) or (
        model_name in OF_MASKS and any(words in line.title for words in WITH_Y)
    )
    if model_name != "vae" and not others:
        run_line(line, model_name, build_model, blobs, monkeypatch)


def test_the_docs_show_the_table():
    text = PAGE.read_text(encoding="utf-8")
    assert table() in text, f"Write into {PAGE}:\n{table()}"
