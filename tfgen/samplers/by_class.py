"""A sampler for each class: p(z|c)."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Self, Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.random import fold_in
from tfgen._utils.typing import LayerOptions, Seed, Shape, TensorLike
from tfgen.layers import Condition, current_condition, given
from tfgen.samplers.sampler import Noise, Sampler

__all__ = ["ByClass"]


@keras.saving.register_keras_serializable("tfgen.samplers")
class ByClass(Sampler):
    """p(z|c): a copy of a sampler for each class, fitted on the codes of its examples.

    The encoder of a conditional model need not give all classes the same codes, and its samples of
    a class are best drawn from the codes of that class. `model.sample(n, prior=sampler,
    condition=c)` does so, `model.with_prior(sampler)` is a model of p(x, z|c), and
    `sampler.under(c)` the sampler of one class.

    Draws and densities take as long as those of all classes together.

    Args:
        sampler: a sampler, fitted or not; copies are fitted, and it is left as it is.
        num_classes: int >= 1, that of the model.
        event_shape: see `Sampler`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `sampler` is not a sampler or is a `ByClass`, or in `fit` if the model takes
            no classes or a class has no examples.

    Example:
        >>> from tfgen import models, networks, samplers
        >>> options = {"latent_dim": 2, "width": 16, "num_classes": 3}
        >>> model = models.VAE(networks.mlp_encoder((8, 8, 1), **options),
        ...                    networks.mlp_decoder((8, 8, 1), **options), seed=0)
        >>> x, y = tf.zeros((300, 8, 8, 1)), np.arange(300) % 3
        >>> sampler = ByClass(samplers.GaussianMixture(2), num_classes=3)
        >>> sampler = sampler.fit(model, x, condition=y, verbose=False)
        >>> model.sample(5, condition=2, prior=sampler).shape
        TensorShape([5, 8, 8, 1])
    """

    def __init__(
        self,
        sampler: Sampler,
        num_classes: int,
        event_shape: int | Shape | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_size(num_classes=num_classes)
        if not isinstance(sampler, Sampler) or isinstance(sampler, ByClass):
            raise ValueError(
                "ByClass copies a sampler for each class. Received: sampler="
                f"{sampler!r}. Give it one, such as samplers.GaussianMixture(10)."
            )
        self.sampler, self.num_classes = sampler, num_classes
        self.parts: list[Sampler] = []
        for name in ("options", "no_density", "event_dtype", "axes_of_parts"):
            setattr(self, name, getattr(sampler, name))
        super().__init__(event_shape, **kwargs)

    @property
    def takes(self) -> Condition:
        """The class that it is given."""
        return Condition((), self.num_classes)

    def create_weights(self, size: int) -> None:
        config = {**self.sampler.get_config(), "event_shape": self.event_shape, "fitted": False}
        kind = type(self.sampler)
        names = [f"{self.sampler.name}_{label}" for label in range(self.num_classes)]
        self.parts = [kind.from_config({**config, "name": name}) for name in names]

    def codes_of(self, model: keras.Model, x: tf.Tensor, seed: Seed) -> TensorLike:
        return self.sampler.codes_of(model, x, seed)

    def fit_given(self, codes: np.ndarray, condition: Any, seed: int, verbose: bool) -> None:
        labels = self.takes.check(condition) if condition is not None else np.zeros(0)
        missing = sorted(set(range(self.num_classes)) - set(labels.tolist()))
        if missing:
            raise ValueError(
                f"A sampler of {self.num_classes} classes is fitted on examples of each, by a "
                f"conditional model. Received: {len(labels)} classes, and none is {missing[0]}. "
                "Call fit(model, x, condition=c), or give fit a data set of pairs."
            )
        for label, part in enumerate(self.parts):
            part.fit_codes(codes[labels == label], seed, verbose)
            part.fitted = True

    def sample(
        self,
        num_samples: int = 1,
        seed: int | None = None,
        temperature: float = 1.0,
        truncation: float | None = None,
        condition: Any = None,
    ) -> tf.Tensor:
        """Draws codes of classes.

        Args:
            num_samples: as in `Sampler.sample`, like the next three.
            seed: int >= 0 or None.
            temperature: float > 0.
            truncation: float > 0, or None.
            condition: the classes, one for all or one for each; None for what `layers.given` gives.

        Returns:
            Tensor, shape (num_samples, *event_shape).

        Raises:
            ValueError: as `Sampler.sample`, or if the condition is missing or does not fit.
        """
        with self._given(condition, num_samples):
            return super().sample(num_samples, seed, temperature, truncation)

    def log_prob(self, z: TensorLike, condition: Any = None) -> tf.Tensor:
        """log p(z|c) in nats of `z` of shape (..., num_conditions, *event_shape), shape (...)."""
        with self._given(condition):
            return super().log_prob(z)

    def _given(self, condition, num_samples=None):
        return given(
            current_condition() if condition is None else self.takes.check(condition, num_samples)
        )

    def draw(self, num_samples: Any, seed: Seed, noise: Noise, temperature: float) -> tf.Tensor:
        draws = [
            part.draw(num_samples, fold_in(seed, label), noise, temperature)
            for label, part in enumerate(self.parts)
        ]
        return self._of_class(tf.stack(draws, axis=1))

    def log_density(self, z: tf.Tensor) -> tf.Tensor:
        return self._of_class(tf.stack([part.log_density(z) for part in self.parts], axis=1))

    def _of_class(self, values):
        """Of each row what belongs to its class, from shape (n, num_classes, ...)."""
        return tf.gather(values, self.takes.rows_for(values), batch_dims=1)

    def under(self, condition: Any) -> Sampler:
        """The sampler of one class.

        Raises:
            ValueError: if there is no such class, or nothing was fitted yet.
        """
        self.check_fitted()
        return self.parts[int(self.takes.check(condition, 1)[0])]

    def get_config(self) -> dict[str, Any]:
        sampler = keras.saving.serialize_keras_object(self.sampler)
        return {**super().get_config(), "sampler": sampler, "num_classes": self.num_classes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        sampler = keras.saving.deserialize_keras_object(config["sampler"])
        made = super().from_config({**config, "sampler": sampler})
        for part in made.parts:
            part.fitted = made.fitted
        return made
