"""Every public model has a page, and pages and the table of choices name what there is."""

import pathlib
import re
import sys

import pytest

import tfgen
from tfgen import models

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

import model_text  # noqa: E402

INDEX = ROOT / "docs" / "models" / "index.md"
PAGES = sorted(set(INDEX.parent.glob("*.md")) - {INDEX})
CHOICES = ROOT / "docs" / "choosing.md"
MAX_LINES = 15
_DIRECTIVE = r"^```\{%s\}(.*)$"
_CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def words_of(directive, text):
    """The arguments of all directives of a name in a page."""
    found = re.findall(_DIRECTIVE % directive, text, re.MULTILINE)
    return [word for arguments in found for word in arguments.split()]


def texts():
    return {page: page.read_text(encoding="utf-8") for page in PAGES}


def model_classes():
    """Keras models of `tfgen.models`, the bases among them."""
    public = {name: getattr(models, name) for name in models.__all__}
    base = models.ResumableModel
    return {n for n, cls in public.items() if isinstance(cls, type) and issubclass(cls, base)}


def test_every_class_has_one_page():
    shown = [name for text in texts().values() for name in words_of("model", text)]
    assert sorted(shown) == sorted(model_classes())


def test_every_row_of_the_benchmark_is_on_a_page():
    shown = {name for text in texts().values() for name in words_of("benchmark", text)}
    assert shown == {row.name for row in model_text.ROWS}


def test_the_index_lists_every_page_and_names_its_classes():
    index = INDEX.read_text(encoding="utf-8")
    for page, text in texts().items():
        line = re.search(rf"^- \[(.*)\]\({page.name}\): \S", index, re.MULTILINE)
        assert line, f"docs/models/index.md has no line for {page.name}"
        assert set(line[1].split(", ")) == set(words_of("model", text)), page.name
        assert f"\n{line[1]} <{page.stem}>\n" in index, f"no toctree has {page.stem}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_is_complete(page):
    text = page.read_text(encoding="utf-8")
    title, *sections = _HEADING.findall(text)
    names = words_of("model", text)
    assert all(re.search(rf"\b{name}\b", title) for name in names), "a class is not in the title"
    measured = ["Measured"] if "GenerativeModel" not in names else []
    assert sections == [*measured, "When to take it", "Example"]
    assert text.count("$$") in (2, 4)
    (code,) = _CODE.findall(text)
    assert len([line for line in code.splitlines() if line.strip()]) <= MAX_LINES
    assert any(re.search(rf"\b{name}\b", code) for name in names)


def choices():
    """Lines of the tables of choices, without their heads."""
    lines = re.findall(r"^\| .*", CHOICES.read_text(encoding="utf-8"), re.MULTILINE)
    return [line for line in lines if not line.startswith(("| you want ", "| ---"))]


def shown_on(name):
    """What a page of the docs says, with what its directives show."""
    text = (CHOICES.parent / name).read_text(encoding="utf-8")
    return "\n".join([text, *model_text.benchmark(words_of("benchmark", text))])


def test_numbers_of_choices_stand_on_the_pages_that_their_lines_link_to():
    numbers = [re.findall(r"\d+\.\d+", re.sub(r"\S+ ms", "", row)) for row in choices()]
    assert sum(map(len, numbers)) > 40
    for row, found in zip(choices(), numbers, strict=True):
        linked = "".join(map(shown_on, re.findall(r"\]\(([\w/]+\.md)", row)))
        missing = [n for n in found if not re.search(rf"(?<![\d.]){re.escape(n)}(?!\d)", linked)]
        assert not missing, row


def test_costs_of_choices_stand_in_the_benchmark_of_steps():
    costs = [cost for row in choices() for cost in re.findall(r"(\d+\.\d+) ms", row)]
    assert len(costs) > 10
    assert not set(costs) - set(re.findall(r"\d+\.\d+", shown_on("benchmark.md")))


def test_the_table_of_choices_names_classes_that_exist():
    rows = choices()
    assert len(rows) > 20
    taken = [re.findall(r"`~tfgen\.(\w+)\.(\w+)`", row.split(" | ")[1]) for row in rows]
    assert all(taken), "a line that takes no class"
    for area, name in {pair for pairs in taken for pair in pairs}:
        assert name in getattr(tfgen, area).__all__, f"tfgen.{area}.{name}"


# What the directives show.


def test_a_measured_row_shows_its_numbers_and_where_they_come_from():
    seeds = model_text.benchmark_page.load(model_text.FOLDER)["vae"]
    nll = model_text.benchmark_page.text([s["metrics"]["nll_200"] for s in seeds], 1)
    text = "\n".join(model_text.benchmark(["vae"]))
    assert f"| {nll} |" in text
    assert f"seed {seeds[0]['seed']} at commit {seeds[0]['commit'][:7]}" in text
    pictures = re.findall(r"```\{figure\} /(\S+)", text)
    assert pictures
    assert all((ROOT / "docs" / path).is_file() for path in pictures)


def test_columns_without_numbers_and_their_notes_are_left_out():
    notes, _, heading, *_ = model_text.benchmark(["gan"])
    for text in (notes, heading):
        assert "Frechet" in text
        assert "ELBO" not in text
    assert "ELBO" in next(iter(model_text.benchmark(["vae"])))


def test_pictures_are_those_of_the_first_row_alone():
    def shown(names):
        return set(re.findall(r"figure\} (\S+)", "\n".join(model_text.benchmark(names))))

    assert shown(["vae", "gan"]) == shown(["vae"])
    assert not shown(["vae", "gan"]) & shown(["gan", "vae"])


def test_a_row_without_result_is_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(model_text, "FOLDER", tmp_path)
    (line, command) = model_text.benchmark(["vae"])
    assert line == "- Not measured yet: `vae` (VAE)."
    assert command.endswith("--run vae`")
    assert list(model_text.benchmark([])) == [
        "Not measured yet in the [benchmark](/comparison.md), which has no row of this model."
    ]


def test_unknown_rows_are_refused():
    with pytest.raises(ValueError, match="Received: vea"):
        list(model_text.benchmark(["vea"]))


def test_facts_name_parents_weights_and_source():
    api, weights, source = model_text.facts("BetaTCVAE")
    assert (
        api
        == "- API: {py:class}`tfgen.models.BetaTCVAE`, derived from {py:class}`~tfgen.models.VAE`"
    )
    assert '`load_pretrained("mnist/beta-tcvae")`' in weights
    assert source.startswith("- Source of `BetaTCVAE`: Chen et al.")
