"""A VQ-VAE without a codebook. Mentzer et al., arXiv:2309.15505."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.constructors import check_fixed
from tfgen._utils.typing import ModelOptions
from tfgen.layers import Prior
from tfgen.layers.scalar_quantizer import FiniteScalarQuantizer, as_levels
from tfgen.models.vq_vae import VQVAE

__all__ = ["FSQVAE"]

_NO_CODEBOOK = "Its codes are fixed, and nothing draws them or the vectors together."


@keras.saving.register_keras_serializable("tfgen")
class FSQVAE(VQVAE):
    """VQ-VAE without a codebook: each number of a vector is rounded to one of a few levels.

    loss = -log p(x|z)

    where z are the codes of `layers.FiniteScalarQuantizer`: all combinations of levels. There is no
    codebook, hence no codebook loss, no moving averages and no dead codes. All else is as in
    `VQVAE`: indices of codes, the prior over them, which `fit_prior` fits, and what is logged,
    except `codebook_loss` and `commitment_loss`.

    Nothing draws the vectors back once they are so large that all are rounded to the outermost
    levels, where tanh has no gradient, and Adam at 1e-3 takes a convolutional encoder there within
    fifty steps: the `perplexity` falls to 1. Let the encoder end in a normalization:
    `networks.vq_encoder(..., normalize=True)`.

    Source: Mentzer et al., arXiv:2309.15505v2, Sec. 3.1; see the layer for its deviations.

    Args:
        encoder: `keras.Model` from x to the vectors; no distribution.
        decoder: `keras.Model` from codes in the encoder's shape to p(x|z).
        prior: a prior over the indices of codes, such as `samplers.Autoregressive`;
            `CodeFrequencies` if None.
        levels: sequence of int >= 2, levels of each number of a code; its length must divide the
            last axis of the latents.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: for levels less than 2 or more than a million codes; and as `VQVAE`.

    Example:
        >>> from tfgen import networks
        >>> model = FSQVAE(networks.mlp_encoder((8, 8, 1), latent_dim=6, head=None, width=16),
        ...                networks.mlp_decoder((8, 8, 1), latent_dim=6, width=16),
        ...                levels=(5, 3), seed=0)
        >>> model.num_codes, model.indices(tf.zeros((5, 8, 8, 1))).shape
        (15, TensorShape([5, 3]))
    """

    fixed = {
        "num_codes": "It has as many as there are combinations of levels.",
        "code_dim": "A code has a number for each of the levels.",
        **dict.fromkeys(("commitment", "decay", "restart_below"), _NO_CODEBOOK),
    }

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        levels: Sequence[int] = (8, 5, 5, 5),
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        self.levels = as_levels(levels)
        check_fixed(type(self), kwargs)
        codes = (math.prod(self.levels), len(self.levels))
        super().__init__(encoder, decoder, prior, *codes, decay=None, **kwargs)

    def make_quantizer(self) -> FiniteScalarQuantizer:
        return FiniteScalarQuantizer(self.levels)

    def code_errors(
        self, vectors: tf.Tensor, indices: tf.Tensor, codes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """None: the codes are where they are, and vectors follow the decoder alone."""
        return {}

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        return terms["reconstruction"]
