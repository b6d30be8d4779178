"""Callbacks for `fit`: schedules of the weights of a loss, sample grids during training."""

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
    "SampleGrid",
    "WeightSchedule",
]
