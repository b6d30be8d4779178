"""InfoGAN. Chen et al., arXiv:1606.03657."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.typing import Distribution, TensorLike
from tfgen.layers import InfoGANPrior
from tfgen.models.base import Update
from tfgen.models.checks import as_examples, input_shape
from tfgen.models.gan import GAN, PriorlessGANOptions

__all__ = ["InfoGAN"]


@keras.saving.register_keras_serializable("tfgen")
class InfoGAN(GAN):
    """GAN whose samples carry information about a part of z, the codes c.

    An auxiliary network Q infers c from G(z). Generator and Q minimise the generator's loss of
    `GAN` minus `info_weight` times L_I = E[log q(c|x)] + H(c), a lower bound of the mutual
    information of codes and samples. The discriminator's loss is that of `GAN`.

    It logs, besides what `GAN` does, `information_bound`, L_I in nats.

    Source: Chen et al., arXiv:1606.03657, Sec. 5: the bound of Eq. 4, L_I and the game V_InfoGAN
    after it; Sec. 6 for Q, independent normals of continuous codes.
    Deviation: Q is a network of its own and shares no layers with the discriminator, so that
    penalties and normalization of the one do not affect the other; the scale of continuous codes is
    a softplus.

    Args:
        generator: `keras.Model` from z to x.
        discriminator: `keras.Model` from x to logits, shape (batch, 1).
        auxiliary: `keras.Model` Q from x to the `prior.num_parameters` numbers of q(c|x), such as
            `networks.dcgan_encoder(shape, prior.num_parameters, head=None)`.
        prior: `layers.InfoGANPrior`, of z.
        info_weight: float >= 0, lambda.
        **kwargs: other arguments of `GAN`.

    Raises:
        ValueError: if there is another prior, Q takes or returns other shapes, `info_weight` is out
            of range, and as `GAN`.

    Example:
        >>> from tfgen import layers, networks
        >>> prior, size = layers.InfoGANPrior(2, (3,)), {"head": None, "width": 16}
        >>> model = InfoGAN(networks.mlp_decoder((8, 8, 1), latent_dim=5, **size),
        ...                 networks.mlp_encoder((8, 8, 1), latent_dim=1, **size),
        ...                 networks.mlp_encoder((8, 8, 1), prior.num_parameters, **size), prior)
        >>> model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> model.traverse_latents(tf.zeros(5), prior.code_dims[0], [1.0]).shape
        TensorShape([3, 1, 8, 8, 1])
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        auxiliary: keras.Model,
        prior: InfoGANPrior,
        info_weight: float = 1.0,
        **kwargs: Unpack[PriorlessGANOptions],
    ) -> None:
        _check_prior(prior)
        super().__init__(generator, discriminator, prior=prior, **kwargs)
        _check_auxiliary(auxiliary, self.data_shape, prior)
        self.auxiliary = auxiliary
        self.info_weight = self.add_loss_weight("info_weight", info_weight)

    @property
    def updates(self) -> list[Update]:
        discriminator, generator = super().updates
        return [discriminator, generator._replace(networks=(self.generator, self.auxiliary))]

    def terms_of_generator(
        self, z: tf.Tensor, fake: tf.Tensor, training: bool, *outputs: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        terms = super().terms_of_generator(z, fake, training, *outputs)
        q = self.prior.code_posterior(self.auxiliary(fake, training=training))
        bound = q.log_prob(z[:, self.prior.noise_dim :]) + self.prior.code_entropy
        loss = terms["generator_loss"] - self.info_weight * bound
        return {**terms, "generator_loss": loss, "information_bound": bound}

    def predict_codes(self, x: TensorLike, condition: Any = None) -> Distribution:
        """q(c|x) of examples, of data too; see `InfoGANPrior.code_posterior`.

        Args:
            x: shape (n, *data_shape).
            condition: where Q is conditional, one for all or one for each.
        """
        x = as_examples(x, self.data_shape, "x")
        with self.conditioned_on(condition, x.shape[0]):
            return self.prior.code_posterior(self.auxiliary(x))


def _check_prior(prior):
    if not isinstance(prior, InfoGANPrior):
        raise ValueError(
            "The prior of an InfoGAN is a layers.InfoGANPrior: which latents are codes. Received: "
            f"prior={prior!r}. Give one over what the generator takes."
        )


def _check_auxiliary(network, data_shape, prior):
    shape = input_shape(network, "auxiliary", f"keras.Input({tuple(data_shape)})")
    expected = (None, prior.num_parameters)
    if shape != tuple(data_shape) or tuple(network.output_shape) != expected:
        raise ValueError(
            f"The auxiliary network must take examples of shape {tuple(data_shape)} and return the "
            f"numbers of q(c|x), shape {expected}. Received: an auxiliary network of input shape "
            f"{network.input_shape} and output shape {network.output_shape}. End it with "
            f"Dense({prior.num_parameters})."
        )
