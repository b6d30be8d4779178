"""beta-VAE. Higgins et al., ICLR 2017; capacity after Burgess et al., arXiv:1804.03599v1."""

import keras
from typing_extensions import Unpack

from tfgen.layers import Prior
from tfgen.models.vae import VAE, KLOptions

__all__ = ["BetaVAE"]


@keras.saving.register_keras_serializable("tfgen")
class BetaVAE(VAE):
    """VAE whose KL divergence is weighted by `beta`.

    loss = reconstruction + beta * KL, or with a capacity C: reconstruction + beta * |KL - C|, where
    KL is the mean over the batch.

    Source: Higgins et al., "beta-VAE", ICLR 2017, Eq. 4; Burgess et al., "Understanding
    disentangling in beta-VAE", arXiv:1804.03599v1, Eq. 8. `beta` = 1 without capacity is the VAE;
    the logged `elbo` is always that of the VAE.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        beta: float >= 0. Schedules (`tfgen.callbacks`) change it during training.
        **kwargs: other arguments of `VAE`, such as `capacity`.

    Raises:
        ValueError: if `beta` is negative, and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> BetaVAE(networks.mlp_encoder((8, 8, 1), 2), networks.mlp_decoder((8, 8, 1), 2),
        ...         beta=4.0).get_config()["beta"]
        4.0
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        beta: float = 4.0,
        **kwargs: Unpack[KLOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, beta, **kwargs)
