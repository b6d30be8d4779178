"""FactorVAE. Kim & Mnih, arXiv:1802.05983v3."""

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen.layers import Prior
from tfgen.losses import adversarial_loss, permute_dims
from tfgen.models.base import Update
from tfgen.models.checks import check_discriminator, check_several_examples
from tfgen.models.vae import VAE, Draw, VAEOptions

__all__ = ["FactorVAE"]


@keras.saving.register_keras_serializable("tfgen")
class FactorVAE(VAE):
    """VAE with a penalty on the total correlation of its codes, which a discriminator estimates.

    loss = reconstruction + KL + gamma * TC, where TC = KL(q(z) || prod_d q(z_d)). The discriminator
    D tells codes of the data from codes whose dimensions were shuffled over the batch
    (`tfgen.losses.permute_dims`); total_correlation = log D(z) - log(1 - D(z)), its logit. It
    minimises code_discriminator_loss = -(log D(z) + log(1 - D(shuffled z))) / 2, which is ln 2 =
    0.693 where it cannot tell them apart.

    Source: Kim & Mnih, "Disentangling by Factorising", arXiv:1802.05983v3, Eq. 2, Eq. 3 (TC from D)
    and Algorithm 2. Deviation: Algorithm 2 draws a second batch for the shuffled codes; here those
    of the same batch are shuffled, as in Locatello et al.'s disentanglement_lib, so that an epoch
    shows this model as many examples as the others. Both updates take their gradients from one
    forward pass: that of `loss` moves encoder, decoder and prior, that of the discriminator's loss
    the discriminator alone.

    The paper's discriminator is `tfgen.networks.mlp_code_discriminator` of width 1000 and depth 6
    with activation "leaky_relu", with Adam(1e-4, beta_1=0.5, beta_2=0.9), beside Adam(1e-4) for the
    VAE and batches of 64. It logs `total_correlation` and `code_discriminator_loss`, in nats,
    along with the terms of `VAE`.

    Args:
        encoder: `keras.Model` from x to q(z|x).
        decoder: `keras.Model` from z to p(x|z).
        code_discriminator: `keras.Model` from z to logits, shape (batch, 1), without sigmoid.
        gamma: float >= 0; 0 is the VAE. The paper has 6.4 on CelebA; Locatello et al.,
            arXiv:1811.12359v4, take 10 to 100 on every data set.
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if `gamma` is negative, the discriminator does not take the codes or ends in a
            sigmoid, or a batch has one example; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = FactorVAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...                   networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16),
        ...                   networks.mlp_code_discriminator(latent_dim=2, width=16), seed=0)
        >>> model.compile({"vae": keras.optimizers.Adam(1e-4),
        ...                "code_discriminator": keras.optimizers.Adam(1e-4, 0.5, 0.9)})
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> [name for name in sorted(history.history) if "_" in name]
        ['bits_per_dim', 'code_discriminator_loss', 'total_correlation']
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        code_discriminator: keras.Model,
        gamma: float = 10.0,
        prior: Prior | None = None,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_discriminator(code_discriminator, self.latent_shape, "code_discriminator")
        self.code_discriminator = code_discriminator
        self.gamma = self.add_loss_weight("gamma", gamma)

    @property
    def updates(self) -> list[Update]:
        discriminator = Update(
            "code_discriminator", (self.code_discriminator,), self.terms, "code_discriminator_loss"
        )
        return [*super().updates, discriminator]

    def regularizers(self, draw: Draw) -> dict[str, tf.Tensor]:
        """The estimate of the total correlation and the discriminator's loss, per example."""
        # Its gradient would be dropped anyhow: that of this loss moves the discriminator alone.
        shuffled = permute_dims(tf.stop_gradient(draw.z), draw.next_seed())
        logits, shuffled_logits = (
            self.code_discriminator(codes, training=draw.training) for codes in (draw.z, shuffled)
        )
        cross_entropy = adversarial_loss("non_saturating")
        loss = (cross_entropy.real(logits) + cross_entropy.fake(shuffled_logits)) / 2
        return {
            "total_correlation": -adversarial_loss("log_odds").generator(logits),
            "code_discriminator_loss": loss,
        }

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        return super().objective(terms) + self.gamma * terms["total_correlation"]

    def check_batch_size(self, batch_size: int) -> None:
        check_several_examples(batch_size, "shuffles codes within a batch")
