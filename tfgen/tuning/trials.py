"""What a search leaves on disk: one record a trial, and one description of the search."""

import json
import math
import numbers
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfgen._utils.arguments import check_one_of
from tfgen._utils.files import as_path, written_aside

__all__ = [
    "STATUSES",
    "TrialRecord",
    "best_trial",
    "extreme_trials",
    "load_search",
    "load_trials",
    "ranked",
    "read_json",
    "worst_trial",
    "write_json",
    "write_trial",
]

STATUSES = ("COMPLETED", "FAILED", "INVALID")
_SEARCH_REMEDY = "Remove it: the call of search that wrote it writes it again, and keeps trials."


class TrialRecord(NamedTuple):
    """One trial that has ended.

    Attributes:
        trial_id: string, its number in the search, zero-padded.
        status: "COMPLETED"; "INVALID" if a loss, a weight or the objective became NaN or infinite;
            "FAILED" if something else was raised.
        hyperparameters: dict from name to value, those that were fixed included.
        metrics: dict from name to float. `val_elbo`, `val_reconstruction` (the distortion) and
            `val_kl` (the rate) in nats per example, `val_bits_per_dim` in bits; NaN where a metric
            has no value.
        objective: dict with "name", "direction" ("min" or "max") and "value", or None if the trial
            did not complete.
        seconds: float, wall time of the trial.
        epochs: int, epochs that the model has been trained for, those of a Hyperband trial that it
            continues included.
        message: string, why it did not complete, or None.
        folder: `pathlib.Path` of the trial, or None before it is written.
    """

    trial_id: str
    status: str
    hyperparameters: dict[str, Any]
    metrics: dict[str, float]
    objective: dict[str, Any] | None
    seconds: float
    epochs: int
    message: str | None = None
    folder: pathlib.Path | None = None

    @property
    def model_path(self) -> pathlib.Path | None:
        """Path of the whole saved model, or None if it was not kept."""
        path = self.folder / "model.keras" if self.folder else None
        return path if path and path.exists() else None


def trial_folder(output_dir: str | os.PathLike, trial_id: str) -> pathlib.Path:
    """`pathlib.Path` of the folder of one trial."""
    return pathlib.Path(output_dir) / "trials" / trial_id


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a value as JSON, aside; its folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=2) + "\n")


def write_trial(output_dir: str | os.PathLike, record: TrialRecord) -> None:
    """Writes trial.json of one `TrialRecord`; NaN and infinities become null.

    Args:
        output_dir: path of the search.
        record: `TrialRecord`; its `folder` is not read.

    Raises:
        ValueError: if the status is unknown.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> write_trial(folder, TrialRecord("0", "FAILED", {"beta": 4.0}, {}, None, 1.5, 0, "why"))
        >>> load_trials(folder)[0].hyperparameters
        {'beta': 4.0}
    """
    check_one_of(STATUSES, status=record.status)
    values = record._asdict()
    del values["folder"]
    values["metrics"] = {k: v if math.isfinite(v) else None for k, v in record.metrics.items()}
    write_json(trial_folder(output_dir, record.trial_id) / "trial.json", values)


def read_json(path: pathlib.Path, is_right: Callable[[Any], bool], remedy: str) -> Any:
    """The value in a JSON file.

    Args:
        path: path of a file that is there.
        is_right: function from the value to whether it is of the form that was written.
        remedy: what to do if it is not.

    Raises:
        ValueError: if the file is truncated, damaged or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        reason = "" if is_right(value) else "it holds something else than was written"
    except (ValueError, RecursionError) as error:  # No JSON, or no text.
        reason = str(error)
    if reason:
        raise ValueError(
            f"{path} is damaged. Received: {path.stat().st_size} bytes ({reason}). {remedy}"
        )
    return value


def _is_record(values):
    """Whether a value is what `write_trial` makes of a `TrialRecord`."""
    if not isinstance(values, dict) or {*values, "folder"} != {*TrialRecord._fields}:
        return False
    goal, metrics = values["objective"], values["metrics"]
    return (
        isinstance(values["trial_id"], str)
        and values["status"] in STATUSES
        and isinstance(values["hyperparameters"], dict)
        and isinstance(metrics, dict)
        and all(v is None or isinstance(v, numbers.Real) for v in metrics.values())
        and (_is_goal(goal) if values["status"] == "COMPLETED" else goal is None)
        and isinstance(values["seconds"], numbers.Real)
        and isinstance(values["epochs"], int)
        and isinstance(values["message"], str | None)
    )


def _is_goal(goal):
    return (
        isinstance(goal, dict)
        and isinstance(goal.get("name"), str)
        and goal.get("direction") in ("min", "max")
        and isinstance(goal.get("value"), numbers.Real)
    )


def _read_trial(folder):
    """`TrialRecord` in a folder; ValueError if it is damaged, or that of another trial."""

    def is_right(values):
        return _is_record(values) and int(values["trial_id"]) == int(folder.name)

    remedy = f"Remove {folder}: the same call of search lets this trial begin anew."
    values = read_json(folder / "trial.json", is_right, remedy)
    values["metrics"] = {k: math.nan if v is None else v for k, v in values["metrics"].items()}
    return TrialRecord(**values, folder=folder)


def load_trials(output_dir: str | os.PathLike) -> list[TrialRecord]:
    """All trials of a search that have ended.

    A record that is damaged is left out, with a warning that names it: to a search its trial has
    not ended, and begins anew.

    Args:
        output_dir: path of the search, also while it runs.

    Returns:
        List of `TrialRecord` in the order of their numbers; empty if there are none.

    Raises:
        ValueError: if all of several records, or the only one, are damaged.
    """
    output_dir = as_path(output_dir=output_dir)
    folders = [path.parent for path in output_dir.glob("trials/*/trial.json")]
    trials, damaged = [], []
    for folder in folders:
        try:
            trials.append(_read_trial(folder))
        except ValueError as error:
            damaged.append(str(error))
    if damaged and not trials:
        raise ValueError("\n".join(damaged))
    for message in damaged:
        warnings.warn(f"A trial is left out. {message}", stacklevel=2)
    # The padding of later numbers differs where a search was continued with more trials.
    return sorted(trials, key=lambda trial: int(trial.trial_id))


def load_search(output_dir: str | os.PathLike) -> dict[str, Any]:
    """The contents of search.json: what was searched, on which data, by which command.

    Args:
        output_dir: path of the search.

    Returns:
        Dict with "objective" (a dict of "name" and "direction"), "model", "dataset", "tuner",
        "command" and further settings.

    Raises:
        FileNotFoundError: if the folder holds no search.
        ValueError: if search.json is damaged.
    """
    path = as_path(output_dir=output_dir) / "search.json"
    if not path.exists():
        raise FileNotFoundError(f"No search in {output_dir}: there is no {path}. Run search first.")
    return read_json(path, lambda value: isinstance(value, dict), _SEARCH_REMEDY)


def ranked(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Trials by their objective, the best one first; those without one last, in their order.

    Args:
        trials: list of `TrialRecord` of one search.

    Returns:
        List of the same.
    """

    def cost(trial):
        if trial.objective is None:
            return (True, 0.0)
        value = trial.objective["value"]
        return (False, -value if trial.objective["direction"] == "max" else value)

    records = list(trials) if np.iterable(trials) else [trials]
    if not all(isinstance(record, TrialRecord) for record in records):
        raise ValueError(
            f"trials must be a list of TrialRecord. Received: trials={trials!r}. Take what "
            "load_trials returns."
        )
    return sorted(records, key=cost)


def best_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The completed `TrialRecord` of the best objective, or None if there is none."""
    return next(iter(_completed(trials)), None)


def worst_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The completed `TrialRecord` of the worst objective, or None if there is none."""
    return next(reversed(_completed(trials)), None)


def extreme_trials(trials: Sequence[TrialRecord], num_best: int = 3) -> list[TrialRecord]:
    """The best completed `TrialRecord`s, the best one first, and then the worst one."""
    completed = _completed(trials)
    return completed[:num_best] + completed[max(num_best, len(completed) - 1) :]


def _completed(trials):
    return [trial for trial in ranked(trials) if trial.status == "COMPLETED"]
