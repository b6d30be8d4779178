"""The records of a search: what is written comes back, and killed writers leave nothing half."""

import json
import math

import pytest

from tfgen.tuning import best_trial, load_search, load_trials, worst_trial
from tfgen.tuning.trials import TrialRecord, write_json, write_trial


def record(trial_id="0", value=1.0, direction="max", status="COMPLETED"):
    objective = {"name": "val_elbo", "direction": direction, "value": value}
    completed = status == "COMPLETED"
    return TrialRecord(
        trial_id, status, {"beta": 4.0}, {}, objective if completed else None, 1.0, 2
    )


def test_record_comes_back(tmp_path):
    written = record("07")._replace(metrics={"val_elbo": -1.5}, message="why")
    write_trial(tmp_path, written)
    assert load_trials(tmp_path) == [written._replace(folder=tmp_path / "trials" / "07")]


def test_metrics_that_are_not_finite_are_null_in_strict_json_and_nan_when_read(tmp_path):
    write_trial(tmp_path, record()._replace(metrics={"mig": math.nan, "mmd": math.inf}))
    text = (tmp_path / "trials" / "0" / "trial.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["metrics"] == {"mig": None, "mmd": None}
    assert all(math.isnan(v) for v in load_trials(tmp_path)[0].metrics.values())


def test_order_is_that_of_numbers_though_their_padding_changed(tmp_path):
    for trial_id in ("010", "9", "2"):
        write_trial(tmp_path, record(trial_id))
    assert [t.trial_id for t in load_trials(tmp_path)] == ["2", "9", "010"]


def test_a_writer_killed_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "search.json"
    write_json(path, {"a": 1})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_trial_folder_without_record_has_not_ended(tmp_path):
    (tmp_path / "trials" / "3").mkdir(parents=True)
    assert load_trials(tmp_path) == []


@pytest.mark.parametrize("direction, best, worst", [("max", "2", "0"), ("min", "0", "2")])
def test_best_and_worst(direction, best, worst):
    trials = [record(str(i), float(i), direction) for i in range(3)]
    trials.append(record("3", status="FAILED"))
    assert best_trial(trials).trial_id == best
    assert worst_trial(trials).trial_id == worst


def test_best_of_nothing_is_none():
    assert best_trial([record(status="INVALID")]) is None
    assert worst_trial([]) is None


def test_model_path_is_that_of_a_file_that_is_there(tmp_path):
    write_trial(tmp_path, record())
    assert load_trials(tmp_path)[0].model_path is None
    (tmp_path / "trials" / "0" / "model.keras").touch()
    assert load_trials(tmp_path)[0].model_path == tmp_path / "trials" / "0" / "model.keras"


def test_unknown_status(tmp_path):
    with pytest.raises(ValueError, match="one of .*COMPLETED.*Received: status='RUNNING'"):
        write_trial(tmp_path, record(status="RUNNING"))


def test_folder_without_search(tmp_path):
    with pytest.raises(FileNotFoundError, match="Run search first"):
        load_search(tmp_path)
