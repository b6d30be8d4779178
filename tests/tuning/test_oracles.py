"""Oracles: a new one that repeats a search is where the old one was, whatever the workers did."""

import contextlib
import random

import keras_tuner as kt
import pytest

from tfgen.tuning.objectives import as_objective
from tfgen.tuning.oracles import ORACLES, answer, make_oracle, record_of
from tfgen.tuning.trials import TrialRecord, load_trials, write_trial

EPOCHS = 9


class Killed(Exception):
    """Ends the chief and all workers."""


def space(hp):
    hp.Choice("beta", [1.0, 2.0, 4.0])
    hp.Choice("width", [8, 16])
    hp.Int("latent_dim", 2, 3)


def start(folder, tuner, scratch, max_trials=12):
    """An oracle that takes up the search of `folder`."""
    limit = None if tuner in ("grid", "hyperband") else max_trials
    oracle = make_oracle(tuner, as_objective("val_elbo"), EPOCHS, limit, seed=0)
    kt.Tuner(oracle, space, directory=str(scratch), project_name=str(random.random()))
    oracle.replay(folder)
    return oracle


def score(trial):
    values = trial.hyperparameters.values
    return -((values["beta"] - 2) ** 2) - 1 / values["width"] - 0.1 * values["latent_dim"]


def end(folder, trial):
    """The record of a trial; that of every fifth one is of a failure."""
    values = trial.hyperparameters.values
    epochs = values.get("tuner/epochs", EPOCHS)
    values = {name: values[name] for name in ("beta", "width", "latent_dim")}
    goal = {"name": "val_elbo", "direction": "max", "value": score(trial)}
    status = "COMPLETED" if int(trial.trial_id) % 5 else "FAILED"
    goal = goal if status == "COMPLETED" else None
    record = TrialRecord(trial.trial_id, status, values, {}, goal, 0.0, epochs)
    assert trial.trial_id not in {r.trial_id for r in load_trials(folder)}, "a trial ran twice"
    write_trial(folder, record)
    return record


def work(oracle, folder, workers, rng, kill_at=None):
    """Workers that ask and answer in a random order, until all are told that it has ended."""
    running, waiting = {}, list(workers)
    for step in range(2000):
        if step == kill_at:
            raise Killed
        worker = rng.choice(waiting)
        if worker in running:
            trial = running.pop(worker)
            records = {int(record.trial_id): record for record in load_trials(folder)}
            answer(oracle, trial, record_of(records, trial) or end(folder, trial))
            continue
        trial = oracle.create_trial(worker)
        if trial.status == "RUNNING":
            running[worker] = trial
        elif trial.status == "STOPPED":
            waiting.remove(worker)
            if not waiting:
                return
    raise AssertionError("The search does not end.")


@pytest.mark.parametrize("tuner", ORACLES)
def test_a_killed_parallel_search_loses_and_repeats_nothing(tuner, tmp_path):
    rng = random.Random(0)
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        for kill_at in (5, 9, 7, 3):
            workers = [f"worker{i}" for i in range(rng.randint(1, 4))]
            with contextlib.suppress(Killed):  # It may have ended before.
                work(start(folder, tuner, tmp_path), folder, workers, rng, kill_at)
        work(start(folder, tuner, tmp_path), folder, ["worker0", "worker7"], rng)
        trials = load_trials(folder)
        assert [int(trial.trial_id) for trial in trials] == list(range(len(trials)))
        if tuner in ("grid", "random"):
            assert len({tuple(trial.hyperparameters.values()) for trial in trials}) == 12


@pytest.mark.parametrize("tuner", ORACLES)
def test_a_new_oracle_proposes_what_the_old_one_does(tuner, tmp_path):
    rng, workers = random.Random(1), ["worker0", "worker1", "worker2"]
    folder = tmp_path / "search"
    old = start(folder, tuner, tmp_path)
    for _ in range(8):
        trial = old.create_trial(rng.choice(workers))
        if trial.status == "RUNNING" and rng.random() < 0.7:
            answer(old, trial, end(folder, trial))
    for worker in workers:  # None of them is running.
        trial = old.create_trial(worker)
        if trial.status == "RUNNING":
            answer(old, trial, end(folder, trial))
    new = start(folder, tuner, tmp_path)
    for _ in range(3):
        ours, theirs = new.create_trial("worker0"), old.create_trial("worker0")
        assert (ours.trial_id, ours.status) == (theirs.trial_id, theirs.status)
        assert ours.hyperparameters.values == theirs.hyperparameters.values
        if ours.status == "RUNNING":
            answer(old, theirs, record := end(folder, theirs))
            answer(new, ours, record)


def test_a_grid_keeps_all_workers_busy(tmp_path):
    oracle = start(tmp_path / "search", "grid", tmp_path)
    trials = [oracle.create_trial(f"worker{i}") for i in range(13)]
    assert [trial.status for trial in trials] == ["RUNNING"] * 12 + ["STOPPED"]
    values = [tuple(trial.hyperparameters.values.values()) for trial in trials[:12]]
    assert values[:3] == [(1.0, 8, 2), (1.0, 8, 3), (1.0, 16, 2)] and len(set(values)) == 12


def test_a_grid_leaves_out_what_is_not_active(tmp_path):
    def conditional(hp):
        hp.Choice("kind", ["plain", "deep"])
        with hp.conditional_scope("kind", ["deep"]):
            hp.Choice("depth", [2, 3])

    oracle = make_oracle("grid", as_objective("val_elbo"), EPOCHS, None, seed=0)
    kt.Tuner(oracle, conditional, directory=str(tmp_path), project_name="oracle")
    oracle.replay(tmp_path)
    proposed = [oracle.create_trial(f"worker{i}").hyperparameters.values for i in range(4)]
    assert proposed == [
        {"kind": "plain"},
        {"kind": "deep", "depth": 2},
        {"kind": "deep", "depth": 3},
        {},
    ]


def test_searches_without_an_order_are_continued_one_trial_after_the_other(tmp_path):
    folder, rng = tmp_path / "search", random.Random(0)
    with pytest.raises(Killed):
        work(start(folder, "random", tmp_path), folder, ["worker0"], rng, kill_at=7)
    (folder / "order.json").unlink()
    work(start(folder, "random", tmp_path), folder, ["worker0"], rng)
    assert len(load_trials(folder)) == 12


def test_more_trials_than_before_whose_numbers_are_longer(tmp_path):
    folder, rng = tmp_path / "search", random.Random(0)
    work(start(folder, "random", tmp_path, max_trials=5), folder, ["worker0"], rng)
    before = load_trials(folder)
    work(start(folder, "random", tmp_path, max_trials=10), folder, ["worker0"], rng)
    after = load_trials(folder)
    assert after[:5] == before and len(after) == 10
    assert len({tuple(trial.hyperparameters.values()) for trial in after}) == 10
    oracle = start(folder, "random", tmp_path, max_trials=3)
    assert oracle.create_trial("worker0").status == "STOPPED"
