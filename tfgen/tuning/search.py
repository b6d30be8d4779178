"""`search`: a hypermodel through one of KerasTuner's oracles, with records that survive a kill."""

import contextlib
import errno
import gc
import math
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import keras
import keras_tuner as kt
import tensorflow as tf

import tfgen
from tfgen._utils.arguments import check_ints, check_one_of
from tfgen._utils.files import as_path, locked
from tfgen._utils.keras_private import gradients_forgotten
from tfgen.models import load_model
from tfgen.tuning.hypermodels import HyperModel, Range
from tfgen.tuning.objectives import AFTER_TRAINING, as_objective, check_metrics
from tfgen.tuning.oracles import ORACLES, answer, make_oracle, record_of
from tfgen.tuning.parallel import is_chief, is_worker
from tfgen.tuning.trials import (
    TrialRecord,
    best_trial,
    extreme_trials,
    load_search,
    load_trials,
    trial_folder,
    write_json,
    write_trial,
)

__all__ = ["SearchResult", "search"]

SAVE_MODELS = ("best", "best_and_worst", "few", "all")
# Numbers of errors that any trial would meet: a disk that is full, gone or broken.
OF_MACHINE = {
    getattr(errno, name)
    for name in ("EDQUOT", "EFBIG", "EIO", "EMFILE", "ENFILE", "ENOSPC", "EROFS", "ESTALE")
    if hasattr(errno, name)
}


class SearchResult(NamedTuple):
    """What a search has found.

    Attributes:
        best: `TrialRecord` of the best objective, or None if no trial completed.
        trials: list of `TrialRecord`, all that have ended.
        output_dir: `pathlib.Path`.
    """

    best: TrialRecord | None
    trials: list[TrialRecord]
    output_dir: pathlib.Path


# One trial.


class _Trials:
    """Runs trials and writes their records; trials that have a record are not run again."""

    def __init__(self, hypermodel, output_dir, objective, epochs, metrics, keep, verbose, number):
        self.hypermodel, self.output_dir = hypermodel, output_dir
        self.number = number
        self.goal, self.epochs, self.keep, self.verbose = objective, epochs, keep, verbose
        self.metrics_after_training = sorted({*metrics, *objective.weights} & set(AFTER_TRAINING))

    def record(self, trial: Any) -> TrialRecord:
        """The `TrialRecord` on disk if the trial had ended before, else of running it."""
        records = {int(record.trial_id): record for record in load_trials(self.output_dir)}
        record = record_of(records, trial)
        if record is None:
            record = self._run(trial)
            write_trial(self.output_dir, record)
            _remove_models(self.output_dir, self.keep)
            self._report(record)
        return record

    def _run(self, trial):
        epochs = trial.hyperparameters.values.get("tuner/epochs", self.epochs)
        values = self.hypermodel.values(trial.hyperparameters)
        with _memory_returned():
            return self._measure(trial, values, epochs)

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
            record = record._replace(objective=goal)
        except Exception as error:  # Anything that one trial raises must not end the search.
            _raise_if_of_machine(error)
            status = "INVALID" if isinstance(error, FloatingPointError) else "FAILED"
            message = f"{type(error).__name__}: {error}"
            record = record._replace(status=status, message=message)
        else:
            self._save_model(trial, model)
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
        folder = trial_folder(self.output_dir, hp.values["tuner/trial_id"])
        try:
            return load_model(folder / "model.keras")
        except (OSError, ValueError) as error:  # Of which the later round is not guilty.
            remedy = f"Remove {folder}, so that its trial begins anew."
            raise OSError(errno.EIO, f"{error} {remedy}") from error

    def _report(self, record):
        if self.verbose:
            values = ", ".join(f"{k} {v}" for k, v in record.hyperparameters.items())
            goal = record.objective
            result = f"{goal['name']} {goal['value']:.5g}" if goal else record.message
            head = f"trial {record.trial_id}, {record.seconds:.1f} s{self._left()}"
            print(f"{head}: {values}: {result}", flush=True)

    def _left(self):
        """How many trials of all have ended, and the time that the others take, if it is known."""
        if self.number is None:
            return ""
        trials = load_trials(self.output_dir)
        rest = self.number - len(trials)
        if rest <= 0 or is_worker():  # Of workers, nobody knows how many there are.
            return f", {len(trials)} of {self.number}"
        seconds = rest * sum(trial.seconds for trial in trials) / len(trials)
        left = f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
        return f", {len(trials)} of {self.number}, {left} left"


def _number_of_trials(tuner, max_trials, space):
    """How many trials a search has; None of Hyperband, whose rounds decide."""
    if tuner == "hyperband":
        return None
    if tuner != "grid":
        return max_trials
    lists = [values for values in space.values() if isinstance(values, list | tuple)]
    choices = math.prod(map(len, lists))
    return min(max_trials or choices, choices)


def _raise_if_of_machine(error):
    """Raises OSError if a disk, and not the trial, is the cause: the trial may be a good one."""
    cause: BaseException | None = error
    while cause is not None:
        full = os.strerror(errno.ENOSPC) in str(cause)  # HDF5 and TensorFlow say it in words.
        if full or (isinstance(cause, OSError) and cause.errno in OF_MACHINE):
            raise cause if isinstance(cause, OSError) else OSError(errno.ENOSPC, str(cause))
        cause = cause.__cause__ or cause.__context__


@contextlib.contextmanager
def _memory_returned():
    """Lets go of all that a trial has allocated."""
    try:
        with gradients_forgotten():
            yield
    finally:
        keras.backend.clear_session()
        gc.collect()


def _remove_models(output_dir, keep):
    """Removes the saved models of all trials but those that `keep` names."""
    if keep == "all":
        return
    trials = load_trials(output_dir)
    kept = extreme_trials(trials, num_best=3 if keep == "few" else 1)
    names = {trial.trial_id for trial in (kept[:1] if keep == "best" else kept)}
    for trial in trials:
        if trial.trial_id not in names and trial.model_path:
            trial.model_path.unlink(missing_ok=True)


# The search.


def _check_hypermodel(hypermodel):
    if not isinstance(hypermodel, HyperModel):
        raise ValueError(
            "hypermodel must be a BetaLatentHyperModel, an AdversarialHyperModel or a subclass. "
            f"Received: hypermodel={hypermodel!r}."
        )


def _check_arguments(tuner, max_trials, epochs, save_models, space):
    check_one_of(ORACLES, tuner=tuner)
    if max_trials is not None:
        check_ints(1, "Leave it out for all combinations of a grid.", max_trials=max_trials)
    if tuner == "hyperband" and max_trials is not None:
        raise ValueError(
            "The epochs decide how many trials Hyperband runs. Received: max_trials="
            f"{max_trials!r}. Leave it out, and choose fewer epochs for fewer trials."
        )
    if tuner in ("random", "bayesian") and not max_trials:
        raise ValueError(
            f"The {tuner} tuner ends after max_trials trials. Received: max_trials={max_trials!r}. "
            "Pass an int, for example max_trials=20."
        )
    check_ints(epochs=epochs)
    check_one_of(SAVE_MODELS, save_models=save_models)
    ranges = [name for name, values in space.items() if isinstance(values, Range)]
    if tuner == "grid" and ranges:
        raise ValueError(
            f"A grid needs values, not intervals. Received: a Range for {ranges}. Pass a tuple of "
            'values, or choose the "random" or "bayesian" tuner.'
        )


def _check_logged(hypermodel, objective):
    """Raises ValueError for an objective that no trial would have, before the first one trains."""
    if type(hypermodel).fit is not HyperModel.fit:
        return  # Its own may measure anything.
    with _memory_returned():
        try:
            names = hypermodel.build(kt.HyperParameters()).metrics_names
        except Exception:  # Trials say it, each for itself.
            return
    measured = {*(f"val_{name}" for name in names), *AFTER_TRAINING}
    unknown = sorted(set(objective.weights) - measured)
    if unknown:
        raise ValueError(
            f"Trials of {hypermodel.model_class.__name__} measure {sorted(measured)}. Received: "
            f"objective {unknown[0]!r}. Choose one of them."
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
def _reason_given(output_dir):
    """Says of errors of the machine what becomes of the search."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno or errno.EIO,  # HDF5 leaves it out.
            f"The search in {output_dir} has stopped. Received: {error}. Mend the cause and repeat "
            "the call: the trial that was running begins anew, and those that had ended are kept.",
        ) from error


def _alone(output_dir):
    """Keeps a second search out of the folder. The lock ends with the process, however it ends."""
    if is_worker() and not is_chief():
        return contextlib.nullcontext()
    return locked(
        output_dir / ".lock",
        f"Another process searches in {output_dir} at this moment. Received: output_dir="
        f"{str(output_dir)!r}. Wait for it or end it, or choose another folder.",
    )


def _settings(hypermodel, objective, **arguments):
    """The contents of search.json."""
    return {
        "objective": {"name": objective.name, "direction": objective.direction},
        **hypermodel.describe(),
        **arguments,
        "command": _command(),
        "versions": {module.__name__: module.__version__ for module in (tfgen, tf, keras, kt)},
    }


def _command():
    """What was typed, as far as Python knows."""
    program, arguments = pathlib.Path(sys.argv[0]), sys.argv[1:]
    if program.name == "tfgen":
        return " ".join(["tfgen", *arguments])
    run = ["-m", program.parent.name] if program.name == "__main__.py" else [sys.argv[0]]
    return " ".join(["python", *run, *arguments])


def _ask_for_trials(oracle, trials):
    """Runs what this process' part in the search is, until its end."""
    with tempfile.TemporaryDirectory() as scratch:  # For what KerasTuner writes.
        tuner = kt.Tuner(oracle, trials.hypermodel, directory=scratch, project_name="oracle")
        if is_chief() or not is_worker():
            oracle.replay(trials.output_dir)
        if is_chief():
            tuner.search()
            return
        # In a worker the tuner's oracle is a client of the chief's.
        while (trial := tuner.oracle.create_trial(tuner.tuner_id)).status != "STOPPED":
            if trial.status == "IDLE":  # The oracle waits for another worker.
                time.sleep(0.1)
            else:
                answer(tuner.oracle, trial, trials.record(trial))


def search(
    hypermodel: HyperModel,
    output_dir: str | os.PathLike,
    objective: str | dict[str, float] | kt.Objective = "val_elbo",
    tuner: Literal["grid", "random", "bayesian", "hyperband"] = "grid",
    epochs: int = 10,
    max_trials: int | None = None,
    metrics: Sequence[str] = (),
    save_models: Literal["best", "best_and_worst", "few", "all"] = "few",
    seed: int = 0,
    verbose: int = 1,
) -> SearchResult:
    """Trains one model for each choice of hyperparameters, and records how good it is.

    Trials end with the record `trials/<number>/trial.json` (`load_trials`), also those that raise
    an error or become NaN, after which the search goes on. A disk that is full, or that cannot be
    written to for another reason, ends the search and no trial. The same call in the same folder
    goes on where a search stopped or was killed: a trial that was running begins anew, one that had
    ended is neither lost nor repeated. What is proposed next depends on the records and on
    `order.json`, the numbers of the trials in the order in which they began and ended. A finished
    search is only read.

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
        max_trials: int, needed by "random" and "bayesian", refused with "hyperband". A later call
            may raise it.
        metrics: names of further metrics after training, "mig" or "mmd".
        save_models: of which trials model.keras is kept: "best", "best_and_worst", "few" (the three
            best and the worst) or "all".
        seed: int >= 0, of the tuner's proposals; weights and draws have that of the hypermodel.
        verbose: 0, silent; 1, a line for each trial; 2, also one for each epoch.

    Returns:
        `SearchResult`.

    Raises:
        ValueError: for an argument out of range, a folder that holds another search or in which one
            runs, or data without what a metric needs.
        OSError: if the disk is full, or a model or a record cannot be written for another reason.

    Example:
        >>> import functools, tempfile
        >>> from tfgen import datasets, tuning
        >>> data = functools.partial(datasets.load, "digits", binarize="threshold")
        >>> hypermodel = tuning.BetaLatentHyperModel(data, beta=(1.0, 8.0), latent_dim=2, width=16)
        >>> result = search(hypermodel, tempfile.mkdtemp(), epochs=1, verbose=0)
        >>> [trial.hyperparameters["beta"] for trial in result.trials], result.best.status
        ([1.0, 8.0], 'COMPLETED')
    """
    output_dir, goal = as_path(output_dir=output_dir), as_objective(objective)
    _check_hypermodel(hypermodel)
    _check_arguments(tuner, max_trials, epochs, save_models, hypermodel.space)
    check_ints(0, seed=seed)
    check_one_of((0, 1, 2), verbose=verbose)
    check_metrics(metrics)
    hypermodel.check_metrics({*metrics, *goal.weights})
    settings = _settings(
        hypermodel,
        goal,
        tuner=tuner,
        epochs=epochs,
        metrics=sorted(metrics),
        seed=seed,
        max_trials=max_trials,
        save_models=save_models,
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    with _reason_given(output_dir), _alone(output_dir):
        if not (output_dir / "search.json").exists():
            _check_logged(hypermodel, goal)
        _describe_or_check(output_dir, settings)
        keep = "all" if tuner == "hyperband" else save_models  # It continues earlier models.
        oracle = make_oracle(tuner, goal, epochs, max_trials, seed)
        number = _number_of_trials(tuner, max_trials, hypermodel.space)
        run = _Trials(hypermodel, output_dir, goal, epochs, metrics, keep, verbose, number)
        _ask_for_trials(oracle, run)
        if not is_worker():
            _remove_models(output_dir, save_models)
    trials = load_trials(output_dir)
    return SearchResult(best_trial(trials), trials, output_dir)
