"""Precision, recall, density and coverage: samples against manifolds made of nearest neighbours.

Source: Kynkaanniemi et al., arXiv:1904.06991v3, Eq. 1 and 2; Naeem et al., arXiv:2002.09797v2,
Sec. 3.2.
"""

from typing import NamedTuple

import numpy as np

from tfgen._utils import extras
from tfgen._utils.arguments import check_ints
from tfgen._utils.typing import TensorLike
from tfgen.metrics._samples import flat_pair

__all__ = ["PrecisionRecall", "precision_recall"]

_WORKING_MEMORY = 256  # MiB for a block of distances.


class PrecisionRecall(NamedTuple):
    """Quality (precision, density) and variety (recall, coverage) of generated samples."""

    precision: float
    recall: float
    density: float
    coverage: float


def _radii(x: np.ndarray, num_neighbours: int) -> np.ndarray:
    """Distance from each row to its `num_neighbours`-th nearest other row."""
    sklearn_neighbors = extras.require("sklearn.neighbors", extra="metrics")
    neighbours = sklearn_neighbors.NearestNeighbors(
        n_neighbors=num_neighbours, algorithm="brute"
    ).fit(x)
    return neighbours.kneighbors()[0][:, -1]


def precision_recall(
    real: TensorLike, generated: TensorLike, num_neighbours: int = 5
) -> PrecisionRecall:
    """Precision, recall, density and coverage of generated samples, in any features.

    A ball around each sample reaches to its k-th nearest neighbour in its own set. Precision is the
    share of generated samples inside at least one real ball, recall that of real samples inside at
    least one generated ball, density the mean number of real balls around a generated sample over
    k, coverage the share of real balls with a generated sample inside.

    Source: Kynkaanniemi et al., arXiv:1904.06991v3, Eq. 1 and 2 (with k = 3); Naeem et al.,
    arXiv:2002.09797v2, Sec. 3.2 (with k = 5).

    Args:
        real: array or tensor, features of real samples, shape (n, ...), flattened to (n, d).
        generated: array or tensor, features of generated samples, shape (m, ...). All four depend
            on n and m: take the same numbers for every model.
        num_neighbours: int k, 1 <= k < min(n, m).

    Returns:
        `PrecisionRecall` of floats, each in [0, 1] except density, in [0, n / k]. Of equal
        distributions precision and recall are equal on average and below 1, density is 1 on average
        and coverage 1 - prod_i (n - i) / (n + m - i) over i = 1 to k, about 1 - 2^-k for n = m.

    Raises:
        ValueError: for too few samples, features of two shapes or values that are not finite.

    Example:
        >>> real = [[0.0], [1.0], [2.0], [3.0]]
        >>> precision_recall(real, [[0.5], [1.5], [9.0], [9.5]], num_neighbours=1)
        PrecisionRecall(precision=0.5, recall=0.75, density=1.0, coverage=0.75)
    """
    real, generated = flat_pair(real, generated, ("real", "generated"))
    check_ints(0, num_neighbours=num_neighbours)
    if not 1 <= num_neighbours < min(len(real), len(generated)):
        raise ValueError(
            "num_neighbours must be at least 1 and below the number of samples. Received: "
            f"{num_neighbours} with {len(real)} real and {len(generated)} generated samples."
        )
    # Distances keep more digits near the origin.
    centre = real.mean(axis=0, dtype="float64")
    real, generated = real - centre, generated - centre
    real_radii, generated_radii = _radii(real, num_neighbours), _radii(generated, num_neighbours)
    num_balls = np.zeros(len(generated))
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    sklearn_metrics = extras.require("sklearn.metrics", extra="metrics")
    start = 0
    for distances in sklearn_metrics.pairwise_distances_chunked(
        generated, real, working_memory=_WORKING_MEMORY
    ):
        rows = slice(start, start + len(distances))
        inside = distances <= real_radii
        num_balls[rows] = inside.sum(axis=1)
        covered |= inside.any(axis=0)
        recalled |= (distances <= generated_radii[rows, None]).any(axis=0)
        start = rows.stop
    return PrecisionRecall(
        precision=float(np.mean(num_balls > 0)),
        recall=float(np.mean(recalled)),
        density=float(np.mean(num_balls) / num_neighbours),
        coverage=float(np.mean(covered)),
    )
