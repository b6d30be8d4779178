"""The notebooks are those of the pages, and run."""

import importlib.util
import pathlib

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra docs")

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
SCRIPT = ROOT / "docs" / "_ext" / "notebooks.py"
FEW_EPOCHS = """
from tfgen.models import ResumableModel

fit = ResumableModel.fit
ResumableModel.fit = lambda *args, epochs=1, **kwargs: fit(*args, epochs=min(epochs, 3), **kwargs)
"""


def load_script():
    spec = importlib.util.spec_from_file_location("notebooks", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


script = load_script()


def test_notebooks_are_those_of_the_pages():
    files = {path.name: nbformat.read(path, 4) for path in FOLDER.glob("*.ipynb")}
    assert files == script.notebooks(), f"run python {SCRIPT.relative_to(ROOT)}"


def test_notebooks_have_no_outputs():
    cells = [cell for path in FOLDER.glob("*.ipynb") for cell in nbformat.read(path, 4).cells]
    assert not any(cell.get("outputs") for cell in cells)


def test_every_block_of_the_pages_is_in_a_notebook():
    cells = {cell.source for made in script.notebooks().values() for cell in made.cells}
    for name in ("tutorial", "recipes"):
        page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        blocks = [source for kind, source in script.cells_of(page) if kind == "code"]
        is_shared = name == "recipes"  # Its first block has the imports, which are cells of none.
        assert len(blocks) > 5
        assert not set(blocks[is_shared:]) - cells


def test_setup_takes_single_statements_of_earlier_recipes():
    page = """# Recipes

```python
import math
import os
```

## First

```python
start = 2
unused = os.getcwd()
value = start
value = math.sqrt(value)
```

## Second

```python
values = [value * i for i in range(3)]
```
"""
    (_, setup), *_ = script.of_recipes(page)["Second"]
    assert setup == "import math\nstart = 2\nvalue = start\nvalue = math.sqrt(value)"


@pytest.mark.pages
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    """In a kernel of its own, with as few epochs as the pages have in their tests."""
    nbclient = pytest.importorskip("nbclient", reason="needs the extra docs")
    content = nbformat.read(path, 4)
    content.cells.insert(0, nbformat.v4.new_code_cell(FEW_EPOCHS))
    client = nbclient.NotebookClient(
        content,
        timeout=1200,
        kernel_name="python3",
        resources={"metadata": {"path": tmp_path}},
    )
    client.execute()
