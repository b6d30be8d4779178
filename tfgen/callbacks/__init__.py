"""Callbacks for `fit`: schedules of a model's weights, sample grids during training."""

from tfgen.callbacks.samples import SampleGrid
from tfgen.callbacks.schedules import BetaSchedule, CapacitySchedule, CyclicalKLWarmUp, KLWarmUp

__all__ = ["BetaSchedule", "CapacitySchedule", "CyclicalKLWarmUp", "KLWarmUp", "SampleGrid"]
