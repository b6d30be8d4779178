"""Sphinx settings: `sphinx-build -W -b html docs docs/_build`, after `pip install -e '.[docs]'`."""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

import api_members  # noqa: E402

import tfgen  # noqa: E402  (TensorFlow reads that variable when it is imported)

project = "tfgen"
author = copyright = "the tfgen authors"
version = release = tfgen.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "api_members",
    "docstrings",
    "mathml",
    "model_pages",
    "notebooks",
]
exclude_patterns = ["_build", "comparison", "results"]  # Pages include what is in these.
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"tfgen {version}"
html_static_path = ["_static"]
pygments_dark_style = "github-dark"
html_css_files = ["tfgen.css"]
html_math_renderer = "mathml"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# A page for each area of tfgen and for each name in its `__all__`, from the templates.
AREAS = [getattr(tfgen, name) for name in tfgen.__all__]
autosummary_context = api_members.template_context([*AREAS, tfgen.datasets.sprites])
# These differ from another page's name only in capitals, which some file systems do not tell apart.
autosummary_filename_map = {
    "tfgen.models.Draw": "tfgen.models.Draw_tuple",
    "tfgen.metrics.DCI": "tfgen.metrics.DCI_tuple",
}

# Docstrings name things in single backticks: all are shown as code, those documented are links.
default_role = "py:obj"
# A page's explicit links, such as {py:class}, must lead to something that is documented.
nitpicky = True
nitpick_ignore = [  # Bases that are not public.
    ("py:class", "tfgen.models.compiled_model.CompiledModel"),
    ("py:class", "tfgen.models.conditional.ConditionalModel"),
    ("py:class", "tfgen.models.loss_weights.WeightedModel"),
]
nitpick_ignore_regex = [("py:obj", "(?s).*"), ("py:.*", r"(?!tfgen\.).*")]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False  # Those of Keras are Markdown.
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # Docstrings say types, with shapes; hints would fill the signatures.
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Call arguments", "params_style")]
