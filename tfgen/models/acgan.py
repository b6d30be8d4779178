"""Auxiliary classifier GAN. Odena, Olah & Shlens, arXiv:1610.09585."""

from collections.abc import Callable

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import keras_private
from tfgen.layers import Conditional, conditionals_in, current_condition
from tfgen.layers.conditional import FixedCondition
from tfgen.models.gan import GAN, AllGANOptions

__all__ = ["ACGAN"]


@keras.saving.register_keras_serializable("tfgen")
class ACGAN(GAN):
    """Class-conditional GAN whose discriminator is not given the class, but classifies.

    The discriminator returns a logit l_S for "data" and logits l_C for the classes, with p(y|x) =
    softmax(l_C). Both players add a cross-entropy, times `class_weight`, to the loss of `GAN`: the
    discriminator -log p(y|x) of data and of generated examples, the generator that of its own
    examples. Generated examples have the classes of the batch, and so the frequencies of the data.

    It logs, besides what `GAN` does, in nats: `class_loss`, the sum of the discriminator's two
    cross-entropies, and `generated_class_loss`, the generator's; and the fractions that are
    classified correctly, `real_accuracy` and `fake_accuracy`, in [0, 1].

    Source: Odena et al. (arXiv:1610.09585), L_S and L_C in Sec. 3 of the submission to ICLR 2017,
    with a weight of 1. The classifier favours samples of which it is sure, so that samples are less
    diverse than the data where classes overlap. Gradient penalties are on l_S.

    Args:
        generator: `keras.Model` from z to x, built with `num_classes`.
        discriminator: `keras.Model` from x to [l_S, l_C], shape (batch, 1 + num_classes), without
            condition: such as `networks.dcgan_encoder(shape, 1 + num_classes, head=None)`.
        class_weight: float >= 0.
        **kwargs: other arguments of `GAN`.

    Raises:
        ValueError: if the generator is not given classes, the discriminator is, or returns
            something else, `class_weight` is out of range, and as `GAN`.

    Example:
        >>> from tfgen import networks
        >>> size = {"head": None, "width": 16}
        >>> model = ACGAN(networks.mlp_decoder((8, 8, 1), latent_dim=2, num_classes=3, **size),
        ...               networks.mlp_encoder((8, 8, 1), latent_dim=1 + 3, **size), seed=0)
        >>> model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> history = model.fit(tf.zeros((30, 8, 8, 1)), [0, 1, 2] * 10, verbose=0)
        >>> model.sample(2, condition=1).shape
        TensorShape([2, 8, 8, 1])
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        class_weight: float = 1.0,
        **kwargs: Unpack[AllGANOptions],
    ) -> None:
        super().__init__(generator, discriminator, **kwargs)
        _check_classes(generator, discriminator)
        fixed = _parts(generator, FixedCondition)
        self.own_class = fixed[0].condition if fixed else None
        self.class_weight = self.add_loss_weight("class_weight", class_weight)

    def discriminate(self, training: bool) -> Callable[[tf.Tensor], tf.Tensor]:
        return lambda x: self.discriminator(x, training=training)[:, :1]

    def terms_of_discriminator(
        self, real_outputs: tf.Tensor, fake_outputs: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        terms = super().terms_of_discriminator(real_outputs[:, :1], fake_outputs[:, :1])
        (real_loss, real_right), (fake_loss, fake_right) = map(
            self._classified, (real_outputs, fake_outputs)
        )
        class_loss = real_loss + fake_loss
        loss = terms["discriminator_loss"] + self.class_weight * class_loss
        shares = {"real_accuracy": real_right, "fake_accuracy": fake_right}
        return {**terms, "discriminator_loss": loss, "class_loss": class_loss, **shares}

    def terms_of_generator(
        self, z: tf.Tensor, fake: tf.Tensor, training: bool, *outputs: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        logits = [output[:, :1] for output in outputs]
        terms = super().terms_of_generator(z, fake, training, *logits)
        class_loss, _ = self._classified(outputs[0])
        loss = terms["generator_loss"] + self.class_weight * class_loss
        return {**terms, "generator_loss": loss, "generated_class_loss": class_loss}

    def _classified(self, outputs):
        """-log p(y|x) of the batch's classes y, and whether y is the most probable one."""
        logits = tf.cast(outputs[:, 1:], tf.float32)
        classes = current_condition() if self.own_class is None else self.own_class
        classes = tf.broadcast_to(tf.cast(classes, tf.int32), tf.shape(logits)[:1])
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
        return loss, tf.cast(tf.argmax(logits, 1, tf.int32) == classes, tf.float32)


def _parts(network, kind):
    return [part for part in keras_private.sublayers(network) if isinstance(part, kind)]


def _check_classes(generator, discriminator):
    takes = [network.takes for network in _parts(generator, Conditional)]
    num_classes = takes[0].num_classes if takes else None
    if num_classes is None:
        what = takes[0].expected if takes else "no condition"
        raise ValueError(
            "An ACGAN learns from classes, and its generator must be given them. Received: a "
            f"generator that takes {what}. Build it with num_classes."
        )
    if conditionals_in(discriminator):
        raise ValueError(
            "The discriminator of an ACGAN has to find the class out. Received: a discriminator "
            f"that is given {conditionals_in(discriminator)[0].takes.expected}. Build it without."
        )
    shape = tuple(discriminator.output_shape)
    if shape != (None, 1 + num_classes):
        raise ValueError(
            "The discriminator of an ACGAN must return a logit and one for each class, shape "
            f"{(None, 1 + num_classes)}. Received: a discriminator of output shape {shape}. End it "
            f"with Dense({1 + num_classes})."
        )
