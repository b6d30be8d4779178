"""InfoVAE. Zhao, Song & Ermon, arXiv:1706.02262v3."""

import math
from typing import Any, Literal

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.constructors import check_fixed
from tfgen._utils.typing import ModelOptions
from tfgen.layers import Prior
from tfgen.losses.maximum_mean_discrepancy import check_kernel
from tfgen.models.checks import check_several_examples
from tfgen.models.latent import mmd_to_prior
from tfgen.models.vae import VAE, Draw

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
    the VAE. `squared_mmd`, without its weight, is logged with the terms of `VAE`; its value
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

    fixed = {
        "beta": "The KL divergence is weighted by 1 - alpha.",
        "capacity": "The KL divergence is weighted by 1 - alpha.",
        "free_bits": "The KL divergence is weighted by 1 - alpha.",
    }

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        alpha: float = 0.0,
        lambda_mmd: float = 1000.0,
        kernel: Literal["gaussian", "inverse_multiquadratic"] = "gaussian",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        super().__init__(encoder, decoder, prior, **kwargs)
        check_kernel(kernel)
        self.alpha = self.add_loss_weight("alpha", alpha, minimum=-math.inf)
        self.lambda_mmd = self.add_loss_weight("lambda_mmd", lambda_mmd)
        _check_alpha_and_lambda(alpha, lambda_mmd)
        self.kernel = kernel

    def check_loss_weight(self, name: str, value: Any) -> None:
        super().check_loss_weight(name, value)
        weights = {"alpha": float(self.alpha), "lambda_mmd": float(self.lambda_mmd), name: value}
        _check_alpha_and_lambda(**weights)

    def regularizers(self, draw: Draw) -> dict[str, tf.Tensor]:
        """The squared MMD between a batch of codes and the prior."""
        return {"squared_mmd": mmd_to_prior(self, draw.z, draw.next_seed(), self.kernel)}

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        return (
            terms["reconstruction"]
            + (1 - self.alpha) * terms["kl"]
            + (self.alpha + self.lambda_mmd - 1) * terms["squared_mmd"]
        )

    def check_batch_size(self, batch_size: int) -> None:
        check_several_examples(batch_size, "compares a batch of codes with the prior")


def _check_alpha_and_lambda(alpha, lambda_mmd):
    if not (alpha <= 1 and alpha + lambda_mmd >= 1):
        raise ValueError(
            "The loss weights the KL by 1 - alpha and the MMD by alpha + lambda_mmd - 1, which "
            f"must be >= 0. Received: alpha={alpha}, lambda_mmd={lambda_mmd}."
        )
