"""Mathematics as MathML, which browsers show without a script and without a network.

The font, STIX Two Math, is taken from ziamath and lies beside the pages: not every system has one
with tall brackets.
"""

import pathlib

import ziamath
from docutils import nodes
from fontTools.ttLib import TTFont
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

FONT = pathlib.Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"
_CONVERTER = LatexToMathML()
_LOGGER = logging.getLogger(__name__)


def convert(node, displaystyle):
    """MathML of a node's LaTeX; LaTeX that is wrong is a warning, and stands there as it is."""
    try:
        return _CONVERTER.convert_with_local_state(node.astext(), displaystyle=displaystyle)
    except LatexError as error:
        _LOGGER.warning("LaTeX that cannot be read: %s", error, location=node)
        return f"<code>{node.astext()}</code>"


def visit_inline(self, node):
    """Writes a formula within a line."""
    self.body.append(convert(node, displaystyle=False))
    raise nodes.SkipNode


def visit_block(self, node):
    """Writes a formula of its own, with its number if it has a label."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})</span>')
    self.body.append(convert(node, displaystyle=True) + "</div>\n")
    raise nodes.SkipNode


def write_font(app, error):
    """Adds the font to the pages, compressed."""
    if error is None and app.builder.format == "html":
        font = TTFont(FONT)
        font.flavor = "woff"
        font.save(app.outdir / "_static" / "STIXTwoMath.woff")


def setup(app):
    """Registers the renderer `mathml` for `html_math_renderer`."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("build-finished", write_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
