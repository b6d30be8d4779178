"""Maximum mean discrepancy between two sets of samples.

Source: Gretton, Borgwardt, Rasch, Schoelkopf & Smola, "A Kernel Two-Sample Test", JMLR 13, 2012,
Eq. 3 (unbiased) and 5 (biased); Binkowski, Sutherland, Arbel & Gretton, arXiv:1801.01401v5
(rational quadratic and polynomial kernels).
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from tfgen._utils.arguments import (
    as_numbers,
    check_flags,
    check_ints,
    check_one_of,
    check_seed,
    check_verbose,
)
from tfgen._utils.progress import ProgressBar
from tfgen._utils.typing import TensorLike
from tfgen.metrics._samples import flat_pair, flat_samples

__all__ = ["BANDWIDTH_FACTORS", "RATIONAL_QUADRATIC_ALPHAS", "median_bandwidth", "squared_mmd"]

BANDWIDTH_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
RATIONAL_QUADRATIC_ALPHAS = (0.2, 0.5, 1.0, 2.0, 5.0)


def median_bandwidth(samples: TensorLike, num_samples: int = 1000, seed: int = 0) -> float:
    """The median Euclidean distance between two samples: the "median heuristic".

    Source: Gretton et al., JMLR 13, 2012, Sec. 8. Deviation: of one set, the real one, so that the
    kernel does not depend on the model it judges; the paper takes both.

    Args:
        samples: array or tensor, shape (n, ...).
        num_samples: int >= 2, how many of them are used; 1000 have 499,500 distances.
        seed: int, which ones.

    Returns:
        float > 0, in units of the samples.

    Raises:
        ValueError: if there are fewer than 2 samples, or the median is 0.

    Example:
        >>> median_bandwidth([[0.0], [1.0], [3.0]])  # of 1, 2 and 3
        2.0
    """
    from scipy.spatial.distance import pdist

    samples = flat_samples(samples)
    check_ints(2, num_samples=num_samples)
    check_seed(seed=seed)
    if len(samples) > num_samples:
        rows = np.random.default_rng(seed).choice(len(samples), num_samples, replace=False)
        samples = samples[np.sort(rows)]
    median = float(np.median(pdist(samples)))
    if median == 0.0:
        raise ValueError(
            "The median distance between samples is 0, and no bandwidth: half of the pairs are "
            f"equal. Received: {len(samples)} samples, such as {samples[0][:3]}. Give bandwidths."
        )
    return median


def _squared_distances(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    norms = tf.reduce_sum(x**2, axis=1)[:, None] + tf.reduce_sum(y**2, axis=1)
    return tf.maximum(norms - 2.0 * tf.matmul(x, y, transpose_b=True), 0.0)


def _gaussian(x: tf.Tensor, y: tf.Tensor, bandwidths: list[tf.Tensor]) -> tf.Tensor:
    distances = _squared_distances(x, y)
    kernels = [tf.exp(distances * (-0.5 / width**2)) for width in bandwidths]
    return tf.add_n(kernels) / len(kernels)


def _rational_quadratic(x: tf.Tensor, y: tf.Tensor, bandwidths: list[tf.Tensor]) -> tf.Tensor:
    distances = _squared_distances(x, y)
    kernels = [
        # log1p keeps small distances, and one exponential is cheaper than a power.
        tf.exp(-alpha * tf.math.log1p(distances * (0.5 / (alpha * width**2))))
        for width in bandwidths
        for alpha in RATIONAL_QUADRATIC_ALPHAS
    ]
    return tf.add_n(kernels) / len(kernels)


def _polynomial(x: tf.Tensor, y: tf.Tensor, bandwidths: list[tf.Tensor]) -> tf.Tensor:
    del bandwidths
    num_dims = tf.cast(tf.shape(x)[1], x.dtype)
    return (tf.matmul(x, y, transpose_b=True) / num_dims + 1.0) ** 3


_KERNELS = {
    "gaussian": _gaussian,
    "rational_quadratic": _rational_quadratic,
    "polynomial": _polynomial,
}


@tf.function(jit_compile=True, reduce_retracing=True)
def _block_sum(
    kernel: str, x: tf.Tensor, y: tf.Tensor, bandwidths: list[tf.Tensor], skip_diagonal: bool
) -> tf.Tensor:
    """Sum of kernel values between rows of x and rows of y, added up in float64."""
    values = _KERNELS[kernel](x, y, bandwidths)
    if skip_diagonal:
        values = tf.linalg.set_diag(values, tf.zeros_like(values[:, 0]))
    return tf.reduce_sum(tf.cast(tf.reduce_sum(values, axis=1), tf.float64))


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """Turns off TensorFloat-32, in which a GPU multiplies float32 matrices to 3 digits."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)


class _Kernel:
    """Means of a kernel over pairs of rows, block by block."""

    def __init__(
        self,
        name: str,
        bandwidths: np.ndarray,
        centre: np.ndarray,
        block_size: int,
        bar: ProgressBar,
    ) -> None:
        self.name, self.centre, self.block_size, self.bar = name, centre, block_size, bar
        # A cube of large features loses the difference of means in float32.
        self.dtype = "float64" if name == "polynomial" else "float32"
        self.bandwidths = [tf.constant(width, self.dtype) for width in bandwidths]

    def block(self, x: np.ndarray, start: int) -> tf.Tensor:
        rows = x[start : start + self.block_size] - self.centre
        return tf.constant(rows, self.dtype)

    def block_sum(self, x: tf.Tensor, y: tf.Tensor, skip_diagonal: bool = False) -> float:
        value = float(_block_sum(self.name, x, y, self.bandwidths, skip_diagonal))
        self.bar.add(1)
        return value

    def mean_within(self, x: np.ndarray, biased: bool) -> float:
        """Mean of k(x_i, x_j) over i != j, or over all i and j if biased."""
        total = 0.0
        for i in range(0, len(x), self.block_size):
            rows = self.block(x, i)
            total += self.block_sum(rows, rows, skip_diagonal=not biased)
            for j in range(i + self.block_size, len(x), self.block_size):
                total += 2.0 * self.block_sum(rows, self.block(x, j))
        return total / (len(x) * (len(x) if biased else len(x) - 1))

    def mean_between(self, x: np.ndarray, y: np.ndarray) -> float:
        """Mean of k(x_i, y_j) over all i and j."""
        total = 0.0
        for i in range(0, len(x), self.block_size):
            rows = self.block(x, i)
            for j in range(0, len(y), self.block_size):
                total += self.block_sum(rows, self.block(y, j))
        return total / (len(x) * len(y))


def _check_bandwidths(
    kernel: str, bandwidths: float | Sequence[float] | None, x: np.ndarray
) -> np.ndarray:
    """The bandwidths to use: those given, or the kernel's default."""
    check_one_of(_KERNELS, kernel=kernel)
    if kernel == "polynomial" and bandwidths is not None:
        raise ValueError(
            f"The polynomial kernel has no bandwidth; leave it None. Received: {bandwidths}."
        )
    if bandwidths is None:
        if kernel == "gaussian":
            return median_bandwidth(x) * np.array(BANDWIDTH_FACTORS)
        return np.ones(1)
    widths = np.atleast_1d(as_numbers(bandwidths=bandwidths).astype("float64"))
    if widths.ndim != 1 or widths.size == 0 or not np.all((widths > 0.0) & np.isfinite(widths)):
        raise ValueError(f"bandwidths must be positive, finite numbers. Received: {bandwidths}.")
    return widths


def _centre(x: np.ndarray, kernel: str) -> np.ndarray:
    """What is subtracted from all samples, which leaves distances as they are.

    Samples far from the origin would lose them: |x|^2 + |y|^2 - 2 x.y is a small difference then.
    """
    dtype = np.result_type(x.dtype, "float32")
    if kernel == "polynomial":
        return np.zeros((), dtype)
    return x.mean(axis=0, dtype="float64").astype(dtype)


def _num_blocks(num_x: int, num_y: int, block_size: int) -> int:
    num_x, num_y = -(-num_x // block_size), -(-num_y // block_size)
    return num_x * (num_x + 1) // 2 + num_y * (num_y + 1) // 2 + num_x * num_y


def squared_mmd(
    x: TensorLike,
    y: TensorLike,
    kernel: Literal["gaussian", "rational_quadratic", "polynomial"] = "gaussian",
    bandwidths: float | Sequence[float] | None = None,
    biased: bool = False,
    block_size: int = 2048,
    verbose: bool = False,
) -> float:
    """Squared maximum mean discrepancy, E k(x, x') + E k(y, y') - 2 E k(x, y).

    Kernels of two samples of d dimensions:

    - "gaussian": exp(-|x - y|^2 / (2 s^2)), averaged over the bandwidths s;
    - "rational_quadratic": (1 + |x - y|^2 / (2 a s^2))^-a, averaged over the bandwidths s and
      over a in `RATIONAL_QUADRATIC_ALPHAS`;
    - "polynomial": (x.y / d + 1)^3. Of a classifier's features this is the score that
      Binkowski et al. name after the Inception network ("KID"), whose features they take.

    Source: Gretton et al., JMLR 13, 2012, Eq. 3 and 5; Binkowski et al., arXiv:1801.01401v5.
    Deviation: kernels are averaged, so that k(x, x) = 1, where Binkowski et al. sum the five
    rational quadratic ones.

    The kernel matrix is computed in blocks: beside x and y it takes about 10 floats for each pair
    of a block, however many blocks there are.

    Args:
        x: array or tensor, real samples, shape (n, ...), n >= 2.
        y: array or tensor, generated samples, shape (m, ...), m >= 2, disjoint from x.
        kernel: "gaussian", "rational_quadratic" or "polynomial".
        bandwidths: float or floats s, in units of the samples. None: `median_bandwidth(x)` times
            `BANDWIDTH_FACTORS` for "gaussian", 1 for "rational_quadratic" as in the paper, whose
            features are learned; for pixels give `median_bandwidth(x)`.
        biased: bool; False leaves k(x_i, x_i) and k(y_i, y_i) out.
        block_size: int >= 1, rows of a block.
        verbose: bool, whether to show a progress bar.

    Returns:
        float without unit, at most 2 for the first two kernels. Of equal distributions 0 on average
        if unbiased, so that single values may be negative; if biased at least 0, and on average
        (1/n + 1/m) (E k(x, x) - E k(x, x')). Give the value for two real sets of that size too.
        Rounding: about 1e-7 for the first two kernels, computed in float32.

    Raises:
        ValueError: for fewer than 2 samples, samples of two shapes, values that are not finite, an
            unknown kernel, bandwidths that are not positive, a median distance of 0 or a block size
            below 1.

    Example:
        >>> x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])
        >>> round(squared_mmd(x, y, "polynomial"), 6)  # 1 + 8 - 2 (1 + 27) / 2
        -19.0
    """
    x, y = flat_pair(x, y)
    check_flags(biased=biased)
    check_verbose(verbose=verbose)
    widths = _check_bandwidths(kernel, bandwidths, x)
    check_ints(block_size=block_size)
    bar = ProgressBar(_num_blocks(len(x), len(y), block_size), verbose)
    means = _Kernel(kernel, widths, _centre(x, kernel), block_size, bar)
    with _full_float32():
        within = means.mean_within(x, biased) + means.mean_within(y, biased)
        return within - 2.0 * means.mean_between(x, y)
