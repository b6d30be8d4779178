"""Formulas: distributions and tensors in, one value per example out; and a Keras loss."""

from tfgen.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    RELATIVISTIC_LOSSES,
    AdversarialLoss,
    RelativisticLoss,
    WeightClipping,
    adversarial_loss,
    ascend_multiplier,
    constraint_penalty,
    gradient_penalty,
    proximity,
    r1_penalty,
    relativistic_loss,
    with_penalty,
)
from tfgen.losses.augmentation import AUGMENTATIONS, diff_augment
from tfgen.losses.disentanglement import dip_penalty, permute_dims
from tfgen.losses.divergences import kl_divergence
from tfgen.losses.expectations import expected_value, has_mean, mean_of_draws
from tfgen.losses.free_bits import free_bits_kl, kl_of_dimensions
from tfgen.losses.likelihood import (
    LogProbEstimate,
    bits_per_dim,
    bound_terms,
    is_discrete,
    log_mean_exp,
    squared_error,
)
from tfgen.losses.maximum_mean_discrepancy import squared_mmd
from tfgen.losses.ms_ssim import ms_ssim
from tfgen.losses.negative_log_likelihood import NegativeLogLikelihood
from tfgen.losses.semi_supervised import class_posterior
from tfgen.losses.support import check_support
from tfgen.losses.total_correlation import (
    KLDecomposition,
    kl_decomposition,
    log_importance_weights,
)
from tfgen.losses.weak_supervision import average_shared

__all__ = [
    "ADVERSARIAL_LOSSES",
    "AUGMENTATIONS",
    "RELATIVISTIC_LOSSES",
    "AdversarialLoss",
    "KLDecomposition",
    "LogProbEstimate",
    "NegativeLogLikelihood",
    "RelativisticLoss",
    "WeightClipping",
    "adversarial_loss",
    "ascend_multiplier",
    "average_shared",
    "bits_per_dim",
    "bound_terms",
    "check_support",
    "class_posterior",
    "constraint_penalty",
    "diff_augment",
    "dip_penalty",
    "expected_value",
    "free_bits_kl",
    "gradient_penalty",
    "has_mean",
    "is_discrete",
    "kl_decomposition",
    "kl_divergence",
    "kl_of_dimensions",
    "log_importance_weights",
    "log_mean_exp",
    "mean_of_draws",
    "ms_ssim",
    "permute_dims",
    "proximity",
    "r1_penalty",
    "relativistic_loss",
    "squared_error",
    "squared_mmd",
    "with_penalty",
]
