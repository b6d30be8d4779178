"""Measures of models and samples: pure functions on arrays, tensors and distributions."""

from tfgen.metrics.class_entropy import class_entropy, image_entropies, mode_count
from tfgen.metrics.classifier import ClassifierOutputs, classifier, classifier_outputs
from tfgen.metrics.evaluate_samples import SampleScores, evaluate_samples
from tfgen.metrics.frechet import frechet_distance
from tfgen.metrics.inception import inception_features
from tfgen.metrics.likelihood import bits_per_dim, is_discrete
from tfgen.metrics.mmd import (
    BANDWIDTH_FACTORS,
    RATIONAL_QUADRATIC_ALPHAS,
    median_bandwidth,
    squared_mmd,
)
from tfgen.metrics.ms_ssim import MeanAndError, ms_ssim, pairwise_ms_ssim
from tfgen.metrics.neighbours import PrecisionRecall, precision_recall

__all__ = [
    "BANDWIDTH_FACTORS",
    "RATIONAL_QUADRATIC_ALPHAS",
    "ClassifierOutputs",
    "MeanAndError",
    "PrecisionRecall",
    "SampleScores",
    "bits_per_dim",
    "class_entropy",
    "classifier",
    "classifier_outputs",
    "evaluate_samples",
    "frechet_distance",
    "image_entropies",
    "inception_features",
    "is_discrete",
    "median_bandwidth",
    "mode_count",
    "ms_ssim",
    "pairwise_ms_ssim",
    "precision_recall",
    "squared_mmd",
]
