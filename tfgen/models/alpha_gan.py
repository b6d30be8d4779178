"""alpha-GAN. Rosca et al., arXiv:1706.04987v2."""

import functools

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen.layers import Prior
from tfgen.losses import with_penalty
from tfgen.models.adversarial import AdversarialModel, JudgeOptions
from tfgen.models.autoencoding import AutoencodingModel
from tfgen.models.base import Update
from tfgen.models.checks import check_discriminator
from tfgen.models.outputs import sample_of

__all__ = ["AlphaGAN"]


@keras.saving.register_keras_serializable("tfgen")
class AlphaGAN(AdversarialModel, AutoencodingModel):
    """Autoencoder with one adversary for its images and one for its codes.

    Source: Rosca et al., arXiv:1706.04987v2, Algorithm 1. With R(D) = -log D + log(1 - D), or what
    the generator of another `loss` minimises, the four networks minimise

    - `encoder_loss` = lambda ||x - G(E(x))||_1 + R(C(E(x)));
    - `decoder_loss` = lambda ||x - G(E(x))||_1 + R(D(G(E(x)))) + R(D(G(z)));
    - `discriminator_loss` = -log D(x) - log(1 - D(G(E(x)))) - log(1 - D(G(z)));
    - `code_discriminator_loss` = -log C(z) - log(1 - C(E(x))).

    It also logs `reconstruction`, the absolute error summed over dimensions.

    Args:
        encoder: `keras.Model` from x to z, or to q(z|x), from which one reparameterized sample is
            taken.
        decoder: `keras.Model` from z to x, or to p(x|z), whose mean is the image.
        discriminator: `keras.Model` D from x to logits, shape (batch, 1), without sigmoid.
        code_discriminator: `keras.Model` C from z to logits, shape (batch, 1).
        reconstruction_weight: float >= 0, lambda, on the error summed over dimensions.
        prior: a prior of `tfgen.layers`, which is not trained; `StandardNormal` if None.
        loss: string, one of `tfgen.losses.ADVERSARIAL_LOSSES`, for images and codes alike;
            "log_odds" is the paper's.
        discriminator_steps: int >= 1, steps of both discriminators for each batch, which is split
            over them; encoder and decoder take one step on the whole batch before.
        label_smoothing: float in [0, 1), one-sided, of both; see `adversarial_loss`.
        r1: float >= 0, weight of `tfgen.losses.r1_penalty` of D, logged as `gradient_penalty`.
        **kwargs: `instance_noise`, of both, `augment` and `generator_average` of
            `AdversarialModel`; arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if an argument is out of range or shapes do not fit each other.

    Example:
        >>> from tfgen import networks
        >>> encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> critic = networks.mlp_encoder((8, 8, 1), latent_dim=1, head=None, width=16)
        >>> code_critic = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> AlphaGAN(encoder, decoder, critic, code_critic).sample(3).shape
        TensorShape([3, 8, 8, 1])
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        discriminator: keras.Model,
        code_discriminator: keras.Model,
        reconstruction_weight: float = 1.0,
        prior: Prior | None = None,
        loss: str = "log_odds",
        discriminator_steps: int = 1,
        label_smoothing: float = 0.0,
        r1: float = 0.0,
        **kwargs: Unpack[JudgeOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_discriminator(discriminator, self.data_shape)
        check_discriminator(code_discriminator, self.latent_shape, "code_discriminator")
        self.discriminator, self.code_discriminator = discriminator, code_discriminator
        self.reconstruction_weight = self.add_loss_weight(
            "reconstruction_weight", reconstruction_weight
        )
        self.set_adversary(loss, discriminator_steps, label_smoothing, r1)

    @property
    def updates(self) -> list[Update]:
        names = ("encoder", "decoder", "discriminator", "code_discriminator")
        return self.in_turns(
            *(Update(name, (getattr(self, name),), self.terms, f"{name}_loss") for name in names)
        )

    def terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        x = tf.cast(x, tf.float32)
        code = sample_of(self.encoder(x, training=training), self.next_seed(training))
        z = self.sample_latents(tf.shape(x)[0], self.next_seed(training))
        reconstructed = self.generate_in_training(code, training)
        sampled = self.generate_in_training(z, training)
        image_losses = self._image_losses(x, reconstructed, sampled, training)
        code_losses = self._code_losses(z, code, training)
        error = tf.reduce_sum(tf.abs(x - reconstructed), axis=range(1, len(x.shape)))
        return {
            "encoder_loss": self.reconstruction_weight * error + code_losses.pop("ratio"),
            "decoder_loss": self.reconstruction_weight * error + image_losses.pop("ratio"),
            "reconstruction": error,
            **image_losses,
            **code_losses,
        }

    def _image_losses(self, x, reconstructed, sampled, training):
        discriminate = functools.partial(self.discriminator, training=training)
        x, *fakes = self.as_shown(training, x, reconstructed, sampled)
        loss, fakes = self.adversarial_loss, [discriminate(fake) for fake in fakes]
        real = loss.real(discriminate(x))
        terms = {
            "discriminator_loss": real + sum(loss.fake(fake) for fake in fakes),
            "ratio": sum(loss.generator(fake) for fake in fakes),
        }
        return with_penalty(terms, self.r1_term(discriminate, x))

    def _code_losses(self, z, code, training):
        loss = self.adversarial_loss
        prior_logits, code_logits = (
            self.code_discriminator(codes, training=training)
            for codes in self.noisy(training, z, code)
        )
        return {
            "code_discriminator_loss": loss.real(prior_logits) + loss.fake(code_logits),
            "ratio": loss.generator(code_logits),
        }
