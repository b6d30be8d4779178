"""The trials of a search as one table: rows, CSV, Markdown."""

import csv
import html
import io
import math
import re
from collections.abc import Sequence
from typing import Any

from tfgen.tuning.trials import TrialRecord

__all__ = ["csv_table", "markdown_table", "table"]

# How a cell begins that spreadsheets evaluate.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
# What Markdown takes for a mark; an underscore between letters is none.
_MARKS = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")


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


def table(trials: Sequence[TrialRecord]) -> list[list[Any]]:
    """Headings and rows: what was chosen, what came out, what it cost.

    Args:
        trials: list of `TrialRecord`, in the order of the rows.

    Returns:
        List of lists, the headings first; None where a trial has no such value.

    Example:
        >>> from tfgen.tuning import TrialRecord
        >>> trial = TrialRecord("0", "FAILED", {"beta": 4.0}, {}, None, 1.5, 0, "out of memory")
        >>> table([trial])[1]
        ['0', 'FAILED', 4.0, None, 1.5, 0, 'out of memory']
    """
    hyperparameters = _union(trial.hyperparameters for trial in trials)
    metrics = _union(trial.metrics for trial in trials)
    objective = next((f"objective: {t.objective['name']}" for t in trials if t.objective), None)
    header = ["trial", "status", *hyperparameters, objective or "objective", *metrics]
    header += ["seconds", "epochs", "message"]
    return [header, *(_cells(trial, hyperparameters, metrics) for trial in trials)]


def _as_text(value):
    """Five digits of a number; nothing for what is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _csv_cell(value):
    """A cell that a spreadsheet shows: a text that it would take for a formula is quoted."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULAS) else value
    return value if _as_text(value) else ""


def csv_table(trials: Sequence[TrialRecord]) -> str:
    """The table as comma-separated values, with all digits; empty where there is no value.

    A text that begins as a formula of a spreadsheet has a "'" in front of it.

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
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows(map(_csv_cell, row) for row in table(trials))
    return file.getvalue()


def _markdown_text(text):
    """A text as Markdown that shows it: on one line, without marks, links and HTML."""
    return _MARKS.sub(r"\\\g<0>", html.escape(" ".join(text.split()), quote=False))


def _markdown_row(cells):
    return f"| {' | '.join(cells)} |\n"


def markdown_table(trials: Sequence[TrialRecord]) -> str:
    """The table in Markdown, escaped, numbers with five digits.

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
    header, *lines = [[_markdown_text(_as_text(value)) for value in row] for row in table(trials)]
    rule = _markdown_row(["---"] * len(header))
    return _markdown_row(header) + rule + "".join(map(_markdown_row, lines))
