"""Notebooks of the tutorial and the recipes, made from their pages, and links to them.

    python docs/_ext/notebooks.py  # after each change of these pages

A notebook of a recipe begins with what its code needs of the page before: the imports, and single
statements of earlier recipes.
"""

import ast
import builtins
import pathlib
import re

DOCS = pathlib.Path(__file__).parents[1]
FOLDER = DOCS / "notebooks"
INSTALL = """\
# On Colab, remove the # of the last line, and put the address of tfgen's repository for the dots.
# (What PyPI has under this name is another project.)
# %pip install -q 'tfgen[all] @ git+https://...'"""

_BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## (.*)\n", re.MULTILINE)
_PROMPT = re.compile(r"^(?:>>>|\.\.\.) ?")
_ROLE = re.compile(r"\{py:\w+\}`~?([\w.]+)`")
_IMAGE = re.compile(r"^!\[[^]]*\]\(images/.*\)\n", re.MULTILINE)
_LINK_TO_PAGE = re.compile(r"\[([^]]*)\]\(\w+\.md[^)]*\)")


def plain(text):
    """Markdown that any viewer shows: no roles, no links to pages, no pictures of what follows."""
    text = _LINK_TO_PAGE.sub(r"\1", _IMAGE.sub("", text))
    return _ROLE.sub(r"`\1`", text).strip()


def typed(language, code):
    """The code of a block; of a session with prompts, the lines that are typed."""
    if language == "python":
        return code.strip()
    return "\n".join(_PROMPT.sub("", line) for line in code.splitlines() if _PROMPT.match(line))


def cells_of(markdown):
    """Pairs (kind, source) of the cells of a part of a page."""
    end = 0
    for block in _BLOCK.finditer(markdown):
        yield "markdown", plain(markdown[end : block.start()])
        yield "code", typed(*block.groups())
        end = block.end()
    yield "markdown", plain(markdown[end:])


def statements(cells):
    """Pairs (statement, source) of the code of cells."""
    for kind, code in cells:
        if kind == "code":
            for statement in ast.parse(code).body:
                yield statement, ast.get_source_segment(code, statement)


def named(tree, context):
    """Names that a tree loads or stores."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.id for node in nodes if isinstance(node.ctx, context)}


def defines(statement):
    """Names that an assignment or an import gives a value; of other statements none."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign):
        return set().union(*(named(target, ast.Store) for target in statement.targets))
    return set()


def takes(statement):
    """Names that a statement takes from before it, and not from a loop or a function in it."""
    arguments = {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
    inner = named(statement, ast.Store) - defines(statement)
    return named(statement, ast.Load) - inner - arguments - set(dir(builtins))


def needed(code):
    """Names that pairs (statement, source) take from before the first of them."""
    names, known = set(), set()
    for statement, _ in code:
        names |= takes(statement) - known
        known |= defines(statement) | named(statement, ast.Store)
    return names


def setup_code(names, earlier):
    """What defines these names in earlier pairs (statement, source), and what that needs."""
    kept = []
    for statement, source in reversed(earlier):
        if found := names & defines(statement):
            kept.insert(0, source)
            names = (names - found) | takes(statement)
    return "\n".join(kept)


def file_name(title):
    """Name of the notebook of a page or recipe: its heading, as one word."""
    return re.sub(r"\W+", "_", title.lower()).strip("_") + ".ipynb"


def of_tutorial(page):
    """Title and cells of the tutorial, which is one notebook."""
    title, text = re.match(r"# ([^\n]*)\n(.*)", page, re.DOTALL).groups()
    return {title: list(cells_of(text))}


def of_recipes(page):
    """Cells of the recipes, by title."""
    head, *parts = _HEADING.split(page)
    earlier, recipes = list(statements(cells_of(head))), {}
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        cells = list(cells_of(text))
        code = list(statements(cells))
        recipes[title] = [("code", setup_code(needed(code), earlier)), *cells]
        earlier += code
    return recipes


def notebook(title, cells):
    """A notebook without outputs, the same for the same cells."""
    from nbformat import v4, validate

    makers = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell}
    cells = [("markdown", f"# {title}"), ("code", INSTALL), *cells]
    made = v4.new_notebook(
        cells=[
            makers[kind](source, id=f"cell-{number}")
            for number, (kind, source) in enumerate(cells)
            if source
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    validate(made)
    return made


def notebooks():
    """All notebooks, by file name."""
    pages = {name: (DOCS / f"{name}.md").read_text("utf-8") for name in ("tutorial", "recipes")}
    by_title = of_tutorial(pages["tutorial"]) | of_recipes(pages["recipes"])
    return {file_name(title): notebook(title, cells) for title, cells in by_title.items()}


def add_links(app, docname, source):
    """Puts a link to its notebook below the heading of each recipe, and of the tutorial."""
    pattern = {"tutorial": r"^# (.*)\n", "recipes": r"^## (.*)\n"}.get(docname)
    if pattern:
        source[0] = re.sub(
            pattern,
            lambda found: f"{found[0]}\n{{download}}`Notebook <notebooks/{file_name(found[1])}>`\n",
            source[0],
            flags=re.MULTILINE,
        )


def setup(app):
    """Adds the links while Sphinx reads the pages."""
    app.connect("source-read", add_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def main():
    """Writes the notebooks, and removes those whose recipe is gone."""
    import nbformat

    made = notebooks()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.ipynb"):
        if path.name not in made:
            path.unlink()
    for name, content in made.items():
        nbformat.write(content, FOLDER / name)


if __name__ == "__main__":
    main()
