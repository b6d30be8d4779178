"""The trials of a search as one table: CSV, Markdown, HTML."""

import csv
import html
import io
import math
from collections.abc import Sequence

from tfgen.tuning.trials import TrialRecord

__all__ = ["csv_table", "html_table", "markdown_table"]


def _union(dicts):
    """All keys, in the order in which they appear."""
    return list(dict.fromkeys(key for d in dicts for key in d))


def _cells(trial, hyperparameters, metrics):
    """One row; None where the trial has no such value."""
    return [
        trial.trial_id,
        trial.status,
        *(trial.hyperparameters.get(name) for name in hyperparameters),
        (trial.objective or {}).get("value"),
        *(trial.metrics.get(name) for name in metrics),
        trial.seconds,
        trial.epochs,
        trial.message,
    ]


def _table(trials):
    """Header and rows."""
    hyperparameters = _union(trial.hyperparameters for trial in trials)
    metrics = _union(trial.metrics for trial in trials)
    objective = next((f"objective: {t.objective['name']}" for t in trials if t.objective), None)
    header = ["trial", "status", *hyperparameters, objective or "objective", *metrics]
    header += ["seconds", "epochs", "message"]
    return header, [_cells(trial, hyperparameters, metrics) for trial in trials]


def _as_text(value):
    """Five digits of a number; nothing for what is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def csv_table(trials: Sequence[TrialRecord]) -> str:
    """The table as comma-separated values, with all digits; empty where there is no value.

    Args:
        trials: list of `TrialRecord`, in the order of the rows.

    Returns:
        str.

    Example:
        >>> from tfgen.tuning import TrialRecord
        >>> trial = TrialRecord("0", "FAILED", {"beta": 4.0}, {}, None, 1.5, 0, "out of memory")
        >>> print(csv_table([trial]))
        trial,status,beta,objective,seconds,epochs,message
        0,FAILED,4.0,,1.5,0,out of memory
    """
    header, rows = _table(trials)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([value if _as_text(value) else "" for value in row] for row in rows)
    return file.getvalue()


def _markdown_row(texts):
    """A row, whose texts hold neither line breaks nor unescaped bars."""
    cells = [" ".join(text.split()).replace("|", "\\|") for text in texts]
    return f"| {' | '.join(cells)} |\n"


def markdown_table(trials: Sequence[TrialRecord]) -> str:
    """The table in Markdown, numbers with five digits.

    Args:
        trials: list of `TrialRecord`, in the order of the rows.

    Returns:
        str.

    Example:
        >>> from tfgen.tuning import TrialRecord
        >>> trial = TrialRecord("0", "FAILED", {"beta": 4.0}, {}, None, 1.5, 0, "a | b")
        >>> print(markdown_table([trial]))
        | trial | status | beta | objective | seconds | epochs | message |
        | --- | --- | --- | --- | --- | --- | --- |
        | 0 | FAILED | 4 |  | 1.5 | 0 | a \\| b |
    """
    header, rows = _table(trials)
    rule = _markdown_row(["---"] * len(header))
    return _markdown_row(header) + rule + "".join(_markdown_row(map(_as_text, r)) for r in rows)


def html_table(trials: Sequence[TrialRecord]) -> str:
    """The table in HTML, escaped, numbers with five digits.

    Args:
        trials: list of `TrialRecord`, in the order of the rows.

    Returns:
        str, a `table` element.

    Example:
        >>> from tfgen.tuning import TrialRecord
        >>> trial = TrialRecord("0", "FAILED", {"beta": 4.0}, {}, None, 1.5, 0, "x < 0")
        >>> "<td>x &lt; 0</td>" in html_table([trial])
        True
    """
    header, rows = _table(trials)
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
    body = ["".join(f"<td>{html.escape(_as_text(value))}</td>" for value in row) for row in rows]
    lines = "\n".join(f"<tr>{cells}</tr>" for cells in body)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>"
