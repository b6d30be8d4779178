"""Importance weighted autoencoder. Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4."""

from typing import Any, Literal

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import check_flags, check_ints, check_numbers, check_one_of
from tfgen._utils.constructors import check_fixed
from tfgen._utils.typing import ModelOptions, Seed
from tfgen.layers import Prior
from tfgen.models.base import Update
from tfgen.models.batches import repeat_batch
from tfgen.models.checks import output_on_zeros
from tfgen.models.vae import VAE, Draw

__all__ = ["IWAE"]

ESTIMATORS = ("reparameterized", "doubly_reparameterized", "sticking_the_landing")


@keras.saving.register_keras_serializable("tfgen")
class IWAE(VAE):
    """VAE that maximises the importance-weighted bound of several draws, tighter than the ELBO.

    loss = -E[log 1/k sum_i w_i], w_i = p(x, z_i) / q(z_i|x), with k draws z_i from q(z|x).

    Source: Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4, Eq. 8, gradient Eq. 13. As k grows,
    noise drowns the gradient of the encoder (Rainforth et al., arXiv:1802.04537v3). Remedies:

    - `num_groups` M > 1: M groups of k draws, and the mean of their bounds (their MIWAE);
    - `partial`: the encoder maximises that mean, decoder and prior the bound of all M k draws
      (their PIWAE);
    - `elbo_weight` b: b times the ELBO and 1 - b times the bound (their CIWAE; equations of these
      three not checked);
    - estimator "doubly_reparameterized" (Tucker et al., arXiv:1810.04152v2, Eq. 8), whose signal is
      not lost: it has the same expectation, weighs each path by the square of its normalized
      weight, and leaves out the derivative of log q(z|x) with respect to the encoder at fixed z;
    - estimator "sticking_the_landing" (Roeder et al., arXiv:1703.09194v3; equation not checked,
      but the code of its author, geoffroeder/iwae), which leaves out that derivative and weighs
      each path by its normalized weight. It has no noise if q(z|x) is the posterior; with several
      draws its expectation is not the gradient of the bound.

    It logs `iw_elbo`, the bound of k draws, besides the terms of `VAE`, which are averages over the
    draws: `elbo` is the bound of one. `metrics.importance_sampled_nll` evaluates more draws. It
    maximises `tempered_iw_elbo`: the same bound with weights p(x|z_i) (p(z_i) / q(z_i|x))^beta, for
    a warm-up of the KL divergence, and with `elbo_weight`. At beta 1 and an `elbo_weight` of 0 it
    is `iw_elbo`. With `partial` it also logs `decoder_loss`, minus the bound of all draws.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        num_samples: int k >= 1, draws for each example; a step costs about k M decoder steps.
        estimator: of the gradient, "reparameterized", "doubly_reparameterized" or
            "sticking_the_landing"; the latter two need a posterior with a density at any z.
        beta: float >= 0, of the weights; 1 is the paper's.
        num_groups: int M >= 1.
        elbo_weight: float in [0, 1].
        partial: bool; needs `num_groups` > 1.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if an argument is out of range, or `partial` has one group; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = IWAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...              networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16), num_samples=5)
        >>> sorted(model.terms(tf.zeros((32, 8, 8, 1))))
        ['bits_per_dim', 'elbo', 'iw_elbo', 'kl', 'loss', 'reconstruction', 'tempered_iw_elbo']
    """

    fixed = {
        "capacity": "Draws are weighed by densities, and no mean KL divergence is in the bound.",
        "free_bits": "Draws are weighed by densities, and no mean KL divergence is in the bound.",
    }
    unused_hooks = {
        "kl_divergence": "Draws are weighed by log q(z|x) - log p(z): override posterior, "
        "prior_distribution or infer."
    }

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        num_samples: int = 5,
        estimator: Literal[
            "reparameterized", "doubly_reparameterized", "sticking_the_landing"
        ] = "reparameterized",
        beta: float = 1.0,
        num_groups: int = 1,
        elbo_weight: float = 0.0,
        partial: bool = False,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        super().__init__(encoder, decoder, prior, beta, **kwargs)
        check_ints(1, num_samples=num_samples, num_groups=num_groups)
        check_one_of(ESTIMATORS, estimator=estimator)
        check_numbers(elbo_weight=elbo_weight)
        check_flags(partial=partial)
        _check_groups(num_groups, elbo_weight, partial)
        if estimator != "reparameterized":  # A flow without an inverse says so now.
            output_on_zeros(encoder).log_prob(tf.zeros((1, *self.latent_shape)))
        self.num_samples, self.estimator = num_samples, estimator
        self.num_groups, self.elbo_weight, self.partial = num_groups, elbo_weight, partial

    @property
    def updates(self) -> list[Update]:
        if not self.partial:
            return super().updates
        return [
            Update("encoder", (self.encoder,), self.terms),
            Update("decoder", (self.decoder, self.prior), self.terms, "decoder_loss"),
        ]

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws z k M times; `z` and the batch of p(x|z) have as many copies."""
        q, prior = self.posterior(x, training), self.prior_distribution()
        z = q.sample(self.num_samples * self.num_groups, seed=seed)
        if training and self.estimator != "reparameterized":
            likelihood, log_likelihood, kl, path = self._by_paths(x, q, prior, z)
        else:
            densities = self._log_densities(x, q, prior, z, training)
            likelihood, log_likelihood, log_q, log_prior = densities
            kl, path = log_q - log_prior, 0.0
        weights = log_likelihood - self.beta * kl
        return Draw(
            x=x,
            q=q,
            z=z,
            likelihood=likelihood,
            reconstruction=-tf.reduce_mean(log_likelihood, 0),
            prior=prior,
            kl=tf.reduce_mean(kl, 0),
            training=training,
            next_seed=lambda: self.next_seed(training),
            terms={
                "iw_elbo": self._bound(log_likelihood - kl),
                "tempered_iw_elbo": self._maximised(weights) + path,
                **({"decoder_loss": -_log_mean(weights)} if self.partial else {}),
            },
        )

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        return -terms["tempered_iw_elbo"]

    def _bound(self, log_weights):
        """The mean over groups of their bounds, shape (batch,)."""
        return tf.reduce_mean(_log_mean(self._grouped(log_weights), axis=1), axis=0)

    def _maximised(self, log_weights):
        if not self.elbo_weight:
            return self._bound(log_weights)
        elbo = tf.reduce_mean(log_weights, axis=0)
        return self.elbo_weight * elbo + (1 - self.elbo_weight) * self._bound(log_weights)

    def _grouped(self, values):
        """Values of all draws, shape (num_groups, num_samples, ...)."""
        return tf.reshape(
            values, tf.concat([[self.num_groups, self.num_samples], tf.shape(values)[1:]], axis=0)
        )

    def _log_densities(self, x, q, prior, z, training):
        """p(x|z); log p(x|z), log q(z|x) and log p(z), shape (draws, batch)."""
        draws = self.num_samples * self.num_groups
        log_q, log_prior = q.log_prob(z), prior.log_prob(z)
        copies = repeat_batch(x, draws)
        likelihood = self.likelihood(tf.reshape(z, (-1, *self.latent_shape)), copies, training)
        log_likelihood = likelihood.log_prob(self.examples(copies))
        return likelihood, tf.reshape(log_likelihood, (draws, -1)), log_q, log_prior

    def _by_paths(self, x, q, prior, z):
        """Densities at z without its path, and a zero whose gradient is that path's.

        Of the bound, decoder and prior take their gradient as they would anyhow. The encoder's is
        sum_i c_i dlog w_i/dz_i dz_i/dphi with weights c_i of the paths; that of log q(z|x) at fixed
        z, the score, is left out.
        """
        draws = tf.stop_gradient(z)
        with tf.GradientTape() as tape:
            tape.watch(draws)
            likelihood, log_likelihood, log_q, log_prior = self._log_densities(
                x, q, prior, draws, training=True
            )
            log_weights = log_likelihood - self.beta * (log_q - log_prior)
        weights = self._weights_of_paths(log_weights)
        slopes = tape.gradient(log_weights, draws)
        weights = tf.reshape(weights, (*weights.shape[:1], -1, *[1] * len(self.latent_shape)))
        path = tf.stop_gradient(weights * slopes) * (z - draws)
        path = tf.reduce_sum(path, [0, *range(2, len(path.shape))])
        return likelihood, log_likelihood, tf.stop_gradient(log_q) - log_prior, path

    def _weights_of_paths(self, log_weights):
        """What the path of each draw counts in the encoder's gradient, shape (draws, batch)."""
        weights = tf.nn.softmax(self._grouped(log_weights), axis=1)
        if self.estimator == "doubly_reparameterized":
            weights = tf.square(weights)
        weights = tf.reshape(weights, tf.shape(log_weights)) / self.num_groups
        weights = tf.ensure_shape(weights, log_weights.shape)
        share = self.elbo_weight
        return share / len(log_weights) + (1 - share) * weights if share else weights


def _log_mean(log_weights, axis=0):
    return tfp.math.reduce_logmeanexp(log_weights, axis=axis)


def _check_groups(num_groups, elbo_weight, partial):
    if not 0 <= elbo_weight <= 1:
        raise ValueError(
            "elbo_weight is the share of the ELBO, from 0 to 1. Received: "
            f"elbo_weight={elbo_weight}."
        )
    if partial and num_groups == 1:
        raise ValueError(
            "With partial=True the encoder maximises the bounds of groups of draws, the decoder "
            f"that of all. Received: num_groups={num_groups}, where these are the same. Give more."
        )
