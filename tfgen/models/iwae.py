"""Importance weighted autoencoder. Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.losses.divergences import is_diagonal_normal
from tfgen.models.vae import VAE

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
    draws: `elbo` is the bound of one. `metrics.importance_sampled_nll` evaluates more draws.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        num_samples: int k >= 1, draws for each example; a step costs about k decoder steps.
        estimator: "reparameterized" or "doubly_reparameterized", the gradient's; the second needs
            an encoder that ends in `IndependentNormal`.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if an argument is out of range, or the estimator does not fit the encoder; and
            as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = IWAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...              networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16), num_samples=5)
        >>> sorted(model.terms(tf.zeros((32, 8, 8, 1))))
        ['bits_per_dim', 'elbo', 'iw_elbo', 'kl', 'loss', 'reconstruction']
    """

    def __init__(
        self, encoder, decoder, prior=None, num_samples=5, estimator="reparameterized", **kwargs
    ):
        super().__init__(encoder, decoder, prior, **kwargs)
        if not isinstance(num_samples, int) or num_samples < 1:
            raise ValueError(
                f"num_samples must be an int of at least 1. Received: num_samples={num_samples!r}."
            )
        _check_estimator(estimator, self.encode(self.zeros(1)))
        self.num_samples, self.estimator = num_samples, estimator

    def terms(self, x, training=True):
        x = tf.cast(x, tf.float32)
        q = self.encoder(x, training=training)
        z = q.sample(self.num_samples, seed=self.next_seed(training))
        if training and self.estimator == "doubly_reparameterized":
            log_likelihood, kl, path = self._doubly_reparameterized(x, q, z)
        else:
            log_likelihood, kl = self._log_densities(x, q, z, training)
            path = 0.0
        iw_elbo = tfp.math.reduce_logmeanexp(log_likelihood - kl, axis=0)
        terms = self.bound_terms(-tf.reduce_mean(log_likelihood, 0), tf.reduce_mean(kl, 0))
        return {"loss": -iw_elbo - path, **terms, "iw_elbo": iw_elbo}

    def _log_densities(self, x, q, z, training):
        """log p(x|z) and log q(z|x) - log p(z), shape (num_samples, batch)."""
        kl = q.log_prob(z) - self.prior_distribution().log_prob(z)
        return self.log_likelihood(x, z, training), kl

    def _doubly_reparameterized(self, x, q, z):
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
            log_likelihood, kl = self._log_densities(x, held, draws, training=True)
            log_weights = log_likelihood - kl
        slopes = tape.gradient(log_weights, draws)
        squares = tf.square(tf.nn.softmax(log_weights, axis=0))
        squares = tf.reshape(squares, (*squares.shape[:1], -1, *[1] * len(self.latent_shape)))
        path = tf.stop_gradient(squares * slopes) * (z - draws)
        return log_likelihood, kl, tf.reduce_sum(path, [0, *range(2, len(path.shape))])

    def get_config(self):
        return {
            **super().get_config(),
            "num_samples": self.num_samples,
            "estimator": self.estimator,
        }


def _check_estimator(estimator, posterior):
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {ESTIMATORS}. Received: {estimator!r}.")
    if estimator == "doubly_reparameterized" and not is_diagonal_normal(posterior):
        raise ValueError(
            "The doubly reparameterized estimator needs an encoder that returns independent "
            f"normals. Received: an encoder that returns {type(posterior).__name__}. End it with "
            'layers.IndependentNormal, or use estimator="reparameterized".'
        )
