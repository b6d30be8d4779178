"""VAE with a variational Gaussian process. Tran, Ranganath & Blei, arXiv:1511.06499v4."""

from typing import Any

import keras
from typing_extensions import Unpack

from tfgen._utils.typing import Seed
from tfgen.layers import Prior
from tfgen.models.auxiliary_vae import AuxiliaryVAE
from tfgen.models.checks import check_diagonal_normal, output_on_zeros
from tfgen.models.vae import Draw, VAEOptions
from tfgen.networks import GaussianProcessMapping

__all__ = ["VGP"]


@keras.saving.register_keras_serializable("tfgen")
class VGP(AuxiliaryVAE):
    """VAE whose posterior is the encoder's, warped by a random function from a Gaussian process.

    With xi ~ N(0, I), and f from a Gaussian process conditioned on variational data, which a
    network computes from x,

        q(z|x) = E_xi,f [prod_i q(z_i|f_i(xi))].

    As a mixture over xi it has correlations and any number of modes. An auxiliary r(xi|x, z) stands
    in for the inputs' true posterior. `tfgen.networks.GaussianProcessMapping` holds all of this.

    Source: Tran, Ranganath & Blei, arXiv:1511.06499v4, Eq. 6 to 9; see the mapping for deviations.

    The paper's "1hl" and "2hl" on MNIST are one and two layers of latent variables, "hidden layers"
    that are stochastic. For two, the mapping warps all of z = (z_1, z_2) at once: give the encoder
    and the decoder latents of the sum of the sizes, and take `tfgen.layers.HierarchicalNormal`,
    p(z_2) p(z_1|z_2), as the prior. A decoder from all of z has z_2 as a shortcut to x.

    `encode`, `embed` and `reconstruct` use q(z|xi, x) at xi = 0. It logs the terms of `VAE`.

    Args:
        encoder: `keras.Model` from x to the mean field, whose mean and standard deviation count.
        decoder: `keras.Model` from z to p(x|z).
        mapping: `tfgen.networks.GaussianProcessMapping` over the latents, with the shape of x.
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if the mapping is over other latents or other data; and as `VAE`.

    Example:
        >>> import tensorflow as tf
        >>> from tfgen import networks
        >>> model = VGP(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...             networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16),
        ...             networks.GaussianProcessMapping(2, (8, 8, 1), width=16), seed=0)
        >>> model.compile("adam", jit_compile=False)
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> sorted(history.history)
        ['bits_per_dim', 'elbo', 'kl', 'loss', 'reconstruction']
    """

    unused_hooks = {"kl_divergence": "The mapping gives the KL divergence with its draw."}

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        mapping: GaussianProcessMapping,
        prior: Prior | None = None,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        if not isinstance(mapping, GaussianProcessMapping):
            raise ValueError(
                "The mapping of a VGP must be a networks.GaussianProcessMapping. Received: mapping="
                f"{mapping!r}."
            )
        super().__init__(encoder, decoder, prior, **kwargs)
        check_diagonal_normal(output_on_zeros(encoder), "A VGP")
        shapes = ((mapping.latent_dim,), mapping.feature_shape)
        if shapes != (self.latent_shape, self.data_shape):
            raise ValueError(
                f"The mapping must be over latents of shape {self.latent_shape} and see data of "
                f"shape {self.data_shape}. Received: a mapping of latent_dim={mapping.latent_dim} "
                f"and feature_shape={mapping.feature_shape}. Give it these sizes."
            )
        self.mapping = mapping

    @property
    def networks(self) -> tuple[keras.layers.Layer, ...]:
        return (*super().networks, self.mapping)

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws from the mean field, warped by the mapping."""
        q, prior = self.posterior(x, training), self.prior_distribution()
        z, kl, log_ratio = self.mapping.draw(q, prior, self.inputs(x), seed)
        return self.draw(x, z, kl, training, q=q, prior=prior, log_ratio=log_ratio)

    def encode(self, x: Any, condition: Any = None) -> Any:
        """q(z|xi, x) at xi = 0."""
        return self.mapping.center(super().encode(x, condition), self.inputs(x))
