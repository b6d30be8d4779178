"""Semi-supervised VAE. Kingma et al., arXiv:1406.5298."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.constructors import taken
from tfgen._utils.typing import Seed
from tfgen.layers import Condition, Prior, conditionals_in, given
from tfgen.losses import class_posterior
from tfgen.models.batches import batches_of, joined, repeat_batch
from tfgen.models.checks import as_examples, check_logits, input_shape
from tfgen.models.vae import VAE, Draw, VAEOptions

__all__ = ["SemiSupervisedVAE"]


@keras.saving.register_keras_serializable("tfgen")
class SemiSupervisedVAE(VAE):
    """VAE of images and their classes, with a classifier; few labels need be known.

    p(x, y) = p(y) int p(x|y, z) p(z) dz with K classes y, equally probable. `fit(x, y)` takes class
    numbers y, with -1 where they are missing. The loss is an upper bound of -log p(x, y) for
    labelled examples and of -log p(x), by a sum over all classes, for the others:

    - L(x, y) = E_q(z|x,y)[-log p(x|y, z)] + KL(q(z|x, y) || p(z)) + ln K, and
      `classifier_weight` * -log q(y|x);
    - U(x) = sum_y q(y|x) L(x, y) - H(q(y|x)).

    `elbo` is -L or -U. Its `reconstruction` is an average over q(y|x), or the value at the label if
    there is one; its `kl` is the average of KL(q(z|x, y) || p(z)) plus KL(q(y|x) || p(y)), which
    `beta`, `capacity` and `free_bits` weight as a whole. `classification_loss` is -log q(y|x) in
    nats, 0 if y is missing. A step costs about K steps of a VAE.

    With few labels, y may come to encode style instead of the class. This is less likely on the
    codes of a VAE that was trained on all images (the paper's M1):
    `examples/kingma_2014_semi_supervised.py` does both.

    Otherwise it is a conditional model: `encode`, `reconstruct` and likelihoods need known classes,
    and `sample(condition=y)` draws from p(x|y).

    Source: the model M2 of Kingma et al., arXiv:1406.5298v2 (equations not checked in the paper;
    published notes on it give the same L, U and term of the classifier). `classifier_weight`
    multiplies a mean over all examples, to which unlabelled ones contribute 0: to weight the mean
    over labelled examples by W, give W divided by the fraction of examples that are labelled.
    Labelled examples may be repeated in the data.

    Args:
        encoder: `keras.Model` from x to q(z|x, y), built with `num_classes`; or to q(z|x).
        decoder: `keras.Model` from z to p(x|y, z), built with `num_classes`.
        classifier: `keras.Model` from x to logits of q(y|x), shape (batch, num_classes).
        classifier_weight: float >= 0, alpha.
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        **kwargs: other arguments of `VAE`, such as `beta`.

    Raises:
        ValueError: if the decoder takes no class, the classifier takes anything but x, or does not
            return logits; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> sizes = {"latent_dim": 2, "width": 16, "num_classes": 3}
        >>> model = SemiSupervisedVAE(networks.mlp_encoder((8, 8, 1), **sizes),
        ...                           networks.mlp_decoder((8, 8, 1), **sizes),
        ...                           networks.mlp_encoder((8, 8, 1), 3, head=None, width=16))
        >>> model.compile("adam")
        >>> history = model.fit(tf.zeros((4, 8, 8, 1)), [0, 2, -1, -1], verbose=0)
        >>> model.classify(tf.zeros((4, 8, 8, 1))).shape
        (4, 3)
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        classifier: keras.Model,
        classifier_weight: float = 1.0,
        prior: Prior | None = None,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        _check_networks(decoder, classifier, self.data_shape)
        self.classifier = classifier
        self.classifier_weight = self.add_loss_weight("classifier_weight", classifier_weight)

    @property
    def networks(self) -> tuple[keras.layers.Layer, ...]:
        return (*super().networks, self.classifier)

    @property
    def conditions(self) -> Condition:
        """Classes, or -1 in data: the networks themselves take none that is missing."""
        return conditionals_in(self.decoder)[0].takes._replace(optional=True)

    def given(self, condition: Any) -> VAE:
        """The `VAE` of one class, p(x|y), which has the same weights and no classifier."""
        return VAE(**taken(VAE, **self.arguments())).given(condition)

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws z once for each class, shape (num_classes, batch, *latent_shape)."""
        images = self.inputs(x)
        labels = self.conditions.rows_for(images)
        logits = self._logits(images, training)
        probabilities, class_kl = class_posterior(logits, labels)
        num_classes = logits.shape[-1]
        with given(tf.repeat(tf.range(num_classes), tf.shape(images)[0])):
            draw = super().infer(repeat_batch(images, num_classes), seed, training)

        def mean(values):
            return tf.reduce_sum(
                tf.transpose(probabilities) * tf.reshape(values, (num_classes, -1)), axis=0
            )

        return draw._replace(
            x=x,
            z=tf.reshape(draw.z, (num_classes, -1, *self.latent_shape)),
            reconstruction=mean(draw.reconstruction),
            kl=mean(draw.kl) + class_kl,
            kl_groups=None,
            terms={"classification_loss": _cross_entropy(logits, labels)},
        )

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        return super().objective(terms) + self.classifier_weight * terms["classification_loss"]

    def classify(self, x: Any) -> np.ndarray:
        """q(y|x) of an array or a data set: probabilities, shape (n, num_classes)."""
        batches = (as_examples(batch, self.data_shape, "x") for batch in batches_of(x))
        return joined([tf.nn.softmax(self._logits(batch, training=False)) for batch in batches])

    def _logits(self, images, training):
        return tf.cast(self.classifier(images, training=training), tf.float32)


def _cross_entropy(logits, labels):
    """-log q(y|x), and 0 where y is missing, of which the one-hot row is 0."""
    known = tf.one_hot(labels, logits.shape[-1])
    return -tf.reduce_sum(known * tf.nn.log_softmax(logits), axis=-1)


def _check_networks(decoder, classifier, data_shape):
    num_classes = next((network.num_classes for network in conditionals_in(decoder)), None)
    if num_classes is None:
        raise ValueError(
            "The decoder must take a class beside z, p(x|y, z). Received: a decoder that takes "
            "none. Build it with num_classes."
        )
    shape = input_shape(classifier, "classifier", "keras.Input(image_shape)")
    if shape != data_shape or classifier.output_shape != (None, num_classes):
        raise ValueError(
            f"The classifier must take examples of shape {data_shape} and return {num_classes} "
            f"logits. Received: a classifier of input shape {classifier.input_shape} and output "
            f"shape {classifier.output_shape}. Build one, for example "
            f"networks.mlp_encoder({data_shape}, {num_classes}, head=None)."
        )
    check_logits(classifier, "classifier", num_classes)
