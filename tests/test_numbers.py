"""Every decimal number of README and the docs is in a file of docs/results, or said to be quoted.

A number stands for a value in the page's files, its mean, median or standard deviation over seeds
or epochs, as a percentage, in units of 1e-4 or of a thousand, rounded to the digits printed.
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
# Files by page; other pages may print what is in any file.
FILES = {
    "soons.md": "soons*",
    "mi.md": "mi_*",
    "su.md": "su_*",
    "sagar.md": "sagar*",
    "schik.md": "schik*",
}
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))]
# Numbers of others, of settings, and of runs whose files are gone: by page, with where from.
QUOTED = json.loads((RESULTS / "quoted.json").read_text(encoding="utf-8"))
NAMES = ("model", "policy", "contender", "variant")
SCALES = (1, 100, 1e4, 1e-3)

_CODE = re.compile(r"```.*?```|`[^`]*`|\$[^$]*\$|\b\d{4}\.\d{4,5}|\]\([^)]*\)", re.DOTALL)
_DECIMAL = re.compile(r"(?<![\w.])\d[\d,]*\.\d+(?!\w|\.\d)")


def decimals(page):
    """All numbers with a decimal point in a page, outside of code, versions and addresses."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return _DECIMAL.findall(_CODE.sub("", text))


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


def values_of(pattern):
    """What may be printed of the files of a pattern, in absolute value, sorted."""
    found, groups = set(), {}
    for path in RESULTS.rglob(f"{pattern}.json"):
        if path.name != "quoted.json":
            for key, value in leaves(json.loads(path.read_text(encoding="utf-8"))):
                groups.setdefault((path.name, key), []).append(value)
    for values in groups.values():
        found.update(values)
        if 1 < len(values) <= 10:
            found |= {f(values) for f in (statistics.mean, statistics.median, statistics.stdev)}
    for path in RESULTS.rglob(f"{pattern}.csv"):
        with open(path, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found.update(float(v) for row in rows for v in row.values() if v != "NA")
    return sorted(map(abs, found))


def is_in(number, values):
    """Whether a value, at one of the scales, rounds to the number."""
    digits = len(number.split(".")[1])
    for scale in SCALES:
        wanted = float(number.replace(",", "")) / scale
        half = 0.500001 * 10**-digits / scale
        position = bisect.bisect_left(values, wanted - half)
        if position < len(values) and values[position] <= wanted + half:
            return True
    return False


@pytest.mark.parametrize("page", PAGES)
def test_numbers_are_measured_or_quoted(page):
    values = values_of(FILES.get(pathlib.Path(page).name, "*"))
    quoted = {n for numbers in QUOTED.get(page, {}).values() for n in numbers.split()}
    missing = {n for n in decimals(page) if n not in quoted and not is_in(n, values)}
    assert not missing, f"{page}: neither in docs/results nor in its quoted.json: {missing}"


def test_quoted_numbers_stand_in_their_pages():
    for page, sources in QUOTED.items():
        quoted = {n for numbers in sources.values() for n in numbers.split()}
        assert quoted <= set(decimals(page)), page


def test_finds_a_number_that_is_not_there():
    values = values_of("mi_*")
    assert is_in("0.0635", values) and not is_in("0.0639", values)
    assert decimals("docs/mi.md") and "2.21" not in decimals("docs/mi.md")
