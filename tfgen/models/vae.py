"""Variational autoencoder. Kingma & Welling, arXiv:1312.6114v10."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, final

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import check_flags
from tfgen._utils.replicas import whole_batch
from tfgen._utils.typing import Distribution, ModelOptions, Seed, TensorLike
from tfgen.layers import Prior
from tfgen.losses import (
    LogProbEstimate,
    bound_terms,
    free_bits_kl,
    is_discrete,
    kl_divergence,
    kl_of_dimensions,
)
from tfgen.models.autoencoding import AutoencodingModel
from tfgen.models.base import Update
from tfgen.models.batches import repeat_batch
from tfgen.models.checks import (
    as_draws,
    as_examples,
    check_distribution,
    check_weights_of_draws,
)
from tfgen.models.conditional import given_conditions
from tfgen.models.latent import estimated_log_prob
from tfgen.models.training_data import (
    InputsAndTargets,
    inputs_of,
    targets_of,
)

tfd = tfp.distributions

__all__ = ["Draw", "KLOptions", "VAE", "VAEOptions"]


class Draw(NamedTuple):
    """One draw of all latent variables for each example of a batch, and what follows from it.

    Attributes:
        x: the batch as `unpack` gives it.
        q: q(z|x), or what there is of it in closed form.
        z: tensor, shape (batch, *latent_shape), what the decoder takes; with further axes before
            where a model draws several.
        likelihood: p(x|z) at z.
        reconstruction: tensor, shape (batch,), -log p(x|z) in nats.
        prior: p(z).
        kl: tensor, shape (batch,), what the ELBO subtracts, in nats: the mean of `log_ratio`, or
            `log_ratio` itself, with closed forms wherever a model has them.
        training: bool.
        next_seed: callable to the next stateless seed of the step, for draws of a model's own.
        log_ratio: tensor, shape (batch,), log q(z, u|x) - log p(z) - log r(u|x, z) in nats at this
            draw of z and of all auxiliary variables u; None where q(z|x) has a density.
        kl_groups: tensor, shape (batch, groups), parts that sum to `kl`, or None for one.
        terms: dict of tensors, shape (batch,), what a model logs besides.
    """

    x: Any
    q: Any
    z: tf.Tensor
    likelihood: Any
    reconstruction: tf.Tensor
    prior: Any
    kl: tf.Tensor
    training: bool
    next_seed: Callable[[], tf.Tensor]
    log_ratio: tf.Tensor | None = None
    kl_groups: tf.Tensor | None = None
    terms: Mapping[str, tf.Tensor] = MappingProxyType({})


class KLOptions(ModelOptions, total=False):
    """Arguments of `VAE` that hold its KL divergence up."""

    capacity: float | None
    free_bits: float | None


class VAEOptions(KLOptions, total=False):
    """Arguments of `VAE` other than networks and prior, for `**kwargs: Unpack[VAEOptions]`."""

    beta: float


@keras.saving.register_keras_serializable("tfgen")
class VAE(AutoencodingModel):
    """Variational autoencoder, trained by maximising the ELBO.

    loss = -ELBO = E_q(z|x)[-log p(x|z)] + KL(q(z|x) || p(z)), with one reparameterized sample of z
    and the KL divergence in closed form where there is one.

    Source: Kingma & Welling, arXiv:1312.6114v10, Eq. 3, estimator Eq. 7.

    Options replace the KL divergence in the loss, where KL is its mean over the batch:

    - `beta`: beta * KL;
    - `capacity` C: beta * |KL - C| (Burgess et al., arXiv:1804.03599v1, Eq. 8);
    - `free_bits` lambda: beta * sum_j max(lambda, KL_j), with the means KL_j of parts of the KL:
      those of single dimensions of z if q(z|x) and p(z) are diagonal normals, those of levels or
      steps in models that have these, else the whole (`tfgen.losses.free_bits_kl`).

    It logs, in nats per example, summed over dimensions and averaged over the batch: `loss`, which
    is minimised; `elbo`, the bound without these changes; `reconstruction`, -log p(x|z); `kl`; with
    `free_bits` also `free_kl`, the sum over j. If p(x|z) is a probability mass, it logs
    `bits_per_dim` = -elbo / (D ln 2), in bits.

    `fit(x, y)` with a y of the data's shape, or batches (x, y) of a data set, trains a denoising
    VAE: the encoder sees x, the decoder explains y, and the loss is an upper bound of -log p(y) (Im
    et al., arXiv:1511.06406; equation not checked).

    A variant overrides `infer`, `regularizers` and `objective`; `terms` puts them together.

    Args:
        encoder: `keras.Model` from x to q(z|x); it ends in a distribution layer.
        decoder: `keras.Model` from z to p(x|z); it ends in a distribution layer.
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        beta: float >= 0. Schedules (`tfgen.callbacks`) can change `beta`, `capacity` and
            `free_bits` during training.
        capacity: float >= 0, nats, or None.
        free_bits: float >= 0, nats for each part of the KL, or None.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if a network does not end in a distribution, shapes do not fit each other, a
            weight is negative, or both `capacity` and `free_bits` are given.
        TypeError: if a subclass overrides what its parent does not use.

    Example:
        >>> from tfgen import networks
        >>> model = VAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...             networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16), seed=0)
        >>> model.compile("adam")
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> sorted(history.history)
        ['bits_per_dim', 'elbo', 'kl', 'loss', 'reconstruction']
    """

    takes_targets = True

    unused_hooks: ClassVar[dict[str, str]] = {
        "terms": "It is the same in all VAEs: override infer, regularizers or objective."
    }

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        beta: float = 1.0,
        capacity: float | None = None,
        free_bits: float | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        self._discrete = is_discrete(self._check_distributions())
        if capacity is not None and free_bits is not None:
            raise ValueError(
                "capacity and free_bits both hold the KL divergence up: choose one. Received: "
                f"capacity={capacity}, free_bits={free_bits}."
            )
        self.beta = self.add_loss_weight("beta", beta)
        self.capacity = self.add_loss_weight("capacity", capacity, required=False)
        self.free_bits = self.add_loss_weight("free_bits", free_bits, required=False)

    def _check_distributions(self):
        check_distribution(self.encoder, "encoder", "q(z|x)", "IndependentNormal")
        return check_distribution(self.decoder, "decoder", "p(x|z)", "IndependentBernoulli")

    @property
    def networks(self) -> tuple[keras.layers.Layer, ...]:
        """What the VAE's update moves."""
        return (self.encoder, self.decoder, self.prior)

    @property
    def updates(self) -> list[Update]:
        return [Update("vae", self.networks, self.terms)]

    # Terms.

    @final
    @given_conditions
    def terms(self, x: Any, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        draw = self.infer(x, self.next_seed(training), training)
        shape = self.data_shape if self._discrete else None
        terms = {**bound_terms(draw.reconstruction, draw.kl, shape), **draw.terms}
        if self.free_bits is not None:
            terms["free_kl"] = _free_kl(draw, self.free_bits)
        terms |= self.regularizers(draw)
        return {**self.player_losses(terms), **terms}

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws the latent variables.

        Args:
            x: a batch as `unpack` gives it.
            seed: int32 tensor of shape (2,), a stateless seed.
            training: bool.
        """
        q, prior = self.posterior(x, training), self.prior_distribution()
        z = q.sample(seed=seed)
        kl = self.kl_divergence(q, prior, z)
        return self.draw(x, z, kl, training, q=q, prior=prior, kl_groups=self._groups(q, prior))

    def draw(self, x: Any, z: tf.Tensor, kl: tf.Tensor, training: bool, **fields: Any) -> Draw:
        """The record of a draw of z, with p(x|z) unless it is among the other fields."""
        likelihood = fields.pop("likelihood", None)
        if likelihood is None:
            likelihood = self.likelihood(z, x, training)
        return Draw(
            x=x,
            z=z,
            kl=kl,
            likelihood=likelihood,
            reconstruction=-likelihood.log_prob(self.examples(x)),
            training=training,
            next_seed=lambda: self.next_seed(training),
            **{"q": None, "prior": None, **fields},
        )

    def examples(self, x: Any) -> tf.Tensor:
        """What p(x|z) explains of a batch, float32: the targets, where `fit` was given such."""
        return as_examples(targets_of(x), self.data_shape, "x")

    def inputs(self, x: Any) -> tf.Tensor:
        """What q(z|x) sees of a batch, float32."""
        return as_examples(inputs_of(x), self.data_shape, "x")

    def posterior(self, x: Any, training: bool) -> Distribution:
        """q(z|x) of a batch as `unpack` gives it, in a training step or not."""
        return self.encoder(self.inputs(x), training=training)

    def likelihood(self, z: TensorLike, x: Any, training: bool) -> Distribution:
        """p(x|z) for one z of each example.

        `decode` and what samples know no x and give None.
        """
        return self.decoder(z, training=training)

    def kl_divergence(self, q: Distribution, prior: Distribution, z: tf.Tensor) -> tf.Tensor:
        """KL(q(z|x) || p(z)) per example, in closed form or at the draw z."""
        return kl_divergence(q, prior, z)

    def regularizers(self, draw: Draw) -> dict[str, tf.Tensor]:
        """Further terms of a variant, by name, per example; `objective` sees them."""
        return {}

    def player_losses(self, terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the updates minimise, per example: one loss, unless there are several players."""
        return {"loss": self.objective(terms)}

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """What is minimised, per example: the line that a variant overrides."""
        return terms["reconstruction"] + self.weighted_kl(terms)

    def weighted_kl(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """The KL divergence as the loss has it: with beta, and a capacity or free bits."""
        kl = terms.get("free_kl", terms["kl"])
        if self.capacity is not None:
            kl = keras.ops.abs(keras.ops.mean(whole_batch(kl)) - self.capacity)
        return self.beta * kl

    def _groups(self, q, prior):
        """The KL of each dimension, where it is known and nobody has another KL in mind."""
        if self.free_bits is None or type(self).kl_divergence is not VAE.kl_divergence:
            return None
        return kl_of_dimensions(q, prior)

    # Encoding and decoding.

    def encode(self, x: Any, condition: Any = None) -> Any:
        """q(z|x), or q(z|x, c) given a condition."""
        with self.conditioned_on(condition, self.inputs(x).shape[0]):
            return self.posterior(x, training=False)

    def decode(self, z: TensorLike, condition: Any = None) -> Distribution:
        """p(x|z), or p(x|z, c) given a condition."""
        z = as_examples(z, self.latent_shape, "z")
        with self.conditioned_on(self.condition_of_samples(condition), z.shape[0]):
            return self.likelihood(z, None, training=False)

    # Likelihoods.

    def as_batch(self, x: Any) -> Any:
        """A batch as `unpack` gives it, float32, of arrays too.

        Raises:
            ValueError: if a part of it has another shape than the data, or holds no numbers.
        """
        if isinstance(x, InputsAndTargets):
            return InputsAndTargets(self.inputs(x), self.examples(x))
        return self.examples(x)

    @given_conditions
    def log_likelihood(self, x: Any, z: TensorLike, training: bool = False) -> tf.Tensor:
        """log p(x|z) in nats.

        Args:
            x: tensor, shape (batch, *data_shape), or with conditions `Conditioned(x, c)`.
            z: tensor, shape (..., batch, *latent_shape), any number of draws for each example.
            training: bool, for the layers that differ.

        Returns:
            Tensor, shape (..., batch).
        """
        check_flags(training=training)
        x = self.as_batch(x)
        z = as_draws(z, self.latent_shape, tf.nest.flatten(x)[0].shape[0])
        draws = tf.shape(z)[: tf.rank(z) - len(self.latent_shape)]
        copies = repeat_batch(x, tf.reduce_prod(draws[:-1]))
        likelihood = self.likelihood(tf.reshape(z, (-1, *self.latent_shape)), copies, training)
        return tf.reshape(likelihood.log_prob(self.examples(copies)), draws)

    @given_conditions
    def log_joint(self, x: Any, z: TensorLike, training: bool = False) -> tf.Tensor:
        """log p(x, z) in nats; see `log_likelihood`."""
        x = self.as_batch(x)
        z = as_draws(z, self.latent_shape, tf.nest.flatten(x)[0].shape[0])
        return self.log_likelihood(x, z, training) + self.prior_distribution().log_prob(z)

    @given_conditions
    def log_weights(
        self, x: Any, num_samples: int, seed: Seed, training: bool = False
    ) -> tf.Tensor:
        """Importance weights log p(x, z) - log q(z|x) of draws z from q(z|x), in nats.

        The mean of their exponentials is an unbiased estimate of p(x).

        Source: Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4, Eq. 7 and 8.

        Args:
            x: tensor, shape (batch, *data_shape).
            num_samples: int, draws for each example.
            seed: int32 tensor of shape (2,), a stateless seed.
            training: bool, for the layers that differ.

        Returns:
            Tensor, shape (num_samples, batch).
        """
        check_weights_of_draws(num_samples, seed, training)
        x = self.as_batch(x)
        q = self.posterior(x, training)
        z, log_q = q.experimental_sample_and_log_prob(num_samples, seed=seed)
        return self.log_joint(x, z, training) - log_q

    def log_prob(
        self, x: Any, num_samples: int = 100, seed: int | None = None, condition: Any = None
    ) -> LogProbEstimate:
        """log p(x) of each example, or log p(x|c), estimated by importance sampling, in nats.

        See `log_mean_exp` of `log_weights`, which is below log p(x) in expectation. Of a whole
        test set `tfgen.metrics.importance_sampled_nll` is faster, and shows its progress.

        Args:
            x: array, shape (n, *data_shape); or a data set, as `embed` takes it.
            num_samples: int >= 1, draws for each example.
            seed: int >= 0 or None. An int gives the same draws each time.
            condition: of a conditional model, with an array: one for all or one for each.

        Returns:
            `tfgen.losses.LogProbEstimate` of two tensors of shape (n,).

        Raises:
            ValueError: if an argument is out of range, or an example is not finite, of another
                shape, or outside the support of p(x|z).
        """
        return estimated_log_prob(self, x, num_samples, seed, condition)


def _free_kl(draw, free_bits):
    """sum_j max(free_bits, mean of KL_j), for each example."""
    groups = draw.kl[:, None] if draw.kl_groups is None else draw.kl_groups
    total = free_bits_kl(groups, tf.convert_to_tensor(free_bits))
    return tf.fill(tf.shape(draw.kl), total)
