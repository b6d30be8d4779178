"""Normalizing flow, over real vectors or over whole-numbered images.

Dinh, Sohl-Dickstein & Bengio, arXiv:1605.08803v3; Ho et al., arXiv:1902.00275v2.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_flags
from tfgen._utils.typing import ModelOptions, Seed, Shape, TensorLike
from tfgen.bijectors import Bijector, Given, UniformDequantization
from tfgen.bijectors.glow import ActNorm
from tfgen.layers import Prior
from tfgen.losses import bits_per_dim
from tfgen.models import training_data
from tfgen.models.base import Update
from tfgen.models.checks import as_array, as_conditions, as_examples, check_weights_of_draws
from tfgen.models.latent import LatentVariableModel, decode_in_chunks
from tfgen.models.training_data import Conditioned
from tfgen.models.vae import repeat_batch

__all__ = ["NormalizingFlow"]

# Examples that set the scales of `ActNorm`.
INITIAL_EXAMPLES = 256


@keras.saving.register_keras_serializable("tfgen")
class NormalizingFlow(LatentVariableModel):
    """Invertible map from latents to data, trained by maximum likelihood.

    log p(x) = log p(z) + log|det dz/dx| with z = f^-1(x), exact for real data. Whole numbers, such
    as 8-bit images, need a `dequantization`, which adds noise u from q(u|x): then log P(x) >=
    E_q(u|x)[log p(x + u) - log q(u|x)], estimated with one draw of u.

    Source: Dinh et al., arXiv:1605.08803v3, Eq. 2 and 3; Ho et al., arXiv:1902.00275v2, Eq. 12.

    It logs, per example: `loss`, which is minimised, in nats; for real data `log_prob` = -loss; for
    whole numbers `elbo` = -loss, and `bits_per_dim` = loss / (D ln 2) in bits. Networks inside a
    bijector run as in inference: they have no use for dropout.

    The first `fit` begins by setting the scales of `ActNorm` from a batch of its data.

    With a bijector that needs a context it is a density p(x|c), whose condition c is that context:
    it learns from pairs, `fit(x, condition)`, or from a data set that gives such, and `log_prob`,
    `log_weights`, `latent`, `decode`, `generate` and `sample` are given `condition`, one for all
    examples or one for each. `given(condition)` is the model of one condition, with whatever else a
    flow can do.

    Args:
        bijector: `tfgen.bijectors.Bijector` with an inverse; `forward` leads from latents to data.
        dequantization: `tfgen.bijectors.UniformDequantization`, `VariationalDequantization`, or
            None for real data.
        prior: a prior of `tfgen.layers` over the latents, shaped as data; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if the shapes differ, `fit` is given other than whole numbers to dequantize, or
            a condition is missing, misshapen, or given to a model of p(x).

    Example:
        >>> from tfgen import bijectors, networks
        >>> shape = (8, 8, 1)  # digits: datasets.load("digits", value_range=(0, 16))
        >>> model = NormalizingFlow(networks.simple_flow(shape, num_couplings=1, width=4),
        ...                         bijectors.UniformDequantization(shape, num_values=17), seed=0)
        >>> model.compile("adam")
        >>> sorted(model.fit(tf.zeros((32, *shape)), verbose=0).history)
        ['bits_per_dim', 'elbo', 'loss']
        >>> model.sample(3, seed=0).shape
        TensorShape([3, 8, 8, 1])
        >>> conditional = NormalizingFlow(bijectors.maf(2, context_size=3), seed=0)  # p(x|c)
        >>> conditional.log_prob(tf.zeros((8, 2)), condition=tf.zeros((8, 3))).shape
        TensorShape([8])
        >>> conditional.sample(5, condition=[1.0, 0.0, 0.0]).shape
        TensorShape([5, 2])
    """

    fixed = {
        "decoder": "It is the bijector.",
        "latent_shape": "It is that of the bijector.",
        "data_shape": "It is that of the bijector.",
    }

    def __init__(
        self,
        bijector: Bijector,
        dequantization: UniformDequantization | None = None,
        prior: Prior | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        _check_maps(bijector, dequantization)
        super().__init__(bijector, bijector.event_shape, bijector.event_shape, prior, **kwargs)
        self.dequantization = dequantization
        self.check_prior()
        if dequantization is not None and dequantization.event_shape != self.data_shape:
            raise ValueError(
                f"The dequantization must be over data of shape {self.data_shape}, as the bijector "
                f"is. Received: a dequantization over shape {dequantization.event_shape}. Build "
                "both for one shape."
            )

    @property
    def bijector(self) -> Bijector:
        """The map from latents to data; before they are made whole numbers."""
        return self.decoder

    @property
    def condition_shape(self) -> Shape | None:
        """Shape of the condition c of p(x|c), the bijector's context; None for p(x)."""
        return self.bijector.context_shape

    @property
    def updates(self) -> list[Update]:
        networks = (self.bijector, self.prior, self.dequantization)
        return [Update("flow", tuple(filter(None, networks)), self.terms)]

    def terms(self, x: Any, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        log_prob = self.log_weights(x, 1, self.next_seed(training))[0]
        if self.dequantization is None:
            return {"loss": -log_prob, "log_prob": log_prob}
        bits = bits_per_dim(-log_prob, self.data_shape)
        return {"loss": -log_prob, "elbo": log_prob, "bits_per_dim": bits}

    # Likelihood.

    def log_prob(self, x: TensorLike, condition: TensorLike | None = None) -> tf.Tensor:
        """The exact log-density of real data, in nats.

        Args:
            x: tensor, shape (batch, *data_shape).
            condition: of p(x|c), tensor of shape (batch, *condition_shape), or condition_shape.

        Returns:
            Tensor, shape (batch,).

        Raises:
            ValueError: if the model has a dequantization, for which it is an integral over noise.
        """
        if self.dequantization is not None:
            raise ValueError(
                "log_prob is exact for real data only. Received: a model with a "
                f"{type(self.dequantization).__name__}, whose log-probability is an integral over "
                "noise. Estimate it: log_weights(x, num_samples, seed)."
            )
        return self._log_density(*self.as_batch(x, condition))

    def _log_density(self, y, condition):
        z, log_det = self.bijector.inverse(y, condition)
        return self.prior_distribution().log_prob(z) + log_det

    def log_weights(
        self, x: Any, num_samples: int, seed: Seed, condition: TensorLike | None = None
    ) -> tf.Tensor:
        """Logs of unbiased estimates of p(x), or p(x|c), one for each draw of noise.

        Args:
            x: tensor, shape (batch, *data_shape), or a pair of it and the condition.
            num_samples: int, draws of u from q(u|x); real data have none, and all are log p(x).
            seed: stateless seed, shape (2,).
            condition: as in `log_prob`.

        Returns:
            Tensor, float32, shape (num_samples, batch), log p(x + u) - log q(u|x) in nats.
        """
        check_weights_of_draws(num_samples, seed)
        x, condition = self.as_batch(x, condition)
        if self.dequantization is None:
            return tf.repeat(self._log_density(x, condition)[None], num_samples, axis=0)
        y, log_weight = self.dequantization.dequantize(repeat_batch(x, num_samples), seed)
        condition = None if condition is None else repeat_batch(condition, num_samples)
        return tf.reshape(self._log_density(y, condition) + log_weight, (num_samples, -1))

    # Conditions.

    def as_batch(self, x: Any, condition: Any = None) -> Conditioned:
        """Examples and a condition for each, or None, float32; `x` may be a pair of both."""
        if condition is None and self.condition_shape and _is_pair(x):
            x, condition = x
        x = as_examples(x, self.data_shape, "x")
        return Conditioned(x, self._conditions(condition, x))

    def _conditions(self, condition, examples):
        """A condition for each of `examples`; None of p(x)."""
        shape = self.condition_shape
        if (condition is None) != (shape is None):
            raise ValueError(
                f"This {type(self).__name__} takes a condition of shape {shape}, the context_shape "
                f"of its bijector. Received: {'no' if condition is None else 'a'} condition. Pass "
                "what the bijector takes; model.given(condition) is the flow of one condition."
            )
        return None if shape is None else as_conditions(condition, shape, examples)

    def given(self, condition: TensorLike) -> "NormalizingFlow":
        """The flow of p(x|c) at one c, a model without condition, which shares all weights."""
        context = self._conditions(condition, self.prior_distribution().sample(1))[0]
        maps = Given(self.bijector, context), self.dequantization
        return NormalizingFlow(*maps, prior=self.prior, seed=self.seed)

    def unpack(self, data: Any) -> Any:
        if self.condition_shape is None:
            return super().unpack(data)
        _, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        x = training_data.unpack(data)
        return Conditioned(x, training_data.conditions_of_batch(condition, self))

    def zeros(self, num_examples: int) -> Any:
        x, shape = super().zeros(num_examples), self.condition_shape
        return x if shape is None else Conditioned(x, tf.zeros((num_examples, *shape)))

    # Latents.

    def latent(self, x: Any, condition: TensorLike | None = None) -> tf.Tensor:
        """The latents of data, shape of `x`; those of whole numbers x at x + 1/2."""
        x, condition = self.as_batch(x, condition)
        y = self.dequantization.middle(x) if self.dequantization else x
        return self.bijector.inverse(y, condition)[0]

    def call(self, x: Any) -> tf.Tensor:
        return self.latent(x)

    def predict_step(self, data: Any) -> tf.Tensor:
        """`call` on a batch of a data set of pairs too."""
        x, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self(x if condition is None or not self.condition_shape else (x, condition))

    def decode(self, z: TensorLike, condition: TensorLike | None = None) -> tf.Tensor:
        """The data at `z`, shape of `z`; whole numbers where there is a dequantization."""
        z = as_examples(z, self.latent_shape, "z")
        y, _ = self.bijector.forward(z, self._conditions(condition, z))
        return self.dequantization.requantize(y) if self.dequantization else y

    def generate(self, z: TensorLike, condition: TensorLike | None = None) -> tf.Tensor:
        """The data at `z`, as `decode`, a part at a time."""
        return self._decode_in_chunks(as_examples(z, self.latent_shape, "z"), condition)

    def _decode_in_chunks(self, z, condition, seed=None):
        condition = self._conditions(condition, z)
        if condition is None:
            return decode_in_chunks(self.decode, z, seed)

        def decode(rows):
            return self.decode(tf.gather(z, rows), tf.gather(condition, rows))

        return decode_in_chunks(decode, tf.range(len(z)), seed)

    def sample(
        self,
        num_samples: int = 1,
        seed: int | None = None,
        mean: bool = True,
        prior: Prior | None = None,
        condition: TensorLike | None = None,
    ) -> tf.Tensor:
        """New examples; arguments as in the other models, and a condition.

        Args:
            num_samples: int >= 0.
            seed: int >= 0 or None. An int gives the same samples each time.
            mean: True, as data follow from z.
            prior: what z is drawn from in the place of the model's own prior.
            condition: of p(x|c), shape (num_samples, *condition_shape), or condition_shape.

        Returns:
            Tensor, shape (num_samples, *data_shape).

        Raises:
            ValueError: if an argument is out of range, or the condition misshapen or missing.
        """
        check_flags(mean=mean)
        seed = self.sampling_seed(seed)
        z = self.sample_latents(num_samples, seed, prior)
        return self._decode_in_chunks(z, condition, None if mean else seed)

    def interpolate(self, start: TensorLike, end: TensorLike, num_steps: int = 7) -> tf.Tensor:
        """Data between two batches on lines in latent space; see `interpolate_latents`."""
        start = as_examples(start, self.data_shape, "start")
        end = as_examples(end, self.data_shape, "end")
        return self.interpolate_latents(self.latent(start), self.latent(end), num_steps)

    # Training.

    def prepare(self, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        conditional = self.condition_shape is not None
        if conditional:
            y = training_data.conditions(x, y, self)
        if training and int(keras.ops.convert_to_numpy(self.steps)) == 0 and self._has_scales():
            batch, condition = _batch_to_look_at(x, y)
            self.initialize(batch, condition if conditional else None)
        return (x, y) if conditional else super().prepare(x, y, training)

    def _has_scales(self):
        parts = keras_private.sublayers(self.bijector)
        return any(isinstance(part, ActNorm) and part.trainable for part in parts)

    def initialize(self, x: np.ndarray | tf.Tensor, condition: TensorLike | None = None) -> None:
        """Sets weights that depend on data, those of `ActNorm`, from a batch; `fit` does so.

        Args:
            x: array or tensor, shape (batch, *data_shape), of which the first 256 are used.
            condition: as in `log_prob`.
        """
        x = as_array(x, "x")
        conditions = self._conditions(condition, x)
        context = None if conditions is None else conditions[:INITIAL_EXAMPLES]
        x = as_examples(x[:INITIAL_EXAMPLES], self.data_shape, "x")
        y = training_data.check(x, self)
        if self.dequantization is not None:
            y, _ = self.dequantization.dequantize(y, self.sampling_seed(0))
        self.bijector.initialize(y, context)

    def check_batch(self, x: np.ndarray) -> None:
        if self.dequantization is not None:
            self.dequantization.check(x)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "bijector": serialize(self.bijector),
            "dequantization": serialize(self.dequantization),
        }


def _check_maps(bijector, dequantization):
    if not isinstance(bijector, Bijector):
        raise ValueError(
            "The bijector must be a tfgen.bijectors.Bijector. Received: bijector="
            f"{bijector!r}. Build one, for example networks.simple_flow(image_shape)."
        )
    if not isinstance(dequantization, UniformDequantization | None):
        raise ValueError(
            "The dequantization must be a bijectors.UniformDequantization or "
            f"VariationalDequantization, or None. Received: dequantization={dequantization!r}."
        )
    if None in (bijector.context_shape or ()):
        raise ValueError(
            "The condition must be of known shape. Received: a bijector with context_shape="
            f"{bijector.context_shape}. Give its networks an input of known shape."
        )


def _is_pair(x):
    return isinstance(x, tuple | list) and len(x) == 2


def _batch_to_look_at(x, y):
    batch, y = training_data.first_pair(x, y)
    if batch is None:
        raise ValueError(
            "The scales of ActNorm are set by the first batch, which cannot be looked at without "
            f"taking it away. Received: data of type {type(x).__name__}. Pass arrays or a "
            "tf.data.Dataset."
        )
    return batch, y
