"""Variational autoencoder. Kingma & Welling, arXiv:1312.6114v10."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.losses import kl_divergence
from tfgen.metrics import bits_per_dim, is_discrete
from tfgen.models.base import Update
from tfgen.models.latent import AutoencodingModel, is_distribution

tfd = tfp.distributions

__all__ = ["VAE", "bound_terms", "repeat_batch"]


@keras.saving.register_keras_serializable("tfgen")
class VAE(AutoencodingModel):
    """Variational autoencoder, trained by maximising the ELBO.

    loss = -ELBO = E_q(z|x)[-log p(x|z)] + KL(q(z|x) || p(z)), with one reparameterized sample of z
    and the KL divergence in closed form where there is one.

    Source: Kingma & Welling, arXiv:1312.6114v10, Eq. 3, estimator Eq. 7.

    It logs, in nats per example, summed over dimensions and averaged over the batch: `loss`, which
    is minimised; `elbo`; `reconstruction`, -log p(x|z); `kl`; and in bits `bits_per_dim` = -elbo /
    (D ln 2), where p(x|z) is a probability mass.

    Args:
        encoder: `keras.Model` from x to q(z|x); it ends in a distribution layer.
        decoder: `keras.Model` from z to p(x|z); it ends in a distribution layer.
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if a network does not end in a distribution, or shapes do not fit each other.

    Example:
        >>> from tfgen import networks
        >>> model = VAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...             networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16), seed=0)
        >>> model.compile("adam")
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> sorted(history.history)
        ['bits_per_dim', 'elbo', 'kl', 'loss', 'reconstruction']
    """

    def __init__(self, encoder, decoder, prior=None, **kwargs):
        super().__init__(encoder, decoder, prior, **kwargs)
        self._check_distributions()

    # What the networks must return; both are given a label in a conditional VAE.
    _densities = ("q(z|x)", "p(x|z)")

    def _check_distributions(self):
        posterior, likelihood = self._densities
        _check_distribution(self.encoder, "encoder", posterior, "IndependentNormal")
        output = _check_distribution(self.decoder, "decoder", likelihood, "IndependentBernoulli")
        self._discrete = is_discrete(output)

    @property
    def updates(self):
        return [Update("vae", (self.encoder, self.decoder, self.prior), self.terms)]

    def terms(self, x, training=True):
        """All that is logged, per example, shape (batch,)."""
        x = tf.cast(x, tf.float32)
        q, z, likelihood = self.reconstruct_from_draw(x, training)
        return self.elbo_terms(x, q, z, likelihood)

    def reconstruct_from_draw(self, x, training):
        """q(z|x), one draw of z from it, and p(x|z)."""
        q = self.posterior(x, training)
        z = q.sample(seed=self.next_seed(training))
        return q, z, self.likelihood(z, x, training)

    def posterior(self, x, training):
        """q(z|x) of a batch as `unpack` gives it, in a training step or not."""
        return self.encoder(tf.cast(x, tf.float32), training=training)

    def likelihood(self, z, x, training):
        """p(x|z) for one z of each example; `x` is of use where there are conditions in it."""
        return self.decoder(z, training=training)

    def elbo_terms(self, x, q, z, likelihood):
        """The terms of one draw of z, with the loss of this model."""
        prior = self.prior_distribution()
        kl = self.kl_divergence(q, prior, z)
        terms = self.bound_terms(-likelihood.log_prob(x), kl) | self.regularizers(q, z, prior, kl)
        return {"loss": self.objective(terms), **terms}

    def kl_divergence(self, q, prior, z):
        """KL(q(z|x) || p(z)) per example, in closed form or at the draw z."""
        return kl_divergence(q, prior, z)

    def bound_terms(self, reconstruction, kl):
        """The ELBO and its parts, per example."""
        return bound_terms(reconstruction, kl, self.data_shape if self._discrete else None)

    def regularizers(self, q, z, prior, kl):
        """Further terms of a variant, by name, per example."""
        return {}

    def objective(self, terms):
        """What is minimised, per example: the line that a variant overrides."""
        return terms["reconstruction"] + terms["kl"]

    # Likelihoods.

    def log_likelihood(self, x, z, training=False):
        """log p(x|z) in nats.

        Args:
            x: tensor, shape (batch, *data_shape).
            z: tensor, shape (..., batch, *latent_shape), any number of draws for each example.
            training: bool, for the layers that differ.

        Returns:
            Tensor, shape (..., batch).
        """
        draws = tf.shape(z)[: tf.rank(z) - len(self.latent_shape)]
        num_copies = tf.reduce_prod(draws[:-1])
        copies = tf.nest.map_structure(lambda part: repeat_batch(part, num_copies), x)
        likelihood = self.likelihood(tf.reshape(z, (-1, *self.latent_shape)), copies, training)
        examples = tf.cast(tf.nest.flatten(copies)[0], tf.float32)
        return tf.reshape(likelihood.log_prob(examples), draws)

    def log_joint(self, x, z, training=False):
        """log p(x, z) in nats; see `log_likelihood`."""
        return self.log_likelihood(x, z, training) + self.prior_distribution().log_prob(z)

    def log_weights(self, x, num_samples, seed, training=False):
        """Importance weights log p(x, z) - log q(z|x) of draws z from q(z|x), in nats.

        The mean of their exponentials is an unbiased estimate of p(x).

        Source: Burda, Grosse & Salakhutdinov, arXiv:1509.00519v4, Eq. 7 and 8.

        Args:
            x: tensor, shape (batch, *data_shape).
            num_samples: int, draws for each example.
            seed: int32 tensor of shape (2,), a stateless seed.
            training: bool, for the layers that differ.

        Returns:
            Tensor, shape (num_samples, batch).
        """
        q = self.posterior(x, training)
        z, log_q = q.experimental_sample_and_log_prob(num_samples, seed=seed)
        return self.log_joint(x, z, training) - log_q


def bound_terms(reconstruction, kl, discrete_shape):
    """The ELBO and its parts; of a probability mass over that shape bits per dimension too."""
    terms = {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
    if discrete_shape is not None:
        terms["bits_per_dim"] = bits_per_dim(reconstruction + kl, discrete_shape)
    return terms


def repeat_batch(x, num_copies):
    """`num_copies` copies of a batch one after the other, shape (num_copies * batch, ...)."""
    x = tf.convert_to_tensor(x)
    return tf.tile(x, [num_copies, *[1] * (len(x.shape) - 1)])


def _check_distribution(network, role, density, layer):
    """What the network returns; raises ValueError unless it is a distribution."""
    output = network(tf.zeros((1, *network.input_shape[1:])))
    if not is_distribution(output):
        raise ValueError(
            f"The {role} of a VAE must return {density}, a distribution. Received: a {role} that "
            f"returns {type(output).__name__}. End it with a layer of tfgen.layers, for example "
            f"{layer}."
        )
    return output
