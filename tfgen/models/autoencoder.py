"""Autoencoder. M. Schik, "Overview of Variational Autoencoder-based Generative Models", Sec. II."""

from typing import Any, Literal, cast

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_one_of
from tfgen._utils.typing import ModelOptions
from tfgen.layers import Prior
from tfgen.losses import ms_ssim, squared_error
from tfgen.losses.ms_ssim import check_window
from tfgen.models.autoencoding import AutoencodingModel
from tfgen.models.base import Update
from tfgen.models.checks import is_distribution, output_on_zeros
from tfgen.models.training_data import inputs_of, targets_of

__all__ = ["AE", "AEOptions", "reconstruction_error"]

ReconstructionLoss = Literal["squared_error", "ms_ssim"]


class AEOptions(ModelOptions, total=False):
    """Arguments of `AE` other than networks and prior, for `**kwargs: Unpack[AEOptions]`."""

    reconstruction_loss: ReconstructionLoss


@keras.saving.register_keras_serializable("tfgen")
class AE(AutoencodingModel):
    """Autoencoder trained on the squared error ||x - g(f(x))||^2, summed over dimensions.

    With `reconstruction_loss="ms_ssim"` it is trained on 1 - MS-SSIM(x, g(f(x))), in [0, 1], with
    the multi-scale structural similarity of images (`tfgen.losses.ms_ssim`), which agrees better
    with human judgement than pixel errors do. Neither is a likelihood: there is no NLL.

    Source: Schik, Sec. II-A, equation for L(theta_1, theta_2); Snell et al., "Learning to Generate
    Images with Perceptual Similarity Metrics", arXiv:1511.06409 (MS-SSIM; equations not checked).
    It logs `loss` and `reconstruction`, the error that `reconstruction_loss` names. An autoencoder
    has no density to sample from: `sample` decodes draws of a prior that took no part in training,
    which shows what is missing; `tfgen.samplers` fits a density on the codes.

    Args:
        encoder: `keras.Model` from x to z.
        decoder: `keras.Model` from z to x.
        prior: a prior of `tfgen.layers`, for `sample` alone; `StandardNormal` if None.
        reconstruction_loss: "squared_error", in squared units of the data, or "ms_ssim".
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if a network returns a distribution, or shapes do not fit each other; with
            "ms_ssim" if the data are not images of at least 3 pixels a side, or the decoder does
            not end in a sigmoid or tanh, which tell the values of black and white.

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
        reconstruction_loss: ReconstructionLoss = "squared_error",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        if any(is_distribution(output_on_zeros(network)) for network in (encoder, decoder)):
            raise ValueError(
                "An AE is deterministic. Received: an encoder or decoder that returns a "
                "distribution. Build both with head=None, or use a VAE."
            )
        check_one_of(("squared_error", "ms_ssim"), reconstruction_loss=reconstruction_loss)
        self.reconstruction_loss = reconstruction_loss
        if reconstruction_loss == "ms_ssim":
            self._check_images()

    def _check_images(self):
        if len(self.data_shape) != 3 or self.value_range is None:
            raise ValueError(
                "MS-SSIM compares images whose black and white are known. Received: "
                f"reconstruction_loss='ms_ssim' for data of shape {self.data_shape} and a decoder "
                f"whose values lie in {self.value_range}. Give it images of shape (height, width, "
                "channels), and a decoder that ends in a sigmoid or tanh."
            )
        check_window(self.data_shape, None)

    takes_targets = True

    @property
    def updates(self) -> list[Update]:
        return [Update("autoencoder", (self.encoder, self.decoder), self.terms)]

    def terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """The error per example, shape (batch,)."""
        output = self.decoder(self.encoder(inputs_of(x), training=training), training=training)
        error = self.reconstruction_error(x, output)
        return {"loss": error, "reconstruction": error}

    def reconstruction_error(self, x: Any, output: tf.Tensor) -> tf.Tensor:
        """What `reconstruction_loss` names, of a batch as `unpack` gives it, shape (batch,)."""
        targets, output = tf.cast(targets_of(x), tf.float32), tf.cast(output, tf.float32)
        if self.reconstruction_loss == "ms_ssim":
            return 1.0 - ms_ssim(targets, output, cast(tuple[float, float], self.value_range))
        return squared_error(targets, output)


def reconstruction_error(x: tf.Tensor, output: Any) -> tf.Tensor:
    """-log p(x|z) in nats, or the squared error of a deterministic output; shape (batch,)."""
    return -output.log_prob(x) if is_distribution(output) else squared_error(x, output)
