"""Sphinx settings: `sphinx-build -W -b html docs docs/_build`, after `pip install -e '.[docs]'`."""

import os
import pathlib
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))  # Of `model_pages`.

from sphinx.util.inspect import signature as inspect_signature  # noqa: E402
from sphinx.util.inspect import stringify_signature  # noqa: E402

import tfgen  # noqa: E402  (TensorFlow reads that variable when it is imported)

project = "tfgen"
author = "the tfgen authors"
version = release = tfgen.__version__

extensions = [
    "model_pages",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "comparison", "results"]  # Pages include what is in these.
html_theme = "alabaster"
html_theme_options = {
    "description": "Probabilistic generative models for Keras 3",
    "fixed_sidebar": True,
    "page_width": "1080px",
    "sidebar_width": "240px",
}

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Docstrings name things in single backticks: all are shown as code, those documented are links.
default_role = "py:obj"
# A page's explicit links, such as {py:class}, must lead to something that is documented.
nitpicky = True
nitpick_ignore = [("py:class", "tfgen.models.persistent_model.PersistentModel")]  # Not public.
nitpick_ignore_regex = [("py:obj", "(?s).*"), ("py:.*", r"(?!tfgen\.).*")]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False  # Those of Keras are Markdown.
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # Docstrings say types, with shapes; hints would fill the signatures.
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Call arguments", "params_style")]

_CODE_STRESS_OR_MARK = re.compile(r"`[^`]*`|\*\w+\*|\*\*\w+|(?P<mark>[*|]|_(?!\w))")


def escape_marks(app, what, name, obj, options, lines):
    """Docstrings are plain text but for `code` and *stress*: other marks stand for themselves."""
    text, header, example = "\n".join(lines).partition("Example:\n")
    text = _CODE_STRESS_OR_MARK.sub(
        lambda found: "\\" + found[0] if found["mark"] else found[0], text
    )
    lines[:] = (text + header + example).split("\n")


def show_constructor(app, what, name, obj, options, signature, return_annotation):
    """Keras layers have a `__new__` that takes anything; their own arguments are in `__init__`."""
    if what == "class" and signature == "(*args, **kwargs)":
        signature = inspect_signature(obj.__init__, bound_method=True)
        return stringify_signature(signature, show_annotation=False), None


def skip_references(app, what, name, obj, skip, options):
    """Leaves out the fields of named tuples, and classes that a class refers to."""
    is_field = type(obj).__name__ == "_tuplegetter"
    return True if what == "class" and (is_field or isinstance(obj, type)) else None


def setup(app):
    """Escapes before napoleon, whose priority is 500, turns sections into fields."""
    app.connect("autodoc-process-docstring", escape_marks, priority=100)
    app.connect("autodoc-process-signature", show_constructor)
    app.connect("autodoc-skip-member", skip_references)
