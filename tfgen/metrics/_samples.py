"""Checks that the scores of samples share."""

import itertools

import numpy as np

from tfgen._utils.arguments import as_numbers
from tfgen._utils.typing import TensorLike

__all__ = ["flat_pair", "flat_samples", "flat_sets", "probability_array"]


def flat_samples(samples: TensorLike, name: str = "samples") -> np.ndarray:
    """Samples as a NumPy array, one row each; not copied where that can be avoided.

    Args:
        samples: array or tensor, shape (num_samples, ...).
        name: str, what an error calls them.

    Returns:
        array, shape (num_samples, d).

    Raises:
        ValueError: if there are fewer than 2 samples, or a value is not finite.

    Example:
        >>> flat_samples(np.zeros((5, 28, 28, 1))).shape
        (5, 784)
    """
    samples = as_numbers(**{name: samples})
    if samples.ndim == 0 or len(samples) < 2 or samples.size == 0:
        raise ValueError(
            f"{name} must hold at least 2 samples along the first axis. "
            f"Received: shape {samples.shape}."
        )
    with np.errstate(invalid="ignore"):  # inf - inf
        total = np.sum(samples, dtype="float64")  # Needs no array of booleans, as isfinite would.
    if not np.isfinite(total):
        raise ValueError(f"{name} must be finite. Received: NaN or infinite values.")
    return samples.reshape(len(samples), -1)


def flat_pair(
    x: TensorLike, y: TensorLike, names: tuple[str, str] = ("x", "y")
) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of samples as arrays of shapes (n, d) and (m, d); ValueError as `flat_sets`."""
    x, y = flat_sets(**{names[0]: x, names[1]: y})
    return x, y


def flat_sets(**sets: TensorLike) -> list[np.ndarray]:
    """Several sets of samples of one shape as arrays of shape (n, d) each.

    Raises:
        ValueError: if the samples of one have another shape, and as `flat_samples`.

    Example:
        >>> [x.shape for x in flat_sets(real=np.zeros((5, 2, 2)), generated=np.zeros((3, 2, 2)))]
        [(5, 4), (3, 4)]
    """
    arrays = {name: as_numbers(**{name: samples}) for name, samples in sets.items()}
    for first, second in itertools.pairwise(arrays):
        shapes = arrays[first].shape[1:], arrays[second].shape[1:]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{first} and {second} must hold samples of one shape. "
                f"Received: {shapes[0]} and {shapes[1]}."
            )
    return [flat_samples(samples, name) for name, samples in arrays.items()]


def probability_array(probabilities: TensorLike, tolerance: float = 1e-3) -> np.ndarray:
    """Class probabilities as a float64 array, after checks of shape, range and sums.

    Args:
        probabilities: array or tensor, shape (num_samples, num_classes), num_classes >= 2.
        tolerance: float >= 0, how far a row's sum may be from 1.

    Returns:
        float64 array, shape (num_samples, num_classes).

    Raises:
        ValueError: if the shape is another, or rows are not probabilities.
    """
    probabilities = as_numbers(probabilities=probabilities).astype("float64")
    if probabilities.ndim != 2 or len(probabilities) == 0 or probabilities.shape[1] < 2:
        raise ValueError(
            "probabilities must have shape (num_samples, num_classes), with at least 1 sample and "
            f"2 classes. Received: shape {probabilities.shape}."
        )
    sums = probabilities.sum(axis=1)
    if not (np.all(probabilities >= 0.0) and np.all(np.abs(sums - 1.0) <= tolerance)):
        raise ValueError(
            "Rows of probabilities must be at least 0 and sum to 1; end the classifier in a "
            f"softmax, or apply one to its logits. Received: values from {probabilities.min():.9g} "
            f"to {probabilities.max():.9g}, sums from {sums.min():.9g} to {sums.max():.9g}."
        )
    return probabilities
