"""SAP, the separated attribute predictability of codes.

Source: Kumar, Sattigeri & Balakrishnan, "Variational Inference of Disentangled Latent Concepts
from Unlabeled Observations", arXiv:1711.00848v3, Sec. 3.
"""

from collections.abc import Sequence

import numpy as np

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers
from tfgen._utils.typing import TensorLike
from tfgen.metrics._codes import check_codes_and_factors, split, standardize

__all__ = ["sap_score"]


def _accuracies(
    train: np.ndarray, test: np.ndarray, target: np.ndarray, test_target: np.ndarray
) -> np.ndarray:
    """Test accuracy of a classifier that sees one dimension, for each of them."""
    svm = extras.require("sklearn.svm", extra="metrics")
    # The primal has the same solution as the dual, is faster, and has no seed.
    classifier = svm.LinearSVC(C=0.01, class_weight="balanced", dual=False)
    columns = range(train.shape[1])
    return np.array(
        [classifier.fit(train[:, [i]], target).score(test[:, [i]], test_target) for i in columns]
    )


def _squared_correlations(codes: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """R^2 of linear regressions of a factor on each standardised dimension."""
    standardized = (factor - factor.mean()) / factor.std()
    return np.mean(codes * standardized[:, None], axis=0) ** 2


def sap_score(
    codes: TensorLike,
    factors: TensorLike,
    seed: int = 0,
    continuous: bool | Sequence[bool] = False,
) -> float:
    """Mean gap between the two dimensions that predict a factor best.

    A categorical factor is predicted by a linear support vector machine that sees one dimension,
    and the score is its accuracy on the fifth of the points that it was not trained on. A
    continuous factor is predicted by linear regression, and the score is R^2.

    This classifier cannot tell many classes apart by one number: of equally frequent and equally
    spaced values it gets all right for up to 5 values, 67 % for 6, 20 % for 10 and 5 % for 40. Take
    such a factor as continuous if its values have an order.

    Source: Kumar et al., arXiv:1711.00848v3, Sec. 3; the classifier as in Locatello et al.,
    arXiv:1811.12359v4, who take all factors as categorical.
    Deviation: codes are standardised first, so that their units do not matter.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x), at
            least 2 dimensions.
        factors: array or tensor of whole numbers, shape (num_points, num_factors).
        seed: int >= 0, of the choice of points to test on.
        continuous: bool, or one for each factor, whether its values are positions on a line.

    Returns:
        float in [0, 1]: 0 if two dimensions predict each factor equally well. Perfect codes have
        1 - 1 / K for a categorical factor of K <= 5 equally frequent values, and 1 for a continuous
        one.

    Raises:
        ValueError: if codes and factors do not fit together, or there are too few points.

    Example:
        >>> factors = np.indices((2, 2, 50)).reshape(3, -1).T[:, :2]
        >>> sap_score(-2.0 * factors, factors, continuous=True)
        1.0
    """
    codes, factors = check_codes_and_factors(codes, factors, min_dims=2)
    on_a_line = as_numbers(continuous=continuous)
    if on_a_line.dtype != bool or on_a_line.shape not in ((), (factors.shape[1],)):
        raise ValueError(
            f"continuous must be a bool, or one for each of the {factors.shape[1]} factors. "
            f"Received: continuous={continuous!r}."
        )
    codes, on_a_line = standardize(codes), np.broadcast_to(on_a_line, factors.shape[1])
    train, test, train_factors, test_factors = split(codes, factors, seed)
    gaps = []
    for j, factor in enumerate(factors.T):
        if on_a_line[j]:
            scores = _squared_correlations(codes, factor)
        else:
            scores = _accuracies(train, test, train_factors[:, j], test_factors[:, j])
        second, best = np.sort(scores)[-2:]
        gaps.append(best - second)
    return float(np.mean(gaps))
