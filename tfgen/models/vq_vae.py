"""VQ-VAE. van den Oord, Vinyals & Kavukcuoglu, arXiv:1711.00937v2."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_numbers, check_size
from tfgen._utils.constructors import check_fixed
from tfgen._utils.typing import ModelOptions, Seed, TensorLike
from tfgen.layers import Prior
from tfgen.layers.vector_quantizer import (
    CodeFrequencies,
    Quantizer,
    VectorQuantizer,
    perplexity,
    straight_through,
)
from tfgen.losses import bound_terms, is_discrete
from tfgen.models.autoencoding import AutoencodingModel
from tfgen.models.base import Update
from tfgen.models.checks import (
    as_array,
    as_examples,
    input_shape,
    is_distribution,
    output_on_zeros,
)
from tfgen.models.training_data import check_explained, inputs_of, targets_of

__all__ = ["VQVAE", "CodebookOptions"]


class CodebookOptions(ModelOptions, total=False):
    """Arguments of `VQVAE` other than its networks and prior."""

    num_codes: int
    code_dim: int | None
    commitment: float
    decay: float | None
    restart_below: float


@keras.saving.register_keras_serializable("tfgen")
class VQVAE(AutoencodingModel):
    """Autoencoder with discrete latent variables: N codes, each from a codebook of K.

    The encoder's output is cut into N vectors of size D, and each is replaced by the nearest code
    e; the decoder sees only codes. The gradient with respect to a code is passed on to its vector.

    loss = -log p(x|z) + 1/N sum |sg[v] - e|^2 + commitment / N sum |v - sg[e]|^2

    for vectors v, with sg for a stopped gradient. There is no second term if moving averages train
    the codebook. The average over N is the paper's (Sec. 3.2).

    Source: van den Oord, Vinyals & Kavukcuoglu, arXiv:1711.00937v2, Eq. 1 to 3, App. A.1.

    The posterior puts all probability on one code, so that KL = -log p(z), and `elbo` is a bound.
    The prior p(z) is uniform in training, which makes `kl` = N log K. `fit_prior` then counts
    codes, and from then on `sample`, `kl` and `elbo` use these counts.
    Deviation: the paper's prior is a PixelCNN; `tfgen.samplers.Autoregressive` takes its place. The
    counts treat codes as independent, so that samples get worse and the bound looser the more codes
    an image has.

    It logs, per example: `loss`; in nats `reconstruction`, `kl` and `elbo`, in bits `bits_per_dim`
    as `VAE`; `codebook_loss` and `commitment_loss`, which are the same number, 1/N sum |v - e|^2;
    and `perplexity`, 1 to K, of the codes used in a batch.

    Args:
        encoder: `keras.Model` from x to the N vectors; no distribution. A map of shape (height,
            width, D), as `networks.vq_encoder` returns it, has N = height * width; a plain vector
            is cut into pieces of `code_dim`.
        decoder: `keras.Model` from codes in the encoder's shape to p(x|z).
        prior: a prior over the indices of N codes, such as a fitted `samplers.Autoregressive`;
            `CodeFrequencies` if None.
        num_codes: int K >= 1, size of the codebook.
        code_dim: int D >= 1, a divisor of the last axis of the latents, and that axis if None.
        commitment: float >= 0, weight of the commitment loss, beta in the paper.
        decay: float in (0, 1) of the codes' moving averages, or None to train the codes by gradient
            as Eq. 3 does.
        restart_below: float >= 0, uses per batch below which a code is restarted; see
            `VectorQuantizer`.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if an argument is out of range, the encoder returns a distribution, the decoder
            returns none, or shapes do not fit each other.

    Example:
        >>> from tfgen import networks
        >>> model = VQVAE(networks.mlp_encoder((8, 8, 1), latent_dim=6, head=None, width=16),
        ...               networks.mlp_decoder((8, 8, 1), latent_dim=6, width=16),
        ...               num_codes=4, code_dim=2, seed=0)
        >>> model.compile("adam")
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> model.indices(tf.zeros((5, 8, 8, 1))).shape
        TensorShape([5, 3])
        >>> model.fit_prior(tf.zeros((32, 8, 8, 1)))
        >>> model.sample(2).shape
        TensorShape([2, 8, 8, 1])
    """

    fixed = {"depth": "It has one code for each vector; an RQVAE has several."}
    depth = 1

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        num_codes: int = 512,
        code_dim: int | None = None,
        commitment: float = 0.25,
        decay: float | None = 0.99,
        restart_below: float = 0.0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        latent_shape = input_shape(decoder, "decoder", "keras.Input((height, width, code_dim))")
        code_dim = latent_shape[-1] if code_dim is None else code_dim
        check_size(num_codes=num_codes, code_dim=code_dim)
        check_numbers(restart_below=restart_below, **({} if decay is None else {"decay": decay}))
        _check_code_dim(code_dim, latent_shape)
        self.num_indices = math.prod(latent_shape) // code_dim * self.depth
        prior = CodeFrequencies(self.num_indices, num_codes) if prior is None else prior
        super().__init__(encoder, decoder, prior, **kwargs)
        _check_prior(self.prior_distribution(), self.num_indices, code_dim)
        self._discrete = _check_networks(*map(output_on_zeros, (encoder, decoder)))
        self.num_codes, self.code_dim = num_codes, code_dim
        self.decay, self.restart_below = decay, restart_below
        if "commitment" not in self.fixed:
            self.commitment = self.add_loss_weight("commitment", commitment)
        self.quantizer = self.make_quantizer()

    def make_quantizer(self) -> Quantizer:
        """What replaces vectors by codes: the difference of a child."""
        return VectorQuantizer(
            self.num_codes, self.code_dim, self.decay, self.restart_below, self.seed
        )

    def check_prior(self) -> None:
        """The prior is over indices, not over what the decoder takes."""

    takes_targets = True

    @property
    def updates(self) -> list[Update]:
        return [Update("vq_vae", (self.encoder, self.decoder, self.quantizer), self.terms)]

    def terms(self, x: tf.Tensor, training: bool = True) -> dict[str, tf.Tensor]:
        """All that is logged, per example, shape (batch,)."""
        vectors = self._vectors(inputs_of(x), training)
        indices = self.quantizer.indices(vectors)
        codes = self.quantizer.lookup(indices)
        explained = tf.cast(targets_of(x), tf.float32)
        passed_on = straight_through(self.quantizer.bounded(vectors), codes)
        terms = self._bound_terms(explained, passed_on, self._flat(indices), training)
        terms |= self.code_errors(vectors, indices, codes)
        used = tf.reduce_mean(perplexity(self.quantizer.use_counts(indices)))
        terms["perplexity"] = tf.fill(tf.shape(terms["elbo"]), used)
        if training and self.decay:
            self.quantizer.follow(vectors, indices, self.next_seed(training))
        return {"loss": self.objective(terms), **terms}

    def code_errors(
        self, vectors: tf.Tensor, indices: tf.Tensor, codes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Terms that draw codes to vectors and vectors to codes, of shape (batch, N, D) both."""
        return {
            "codebook_loss": mean_squared_distance(tf.stop_gradient(vectors), codes),
            "commitment_loss": mean_squared_distance(vectors, tf.stop_gradient(codes)),
        }

    def _bound_terms(self, x, codes, indices, training):
        """The ELBO and its parts, per example."""
        z = tf.reshape(codes, (-1, *self.latent_shape))
        reconstruction = -self.decoder(z, training=training).log_prob(x)
        kl = -self.prior_distribution().log_prob(indices)
        return bound_terms(reconstruction, kl, self.data_shape if self._discrete else None)

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """What is minimised, per example."""
        loss = terms["reconstruction"] + self.commitment * terms["commitment_loss"]
        return loss if self.decay else loss + terms["codebook_loss"]

    def _vectors(self, x, training=False):
        """The encoder's vectors, shape (batch, N, D)."""
        outputs = tf.cast(self.encoder(x, training=training), tf.float32)
        return tf.reshape(outputs, (-1, self.num_indices // self.depth, self.code_dim))

    def indices(self, x: TensorLike, condition: Any = None) -> tf.Tensor:
        """Indices of the codes of `x`, int32 of shape (batch, N), a map row by row."""
        x = as_examples(x, self.data_shape, "x")
        with self.conditioned_on(condition, x.shape[0]):
            return self._flat(self.quantizer.indices(self._vectors(x)))

    def _flat(self, indices):
        return tf.reshape(indices, (-1, self.num_indices))

    def encode(self, x: TensorLike, condition: Any = None) -> tf.Tensor:
        """The codes of `x`, shape (batch, *latent_shape)."""
        return self.decoder_input(self.indices(x, condition))

    def decoder_input(self, indices: tf.Tensor) -> tf.Tensor:
        """The codes of indices of shape (batch, N), in the shape (batch, *latent_shape)."""
        shape = (-1, self.num_indices // self.depth, *self.quantizer.index_shape)
        codes = self.quantizer.lookup(tf.reshape(self._checked_indices(indices), shape))
        return tf.reshape(codes, (-1, *self.latent_shape))

    def _checked_indices(self, indices):
        array = as_array(indices, "indices")
        shape = (None, self.num_indices)
        are_ints = tf.as_dtype(array.dtype).is_integer
        fit = tf.TensorShape(array.shape).is_compatible_with(shape)
        known = not tf.is_symbolic_tensor(array) and np.size(array)
        if known and are_ints:
            are_ints = 0 <= np.min(array) and np.max(array) < self.num_codes
        if not (are_ints and fit):
            raise ValueError(
                f"indices must be ints from 0 to {self.num_codes - 1} of shape {('n', *shape[1:])}."
                f" Received: indices of dtype {tf.as_dtype(array.dtype).name} and shape "
                f"{tuple(array.shape)}. They are what indices(x) returns."
            )
        return array

    def fit_prior(self, x: Any) -> None:
        """Fits the prior to the codes of an array or a data set."""
        if isinstance(self.prior, CodeFrequencies):
            self.prior.fit(self._indices_of_batches(x))
        else:
            self.prior.fit(self, x)  # A sampler.

    def _indices_of_batches(self, x):
        for batch in self.batches_with_conditions(x):
            check_explained(batch[0], self)  # Of NaN there are indices too.
            yield self.indices(*batch)

    def sample_latents(
        self,
        num_samples: int,
        seed: Seed | int | None = None,
        prior: Prior | None = None,
        condition: Any = None,
        temperature: float = 1.0,
    ) -> tf.Tensor:
        """Codes drawn from the prior, or another, shape (num_samples, *latent_shape)."""
        indices = super().sample_latents(num_samples, seed, prior, condition, temperature)
        return self.decoder_input(indices)


def mean_squared_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """|a - b|^2 over the last axis, averaged over the last but one."""
    return tf.reduce_mean(tf.reduce_sum(tf.square(a - b), axis=-1), axis=-1)


def _check_code_dim(code_dim, latent_shape):
    if latent_shape[-1] % code_dim:
        raise ValueError(
            "The last axis of the latents is cut into codes of code_dim, which must divide it. "
            f"Received: code_dim={code_dim}, and a decoder of input shape {latent_shape}."
        )


def _check_prior(prior, num_indices, code_dim):
    if tuple(prior.event_shape) != (num_indices,):
        raise ValueError(
            f"The prior of a VQVAE must be over the indices of {num_indices} codes of "
            f"code_dim={code_dim}. Received: a prior over shape {tuple(prior.event_shape)}. Use "
            "CodeFrequencies, or prior=None."
        )


def _check_networks(vectors, likelihood):
    """Whether p(x|z) is a probability mass; raises ValueError unless it is a distribution."""
    if is_distribution(vectors) or not is_distribution(likelihood):
        raise ValueError(
            "A VQVAE has an encoder that returns vectors and a decoder that returns p(x|z), a "
            f"distribution. Received: an encoder that returns {type(vectors).__name__} and a "
            f"decoder that returns {type(likelihood).__name__}. Build the encoder with head=None, "
            "and end the decoder with a layer of tfgen.layers such as IndependentBernoulli."
        )
    return is_discrete(likelihood)
