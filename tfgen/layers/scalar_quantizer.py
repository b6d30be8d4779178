"""Finite scalar quantization. Mentzer et al., arXiv:2309.15505."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.tensors import check_indices
from tfgen._utils.typing import LayerOptions
from tfgen.layers.distribution_lambda import register
from tfgen.layers.vector_quantizer import Quantizer

__all__ = ["FiniteScalarQuantizer", "as_levels"]

# As many as a layer may have of anything: check_size.
MAX_CODES = 10**6


def as_levels(levels: Sequence[int]) -> tuple[int, ...]:
    """Numbers of levels as a tuple.

    Raises:
        ValueError: unless they are ints of at least 2, with a product of at most a million.

    Example:
        >>> as_levels([3, 2])
        (3, 2)
    """
    values = tuple(levels) if isinstance(levels, list | tuple) else ()
    known = values and all(isinstance(n, numbers.Integral) and int(n) >= 2 for n in values)
    if not known or math.prod(values) > MAX_CODES:
        raise ValueError(
            "levels must be a sequence of ints of at least 2, one for each number of a code, whose "
            f"product, the number of codes, is at most {MAX_CODES}. Received: levels={levels!r}."
        )
    return values


@register
class FiniteScalarQuantizer(Quantizer):
    """Rounds each number of a vector to one of a few levels, whose combinations are the codes.

    code = 2 round((L - 1) (tanh(v) + 1) / 2) / (L - 1) - 1

    for a number v and its L levels, which are equally spaced from -1 to 1. In the index of a code
    the level of the first number varies fastest. There are no weights.

    Source: Mentzer et al., arXiv:2309.15505v2, Sec. 3.1 and the code of App. A.1.
    Deviation: that code shifts an even number of levels, so that 0 is one of them; here 0 is
    between two. It also bounds the numbers by (1 - 0.001) (L - 1) / 2; here the factor is 1.

    Args:
        levels: sequence of int >= 2, levels of each number; their product is the number of codes.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (..., len(levels)).

    Returns:
        The codes, the same shape, with the gradient of `straight_through` to tanh(inputs).

    Raises:
        ValueError: if a number of levels is less than 2, or there are more than a million codes.

    Example:
        >>> quantizer = FiniteScalarQuantizer((3, 2))
        >>> quantizer(tf.constant([[-0.1, 9.0]])).numpy()
        array([[0., 1.]], dtype=float32)
        >>> quantizer.indices(tf.constant([[-0.1, 9.0]])).numpy()  # Level 1 of 3, and 1 of 2.
        array([4], dtype=int32)
    """

    def __init__(
        self, levels: Sequence[int] = (8, 5, 5, 5), **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.levels = as_levels(levels)
        self.num_codes, self.code_dim = math.prod(self.levels), len(self.levels)
        self.built = True

    def bounded(self, vectors: tf.Tensor) -> tf.Tensor:
        """tanh of the vectors, between the least level and the greatest."""
        return tf.tanh(vectors)

    def indices(self, vectors: tf.Tensor) -> tf.Tensor:
        """Index of the code of each vector, int32, shape (...)."""
        self.check_vectors(vectors=vectors)
        share = (self.bounded(tf.cast(vectors, tf.float32)) + 1) / 2
        levels = tf.cast(tf.round(share * (self._levels(tf.float32) - 1)), tf.int32)
        return tf.reduce_sum(levels * self._steps(), axis=-1)

    def lookup(self, indices: tf.Tensor) -> tf.Tensor:
        """The codes of these indices, shape (..., len(levels))."""
        check_indices(self.num_codes, indices=indices)
        indices = tf.cast(indices, tf.int32)[..., None]
        levels = indices // self._steps() % self._levels(tf.int32)
        return 2 * tf.cast(levels, tf.float32) / (self._levels(tf.float32) - 1) - 1

    def _levels(self, dtype):
        return tf.constant(self.levels, dtype)

    def _steps(self):
        """By how much an index grows with a level of each number."""
        return tf.math.cumprod(self._levels(tf.int32), exclusive=True)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}
