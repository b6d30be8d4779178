"""A normalizing flow over codes."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Self, Unpack

from tfgen import bijectors, models
from tfgen._utils.arguments import check_size
from tfgen._utils.typing import Seed
from tfgen.layers import FlowDistribution, StandardNormal
from tfgen.layers.flow import check_no_context
from tfgen.samplers.sampler import Noise
from tfgen.samplers.trained import TrainedSampler, TrainingOptions

__all__ = ["NormalizingFlow"]


@keras.saving.register_keras_serializable("tfgen.samplers")
class NormalizingFlow(TrainedSampler):
    """A flow from N(0, I) to codes, trained on them by maximum likelihood.

    By default a masked autoregressive flow (Papamakarios et al., arXiv:1705.07057v4), whose density
    takes one pass, and whose draws one for each dimension of a code.

    Args:
        bijector: `tfgen.bijectors.Bijector` over flat codes, with an inverse; None for
            `bijectors.maf(size, num_steps, hidden)`.
        num_steps: int >= 1, autoregressive models one after the other.
        hidden: sequence of int, units of each one's hidden layers.
        **kwargs: arguments of `TrainedSampler`.

    Raises:
        ValueError: if an argument is out of range, or the bijector is over another shape.

    Example:
        >>> sampler = NormalizingFlow(num_steps=2, epochs=20)
        >>> sampler.event_shape is None  # Until sampler.fit(model, x).
        True
    """

    def __init__(
        self,
        bijector: bijectors.Bijector | None = None,
        num_steps: int = 4,
        hidden: Sequence[int] = (128, 128),
        **kwargs: Unpack[TrainingOptions],
    ) -> None:
        check_size(num_steps=num_steps)
        self.bijector: Any = bijector
        self.num_steps, self.hidden = num_steps, tuple(hidden)
        super().__init__(**kwargs)

    def create_weights(self, size: int) -> None:
        if self.bijector is None:
            self.bijector = bijectors.maf(size, self.num_steps, self.hidden)
        check_no_context(self.bijector)
        if tuple(self.bijector.event_shape) != (size,):
            raise ValueError(
                f"The bijector of a sampler maps flat codes, here of {size} numbers. Received: a "
                f"bijector over shape {self.bijector.event_shape}."
            )
        self.base = StandardNormal(size)

    def fit_codes(self, codes: np.ndarray, seed: int, verbose: bool) -> None:
        self.train(models.NormalizingFlow(self.bijector, seed=seed), codes, len(codes), verbose)

    def draw(self, num_samples: Any, seed: Seed, noise: Noise, temperature: float) -> tf.Tensor:
        return self.bijector.forward(noise((num_samples, *self.base.event_shape), seed))[0]

    def log_density(self, z: tf.Tensor) -> tf.Tensor:
        return FlowDistribution(self.base.as_distribution(), self.bijector).log_prob(z)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "bijector": keras.saving.serialize_keras_object(self.bijector),
            "num_steps": self.num_steps,
            "hidden": self.hidden,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        bijector = keras.saving.deserialize_keras_object(config["bijector"])
        return super().from_config({**config, "bijector": bijector})
