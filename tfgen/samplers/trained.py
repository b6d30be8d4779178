"""Samplers whose densities are trained by gradient descent."""

from typing import Any

import keras
import numpy as np
from typing_extensions import Unpack

from tfgen._utils.arguments import check_positive, check_size
from tfgen._utils.typing import LayerOptions, Shape
from tfgen.samplers.sampler import Sampler

__all__ = ["TrainedSampler", "TrainingOptions"]


class TrainingOptions(LayerOptions, total=False):
    """Arguments of samplers that are trained."""

    epochs: int
    batch_size: int
    learning_rate: float
    event_shape: int | Shape | None


class TrainedSampler(Sampler):
    """Base of samplers that `fit` trains with Adam.

    Args:
        epochs: int >= 1, of `fit`.
        batch_size: int >= 1.
        learning_rate: float > 0, which falls to 0 along half a cosine.
        event_shape: see `Sampler`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        epochs: int = 30,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        event_shape: int | Shape | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_size(epochs=epochs, batch_size=batch_size)
        check_positive(learning_rate=learning_rate)
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        super().__init__(event_shape, **kwargs)

    def train(
        self, model: keras.Model, data: Any, num_codes: int, verbose: bool, **losses: Any
    ) -> None:
        """Fits a model on an array of codes, or on batches of a data set."""
        steps = self.epochs * -(-num_codes // self.batch_size)
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, steps)
        model.compile(keras.optimizers.Adam(rate), **losses)
        size = self.batch_size if isinstance(data, np.ndarray) else None
        shuffle = size is not None  # A data set is shuffled.
        model.fit(data, None, size, self.epochs, verbose=2 * int(verbose), shuffle=shuffle)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
        }
