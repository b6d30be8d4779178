"""beta-TCVAE. Chen, Li, Grosse & Duvenaud, arXiv:1802.04942v5."""

from typing import Literal

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_ints, check_one_of
from tfgen._utils.constructors import check_fixed
from tfgen._utils.typing import ModelOptions
from tfgen.layers import Prior
from tfgen.losses import kl_decomposition
from tfgen.losses.total_correlation import ESTIMATORS, check_sizes
from tfgen.models.checks import check_diagonal_normal, output_on_zeros
from tfgen.models.vae import VAE, Draw

__all__ = ["BetaTCVAE"]


@keras.saving.register_keras_serializable("tfgen")
class BetaTCVAE(VAE):
    """VAE whose KL divergence is split in three, weighted alpha, beta and gamma.

    loss = reconstruction + alpha * mutual_information + beta * total_correlation
    + gamma * dimension_wise_kl.

    Source: Chen et al., arXiv:1802.04942v5, Eq. 4; the estimators are described in
    `tfgen.losses.log_importance_weights`. The three terms are logged with those of `VAE` and sum
    to `kl`. Their values depend on the estimator and the batch size; evaluation uses the same
    `dataset_size` as training.

    Args:
        encoder: `keras.Model` from x to q(z|x), a diagonal Gaussian.
        decoder: `keras.Model` from z to p(x|z).
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        dataset_size: int, number of training examples. Required: the estimators need it.
        alpha: float >= 0, weight of the mutual information I(z; x).
        beta: float >= 0, weight of the total correlation. Schedules change it during training.
        gamma: float >= 0, weight of the dimension-wise KL divergence.
        estimator: "stratified", unbiased for q(z), or "weighted", the paper's own choice, whose
            values are biased by tens of nats at small batches.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if `dataset_size` is missing, a weight is negative, the estimator is unknown,
            the posterior is not a diagonal Gaussian, or a batch has one example; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2)
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2)
        >>> model = BetaTCVAE(encoder, decoder, dataset_size=1000, beta=6.0)
        >>> model.get_config()["dataset_size"]
        1000
    """

    fixed = {
        "capacity": "Its KL divergence has three weights: alpha, beta and gamma.",
        "free_bits": "Its KL divergence has three weights: alpha, beta and gamma.",
    }

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        *,
        dataset_size: int | None = None,
        alpha: float = 1.0,
        beta: float = 6.0,
        gamma: float = 1.0,
        estimator: Literal["stratified", "weighted"] = "stratified",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        check_fixed(type(self), kwargs)
        super().__init__(encoder, decoder, prior, beta, **kwargs)
        check_diagonal_normal(output_on_zeros(encoder), "A BetaTCVAE")
        self.alpha = self.add_loss_weight("alpha", alpha)
        self.gamma = self.add_loss_weight("gamma", gamma)
        remedy = "It is the number of training examples, info.num_examples of datasets.load."
        check_ints(2, remedy, dataset_size=dataset_size)
        check_one_of(ESTIMATORS, estimator=estimator)
        self.dataset_size, self.estimator = int(dataset_size or 0), estimator

    def regularizers(self, draw: Draw) -> dict[str, tf.Tensor]:
        """The three parts of the KL divergence."""
        return kl_decomposition(
            draw.q, draw.z, draw.prior, draw.kl, self.dataset_size, self.estimator
        )._asdict()

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        return (
            terms["reconstruction"]
            + self.alpha * terms["mutual_information"]
            + self.beta * terms["total_correlation"]
            + self.gamma * terms["dimension_wise_kl"]
        )

    def check_batch_size(self, batch_size: int) -> None:
        check_sizes(batch_size, self.dataset_size)
