"""Checks that the scores of disentanglement share."""

import numpy as np

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers, check_seed
from tfgen._utils.typing import TensorLike

__all__ = [
    "active_dims",
    "check_codes",
    "check_codes_and_factors",
    "points_by_value",
    "rows_by_value",
    "split",
    "standardize",
]

# A network computes a constant code anew in each batch: float32 rounds it differently.
_ROUNDING = 1e-5


def check_codes(codes: TensorLike, name: str = "codes", min_dims: int = 1) -> np.ndarray:
    """Codes as an array, after checks of shape and values.

    Args:
        codes: array or tensor, shape (num_points, latent_dim).
        name: str, what an error calls them.
        min_dims: int, 0 for a score that has a value where all dimensions were left out.

    Returns:
        float64 array, shape (num_points, latent_dim).

    Raises:
        ValueError: for another shape, fewer than 2 points, or values that are not finite.

    Example:
        >>> check_codes([[1], [2]]).dtype
        dtype('float64')
    """
    codes = as_numbers(**{name: codes}).astype("float64")
    if codes.ndim != 2 or len(codes) < 2 or codes.shape[1] < min(min_dims, 1):
        raise ValueError(
            f"{name} must have shape (num_points, latent_dim), with at least 2 points and 1 "
            f"dimension. Received: shape {codes.shape}. Flatten a code of more axes."
        )
    if not np.isfinite(codes).all():
        raise ValueError(f"{name} must be finite. Received: NaN or infinite values.")
    return codes


def check_codes_and_factors(
    codes: TensorLike,
    factors: TensorLike,
    min_dims: int = 1,
    min_factors: int = 1,
    name: str = "codes",
) -> tuple[np.ndarray, np.ndarray]:
    """Codes and the true factors of the same points as arrays, after checks.

    Args:
        codes: array or tensor, shape (num_points, latent_dim), such as the means of q(z|x).
        factors: array or tensor of whole numbers, shape (num_points, num_factors): each factor's
            value is the number of a class. Floats are taken where they are whole.
        min_dims: int, latent dimensions that the score needs.
        min_factors: int, factors that the score needs.
        name: str, what an error calls the codes.

    Returns:
        codes, float64 array, and factors, int64 array, of the shapes given.

    Raises:
        ValueError: for other shapes, fewer than 2 points, codes that are not finite, factors that
            are not whole numbers, a factor that is the same at all points, or too few columns.

    Example:
        >>> codes, factors = check_codes_and_factors([[0.5], [1.5]], [[0.0], [3.0]])
        >>> factors.tolist()
        [[0], [3]]
    """
    codes, factors = check_codes(codes, name, min_dims), as_numbers(factors=factors)
    if factors.ndim != 2 or factors.shape[1] == 0 or len(factors) != len(codes):
        raise ValueError(
            "factors must have shape (num_points, num_factors), one row for each of the "
            f"{len(codes)} codes. Received: shape {factors.shape}."
        )
    if codes.shape[1] < min_dims or factors.shape[1] < min_factors:
        raise ValueError(
            f"This score compares at least {min_dims} latent dimensions and {min_factors} factors. "
            f"Received: codes of shape {codes.shape}, factors of shape {factors.shape}."
        )
    return codes, _as_classes(factors)


def _as_classes(factors: np.ndarray) -> np.ndarray:
    """Factors as int64, if they are whole numbers of two or more values each."""
    broken = factors[np.mod(factors, 1) != 0]
    if len(broken):
        raise ValueError(
            "factors must be whole numbers, the classes of each factor. Received: "
            f"{float(broken[0])!r}. Number the values of a continuous factor, or cut it "
            "into bins with np.digitize."
        )
    factors = factors.astype("int64")
    constant = np.flatnonzero((factors == factors[0]).all(axis=0))
    if len(constant):
        raise ValueError(
            "Each factor must take at least 2 values, or nothing can be learnt of it. Received: "
            f"one value only in columns {constant.tolist()} of factors. Leave these columns out."
        )
    return factors


def active_dims(codes: np.ndarray) -> np.ndarray:
    """Which dimensions of checked codes vary by more than the rounding of float32.

    Args:
        codes: float64 array, shape (num_points, latent_dim).

    Returns:
        bool array, shape (latent_dim,).

    Example:
        >>> active_dims(np.array([[0.0, 1.0], [1.0, 1.0 + 1e-7]]))
        array([ True, False])
    """
    return np.ptp(codes, axis=0) > _ROUNDING * np.abs(codes).max(axis=0)


def standardize(codes: np.ndarray) -> np.ndarray:
    """Checked codes with mean 0 and standard deviation 1; 0 in dimensions that do not vary.

    Args:
        codes: float64 array, shape (num_points, latent_dim).

    Returns:
        float64 array, shape (num_points, latent_dim).

    Example:
        >>> standardize(np.array([[0.0, 0.1], [4.0, 0.1]]))
        array([[-1.,  0.],
               [ 1.,  0.]])
    """
    active = active_dims(codes)
    return np.where(active, codes - codes.mean(axis=0), 0.0) / np.where(
        active, codes.std(axis=0), 1.0
    )


def rows_by_value(factor: np.ndarray) -> list[np.ndarray]:
    """Indices of the points of each value: a list of int arrays, by rising value.

    Args:
        factor: int64 array, shape (num_points,).

    Example:
        >>> rows_by_value(np.array([7, 3, 7, 5]))
        [array([1]), array([3]), array([0, 2])]
    """
    order = np.argsort(factor, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(factor[order])) + 1)


def points_by_value(factor: np.ndarray) -> list[np.ndarray]:
    """Indices of the points of each value that at least two points share.

    Args:
        factor: int64 array, shape (num_points,).

    Returns:
        list of int arrays, by rising value.

    Raises:
        ValueError: if no two points share a value.

    Example:
        >>> points_by_value(np.array([7, 3, 7, 5, 3, 3]))
        [array([1, 4, 5]), array([0, 2])]
    """
    groups = [group for group in rows_by_value(factor) if len(group) > 1]
    if not groups:
        raise ValueError(
            "This score fixes each factor while the others vary, so points must share values. "
            f"Received: a factor with {len(factor)} different values at {len(factor)} points. Give "
            "more points, or cut the factor into bins with np.digitize."
        )
    return groups


def split(codes: np.ndarray, factors: np.ndarray, seed: int) -> list[np.ndarray]:
    """Four fifths of the points to train a classifier on, a fifth to test it.

    Args:
        codes: float64 array, shape (num_points, latent_dim).
        factors: int64 array, shape (num_points, num_factors).
        seed: int >= 0, of the random choice.

    Returns:
        training codes, test codes, training factors, test factors.

    Raises:
        ValueError: if a factor takes one value only among the training points.
    """
    check_seed(seed=seed)
    selection = extras.require("sklearn.model_selection", extra="metrics")
    parts = selection.train_test_split(codes, factors, test_size=0.2, random_state=seed)
    if (parts[2] == parts[2][0]).all(axis=0).any():
        raise ValueError(
            "Each factor must take at least 2 values among the points to train on, 4 in 5. "
            f"Received: {len(codes)} points in all. Give more points."
        )
    return parts
