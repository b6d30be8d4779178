"""Runs the Python code of the README and of the docs, and looks for the files they name."""

import doctest
import pathlib
import re

import keras
import matplotlib.pyplot as plt
import pytest

from tfgen.models import ResumableModel

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(
    r"(?<![\w/])(?:examples|tests|docs|tfgen|\.github)/[\w/.-]+\.(?:py|json|md|png|html|cff|txt)\b"
)
README_LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
# Enough to see that the code runs; what training reaches is measured elsewhere.
MAX_EPOCHS = 3


def code_blocks(page):
    """Triples (language, code, line number) of a page."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        yield *block.groups(), text.count("\n", 0, block.start(2))


def run_script(page, code, line, namespace):
    """Executes a block; its lines are numbered as in the page."""
    exec(compile("\n" * line + code, page, "exec"), namespace)


def run_session(page, code, line, namespace):
    """Executes a block with prompts and compares what it prints."""
    test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), line)
    test.globs = namespace  # Set here because the constructor copies it.
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    messages = []
    runner.run(test, out=messages.append, clear_globs=False)
    assert not runner.failures, "".join(messages)


RUNNERS = {"python": run_script, "pycon": run_session}


@pytest.fixture
def quick_and_apart(tmp_path, monkeypatch):
    """Files go to a folder of the test, settings go back, training is cut short."""
    monkeypatch.chdir(tmp_path)
    policy = keras.config.dtype_policy()
    fit = ResumableModel.fit

    def short_fit(model, *args, epochs=1, **kwargs):
        return fit(model, *args, epochs=min(epochs, MAX_EPOCHS), **kwargs)

    monkeypatch.setattr(ResumableModel, "fit", short_fit)
    plt.switch_backend("Agg")
    yield
    plt.close("all")
    keras.config.set_dtype_policy(policy)


def pages_with_code():
    return [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.pages
@pytest.mark.parametrize("page", pages_with_code(), ids=lambda page: str(page.relative_to(ROOT)))
def test_code_runs(page, quick_and_apart):
    namespace = {"__name__": "__main__"}
    for language, code, line in code_blocks(page):
        RUNNERS[language](page, code, line, namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page):
    missing = {
        name
        for name in FILE.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    }
    assert not missing


def test_links_of_readme_lead_to_files():  # Sphinx checks those of the docs.
    links = README_LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
