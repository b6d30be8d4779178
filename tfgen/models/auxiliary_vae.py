"""What VAEs share whose inference draws more than z. Ranganath, Tran & Blei, arXiv:1511.02386v2."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import tensorflow as tf

from tfgen.models.vae import VAE, repeat_batch

__all__ = ["AuxiliaryVAE", "Inference"]


class Inference(NamedTuple):
    """One draw of all latent variables for each example of a batch.

    Attributes:
        z: tensor, shape (batch, *latent_shape), what the decoder takes.
        likelihood: p(x|z), batch shape (batch,).
        kl: tensor, shape (batch,), what the ELBO subtracts, in nats: the mean of `log_ratio`, or
            `log_ratio` itself, with closed forms wherever a model has them.
        log_ratio: tensor, shape (batch,), log q(z, u|x) - log p(z) - log r(u|x, z) in nats at this
            draw of z and of all auxiliary variables u.
        terms: dict of tensors, shape (batch,), what a model logs besides.
    """

    z: tf.Tensor
    likelihood: Any
    kl: tf.Tensor
    log_ratio: tf.Tensor
    terms: Mapping = MappingProxyType({})


class AuxiliaryVAE(VAE):
    """VAE whose posterior q(z|x) has no density in closed form: it is drawn through variables u.

    An auxiliary density r(u|x, z) takes the place of the true q(u|z, x), and the bound

        log p(x) >= E_q(z,u|x)[log p(x, z) + log r(u|x, z) - log q(z, u|x)]

    of the ELBO: the expected KL(q(u|z, x) || r(u|x, z)) below it.

    Source: Salimans, Kingma & Welling, arXiv:1410.6460v4, Eq. 4; Ranganath, Tran & Blei,
    arXiv:1511.02386v2, Eq. 5. It logs the terms of `VAE`, with `kl` as `Inference` says.
    """

    def infer(self, x, seed, training):
        """Draws all latent variables; what a subclass overrides.

        Args:
            x: float32 tensor, shape (batch, *data_shape).
            seed: int32 tensor of shape (2,), a stateless seed.
            training: bool.

        Returns:
            `Inference`.
        """
        raise NotImplementedError

    def terms(self, x, training=True):
        x = tf.cast(x, tf.float32)
        inference = self.infer(x, self.next_seed(training), training)
        reconstruction = -inference.likelihood.log_prob(x)
        terms = {**self.bound_terms(reconstruction, inference.kl), **inference.terms}
        return {"loss": self.objective(terms), **terms}

    def log_weights(self, x, num_samples, seed, training=False):
        """log p(x, z) + log r(u|x, z) - log q(z, u|x) in nats; see `VAE.log_weights`."""
        copies = repeat_batch(tf.cast(x, tf.float32), num_samples)
        inference = self.infer(copies, seed, training)
        log_weights = inference.likelihood.log_prob(copies) - inference.log_ratio
        return tf.reshape(log_weights, (num_samples, -1))
