"""The files that say how to cite name the version that is here."""

import pathlib
import re

import pytest

import tfgen

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    "path, pattern",
    [
        (".github/CITATION.cff", r"^version: (\S+)$"),
        ("docs/cite.md", r"^  version = \{(\S+)\},$"),
    ],
)
def test_version(path, pattern):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.findall(pattern, text, re.MULTILINE) == [tfgen.__version__]
