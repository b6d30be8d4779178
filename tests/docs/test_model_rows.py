"""Every model has a row in the README and in the guide, and is built by the battery of tests."""

import pathlib
import re

import keras
import pytest

from tfgen import models

ROOT = pathlib.Path(__file__).parents[2]
# What others derive from, and no paper's model.
BASES = {"AuxiliaryVAE", "GenerativeModel", "ResumableModel"}


def model_names():
    return {
        name
        for name in models.__all__
        if isinstance(getattr(models, name), type)
        and issubclass(getattr(models, name), keras.Model)
    } - BASES


def rows(page):
    """The lines of a page's tables."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("page", ["README.md", "docs/models.md", "docs/papers.md"])
def test_every_model_has_a_row(page):
    named = set(re.findall(r"`(?:models\.|~tfgen\.models\.)?(\w+)`", rows(page)))
    assert model_names() <= named, model_names() - named


def test_every_model_is_in_the_battery():
    battery = (ROOT / "tests/models/conftest.py").read_text(encoding="utf-8")
    missing = {name for name in model_names() if not re.search(rf"\b{name}\b", battery)}
    assert not missing - {"MixtureEM"}, missing  # Its data have classes of their own.
