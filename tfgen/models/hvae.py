"""Hamiltonian variational autoencoder. Caterini, Doucet & Sejdinovic, arXiv:1805.11328v2."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_numbers, check_one_of, check_size
from tfgen._utils.random import normal
from tfgen._utils.typing import LayerOptions, Seed
from tfgen.layers import Prior, StandardNormal
from tfgen.models.leapfrog import LeapfrogVAE, StepSizes, leapfrog
from tfgen.models.vae import VAEOptions

__all__ = ["HVAE"]

Tempering = Literal["fixed", "free"]


class CoolingFactors(keras.layers.Layer):
    """Trained factors in (0, 1), one for each leapfrog step, by which momenta are cooled.

    "fixed": after step k of K momenta have the standard deviation s_k = 1 + (s_0 - 1)
    (1 - k^2 / K^2), quadratic in k; a factor is s_k / s_{k-1}, and s_0 > 1 is trained.
    "free": every factor is trained on its own.

    Args:
        num_steps: int, K.
        tempering: "fixed" or "free".
        temperature: float > 1, s_0^2 when training begins; s_0 is 1 over the product of factors.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: for another tempering, or a temperature that is not above 1.

    Example:
        >>> CoolingFactors(2, "fixed", temperature=4.0).values().numpy()  # From 2 to 1.75 to 1.
        array([0.875    , 0.5714286], dtype=float32)
        >>> CoolingFactors(2, "free", temperature=4.0).values().numpy().round(4)
        array([0.7071, 0.7071], dtype=float32)
    """

    def __init__(
        self,
        num_steps: int,
        tempering: Tempering,
        temperature: float,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        check_one_of(("fixed", "free"), tempering=tempering)
        check_numbers(temperature=temperature)
        if not temperature > 1:
            raise ValueError(
                f"temperature must be above 1. Received: temperature={temperature}. For dynamics "
                "without tempering give tempering=None."
            )
        self.num_steps, self.tempering = num_steps, tempering
        shape, raw = _initial(num_steps, tempering, math.sqrt(temperature))
        self.raw = self.add_weight(
            shape=shape, initializer=keras.initializers.Constant(raw), autocast=False, name="raw"
        )
        self.built = True

    def values(self) -> tf.Tensor:
        """The factors as a float32 tensor, shape (num_steps,)."""
        raw = tf.convert_to_tensor(self.raw)
        if self.tempering == "free":
            return tf.sigmoid(raw)
        cooled = np.linspace(0.0, 1.0, self.num_steps + 1, dtype="float32") ** 2
        scales = 1.0 + tf.exp(raw) * (1.0 - cooled)
        return scales[1:] / scales[:-1]


def _initial(num_steps, tempering, scale):
    """Shape and initial value of the weights that cool from `scale` to 1."""
    if tempering == "fixed":
        return (), math.log(scale - 1)
    factor = scale ** (-1 / max(num_steps, 1))
    return (num_steps,), math.log(factor / (1 - factor))


@keras.saving.register_keras_serializable("tfgen")
class HVAE(LeapfrogVAE):
    """Hamiltonian VAE: the posterior is a flow of leapfrog steps towards p(z|x), without networks.

    z_0 ~ q(z_0|x), and momenta rho_0 = s_0 gamma with gamma ~ N(0, I). Each of K steps is a
    leapfrog step along the gradient of log p(x, z), after which the momenta are multiplied by a
    factor alpha_k < 1, so that they cool from the standard deviation s_0 to about 1. Leapfrog steps
    preserve volume, and s_0 is 1 over the product of the factors. So the density at the end point
    is q(z_0|x) N(gamma; 0, I), and with the momenta N(rho_K; 0, I) of the model

        log_ratio = log q(z_0|x) - log p(z_K) + log N(gamma; 0, I) - log N(rho_K; 0, I),

    a bound without the reverse model that `HVI` needs. In `kl` the mean of log q(z_0|x) -
    log p(z_0) is in closed form.

    Source: Caterini, Doucet & Sejdinovic, arXiv:1805.11328v2 (equations not checked; their code
    was). Every dimension of every leapfrog step has a trained step size, in (0, `max_step_size`).
    Deviations from their code: log N(gamma; 0, I) is that of the draw, not its mean, since it
    cancels most of that of rho_K; and with "fixed" it is the standard deviation of the momenta that
    falls quadratically, as by the schedule of pythae 0.1.2, not their variance.

    A step of training costs about `leapfrog_steps` + 1 gradients of the decoder, differentiated
    once more. The dynamics use the decoder as in evaluation, without dropout. `encode`, `embed` and
    `reconstruct` use q(z_0|x), from which the leapfrog steps set out. It logs the terms of `VAE`.

    Args:
        encoder: `keras.Model` from x to q(z_0|x).
        decoder: `keras.Model` from z to p(x|z), with a gradient in z.
        leapfrog_steps: int >= 0, K; 0 is the VAE.
        step_size: float, of all steps when training begins, in units of z.
        max_step_size: float > `step_size`, which no step size can exceed.
        tempering: "fixed", where the standard deviation of momenta falls quadratically in k;
            "free", where every factor is trained; or None, where all are 1.
        temperature: float > 1, s_0^2 when training begins, 1 / beta_0 of the paper; None for 1.5,
            or without tempering.
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        **kwargs: arguments of `VAE`, such as `seed`.

    Raises:
        ValueError: if a number is out of range, or a temperature is given without tempering; and as
            `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = HVAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...              networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16), seed=0)
        >>> model.compile("adam", jit_compile=False)
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> sorted(history.history)
        ['bits_per_dim', 'elbo', 'kl', 'loss', 'reconstruction']
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        leapfrog_steps: int = 5,
        step_size: float = 0.2,
        max_step_size: float = 0.5,
        tempering: Tempering | None = "fixed",
        temperature: float | None = None,
        prior: Prior | None = None,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_size(0, leapfrog_steps=leapfrog_steps)
        self.leapfrog_steps = leapfrog_steps
        self.step_size, self.max_step_size = step_size, max_step_size
        self.step_sizes = StepSizes(
            (1, leapfrog_steps, *self.latent_shape), step_size, max_step_size
        )
        self.tempering, self.temperature = tempering, temperature
        self.cooling = self._make_cooling()

    def _make_cooling(self):
        if self.tempering is not None:
            temperature = 1.5 if self.temperature is None else self.temperature
            return CoolingFactors(self.leapfrog_steps, self.tempering, temperature)
        if self.temperature is not None:
            raise ValueError(
                "A temperature is that from which momenta are cooled. Received: temperature="
                f"{self.temperature}, tempering=None. Give a tempering, or leave it out."
            )
        return None

    @property
    def networks(self) -> tuple[keras.layers.Layer, ...]:
        return (*super().networks, *((self.cooling,) if self.cooling else ()))

    def iterate(
        self,
        x: Any,
        z: tf.Tensor,
        gradient: Callable[[tf.Tensor], tf.Tensor],
        step_sizes: Sequence[tf.Tensor],
        seed: Seed,
        training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The flow: z_K, and log N(gamma; 0, I) - log N(rho_K; 0, I)."""
        factors = self.cooling.values() if self.cooling else tf.ones(self.leapfrog_steps)
        gamma = normal(tf.shape(z), seed)
        rho = gamma / tf.reduce_prod(factors)
        z, rho = leapfrog(gradient, z, rho, step_sizes, tf.unstack(factors))
        density = StandardNormal(self.latent_shape).as_distribution()
        return z, density.log_prob(gamma) - density.log_prob(rho)
