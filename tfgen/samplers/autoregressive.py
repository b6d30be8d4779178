"""A causal transformer over the discrete codes of a VQ-VAE."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.random import categorical, fold_in
from tfgen._utils.tensors import check_indices
from tfgen._utils.typing import Seed, TensorLike
from tfgen.samplers.sampler import Noise
from tfgen.samplers.trained import TrainedSampler, TrainingOptions

__all__ = ["Autoregressive"]

# Draws that are made at a time, so that memory does not grow with their number.
CHUNK = 500


@keras.saving.register_keras_serializable("tfgen.samplers")
class Autoregressive(TrainedSampler):
    """p(z) = prod_i p(z_i | z_1 ... z_(i-1)) over codes z_i of a codebook, by a small transformer.

    In the place of the PixelCNN that van den Oord et al., arXiv:1711.00937v2, put over the codes of
    a VQ-VAE: self-attention to the codes before (Vaswani et al., arXiv:1706.03762v7, Sec. 3.2),
    with layer normalization first and learned positions, a map of codes row by row.

    Args:
        width: int >= 1, a multiple of `num_heads`.
        depth: int >= 1, blocks of attention and a dense network.
        num_heads: int >= 1.
        num_codes: int K >= 1, size of the codebook; that of the model which `fit` is given if None.
        **kwargs: arguments of `TrainedSampler`; `event_shape` is the number of codes.

    Raises:
        ValueError: if an argument is out of range, or `fit` is given a model without a codebook.

    Example:
        >>> sampler = Autoregressive(width=32, depth=2, epochs=20)
        >>> sampler.event_shape is None  # Until sampler.fit(model, x).
        True
    """

    options = ("temperature",)
    event_dtype = tf.int32

    def __init__(
        self,
        width: int = 64,
        depth: int = 3,
        num_heads: int = 4,
        num_codes: int | None = None,
        **kwargs: Unpack[TrainingOptions],
    ) -> None:
        check_size(width=width, depth=depth, num_heads=num_heads)
        if width % num_heads:
            raise ValueError(
                "width is split over num_heads, which must divide it. Received: "
                f"width={width}, num_heads={num_heads}."
            )
        self.width, self.depth, self.num_heads = width, depth, num_heads
        self.num_codes = num_codes
        super().__init__(**kwargs)

    def create_weights(self, size: int) -> None:
        check_size(num_codes=self.num_codes)
        self.network = _network(size, self.num_codes, self.width, self.depth, self.num_heads)

    def codes_of(self, model: keras.Model, x: tf.Tensor, seed: Seed) -> tf.Tensor:
        if not (hasattr(model, "indices") and hasattr(model, "num_codes")):
            raise ValueError(
                "Autoregressive is over the indices of a codebook, which a VQVAE has. Received: a "
                f"{type(model).__name__}. Take a sampler of continuous codes, such as "
                "GaussianMixture or NormalizingFlow."
            )
        if self.num_codes not in (None, model.num_codes):
            raise ValueError(
                f"This sampler is over {self.num_codes} codes. Received: a model of "
                f"{model.num_codes}. Make a new one."
            )
        self.num_codes = model.num_codes
        return model.indices(x)

    def fit_codes(self, codes: np.ndarray, seed: int, verbose: bool) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        pairs = tf.data.Dataset.from_tensor_slices((codes, codes))
        batches = pairs.shuffle(len(codes), seed=seed).batch(self.batch_size)
        self.train(self.network, batches, len(codes), verbose, loss=loss)

    def draw(self, num_samples: Any, seed: Seed, noise: Noise, temperature: float) -> tf.Tensor:
        num_samples = tf.cast(num_samples, tf.int32)
        return _draw_in_chunks(self.network, num_samples, seed, tf.cast(temperature, tf.float32))

    def log_prob(self, z: TensorLike) -> tf.Tensor:
        self.check_fitted()
        if not tf.is_symbolic_tensor(z):
            check_indices(self.network.output_shape[-1], z=np.asarray(z))
        return super().log_prob(z)

    def log_density(self, z: tf.Tensor) -> tf.Tensor:
        z = tf.cast(z, tf.int32)
        logits = tf.cast(self.network(z), tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(z, logits)
        return -tf.reduce_sum(losses, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "num_heads": self.num_heads,
            "num_codes": self.num_codes,
        }


class _Embedding(keras.layers.Layer):
    """The codes before each place, and the place, as vectors; before the first stands code K."""

    def __init__(self, size, num_codes, width, **kwargs):
        super().__init__(**kwargs)
        self.codes = keras.layers.Embedding(num_codes + 1, width)
        self.places = keras.layers.Embedding(size, width)
        self.num_codes, self.size = num_codes, size
        for embedding in (self.codes, self.places):
            embedding.build(())
        self.built = True

    def call(self, indices):
        first = tf.fill((tf.shape(indices)[0], 1), self.num_codes)
        before = tf.concat([first, tf.cast(indices[:, :-1], tf.int32)], axis=1)
        return self.codes(before) + self.places(tf.range(self.size))

    def compute_output_shape(self, shape):
        return (*shape, self.codes.output_dim)


def _network(size, num_codes, width, depth, num_heads):
    """From indices, shape (batch, size), to logits of each given those before it."""
    indices = keras.Input((size,), dtype="int32")
    x = _Embedding(size, num_codes, width)(indices)
    for _ in range(depth):
        seen = keras.layers.LayerNormalization()(x)
        attention = keras.layers.MultiHeadAttention(num_heads, width // num_heads)
        x = x + attention(seen, seen, use_causal_mask=True)
        hidden = keras.layers.Dense(4 * width, "gelu")(keras.layers.LayerNormalization()(x))
        x = x + keras.layers.Dense(width)(hidden)
    return keras.Model(indices, keras.layers.Dense(num_codes)(keras.layers.LayerNormalization()(x)))


@tf.function(reduce_retracing=True)
def _draw_in_chunks(network, num_samples, seed, temperature):
    """Draws of any number, a tensor; an empty chunk if there are none."""
    num_chunks = tf.maximum(-(-num_samples // CHUNK), 1)
    shape = (None, network.input_shape[1])
    parts = tf.TensorArray(tf.int32, num_chunks, infer_shape=False, element_shape=shape)
    for i in tf.range(num_chunks):
        size = tf.minimum(num_samples - i * CHUNK, CHUNK)
        parts = parts.write(i, _draw(network, size, fold_in(seed, i), temperature))
    return parts.concat()


def _draw(network, num_samples, seed, temperature):
    """Draws one code after the other, each from its density given those before."""
    size = network.input_shape[1]
    indices = tf.zeros((num_samples, size), tf.int32)
    for i in tf.range(size):
        logits = tf.cast(network(indices)[:, i], tf.float32) / temperature
        drawn = categorical(logits, 1, fold_in(seed, i))[0]
        indices = tf.where(tf.range(size) == i, drawn[:, None], indices)
    return indices
