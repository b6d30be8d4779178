"""UDR, unsupervised disentanglement ranking: do runs agree on their codes?

Source: Duan et al., "Unsupervised Model Selection for Variational Disentangled Representation
Learning", arXiv:1905.12614v4, Sec. 4.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy.stats

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers, check_one_of
from tfgen._utils.typing import TensorLike
from tfgen.metrics._codes import active_dims, check_codes, standardize

__all__ = ["METHODS", "pair_score", "udr"]

METHODS = ("spearman", "lasso")

_MIN_KL = 0.01  # In nats, Duan et al., Sec. 4.
_ALPHA = 0.1


def pair_score(similarities: np.ndarray) -> float:
    """UDR of a pair of runs: 1 if each dimension of one resembles a single one of the other.

    Mean over the dimensions of both runs of max(R)^2 / sum(R), where R are a dimension's
    similarities to the dimensions of the other run.

    Source: Duan et al., arXiv:1905.12614v4, Sec. 4.

    Args:
        similarities: array R(a, b), shape (d_a, d_b), values >= 0, informative dimensions only.

    Returns:
        float, from 0 to 1 where similarities are; 0 if a run has no dimension.

    Example:
        >>> pair_score(np.eye(3)), pair_score(np.ones((2, 2)))
        (1.0, 0.5)
    """
    if similarities.size == 0:
        return 0.0
    terms = [r.max() ** 2 / r.sum() for r in (*similarities, *similarities.T) if r.any()]
    return float(sum(terms) / sum(similarities.shape))


def _correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Absolute rank correlations; x and y are standardised ranks."""
    return np.abs(x.T @ y) / len(x)


def _lasso_weights(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Absolute weights of a lasso that predicts x from y."""
    if x.size == 0 or y.size == 0:
        return np.zeros((x.shape[1], y.shape[1]))
    linear_model = extras.require("sklearn.linear_model", extra="metrics")
    weights = linear_model.Lasso(alpha=_ALPHA).fit(y, x).coef_
    return np.abs(weights).reshape(x.shape[1], y.shape[1])


def _check_runs(
    codes: Sequence[TensorLike], kl: Sequence[TensorLike] | None, method: str
) -> list[np.ndarray]:
    """Codes of each run as arrays, after checks."""
    check_one_of(METHODS, method=method)
    for name, values in (("codes", codes), ("kl", kl)):
        if not (isinstance(values, list | tuple) or (name == "kl" and values is None)):
            raise ValueError(
                f"{name} must be a list of arrays, one for each run. Received: {name} of type "
                f"{type(values).__name__}."
            )
    if kl is not None:
        kl = [as_numbers(**{f"kl[{i}]": values}) for i, values in enumerate(kl)]
    runs = [check_codes(run, f"codes[{i}]") for i, run in enumerate(codes)]
    if len(runs) < 2 or len({len(run) for run in runs}) > 1:
        raise ValueError(
            "UDR compares codes of the same points from at least 2 runs, better 5. Received: "
            f"shapes {[run.shape for run in runs]}."
        )
    if kl is not None and [np.shape(values) for values in kl] != [run.shape[1:] for run in runs]:
        raise ValueError(
            "kl must have one array per run, with the mean KL of each latent dimension. Received: "
            f"shapes {[np.shape(values) for values in kl]} for codes of "
            f"{[run.shape[1] for run in runs]} dimensions."
        )
    return runs


def udr(
    codes: Sequence[TensorLike],
    kl: Sequence[TensorLike] | None = None,
    method: Literal["spearman", "lasso"] = "spearman",
) -> np.ndarray:
    """Score of each of several runs without labels: the median of its agreement with the others.

    Disentangled codes of several runs are the same up to order and sign, entangled ones need not
    be. Train a model several times with other seeds (five or more), encode the same points with
    each, and compare the medians of scores between hyperparameters. A score says nothing about
    codes that agree for another reason, such as runs that all found one entangled solution.

    Source: Duan et al., arXiv:1905.12614v4, Sec. 4.

    Args:
        codes: list of arrays or tensors, one per run, shape (num_points, latent_dim), means of
            q(z|x) for the same points in the same order.
        kl: list of arrays, one per run, shape (latent_dim,), mean KL(q(z_d|x) || p(z_d)) in nats.
            Dimensions with 0.01 or less are left out. None: only those that do not vary are.
        method: "spearman", absolute rank correlation, the same for every monotonic map of a code;
            or "lasso", absolute weights of linear regressions (L1 penalty 0.1, standardised codes)
            of a run's codes on the other's.

    Returns:
        float64 array, shape (num_runs,), from 0 to 1 ("lasso": about 1), 1 if each dimension has
        one equal in the other runs and is uncorrelated with the rest. With the penalty, "lasso"
        reaches 0.9.

    Raises:
        ValueError: for fewer than 2 runs, arrays that do not fit together or an unknown method.

    Example:
        >>> z = np.indices((3, 4)).reshape(2, -1).T
        >>> udr([z, -z, z[:, ::-1]])
        array([1., 1., 1.])
    """
    runs = _check_runs(codes, kl, method)
    masks = [active_dims(run) for run in runs]
    if kl is not None:
        masks = [mask & (np.asarray(k) > _MIN_KL) for mask, k in zip(masks, kl, strict=True)]
    runs = [standardize(run[:, mask]) for run, mask in zip(runs, masks, strict=True)]
    similarity = _lasso_weights
    if method == "spearman":
        runs = [standardize(scipy.stats.rankdata(run, axis=0)) for run in runs]
        similarity = _correlations
    return np.array(
        [
            np.median([pair_score(similarity(x, y)) for j, y in enumerate(runs) if j != i])
            for i, x in enumerate(runs)
        ]
    )
