"""Every line of the contract with Keras, for every model class; see keras_contract.py."""

import pathlib

import keras
import numpy as np
import pytest
from keras_contract import LINES, table

from tfgen import models

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "keras.md"


def mixture_em(blobs):
    model = models.MixtureEM(2, (2, 2, 1), "diagonal", seed=0)
    model.compile(run_eagerly=True)
    model.initialize(blobs)
    return model


def run_line(line, build, x):
    """A cell of the table: works with its values, or is refused with its message."""
    model = build()
    y = np.arange(16) % 2 if isinstance(model, models.ConditionalVAE) else None
    if line.refuses(model):
        with pytest.raises(ValueError, match=line.message):
            line.do(model, x, y)
    else:
        line.do(model, x, y)


def builder(name, build_model, blobs):
    if name == "mixture_em":
        return lambda: mixture_em(blobs)

    def build():
        model = build_model(name)
        model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
        return model

    return build


@pytest.mark.filterwarnings("ignore:.*takes no labels")
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.title)
@pytest.mark.parametrize("name", ["vae", "mixture_em"])
def test_contract(name, line, build_model, blobs):
    run_line(line, builder(name, build_model, blobs), blobs[:16])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*takes no labels")
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.title)
def test_contract_of_every_model(model_name, line, build_model, blobs):
    if model_name != "vae":
        run_line(line, builder(model_name, build_model, blobs), blobs[:16])


def test_the_docs_show_the_table():
    text = PAGE.read_text()
    assert table() in text, f"Write into {PAGE}:\n{table()}"
