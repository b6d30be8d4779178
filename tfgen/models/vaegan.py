"""VAE-GANs. Larsen et al., arXiv:1512.09300v2; L. Mi et al., arXiv:1812.05676v2; A. Sagar, GVAE."""

import functools
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_numbers, check_weights
from tfgen._utils.constructors import check_fixed
from tfgen._utils.random import uniform
from tfgen.layers import Conditional, Prior
from tfgen.layers.conditional import FixedCondition
from tfgen.losses import (
    ascend_multiplier,
    constraint_penalty,
    gradient_penalty,
    squared_error,
    with_penalty,
)
from tfgen.models.adversarial import AdversarialModel, AdversarialOptions, JudgeOptions
from tfgen.models.base import Update
from tfgen.models.checks import check_discriminator, check_no_batch_normalization
from tfgen.models.outputs import mean_of
from tfgen.models.vae import VAE, Draw, VAEOptions

__all__ = ["GVAE", "VAEGAN", "ConstrainedVAEGAN"]


class JudgedDraw(Draw):
    """A draw for the discriminator's turn alone, in which nothing else may move."""


class JudgedVAEOptions(VAEOptions, JudgeOptions, total=False):
    """Arguments of `VAE` and `AdversarialModel`."""


class VAEGANOptions(JudgedVAEOptions, AdversarialOptions, total=False):
    """Arguments of `VAEGAN` that its children share."""

    feature_layer: str | None
    prior: Prior | None


@keras.saving.register_keras_serializable("tfgen")
class VAEGAN(AdversarialModel, VAE):
    """VAE whose decoder is also the generator of a GAN.

    The discriminator sees data, reconstructions and samples from the prior; the images of the
    latter two are the decoder's means E[x|z]. Three losses are minimised, each by its own network,
    with one `discriminator_steps` from one forward pass:

    - `encoder_loss` = KL + R;
    - `decoder_loss` = R + gan_weight * `generator_loss`;
    - `discriminator_loss`,

    where R is -log p(x|z), as Mi et al., arXiv:1812.05676v2, Sec. 2.4, describe it, or with
    `feature_layer` ||Dis_l(x) - Dis_l(G(z))||^2 / 2, the `feature_reconstruction` of Larsen et al.,
    arXiv:1512.09300v2, Eq. 6 to 8 and Algorithm 1.

    Deviation: Larsen sums the loss over reconstructions and samples; here it is their mean, so that
    real and generated images weigh alike. `gan_weight` is 1 / gamma of Larsen, Eq. 9.

    It also logs `elbo`, `reconstruction` (-log p(x|z)), `kl` in nats, `generator_loss`, and the
    means `real_logits` and `fake_logits`.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        discriminator: `keras.Model` from x to logits, shape (batch, 1), without sigmoid.
        feature_layer: string, name of a layer of the discriminator in whose outputs images are
            compared; None compares pixels.
        gan_weight: float >= 0.
        loss: string, one of `tfgen.losses.ADVERSARIAL_LOSSES`.
        prior: a prior of `tfgen.layers`, trained with the encoder; `StandardNormal` if None.
        discriminator_steps: int >= 1, steps for each batch, which is split over them; encoder and
            decoder take one step on the whole batch before.
        label_smoothing: float in [0, 1), one-sided; see `adversarial_loss`.
        r1: float >= 0, weight of `tfgen.losses.r1_penalty`, logged as `gradient_penalty`.
        **kwargs: `instance_noise` and `augment` of `AdversarialModel`, for all images that the
            discriminator sees, and its `generator_average`; arguments of
            `VAE`, such as `beta` and `seed`.

    Raises:
        ValueError: if an argument is out of range, the networks' shapes do not fit each other, or
            the discriminator has no such layer.

    Example:
        >>> from tfgen import networks
        >>> critic = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
        ...                            keras.layers.Dense(16, "relu", name="features"),
        ...                            keras.layers.Dense(1)])
        >>> model = VAEGAN(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...                networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16),
        ...                critic, feature_layer="features")
        >>> [update.name for update in model.updates]
        ['encoder', 'decoder', 'discriminator']
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        discriminator: keras.Model,
        feature_layer: str | None = None,
        gan_weight: float = 1.0,
        loss: str = "non_saturating",
        prior: Prior | None = None,
        discriminator_steps: int = 1,
        label_smoothing: float = 0.0,
        r1: float = 0.0,
        **kwargs: Unpack[JudgedVAEOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_discriminator(discriminator, self.data_shape)
        self.discriminator, self.feature_layer = discriminator, feature_layer
        self.gan_weight = self.add_loss_weight("gan_weight", gan_weight)
        self.set_adversary(loss, discriminator_steps, label_smoothing, r1)
        self._discriminate = _with_features(discriminator, feature_layer)

    @property
    def updates(self) -> list[Update]:
        return self.in_turns(
            Update("encoder", (self.encoder, self.prior), self.terms, "encoder_loss"),
            Update("decoder", (self.decoder,), self.terms, "decoder_loss"),
            Update("discriminator", (self.discriminator,), self.terms, "discriminator_loss"),
        )

    def terms_for_judges(self, x: Any, training: bool = True) -> dict[str, tf.Tensor]:
        draw = self.infer(x, self.next_seed(training), training)
        return self.regularizers(JudgedDraw(*draw))

    def regularizers(self, draw: Draw) -> dict[str, tf.Tensor]:
        """What the discriminator makes of data, reconstructions and samples from the prior."""
        x, training = self.examples(draw.x), draw.training
        reconstructed = tf.cast(mean_of(draw.likelihood), tf.float32)
        # Draws of a mixture carry part of its gradient only: the prior follows the KL alone.
        z = tf.stop_gradient(self.sample_latents(tf.shape(x)[0], draw.next_seed()))
        sampled = tf.cast(mean_of(self.likelihood(z, draw.x, training)), tf.float32)
        x, reconstructed, sampled = self.as_shown(training, x, reconstructed, sampled)
        features, real_logits = self._discriminate(x, training)
        own_features, own_logits = self._discriminate(reconstructed, training)
        _, sample_logits = self._discriminate(sampled, training)
        loss = self.adversarial_loss
        terms = {
            "discriminator_loss": loss.real(real_logits)
            + (loss.fake(own_logits) + loss.fake(sample_logits)) / 2,
            "generator_loss": (loss.generator(own_logits) + loss.generator(sample_logits)) / 2,
            "real_logits": real_logits,
            "fake_logits": (own_logits + sample_logits) / 2,
        }
        if self.feature_layer is not None:
            features = tf.cast(features, tf.float32)
            terms["feature_reconstruction"] = squared_error(features, own_features) / 2
        penalty = self.discriminator_penalty(x, reconstructed, sampled, training)
        return with_penalty(terms, penalty)

    def discriminator_penalty(
        self, x: tf.Tensor, reconstructed: tf.Tensor, sampled: tf.Tensor, training: bool
    ) -> tf.Tensor | None:
        """A weighted penalty, shape (batch,), or None: what a variant overrides."""
        return self.r1_term(functools.partial(self.discriminator, training=training), x)

    def player_losses(self, terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The losses of encoder and decoder."""
        reconstruction = terms.get("feature_reconstruction", terms["reconstruction"])
        return {
            "encoder_loss": self.objective({**terms, "reconstruction": reconstruction}),
            "decoder_loss": reconstruction + self.weighted_gan_loss(terms),
        }

    def weighted_gan_loss(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """What `generator_loss` adds to the decoder's loss: what a variant overrides."""
        return self.gan_weight * terms["generator_loss"]


def _with_features(discriminator, layer_name):
    """The discriminator as a function from images to (features, logits)."""
    if layer_name is None:
        return lambda x, training: (None, discriminator(x, training=training))
    both = _with_output_of(discriminator, layer_name)
    return lambda x, training: both(x, training=training)  # A closure: Keras would save it twice.


def _with_output_of(discriminator, layer_name):
    """A network of the discriminator's layers and input, to [features, logits]."""
    last = discriminator.layers[-1]
    if isinstance(last, FixedCondition):
        return _with_output_of(last.network, layer_name).under(last.condition)
    if isinstance(discriminator, Conditional):
        network = _with_output_of(discriminator.network, layer_name)
        return Conditional(network, discriminator.num_classes)
    names = [layer.name for layer in discriminator.layers]
    if not isinstance(layer_name, str) or layer_name not in names:
        raise ValueError(
            f"feature_layer must name a layer of the discriminator, one of {names}. Received: "
            f"feature_layer={layer_name!r}."
        )
    return keras.Model(*_inputs_and_outputs(discriminator, layer_name))


def _inputs_and_outputs(discriminator, layer_name):
    """Symbolic inputs, and [features, logits]."""
    if not isinstance(discriminator, keras.Sequential):
        return discriminator.inputs, [
            discriminator.get_layer(layer_name).output,
            *discriminator.outputs,
        ]
    # In one that was loaded, `layer.output` belongs to an earlier chain, which would run as well.
    inputs = keras.Input(discriminator.input_shape[1:])
    outputs, x = {}, inputs
    for layer in discriminator.layers:
        outputs[layer.name] = x = layer(x)
    return inputs, [outputs[layer_name], x]


@keras.saving.register_keras_serializable("tfgen")
class ConstrainedVAEGAN(VAEGAN):
    """VAE-GAN that minimises the VAE's loss subject to L_gan <= bound.

    Source: Mi et al., arXiv:1812.05676v2, Sec. 4.1. With a fixed multiplier lambda it minimises the
    paper's approximation L_vae + lambda max(L_gan - d, 0); with `dual_rate` the Lagrangian L_vae +
    lambda (L_gan - d), whose lambda >= 0 rises by `dual_rate` * (L_gan - d) with each batch. L_gan
    is the mean of `generator_loss` over the batch: ln 2 = 0.69 for a non-saturating loss that has
    the discriminator undecided. It also logs `multiplier`.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        discriminator: `keras.Model` from x to logits, shape (batch, 1).
        bound: float, d, in units of the adversarial loss.
        multiplier: float >= 0, lambda, or what it begins with.
        dual_rate: float >= 0; 0 keeps lambda fixed.
        **kwargs: other arguments of `VAEGAN`; there is no `gan_weight`.

    Raises:
        ValueError: if `multiplier` or `dual_rate` is negative, and as `VAEGAN`.

    Example:
        >>> from tfgen import networks
        >>> critic = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
        ...                            keras.layers.Dense(1)])
        >>> ConstrainedVAEGAN(networks.mlp_encoder((8, 8, 1), 2),
        ...                   networks.mlp_decoder((8, 8, 1), 2),
        ...                   critic, bound=1.0, multiplier=10.0).get_config()["bound"]
        1.0
    """

    fixed = {"gan_weight": "The multiplier weights the adversarial loss."}

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        discriminator: keras.Model,
        bound: float = 1.0,
        multiplier: float = 1.0,
        dual_rate: float = 0.0,
        loss: str = "non_saturating",
        **kwargs: Unpack[VAEGANOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        super().__init__(encoder, decoder, discriminator, loss=loss, **kwargs)
        check_numbers(bound=bound)
        check_weights(dual_rate=dual_rate)
        self.bound, self.dual_rate = bound, dual_rate
        self.multiplier = self.add_loss_weight("multiplier", multiplier, aggregation="mean")

    def regularizers(self, draw: Draw) -> dict[str, tf.Tensor]:
        """Those of `VAEGAN`, and the multiplier of this step; the dual moves for the next."""
        multiplier = tf.convert_to_tensor(self.multiplier)
        terms = super().regularizers(draw)
        loss = terms["generator_loss"]
        if draw.training and self.dual_rate and not isinstance(draw, JudgedDraw):
            self.multiplier.assign(ascend_multiplier(multiplier, loss, self.bound, self.dual_rate))
        return {**terms, "multiplier": tf.fill(tf.shape(loss), multiplier)}

    def weighted_gan_loss(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """lambda max(L_gan - d, 0), or lambda (L_gan - d) under dual ascent."""
        loss = terms["generator_loss"]
        if self.dual_rate:
            return terms["multiplier"] * (tf.reduce_mean(loss) - self.bound)
        return terms["multiplier"] * constraint_penalty(loss, self.bound)


@keras.saving.register_keras_serializable("tfgen")
class GVAE(VAEGAN):
    """VAE whose encoder and decoder, as one network, also satisfy a WGAN-GP critic.

    Source: A. Sagar, "Generate High Fidelity Images With Generative Variational Autoencoder". The
    text does not define one model: its Algorithm 1 updates no discriminator. This is an
    interpretation of its Sec. 4.2: "the encoder and the generator are considered as one network.
    Thus, we sum up the loss functions", with "WGAN loss" and "gradient penalty". Encoder and
    decoder minimise

    `loss` = reconstruction + KL + gan_weight * `generator_loss`

    where the critic sees data, reconstructions and samples from the prior, with the penalty of
    `tfgen.losses.gradient_penalty` between data and either of them, at random.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        discriminator: `keras.Model` from x to one number, shape (batch, 1), without batch
            normalization.
        gan_weight: float >= 0. The reconstruction is summed over all pixels: weights of the order
            of their number balance the two.
        gradient_penalty: float >= 0, weight of the penalty.
        **kwargs: other arguments of `VAEGAN` than `loss`, `label_smoothing` and `r1`.

    Raises:
        ValueError: if the critic has batch normalization, and as `VAEGAN`.

    Example:
        >>> from tfgen import networks
        >>> critic = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
        ...                            keras.layers.Dense(1)])
        >>> model = GVAE(networks.mlp_encoder((8, 8, 1), 2),
        ...              networks.mlp_decoder((8, 8, 1), 2), critic)
        >>> [update.name for update in model.updates]
        ['vae', 'discriminator']
    """

    fixed = {
        "loss": "Its critic has the Wasserstein loss.",
        "label_smoothing": "The Wasserstein loss has no labels.",
        "r1": "It has a gradient_penalty.",
    }

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        discriminator: keras.Model,
        gan_weight: float = 1.0,
        gradient_penalty: float = 10.0,
        **kwargs: Unpack[VAEGANOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        super().__init__(
            encoder,
            decoder,
            discriminator,
            gan_weight=gan_weight,
            loss="wasserstein",
            **kwargs,
        )
        check_no_batch_normalization(discriminator)
        self.gradient_penalty = self.add_loss_weight("gradient_penalty", gradient_penalty)

    @property
    def updates(self) -> list[Update]:
        return self.in_turns(
            Update("vae", self.networks, self.terms),
            Update("discriminator", (self.discriminator,), self.terms, "discriminator_loss"),
        )

    def player_losses(self, terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The loss of encoder and decoder together."""
        encoder_loss = super().player_losses(terms)["encoder_loss"]
        return {"loss": encoder_loss + self.weighted_gan_loss(terms)}

    def discriminator_penalty(
        self, x: tf.Tensor, reconstructed: tf.Tensor, sampled: tf.Tensor, training: bool
    ) -> tf.Tensor:
        shape = [tf.shape(x)[0], *[1] * len(self.data_shape)]
        either = uniform(shape, self.next_seed(training)) < 0.5
        return self.gradient_penalty * gradient_penalty(
            lambda x: self.discriminator(x, training=training),
            x,
            tf.where(either, reconstructed, sampled),
            self.next_seed(training),
        )
