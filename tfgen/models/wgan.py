"""Wasserstein GANs. Arjovsky et al., arXiv:1701.07875v3; Gulrajani et al., arXiv:1704.00028v3."""

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_flags, check_positive
from tfgen._utils.constructors import check_fixed
from tfgen.losses import WeightClipping, gradient_penalty
from tfgen.models.checks import check_no_batch_normalization
from tfgen.models.gan import GAN, GANOptions

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

    fixed = {
        "loss": "It has the Wasserstein loss.",
        "label_smoothing": "The Wasserstein loss has no labels.",
    }

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        clip: float = 0.01,
        discriminator_steps: int = 5,
        **kwargs: Unpack[GANOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        check_positive(clip=clip)
        super().__init__(
            generator,
            discriminator,
            loss="wasserstein",
            discriminator_steps=discriminator_steps,
            **kwargs,
        )
        self.clip = clip
        clipping = WeightClipping(clip)
        for variable in discriminator.trainable_variables:
            variable.constraint = clipping
            variable.assign(clipping(variable))


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

    fixed = {
        "loss": "It has the Wasserstein loss.",
        "label_smoothing": "The Wasserstein loss has no labels.",
        "r1": "It has a gradient_penalty.",
    }

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        gradient_penalty: float = 10.0,
        discriminator_steps: int = 5,
        one_sided: bool = False,
        **kwargs: Unpack[GANOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        super().__init__(
            generator,
            discriminator,
            loss="wasserstein",
            discriminator_steps=discriminator_steps,
            **kwargs,
        )
        check_flags(one_sided=one_sided)
        check_no_batch_normalization(discriminator)
        self.gradient_penalty = self.add_loss_weight("gradient_penalty", gradient_penalty)
        self.one_sided = one_sided

    def discriminator_penalty(self, real: tf.Tensor, fake: tf.Tensor, training: bool) -> tf.Tensor:
        seed = self.next_seed(training)
        discriminate = self.discriminate(training)
        return self.gradient_penalty * gradient_penalty(
            discriminate, real, fake, seed, self.one_sided
        )
