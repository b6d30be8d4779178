"""beta-VAE. Higgins et al., ICLR 2017; capacity after Burgess et al., arXiv:1804.03599v1."""

import keras

from tfgen.models.vae import VAE

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
        capacity: float >= 0, nats, or None for no capacity term.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if `beta` or `capacity` is negative, and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> BetaVAE(networks.mlp_encoder((8, 8, 1), 2), networks.mlp_decoder((8, 8, 1), 2),
        ...         beta=4.0).get_config()["beta"]
        4.0
    """

    def __init__(self, encoder, decoder, prior=None, beta=4.0, capacity=None, **kwargs):
        super().__init__(encoder, decoder, prior, **kwargs)
        check_weights(beta=beta, capacity=capacity or 0.0)
        self.initial_beta, self.initial_capacity = beta, capacity
        self.beta = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(beta), trainable=False, name="beta"
        )
        self.capacity = (
            None
            if capacity is None
            else self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(capacity),
                trainable=False,
                name="capacity",
            )
        )

    def objective(self, terms):
        return terms["reconstruction"] + self.beta * self._penalty(terms["kl"])

    def _penalty(self, kl):
        if self.capacity is None:
            return kl
        return keras.ops.abs(keras.ops.mean(kl) - self.capacity)

    def get_config(self):
        return {
            **super().get_config(),
            "beta": self.initial_beta,
            "capacity": self.initial_capacity,
        }


def check_weights(**weights):
    """Raises ValueError if a loss weight, named by its keyword, is negative."""
    for name, weight in weights.items():
        if not weight >= 0:
            raise ValueError(
                f"{name} weights a term of the loss and must be >= 0. Received: {name}={weight}."
            )
