"""`search`: a hypermodel through one of KerasTuner's oracles, with records that survive a kill."""

import contextlib
import functools
import gc
import math
import pathlib
import sys
import time
from typing import NamedTuple

import keras
import keras_tuner as kt
from tensorflow.python.framework import ops

from tfgen.models import load_model
from tfgen.tuning.hypermodels import Range
from tfgen.tuning.objectives import AFTER_TRAINING, as_objective, check_metrics
from tfgen.tuning.parallel import is_chief, is_worker
from tfgen.tuning.trials import (
    TrialRecord,
    best_trial,
    load_search,
    load_trials,
    read_trial,
    trial_folder,
    worst_trial,
    write_json,
    write_trial,
)

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two searches out of one folder.
    fcntl = None

__all__ = ["SearchResult", "search"]

SAVE_MODELS = ("best", "best_and_worst", "all")


class SearchResult(NamedTuple):
    """What a search has found.

    Attributes:
        best: `TrialRecord` of the best objective, or None if no trial completed.
        trials: list of `TrialRecord`, all that have ended.
        output_dir: `pathlib.Path`.
    """

    best: TrialRecord | None
    trials: list
    output_dir: pathlib.Path


# KerasTuner's oracles, made to survive a kill.


class _Durable:
    """Mixin over an oracle: its files are whole at any moment, and agree with each other."""

    def save(self):
        write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial):
        path = pathlib.Path(self._get_trial_dir(trial.trial_id), "trial.json")
        write_json(path, trial.get_state())

    def reload(self):
        super().reload()
        # Killed between its own file and the oracle's, a trial would hold its number for ever.
        self.trials = {name: self.trials[name] for name in self.start_order}


class _Grid(_Durable, kt.oracles.GridSearchOracle):
    """Restores what KerasTuner 1.4.8 forgets: without it no grid goes on (its issue 1055)."""

    def set_state(self, state):
        super().set_state(state)
        values = {name: self.trials[name].hyperparameters.values for name in self.start_order}
        by_values = functools.cmp_to_key(lambda a, b: self._compare(values[a], values[b]))
        self._ordered_ids = type(self._ordered_ids)()
        for name in sorted(values, key=by_values):
            self._ordered_ids.insert(name)
        self._populate_next = list(self.start_order)


class _Random(_Durable, kt.oracles.RandomSearchOracle):
    pass


class _Bayesian(_Durable, kt.oracles.BayesianOptimizationOracle):
    pass


class _Hyperband(_Durable, kt.oracles.HyperbandOracle):
    pass


ORACLES = {"grid": _Grid, "random": _Random, "bayesian": _Bayesian, "hyperband": _Hyperband}


def _make_oracle(tuner, objective, epochs, max_trials, seed):
    limits = {"max_epochs": epochs} if tuner == "hyperband" else {"max_trials": max_trials}
    return ORACLES[tuner](
        objective=kt.Objective(objective.name, objective.direction),
        seed=seed + 1,  # It takes 0 for None.
        max_consecutive_failed_trials=sys.maxsize,
        **limits,
    )


# One trial.


class _Tuner(kt.Tuner):
    """Runs trials and writes their records; trials that have a record are not run again."""

    def __init__(self, oracle, hypermodel, output_dir, objective, epochs, metrics, keep, verbose):
        self.output_dir, self.epochs, self.goal = output_dir, epochs, objective
        self.metrics_after_training = sorted({*metrics, *objective.weights} & set(AFTER_TRAINING))
        self.keep, self.verbose = keep, verbose
        super().__init__(oracle, hypermodel, directory=str(output_dir), project_name="tuner")

    # The oracle's file is all there is to save, and its presence says that there is a search.

    def _get_tuner_fname(self):
        return str(self.output_dir / "tuner" / "oracle.json")

    def save(self):
        if not self._is_worker():
            self.oracle.save()

    def reload(self):
        if not self._is_worker():
            self.oracle.reload()

    def pre_create_trial(self):
        if self._is_worker():
            time.sleep(0.1)  # A worker with nothing to do asks again and again.

    def _try_run_and_update_trial(self, trial):
        """In place of KerasTuner's, which would take a full disk for a failed trial."""
        record = self._record(trial)
        trial.status, trial.message = record.status, record.message
        if record.objective:
            values = {self.goal.name: record.objective["value"]}
            self.oracle.update_trial(trial.trial_id, values)

    def _record(self, trial):
        """The `TrialRecord` on disk if the trial had ended before, else of running it."""
        epochs = trial.hyperparameters.values.get("tuner/epochs", self.epochs)
        values = self.hypermodel.values(trial.hyperparameters)
        record = read_trial(self.output_dir, trial.trial_id)
        if record is None or (record.hyperparameters, record.epochs) != (values, epochs):
            with _memory_returned():
                record = self._measure(trial, values, epochs)
            write_trial(self.output_dir, record)
            _remove_models(self.output_dir, self.keep)
            self._report(record)
        return record

    def _measure(self, trial, values, epochs):
        """The `TrialRecord` of training with these values, whatever happens."""
        start = time.perf_counter()
        record = TrialRecord(trial.trial_id, "COMPLETED", values, {}, None, 0.0, epochs)
        try:
            model, metrics = self._train(trial.hyperparameters, epochs)
            value = self.goal.value(metrics)
            record = record._replace(metrics=metrics)
            if not math.isfinite(value):
                raise FloatingPointError(f"{self.goal.name} is {value}. Measured: {metrics}.")
            goal = {"name": self.goal.name, "direction": self.goal.direction, "value": value}
            self._save_model(trial, model)
            record = record._replace(objective=goal)
        except Exception as error:  # Anything that one trial raises must not end the search.
            status = "INVALID" if isinstance(error, FloatingPointError) else "FAILED"
            message = f"{type(error).__name__}: {error}"
            record = record._replace(status=status, message=message)
        return record._replace(seconds=time.perf_counter() - start)

    def _train(self, hp, epochs):
        """A trained model, and its metrics."""
        model = self._model(hp)
        metrics = self.hypermodel.fit(
            hp,
            model,
            epochs=epochs,
            initial_epoch=hp.values.get("tuner/initial_epoch", 0),
            metrics=self.metrics_after_training,
            verbose=2 if self.verbose > 1 else 0,
        )
        return model, metrics

    def _save_model(self, trial, model):
        folder = trial_folder(self.output_dir, trial.trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / "model.keras")

    def _model(self, hp):
        """A new model, or in later rounds of Hyperband the one of an earlier round."""
        if "tuner/trial_id" not in hp.values:
            return self.hypermodel.build(hp)
        return load_model(
            trial_folder(self.output_dir, hp.values["tuner/trial_id"]) / "model.keras"
        )

    def _report(self, record):
        if self.verbose:
            values = ", ".join(f"{k} {v}" for k, v in record.hyperparameters.items())
            goal = record.objective
            result = f"{goal['name']} {goal['value']:.5g}" if goal else record.message
            print(
                f"trial {record.trial_id}, {record.seconds:.1f} s: {values}: {result}", flush=True
            )


@contextlib.contextmanager
def _memory_returned():
    """Lets go of all that a trial has allocated.

    TensorFlow registers the gradient of each `tf.custom_gradient` that it traces, and never forgets
    one. Keras' optimizers trace such a gradient, which holds the graph of the whole training step:
    3 MB a trial for the smallest networks.
    """
    registry = ops.gradient_registry._registry
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            if name.startswith("CustomGradient-"):
                del registry[name]
        keras.backend.clear_session()
        gc.collect()


def _remove_models(output_dir, keep):
    """Removes the saved models of trials that are neither the best nor, if kept, the worst."""
    if keep == "all":
        return
    trials = load_trials(output_dir)
    kept = [best_trial(trials), worst_trial(trials) if keep == "best_and_worst" else None]
    names = {trial.trial_id for trial in kept if trial}
    for trial in trials:
        if trial.trial_id not in names and trial.model_path:
            trial.model_path.unlink(missing_ok=True)


# The search.


def _check_arguments(tuner, max_trials, epochs, save_models, space):
    if tuner not in ORACLES:
        raise ValueError(f"tuner must be one of {list(ORACLES)}. Received: tuner={tuner!r}.")
    if tuner in ("random", "bayesian") and not max_trials:
        raise ValueError(
            f"The {tuner} tuner ends after max_trials trials. Received: max_trials={max_trials!r}. "
            "Pass an int, for example max_trials=20."
        )
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1. Received: epochs={epochs}.")
    if save_models not in SAVE_MODELS:
        raise ValueError(
            f"save_models must be one of {SAVE_MODELS}. Received: save_models={save_models!r}."
        )
    ranges = [name for name, values in space.items() if isinstance(values, Range)]
    if tuner == "grid" and ranges:
        raise ValueError(
            f"A grid needs values, not intervals. Received: a Range for {ranges}. Pass a tuple of "
            'values, or choose the "random" or "bayesian" tuner.'
        )


def _describe_or_check(output_dir, settings):
    """Writes search.json, or compares it with what is to be searched now."""
    try:
        saved = load_search(output_dir)
    except FileNotFoundError:
        if not is_worker() or is_chief():
            write_json(output_dir / "search.json", settings)
        return
    free = {"command", "max_trials", "versions", "save_models"}
    changed = [k for k in settings if k not in free and saved.get(k) != settings[k]]
    if changed:
        differences = ", ".join(f"{k}: {saved.get(k)} there, {settings[k]} now" for k in changed)
        raise ValueError(
            f"{output_dir} holds another search. Received: {differences}. Choose another "
            "output_dir, or repeat the settings to continue that search."
        )


@contextlib.contextmanager
def _alone(output_dir):
    """Keeps a second search out of the folder. The lock ends with the process, however it ends."""
    if fcntl is None or (is_worker() and not is_chief()):
        yield
        return
    with open(output_dir / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another process searches in {output_dir} at this moment. Received: output_dir="
                f"{str(output_dir)!r}. Wait for it or end it, or choose another folder."
            ) from None
        yield


def search(
    hypermodel,
    output_dir,
    objective="val_elbo",
    tuner="grid",
    epochs=10,
    max_trials=None,
    metrics=(),
    save_models="best_and_worst",
    seed=0,
    verbose=1,
):
    """Trains one model for each choice of hyperparameters, and records how good it is.

    Trials end with the record `trials/<number>/trial.json` (`load_trials`), also those that raise
    an error or become NaN, after which the search goes on. The same call in the same folder goes on
    where a killed search stopped: a trial that was running begins anew, one that had ended is
    neither lost nor repeated. A finished search is only read.

    All metrics are those of the validation split after the last epoch. In parallel
    (`run_workers`), each process calls this function with the same arguments and a folder that all
    of them see.

    Hyperband trains its first rounds for few epochs; its later rounds continue the saved model of
    an earlier one, optimizer and random state included, so that they end where uninterrupted
    training would. Records of the earlier rounds stay.

    Args:
        hypermodel: `BetaLatentHyperModel` or `AdversarialHyperModel`.
        output_dir: path of the folder of this search.
        objective: name, `keras_tuner.Objective` or dict of weights, see `as_objective`.
        tuner: "grid" (all combinations), "random", "bayesian" or "hyperband".
        epochs: int, epochs of each trial; of the longest ones in Hyperband.
        max_trials: int, needed by "random" and "bayesian", unused by "hyperband". A later call may
            raise it.
        metrics: names of further metrics after training, "mig" or "mmd".
        save_models: "best", "best_and_worst" or "all", of which trials model.keras is kept.
        seed: int >= 0, of the tuner's proposals; weights and draws have that of the hypermodel.
        verbose: 0, silent; 1, a line for each trial; 2, also one for each epoch.

    Returns:
        `SearchResult`.

    Raises:
        ValueError: for an argument out of range, a folder that holds another search or in which one
            runs, or data without what a metric needs.

    Example:
        >>> import tempfile
        >>> from tfgen import datasets, tuning
        >>> data = functools.partial(datasets.load, "digits", binarize="threshold")
        >>> hypermodel = tuning.BetaLatentHyperModel(data, beta=(1.0, 8.0), latent_dim=2, width=16)
        >>> result = search(hypermodel, tempfile.mkdtemp(), epochs=1, verbose=0)
        >>> [trial.hyperparameters["beta"] for trial in result.trials], result.best.status
        ([1.0, 8.0], 'COMPLETED')
    """
    output_dir = pathlib.Path(output_dir)
    objective = as_objective(objective)
    _check_arguments(tuner, max_trials, epochs, save_models, hypermodel.space)
    check_metrics(metrics)
    hypermodel.check_metrics({*metrics, *objective.weights})
    settings = {
        "objective": {"name": objective.name, "direction": objective.direction},
        **hypermodel.describe(),
        "tuner": tuner,
        "epochs": epochs,
        "metrics": sorted(metrics),
        "seed": seed,
        "max_trials": max_trials,
        "save_models": save_models,
        "command": " ".join(["python", *sys.argv]),
        "versions": {"keras": keras.__version__, "keras_tuner": kt.__version__},
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    with _alone(output_dir):
        _describe_or_check(output_dir, settings)
        oracle = _make_oracle(tuner, objective, epochs, max_trials, seed)
        keep = "all" if tuner == "hyperband" else save_models  # It continues earlier models.
        oracle.verbose = 0  # Trials are reported with their records.
        _Tuner(oracle, hypermodel, output_dir, objective, epochs, metrics, keep, verbose).search()
        if not is_worker():
            _remove_models(output_dir, save_models)
    trials = load_trials(output_dir)
    return SearchResult(best_trial(trials), trials, output_dir)
