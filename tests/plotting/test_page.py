"""The page: one file that refers to nothing, whatever its texts contain; and its tables sort."""

import base64
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from tfgen.plotting import html_page
from tfgen.plotting.page import SORT

NASTY = "<script>alert(\"x\")</script> & '{0}'"
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects attributes and texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *attr) for attr in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else None, data))

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


def test_page_holds_its_pictures_and_refers_to_nothing():
    png = bytes(range(256))
    page = html_page("Title", {"Figures": [{"caption": (png, "what it shows"), "other": png}]})
    parsed = Page(page)
    for source in parsed.values("src"):
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == png
    assert parsed.values("alt") == ["what it shows", "other"]
    assert ("figcaption", "caption") in parsed.texts
    assert not parsed.values("href") and "url(" not in page and "@import" not in page
    assert {"link", "iframe"}.isdisjoint(tag for tag, *_ in parsed.attributes)
    assert page.count("<script>") == 1
    assert page.startswith("<!DOCTYPE html>") and parsed.values("lang") == ["en"]
    assert "color-scheme: light dark" in page


def test_texts_are_escaped():
    parts = [NASTY, {NASTY: NASTY}, [[NASTY], [(NASTY, NASTY)]], {NASTY: (b"", NASTY)}]
    parsed = Page(html_page(NASTY, {NASTY: parts}))
    assert [text for tag, text in parsed.texts if tag == "script"] == [SORT]
    assert parsed.values("alt") == parsed.values("href") == [NASTY]
    for tag in ("title", "h1", "h2", "p", "dt", "dd", "button", "a", "figcaption"):
        assert (tag, NASTY) in parsed.texts


def test_values():
    row = ["VAE", 0.123456789, 7, None, math.nan, ("report", "vae/report.html")]
    parsed = Page(html_page("", {"": [[list("abcdef"), row]]}))
    cells = [text for tag, text in parsed.texts if tag in ("td", "a")]
    assert cells == ["VAE", "0.12346", "7", "report"]
    assert parsed.values("href") == ["vae/report.html"]
    assert not any(tag == "h2" for tag, _ in parsed.texts)


def test_a_long_page_has_links_to_its_sections():
    headings = [f"Part {i}: x & <y>" for i in range(6)]
    parsed = Page(html_page("Title", {"": ["text"], **{h: ["text"] for h in headings}}))
    assert parsed.values("href") == [f"#part-{i}-x-y" for i in range(6)]
    assert parsed.values("id") == [link[1:] for link in parsed.values("href")]
    assert [text for tag, text in parsed.texts if tag == "a"] == headings
    assert "a" not in {tag for tag, _ in Page(html_page("", {h: [] for h in headings[:5]})).texts}


@pytest.mark.parametrize(
    "sections, message",
    [
        ({"a": "text"}, "sections must be a dict"),
        ({"a": [1]}, "Each part of the sections"),
        ({"a": [[]]}, "Each part of the sections"),
        ({"a": [["header", "row"]]}, "Each part of the sections"),
        ({"a": [{"name": object()}]}, "A value in the sections"),
        ({"a": [[["h"], [b"png"]]]}, "A value in the sections"),
    ],
)
def test_other_parts_are_refused(sections, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        html_page("Title", sections)


# A document of one table, as much of it as the script uses.
DOCUMENT = """
const row = (...texts) => ({cells: texts.map((textContent) => ({textContent}))});
const body = {rows: ROWS.map((texts) => row(...texts)), append(...rows) { this.rows = rows; }};
const heads = ROWS[0].map((_, cellIndex) => ({cellIndex, ariaSort: "none", firstChild: {},
  closest: () => ({tBodies: [body]})}));
for (const th of heads) th.parentNode = {cells: heads};
const document = {querySelectorAll: () => heads};
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_click_sorts_numbers_as_numbers_and_again_the_other_way_round():
    rows = [["b", "10"], ["a", ""], ["c", "-2.5"], ["d", "9 ± 1"], ["e", "n/a"]]
    clicks = """
const seen = [];
for (const i of [1, 1, 0]) {
  heads[i].firstChild.onclick();
  seen.push(body.rows.map((row) => row.cells[0].textContent).join(""), heads[1].ariaSort);
}
console.log(JSON.stringify(seen));
"""
    code = f"const ROWS = {json.dumps(rows)};{DOCUMENT}{SORT}{clicks}"
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["cdbea", "ascending", "bdcea", "descending", "abcde", "none"]


def test_columns_of_a_table_can_be_pressed_by_keyboard():
    page = html_page("", {"": [[["model", "ELBO"], ["VAE", -99.8]]]})
    assert re.findall(r"<th scope=\"col\"><button>(\w+)</button></th>", page) == ["model", "ELBO"]
