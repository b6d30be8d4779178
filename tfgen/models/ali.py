"""Adversarially learned inference. Dumoulin et al., arXiv:1606.00704v3; Su, arXiv:1807.05936v4."""

from typing import Literal

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_one_of
from tfgen.layers import Prior
from tfgen.losses import squared_error, with_penalty
from tfgen.models.adversarial import AdversarialModel, JudgeOptions
from tfgen.models.autoencoding import AutoencodingModel
from tfgen.models.base import Update
from tfgen.models.checks import (
    check_logits,
    check_pairs,
    check_reparameterized,
    is_distribution,
    output_on_zeros,
)
from tfgen.models.outputs import sample_of

__all__ = ["ALI"]

# What encoder and decoder minimise of the logits of (x, E(x)) and of (G(z), z); s is softplus.
_OBJECTIVES = {
    "variational": lambda s, encoded, generated: s(-encoded) + s(-generated),
    "full_variational": lambda s, encoded, generated: s(-encoded) + s(-generated),
    "minimax": lambda s, encoded, generated: -s(-encoded) - s(generated),
    "non_saturating": lambda s, encoded, generated: s(encoded) + s(-generated),
}


@keras.saving.register_keras_serializable("tfgen")
class ALI(AdversarialModel, AutoencodingModel):
    """Encoder and decoder whose pairs (x, E(x)) and (G(z), z) an adversary cannot tell apart.

    Source: Dumoulin et al., arXiv:1606.00704v3, Algorithm 1; with deterministic networks BiGAN,
    Donahue et al., arXiv:1605.09782v7. The discriminator D(x, z) minimises J. Su,
    arXiv:1807.05936v4, Eq. 38. Encoder and decoder minimise, by `objective`,

    - "variational": -log D(x, E(x)) - log D(G(z), z), Su's Eq. 41, from variational inference;
    - "full_variational": his Eq. 40, which adds KL(q(x|z) || q_old(x|z)) and log p_old(z|x) - log
      p(z|x) at generated pairs, where p is the encoder's distribution, q the decoder's and `old`
      what they were before the step. There the gradient of the first is 0, and of the second that
      of -log p(z|x) with respect to the encoder, which is logged as `code_nll`, in nats;
    - "minimax": log D(x, E(x)) + log(1 - D(G(z), z)), Eq. 42;
    - "non_saturating": -log(1 - D(x, E(x))) - log D(G(z), z), Eq. 43.

    In Eq. 41 the encoder raises D on its own pairs, as the discriminator does; in Eq. 42 and 43 it
    lowers it. Without the term of Eq. 40 that holds the encoder back, codes diverged on MNIST
    (docs/su.md).

    It logs `discriminator_loss` and `autoencoder_loss`, which are minimised, the means
    `encoded_logits` and `generated_logits`, and `reconstruction`, the squared error of G(E(x)),
    which nothing minimises.

    Args:
        encoder: `keras.Model` from x to q(z|x), or to z.
        decoder: `keras.Model` from z to p(x|z), or to x. Draws of both are reparameterized.
        discriminator: `keras.Model` of two inputs [x, z] to logits, shape (batch, 1).
        objective: string, as above.
        prior: a prior of `tfgen.layers`, which is not trained; `StandardNormal` if None.
        discriminator_steps: int >= 1, steps for each batch, which is split over them; encoder and
            decoder take one step on the whole batch after.
        label_smoothing: float in [0, 1), one-sided, of the pairs (x, E(x)).
        r1: float >= 0, weight of `tfgen.losses.r1_penalty` at the pairs (x, E(x)), of the gradient
            by both, logged as `gradient_penalty`.
        **kwargs: `instance_noise`, on images and codes, `augment`, of images alone, and
            `generator_average` of `AdversarialModel`; arguments of `GenerativeModel`, such as
            `seed`.

    Raises:
        ValueError: if there is no such objective, "full_variational" has an encoder without a
            distribution, shapes do not fit each other, or draws of a network's distribution have no
            gradient, as those of a Bernoulli.

    Example:
        >>> from tfgen import networks
        >>> encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16)
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, head=None, width=16)
        >>> x, z = keras.Input((8, 8, 1)), keras.Input((2,))
        >>> both = keras.layers.Concatenate()([keras.layers.Flatten()(x), z])
        >>> ALI(encoder, decoder, keras.Model([x, z], keras.layers.Dense(1)(both))).objective
        'non_saturating'
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        discriminator: keras.Model,
        objective: Literal[
            "variational", "full_variational", "minimax", "non_saturating"
        ] = "non_saturating",
        prior: Prior | None = None,
        discriminator_steps: int = 1,
        label_smoothing: float = 0.0,
        r1: float = 0.0,
        **kwargs: Unpack[JudgeOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_one_of(_OBJECTIVES, objective=objective)
        remedy = f"networks.joint_discriminator({self.data_shape}, {self.latent_shape[0]})"
        check_pairs(discriminator, "discriminator", (self.data_shape, self.latent_shape), remedy)
        check_logits(discriminator, "discriminator")
        self.discriminator, self.objective = discriminator, objective
        if objective == "full_variational":
            _check_density(output_on_zeros(encoder))
        self.set_adversary("non_saturating", discriminator_steps, label_smoothing, r1)

    def check_draws(self) -> None:
        super().check_draws()
        check_reparameterized(output_on_zeros(self.decoder), "decoder")

    @property
    def updates(self) -> list[Update]:
        autoencoder = (self.encoder, self.decoder)
        return self.in_turns(
            Update("discriminator", (self.discriminator,), self.terms, "discriminator_loss"),
            Update("autoencoder", autoencoder, self.terms, "autoencoder_loss"),
        )

    def terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        x = tf.cast(x, tf.float32)
        encoded_pair, generated_pair = self._pairs(x, training)
        shown, shown_generated = self._shown_pairs(encoded_pair, generated_pair, training)

        def discriminate(*pair):
            return self.discriminator(list(pair), training=training)

        encoded, generated = discriminate(*shown), discriminate(*shown_generated)
        loss, code = self.adversarial_loss, encoded_pair[1]
        terms = {
            "discriminator_loss": loss.real(encoded) + loss.fake(generated),
            "autoencoder_loss": _OBJECTIVES[self.objective](loss.fake, encoded, generated),
            "encoded_logits": encoded,
            "generated_logits": generated,
            # With batch normalization as in use, so that it counts no codes.
            "reconstruction": squared_error(x, self.generate_in_training(code, training=False)),
        }

        if self.objective == "full_variational":
            terms["code_nll"] = self._code_nll(generated_pair, training)
            terms["autoencoder_loss"] += terms["code_nll"]
        return with_penalty(terms, self.r1_term(discriminate, *shown))

    def _pairs(self, x, training):
        """(x, E(x)) and (G(z), z)."""
        z = self.sample_latents(tf.shape(x)[0], self.next_seed(training))
        code = sample_of(self.encoder(x, training=training), self.next_seed(training))
        generated = sample_of(self.decoder(z, training=training), self.next_seed(training))
        return (x, code), (generated, z)

    def _shown_pairs(self, encoded, generated, training):
        """Both pairs as the discriminator sees them."""
        images = self.as_shown(training, encoded[0], generated[0])
        codes = self.noisy(training, encoded[1], generated[1])
        return zip(images, codes, strict=True)

    def _code_nll(self, pair, training):
        """-log p(z|x) at generated pairs, for the encoder alone."""
        x, z = pair
        return -self.encoder(tf.stop_gradient(x), training=training).log_prob(z)


def _check_density(posterior):
    if not is_distribution(posterior):
        raise ValueError(
            'The objective "full_variational" needs log p(z|x). Received: an encoder that returns '
            f"{type(posterior).__name__}. End it with a layer of tfgen.layers, for example "
            "IndependentNormal, or take another objective."
        )
