"""DIP-VAE I and II. Kumar, Sattigeri & Balakrishnan, arXiv:1711.00848v3."""

import math
from typing import Literal

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_one_of
from tfgen.layers import Prior
from tfgen.losses import dip_penalty
from tfgen.models.checks import check_diagonal_normal, check_several_examples, output_on_zeros
from tfgen.models.vae import VAE, Draw, VAEOptions

__all__ = ["DIPVAE"]

# lambda_d / lambda_od.
_DIAGONAL_FACTORS = {"i": 10.0, "ii": 1.0}


@keras.saving.register_keras_serializable("tfgen")
class DIPVAE(VAE):
    """VAE with a penalty on the covariance of its codes, which pulls it to the identity matrix.

    loss = reconstruction + KL + covariance_penalty, where covariance_penalty = lambda_od sum_{i !=
    j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2 (`tfgen.losses.dip_penalty`). In kind "i" C is the
    covariance of the means of q(z|x), in kind "ii" that of the codes z themselves.

    Source: Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled
    Observations", arXiv:1711.00848v3, Eq. 6 and 7, with the covariance within the batch, so that
    the penalty's value depends on the batch size. `covariance_penalty` is logged, with its weights,
    along with the terms of `VAE`.

    Args:
        encoder: `keras.Model` from x to q(z|x); for kind "ii" a diagonal Gaussian.
        decoder: `keras.Model` from z to p(x|z).
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        kind: "i" or "ii".
        lambda_od: float >= 0, weight of the covariances.
        lambda_d: float >= 0, weight of the variances; None for the ratio that Locatello et al.,
            arXiv:1811.12359v4, take: 10 * `lambda_od` in kind "i", `lambda_od` in kind "ii".
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: for an unknown kind, a negative weight, a posterior that is no diagonal Gaussian
            where it must be, or a batch of one example; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = DIPVAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...                networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16), kind="ii")
        >>> float(model.lambda_od), float(model.lambda_d)
        (10.0, 10.0)
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        kind: Literal["i", "ii"] = "i",
        lambda_od: float = 10.0,
        lambda_d: float | None = None,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_one_of(_DIAGONAL_FACTORS, kind=kind)
        self.kind = kind
        self.lambda_od = self.add_loss_weight("lambda_od", lambda_od)
        if lambda_d is None:
            lambda_d = _DIAGONAL_FACTORS[kind] * lambda_od
        self.lambda_d = self.add_loss_weight("lambda_d", lambda_d)
        _check_moments(output_on_zeros(encoder), kind)

    def regularizers(self, draw: Draw) -> dict[str, tf.Tensor]:
        """The penalty on the covariance."""
        q = draw.q
        shape = (-1, math.prod(self.latent_shape))
        variance = tf.reshape(q.variance(), shape) if self.kind == "ii" else None
        penalty = dip_penalty(tf.reshape(q.mean(), shape), variance, self.lambda_od, self.lambda_d)
        return {"covariance_penalty": tf.fill(tf.shape(draw.kl), penalty)}

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        return super().objective(terms) + terms["covariance_penalty"]

    def check_batch_size(self, batch_size: int) -> None:
        check_several_examples(batch_size, "takes the covariance of a batch of codes")


def _check_moments(posterior, kind):
    if kind == "ii":
        check_diagonal_normal(posterior, 'DIPVAE of kind "ii"')
    try:
        posterior.mean()
    except NotImplementedError:
        raise ValueError(
            "A DIPVAE takes the covariance of the means of q(z|x). Received: an encoder that "
            f"returns {type(posterior).__name__}, whose mean is not known. End it with "
            "layers.IndependentNormal."
        ) from None
