"""Scores of disentanglement from the mutual information of codes and factors, or from codes alone.

Source: Chen, Li, Grosse & Duvenaud, arXiv:1802.04942v5, Sec. 4.1 (mutual information gap);
Locatello et al., arXiv:1811.12359v4, and their disentanglement_lib (its estimate from a histogram
of means); Ridgeway & Mozer, arXiv:1802.05312v2, Sec. 3 (modularity, explicitness).
"""

import numpy as np

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers, check_ints, check_seed, check_size
from tfgen._utils.typing import TensorLike
from tfgen.metrics._codes import active_dims, check_codes, check_codes_and_factors

__all__ = [
    "entropies",
    "explicitness",
    "gaussian_total_correlation",
    "information_gaps",
    "mig",
    "modularity",
    "mutual_information_matrix",
]

# Inverse weight of the L2 penalty: only so that separable values have finite weights.
_PENALTY = 1e4


def _without_constant_dims(codes: np.ndarray) -> np.ndarray:
    """Zeros in place of dimensions that vary by rounding alone, which says nothing."""
    return np.where(active_dims(codes), codes, 0.0)


def _bins_of(code: np.ndarray, num_bins: int) -> np.ndarray:
    """Number of the bin of equal width that each value lies in."""
    inner_edges = np.linspace(code.min(), code.max(), num_bins + 1)[1:-1]
    return np.digitize(code, inner_edges)


def mutual_information_matrix(
    codes: TensorLike, factors: TensorLike, num_bins: int = 20
) -> np.ndarray:
    """Mutual information of each latent dimension, discretized into bins, and each factor.

    Source: disentanglement_lib (Locatello et al., arXiv:1811.12359v4). Bins have equal width, from
    the least to the greatest value of a dimension; shares of points serve as probabilities. Of
    independent quantities this estimate is about (num_bins - 1) (num_values - 1) / (2 num_points)
    nats and not 0: with 20 bins and 40 values 0.04 at 10,000 points, 0.4 at 1,000.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).
        factors: array or tensor of whole numbers, shape (num_points, num_factors).
        num_bins: int >= 2.

    Returns:
        float64 array, shape (latent_dim, num_factors), in nats, at least 0 and at most the factor's
        entropy. A row is 0 where the code is constant.

    Raises:
        ValueError: for unusable codes or factors, or fewer than 2 bins.

    Example:
        >>> codes, factors = [[-1.0, 0.5], [1.0, 0.5]], [[0], [1]]
        >>> mutual_information_matrix(codes, factors).round(4).tolist()  # log 2, and 0
        [[0.6931], [0.0]]
    """
    codes, factors = check_codes_and_factors(codes, factors)
    check_ints(2, "One bin says nothing: take 20.", num_bins=num_bins)
    check_size(num_bins=num_bins)
    binned = [_bins_of(code, num_bins) for code in _without_constant_dims(codes).T]
    score = extras.require("sklearn.metrics", extra="metrics").mutual_info_score
    return np.array([[score(f, code) for f in factors.T] for code in binned])


def entropies(factors: TensorLike) -> np.ndarray:
    """Entropy of each factor, from the shares of its values.

    Args:
        factors: array or tensor of whole numbers, shape (num_points, num_factors).

    Returns:
        float64 array, shape (num_factors,), in nats, above 0.

    Raises:
        ValueError: for unusable factors, such as one that is the same at all points.

    Example:
        >>> entropies([[0, 0], [1, 1], [0, 2], [1, 3]]).round(4)  # log 2, log 4
        array([0.6931, 1.3863])
    """
    from scipy.stats import entropy

    factors = as_numbers(factors=factors)
    num_points = max(len(factors), 2) if factors.ndim else 2
    _, factors = check_codes_and_factors(np.zeros((num_points, 1)), factors)
    return np.array([entropy(np.unique(f, return_counts=True)[1]) for f in factors.T])


def information_gaps(mutual_information: np.ndarray, factor_entropies: np.ndarray) -> np.ndarray:
    """How much more of each factor its best latent dimension knows than the second best.

    Source: Chen et al., arXiv:1802.04942v5, Eq. 6, before the mean over factors.

    Args:
        mutual_information: array, shape (latent_dim, num_factors), in nats.
        factor_entropies: array, shape (num_factors,), in nats.

    Returns:
        float64 array, shape (num_factors,), shares of the entropies, in [0, 1]. A single latent
        dimension is compared with 0.

    Example:
        >>> information_gaps(np.array([[0.6, 0.1], [0.0, 0.2]]), np.array([0.6, 0.2])).round(2)
        array([1. , 0.5])
    """
    of_no_code = np.zeros_like(mutual_information[:1])
    second, best = np.sort(np.concatenate([mutual_information, of_no_code]), axis=0)[-2:]
    return (best - second) / factor_entropies


def mig(codes: TensorLike, factors: TensorLike, num_bins: int = 20) -> float:
    """Mutual information gap, from a histogram of the codes: disentanglement_lib's protocol.

    For each factor: the mutual information with the most informative latent dimension, minus that
    with the second, divided by the factor's entropy; averaged over factors. The protocol of the
    score's authors takes samples of q(z|x) instead of its means: `mig_by_samples`. The two give
    different values: report which was used. The histogram sees only the means, so that it also
    finds information in a dimension whose means move far less than the posterior is wide.

    Source: Chen et al., arXiv:1802.04942v5, Eq. 6; Locatello et al., arXiv:1811.12359v4.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).
        factors: array or tensor of whole numbers, shape (num_points, num_factors).
        num_bins: int >= 2. Factors of more values have gaps below 1 even where codes are perfect.

    Returns:
        float in [0, 1], 1 if one dimension determines each factor and no other tells of it.

    Raises:
        ValueError: for unusable codes or factors, or fewer than 2 bins.

    Example:
        >>> factors = [[0, 0], [0, 1], [1, 0], [1, 1]]
        >>> mig(factors, factors), mig([[f, f, g] for f, g in factors], factors)
        (1.0, 0.5)
    """
    information = mutual_information_matrix(codes, factors, num_bins)
    return float(np.mean(information_gaps(information, entropies(factors))))


def modularity(codes: TensorLike, factors: TensorLike, num_bins: int = 20) -> float:
    """Whether each latent dimension is informative about one factor only; averaged over dimensions.

    1 - sum_k I_k^2 / ((num_factors - 1) max_k I_k^2), the sum without the factor of the maximum and
    I_k the mutual information with factor k. Several dimensions may be informative about the same
    factor. Only I relative to its maximum counts, so that a dimension of noise has some modularity
    as well, from the random error of a histogram; a constant one has 0.

    Source: Ridgeway & Mozer, arXiv:1802.05312v2, Sec. 3; as in disentanglement_lib a dimension
    without any information has 0.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).
        factors: array or tensor of whole numbers, shape (num_points, num_factors), at least 2
            factors.
        num_bins: int >= 2, see `mutual_information_matrix`.

    Returns:
        float in [0, 1], 1 if no dimension is informative about two factors.

    Raises:
        ValueError: for unusable codes or factors, a single factor, or fewer than 2 bins.

    Example:
        >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> modularity(factors, factors), modularity(factors @ [[1], [2]], factors)
        (1.0, 0.0)
    """
    squared = mutual_information_matrix(codes, factors, num_bins) ** 2
    num_factors = squared.shape[1]
    if num_factors < 2:
        raise ValueError(
            "modularity compares factors and needs at least 2 of them. Received: factors of shape "
            f"{np.shape(factors)}."
        )
    most = squared.max(axis=1)
    others = (squared.sum(axis=1) - most) / (num_factors - 1)
    shares = np.divide(others, most, out=np.ones_like(most), where=most > 0)
    return float(np.mean(1.0 - shares))


def explicitness(codes: TensorLike, factors: TensorLike, seed: int = 0) -> float:
    """How well a linear classifier tells each value of a factor from the others.

    For each factor a multinomial logistic regression of its values on all latent dimensions, fitted
    to a random half of the points; for each value, the ROC AUC of its probability on the other
    half, mapped from [1/2, 1] to [0, 1]; averaged over values, then over factors. Probabilities are
    normalized over the values, so that one between others on a line can be told apart too.

    Source: Ridgeway & Mozer, arXiv:1802.05312v2, Sec. 3, as in disentanglement_lib.
    Deviation from the latter: codes are standardised, so that their units do not matter, and the L2
    penalty is a ten-thousandth, with which perfect codes of many values score 1 (of 40, 0.97 else).

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).
        factors: array or tensor of whole numbers, shape (num_points, num_factors).
        seed: int, which half of the points is used to fit. A value that is not in both halves is
            left out.

    Returns:
        float, 1 if all values can be told apart, 0 by chance and therefore slightly negative at
        times.

    Raises:
        ValueError: for unusable codes or factors, or if no factor has a value in both halves.

    Example:
        >>> factors = np.arange(40)[:, None] % 2
        >>> explicitness(factors - 0.5, factors)
        1.0
    """
    codes, factors = check_codes_and_factors(codes, factors)
    check_seed(seed=seed)
    selection = extras.require("sklearn.model_selection", extra="metrics")
    preprocessing = extras.require("sklearn.preprocessing", extra="metrics")
    threadpoolctl = extras.require("threadpoolctl", extra="metrics")
    codes = preprocessing.StandardScaler().fit_transform(_without_constant_dims(codes))
    halves = selection.train_test_split(codes, factors, test_size=0.5, random_state=seed)
    train, test, train_factors, test_factors = halves
    pairs = zip(train_factors.T, test_factors.T, strict=True)
    # Problems this small are slowed down by more threads, tenfold where other work runs.
    with threadpoolctl.threadpool_limits(limits=1):
        return float(np.mean([_factor_explicitness(train, y, test, test_y) for y, test_y in pairs]))


def _factor_explicitness(
    train: np.ndarray, train_factor: np.ndarray, test: np.ndarray, test_factor: np.ndarray
) -> float:
    """Mean over the values of one factor."""
    values = np.intersect1d(train_factor, test_factor)
    if len(values) < 2:
        raise ValueError(
            "explicitness needs at least 2 values of each factor in both halves of the points. "
            f"Received: a factor with {len(values)}, of {len(train) + len(test)} points. Use more."
        )
    linear_model = extras.require("sklearn.linear_model", extra="metrics")
    sklearn_metrics = extras.require("sklearn.metrics", extra="metrics")
    classifier = linear_model.LogisticRegression(C=_PENALTY, max_iter=1000)
    scores = classifier.fit(train, train_factor).predict_proba(test)
    columns = np.searchsorted(classifier.classes_, values)
    pairs = zip(values, columns, strict=True)
    areas = [sklearn_metrics.roc_auc_score(test_factor == v, scores[:, i]) for v, i in pairs]
    return float(np.mean(2.0 * np.array(areas) - 1.0))


def gaussian_total_correlation(codes: TensorLike) -> float:
    """Total correlation of the Gaussian with the covariance of the codes.

    KL between that Gaussian and the product of its marginals, 0.5 (sum_d log C_dd - log det C), of
    the dimensions that are not constant. It sees linear dependence only, needs no factors, and is 0
    for dimensions that are uncorrelated however much they depend on each other.

    Source: Locatello et al., arXiv:1811.12359v4, Sec. 5.2.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).

    Returns:
        float >= 0 in nats; infinite where dimensions depend on each other exactly, among them any
        codes of no more points than dimensions.

    Raises:
        ValueError: for unusable codes.

    Example:
        >>> gaussian_total_correlation([[1, 1], [1, -1], [-1, 1], [-1, -1]])
        0.0
    """
    codes = check_codes(codes)
    varying = codes[:, active_dims(codes)]
    if varying.shape[1] < 2:
        return 0.0
    # Of C, scaled to a unit diagonal, which does not change the value.
    correlation = np.corrcoef(varying, rowvar=False)
    if np.linalg.matrix_rank(correlation, hermitian=True) < len(correlation):
        return float("inf")
    return max(0.0, float(-0.5 * np.linalg.slogdet(correlation)[1]))
