"""Wasserstein GANs. Arjovsky et al., arXiv:1701.07875v3; Gulrajani et al., arXiv:1704.00028v3."""

import keras

from tfgen.losses import WeightClipping, gradient_penalty
from tfgen.models.beta_vae import check_weights
from tfgen.models.gan import GAN

__all__ = ["WGAN", "WGANGP"]


@keras.saving.register_keras_serializable("tfgen")
class WGAN(GAN):
    """Wasserstein GAN, whose discriminator (the critic) has clipped weights.

    Source: Arjovsky et al., arXiv:1701.07875v3, Algorithm 1. After each of the critic's steps all
    its weights are clipped to [-clip, clip], and before the first as well.

    Args:
        generator: `keras.Model` from z to x.
        discriminator: `keras.Model` from x to one number, shape (batch, 1).
        clip: float > 0, c. The paper's is 0.01, with RMSprop(5e-5).
        discriminator_steps: int >= 1, the critic's steps for each batch, which is split over them:
            for steps of m examples give `fit` batches of `discriminator_steps` * m.
        **kwargs: other arguments of `GAN` than `loss` and `label_smoothing`.

    Raises:
        ValueError: if `clip` is not positive, and as `GAN`.

    Example:
        >>> from tfgen import networks
        >>> WGAN(networks.mlp_decoder((8, 8, 1), latent_dim=2, head=None, width=16),
        ...      networks.mlp_encoder((8, 8, 1), latent_dim=1, head=None, width=16)).loss_name
        'wasserstein'
    """

    def __init__(self, generator, discriminator, clip=0.01, discriminator_steps=5, **kwargs):
        steps = {"discriminator_steps": discriminator_steps}
        super().__init__(generator, discriminator, loss="wasserstein", **steps, **kwargs)
        self.clip = clip
        clipping = WeightClipping(clip)
        for variable in discriminator.trainable_variables:
            variable.constraint = clipping
            variable.assign(clipping(variable))

    def get_config(self):
        config = super().get_config()
        del config["loss"]
        return {**config, "clip": self.clip}


@keras.saving.register_keras_serializable("tfgen")
class WGANGP(GAN):
    """Wasserstein GAN with a penalty on the norm of the critic's gradient.

    Source: Gulrajani et al., arXiv:1704.00028v3, Algorithm 1; the penalty is
    `tfgen.losses.gradient_penalty`, logged times its weight.

    Args:
        generator: `keras.Model` from z to x.
        discriminator: `keras.Model` from x to one number, shape (batch, 1), without batch
            normalization: the penalty is on each example's own gradient.
        gradient_penalty: float >= 0, weight lambda. The paper uses Adam(1e-4, 0, 0.9).
        discriminator_steps: int >= 1, the critic's steps for each batch, which is split over them:
            for steps of m examples give `fit` batches of `discriminator_steps` * m.
        one_sided: bool, whether gradients shorter than 1 are free.
        **kwargs: other arguments of `GAN` than `loss`, `label_smoothing` and `r1`.

    Raises:
        ValueError: if the critic has batch normalization, and as `GAN`.

    Example:
        >>> from tfgen import networks
        >>> WGANGP(networks.mlp_decoder((8, 8, 1), latent_dim=2, head=None, width=16),
        ...        networks.mlp_encoder((8, 8, 1), latent_dim=1, head=None, width=16)).loss_name
        'wasserstein'
    """

    def __init__(
        self,
        generator,
        discriminator,
        gradient_penalty=10.0,
        discriminator_steps=5,
        one_sided=False,
        **kwargs,
    ):
        steps = {"discriminator_steps": discriminator_steps}
        super().__init__(generator, discriminator, loss="wasserstein", r1=0.0, **steps, **kwargs)
        check_weights(gradient_penalty=gradient_penalty)
        check_no_batch_normalization(discriminator)
        self.gradient_penalty, self.one_sided = gradient_penalty, one_sided

    def discriminator_penalty(self, real, fake, training):
        seed = self.next_seed(training)
        discriminate = self.discriminate(training)
        return self.gradient_penalty * gradient_penalty(
            discriminate, real, fake, seed, self.one_sided
        )

    def get_config(self):
        config = super().get_config()
        del config["loss"], config["r1"]
        return {**config, "gradient_penalty": self.gradient_penalty, "one_sided": self.one_sided}


def check_no_batch_normalization(network):
    """Raises ValueError if examples of a batch influence each other's logits."""
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            raise ValueError(
                "A gradient penalty needs a discriminator that looks at each example alone. "
                f"Received: a discriminator with batch normalization, {layer.name!r}. Use none, or "
                "keras.layers.LayerNormalization (batch_norm=False in tfgen.networks)."
            )
