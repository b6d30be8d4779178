"""A second VAE, over the codes of the first. Dai & Wipf, arXiv:1903.05789v2."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen import layers, models
from tfgen._utils.arguments import check_size
from tfgen._utils.random import split
from tfgen._utils.typing import Seed
from tfgen.samplers.sampler import Noise, fitted_weight
from tfgen.samplers.trained import TrainedSampler, TrainingOptions

__all__ = ["TwoStageVAE"]


@keras.saving.register_keras_serializable("tfgen.samplers")
class TwoStageVAE(TrainedSampler):
    """A VAE of as many latent variables u as a code has numbers, trained on codes.

    A draw is u from N(0, I), then z from p(z|u): both of the noise that `sample` scales.

    Source: Dai & Wipf, ICLR 2019 (arXiv:1903.05789v2), the two-stage remedy of Sec. 4.
    Deviation: p(z|u) has a scale for each number, by the network, where theirs has one for all; and
    codes are normalized first.

    Args:
        width: int >= 1, units of each hidden layer.
        depth: int >= 1, hidden layers of each network.
        **kwargs: arguments of `TrainedSampler`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> sampler = TwoStageVAE(width=256, epochs=50)
        >>> sampler.event_shape is None  # Until sampler.fit(model, x).
        True
    """

    no_density = "its p(z) is an integral over u, of which a VAE knows a bound."

    def __init__(self, width: int = 512, depth: int = 3, **kwargs: Unpack[TrainingOptions]) -> None:
        check_size(width=width, depth=depth)
        self.width, self.depth = width, depth
        super().__init__(**kwargs)

    def create_weights(self, size: int) -> None:
        self.loc = fitted_weight(self, "loc", (size,))
        self.scale = fitted_weight(self, "scale", (size,), "ones")
        self.encoder, self.decoder = self._network(size), self._network(size)

    def _network(self, size):
        """From a vector to a distribution of one of the same size."""
        hidden = [keras.layers.Dense(self.width, "relu") for _ in range(self.depth)]
        params = keras.layers.Dense(2 * size, dtype="float32")
        return keras.Sequential(
            [keras.Input((size,)), *hidden, params, layers.IndependentNormal(size)]
        )

    def fit_codes(self, codes: np.ndarray, seed: int, verbose: bool) -> None:
        loc, scale = codes.mean(0), codes.std(0)
        self.loc.assign(loc)
        self.scale.assign(np.where(scale > 0, scale, 1.0))
        model = models.VAE(self.encoder, self.decoder, seed=seed)
        self.train(model, (codes - loc) / np.asarray(self.scale), len(codes), verbose)

    def draw(self, num_samples: Any, seed: Seed, noise: Noise, temperature: float) -> tf.Tensor:
        of_u, of_z = split(seed, 2)
        shape = (num_samples, *self.loc.shape)
        z = self.decoder(noise(shape, of_u))
        return self.loc + self.scale * (z.mean() + z.stddev() * noise(shape, of_z))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "depth": self.depth}
