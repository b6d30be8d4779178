"""Frechet distance between two sets of features."""

import numpy as np

from tfgen._utils.typing import TensorLike
from tfgen.metrics._samples import flat_pair

__all__ = ["frechet_distance"]


def _covariance_root(x: np.ndarray) -> np.ndarray:
    """A matrix R with R^T R the (unbiased) covariance of the rows of x, and at most d rows."""
    centred = x - x.mean(axis=0, dtype="float64")
    return np.linalg.qr(centred, mode="r") / np.sqrt(len(x) - 1)


def frechet_distance(x: TensorLike, y: TensorLike) -> float:
    """Squared Frechet (2-Wasserstein) distance between Gaussians fitted to two sets of features.

    |m_x - m_y|^2 + Tr(C_x + C_y - 2 (C_x C_y)^(1/2)), with C = R^T R from a QR decomposition: then
    the trace of the root is the sum of singular values of R_x R_y^T. No covariance is formed and no
    root taken of one, so singular covariances and identical sets lose no digits.

    Source: Dowson & Landau, J. Multivariate Analysis 12, 1982; Heusel et al., arXiv:1706.08500v6,
    Eq. 6, there of Inception features ("FID"). Here features are whatever the caller extracts, and
    values of two extractors are not comparable.

    Args:
        x: array or tensor, features of real samples, shape (n, ...), n >= 2, flattened to (n, d).
        y: array or tensor, features of generated samples, shape (m, ...), m >= 2. Take the same
            number for every model: the value falls with it.

    Returns:
        float >= 0, in squared units of the features. For equal distributions it tends to 0 with the
        number of samples, from above: for Gaussians with covariance s^2 I it is about
        s^2 (d + d (d + 1) / 4) (1/n + 1/m) if n and m are many times d. With fewer samples than
        dimensions covariances are singular and the value is far too high: take more samples or
        fewer features.

    Raises:
        ValueError: for fewer than 2 samples, features of two shapes or values that are not finite.

    Example:
        >>> x = np.array([[-1.0], [1.0]])  # mean 0, variance 2
        >>> round(frechet_distance(x, 2.0 * x + 3.0), 6)  # 3^2 + (2 - 1)^2 * 2
        11.0
    """
    x, y = flat_pair(x, y)
    root_x, root_y = _covariance_root(x), _covariance_root(y)
    means = x.mean(axis=0, dtype="float64") - y.mean(axis=0, dtype="float64")
    traces = np.sum(root_x**2) + np.sum(root_y**2)
    trace_of_root = np.linalg.norm(root_x @ root_y.T, "nuc")
    # Rounding may leave a negative difference of equal traces.
    return float(means @ means + max(traces - 2.0 * trace_of_root, 0.0))
