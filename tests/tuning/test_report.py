"""The report's files, from records on disk."""

import csv
import math
import os

import pytest

from tfgen.tuning import TrialRecord
from tfgen.tuning.report import _rows, write_report
from tfgen.tuning.trials import write_json, write_trial

BETAS, LATENT_DIMS = (1.0, 4.0), (2, 10)


def write_search(folder, num_trials):
    """A search of two by two, the second trial of which diverged."""
    write_json(folder / "search.json", {"model": "BetaVAE", "dataset": "mnist"})
    for i in range(num_trials):
        values = {"beta": BETAS[i // 2], "latent_dim": LATENT_DIMS[i % 2]}
        rate, distortion = 20.0 - 3 * i, 90.0 + 5 * i
        metrics = {"val_elbo": -rate - distortion, "val_kl": rate, "val_reconstruction": distortion}
        goal = {"name": "val_elbo", "direction": "max", "value": metrics["val_elbo"]}
        record = TrialRecord(str(i), "COMPLETED", values, metrics, goal, 1.5, 3)
        if i == 1:
            metrics = dict.fromkeys(metrics, math.nan)
            record = record._replace(
                status="INVALID", metrics=metrics, objective=None, message="loss is NaN"
            )
        write_trial(folder, record)


@pytest.fixture(scope="module")
def search_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    write_search(folder, 4)
    return folder


def test_report_writes_what_it_says(search_folder):
    page = write_report(search_folder)
    assert page == search_folder / "report" / "report.html"
    pictures = {"elbo", "rate", "distortion", "rate_distortion"}
    names = {f"{name}.png" for name in pictures} | {"trials.csv", "trials.md", "report.html"}
    assert {path.name for path in page.parent.iterdir()} == names
    text = page.read_text(encoding="utf-8")
    assert "<h1>Search of BetaVAE on mnist</h1>" in text
    assert "3 of 4 trials completed. The best, trial 0: val_elbo -110 with beta 1," in text
    assert text.count("data:image/png;base64,") == 4 and "loss is NaN" in text
    with open(page.with_name("trials.csv"), newline="") as file:
        assert [row["trial"] for row in csv.DictReader(file)] == ["0", "2", "3", "1"]
    assert page.with_name("trials.md").read_text(encoding="utf-8").count("\n") == 2 + 4


def test_report_that_is_killed_leaves_the_old_page(search_folder, monkeypatch):
    page = search_folder / "report" / "report.html"
    page.parent.mkdir(exist_ok=True)
    page.write_text("old")
    replace = os.replace

    def killed_at_the_page(source, target):
        if target == page:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr("os.replace", killed_at_the_page)
    for figures in ("heat_maps", "rate_distortion_figure"):  # They take seconds.
        monkeypatch.setattr(f"tfgen.tuning.report.{figures}", lambda *_: {})
    with pytest.raises(KeyboardInterrupt):
        write_report(search_folder)
    assert page.read_text(encoding="utf-8") == "old"


def test_folder_without_an_ended_trial_is_refused(tmp_path):
    write_search(tmp_path, 0)
    with pytest.raises(ValueError, match="of which a trial has ended. Received: .*without any"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    "values, expected",
    [
        ([{"beta": 1, "latent_dim": 2}, {"beta": 2, "latent_dim": 5}], "beta"),
        (
            [{"width": 8, "latent_dim": 2, "beta": 1}, {"width": 9, "latent_dim": 5, "beta": 2}],
            "beta",
        ),
        ([{"width": 8, "gamma": 1.0, "latent_dim": 2}, {"width": 8, "gamma": 2.0}], "gamma"),
        ([{"beta": 1, "width": 8}, {"beta": 1, "width": 16}], "width"),
        ([{"latent_dim": 2}, {"latent_dim": 5}], "beta"),
    ],
)
def test_rows_of_the_heat_maps(values, expected):
    trials = [TrialRecord("0", "COMPLETED", v, {}, None, 1.0, 1) for v in values]
    assert _rows(trials, "latent_dim") == expected
