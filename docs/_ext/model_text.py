"""What the pages of models show of classes and of the benchmark, as Markdown.

Numbers are read from `docs/results/benchmark`, and written as `examples/benchmark_page.py` does.
"""

import inspect
import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(DOCS.parent / "examples"))

import benchmark_page  # noqa: E402
from benchmark_rows import ROWS  # noqa: E402

from tfgen import models  # noqa: E402

FOLDER = DOCS / "results" / "benchmark" / "mnist-small"
SHOWN = ("elbo", "nll_200", "classifier_frechet_distance", "coverage", "parameters")
COLUMNS = [column for column in benchmark_page.COLUMNS if column[0] in SHOWN]
# What the columns are, by heading.
NOTES = {
    "ELBO": "ELBO in nats an image, higher is better",
    "NLL, k 200": "NLL by 200 importance samples in nats an image, lower is better",
    "Frechet": "Frechet distance of 10,000 samples in a classifier's features, lower is better",
    "coverage": "share of test images that samples cover, higher is better",
    benchmark_page.DIFFERENCE: "differences with 95 % intervals over images",
}
CAPTIONS = {
    "samples": "Samples of",
    "reconstructions": "Test images, and below each its reconstruction, of",
}
_SOURCE = re.compile(r"^Source: (.*?)(?=\n\n|\sDeviation:|\Z)", re.MULTILINE | re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[a-z0-9)`\"]\.)(?<!App\.)(?<!Sec\.)\s+(?=[A-Z`])")
_REFERENCE = re.compile(r"arXiv|Eq\.|Sec\.|Algorithm|ICLR|not checked")


# Classes.


def facts(name):
    """A list of where a class stands, which weights there are, and what its paper is."""
    cls, source = getattr(models, name), source_of(name)
    found = models.pretrained_models().items()
    weights = [f'`load_pretrained("{key}")`' for key, about in found if about["model"] == name]
    parents = ", ".join(link(base.__name__) for base in cls.__bases__)
    yield f"- API: {{py:class}}`tfgen.models.{name}`, derived from {parents}"
    if weights:
        yield f"- Trained weights: {', '.join(weights)}"
    if source:
        yield f"- Source of `{name}`: {source}"


def source_of(name):
    """The paper and its equations, from the class's docstring, up to the last sentence on them."""
    found = _SOURCE.search(inspect.getdoc(getattr(models, name)) or "")
    sentences = _SENTENCE_END.split(" ".join(found[1].split())) if found else []
    while sentences and not is_reference(sentences[-1]):
        sentences.pop()
    return " ".join(sentences)


def is_reference(sentence):
    """Whether it is whole, its quotations closed, and names a paper or a part of one."""
    whole = sentence.endswith(".") and sentence.count('"') % 2 == 0
    return whole and bool(_REFERENCE.search(sentence))


def link(name):
    """A public class as a link, any other as code."""
    return f"{{py:class}}`~tfgen.models.{name}`" if name in models.__all__ else f"`{name}`"


# Rows of the benchmark.


def rows_of(names):
    """Rows by name.

    Raises:
        ValueError: if there is no row of a name.
    """
    known = {row.name: row for row in ROWS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"No rows of examples/benchmark_rows.py. Received: {', '.join(unknown)}. Expected some "
            f"of {', '.join(known)}."
        )
    return [known[name] for name in names]


def benchmark(names):
    """Table, pictures and sources of rows; of no rows, that there are none."""
    rows = rows_of(names)
    if not rows:
        yield "Not measured yet in the [benchmark](/comparison.md), which has no row of this model."
    results = benchmark_page.load(FOLDER)
    measured = {row.name: results[row.name] for row in rows if row.name in results}
    if measured:
        yield from (*table(measured, results), "", *pictures(rows[0].name, measured))
    yield from (f"- {source(row, results[row.name])}" for row in rows if row.name in measured)
    yield from missing([row for row in rows if row.name not in measured])


def table(measured, results):
    """Notes, and numbers of rows and of training images, without columns that would be empty."""
    differences = benchmark_page.differences(results, FOLDER)
    body = [[f"`{n}`", *cells(seeds), differences.get(n, "")] for n, seeds in measured.items()]
    real = next(iter(measured.values()))[:1]
    body.append(["training images", *cells(real, "real_"), ""])
    headings = ["row", *(heading for _, heading, _ in COLUMNS), benchmark_page.DIFFERENCE]
    kept = [i for i in range(len(headings)) if any(line[i] for line in body)]
    notes = [NOTES[headings[i]] for i in kept if headings[i] in NOTES]
    yield from (f"MNIST, [one budget for all rows](/comparison.md): {'; '.join(notes)}.", "")
    for line in (headings, ["---"] * len(headings), *body):
        yield f"| {' | '.join(line[i] for i in kept)} |"


def cells(seeds, prefix=""):
    of = benchmark_page.values_of
    return [benchmark_page.text(of(seeds, prefix + metric), d) for metric, _, d in COLUMNS]


def pictures(name, measured):
    """Samples and reconstructions of a row, as far as there are some."""
    found = benchmark_page.pictures_of(measured, FOLDER)
    for path in found.get(name, []):
        yield from (f"```{{figure}} /{path.relative_to(DOCS).as_posix()}", ":width: 400px")
        yield from (
            f":alt: {path.stem} of {name}",
            "",
            f"{CAPTIONS[path.stem]} `{name}`",
            "```",
            "",
        )


def source(row, seeds):
    """What a row is, and of which runs its numbers are."""
    runs = ", ".join(f"seed {s['seed']} at commit {s['commit'][:7]}" for s in seeds)
    return f"`{row.name}`: {row.setup}. {seeds[0]['configuration']['epochs']} epochs; {runs}."


def missing(rows):
    """Which rows have no result, and the command that measures them."""
    if rows:
        names = " ".join(row.name for row in rows)
        yield (
            "- Not measured yet: " + "; ".join(f"`{row.name}` ({row.setup})" for row in rows) + "."
        )
        yield f"  `python examples/benchmark.py --dataset mnist --run {names}`"
