"""Formulas: distributions and tensors in, one value per example out; and a Keras loss."""

from tfgen.losses.divergences import kl_divergence
from tfgen.losses.negative_log_likelihood import NegativeLogLikelihood
from tfgen.losses.total_correlation import (
    KLDecomposition,
    kl_decomposition,
    log_importance_weights,
)

__all__ = [
    "KLDecomposition",
    "NegativeLogLikelihood",
    "kl_decomposition",
    "kl_divergence",
    "log_importance_weights",
]
