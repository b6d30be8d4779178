"""What VAEs share whose inference draws more than z. Ranganath, Tran & Blei, arXiv:1511.02386v2."""

from typing import Any

import tensorflow as tf

from tfgen._utils.typing import Seed
from tfgen.models.batches import repeat_batch
from tfgen.models.checks import check_weights_of_draws
from tfgen.models.conditional import given_conditions
from tfgen.models.vae import VAE, Draw

__all__ = ["AuxiliaryVAE"]


class AuxiliaryVAE(VAE):
    """Base of VAEs whose posterior q(z|x) has no closed form: z is drawn through variables u.

    An auxiliary density r(u|x, z) takes the place of the true q(u|z, x), which gives the bound

        log p(x) >= E_q(z,u|x)[log p(x, z) + log r(u|x, z) - log q(z, u|x)].

    It is below the ELBO by the expected KL(q(u|z, x) || r(u|x, z)).

    Source: Salimans, Kingma & Welling, arXiv:1410.6460v4, Eq. 4; Ranganath, Tran & Blei,
    arXiv:1511.02386v2, Eq. 5. It logs the terms of `VAE`, with `kl` as `Draw` says.

    A subclass overrides `infer`, whose draws have a `log_ratio`.
    """

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws all latent variables; see `VAE.infer`."""
        raise NotImplementedError

    @given_conditions
    def log_weights(
        self, x: Any, num_samples: int, seed: Seed, training: bool = False
    ) -> tf.Tensor:
        """log p(x, z) + log r(u|x, z) - log q(z, u|x) in nats; see `VAE.log_weights`."""
        check_weights_of_draws(num_samples, seed, training)
        draw = self.infer(repeat_batch(self.as_batch(x), num_samples), seed, training)
        return tf.reshape(-draw.reconstruction - draw.log_ratio, (num_samples, -1))
