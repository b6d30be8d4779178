"""Measures of models and samples: pure functions on arrays, tensors and distributions."""

from tfgen.losses import bits_per_dim, is_discrete
from tfgen.metrics.annealed_importance_sampling import AnnealedNLL, annealed_importance_sampling
from tfgen.metrics.by_class import (
    ScoreByClass,
    classification_accuracy_score,
    intra_class_frechet_distance,
)
from tfgen.metrics.class_entropy import class_entropy, image_entropies, mode_count
from tfgen.metrics.classifier import ClassifierOutputs, classifier, classifier_outputs
from tfgen.metrics.dci import DCI, dci
from tfgen.metrics.disentanglement_report import DisentanglementReport, disentanglement_report
from tfgen.metrics.evaluate_samples import SampleScores, evaluate_samples
from tfgen.metrics.fixed_factor import beta_vae_score, factor_vae_score
from tfgen.metrics.frechet import frechet_distance
from tfgen.metrics.importance_sampling import ImportanceSampledNLL, importance_sampled_nll
from tfgen.metrics.inception import inception_features, inception_outputs
from tfgen.metrics.inception_scores import InceptionScore, fid, inception_score, kid
from tfgen.metrics.irs import irs
from tfgen.metrics.mig_by_samples import MIGBySamples, mig_by_samples
from tfgen.metrics.mmd import (
    BANDWIDTH_FACTORS,
    RATIONAL_QUADRATIC_ALPHAS,
    median_bandwidth,
    squared_mmd,
)
from tfgen.metrics.ms_ssim import MeanAndError, ms_ssim, pairwise_ms_ssim
from tfgen.metrics.mutual_information import (
    entropies,
    explicitness,
    gaussian_total_correlation,
    mig,
    modularity,
    mutual_information_matrix,
)
from tfgen.metrics.neighbours import PrecisionRecall, precision_recall
from tfgen.metrics.outliers import outlier_scores
from tfgen.metrics.posterior_collapse import (
    ActiveUnits,
    PosteriorCollapseReport,
    active_units,
    posterior_collapse_report,
)
from tfgen.metrics.sap import sap_score
from tfgen.metrics.tables import (
    ClosestRecords,
    TrainingAccuracy,
    closest_records,
    correlation_matrix,
    train_on_samples,
)
from tfgen.metrics.udr import udr

__all__ = [
    "ActiveUnits",
    "AnnealedNLL",
    "BANDWIDTH_FACTORS",
    "ClassifierOutputs",
    "ClosestRecords",
    "DCI",
    "DisentanglementReport",
    "ImportanceSampledNLL",
    "InceptionScore",
    "MIGBySamples",
    "MeanAndError",
    "PosteriorCollapseReport",
    "PrecisionRecall",
    "RATIONAL_QUADRATIC_ALPHAS",
    "SampleScores",
    "ScoreByClass",
    "TrainingAccuracy",
    "active_units",
    "annealed_importance_sampling",
    "beta_vae_score",
    "bits_per_dim",
    "class_entropy",
    "classification_accuracy_score",
    "classifier",
    "classifier_outputs",
    "closest_records",
    "correlation_matrix",
    "dci",
    "disentanglement_report",
    "entropies",
    "evaluate_samples",
    "explicitness",
    "factor_vae_score",
    "fid",
    "frechet_distance",
    "gaussian_total_correlation",
    "image_entropies",
    "importance_sampled_nll",
    "inception_features",
    "inception_outputs",
    "inception_score",
    "intra_class_frechet_distance",
    "irs",
    "is_discrete",
    "kid",
    "median_bandwidth",
    "mig",
    "mig_by_samples",
    "mode_count",
    "modularity",
    "ms_ssim",
    "mutual_information_matrix",
    "outlier_scores",
    "pairwise_ms_ssim",
    "posterior_collapse_report",
    "precision_recall",
    "sap_score",
    "squared_mmd",
    "train_on_samples",
    "udr",
]
