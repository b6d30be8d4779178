"""KerasTuner's oracles, which propose trials; a new one takes up a search from its records.

What an oracle proposes depends on its seed, and on which trials it had proposed and which had ended
by then. `order.json` of a search holds that order; the results are those of the records. A new
oracle with the same seed, asked the same and answered the same, is where the old one was.
"""

import contextlib
import io
import itertools
import os
import pathlib
import sys
from typing import Any

import keras_tuner as kt

from tfgen._utils.keras_private import forget_tuners
from tfgen.tuning.objectives import Objective
from tfgen.tuning.trials import TrialRecord, load_trials, read_json, write_json

__all__ = ["ORACLES", "answer", "make_oracle", "record_of"]

_ORDER_REMEDY = "Remove it: the search goes on as if its trials had run one after the other."


def record_of(records: dict[int, TrialRecord], trial: Any) -> TrialRecord | None:
    """The record of a trial that an oracle proposes, if it has ended before.

    Args:
        records: dict from numbers of trials. Their padding changes where a search is continued with
            more trials.
        trial: `keras_tuner.engine.trial.Trial`.
    """
    record = records.get(int(trial.trial_id))
    if record and trial.hyperparameters.values.get("tuner/epochs", record.epochs) == record.epochs:
        return record
    return None


def answer(oracle: Any, trial: Any, record: TrialRecord) -> None:
    """Tells the oracle, or its client in a worker, how a trial has ended."""
    # A proposal that follows from earlier results may differ by rounding; the record holds.
    trial.hyperparameters.values.update(record.hyperparameters)
    # KerasTuner would try trials that are INVALID again.
    trial.status = "COMPLETED" if record.status == "COMPLETED" else "FAILED"
    trial.message = record.message
    if record.objective:
        goal = {record.objective["name"]: record.objective["value"]}
        oracle.update_trial(trial.trial_id, goal)
    oracle.end_trial(trial)


class _Replayed(kt.Oracle):
    """Mixin over an oracle: keeps the order of what happens, and repeats it."""

    def replay(self, output_dir: str | os.PathLike) -> None:
        """Takes up a search where it stopped; a trial that was running is proposed once more."""
        records = {int(record.trial_id): record for record in load_trials(output_dir)}
        self.path = pathlib.Path(output_dir, "order.json")
        self.order = _read_order(self.path, records)
        running: dict[int, Any] = {}
        for number in list(self.order):
            if number not in running:
                trial = self.create_trial(f"replay of trial {number}")
                if trial.status != "RUNNING":
                    break  # max_trials is less than before.
                running[number] = trial
            elif record := record_of(records, running[number]):
                answer(self, running.pop(number), record)
        for trial in running.values():
            trial.status = "INVALID"
            with contextlib.redirect_stdout(io.StringIO()):  # "Trial 3 failed 1 times."
                super().end_trial(trial)
        forget_tuners(self)

    @kt.synchronized
    def create_trial(self, tuner_id: str) -> Any:
        trial = super().create_trial(tuner_id)
        if trial.status == "RUNNING":
            self.note(trial, times=1)
        return trial

    @kt.synchronized
    def end_trial(self, trial: Any) -> None:
        super().end_trial(trial)
        self.note(trial, times=2)

    def note(self, trial: Any, times: int) -> None:
        """Puts a trial into the order, unless it is there that often."""
        number = int(trial.trial_id)
        if self.order.count(number) < times:
            self.order.append(number)
            write_json(self.path, self.order)


def _read_order(path, records):
    """Numbers of trials, each once for its proposal and again for its end."""
    if path.exists():
        return read_json(path, _is_order, _ORDER_REMEDY)
    # Of a search by an earlier release: one trial after the other.
    numbers = range(max(records, default=-1) + 1)
    return [number for number in numbers for _ in range(1 + (number in records))]


def _is_order(value):
    return isinstance(value, list) and all(
        type(number) is int and number >= 0 and value.count(number) <= 2 for number in value
    )


class _Grid(_Replayed):
    """All combinations, the last hyperparameter changing fastest.

    KerasTuner's own grid proposes a trial only when the one before it has ended, which leaves all
    workers but one idle.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        hps = self.get_space()
        combinations: dict[tuple, dict] = {}
        for choice in itertools.product(*(hp.values for hp in hps.space)):
            hps.values = {hp.name: value for hp, value in zip(hps.space, choice, strict=True)}
            active = {hp.name: hps.values[hp.name] for hp in hps.space if hps.is_active(hp)}
            combinations.setdefault(tuple(active.items()), active)
        if int(trial_id) < len(combinations):
            return {"status": "RUNNING", "values": list(combinations.values())[int(trial_id)]}
        return {"status": "STOPPED"}


class _Random(_Replayed, kt.oracles.RandomSearchOracle):
    pass


class _Bayesian(_Replayed, kt.oracles.BayesianOptimizationOracle):
    pass


class _Hyperband(_Replayed, kt.oracles.HyperbandOracle):
    pass


ORACLES = {"grid": _Grid, "random": _Random, "bayesian": _Bayesian, "hyperband": _Hyperband}


def make_oracle(
    tuner: str, objective: Objective, epochs: int, max_trials: int | None, seed: int
) -> Any:
    """A new oracle, silent and seeded.

    Args:
        tuner: key of `ORACLES`.
        objective: what it optimises.
        epochs: epochs of the longest trials of Hyperband.
        max_trials: int, or None; of the others.
        seed: int >= 0.
    """
    limits = {"max_epochs": epochs} if tuner == "hyperband" else {"max_trials": max_trials}
    oracle = ORACLES[tuner](
        objective=kt.Objective(objective.name, objective.direction),
        seed=seed + 1,  # It takes 0 for None.
        max_retries_per_trial=sys.maxsize,
        max_consecutive_failed_trials=sys.maxsize,
        **limits,
    )
    oracle.verbose = 0  # Trials are reported with their records.
    return oracle
