"""DCI: disentanglement, completeness and informativeness of codes.

Source: Eastwood & Williams, "A Framework for the Quantitative Evaluation of Disentangled
Representations", ICLR 2018, Sec. 2.
"""

from typing import NamedTuple

import numpy as np
import scipy.stats

from tfgen._utils import extras
from tfgen._utils.arguments import check_ints
from tfgen._utils.typing import TensorLike
from tfgen.metrics._codes import check_codes_and_factors, split, standardize

__all__ = ["DCI", "concentration", "dci"]

# Trees grown to the end spread importance over codes that carry no information.
_MIN_SAMPLES_LEAF = 10


class DCI(NamedTuple):
    """Three scores from 0 to 1, where 1 is best."""

    disentanglement: float
    completeness: float
    informativeness: float


def concentration(importances: TensorLike) -> np.ndarray:
    """Whether few columns hold the importance of each row: 1 - entropy, to base `num_columns`.

    Args:
        importances: array, shape (num_rows, num_columns), values >= 0, at least 2 columns.

    Returns:
        float64 array, shape (num_rows,), from 0 (all equal, or all 0) to 1 (a single column).

    Example:
        >>> concentration([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
        array([1., 0., 0.])
    """
    importances = np.asarray(importances, dtype="float64")
    rows = importances + (importances.sum(axis=1, keepdims=True) == 0.0)
    return 1.0 - scipy.stats.entropy(rows, base=rows.shape[1], axis=1)


def _disentanglement(importances: np.ndarray) -> float:
    """Concentration of the dimensions, each weighted by its share of all importance."""
    weights = importances.sum(axis=1)
    return np.average(concentration(importances), weights=weights) if weights.any() else 0.0


def dci(codes: TensorLike, factors: TensorLike, seed: int = 0, num_trees: int = 10) -> DCI:
    """Disentanglement, completeness and informativeness.

    A random forest predicts each factor from all codes; R[i, j] is the importance of dimension i
    in the forest of factor j. Disentanglement: each dimension is important for one factor.
    Completeness: one dimension is important for each factor. Informativeness: the factors can be
    predicted.

    Rotating perfect codes leaves them as informative as before: read the three scores together.

    Source: Eastwood & Williams, ICLR 2018, Sec. 2; forests of 10 trees as in their experiments.
    Deviation: forests classify, all codes compete at each split, and leaves have at least 10 points
    instead of a tuned depth. Importances are then similar to those of the gradient-boosted trees of
    Locatello et al., arXiv:1811.12359v4, which take about forty times as long. Informativeness is
    an accuracy, as there, instead of an error.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x), at
            least 2 dimensions. Several hundred points are needed.
        factors: array or tensor of whole numbers, shape (num_points, num_factors), at least 2
            factors.
        seed: int >= 0, of the forests and of the choice of points to test on.
        num_trees: int >= 1, trees for each factor.

    Returns:
        `DCI` of floats in [0, 1]. informativeness is the mean accuracy on the fifth of the points
        that the forests were not trained on. For codes without information disentanglement and
        completeness are close to 0, and informativeness is the accuracy of guessing.

    Raises:
        ValueError: if codes and factors do not fit together, there are too few points, or no trees.

    Example:
        >>> factors = np.indices((3, 4, 50)).reshape(3, -1).T[:, :2]
        >>> dci(-2.0 * factors, factors)
        DCI(disentanglement=1.0, completeness=1.0, informativeness=1.0)
    """
    check_ints(num_trees=num_trees)
    codes, factors = check_codes_and_factors(codes, factors, min_dims=2, min_factors=2)
    train, test, train_factors, test_factors = split(standardize(codes), factors, seed)
    ensemble = extras.require("sklearn.ensemble", extra="metrics")
    importances, accuracies = [], []
    for target, test_target in zip(train_factors.T, test_factors.T, strict=True):
        forest = ensemble.RandomForestClassifier(
            num_trees, max_features=None, min_samples_leaf=_MIN_SAMPLES_LEAF, random_state=seed
        ).fit(train, target)
        importances.append(forest.feature_importances_)
        accuracies.append(forest.score(test, test_target))
    return DCI(
        disentanglement=float(_disentanglement(np.transpose(importances))),
        completeness=float(concentration(importances).mean()),
        informativeness=float(np.mean(accuracies)),
    )
