"""Generative adversarial networks. Goodfellow et al., arXiv:1406.2661v1, and what followed."""

import keras
import tensorflow as tf

from tfgen.losses import adversarial_loss, proximity, r1_penalty
from tfgen.models.base import Update
from tfgen.models.beta_vae import check_weights
from tfgen.models.latent import LatentVariableModel, input_shape, mean_of

__all__ = ["GAN", "check_discriminator", "check_logits", "with_penalty"]


@keras.saving.register_keras_serializable("tfgen")
class GAN(LatentVariableModel):
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
        loss: string, one of `tfgen.losses.ADVERSARIAL_LOSSES`.
        proximity: float >= 0, weight lambda of the mean square distance to the old samples. A
            generator with dropout draws other masks for them, and is never at distance 0.
        discriminator_steps: int >= 1, steps for each batch, which is split over them: every step
            sees other examples, as in Arjovsky et al., arXiv:1701.07875v3, Algorithm 1. For steps
            of m examples, give `fit` batches of `discriminator_steps` * m.
        generator_steps: int >= 1, steps on the same z for each batch; by default 1, and 2 with
            `proximity`.
        label_smoothing: float in [0, 1), one-sided; see `adversarial_loss`.
        r1: float >= 0, weight of `tfgen.losses.r1_penalty`, logged as `gradient_penalty`.
        prior: a prior of `tfgen.layers` to sample z from, which is not trained; `StandardNormal` if
            None.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

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

    def __init__(
        self,
        generator,
        discriminator,
        loss="non_saturating",
        proximity=0.0,
        discriminator_steps=1,
        generator_steps=None,
        label_smoothing=0.0,
        r1=0.0,
        prior=None,
        **kwargs,
    ):
        latent_shape = input_shape(generator, "generator", "keras.Input((latent_dim,))")
        super().__init__(generator, latent_shape, generator.output_shape[1:], prior, **kwargs)
        check_weights(proximity=proximity, r1=r1)
        if generator_steps is None:
            generator_steps = 2 if proximity else 1
        check_steps(discriminator_steps=discriminator_steps, generator_steps=generator_steps)
        check_discriminator(discriminator, self.data_shape)
        self.check_prior()
        self.discriminator = discriminator
        self.loss_name, self.label_smoothing = loss, label_smoothing
        self.adversarial_loss = adversarial_loss(loss, label_smoothing)
        self.proximity, self.r1 = proximity, r1
        self.discriminator_steps, self.generator_steps = discriminator_steps, generator_steps

    @property
    def generator(self):
        """The network from z to x."""
        return self.decoder

    @property
    def updates(self):
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

    def shares(self, x, training):
        """The batch, split over the discriminator's steps."""
        steps = self.discriminator_steps
        ends = [tf.shape(x)[0] * i // steps for i in range(steps + 1)]
        return [x[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]

    def discriminator_terms(self, x, training=True):
        """What the discriminator minimises, per example, shape (batch,)."""
        real = tf.cast(x, tf.float32)
        z = self.sample_latents(tf.shape(x)[0], self.next_seed(training))
        fake = self.generate_in_training(z, training)
        real_logits = self.discriminator(real, training=training)
        fake_logits = self.discriminator(fake, training=training)
        loss = self.adversarial_loss.real(real_logits) + self.adversarial_loss.fake(fake_logits)
        terms = {
            "discriminator_loss": loss,
            "real_logits": real_logits,
            "fake_logits": fake_logits,
        }
        return with_penalty(terms, self.discriminator_penalty(real, fake, training))

    def discriminator_penalty(self, real, fake, training):
        """A weighted penalty, shape (batch,), or None: what a variant overrides."""
        if self.r1:
            return self.r1 * r1_penalty(self.discriminate(training), real)
        return None

    def discriminate(self, training):
        """The discriminator as a function of x alone."""
        return lambda x: self.discriminator(x, training=training)

    # The generator's turns.

    def latents_and_old_samples(self, x, training):
        """(z, G_old(z)) for each of the generator's steps; no old samples without `proximity`."""
        num_samples = tf.maximum(tf.shape(x)[0] // self.discriminator_steps, 1)
        z = self.sample_latents(num_samples, self.next_seed(training))
        old = self.generate_in_training(z, training) if self.proximity else None
        return [(z, old)] * self.generator_steps

    def generator_terms(self, latents_and_old_samples, training=True):
        """What the generator minimises, per example, shape (batch,)."""
        z, old = latents_and_old_samples
        fake = self.generate_in_training(z, training)
        logits = self.discriminator(fake, training=training)
        loss = self.adversarial_loss.generator(logits)
        if old is None:
            return {"generator_loss": loss}
        distance = proximity(fake, old)
        return {"generator_loss": loss + self.proximity * distance, "proximity": distance}

    def call(self, z):
        return mean_of(self.decode(z))

    def check_batch_size(self, batch_size):
        check_batch_is_shared(batch_size, self.discriminator_steps)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
            "loss": self.loss_name,
            "proximity": self.proximity,
            "discriminator_steps": self.discriminator_steps,
            "generator_steps": self.generator_steps,
            "label_smoothing": self.label_smoothing,
            "r1": self.r1,
        }


def with_penalty(terms, penalty):
    """`terms` with the discriminator's weighted penalty, if there is one."""
    if penalty is None:
        return terms
    loss = terms["discriminator_loss"] + penalty
    return {**terms, "discriminator_loss": loss, "gradient_penalty": penalty}


def check_steps(**steps):
    """Raises ValueError if a number of steps, named by its keyword, is not an int >= 1."""
    for name, number in steps.items():
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be an int of at least 1. Received: {name}={number!r}.")


def check_batch_is_shared(batch_size, discriminator_steps):
    """Raises ValueError if some step of the discriminator would see nothing."""
    if batch_size < discriminator_steps:
        raise ValueError(
            f"Each batch is split over discriminator_steps={discriminator_steps} steps, so that "
            f"each sees other examples. Received: a batch of {batch_size}. Give larger batches, "
            "such as batch_size=64 * discriminator_steps, and none that is left over."
        )


def check_discriminator(network, data_shape, name="discriminator"):
    """Raises ValueError if a network does not give logits for examples of `data_shape`."""
    shape = input_shape(network, name, f"keras.Input({tuple(data_shape)})")
    if shape != tuple(data_shape):
        raise ValueError(
            f"The {name} must take examples of shape {tuple(data_shape)}. Received: a {name} of "
            f"input shape {network.input_shape}. Build it for this shape."
        )
    check_logits(network, name)


def check_logits(network, name):
    """Raises ValueError if a network ends in probabilities."""
    activation = getattr(_last_layer(network), "activation", None)
    if activation in (keras.activations.sigmoid, keras.activations.softmax):
        raise ValueError(
            f"The {name} must return logits: the losses take the sigmoid where they need one. "
            f"Received: a {name} that ends in {activation.__name__}. End it with Dense(1)."
        )


def _last_layer(network):
    """The last layer of a network, or of the network that it ends in."""
    layers = getattr(network, "layers", None)
    return _last_layer(layers[-1]) if layers else network
