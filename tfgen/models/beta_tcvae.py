"""beta-TCVAE. Chen, Li, Grosse & Duvenaud, arXiv:1802.04942v5."""

import numbers

import keras

from tfgen.losses import kl_decomposition
from tfgen.losses.total_correlation import ESTIMATORS, check_sizes
from tfgen.models.beta_vae import check_weights
from tfgen.models.vae import VAE

__all__ = ["BetaTCVAE"]


@keras.saving.register_keras_serializable("tfgen")
class BetaTCVAE(VAE):
    """VAE whose KL divergence is split in three, weighted alpha, beta and gamma.

    loss = reconstruction + alpha * mutual_information + beta * total_correlation
    + gamma * dimension_wise_kl.

    Source: Chen et al., arXiv:1802.04942v5, Eq. 4; the estimators are described in
    `tfgen.losses.log_importance_weights`. The three terms are logged beside those of `VAE` and sum
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
            the posterior is no diagonal Gaussian, or a batch has one example; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2)
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2)
        >>> model = BetaTCVAE(encoder, decoder, dataset_size=1000, beta=6.0)
        >>> model.get_config()["dataset_size"]
        1000
    """

    def __init__(
        self,
        encoder,
        decoder,
        prior=None,
        *,
        dataset_size=None,
        alpha=1.0,
        beta=6.0,
        gamma=1.0,
        estimator="stratified",
        **kwargs,
    ):
        super().__init__(encoder, decoder, prior, **kwargs)
        check_weights(alpha=alpha, beta=beta, gamma=gamma)
        if not isinstance(dataset_size, numbers.Integral) or dataset_size < 2:
            raise ValueError(
                "BetaTCVAE needs dataset_size, the number of training examples, an int of at least "
                f"2. Received: dataset_size={dataset_size!r}. datasets.load gives it as "
                "info.num_examples."
            )
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {ESTIMATORS}. Received: {estimator!r}.")
        self.dataset_size, self.estimator = int(dataset_size), estimator
        self.alpha, self.gamma, self.initial_beta = alpha, gamma, beta
        self.beta = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(beta), trainable=False, name="beta"
        )

    def regularizers(self, q, z, prior, kl):
        return kl_decomposition(q, z, prior, kl, self.dataset_size, self.estimator)._asdict()

    def objective(self, terms):
        return (
            terms["reconstruction"]
            + self.alpha * terms["mutual_information"]
            + self.beta * terms["total_correlation"]
            + self.gamma * terms["dimension_wise_kl"]
        )

    def check_batch_size(self, batch_size):
        check_sizes(batch_size, self.dataset_size)

    def get_config(self):
        return {
            **super().get_config(),
            "dataset_size": self.dataset_size,
            "alpha": self.alpha,
            "beta": self.initial_beta,
            "gamma": self.gamma,
            "estimator": self.estimator,
        }
