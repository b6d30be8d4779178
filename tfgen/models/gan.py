"""Generative adversarial networks. Goodfellow et al., arXiv:1406.2661v1, and what followed."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_ints
from tfgen.layers import Prior, given
from tfgen.losses import proximity, with_penalty
from tfgen.models.adversarial import AdversarialModel, AdversarialOptions, JudgeOptions
from tfgen.models.base import Update
from tfgen.models.checks import check_discriminator, input_shape
from tfgen.models.outputs import mean_of
from tfgen.models.training_data import parted, with_condition

__all__ = ["GAN", "AllGANOptions", "GANOptions", "PriorlessGANOptions"]


class GANOptions(JudgeOptions, total=False):
    """Arguments of `GAN` that its children share, for `**kwargs: Unpack[GANOptions]`."""

    proximity: float
    generator_steps: int | None
    r1: float
    prior: Prior | None


class PriorlessGANOptions(JudgeOptions, AdversarialOptions, total=False):
    """All arguments of `GAN` but its networks and its prior."""

    loss: str
    proximity: float
    generator_steps: int | None


class AllGANOptions(PriorlessGANOptions, total=False):
    """All arguments of `GAN` but its networks."""

    prior: Prior | None


@keras.saving.register_keras_serializable("tfgen")
class GAN(AdversarialModel):
    """Generative adversarial network: a generator and a discriminator that take turns.

    Source: Goodfellow et al., arXiv:1406.2661v1, Algorithm 1; the losses by name in
    `tfgen.losses.adversarial_loss`. `proximity` keeps the generator near what it was one step
    before: J. Su, arXiv:1807.05936v4, Eq. 26. As in the author's code the generator then takes two
    steps on the same z, and both are compared with the samples before the first, so that the term
    acts on the second.

    It logs, averaged over examples: `discriminator_loss`, `generator_loss`, which are minimised,
    the latter with its `proximity`; and the means `real_logits` and `fake_logits`.

    Args:
        generator: `keras.Model` from z to x.
        discriminator: `keras.Model` from x to logits, shape (batch, 1), without sigmoid.
        loss: string, one of `tfgen.losses.ADVERSARIAL_LOSSES`, or of `RELATIVISTIC_LOSSES`, for
            which the generator's turn sees data too.
        proximity: float >= 0, weight lambda of the mean square distance to the old samples. A
            generator with dropout draws other masks for them, and is never at distance 0.
        discriminator_steps: int >= 1, steps for each batch, which is split over them: every step
            sees other examples, as in Arjovsky et al., arXiv:1701.07875v3, Algorithm 1. For steps
            of m examples, give `fit` batches of `discriminator_steps` * m. A last batch of fewer
            examples than steps gives each step one of them.
        generator_steps: int >= 1, steps on the same z for each batch; by default 1, and 2 with
            `proximity`.
        label_smoothing: float in [0, 1), one-sided; see `adversarial_loss`.
        r1: float >= 0, weight of `tfgen.losses.r1_penalty`, logged as `gradient_penalty`.
        prior: a prior of `tfgen.layers` to sample z from, which is not trained; `StandardNormal` if
            None.
        **kwargs: `instance_noise` and `augment` of `AdversarialModel`, for all images that the
            discriminator sees, and its `generator_average`; arguments of
            `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if an argument is out of range, the networks' shapes do not fit each other, or
            the discriminator returns probabilities.

    Example:
        >>> from tfgen import networks
        >>> model = GAN(networks.mlp_decoder((8, 8, 1), latent_dim=2, head=None, width=16),
        ...             networks.mlp_encoder((8, 8, 1), latent_dim=1, head=None, width=16), seed=0)
        >>> model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> sorted(history.history)
        ['discriminator_loss', 'fake_logits', 'generator_loss', 'real_logits']
        >>> model.sample(3).shape
        TensorShape([3, 8, 8, 1])
    """

    fixed = {
        "decoder": "It is the generator.",
        "latent_shape": "It is that of the generator's input.",
        "data_shape": "It is that of the generator's output.",
    }

    has_pairs = True

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        loss: str = "non_saturating",
        proximity: float = 0.0,
        discriminator_steps: int = 1,
        generator_steps: int | None = None,
        label_smoothing: float = 0.0,
        r1: float = 0.0,
        prior: Prior | None = None,
        **kwargs: Unpack[JudgeOptions],
    ) -> None:
        latent_shape = input_shape(generator, "generator", "keras.Input((latent_dim,))")
        super().__init__(generator, latent_shape, generator.output_shape[1:], prior, **kwargs)
        self.proximity = self.add_loss_weight("proximity", proximity, optional=True)
        self.set_adversary(loss, discriminator_steps, label_smoothing, r1)
        if generator_steps is None:
            generator_steps = 2 if proximity else 1
        check_ints(1, generator_steps=generator_steps)
        check_discriminator(discriminator, self.data_shape)
        self.check_prior()
        self.discriminator, self.generator_steps = discriminator, generator_steps

    @property
    def generator(self) -> keras.Model:
        """The network from z to x."""
        return self.decoder

    @property
    def updates(self) -> list[Update]:
        return [
            Update(
                "discriminator",
                (self.discriminator,),
                self.discriminator_terms,
                "discriminator_loss",
                self.shares,
            ),
            Update(
                "generator",
                (self.generator,),
                self.generator_terms,
                "generator_loss",
                self.latents_and_old_samples,
            ),
        ]

    # The discriminator's turns.

    def discriminator_terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """What the discriminator minimises, per example, shape (batch,)."""
        real = tf.cast(x, tf.float32)
        z = self.sample_latents(tf.shape(x)[0], self.next_seed(training))
        real, fake = self.as_shown(training, real, self.generate_in_training(z, training))
        outputs = [self.discriminator(images, training=training) for images in (real, fake)]
        terms = self.terms_of_discriminator(*outputs)
        return with_penalty(terms, self.discriminator_penalty(real, fake, training))

    def terms_of_discriminator(
        self, real_outputs: tf.Tensor, fake_outputs: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The same without a penalty, of the discriminator's outputs: what a variant overrides."""
        return {
            "discriminator_loss": self.adversarial_loss.of_discriminator(
                real_outputs, fake_outputs
            ),
            "real_logits": real_outputs,
            "fake_logits": fake_outputs,
        }

    def discriminator_penalty(
        self, real: tf.Tensor, fake: tf.Tensor, training: bool
    ) -> tf.Tensor | None:
        """A weighted penalty, shape (batch,), or None: what a variant overrides."""
        return self.r1_term(self.discriminate(training), real)

    def discriminate(self, training: bool) -> Callable[[tf.Tensor], tf.Tensor]:
        """The discriminator as a function of x alone."""
        return lambda x: self.discriminator(x, training=training)

    # The generator's turns.

    def latents_and_old_samples(self, x: Any, training: bool) -> list[Any]:
        """(z, G_old(z)) for each of the generator's steps; no old samples without `proximity`.

        With a relativistic loss it is (z, G_old(z), x) of as many examples.
        """
        x, condition = parted(x)
        num_samples = tf.maximum(tf.shape(x)[0] // self.discriminator_steps, 1)
        condition = None if condition is None else condition[:num_samples]
        z = self.sample_latents(num_samples, self.next_seed(training))
        real = (tf.cast(x, tf.float32)[:num_samples],) if self.is_relativistic else ()
        with given(condition):
            with_old = self.initial_loss_weights["proximity"]
            old = self.generate_in_training(z, training) if with_old else None
        return [with_condition((z, old, *real), condition)] * self.generator_steps

    def generator_terms(
        self,
        latents_and_old_samples: tuple[tf.Tensor | None, ...],
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        """What the generator minimises, per example, shape (batch,)."""
        z, old, *real = latents_and_old_samples
        fake = self.generate_in_training(z, training)
        shown = self.as_shown(training, fake, *real)
        outputs = [self.discriminator(images, training=training) for images in shown]
        terms = self.terms_of_generator(z, fake, training, *outputs)
        if old is None:
            return terms
        distance = proximity(fake, old)
        loss = terms["generator_loss"] + self.proximity * distance
        return {**terms, "generator_loss": loss, "proximity": distance}

    def terms_of_generator(
        self, z: tf.Tensor, fake: tf.Tensor, training: bool, *outputs: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The same without `proximity`: what a variant overrides.

        Args:
            z: latents.
            fake: G(z).
            training: bool.
            *outputs: the discriminator's on `fake` as shown to it, and with a relativistic loss on
                data.
        """
        return {"generator_loss": self.adversarial_loss.of_generator(*outputs)}

    def call(self, inputs: Any) -> tf.Tensor:
        """G(z); a conditional GAN takes pairs [z, condition]."""
        return mean_of(self.decode(*self.as_pair(inputs)))
