"""Normalizing flow, over real vectors or over whole-numbered images.

Dinh, Sohl-Dickstein & Bengio, arXiv:1605.08803v3; Ho et al., arXiv:1902.00275v2.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import keras_private
from tfgen._utils.typing import ModelOptions, Seed, TensorLike
from tfgen.bijectors import Bijector, Given, UniformDequantization
from tfgen.bijectors.glow import ActNorm
from tfgen.layers import Condition, Prior, given
from tfgen.losses import LogProbEstimate, bits_per_dim
from tfgen.models import training_data
from tfgen.models.base import Update
from tfgen.models.batches import of_some, repeat_batch
from tfgen.models.checks import as_array, as_examples, check_weights_of_draws
from tfgen.models.conditional import given_conditions
from tfgen.models.endpoints import Endpoint, condition_specs, data_spec
from tfgen.models.latent import LatentVariableModel, estimated_log_prob

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
    it learns from pairs, `fit(x, condition)`, or from a data set of such pairs, and `log_prob`,
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
        ValueError: if the shapes differ, `fit` is given numbers to dequantize that are not whole,
            or a condition is missing, has another shape, or is given to a model of p(x).

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
    def conditions(self) -> Condition | None:
        """What c of p(x|c) is, the bijector's context; None of p(x)."""
        shape = self.bijector.context_shape
        return super().conditions if shape is None else Condition(tuple(shape))

    @property
    def samples_are_conditional(self) -> bool:
        return self.conditions is not None

    @property
    def updates(self) -> list[Update]:
        networks = (self.bijector, self.prior, self.dequantization)
        return [Update("flow", tuple(filter(None, networks)), self.terms)]

    @given_conditions
    def terms(self, x: Any, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        log_prob = self.log_weights(x, 1, self.next_seed(training))[0]
        if self.dequantization is None:
            return {"loss": -log_prob, "log_prob": log_prob}
        bits = bits_per_dim(-log_prob, self.data_shape)
        return {"loss": -log_prob, "elbo": log_prob, "bits_per_dim": bits}

    # Likelihood.

    def log_prob(
        self,
        x: Any,
        condition: TensorLike | None = None,
        num_samples: int | None = None,
        seed: int | None = None,
    ) -> tf.Tensor | LogProbEstimate:
        """log p(x) of each example, or log p(x|c), in nats: exact of real data.

        Of whole numbers it is an integral over the noise of the dequantization, and estimated by
        importance sampling, as that of a VAE.

        Args:
            x: array, shape (n, *data_shape); or a data set, of pairs as `fit` takes it where the
                model is conditional.
            condition: of p(x|c), with an array: shape (n, *condition_shape), or condition_shape.
            num_samples: int >= 1, draws of noise for each example; 100 if None.
            seed: int >= 0 or None. An int gives the same draws each time.

        Returns:
            Tensor, shape (n,); with a dequantization `tfgen.losses.LogProbEstimate` of two.

        Raises:
            ValueError: if an argument is out of range or an example not finite, or of real data,
                which have no draws, if there are `num_samples` or a seed.
        """
        if self.dequantization is not None:
            draws = 100 if num_samples is None else num_samples
            return estimated_log_prob(self, x, draws, seed, condition)
        if (num_samples, seed) != (None, None):
            raise ValueError(
                "log_prob of real data is exact, and draws nothing. Received: "
                f"num_samples={num_samples}, seed={seed}. Leave both out."
            )
        if not tf.executing_eagerly():
            return self._exact_log_prob(x, condition)
        batches = self.batches_with_conditions(x, condition)
        return tf.concat(of_some([self._exact_log_prob(*batch) for batch in batches]), axis=0)

    def _exact_log_prob(self, x, condition=None):
        if tf.executing_eagerly():
            training_data.check_explained(x, self)
        x = as_examples(x, self.data_shape, "x")
        with self.conditioned_on(condition, x.shape[0]):
            return self._log_density(x)

    def _log_density(self, y):
        z, log_det = self.bijector.inverse(y, self._context(y))
        return self.prior_distribution().log_prob(z) + log_det

    def _context(self, examples):
        """The condition that is given, of each example, where the bijector needs it."""
        shape = self.bijector.context_shape
        return None if shape is None else Condition(tuple(shape)).rows_for(examples)

    @given_conditions
    def log_weights(self, x: Any, num_samples: int, seed: Seed) -> tf.Tensor:
        """Logs of unbiased estimates of p(x), or p(x|c), one for each draw of noise.

        Args:
            x: tensor, shape (batch, *data_shape), or with conditions `Conditioned(x, c)`.
            num_samples: int, draws of u from q(u|x); real data have none, and all are log p(x).
            seed: stateless seed, shape (2,).

        Returns:
            Tensor, float32, shape (num_samples, batch), log p(x + u) - log q(u|x) in nats.
        """
        check_weights_of_draws(num_samples, seed)
        x = as_examples(x, self.data_shape, "x")
        if self.dequantization is None:
            return tf.repeat(self._log_density(x)[None], num_samples, axis=0)
        y, log_weight = self.dequantization.dequantize(repeat_batch(x, num_samples), seed)
        return tf.reshape(self._log_density(y) + log_weight, (num_samples, -1))

    def given(self, condition: Any) -> "NormalizingFlow":
        """The flow of p(x|c) at one c, a model without condition, which shares all weights."""
        context = self.checked_condition(condition, 1)
        return self._sharing_weights(bijector=Given(self.bijector, context[0]))

    # Latents.

    def latent(self, x: TensorLike, condition: Any = None) -> tf.Tensor:
        """The latents of data, shape of `x`; those of whole numbers x at x + 1/2."""
        x = as_examples(x, self.data_shape, "x")
        y = self.dequantization.middle(x) if self.dequantization else x
        with self.conditioned_on(condition, x.shape[0]):
            return self.bijector.inverse(y, self._context(y))[0]

    def call(self, inputs: Any) -> tf.Tensor:
        """`latent`; of p(x|c) of pairs [x, condition]."""
        return self.latent(*self.as_pair(inputs))

    def decode(self, z: TensorLike, condition: Any = None) -> tf.Tensor:
        """The data at `z`, shape of `z`; whole numbers where there is a dequantization."""
        z = as_examples(z, self.latent_shape, "z")
        with self.conditioned_on(condition, z.shape[0]):
            y, _ = self.bijector.forward(z, self._context(z))
        return self.dequantization.requantize(y) if self.dequantization else y

    def interpolate(
        self, start: TensorLike, end: TensorLike, num_steps: int = 7, condition: Any = None
    ) -> tf.Tensor:
        """Data between two batches on lines in latent space; see `interpolate_latents`."""
        start = as_examples(start, self.data_shape, "start")
        end = as_examples(end, self.data_shape, "end")
        start, end = (self.latent(x, condition) for x in (start, end))
        return self.interpolate_latents(start, end, num_steps, condition)

    def endpoints(self) -> dict[str, Endpoint]:
        """`latent`, `log_prob` of real data, and those that begin with latent variables."""
        signature = [data_spec(self), *condition_specs(self)]
        found = {"latent": Endpoint(self.latent, signature)}
        if self.dequantization is None:
            found["log_prob"] = Endpoint(self._exact_log_prob, signature)
        return {**found, **super().endpoints()}

    # Training.

    def prepare(self, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        x, y = super().prepare(x, y, training)
        if training and int(keras.ops.convert_to_numpy(self.steps)) == 0 and self._has_scales():
            batch, condition = _batch_to_look_at(x, y)
            self.initialize(batch, condition if self.conditions else None)
        return x, y

    def _has_scales(self):
        parts = keras_private.sublayers(self.bijector)
        return any(isinstance(part, ActNorm) and part.trainable for part in parts)

    def initialize(self, x: np.ndarray | tf.Tensor, condition: Any = None) -> None:
        """Sets weights that depend on data, those of `ActNorm`, from a batch; `fit` does so.

        Args:
            x: array or tensor, shape (batch, *data_shape), of which the first 256 are used.
            condition: as in `log_prob`.
        """
        x = as_array(x, "x")
        condition = self.checked_condition(condition, len(x))
        x = as_examples(x[:INITIAL_EXAMPLES], self.data_shape, "x")
        y = training_data.check(x, self)
        if self.dequantization is not None:
            y, _ = self.dequantization.dequantize(y, self.sampling_seed(0))
        with given(None if condition is None else condition[:INITIAL_EXAMPLES]):
            self.bijector.initialize(y, self._context(y))

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


def _batch_to_look_at(x, y):
    batch, y = training_data.first_pair(x, y)
    if batch is None:
        raise ValueError(
            "The scales of ActNorm are set by the first batch, which cannot be looked at without "
            f"taking it away. Received: data of type {type(x).__name__}. Pass arrays or a "
            "tf.data.Dataset."
        )
    return batch, y
