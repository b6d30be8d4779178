"""Searches of hyperparameters through KerasTuner: hypermodels, objectives, workers, reports."""

from tfgen._utils.extras import require

require("keras_tuner", extra="tuning")

from tfgen.tuning.hypermodels import AdversarialHyperModel, BetaLatentHyperModel, Range  # noqa: E402
from tfgen.tuning.objectives import OBJECTIVES  # noqa: E402
from tfgen.tuning.parallel import configure_devices, is_worker, run_workers, worker_environments  # noqa: E402
from tfgen.tuning.report import write_report  # noqa: E402
from tfgen.tuning.search import SearchResult, search  # noqa: E402
from tfgen.tuning.trials import (  # noqa: E402
    TrialRecord,
    best_trial,
    load_search,
    load_trials,
    ranked,
    worst_trial,
)

__all__ = [
    "OBJECTIVES",
    "AdversarialHyperModel",
    "BetaLatentHyperModel",
    "Range",
    "SearchResult",
    "TrialRecord",
    "best_trial",
    "configure_devices",
    "is_worker",
    "load_search",
    "load_trials",
    "ranked",
    "run_workers",
    "search",
    "worker_environments",
    "worst_trial",
    "write_report",
]
