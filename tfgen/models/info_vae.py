"""InfoVAE. Zhao, Song & Ermon, arXiv:1706.02262v3."""

import keras
import tensorflow as tf

from tfgen.losses import squared_mmd
from tfgen.losses.maximum_mean_discrepancy import check_kernel
from tfgen.models.factor_vae import check_several_examples
from tfgen.models.vae import VAE

__all__ = ["InfoVAE"]


@keras.saving.register_keras_serializable("tfgen")
class InfoVAE(VAE):
    """VAE that compares the codes of a whole batch with the prior as well.

    loss = reconstruction + (1 - alpha) KL(q(z|x) || p(z)) + (alpha + lambda - 1) MMD^2(q(z), p(z)),
    the squared maximum mean discrepancy between the codes of a batch and as many draws of the prior
    (`tfgen.losses.squared_mmd`).

    Source: Zhao, Song & Ermon, "InfoVAE: Balancing Learning and Inference in Variational
    Autoencoders", arXiv:1706.02262v3, Eq. 6 with the divergence MMD. alpha = 1 drops the KL of each
    example: "MMD-VAE", a `WAE` whose networks return distributions. alpha = 0 and lambda = 1 give
    the VAE. `squared_mmd`, without its weight, is logged beside the terms of `VAE`; its value
    varies around 0 where the codes follow the prior.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        alpha: float <= 1; the larger it is, the more a code may tell of its example.
        lambda_mmd: float >= 1 - alpha, lambda. An MMD^2 is below 2, a reconstruction often hundreds
            of nats.
        kernel: "gaussian" or "inverse_multiquadratic", see `tfgen.losses.squared_mmd`.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if a term would have a negative weight, for an unknown kernel, or a batch of one
            example; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = InfoVAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...                 networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16), alpha=1.0)
        >>> sorted(model.terms(tf.zeros((32, 8, 8, 1))))
        ['bits_per_dim', 'elbo', 'kl', 'loss', 'reconstruction', 'squared_mmd']
    """

    def __init__(
        self,
        encoder,
        decoder,
        prior=None,
        alpha=0.0,
        lambda_mmd=1000.0,
        kernel="gaussian",
        **kwargs,
    ):
        super().__init__(encoder, decoder, prior, **kwargs)
        if not (alpha <= 1 and alpha + lambda_mmd >= 1):
            raise ValueError(
                "The loss weights the KL by 1 - alpha and the MMD by alpha + lambda_mmd - 1, which "
                f"must be >= 0. Received: alpha={alpha}, lambda_mmd={lambda_mmd}."
            )
        check_kernel(kernel)
        self.alpha, self.lambda_mmd, self.kernel = alpha, lambda_mmd, kernel

    def terms(self, x, training=True):
        x = tf.cast(x, tf.float32)
        q, z, likelihood = self.reconstruct_from_draw(x, training)
        mmd = mmd_to_prior(self, z, training)
        terms = {**self.elbo_terms(x, q, z, likelihood), "squared_mmd": mmd}
        loss = (
            terms["reconstruction"]
            + (1 - self.alpha) * terms["kl"]
            + (self.alpha + self.lambda_mmd - 1) * mmd
        )
        return {**terms, "loss": loss}

    def check_batch_size(self, batch_size):
        check_several_examples(batch_size, "compares a batch of codes with the prior")

    def get_config(self):
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "lambda_mmd": self.lambda_mmd,
            "kernel": self.kernel,
        }


def mmd_to_prior(model, z, training):
    """The MMD^2 of a batch of codes and as many draws of the prior, once for each example."""
    num_samples = tf.shape(z)[0]
    draws = model.sample_latents(num_samples, model.next_seed(training))
    # Draws of a mixture carry part of its gradient only: a trained prior follows the KL alone.
    return tf.fill((num_samples,), squared_mmd(z, tf.stop_gradient(draws), model.kernel))
