"""DRAW, a recurrent VAE. Gregor, Danihelka, Graves, Rezende & Wierstra, arXiv:1502.04623v2."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.random import fold_in
from tfgen._utils.typing import Seed, TensorLike
from tfgen.layers import StandardNormal
from tfgen.models.auxiliary_vae import AuxiliaryVAE
from tfgen.models.checks import as_examples
from tfgen.models.outputs import mean_of
from tfgen.models.vae import Draw, VAEOptions
from tfgen.networks.draw import DRAWDecoder, DRAWEncoder

__all__ = ["DRAW"]


@keras.saving.register_keras_serializable("tfgen")
class DRAW(AuxiliaryVAE):
    """VAE that draws an image in T steps, each with latent variables z_t of its own.

    In each step the encoder sees the image, what the canvas still lacks of it, and the decoder's
    output; the decoder adds to the canvas, whose last state gives p(x|z_1..z_T). The loss is

        E_q[-log p(x|z) + sum_t KL(q(z_t|x, z_1..z_{t-1}) || N(0, I))]

    with each KL divergence in closed form at the draws before it. Given a condition c, which both
    networks may see in each step, it is a bound of log p(x|c); the z_t are N(0, I) whatever c is.

    Source: Gregor et al., arXiv:1502.04623v2, Eq. 3 to 12; Fig. 2. With a VGP as the encoder's
    posterior it is the DRAW + VGP of Tran, Ranganath & Blei, arXiv:1511.06499v4, Sec. 5.1.

    Latents have the shape (T, latent_dim). Codes (`encode`, `embed`, `reconstruct`) are the means
    of the z_t, each carried on to the next step. It logs the terms of `VAE`.

    Args:
        encoder: `networks.DRAWEncoder`.
        decoder: `networks.DRAWDecoder`.
        prior: `StandardNormal` over (T, latent_dim), or None.
        **kwargs: other arguments of `VAE`; the parts of `free_bits` are the steps.

    Raises:
        ValueError: if the networks are others or do not fit each other, or the prior is another.

    Example:
        >>> from tfgen import networks
        >>> size = dict(latent_dim=3, num_steps=4, width=16)
        >>> model = DRAW(networks.DRAWEncoder((8, 8, 1), read_size=2, **size),
        ...              networks.DRAWDecoder((8, 8, 1), write_size=3, **size), seed=0)
        >>> model.compile("adam", jit_compile=False)
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> model.canvases(model.sample_latents(5, seed=0)).shape
        TensorShape([5, 4, 8, 8, 1])
    """

    # It saves 21 to 38 % of a step, so that 240 to 570 steps repay compiling: twice as many where
    # the last batch of an epoch is smaller.
    xla_pays_after = 1000

    unused_hooks = {
        name: "Its networks run in turns: override infer, or give it other networks."
        for name in ("posterior", "likelihood", "kl_divergence")
    }

    def __init__(
        self,
        encoder: DRAWEncoder,
        decoder: DRAWDecoder,
        prior: StandardNormal | None = None,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        _check_networks(encoder, decoder)
        if not isinstance(prior, StandardNormal | None):
            raise ValueError(
                "DRAW has standard normal priors of its z_t. Received: a prior "
                f"{type(prior).__name__}. Leave prior=None."
            )
        super().__init__(encoder, decoder, prior, **kwargs)

    def _check_distributions(self):
        return self.decoder.likelihood(tf.zeros((1, *self.decoder.canvas_shape)))

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws z_1 to z_T, each from what the decoder has made of those before."""

        def draw(step, features):
            return self.encoder.posterior.draw(features, fold_in(seed, step), training)

        draws, likelihood = self._unroll(self.inputs(x), draw)
        z, kl, log_ratio = zip(*draws, strict=True)
        return self.draw(
            x,
            tf.stack(z, axis=1),
            tf.add_n(kl),
            training,
            likelihood=likelihood,
            prior=self.prior_distribution(),
            log_ratio=tf.add_n(log_ratio),
            kl_groups=tf.stack(kl, axis=1),
        )

    def _unroll(self, x, draw):
        """Encoder and decoder in turns; `draw` of a step and features returns a tuple from z_t on.

        Returns:
            Tuple (what `draw` returned in each step, p(x|z)).
        """
        encoder_state, state = self.encoder.begin(x), self.decoder.begin(tf.shape(x)[0])
        draws = []
        for step in range(self.encoder.num_steps):
            error = x - mean_of(self.decoder.likelihood(state[-1]))
            encoder_state = self.encoder.step(x, error, state[0], encoder_state)
            draws.append(draw(step, encoder_state[0]))
            state = self.decoder.step(draws[-1][0], state)
        return draws, self.decoder.likelihood(state[-1])

    def encode(self, x: Any, condition: Any = None) -> tf.Tensor:
        """Means of the z_t, each carried on to the next step, shape (batch, T, latent_dim)."""
        x, mean = self.inputs(x), self.encoder.posterior.mean
        with self.conditioned_on(condition, x.shape[0]):
            draws, _ = self._unroll(x, lambda _, features: (mean(features),))
        return tf.stack([z for (z,) in draws], axis=1)

    def canvases(self, z: TensorLike, condition: Any = None) -> tf.Tensor:
        """The image after each step: the means of what would be p(x|z) if it were the last.

        Args:
            z: latents, shape (n, T, latent_dim).
            condition: of a conditional model, one for all or one for each.

        Returns:
            Tensor, shape (n, T, *data_shape).
        """
        z = as_examples(z, self.latent_shape, "z")
        with self.conditioned_on(self.condition_of_samples(condition), z.shape[0]):
            canvases = self.decoder.canvases(z)
        return tf.stack([mean_of(self.decoder.likelihood(c)) for c in canvases], axis=1)


def _check_networks(encoder, decoder):
    if not (isinstance(encoder, DRAWEncoder) and isinstance(decoder, DRAWDecoder)):
        raise ValueError(
            "DRAW runs its networks in turns, step by step: its encoder must be a "
            f"networks.DRAWEncoder and its decoder a networks.DRAWDecoder. Received: "
            f"{type(encoder).__name__} and {type(decoder).__name__}."
        )
    if encoder.decoder_width != decoder.width:
        raise ValueError(
            "The encoder must take the decoder's output. Received: an encoder of decoder_width="
            f"{encoder.decoder_width} and a decoder of width={decoder.width}. Give both the same."
        )
