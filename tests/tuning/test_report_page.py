"""The page: one file without references, whatever the texts contain."""

import base64
from html.parser import HTMLParser

from tfgen.tuning import TrialRecord
from tfgen.tuning.report_figures import Figure
from tfgen.tuning.report_page import html_page

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


def completed(value):
    goal = {"name": "mig", "direction": "max", "value": value}
    return TrialRecord("07", "COMPLETED", {"beta": 4.0}, {"mig": value}, goal, 2.0, 1)


def test_page_refers_to_nothing_and_holds_the_picture():
    png = bytes(range(256))
    page = html_page({}, [completed(0.25)], {"elbo": Figure(png, "what it shows", "caption")})
    parsed = Page(page)
    (source,) = parsed.values("src")
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == png
    assert parsed.values("alt") == ["what it shows"]
    assert not parsed.values("href") and "url(" not in page and "@import" not in page
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, *_ in parsed.attributes)
    assert page.startswith("<!DOCTYPE html>") and parsed.values("lang") == ["en"]
    assert "color-scheme: light dark" in page


def test_texts_are_escaped():
    failed = TrialRecord("08", "FAILED", {"beta": 1.0}, {}, None, 1.0, 0, NASTY)
    search = {"model": NASTY, "dataset": NASTY, "command": NASTY, "space": {NASTY: [1]}}
    figures = {"elbo": Figure(b"", NASTY, NASTY)}
    parsed = Page(html_page(search, [failed], figures))
    assert "script" not in {tag for tag, _ in parsed.texts}
    assert parsed.values("alt") == [NASTY]
    title = f"Search of {NASTY} on {NASTY}"
    for text in (("title", title), ("h1", title), ("figcaption", NASTY), ("td", NASTY)):
        assert text in parsed.texts
    assert ("dd", NASTY) in parsed.texts


def test_summary_names_the_best_trial():
    failed = TrialRecord("08", "INVALID", {"beta": 9.0}, {}, None, 1.0, 0, "NaN")
    page = html_page({}, [completed(0.25), completed(0.5), failed], {})
    assert "2 of 3 trials completed. The best, trial 07: mig 0.5 with beta 4." in page
    assert "There is nothing to draw yet." in page
