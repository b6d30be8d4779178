"""Maximum mean discrepancy as a loss: how far codes are from draws of the prior."""

from typing import Literal, TypeAlias

import tensorflow as tf

from tfgen._utils.arguments import check_one_of, check_positive
from tfgen._utils.replicas import whole_batch
from tfgen._utils.tensors import check_rows, check_tensors, static_shape

__all__ = ["squared_mmd"]

# Functions of r = |x - y|^2 / (2 d s^2), whose mean is 2 for draws of N(0, s^2) in d dimensions.
_KERNELS = {
    "gaussian": lambda r: tf.exp(-r),
    "inverse_multiquadratic": lambda r: 1.0 / (1.0 + r),
}

Kernel: TypeAlias = Literal["gaussian", "inverse_multiquadratic"]


def squared_mmd(
    x: tf.Tensor, y: tf.Tensor, kernel: Kernel = "gaussian", scale: float = 1.0
) -> tf.Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy of two batches, with gradients.

    E k(x, x') + E k(y, y') - 2 E k(x, y), where x and x' are different examples and k is, in d
    dimensions and with s = `scale`,

    - "gaussian": exp(-|x - y|^2 / (2 d s^2));
    - "inverse_multiquadratic": C / (C + |x - y|^2), C = 2 d s^2, whose gradient reaches farther.

    Source: Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012, Eq. 3; Tolstikhin et al.,
    arXiv:1711.01558v4, Algorithm 2 and Sec. 4 for the second kernel and its C. Deviation: Zhao et
    al., arXiv:1706.02262v3, leave the width of their Gaussian kernel open; here it grows with d
    like C. `tfgen.metrics.squared_mmd` compares large sets of samples. Under a
    `tf.distribute.Strategy` the batches are those of all replicas together.

    Args:
        x: float tensor, shape (n, ...), n >= 2; such as codes.
        y: float tensor, shape (m, ...), m >= 2, of the same d; such as draws of the prior.
        kernel: "gaussian" or "inverse_multiquadratic".
        scale: float > 0, standard deviation of a dimension of the prior.

    Returns:
        Scalar tensor without unit, at most 2; 0 on average for equal distributions, so that single
        values may be negative.

    Raises:
        ValueError: for an unknown kernel or a scale that is not positive.

    Example:
        >>> x, y = tf.constant([[0.0], [0.0]]), tf.constant([[1.0], [1.0]])
        >>> round(float(squared_mmd(x, y, "inverse_multiquadratic")), 4)  # 1 + 1 - 2 * 2 / 3
        0.6667
    """
    check_kernel(kernel, scale)
    x, y = whole_batch(x), whole_batch(y)
    _check_examples(x=x, y=y)
    x, y = (tf.reshape(part, (tf.shape(part)[0], -1)) for part in (x, y))
    width = 2.0 * scale**2 * tf.cast(tf.shape(x)[1], x.dtype)

    def kernel_values(a, b):
        distances = tf.reduce_sum(tf.math.squared_difference(a[:, None], b[None]), axis=-1)
        return _KERNELS[kernel](distances / width)

    within = sum(_mean_off_diagonal(kernel_values(part, part)) for part in (x, y))
    return within - 2.0 * tf.reduce_mean(kernel_values(x, y))


def _mean_off_diagonal(values):
    num = tf.cast(tf.shape(values)[0], values.dtype)
    return (tf.reduce_sum(values) - tf.linalg.trace(values)) / (num * (num - 1.0))


def check_kernel(kernel: Kernel, scale: float = 1.0) -> None:
    """Raises ValueError for an unknown kernel or a scale that is not positive."""
    check_one_of(_KERNELS, kernel=kernel)
    check_positive(scale=scale)


def _check_examples(**values):
    """Raises ValueError unless both have two examples at least, of as many numbers."""
    check_tensors(1, **values)
    check_rows(2, **values)
    shapes = {name: static_shape(**{name: value}) for name, value in values.items()}
    sizes = {shape[1:].num_elements() for shape in shapes.values()} - {None}
    if len(sizes) > 1:
        raise ValueError(
            f"{' and '.join(shapes)} must have examples of as many numbers. Received: shapes "
            f"{' and '.join(map(str, shapes.values()))}."
        )
