"""Autoencoder. M. Schik, "Overview of Variational Autoencoder-based Generative Models", Sec. II."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.typing import ModelOptions
from tfgen.layers import Prior
from tfgen.losses import squared_error
from tfgen.models.base import Update
from tfgen.models.checks import is_distribution, output_on_zeros
from tfgen.models.latent import AutoencodingModel
from tfgen.models.training_data import inputs_of, targets_of

__all__ = ["AE", "reconstruction_error"]


@keras.saving.register_keras_serializable("tfgen")
class AE(AutoencodingModel):
    """Autoencoder trained on the squared error ||x - g(f(x))||^2, summed over dimensions.

    Source: Schik, Sec. II-A, equation for L(theta_1, theta_2). It logs `loss` and `reconstruction`,
    which here is that squared error, in squared units of the data. An autoencoder has no density to
    sample from: `sample` decodes draws of a prior it was not trained with, which shows what is
    missing.

    Args:
        encoder: `keras.Model` from x to z.
        decoder: `keras.Model` from z to x.
        prior: a prior of `tfgen.layers`, for `sample` alone; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if a network returns a distribution, or shapes do not fit each other.

    Example:
        >>> from tfgen import networks
        >>> encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> AE(encoder, decoder).reconstruct(tf.zeros((5, 8, 8, 1))).shape
        TensorShape([5, 8, 8, 1])
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        if any(is_distribution(output_on_zeros(network)) for network in (encoder, decoder)):
            raise ValueError(
                "An AE is deterministic. Received: an encoder or decoder that returns a "
                "distribution. Build both with head=None, or use a VAE."
            )

    takes_targets = True

    @property
    def updates(self) -> list[Update]:
        return [Update("autoencoder", (self.encoder, self.decoder), self.terms)]

    def terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """Squared error per example, shape (batch,)."""
        output = self.decoder(self.encoder(inputs_of(x), training=training), training=training)
        error = squared_error(tf.cast(targets_of(x), tf.float32), output)
        return {"loss": error, "reconstruction": error}


def reconstruction_error(x: tf.Tensor, output: Any) -> tf.Tensor:
    """-log p(x|z) in nats, or the squared error of a deterministic output; shape (batch,)."""
    return -output.log_prob(x) if is_distribution(output) else squared_error(x, output)
