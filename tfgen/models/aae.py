"""Adversarial autoencoder. Makhzani et al., arXiv:1511.05644v2; Su, arXiv:1807.05936v4."""

import functools

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.constructors import check_fixed
from tfgen.layers import Prior
from tfgen.losses import with_penalty
from tfgen.models.adversarial import AdversarialModel, JudgeOptions
from tfgen.models.autoencoder import reconstruction_error
from tfgen.models.autoencoding import AutoencodingModel
from tfgen.models.base import Update
from tfgen.models.checks import check_discriminator
from tfgen.models.outputs import sample_of

__all__ = ["AAE"]


@keras.saving.register_keras_serializable("tfgen")
class AAE(AdversarialModel, AutoencodingModel):
    """Autoencoder whose codes an adversary cannot tell from draws of the prior.

    Source: J. Su, arXiv:1807.05936v4: the discriminator's loss is Eq. 30, encoder and decoder
    minimise Eq. 34 together, -log D(E(x)) + lambda ||x - G(E(x))||^2. Makhzani et al.,
    arXiv:1511.05644v2, Sec. 2, take two steps for these two terms.

    It logs `reconstruction`, the squared error summed over dimensions, or -log p(x|z) in nats if
    the decoder returns a distribution; `encoder_loss`, the adversarial part; `autoencoder_loss`,
    their sum, and `code_discriminator_loss`, which are minimised.

    Args:
        encoder: `keras.Model` from x to z, or to q(z|x), from which one reparameterized sample is
            taken.
        decoder: `keras.Model` from z to x, or to p(x|z).
        code_discriminator: `keras.Model` from z to logits, shape (batch, 1).
        reconstruction_weight: float >= 0, lambda.
        loss: string, one of `tfgen.losses.ADVERSARIAL_LOSSES`; the paper's is "non_saturating".
        prior: a prior of `tfgen.layers`: anything that can be sampled; `StandardNormal` if None.
            It is not trained.
        discriminator_steps: int >= 1, steps for each batch, which is split over them; encoder and
            decoder take one step on the whole batch after.
        label_smoothing: float in [0, 1), one-sided, of draws of the prior; see `adversarial_loss`.
        r1: float >= 0, weight of `tfgen.losses.r1_penalty` at draws of the prior, logged as
            `gradient_penalty`.
        **kwargs: `instance_noise` of `AdversarialModel`, on codes and draws of the prior, and its
            `generator_average`; arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if an argument is out of range or shapes do not fit each other.

    Example:
        >>> from tfgen import networks
        >>> encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16)
        >>> critic = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> AAE(encoder, decoder, critic).reconstruct(tf.zeros((5, 8, 8, 1))).shape
        TensorShape([5, 8, 8, 1])
    """

    fixed = {"augment": "Its discriminator sees codes, no images."}

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        code_discriminator: keras.Model,
        reconstruction_weight: float = 1.0,
        loss: str = "non_saturating",
        prior: Prior | None = None,
        discriminator_steps: int = 1,
        label_smoothing: float = 0.0,
        r1: float = 0.0,
        **kwargs: Unpack[JudgeOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        super().__init__(encoder, decoder, prior, **kwargs)
        check_discriminator(code_discriminator, self.latent_shape, "code_discriminator")
        self.code_discriminator = code_discriminator
        self.reconstruction_weight = self.add_loss_weight(
            "reconstruction_weight", reconstruction_weight
        )
        self.set_adversary(loss, discriminator_steps, label_smoothing, r1)

    @property
    def updates(self) -> list[Update]:
        autoencoder = (self.encoder, self.decoder)
        critic = (self.code_discriminator,)
        return self.in_turns(
            Update("code_discriminator", critic, self.terms, "code_discriminator_loss"),
            Update("autoencoder", autoencoder, self.terms, "autoencoder_loss"),
        )

    def terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        x = tf.cast(x, tf.float32)
        code = sample_of(self.encoder(x, training=training), self.next_seed(training))
        z = self.sample_latents(tf.shape(x)[0], self.next_seed(training))
        discriminate = functools.partial(self.code_discriminator, training=training)
        z, shown_code = self.noisy(training, z, code)
        prior_logits, code_logits = discriminate(z), discriminate(shown_code)
        reconstruction = reconstruction_error(x, self.decoder(code, training=training))
        encoder_loss = self.adversarial_loss.generator(code_logits)
        loss = self.adversarial_loss.real(prior_logits) + self.adversarial_loss.fake(code_logits)
        judged = with_penalty({"discriminator_loss": loss}, self.r1_term(discriminate, z))
        return {
            "code_discriminator_loss": judged.pop("discriminator_loss"),
            **judged,
            "encoder_loss": encoder_loss,
            "reconstruction": reconstruction,
            "autoencoder_loss": encoder_loss + self.reconstruction_weight * reconstruction,
        }
