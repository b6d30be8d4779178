"""What a search leaves on disk: one record a trial, and one description of the search."""

import json
import math
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tfgen._utils.arguments import check_one_of
from tfgen._utils.files import written_aside

__all__ = [
    "STATUSES",
    "TrialRecord",
    "best_trial",
    "load_search",
    "load_trials",
    "ranked",
    "worst_trial",
    "write_json",
    "write_trial",
]

STATUSES = ("COMPLETED", "FAILED", "INVALID")


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


def _read_trial(folder):
    values = json.loads((folder / "trial.json").read_text())
    values["metrics"] = {k: math.nan if v is None else v for k, v in values["metrics"].items()}
    return TrialRecord(**values, folder=folder)


def load_trials(output_dir: str | os.PathLike) -> list[TrialRecord]:
    """All trials of a search that have ended.

    Args:
        output_dir: path of the search, also while it runs.

    Returns:
        List of `TrialRecord` in the order of their numbers; empty if there are none.
    """
    paths = pathlib.Path(output_dir).glob("trials/*/trial.json")
    # The padding of later numbers differs where a search was continued with more trials.
    return [_read_trial(path.parent) for path in sorted(paths, key=lambda p: int(p.parent.name))]


def load_search(output_dir: str | os.PathLike) -> dict[str, Any]:
    """The contents of search.json: what was searched, on which data, by which command.

    Args:
        output_dir: path of the search.

    Returns:
        Dict with "objective" (a dict of "name" and "direction"), "model", "dataset", "tuner",
        "command" and further settings.

    Raises:
        FileNotFoundError: if the folder holds no search.
    """
    path = pathlib.Path(output_dir) / "search.json"
    if not path.exists():
        raise FileNotFoundError(f"No search in {output_dir}: there is no {path}. Run search first.")
    return json.loads(path.read_text())


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

    return sorted(trials, key=cost)


def best_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The completed `TrialRecord` of the best objective, or None if there is none."""
    return next(iter(_completed(trials)), None)


def worst_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The completed `TrialRecord` of the worst objective, or None if there is none."""
    return next(reversed(_completed(trials)), None)


def _completed(trials):
    return [trial for trial in ranked(trials) if trial.status == "COMPLETED"]
