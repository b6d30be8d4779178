"""What a search leaves on disk: one record a trial, and one description of the search."""

import json
import math
import os
import pathlib
from typing import NamedTuple

__all__ = [
    "STATUSES",
    "TrialRecord",
    "best_trial",
    "load_search",
    "load_trials",
    "ranked",
    "worst_trial",
    "write_aside",
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
    hyperparameters: dict
    metrics: dict
    objective: dict | None
    seconds: float
    epochs: int
    message: str | None = None
    folder: pathlib.Path | None = None

    @property
    def model_path(self):
        """Path of the whole saved model, or None if it was not kept."""
        path = self.folder / "model.keras" if self.folder else None
        return path if path and path.exists() else None


def trial_folder(output_dir, trial_id):
    """`pathlib.Path` of the folder of one trial."""
    return pathlib.Path(output_dir) / "trials" / trial_id


def write_aside(path, content):
    """Writes bytes aside, then renames: a reader never sees half a file, nor a killed search."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    aside.write_bytes(content)
    os.replace(aside, path)


def write_json(path, value):
    """`write_aside` of a value as JSON."""
    write_aside(path, (json.dumps(value, indent=2) + "\n").encode())


def write_trial(output_dir, record):
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
    if record.status not in STATUSES:
        raise ValueError(
            f"The status of a trial must be one of {STATUSES}. Received: {record.status!r}."
        )
    values = record._asdict()
    del values["folder"]
    values["metrics"] = {k: v if math.isfinite(v) else None for k, v in record.metrics.items()}
    write_json(trial_folder(output_dir, record.trial_id) / "trial.json", values)


def read_trial(output_dir, trial_id):
    """The `TrialRecord` of one trial, or None if it has not ended."""
    folder = trial_folder(output_dir, trial_id)
    try:
        values = json.loads((folder / "trial.json").read_text())
    except FileNotFoundError:
        return None
    values["metrics"] = {k: math.nan if v is None else v for k, v in values["metrics"].items()}
    return TrialRecord(**values, folder=folder)


def load_trials(output_dir):
    """All trials of a search that have ended.

    Args:
        output_dir: path of the search, also while it runs.

    Returns:
        List of `TrialRecord` in the order of their numbers; empty if there are none.
    """
    paths = pathlib.Path(output_dir).glob("trials/*/trial.json")
    # The padding of later numbers differs where a search was continued with more trials.
    trial_ids = sorted((path.parent.name for path in paths), key=lambda name: (len(name), name))
    return [read_trial(output_dir, trial_id) for trial_id in trial_ids]


def load_search(output_dir):
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


def ranked(trials):
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


def best_trial(trials):
    """The completed `TrialRecord` of the best objective, or None if there is none."""
    return next(iter(_completed(trials)), None)


def worst_trial(trials):
    """The completed `TrialRecord` of the worst objective, or None if there is none."""
    return next(reversed(_completed(trials)), None)


def _completed(trials):
    return [trial for trial in ranked(trials) if trial.status == "COMPLETED"]
