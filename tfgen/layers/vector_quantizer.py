"""Vector quantization, and priors over codes. van den Oord et al., arXiv:1711.00937v2."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import check_seed, check_size, is_real
from tfgen._utils.tensors import (
    check_indices,
    check_last_axis,
    check_leaves,
    check_stateless_seed,
    check_tensors,
    static_shape,
)
from tfgen._utils.typing import LayerOptions, Seed, TensorLike
from tfgen.layers.distribution_lambda import register
from tfgen.layers.distributions import Categorical
from tfgen.layers.priors import Encoder, Prior

__all__ = [
    "CodeFrequencies",
    "Quantizer",
    "VectorQuantizer",
    "nearest_codes",
    "perplexity",
    "straight_through",
]


def nearest_codes(vectors: tf.Tensor, codebook: tf.Tensor) -> tf.Tensor:
    """Index of the nearest code to each vector, by Euclidean distance.

    Source: van den Oord et al., arXiv:1711.00937v2, Eq. 1.

    Args:
        vectors: tensor, shape (..., code_dim).
        codebook: tensor, shape (num_codes, code_dim).

    Returns:
        int32 tensor, shape (...), from 0 to num_codes - 1.

    Example:
        >>> nearest_codes(tf.constant([[0.9], [-3.0]]), tf.constant([[0.0], [1.0]])).numpy()
        array([1, 0], dtype=int32)
    """
    squared_norms = tf.reduce_sum(tf.square(codebook), axis=-1)
    # |v - e|^2 less |v|^2, which is the same for all codes.
    distances = squared_norms - 2 * tf.tensordot(vectors, codebook, [[-1], [-1]])
    return tf.argmin(distances, axis=-1, output_type=tf.int32)


def straight_through(vectors: tf.Tensor, quantized: tf.Tensor) -> tf.Tensor:
    """`quantized`, with the gradient that it is given handed on to `vectors` unchanged.

    Source: van den Oord et al., arXiv:1711.00937v2, Sec. 3.2; Bengio, Leonard & Courville,
    arXiv:1308.3432v1.

    Example:
        >>> straight_through(tf.constant(0.8), tf.constant(1.0)).numpy()
        np.float32(1.0)
    """
    return vectors + tf.stop_gradient(quantized - vectors)


def perplexity(counts: tf.Tensor) -> tf.Tensor:
    """exp(entropy) of relative frequencies: how many codes are in use, were all used alike.

    Args:
        counts: float tensor, shape (..., num_codes), >= 0.

    Returns:
        Tensor, shape (...), from 1 to num_codes.

    Example:
        >>> perplexity(tf.constant([3.0, 3.0, 0.0, 3.0])).numpy().round(4)
        np.float32(3.0)
    """
    frequencies = counts / tf.reduce_sum(counts, axis=-1, keepdims=True)
    return tf.exp(-tf.reduce_sum(tf.math.xlogy(frequencies, frequencies), axis=-1))


class Quantizer(keras.layers.Layer):
    """Base of the layers that replace each vector by a code, and number their codes.

    A subclass has `num_codes` and `code_dim`, and gives `indices` and `lookup`; one whose codes
    move with data also `follow`.
    """

    num_codes: int
    code_dim: int
    # Of the indices of one vector.
    index_shape: tuple[int, ...] = ()

    def indices(self, vectors: tf.Tensor) -> tf.Tensor:
        """Index of the code of each vector, int32."""
        raise NotImplementedError

    def lookup(self, indices: tf.Tensor) -> tf.Tensor:
        """The codes of these indices, shape (..., code_dim)."""
        raise NotImplementedError

    def bounded(self, vectors: tf.Tensor) -> tf.Tensor:
        """What codes stand for, and pass their gradient on to: the vectors themselves, or a map."""
        return vectors

    def follow(self, vectors: tf.Tensor, indices: tf.Tensor, seed: Seed) -> None:
        """Moves codes towards a batch of vectors that they stand for."""
        raise NotImplementedError

    def use_counts(self, indices: tf.Tensor) -> tf.Tensor:
        """How often each code occurs among `indices`, shape (num_codes,)."""
        check_indices(self.num_codes, indices=indices)
        flat = tf.reshape(indices, (-1,))
        return tf.math.unsorted_segment_sum(tf.ones_like(flat, tf.float32), flat, self.num_codes)

    def check_vectors(self, **vectors: Any) -> None:
        """Raises ValueError unless the one value is a tensor of vectors of `code_dim` numbers."""
        check_tensors(1, **vectors)
        check_last_axis(self.code_dim, **vectors)

    def check_pair(self, vectors: Any, indices: Any) -> None:
        """Raises ValueError unless `indices` can be those of `vectors`."""
        self.check_vectors(vectors=vectors)
        check_indices(self.num_codes, indices=indices)
        shape = static_shape(vectors=vectors)
        if (
            not shape[:-1]
            .concatenate(self.index_shape)
            .is_compatible_with(static_shape(indices=indices))
        ):
            raise ValueError(
                "indices must be those of vectors, of shape (..., code_dim): of shape "
                f"{('...', *self.index_shape)}. Received: vectors of shape {shape}, indices of "
                f"shape {static_shape(indices=indices)}."
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Overridden because Keras turns arrays into tensors before `call` sees them."""
        check_leaves((args, kwargs))
        return super().__call__(*args, **kwargs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        check_tensors(1, "numbers", inputs=inputs)
        check_last_axis(self.code_dim, inputs=inputs)
        vectors = tf.cast(inputs, tf.float32)
        return straight_through(self.bounded(vectors), self.lookup(self.indices(vectors)))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, "float32")


@register
class VectorQuantizer(Quantizer):
    """A codebook, trained by gradient or by moving averages.

    With a `decay` g the codes follow the encoder: from the vectors nearest to code i in a batch,
    n_i in number, N_i = g N_i + (1 - g) n_i, m_i = g m_i + (1 - g) sum of vectors, e_i = m_i / N_i.
    Without a `decay` the codebook is a trainable weight, which needs the codebook loss.

    Source: van den Oord et al., arXiv:1711.00937v2, Eq. 1 and App. A.1, Eq. 6 to 8; random restarts
    are those of Dhariwal et al., arXiv:2005.00341v1, Sec. 3.1.
    Deviation: a small number is added to N_i, so that a code that is never used goes to the origin
    rather than to 0 / 0.

    Args:
        num_codes: int K >= 1, size of the codebook.
        code_dim: int D >= 1, size of a code.
        decay: float in (0, 1), or None to train by gradient.
        restart_below: float >= 0: a code whose N_i, its uses per batch, falls below this value is
            set to a random vector of the batch; 0 for no restarts. Needs a `decay`.
        seed: int or None, for the initial codes, uniform with a variance of 1 / (3 code_dim).
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (..., code_dim).

    Returns:
        The nearest codes, the same shape, with the gradient of `straight_through`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> quantizer = VectorQuantizer(num_codes=8, code_dim=2, seed=0)
        >>> codes = quantizer(tf.random.stateless_normal((5, 3, 2), seed=(0, 0)))
        >>> quantizer.indices(codes).shape
        TensorShape([5, 3])
    """

    epsilon = 1e-5

    def __init__(
        self,
        num_codes: int = 512,
        code_dim: int = 64,
        decay: float | None = 0.99,
        restart_below: float = 0.0,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        _check_quantizer(num_codes, code_dim, decay, restart_below)
        if seed is not None:
            check_seed(seed=seed)
        self.num_codes, self.code_dim, self.seed = num_codes, code_dim, seed
        self.decay, self.restart_below = decay, restart_below
        initial = keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform", seed=seed)
        averaged: dict[str, Any] = dict(trainable=False, aggregation="mean") if decay else {}
        # m_i, which is e_i itself while N_i is 1.
        self.sums = self.add_weight(
            shape=(num_codes, code_dim),
            initializer=initial,
            autocast=False,
            name="sums" if decay else "codebook",
            **averaged,
        )
        if decay:
            self.counts = self.add_weight(
                shape=(num_codes,), initializer="ones", autocast=False, name="counts", **averaged
            )
        self.built = True

    @property
    def codebook(self) -> tf.Tensor:
        """All codes, shape (num_codes, code_dim)."""
        sums = tf.convert_to_tensor(self.sums)
        return sums / (self.counts + self.epsilon)[:, None] if self.decay else sums

    def indices(self, vectors: tf.Tensor) -> tf.Tensor:
        """Index of the nearest code to each vector, int32, shape (...)."""
        self.check_vectors(vectors=vectors)
        return nearest_codes(tf.cast(vectors, tf.float32), self.codebook)

    def lookup(self, indices: tf.Tensor) -> tf.Tensor:
        """The codes of these indices, shape (..., code_dim)."""
        check_indices(self.num_codes, indices=indices)
        return tf.gather(self.codebook, indices)

    def follow(self, vectors: tf.Tensor, indices: tf.Tensor, seed: Seed) -> None:
        """Moves the averages towards a batch of vectors and their codes' indices.

        Args:
            vectors: float32 tensor, shape (..., code_dim).
            indices: what `indices` gives for them.
            seed: int32 tensor of shape (2,), for the restarts.

        Raises:
            ValueError: if the shapes do not fit, or `seed` is not a seed.
        """
        self.check_pair(vectors, indices)
        check_stateless_seed(seed=seed)
        vectors = tf.reshape(tf.stop_gradient(vectors), (-1, self.code_dim))
        sums = tf.math.unsorted_segment_sum(vectors, tf.reshape(indices, (-1,)), self.num_codes)
        counts = self._moved(self.counts, self.use_counts(indices))
        sums = self._moved(self.sums, sums)
        if self.restart_below:
            counts, sums = self._restarted(counts, sums, vectors, seed)
        self.counts.assign(counts)
        self.sums.assign(sums)

    def _moved(self, average, new):
        decay: Any = self.decay
        return decay * average + (1 - decay) * new

    def _restarted(self, counts, sums, vectors, seed):
        """The averages with rare codes at vectors of the batch, as often used as is needed."""
        num_vectors = tf.shape(vectors)[0]
        drawn = tf.random.stateless_uniform(
            (self.num_codes,), seed, maxval=num_vectors, dtype=tf.int32, alg=random.ALGORITHM
        )
        rare = counts < self.restart_below
        restarts = self.restart_below * tf.gather(vectors, drawn)
        sums = tf.where(rare[:, None], restarts, sums)
        return tf.where(rare, self.restart_below, counts), sums

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_codes": self.num_codes,
            "code_dim": self.code_dim,
            "decay": self.decay,
            "restart_below": self.restart_below,
            "seed": self.seed,
        }


@register
class CodeFrequencies(Prior):
    """Independent codes, with the frequencies counted at each position.

    It is uniform over the codes until `fit` counts them.

    Args:
        num_positions: int N >= 1, codes of one example.
        num_codes: int K >= 1, size of the codebook.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if there is no position or no code.

    Example:
        >>> prior = CodeFrequencies(num_positions=3, num_codes=4)
        >>> prior.as_distribution().log_prob([0, 1, 3]).numpy().round(4)  # -3 log 4
        np.float32(-4.1589)
    """

    def __init__(self, num_positions: int, num_codes: int, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        check_size(num_positions=num_positions, num_codes=num_codes)
        self.logits = self.add_weight(
            shape=(num_positions, num_codes),
            initializer="zeros",
            autocast=False,
            trainable=False,
            name="logits",
        )
        self.built = True

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        return tfd.Independent(Categorical(tf.convert_to_tensor(self.logits)), 1)

    def fit(self, batches: Iterable[TensorLike]) -> None:
        """Sets the frequencies to those of `batches`, one added to each count.

        Args:
            batches: iterable of int tensors, shape (batch, num_positions).

        Raises:
            ValueError: if there is no batch, or one of another shape.
        """
        num_codes = self.logits.shape[-1]
        counts = sum(
            tf.reduce_sum(tf.one_hot(indices, num_codes), axis=0)
            for indices in self._checked(batches)
        )
        self.logits.assign(tf.math.log_softmax(tf.math.log(counts + 1)))

    def _checked(self, batches):
        """The batches, each looked at; raises ValueError unless there is one."""
        num_positions, num_codes = self.logits.shape
        batches = tuple(batches) if isinstance(batches, list | tuple | np.ndarray) else batches
        if not isinstance(batches, Iterable) or batches == ():
            raise ValueError(
                "batches must be an iterable of int tensors of shape (batch, num_positions). "
                f"Received: batches={batches!r}."
            )
        for batch in batches:
            check_indices(num_codes, batches=batch)
            check_last_axis(num_positions, batches=batch)
            check_tensors(2, "ints", batches=batch)
            yield batch

    def get_config(self) -> dict[str, Any]:
        num_positions, num_codes = self.logits.shape
        return {**super().get_config(), "num_positions": num_positions, "num_codes": num_codes}


def _check_quantizer(num_codes, code_dim, decay, restart_below):
    check_size(num_codes=num_codes, code_dim=code_dim)
    if decay is not None and not (is_real(decay) and 0 < decay < 1):
        raise ValueError(
            "decay must be between 0 and 1, or None to train the codebook by gradient. Received: "
            f"decay={decay!r}."
        )
    if not is_real(restart_below) or restart_below < 0 or (restart_below and decay is None):
        raise ValueError(
            "restart_below must be 0 for none, or a number of uses per batch that a code with a "
            f"decay must have. Received: restart_below={restart_below!r}, decay={decay}."
        )
