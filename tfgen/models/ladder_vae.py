"""Ladder VAE. Sonderby et al., arXiv:1602.02282v3."""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.random import split
from tfgen._utils.typing import Distribution, Seed
from tfgen.layers import current_condition, given
from tfgen.layers.hierarchical import (
    HierarchicalDistribution,
    HierarchicalNormal,
    diagonal_normal,
    top_down,
)
from tfgen.models.auxiliary_vae import AuxiliaryVAE
from tfgen.models.checks import check_diagonal_normal, output_on_zeros
from tfgen.models.vae import Draw, VAEOptions

tfd = tfp.distributions

__all__ = ["LadderVAE", "product_of_normals"]


def product_of_normals(a: Distribution, b: Distribution) -> Distribution:
    """The normal density in proportion to a(z) b(z): locations weighted by precision.

    Source: Sonderby et al., arXiv:1602.02282v3, Eq. 18 and 19, without reciprocals of variances.

    Args:
        a: `tfd.Independent` over `tfd.Normal`, over vectors.
        b: the same; their batch shapes broadcast.

    Returns:
        The same.

    Example:
        >>> a, b = diagonal_normal([0.0], [1.0]), diagonal_normal([5.0], [2.0])
        >>> product = product_of_normals(a, b)
        >>> product.mean().numpy(), product.variance().numpy().round(4)
        (array([1.], dtype=float32), array([0.8], dtype=float32))
    """
    variance_a, variance_b = a.variance(), b.variance()
    total = variance_a + variance_b
    loc = (a.mean() * variance_b + b.mean() * variance_a) / total
    return diagonal_normal(loc, a.stddev() * b.stddev() * tf.math.rsqrt(total))


@keras.saving.register_keras_serializable("tfgen")
class LadderVAE(AuxiliaryVAE):
    """VAE with L levels of latent variables, whose posterior corrects the prior level by level.

    The encoder sees the image alone and gives a normal density for every level. From the top down
    q(z_i|z_{i+1}, x) is this density times the prior p(z_i|z_{i+1}), which is normal again; at the
    top q(z_L|x) is the encoder's.

    Source: Sonderby et al., arXiv:1602.02282v3, Eq. 14 to 20. Its warm-up, Eq. 21, is
    `tfgen.callbacks.KLWarmUp`.

    z is one vector, (z_1, ..., z_L), for the decoder, the prior and all that takes latents. The
    `kl` is the sum of the closed forms of all levels, at one draw of the levels above, which are
    logged as `kl_1` to `kl_L` next to the terms of `VAE`.

    Args:
        encoder: `keras.Model` from x to a normal density over all levels; it ends in
            `IndependentNormal`, as `networks.ladder_encoder` does.
        decoder: `keras.Model` from all levels to p(x|z), such as `networks.ladder_decoder`.
        prior: `tfgen.layers.HierarchicalNormal`, such as `networks.ladder_prior`.
        **kwargs: other arguments of `VAE`; the parts of `free_bits` are the levels.

    Raises:
        ValueError: if the prior or the encoder is of another kind, and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> sizes, widths = (4, 2), (16, 8)
        >>> model = LadderVAE(
        ...     networks.ladder_encoder((8, 8, 1), sizes, widths),
        ...     networks.ladder_decoder(networks.mlp_decoder((8, 8, 1), 4, width=16), sizes),
        ...     networks.ladder_prior(sizes, widths), seed=0)
        >>> model.compile("adam")
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> sorted(history.history)
        ['bits_per_dim', 'elbo', 'kl', 'kl_1', 'kl_2', 'loss', 'reconstruction']
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: HierarchicalNormal,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        _check_prior(prior)
        super().__init__(encoder, decoder, prior, **kwargs)
        check_diagonal_normal(output_on_zeros(encoder), "A LadderVAE")

    @property
    def num_levels(self) -> int:
        """L."""
        return len(self.prior.latent_dims)

    def encode(self, x: Any, condition: Any = None) -> HierarchicalDistribution:
        """q(z|x), a `HierarchicalDistribution`."""
        with self.conditioned_on(condition, self.inputs(x).shape[0]):
            condition = current_condition()
            likelihoods = self._likelihoods(x, training=False)

        def density(level, above):
            with given(condition):
                return self._densities_of_level(likelihoods, level, above)[0]

        return HierarchicalDistribution(density, self.prior.latent_dims)

    def _likelihoods(self, x, training):
        """What the encoder says about each level, lowest first."""
        normal = self.posterior(x, training)
        loc, scale = (
            tf.split(parameter, self.prior.latent_dims, axis=-1)
            for parameter in (normal.mean(), normal.stddev())
        )
        return [diagonal_normal(*parameters) for parameters in zip(loc, scale, strict=True)]

    def _densities_of_level(self, likelihoods, level, above, training=False):
        """q(z_level|above, x) and p(z_level|above)."""
        p = self.prior.density(level, above, training)
        is_top = level == self.num_levels - 1
        return likelihoods[level] if is_top else product_of_normals(likelihoods[level], p), p

    def draw_levels(
        self, x: Any, seed: Seed, training: bool
    ) -> list[tuple[Distribution, Distribution, tf.Tensor]]:
        """Triples (q, p, z) of q(z_i|z_{i+1}, x), p(z_i|z_{i+1}) and a draw of q, lowest first."""
        likelihoods = self._likelihoods(x, training)
        seeds = split(seed, self.num_levels)
        levels = top_down(
            self.num_levels,
            lambda level, above: self._densities_of_level(likelihoods, level, above, training),
            lambda level, densities: densities[0].sample(seed=seeds[level]),
        )
        return [(q, p, z) for (q, p), z in levels]

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws the levels from the top down."""
        levels = self.draw_levels(x, seed, training)
        kls = [self.kl_divergence(*level) for level in levels]
        return self.draw(
            x,
            tf.concat([z for _, _, z in levels], axis=-1),
            tf.add_n(kls),
            training,
            prior=self.prior_distribution(),
            log_ratio=tf.add_n([q.log_prob(z) - p.log_prob(z) for q, p, z in levels]),
            kl_groups=tf.stack(kls, axis=1),
            terms={f"kl_{level}": kl for level, kl in enumerate(kls, start=1)},
        )


def _check_prior(prior):
    if not isinstance(prior, HierarchicalNormal):
        raise ValueError(
            "The prior of a LadderVAE must be a tfgen.layers.HierarchicalNormal. Received: "
            f"prior={prior!r}. Build it with networks.ladder_prior(latent_dims)."
        )
