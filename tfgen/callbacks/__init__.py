"""Callbacks for `fit`: schedules of the weights of a loss, grids and scores of samples."""

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
    "KLWarmUp",
    "SampleEvaluation",
    "SampleGrid",
    "WeightSchedule",
]
