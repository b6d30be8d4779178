"""Importance weighted autoencoder. Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4."""

from typing import Any, Literal

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import check_ints, check_one_of
from tfgen._utils.constructors import check_fixed
from tfgen._utils.typing import ModelOptions, Seed
from tfgen.layers import Prior
from tfgen.models.checks import check_diagonal_normal, output_on_zeros
from tfgen.models.vae import VAE, Draw, repeat_batch

tfd = tfp.distributions

__all__ = ["IWAE"]

ESTIMATORS = ("reparameterized", "doubly_reparameterized")


@keras.saving.register_keras_serializable("tfgen")
class IWAE(VAE):
    """VAE that maximises the bound of several draws of z, which is tighter than the ELBO.

    loss = -E[log 1/k sum_i w_i], w_i = p(x, z_i) / q(z_i|x), with k draws z_i from q(z|x).

    Source: Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4, Eq. 8, gradient Eq. 13. The
    gradient for the encoder loses its signal as k grows (Rainforth et al., arXiv:1802.04537v3);
    estimator "doubly_reparameterized" does not: Tucker et al., arXiv:1810.04152v2, Eq. 8, has the
    same expectation, weighs each path by the square of its normalized weight, and needs no
    derivative of log q(z|x) with respect to the encoder at fixed z.

    It logs `iw_elbo`, the bound of k draws, beside the terms of `VAE`, which are averages over the
    draws: `elbo` is the bound of one. `metrics.importance_sampled_nll` evaluates more draws. What
    it maximises is `tempered_iw_elbo`, the same with weights p(x|z_i) (p(z_i) / q(z_i|x))^beta,
    for a warm-up of the KL divergence: it is the bound where beta is 1.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        num_samples: int k >= 1, draws for each example; a step costs about k decoder steps.
        estimator: "reparameterized" or "doubly_reparameterized", the gradient's; the second needs
            an encoder that ends in `IndependentNormal`.
        beta: float >= 0, of the weights; 1 is the paper's.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if an argument is out of range, or the estimator does not fit the encoder; and
            as `VAE`.

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
        estimator: Literal["reparameterized", "doubly_reparameterized"] = "reparameterized",
        beta: float = 1.0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        super().__init__(encoder, decoder, prior, beta, **kwargs)
        check_ints(1, num_samples=num_samples)
        _check_estimator(estimator, output_on_zeros(encoder))
        self.num_samples, self.estimator = num_samples, estimator

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws z `num_samples` times; `z` and the batch of p(x|z) have as many copies."""
        q, prior = self.posterior(x, training), self.prior_distribution()
        z = q.sample(self.num_samples, seed=seed)
        if training and self.estimator == "doubly_reparameterized":
            likelihood, log_likelihood, kl, path = self._doubly_reparameterized(x, q, prior, z)
        else:
            likelihood, log_likelihood, kl = self._log_densities(x, q, prior, z, training)
            path = 0.0
        tempered = tfp.math.reduce_logmeanexp(log_likelihood - self.beta * kl, axis=0) + path
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
                "iw_elbo": tfp.math.reduce_logmeanexp(log_likelihood - kl, axis=0),
                "tempered_iw_elbo": tempered,
            },
        )

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        return -terms["tempered_iw_elbo"]

    def _log_densities(self, x, q, prior, z, training):
        """p(x|z); log p(x|z) and log q(z|x) - log p(z), shape (num_samples, batch)."""
        kl = q.log_prob(z) - prior.log_prob(z)
        copies = repeat_batch(x, self.num_samples)
        likelihood = self.likelihood(tf.reshape(z, (-1, *self.latent_shape)), copies, training)
        log_likelihood = likelihood.log_prob(self.examples(copies))
        return likelihood, tf.reshape(log_likelihood, (self.num_samples, -1)), kl

    def _doubly_reparameterized(self, x, q, prior, z):
        """`_log_densities` at z without its path, and a zero whose gradient is that path's.

        Of the bound, decoder and prior take their gradient as they would anyhow; the encoder's is
        sum_i v_i^2 dlog w_i/dz_i dz_i/dphi with the normalized weights v_i, and with the encoder
        held in q(z|x).
        """
        held = tfd.Independent(
            tfd.Normal(
                tf.stop_gradient(q.distribution.loc), tf.stop_gradient(q.distribution.scale)
            ),
            len(self.latent_shape),
        )
        draws = tf.stop_gradient(z)
        with tf.GradientTape() as tape:
            tape.watch(draws)
            densities = self._log_densities(x, held, prior, draws, training=True)
            _, log_likelihood, kl = densities
            log_weights = log_likelihood - self.beta * kl
        slopes = tape.gradient(log_weights, draws)
        squares = tf.square(tf.nn.softmax(log_weights, axis=0))
        squares = tf.reshape(squares, (*squares.shape[:1], -1, *[1] * len(self.latent_shape)))
        path = tf.stop_gradient(squares * slopes) * (z - draws)
        return *densities, tf.reduce_sum(path, [0, *range(2, len(path.shape))])


def _check_estimator(estimator, posterior):
    check_one_of(ESTIMATORS, estimator=estimator)
    if estimator == "doubly_reparameterized":
        check_diagonal_normal(posterior, "The doubly reparameterized estimator")
