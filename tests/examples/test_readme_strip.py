"""The picture of the README is drawn from weights of the repository."""

import importlib
import pathlib

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_strip(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    script = importlib.import_module("readme_strip")
    fig = script.strip(np.zeros((64, 28, 28, 1), "float32"))
    titles = [ax.get_title() for sub in fig.subfigs for ax in sub.axes]
    assert titles[:7] == ["data", *script.SAMPLED.values()]
    assert len(titles) == 9
