"""How the tests get at the example scripts."""

import importlib
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def load_script(monkeypatch):
    """Function from the name of an example script to its module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module
