"""Wasserstein autoencoder. Tolstikhin, Bousquet, Gelly & Schoelkopf, arXiv:1711.01558v4."""

import keras
import tensorflow as tf

from tfgen.losses.maximum_mean_discrepancy import check_kernel
from tfgen.models.autoencoder import AE, squared_error
from tfgen.models.beta_vae import check_weights
from tfgen.models.factor_vae import check_several_examples
from tfgen.models.info_vae import mmd_to_prior

__all__ = ["WAE"]


@keras.saving.register_keras_serializable("tfgen")
class WAE(AE):
    """Autoencoder whose codes follow the prior: WAE-MMD.

    loss = ||x - g(f(x))||^2 + lambda MMD^2(f(x), p(z)), the squared error summed over dimensions
    and the squared maximum mean discrepancy between the codes of a batch and as many draws of the
    prior (`tfgen.losses.squared_mmd`).

    Source: Tolstikhin et al., "Wasserstein Auto-Encoders", arXiv:1711.01558v4, Algorithm 2, with
    deterministic networks and the kernel of Sec. 4. Deviation: one width of the kernel, C = 2 d, as
    the paper prints; the authors' code sums those of 0.1 to 10 times C, and weights the squared
    error by 0.05. It logs `loss`, `reconstruction`, which is the squared error, and `squared_mmd`
    without its weight. `InfoVAE(alpha=1)` is its relative with distributions.

    Args:
        encoder: `keras.Model` from x to z.
        decoder: `keras.Model` from z to x.
        prior: a prior of `tfgen.layers`, which is not trained; `StandardNormal` if None.
        lambda_mmd: float >= 0, lambda. The paper has 10 on MNIST and 100 on CelebA.
        kernel: "inverse_multiquadratic" or "gaussian".
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if `lambda_mmd` is negative, for an unknown kernel, or a batch of one example;
            and as `AE`.

    Example:
        >>> from tfgen import networks
        >>> encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> sorted(WAE(encoder, decoder).terms(tf.zeros((32, 8, 8, 1))))
        ['loss', 'reconstruction', 'squared_mmd']
    """

    def __init__(
        self,
        encoder,
        decoder,
        prior=None,
        lambda_mmd=10.0,
        kernel="inverse_multiquadratic",
        **kwargs,
    ):
        super().__init__(encoder, decoder, prior, **kwargs)
        check_weights(lambda_mmd=lambda_mmd)
        check_kernel(kernel)
        self.lambda_mmd, self.kernel = lambda_mmd, kernel

    def terms(self, x, training=True):
        x = tf.cast(x, tf.float32)
        z = tf.cast(self.encoder(x, training=training), tf.float32)
        error = squared_error(x, self.decoder(z, training=training))
        mmd = mmd_to_prior(self, z, training)
        loss = error + self.lambda_mmd * mmd
        return {"loss": loss, "reconstruction": error, "squared_mmd": mmd}

    def check_batch_size(self, batch_size):
        check_several_examples(batch_size, "compares a batch of codes with the prior")

    def get_config(self):
        return {**super().get_config(), "lambda_mmd": self.lambda_mmd, "kernel": self.kernel}
