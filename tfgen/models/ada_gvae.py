"""Adaptive group VAE. Locatello et al., arXiv:2002.02886."""

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.typing import Distribution
from tfgen.layers import Prior
from tfgen.layers.distributions import Normal
from tfgen.losses import average_shared
from tfgen.models.checks import check_diagonal_normal, output_on_zeros
from tfgen.models.training_data import InputsAndTargets, inputs_of
from tfgen.models.vae import VAE, VAEOptions

tfd = tfp.distributions

__all__ = ["AdaGVAE"]


@keras.saving.register_keras_serializable("tfgen")
class AdaGVAE(VAE):
    """VAE that learns from pairs of images that differ in a few factors, without being told which.

    `fit(first, second)`, or batches (first, second) of a data set: the i-th examples of the two
    make a pair. In the dimensions that a pair seems to share (`tfgen.losses.average_shared`), its
    two posteriors are replaced by their average; the loss is the VAE's, averaged over both images.
    Each posterior is still a density of z for its image, so that `elbo` is a bound.

    Without second images, as in `fit(x)` and `evaluate(x)`, it is a `VAE`, and also if the two of
    each pair are equal. Codes, reconstructions and likelihoods are those of single images; given
    pairs, likelihoods are those of the first image.

    Source: Locatello et al., arXiv:2002.02886, Ada-GVAE (equations not checked; the authors' code,
    `GroupVAEArgmax` in google-research/disentanglement_lib, computes the same loss).

    Args:
        encoder: `keras.Model` from x to q(z|x), independent normals.
        decoder: `keras.Model` from z to p(x|z).
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        **kwargs: other arguments of `VAE`, such as `beta`.

    Raises:
        ValueError: if q(z|x) is something else, or the networks need a condition, which would take
            the place of second images; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = AdaGVAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...                 networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16), beta=2.0)
        >>> model.compile("adam")
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), tf.ones((32, 8, 8, 1)), verbose=0)
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_diagonal_normal(output_on_zeros(encoder), "AdaGVAE")
        if self.conditions is not None:
            raise ValueError(
                "AdaGVAE learns from pairs of images, the second of which is y in fit. Received: "
                f"networks that need a condition as y, {self.conditions.expected}. Build them "
                "without num_classes and condition_shape."
            )

    def examples(self, x: Any) -> tf.Tensor:
        """The images of a batch, of pairs all first and then all second ones."""
        images = super().examples(x)
        if not isinstance(x, InputsAndTargets):
            return images
        return tf.concat([self.inputs(x), images], axis=0)

    def posterior(self, x: Any, training: bool) -> Distribution:
        """q(z|x) of each image in `examples(x)`, in pairs with what they share."""
        q = super().posterior(self.examples(x), training)
        if not isinstance(x, InputsAndTargets):
            return q
        shape, size = (-1, *self.latent_shape), math.prod(self.latent_shape)
        moments = (tf.reshape(part, (2, -1, size)) for part in (q.mean(), q.stddev()))
        loc, scale = (tf.reshape(part, shape) for part in average_shared(*moments))
        return tfd.Independent(Normal(loc, scale), len(self.latent_shape))

    def as_batch(self, x: Any) -> Any:
        return super().as_batch(inputs_of(x))
