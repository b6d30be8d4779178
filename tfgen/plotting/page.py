"""Results as one HTML page that needs no other file and no network."""

import base64
import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfgen.plotting.figures import check_text

__all__ = ["html_page"]

MAX_HEADINGS = 5  # More are listed above the page.

# `color-scheme` and the system colours follow the reader's light or dark setting; the figures keep
# the white that they were drawn on.
CSS = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  background: Canvas; color: CanvasText; overflow-wrap: anywhere; }
h1 { line-height: 1.25; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem; }
.figures { display: grid; gap: 1.5rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(28rem, 100%), 1fr)); }
figure { margin: 0; }
figcaption { font-size: .9rem; }
img { background: white; max-width: 100%; }
dl { display: grid; grid-template-columns: fit-content(40%) 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid GrayText; padding: .25rem .6rem; text-align: left;
  vertical-align: top; overflow-wrap: normal; max-width: 32rem; }
th button { all: unset; cursor: pointer; font-weight: 600; white-space: nowrap; }
th button:focus-visible { outline: 2px solid; }
th button::after { content: " \\2195"; color: GrayText; }
th[aria-sort=ascending] button::after { content: " \\2191"; color: inherit; }
th[aria-sort=descending] button::after { content: " \\2193"; color: inherit; }
"""

# Sorts the rows by the column whose heading is pressed, the other way round by the next press:
# numbers as numbers, in front of texts, and empty cells last.
SORT = """
for (const th of document.querySelectorAll("th")) th.firstChild.onclick = () => {
  const up = th.ariaSort !== "ascending", i = th.cellIndex;
  for (const other of th.parentNode.cells) other.ariaSort = "none";
  th.ariaSort = up ? "ascending" : "descending";
  const key = (row) => row.cells[i].textContent.replace("\\u2212", "-");
  const compare = (a, b) => {
    const [x, y] = [parseFloat(a), parseFloat(b)], sign = up ? 1 : -1;
    if (!a || !b) return !a - !b;
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) || sign * a.localeCompare(b);
    return sign * (x - y);
  };
  const body = th.closest("table").tBodies[0];
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
};
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<h1>{title}</h1>
{body}
<script>{sort}</script>
</body>
</html>
"""


def html_page(title: str, sections: Mapping[str, Sequence[Any]]) -> str:
    """An HTML document of texts, settings, sortable tables and pictures.

    It holds its pictures, so that it is one file, and refers to nothing else but what is linked. A
    long page begins with links to its sections. The type of a part decides what it is shown as:

    - str: a paragraph, in which text between backticks is set as code.
    - dict from name to value: a list of settings. A value that is `bytes`, of a PNG file, is a
      picture under which the name stands; (png, text) also says what it shows, for those who cannot
      see it.
    - list of rows: a table that a click on a heading sorts. The first row has the headings.

    A value, also in a table, is a text, a number, of which floats have five digits, None or NaN for
    an empty cell, or a link, as the pair (text, address).

    Args:
        title: string.
        sections: dict from heading to list of parts; "" is a section without a heading.

    Returns:
        string, the document.

    Raises:
        ValueError: if the title is no string, or a part or a value is of another type.

    Example:
        >>> table = [["model", "ELBO"], ["VAE", -99.81], ["IWAE", -98.2]]
        >>> page = html_page("Two models", {"Results": ["On `mnist`.", {"seed": 0}, table]})
        >>> "<p>On <code>mnist</code>.</p>" in page, "<td>-98.2</td>" in page
        (True, True)
    """
    if title is None:
        raise ValueError("title must be a string. Received: title=None.")
    check_text(title=title)
    return PAGE.format(title=html.escape(title), css=CSS, body=_body(sections), sort=SORT)


def _body(sections):
    if not isinstance(sections, Mapping) or not all(map(_is_section, sections.items())):
        raise ValueError(
            "sections must be a dict from heading to a list of texts, dicts and tables. "
            f"Received: sections={sections!r:.500}."
        )
    contents = _contents([heading for heading in sections if heading])
    return "\n".join(contents + [_section(*item) for item in sections.items()])


def _is_section(item):
    heading, parts = item
    return isinstance(heading, str) and isinstance(parts, list | tuple)


def _contents(headings):
    """Links to the sections of a long page."""
    links = [f'<a href="#{_anchor(h)}">{html.escape(h)}</a>' for h in headings]
    return ["<nav>", *links, "</nav>"] if len(links) > MAX_HEADINGS else []


def _anchor(heading):
    return "-".join(re.findall(r"\w+", heading.lower()))


def _section(heading, parts):
    head = [f'<h2 id="{_anchor(heading)}">{html.escape(heading)}</h2>'] if heading else []
    return "\n".join(head + [_part(part) for part in parts])


def _part(part):
    if isinstance(part, str):
        text = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(part))
        return f"<p>{text}</p>"
    if isinstance(part, Mapping):
        return _pictures(part) if any(map(_is_picture, part.values())) else _definitions(part)
    if isinstance(part, list) and part and all(isinstance(row, list | tuple) for row in part):
        return _table(*part)
    raise ValueError(
        "Each part of the sections must be a str, a dict, or a list of rows, each a list. "
        f"Received: {part!r:.200} in sections."
    )


def _is_picture(value):
    return isinstance(value[0] if isinstance(value, tuple) and value else value, bytes)


def _pictures(pictures):
    figures = [_picture(caption, picture) for caption, picture in pictures.items()]
    return "\n".join(['<div class="figures">', *figures, "</div>"])


def _picture(caption, picture):
    png, alt = picture if isinstance(picture, tuple) else (picture, caption)
    return (
        f'<figure>\n<img alt="{html.escape(alt)}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">\n'
        f"<figcaption>{html.escape(caption)}</figcaption>\n</figure>"
    )


def _definitions(values):
    items = [f"<dt>{html.escape(k)}</dt><dd>{_value(v)}</dd>" for k, v in values.items()]
    return "\n".join(["<dl>", *items, "</dl>"])


def _table(header, *rows):
    head = "".join(f'<th scope="col"><button>{_value(name)}</button></th>' for name in header)
    lines = ["".join(f"<td>{_value(value)}</td>" for value in row) for row in rows]
    return "\n".join(
        [
            '<div class="table" role="region" aria-label="Table" tabindex="0">',
            f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>",
            *(f"<tr>{cells}</tr>" for cells in lines),
            "</tbody>\n</table>\n</div>",
        ]
    )


def _value(value):
    """What a cell shows."""
    if isinstance(value, tuple) and len(value) == 2:
        text, address = map(str, value)
        return f'<a href="{html.escape(address)}">{html.escape(text)}</a>'
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, str | int):
        return html.escape(str(value))
    raise ValueError(
        "A value in the sections must be a text, a number, None, or a link (text, address). "
        f"Received: {value!r:.200} in sections."
    )
