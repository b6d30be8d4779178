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
    text = (tmp_path / "trials" / "0" / "trial.json").read_text(encoding="utf-8")
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
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}


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


# Damaged files.


def damaged_trials(folder, change, num_trials=3):
    """Writes trials, of which the second one's record is changed; returns its path."""
    for i in range(num_trials):
        write_trial(folder, record(str(i)))
    path = folder / "trials" / str(min(1, num_trials - 1)) / "trial.json"
    path.write_bytes(change(path.read_bytes()))
    return path


def with_value(**values):
    return lambda content: json.dumps({**json.loads(content), **values}).encode()


DAMAGE = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[:-10],
    "no text": lambda content: b"\xff" + content,
    "deep": lambda content: b"[" * 100_000,
    "list": lambda content: b"[]",
    "no fields": lambda content: b"{}",
    "further field": with_value(colour="red"),
    "other trial": with_value(trial_id="7"),
    "no number": with_value(trial_id="x"),
    "status": with_value(status="RUNNING"),
    "metrics": with_value(metrics=None),
    "metric": with_value(metrics={"mig": "0.5"}),
    "no goal": with_value(objective=None),
    "goal": with_value(objective={"name": "mig", "direction": "up", "value": 1.0}),
    "epochs": with_value(epochs=None),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_damaged_record_of_many_is_skipped_and_named(tmp_path, damage):
    path = damaged_trials(tmp_path, DAMAGE[damage])
    with pytest.warns(
        UserWarning, match=rf"left out. {path} is damaged. Received: \d+ bytes.*Remove"
    ):
        trials = load_trials(tmp_path)
    assert [t.trial_id for t in trials] == ["0", "2"]


def test_a_search_without_a_whole_record_is_refused(tmp_path):
    path = damaged_trials(tmp_path, DAMAGE["truncated"], num_trials=1)
    with pytest.raises(ValueError, match=rf"^{path} is damaged. Received: .*Remove {path.parent}"):
        load_trials(tmp_path)


def test_a_copy_of_a_trial_is_named(tmp_path):
    path = damaged_trials(tmp_path, lambda content: content)
    (tmp_path / "trials" / "1 (copy)").mkdir()
    copy = tmp_path / "trials" / "1 (copy)" / "trial.json"
    copy.write_bytes(path.read_bytes())
    with pytest.warns(UserWarning, match="copy"):
        assert len(load_trials(tmp_path)) == 3


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_description_is_named(tmp_path, content):
    (tmp_path / "search.json").write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"{tmp_path}/search.json is damaged. Received: .*Remove it"
    ):
        load_search(tmp_path)
