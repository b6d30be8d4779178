"""Searches of hyperparameters through KerasTuner: hypermodels, objectives, workers, reports."""

from tfgen.tuning.hypermodels import AdversarialHyperModel, BetaLatentHyperModel, Range
from tfgen.tuning.objectives import OBJECTIVES
from tfgen.tuning.parallel import configure_devices, is_worker, run_workers, worker_environments
from tfgen.tuning.report import write_report
from tfgen.tuning.search import SearchResult, search
from tfgen.tuning.trials import (
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
