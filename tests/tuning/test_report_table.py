"""The table of trials: both forms hold the same values, whatever the messages contain."""

import csv
import io
import math
import re

import pytest

from tfgen.tuning import TrialRecord
from tfgen.tuning.report_table import csv_table, markdown_table
from tfgen.tuning.trials import ranked

MESSAGE = 'ValueError: a | b, "c" <d> & \\e\nsecond line'
GOAL = {"name": "val_elbo", "direction": "max", "value": -101.23456789}
TRIALS = [
    TrialRecord("00", "COMPLETED", {"beta": 4.0}, {"val_kl": 1 / 3, "mig": math.nan}, GOAL, 9.5, 3),
    TrialRecord("01", "FAILED", {"beta": 1.0, "width": 8}, {}, None, 0.5, 0, MESSAGE),
]
HEADER = ["trial", "status", "beta", "width", "objective: val_elbo", "val_kl", "mig"]
HEADER += ["seconds", "epochs", "message"]


def test_csv_reads_back_with_all_digits():
    first, second = csv.DictReader(io.StringIO(csv_table(TRIALS), newline=""))
    assert list(first) == HEADER
    assert float(first["val_kl"]) == 1 / 3
    assert float(first["objective: val_elbo"]) == -101.23456789
    assert first["mig"] == first["width"] == first["message"] == second["val_kl"] == ""
    assert second["width"] == "8" and second["message"] == MESSAGE


def test_markdown_has_one_line_a_trial_and_as_many_cells():
    lines = markdown_table(TRIALS).splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert len(lines) == 4 and {len(row) for row in rows} == {len(HEADER)}
    assert [cell.strip() for cell in rows[0]] == HEADER
    cells = [cell.strip() for cell in rows[2]]
    assert cells == ["00", "COMPLETED", "4", "", "-101.23", "0.33333", "", "9.5", "3", ""]
    assert rows[3][-1].strip() == (r'ValueError: a \| b, "c" &lt;d&gt; &amp; \\e second line')


@pytest.mark.parametrize(
    "text, shown",
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[x](http://a) ![y](z)", r"\[x\](http://a) !\[y\](z)"),
        ("**a** `b` ~~c~~ $d$", r"\*\*a\*\* \`b\` \~\~c\~\~ \$d\$"),
        ("__init__ of val_elbo_2", r"\_\_init\_\_ of val_elbo_2"),
        ("&lt; \\| a\r\n|b", r"&amp;lt; \\\| a \|b"),
    ],
)
def test_markdown_shows_what_it_quotes(text, shown):
    failed = TRIALS[1]._replace(message=text, hyperparameters={text: text})
    header, _, row = markdown_table([failed]).splitlines()
    assert row.endswith(f"| {shown} |") and f"| {shown} |" in header
    assert row.count(f"| {shown} |") == 2


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_csv_holds_no_formula(start):
    text = f'{start}HYPERLINK("http://a","b")'
    failed = TRIALS[1]._replace(message=text, hyperparameters={text: text, "beta": -1.5})
    (row,) = csv.DictReader(io.StringIO(csv_table([failed]), newline=""))
    assert row["message"] == row[f"'{text}"] == f"'{text}"
    assert row["beta"] == "-1.5"  # A number is one.


@pytest.mark.parametrize("direction, order", [("max", "2013"), ("min", "1023")])
def test_ranked(direction, order):
    failed = TrialRecord("3", "FAILED", {}, {}, None, 1.0, 0)
    goals = [{"name": "x", "direction": direction, "value": v} for v in (2.0, -1.0, 3.0)]
    trials = [failed._replace(trial_id=str(i), objective=goal) for i, goal in enumerate(goals)]
    assert "".join(trial.trial_id for trial in ranked([failed, *trials])) == order


def test_table_without_a_completed_trial():
    assert csv_table(TRIALS[1:]).startswith("trial,status,beta,width,objective,seconds")
