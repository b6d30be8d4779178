"""Densities fitted on the codes of a trained model, which take the place of its prior."""

from tfgen.samplers.autoregressive import Autoregressive
from tfgen.samplers.by_class import ByClass
from tfgen.samplers.flow import NormalizingFlow
from tfgen.samplers.histogram import Histogram
from tfgen.samplers.mixtures import GaussianMixture, VampPosterior
from tfgen.samplers.sampler import Sampler
from tfgen.samplers.two_stage import TwoStageVAE

__all__ = [
    "Autoregressive",
    "ByClass",
    "GaussianMixture",
    "Histogram",
    "NormalizingFlow",
    "Sampler",
    "TwoStageVAE",
    "VampPosterior",
]
