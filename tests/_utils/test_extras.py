"""A missing dependency is said with the extra that brings it."""

import sys

import pytest

from tfgen._utils import extras


def test_the_module_itself_is_returned():
    import xml.dom

    assert extras.require("xml.dom", extra="data") is xml.dom


def test_a_missing_module_is_said_with_its_extra():
    with pytest.raises(ImportError, match=r"^no_such is not .* pip install 'tfgen\[data\]'\.$"):
        extras.require("no_such.part", extra="data")


def test_a_hidden_module_is_said_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"matplotlib.pyplot .* pip install 'tfgen\[plot\]'"):
        extras.require("matplotlib.pyplot", extra="plot")


def test_what_the_module_lacks_itself_is_named(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import no_such\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"no_such is not installed"):
        extras.require("needs_more", extra="data")


def test_other_errors_of_the_module_pass(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("import math\nmath.no_such\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AttributeError, match="no_such"):
        extras.require("broken", extra="data")
