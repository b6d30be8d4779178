"""Wasserstein autoencoder. Tolstikhin, Bousquet, Gelly & Schoelkopf, arXiv:1711.01558v4."""

from typing import Literal

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen.layers import Prior
from tfgen.losses.maximum_mean_discrepancy import check_kernel
from tfgen.models.autoencoder import AE, AEOptions
from tfgen.models.checks import check_several_examples
from tfgen.models.latent import mmd_to_prior
from tfgen.models.training_data import inputs_of

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
    error by 0.05. It logs `loss`, `reconstruction`, the error that `reconstruction_loss` names, and
    `squared_mmd` without its weight. `InfoVAE(alpha=1)` is the same for networks that return
    distributions.

    Args:
        encoder: `keras.Model` from x to z.
        decoder: `keras.Model` from z to x.
        prior: a prior of `tfgen.layers`, which is not trained; `StandardNormal` if None.
        lambda_mmd: float >= 0, lambda. The paper has 10 on MNIST and 100 on CelebA.
        kernel: "inverse_multiquadratic" or "gaussian".
        **kwargs: arguments of `AE`, such as `reconstruction_loss`, whose "ms_ssim" is at most 1 and
            needs a smaller `lambda_mmd`; and those of `GenerativeModel`, such as `seed`.

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
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        lambda_mmd: float = 10.0,
        kernel: Literal["inverse_multiquadratic", "gaussian"] = "inverse_multiquadratic",
        **kwargs: Unpack[AEOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_kernel(kernel)
        self.lambda_mmd = self.add_loss_weight("lambda_mmd", lambda_mmd)
        self.kernel = kernel

    def terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        z = tf.cast(self.encoder(inputs_of(x), training=training), tf.float32)
        error = self.reconstruction_error(x, self.decoder(z, training=training))
        mmd = mmd_to_prior(self, z, self.next_seed(training), self.kernel)
        loss = error + self.lambda_mmd * mmd
        return {"loss": loss, "reconstruction": error, "squared_mmd": mmd}

    def check_batch_size(self, batch_size: int) -> None:
        check_several_examples(batch_size, "compares a batch of codes with the prior")
