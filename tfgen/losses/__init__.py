"""Formulas: distributions and tensors in, one value per example out; and a Keras loss."""

from tfgen.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdversarialLoss,
    WeightClipping,
    adversarial_loss,
    ascend_multiplier,
    constraint_penalty,
    gradient_penalty,
    proximity,
    r1_penalty,
)
from tfgen.losses.disentanglement import dip_penalty, permute_dims
from tfgen.losses.divergences import kl_divergence
from tfgen.losses.maximum_mean_discrepancy import squared_mmd
from tfgen.losses.negative_log_likelihood import NegativeLogLikelihood
from tfgen.losses.total_correlation import (
    KLDecomposition,
    kl_decomposition,
    log_importance_weights,
)

__all__ = [
    "ADVERSARIAL_LOSSES",
    "AdversarialLoss",
    "KLDecomposition",
    "NegativeLogLikelihood",
    "WeightClipping",
    "adversarial_loss",
    "ascend_multiplier",
    "constraint_penalty",
    "dip_penalty",
    "gradient_penalty",
    "kl_decomposition",
    "kl_divergence",
    "log_importance_weights",
    "permute_dims",
    "proximity",
    "r1_penalty",
    "squared_mmd",
]
