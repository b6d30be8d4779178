"""The report of a search as one HTML page that needs nothing else."""

from collections.abc import Sequence
from typing import Any

from tfgen import plotting
from tfgen.tuning.report_figures import Figure, describe
from tfgen.tuning.report_settings import settings
from tfgen.tuning.report_table import table
from tfgen.tuning.trials import TrialRecord, best_trial

__all__ = ["html_page"]

OF_TABLE = (
    "The best trial first; a click on a heading sorts. Values are means over the validation data: "
    "`val_elbo`, `val_reconstruction` (distortion) and `val_kl` (rate) in nats per example, "
    "`val_bits_per_dim` in bits."
)


def html_page(
    search: dict[str, Any], trials: Sequence[TrialRecord], figures: dict[str, Figure]
) -> str:
    """The page.

    Args:
        search: dict, the contents of search.json.
        trials: list of `TrialRecord`, in the order of the rows.
        figures: dict from name to `Figure`, in the order of the page.

    Returns:
        str, an HTML document without references to other files.

    Example:
        >>> from tfgen.tuning import TrialRecord
        >>> trial = TrialRecord("0", "FAILED", {"beta": 4.0}, {}, None, 1.5, 0, "out of memory")
        >>> "<p>0 of 1 trials completed.</p>" in html_page({"model": "BetaVAE"}, [trial], {})
        True
    """
    pictures = {figure.caption: (figure.png, figure.alt) for figure in figures.values()}
    return plotting.html_page(
        _title(search),
        {
            "": [_summary(trials)],
            "Search": [settings(search)],
            "Figures": [pictures or "There is nothing to draw yet."],
            "Trials": [OF_TABLE, table(trials)],
        },
    )


def _title(search):
    model, data = search.get("model", "a model"), search.get("dataset", "unnamed data")
    return f"Search of {model} on {data}"


def _summary(trials):
    """How many completed, and the best one."""
    completed = sum(trial.status == "COMPLETED" for trial in trials)
    text = f"{completed} of {len(trials)} trials completed."
    best = best_trial(trials)
    if best is None:
        return text
    return f"{text} The best, trial {best.trial_id}: {describe(best)}."
