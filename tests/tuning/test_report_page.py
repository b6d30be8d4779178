"""The page of a search: what it says, in which order."""

from tfgen.tuning import TrialRecord
from tfgen.tuning.report_figures import Figure
from tfgen.tuning.report_page import html_page


def completed(value):
    goal = {"name": "mig", "direction": "max", "value": value}
    return TrialRecord("07", "COMPLETED", {"beta": 4.0}, {"mig": value}, goal, 2.0, 1)


def test_parts_of_the_page():
    failed = TrialRecord("08", "FAILED", {"beta": 1.0}, {}, None, 1.0, 0, "out <of> memory")
    search = {"model": "BetaVAE", "dataset": "mnist", "objective": "mig"}
    figures = {"elbo": Figure(b"png", "what it shows", "caption")}
    page = html_page(search, [completed(0.25), failed], figures)
    parts = ("<h1>Search of BetaVAE on mnist", "<dt>Objective", 'alt="what it shows"', "<td>07")
    positions = [page.index(part) for part in (*parts, "out &lt;of&gt; memory")]
    assert positions == sorted(positions)


def test_summary_names_the_best_trial():
    failed = TrialRecord("08", "INVALID", {"beta": 9.0}, {}, None, 1.0, 0, "NaN")
    page = html_page({}, [completed(0.25), completed(0.5), failed], {})
    assert "2 of 3 trials completed. The best, trial 07: mig 0.5 with beta 4." in page
    assert "There is nothing to draw yet." in page
