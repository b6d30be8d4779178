"""A VQ-VAE with several codes at each place. Lee et al., arXiv:2203.01941v2."""

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_flags, check_size
from tfgen.layers import Prior
from tfgen.layers.residual_quantizer import ResidualVectorQuantizer
from tfgen.models.vq_vae import VQVAE, CodebookOptions

__all__ = ["RQVAE"]


@keras.saving.register_keras_serializable("tfgen")
class RQVAE(VQVAE):
    """VQ-VAE with residual quantization: `depth` codes for each vector, each for what is left.

    The decoder sees the sums of codes, which take up to K^depth values; in a `VQVAE` there are K.
    Codebook loss and commitment loss are averaged over depths; at each depth they compare the
    residual with its code (`layers.ResidualVectorQuantizer`). With a depth of 1 it is a `VQVAE`.

    An example has N * depth indices, in which those of a vector follow each other. The prior has
    the same order, and `samplers.Autoregressive` draws each index given all before it.

    Source: Lee et al., arXiv:2203.01941v2 (equations not checked; their code,
    kakaobrain/rq-vae-transformer, was); Zeghidour et al., arXiv:2107.03312, Algorithm 1, for a
    codebook at each depth.
    Deviation: errors are averaged over depths, as in that code, where the paper sums them; the
    prior of Lee et al. is a transformer over places with another one over depths.

    It logs what `VQVAE` does; `perplexity` is that of each depth, averaged over depths.

    Args:
        encoder: `keras.Model` from x to the N vectors; no distribution.
        decoder: `keras.Model` from codes in the encoder's shape to p(x|z).
        prior: a prior over the N * depth indices, such as `samplers.Autoregressive`;
            `CodeFrequencies` if None.
        depth: int >= 1, codes of one vector.
        shared: bool, one codebook for all depths, or one for each.
        **kwargs: other arguments of `VQVAE`; `num_codes` is the size of a codebook.

    Raises:
        ValueError: if an argument is out of range; and as `VQVAE`.

    Example:
        >>> from tfgen import networks
        >>> model = RQVAE(networks.mlp_encoder((8, 8, 1), latent_dim=6, head=None, width=16),
        ...               networks.mlp_decoder((8, 8, 1), latent_dim=6, width=16),
        ...               depth=2, num_codes=4, code_dim=2, seed=0)
        >>> model.indices(tf.zeros((5, 8, 8, 1))).shape
        TensorShape([5, 6])
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        depth: int = 4,
        shared: bool = True,
        **kwargs: Unpack[CodebookOptions],
    ) -> None:
        check_size(depth=depth)
        check_flags(shared=shared)
        self.depth, self.shared = depth, bool(shared)
        super().__init__(encoder, decoder, prior, **kwargs)

    def make_quantizer(self) -> ResidualVectorQuantizer:
        sizes = (self.num_codes, self.code_dim, self.depth, self.shared)
        return ResidualVectorQuantizer(*sizes, self.decay, self.restart_below, self.seed)

    def code_errors(
        self, vectors: tf.Tensor, indices: tf.Tensor, codes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        shape = (-1, self.num_indices, self.code_dim)
        stages = self.quantizer.stages(vectors, indices)
        given, found = (tf.reshape(part, shape) for part in stages)
        return super().code_errors(given, indices, found)
