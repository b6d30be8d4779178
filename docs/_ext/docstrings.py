"""How autodoc reads the docstrings and signatures of tfgen."""

import re

from sphinx.util.inspect import signature as inspect_signature
from sphinx.util.inspect import stringify_signature

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
