"""Regularized autoencoders. Ghosh et al., arXiv:1903.12436v4."""

from typing import Literal

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_one_of
from tfgen._utils.random import normal
from tfgen.layers import Prior
from tfgen.losses import squared_error
from tfgen.models.autoencoder import AE, AEOptions
from tfgen.models.training_data import inputs_of

__all__ = ["RAE"]

_KINDS = ("l2", "gradient")


@keras.saving.register_keras_serializable("tfgen")
class RAE(AE):
    """Regularized autoencoder: penalties on codes and decoder replace the noise of a VAE.

    loss = ||x - g(f(x))||^2 + embedding_weight ||f(x)||^2 / 2 + reg_weight R

    With kind "l2", R is the sum of squares of all weights of the decoder. With "gradient" it is
    ||dg/dz||^2 at z = f(x), the sum of squares of the decoder's Jacobian, estimated without bias by
    one draw: ||v^T dg/dz||^2 with v ~ N(0, I) (Hutchinson's estimator). To generate, fit a density
    on its codes: `tfgen.samplers`.

    Source: Ghosh et al. (arXiv:1903.12436), Eq. 11 of the submission to ICLR 2020; R in Sec. 3.1,
    RAE-L2 and RAE-GP there. Their RAE-SN, with a spectrally normalized decoder, is not here.

    It logs `loss`, `reconstruction`, the error that `reconstruction_loss` names, `embedding`,
    ||f(x)||^2 / 2, and `decoder_penalty`, R.

    Args:
        encoder: `keras.Model` from x to z.
        decoder: `keras.Model` from z to x.
        prior: a prior of `tfgen.layers`, for `sample` alone; `StandardNormal` if None.
        kind: "l2" or "gradient".
        embedding_weight: float >= 0.
        reg_weight: float >= 0.
        **kwargs: arguments of `AE`, such as `reconstruction_loss`, whose "ms_ssim" needs smaller
            weights; and those of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: for another kind or a negative weight; and as `AE`.

    Example:
        >>> from tfgen import networks
        >>> encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> sorted(RAE(encoder, decoder).terms(tf.zeros((32, 8, 8, 1))))
        ['decoder_penalty', 'embedding', 'loss', 'reconstruction']
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        kind: Literal["l2", "gradient"] = "l2",
        embedding_weight: float = 0.01,
        reg_weight: float = 1e-3,
        **kwargs: Unpack[AEOptions],
    ) -> None:
        check_one_of(_KINDS, kind=kind)
        super().__init__(encoder, decoder, prior, **kwargs)
        self.kind = kind
        self.embedding_weight = self.add_loss_weight("embedding_weight", embedding_weight)
        self.reg_weight = self.add_loss_weight("reg_weight", reg_weight)

    def terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        z = tf.cast(self.encoder(inputs_of(x), training=training), tf.float32)
        output, penalty = self._decoded(z, training)
        error = self.reconstruction_error(x, output)
        embedding = squared_error(z, tf.zeros_like(z)) / 2
        loss = error + self.embedding_weight * embedding + self.reg_weight * penalty
        return {
            "loss": loss,
            "reconstruction": error,
            "embedding": embedding,
            "decoder_penalty": penalty,
        }

    def _decoded(self, z, training):
        """g(z), and R, shape (batch,)."""
        if self.kind == "l2":
            weights = [tf.cast(w, tf.float32) for w in self.decoder.trainable_variables]
            total = tf.add_n([tf.reduce_sum(w * w) for w in weights])
            return self.decoder(z, training=training), tf.fill(tf.shape(z)[:1], total)
        with tf.GradientTape() as tape:
            tape.watch(z)
            output = tf.cast(self.decoder(z, training=training), tf.float32)
            along = tf.reduce_sum(output * normal(tf.shape(output), self.next_seed(training)))
        return output, squared_error(tape.gradient(along, z), tf.zeros_like(z))
