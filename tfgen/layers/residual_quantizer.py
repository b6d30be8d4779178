"""Residual vector quantization. Lee et al., arXiv:2203.01941v2; Zeghidour et al., 2107.03312."""

from typing import Any

import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_flags, check_size
from tfgen._utils.random import fold_in
from tfgen._utils.tensors import check_indices, check_last_axis
from tfgen._utils.typing import LayerOptions, Seed
from tfgen.layers.distribution_lambda import register
from tfgen.layers.vector_quantizer import Quantizer, VectorQuantizer

__all__ = ["ResidualVectorQuantizer"]


@register
class ResidualVectorQuantizer(Quantizer):
    """A sum of codes: the one nearest to a vector, then the one nearest to the residual, and so on.

    r_0 = v; e_d is the code nearest to r_(d-1), and r_d = r_(d-1) - e_d, for d = 1 to depth. The
    output is e_1 + ... + e_depth. Codebooks learn from residuals as `VectorQuantizer` does from
    vectors; with a depth of 1 the two layers are the same.

    Source: Zeghidour et al., arXiv:2107.03312, Algorithm 1, with a codebook for each depth; Lee et
    al., arXiv:2203.01941v2 (equations not checked; their code, kakaobrain/rq-vae-transformer,
    computes the same), who can share one.

    Args:
        num_codes: int K >= 1, size of a codebook.
        code_dim: int D >= 1, size of a code.
        depth: int >= 1, codes of one vector.
        shared: bool, one codebook for all depths, or one for each.
        decay: as in `VectorQuantizer`.
        restart_below: as in `VectorQuantizer`.
        seed: int or None, for the initial codes, as in `VectorQuantizer`.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (..., code_dim).

    Returns:
        The sums of codes, the same shape, with the gradient of `straight_through`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> quantizer = ResidualVectorQuantizer(num_codes=8, code_dim=2, depth=3, seed=0)
        >>> quantizer.indices(tf.random.stateless_normal((5, 2), seed=(0, 0))).shape
        TensorShape([5, 3])
    """

    def __init__(
        self,
        num_codes: int = 512,
        code_dim: int = 64,
        depth: int = 4,
        shared: bool = True,
        decay: float | None = 0.99,
        restart_below: float = 0.0,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        check_size(depth=depth)
        check_flags(shared=shared)
        self.num_codes, self.code_dim, self.seed = num_codes, code_dim, seed
        self.depth, self.shared, self.index_shape = depth, bool(shared), (depth,)
        self.decay, self.restart_below = decay, restart_below
        options = (num_codes, code_dim, decay, restart_below)
        self.codebooks = [VectorQuantizer(*options, seed)]
        for d in range(1, 1 if shared else depth):
            own = None if seed is None else (seed + d) % 2**31
            self.codebooks.append(VectorQuantizer(*options, own))
        self.built = True

    def indices(self, vectors: tf.Tensor) -> tf.Tensor:
        """Indices of the codes of each vector, int32, shape (..., depth)."""
        self.check_vectors(vectors=vectors)
        found, residuals = [], tf.cast(vectors, tf.float32)
        for codebook in self._codebooks():
            found.append(codebook.indices(residuals))
            residuals -= codebook.lookup(found[-1])
        return tf.stack(found, axis=-1)

    def lookup(self, indices: tf.Tensor) -> tf.Tensor:
        """The sums of the codes of indices of shape (..., depth), shape (..., code_dim)."""
        return tf.reduce_sum(self._codes(indices), axis=-2)

    def stages(self, vectors: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What each depth was given and the code that it found, shapes (..., depth, code_dim).

        The gradient of what it was given is that of the vectors alone.

        Args:
            vectors: float32 tensor, shape (..., code_dim).
            indices: what `indices` gives for them.

        Raises:
            ValueError: if the shapes do not fit.
        """
        self.check_pair(vectors, indices)
        codes = self._codes(indices)
        before = tf.cumsum(tf.stop_gradient(codes), axis=-2, exclusive=True)
        return tf.expand_dims(vectors, -2) - before, codes

    def use_counts(self, indices: tf.Tensor) -> tf.Tensor:
        """How often each code occurs at each depth, shape (depth, num_codes)."""
        count = super().use_counts
        return tf.stack([count(at_depth) for at_depth in self._by_depth(indices)])

    def follow(self, vectors: tf.Tensor, indices: tf.Tensor, seed: Seed) -> None:
        """Moves the averages towards what each depth was given; see `VectorQuantizer.follow`."""
        residuals, _ = self.stages(vectors, indices)
        if self.shared:
            self.codebooks[0].follow(residuals, indices, seed)
            return
        parts = zip(tf.unstack(residuals, axis=-2), self._by_depth(indices), strict=True)
        for d, (given, found) in enumerate(parts):
            self.codebooks[d].follow(given, found, fold_in(seed, d) if d else seed)

    def _codebooks(self):
        """The codebook of each depth."""
        return self.codebooks * self.depth if self.shared else self.codebooks

    def _by_depth(self, indices):
        check_indices(self.num_codes, indices=indices)
        check_last_axis(self.depth, indices=indices)
        return tf.unstack(indices, self.depth, axis=-1)

    def _codes(self, indices):
        parts = zip(self._codebooks(), self._by_depth(indices), strict=True)
        return tf.stack([codebook.lookup(found) for codebook, found in parts], axis=-2)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_codes": self.num_codes,
            "code_dim": self.code_dim,
            "depth": self.depth,
            "shared": self.shared,
            "decay": self.decay,
            "restart_below": self.restart_below,
            "seed": self.seed,
        }
