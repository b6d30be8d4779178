"""The report of a search as one HTML page that needs nothing else."""

import base64
import html
import json
from collections.abc import Sequence
from typing import Any

from tfgen.tuning.report_figures import Figure, describe
from tfgen.tuning.report_table import html_table
from tfgen.tuning.trials import TrialRecord, best_trial

__all__ = ["html_page"]

# `color-scheme` and the system colours follow the reader's light or dark setting; the figures keep
# the white that they were drawn on.
CSS = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  background: Canvas; color: CanvasText; }
.figures { display: grid; gap: 1.5rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(28rem, 100%), 1fr)); }
figure { margin: 0; }
figcaption { font-size: .9rem; }
img { background: white; max-width: 100%; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid GrayText; padding: .25rem .6rem; text-align: left;
  white-space: nowrap; }
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
<p>{summary}</p>
<h2>Search</h2>
{settings}
<h2>Figures</h2>
<div class="figures">
{figures}
</div>
<h2>Trials</h2>
<p>The best trial first. Values are means over the validation data: <code>val_elbo</code>,
<code>val_reconstruction</code> (distortion) and <code>val_kl</code> (rate) in nats per example,
<code>val_bits_per_dim</code> in bits.</p>
<div class="table" role="region" aria-label="Trials" tabindex="0">
{table}
</div>
</body>
</html>
"""


def html_page(
    search: dict[str, Any], trials: Sequence[TrialRecord], figures: dict[str, Figure]
) -> str:
    """The page.

    Args:
        search: dict, the contents of search.json.
        trials: list of `TrialRecord`, in the order of the rows.
        figures: dict from name to `Figure`, in the order of the page.

    Returns:
        str, an HTML document without scripts or references to other files.

    Example:
        >>> from tfgen.tuning import TrialRecord
        >>> trial = TrialRecord("0", "FAILED", {"beta": 4.0}, {}, None, 1.5, 0, "out of memory")
        >>> "<p>0 of 1 trials completed.</p>" in html_page({"model": "BetaVAE"}, [trial], {})
        True
    """
    return PAGE.format(
        title=html.escape(_title(search)),
        css=CSS,
        summary=html.escape(_summary(trials)),
        settings=_definitions(search),
        figures="\n".join(map(_figure, figures.values())) or "<p>There is nothing to draw yet.</p>",
        table=html_table(trials),
    )


def _title(search):
    model, data = search.get("model", "a model"), search.get("dataset", "unnamed data")
    return f"Search of {model} on {data}"


def _summary(trials):
    """How many completed, and the best one."""
    completed = sum(trial.status == "COMPLETED" for trial in trials)
    text = f"{completed} of {len(trials)} trials completed."
    best = best_trial(trials)
    if best is None:
        return text
    return f"{text} The best, trial {best.trial_id}: {describe(best)}."


def _definitions(search):
    """The settings, each by its name."""
    items = [
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(_as_text(value))}</dd>"
        for name, value in search.items()
    ]
    return "<dl>\n" + "\n".join(items) + "\n</dl>" if items else ""


def _as_text(value):
    return value if isinstance(value, str) else json.dumps(value)


def _figure(figure):
    data = base64.b64encode(figure.png).decode()
    return (
        f'<figure>\n<img alt="{html.escape(figure.alt)}" src="data:image/png;base64,{data}">\n'
        f"<figcaption>{html.escape(figure.caption)}</figcaption>\n</figure>"
    )
