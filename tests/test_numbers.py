"""Every decimal number of README and the docs is in a file of docs/results, or said to be quoted.

A number stands for a value in the page's files, or its mean, median or standard deviation over
seeds, rounds or epochs, rounded to the digits printed: as a percentage where it is followed by %,
and in units of 1e-4 on the pages that have such. Whole numbers are not looked at, nor is the sign.
"""

import bisect
import csv
import json
import pathlib
import re
import statistics

import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
RESULTS = REPOSITORY / "docs" / "results"
BENCHMARK = "benchmark/*/*/*/result"
# Files by page; the others may print what is in any.
FILES = {
    "README.md": ["cost*", BENCHMARK],
    "docs/papers.md": [
        *("soons*", "mi_*", "su_*", "sagar*", "schik*", "kingma*", "mattei*"),
        *("quickstart*", "samplers"),
        BENCHMARK,
    ],
    "docs/benchmark.md": ["cost*", "train_speed*", "*cost", "bfloat16", "streaming"],
    "docs/comparison.md": ["initialisation", BENCHMARK],
    "docs/soons.md": ["soons*"],
    "docs/mi.md": ["mi_*"],
    "docs/su.md": ["su_*"],
    "docs/sagar.md": [
        "sagar*",
        *(
            f"benchmark/mnist-small/{row}/*/result"
            for row in ("wgan-gp", "gvae", "gvae-5", "vae-gan", "alpha-gan")
        ),
    ],
    "docs/schik.md": ["schik*"],
    "docs/choosing.md": ["*", BENCHMARK],
}
IN_1E4 = {
    *("docs/papers.md", "docs/sagar.md", "docs/su.md", "docs/choosing.md"),
    *(f"docs/models/{name}.md" for name in ("alpha_gan", "gvae", "wgan")),
}
PAGES = [
    "README.md",
    *sorted(
        path.relative_to(REPOSITORY).as_posix()
        for pattern in ("*.md", "models/*.md")
        for path in (REPOSITORY / "docs").glob(pattern)
    ),
]
# Numbers of others, of settings, and of runs whose files are gone: by page, with where from.
QUOTED = json.loads((RESULTS / "quoted.json").read_text(encoding="utf-8"))
NAMES = ("model", "policy", "contender", "variant")

_CODE = re.compile(r"```.*?```|`[^`]*`|\$[^$]*\$|arXiv:\S+|\b\d{4}\.\d{4,5}|\]\([^)]*\)", re.DOTALL)
# What a page of a model may print: its rows of the benchmark, and the files that it names.
_ROWS = re.compile(r"^```\{benchmark\}(.*)$", re.MULTILINE)
_NAMED = re.compile(r"docs/results/([\w/-]+)\.json")
_DECIMAL = re.compile(r"(?<![\w.])(\d[\d,]*\.\d+)(?:e-4)?(?!\w|\.\d)(\s?%)?")


def decimals(page):
    """Pairs of the numbers with a decimal point in a page and whether they are percentages.

    Without code, versions and addresses.
    """
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [(number, bool(sign)) for number, sign in _DECIMAL.findall(_CODE.sub("", text))]


def leaves(content, path=()):
    """All numbers in what JSON holds, with the keys to them; of items of a list their `NAMES`."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*path, key))
    elif isinstance(content, list):
        for value in content:
            known = value if isinstance(value, dict) else {}
            yield from leaves(value, (*path, *(known[name] for name in NAMES if name in known)))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield path, float(content)


def files_of(page):
    """Patterns of the files whose numbers a page may print."""
    if not page.startswith("docs/models/"):
        return FILES.get(page, ["*"])
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    rows = " ".join(_ROWS.findall(text)).split()
    return [*(f"benchmark/*/{row}/*/result" for row in rows), *_NAMED.findall(text)]


def values_of(page):
    """What may be printed on a page, in absolute value, sorted."""
    patterns = files_of(page)
    found, groups = set(), {}
    for path in {path for pattern in patterns for path in RESULTS.glob(f"{pattern}.json")}:
        if path.name != "quoted.json":
            for key, value in leaves(json.loads(path.read_text(encoding="utf-8"))):
                groups.setdefault((path.name, key), []).append(value)
    for values in groups.values():
        found.update(values)
        if 1 < len(values) <= 10:
            found |= {f(values) for f in (statistics.mean, statistics.median, statistics.stdev)}
    for path in {path for pattern in patterns for path in RESULTS.glob(f"{pattern}.csv")}:
        with open(path, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found.update(float(v) for row in rows for v in row.values() if v != "NA")
    return sorted(map(abs, found))


def is_in(number, is_percentage, values, page):
    """Whether a value, at one of the scales of the page, rounds to the number."""
    digits = len(number.split(".")[1])
    for scale in (1, *[100] * is_percentage, *[1e4] * (page in IN_1E4)):
        wanted = float(number.replace(",", "")) / scale
        half = 0.500001 * 10**-digits / scale
        position = bisect.bisect_left(values, wanted - half)
        if position < len(values) and values[position] <= wanted + half:
            return True
    return False


def quoted(page):
    return {number for numbers in QUOTED.get(page, {}).values() for number in numbers.split()}


@pytest.mark.parametrize("page", PAGES)
def test_numbers_are_measured_or_quoted(page):
    values = values_of(page)
    left = [pair for pair in decimals(page) if pair[0] not in quoted(page)]
    missing = {pair[0] for pair in left if not is_in(*pair, values, page)}
    assert not missing, f"{page}: neither in its docs/results nor in its quoted.json: {missing}"


def test_quoted_numbers_stand_in_their_pages():
    for page in QUOTED:
        assert quoted(page) <= {number for number, _ in decimals(page)}, page


@pytest.mark.parametrize("page", ["docs/mi.md", "docs/su.md", "docs/sagar.md"])
def test_most_wrong_numbers_are_found(page):
    """Those that are three units of the last digit off; some hit another value by chance."""
    values = values_of(page)
    wrong = []
    for number, is_percentage in decimals(page):
        digits = len(number.split(".")[1])
        shifted = float(number.replace(",", "")) + 3 * 10**-digits
        wrong.append(not is_in(f"{shifted:.{digits}f}", is_percentage, values, page))
    assert sum(wrong) > 0.6 * len(wrong) > 50
