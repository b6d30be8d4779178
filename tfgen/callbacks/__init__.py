"""Callbacks for `fit`: schedules of weights of a loss, grids and scores of samples, progress."""

from tfgen.callbacks.epoch_lines import EpochLines
from tfgen.callbacks.sample_evaluation import SampleEvaluation
from tfgen.callbacks.samples import SampleGrid
from tfgen.callbacks.schedules import (
    BetaSchedule,
    CapacitySchedule,
    CyclicalKLWarmUp,
    KLWarmUp,
    WeightSchedule,
)

__all__ = [
    "BetaSchedule",
    "CapacitySchedule",
    "CyclicalKLWarmUp",
    "EpochLines",
    "KLWarmUp",
    "SampleEvaluation",
    "SampleGrid",
    "WeightSchedule",
]
