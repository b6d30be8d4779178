"""Independent histograms of the dimensions of codes."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.random import categorical, split, uniform
from tfgen._utils.typing import LayerOptions, Seed, Shape
from tfgen.samplers.sampler import Noise, Sampler, fitted_weight

__all__ = ["Histogram"]


@keras.saving.register_keras_serializable("tfgen.samplers")
class Histogram(Sampler):
    """Independent dimensions, each with a density that is constant within bins.

    Compare other samplers with it to see what it leaves out: how dimensions depend on each other.
    Bins have equal widths between the least and the greatest code, beyond which the density is 0.

    Args:
        num_bins: int B >= 1, bins of each dimension.
        event_shape: see `Sampler`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `num_bins` is out of range, or in `fit` all codes of a dimension are equal.

    Example:
        >>> sampler = Histogram(num_bins=50)
        >>> sampler.event_shape is None  # Until sampler.fit(model, x).
        True
    """

    options = ()

    def __init__(
        self,
        num_bins: int = 100,
        event_shape: int | Shape | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_size(num_bins=num_bins)
        self.num_bins = num_bins
        super().__init__(event_shape, **kwargs)

    def create_weights(self, size: int) -> None:
        self.low = fitted_weight(self, "low", (size,))
        self.high = fitted_weight(self, "high", (size,), "ones")
        self.counts = fitted_weight(self, "counts", (size, self.num_bins))

    def fit_codes(self, codes: np.ndarray, seed: int, verbose: bool) -> None:
        low, high = codes.min(0), codes.max(0)
        flat = np.flatnonzero(low == high)
        if len(flat):
            raise ValueError(
                "A histogram needs codes that differ in every dimension. Received: codes that are "
                f"all the same in dimension {flat[0]}. Take a sampler of joint densities."
            )
        self.low.assign(low)
        self.high.assign(high)
        counts = [
            np.histogram(column, self.num_bins, (a, b))[0]
            for column, a, b in zip(codes.T, low, high, strict=True)
        ]
        self.counts.assign(counts)

    def draw(self, num_samples: Any, seed: Seed, noise: Noise, temperature: float) -> tf.Tensor:
        which, within = split(seed, 2)
        bins = categorical(tf.math.log(tf.convert_to_tensor(self.counts)), num_samples, which)
        share = (tf.cast(bins, tf.float32) + uniform(tf.shape(bins), within)) / self.num_bins
        return self.low + (self.high - self.low) * share

    def log_density(self, z: tf.Tensor) -> tf.Tensor:
        share = (z - self.low) / (self.high - self.low)
        inside = (share >= 0) & (share <= 1)
        bins = tf.minimum(tf.where(inside, share, 0.0) * self.num_bins, self.num_bins - 1)
        counts = tf.convert_to_tensor(self.counts)
        frequencies = counts / tf.reduce_sum(counts, axis=1, keepdims=True)
        columns = tf.transpose(tf.cast(bins, tf.int32))
        found = tf.gather(frequencies, columns, axis=1, batch_dims=1)
        density = tf.transpose(found) * self.num_bins / (self.high - self.low)
        density = tf.where(inside, density, tf.where(tf.math.is_nan(share), share, 0.0))
        return tf.reduce_sum(tf.math.log(density), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_bins": self.num_bins}
