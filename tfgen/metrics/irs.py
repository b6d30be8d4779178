"""IRS, the interventional robustness score of codes.

Source: Suter, Miladinovic, Scholkopf & Bauer, "Robustly Disentangled Causal Mechanisms",
arXiv:1811.00007v2.
"""

import numpy as np

from tfgen._utils.typing import TensorLike
from tfgen.metrics._codes import active_dims, check_codes_and_factors, points_by_value

__all__ = ["irs"]


def _deviation(codes: np.ndarray, factor: np.ndarray, quantile: float) -> np.ndarray:
    """How far codes move while a factor is fixed: mean over its values, shape (d,)."""
    groups = [codes[points] for points in points_by_value(factor)]
    distances = [np.abs(group - group.mean(axis=0)) for group in groups]
    return np.mean([np.quantile(d, quantile, axis=0) for d in distances], axis=0)


def irs(codes: TensorLike, factors: TensorLike, quantile: float = 0.99) -> float:
    """Robustness: how little a code moves while one factor is fixed and all others change.

    For each dimension and factor 1 - (deviation from the mean at a fixed value of the factor, mean
    over the values) / (greatest deviation from the mean of all points). Each dimension counts with
    its best factor, and with its greatest deviation as weight. Dimensions that vary by no more than
    the rounding of float32 do not count.

    Source: Suter et al., arXiv:1811.00007v2; quantile and weights as in Locatello et al.,
    arXiv:1811.12359v4.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).
        factors: array or tensor of whole numbers, shape (num_points, num_factors). A value that one
            point alone has is left out; with few points to a value deviations are too small, and
            the score too high.
        quantile: float in [0, 1], which of the deviations at a fixed value counts; 1 is the
            greatest, as in the paper, and follows single outliers.

    Returns:
        float <= 1, 1 if each dimension follows one factor alone, 0 if no dimension varies. Codes
        without information score more the longer their tails are: 0.4 for 10,000 normally
        distributed points, 0 for two values.

    Raises:
        ValueError: if codes and factors do not fit together, no two points share a factor's value,
            or the quantile is out of range.

    Example:
        >>> factors = np.indices((3, 4)).reshape(2, -1).T
        >>> irs(-2.0 * factors, factors)
        1.0
    """
    codes, factors = check_codes_and_factors(codes, factors)
    if not 0.0 <= quantile <= 1.0:
        raise ValueError(f"quantile must be in [0, 1]. Received: {quantile}.")
    codes = codes[:, active_dims(codes)]
    if codes.shape[1] == 0:
        return 0.0
    greatest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    deviations = [_deviation(codes, factor, quantile) for factor in factors.T]
    return float(np.average(1.0 - np.min(deviations, axis=0) / greatest, weights=greatest))
