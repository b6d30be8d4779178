"""Hamiltonian variational inference. Salimans, Kingma & Welling, arXiv:1410.6460v4."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.random import normal
from tfgen._utils.typing import Seed
from tfgen.layers import Prior, StandardNormal
from tfgen.models.checks import check_pairs, is_distribution
from tfgen.models.leapfrog import LeapfrogVAE, StepSizes, leapfrog
from tfgen.models.vae import VAEOptions

__all__ = ["HVI"]


@keras.saving.register_keras_serializable("tfgen")
class HVI(LeapfrogVAE):
    """VAE whose draws from the encoder move towards the posterior by Hamiltonian dynamics.

    z_0 ~ q(z_0|x). Iteration t draws a velocity v ~ q(v|x, z), and takes leapfrog steps along the
    gradient of log p(x, z) to z_t and v'. A reverse model r(v'|x, z_t) predicts v' from the end
    point. Leapfrog steps preserve volume, so that

        log_ratio = log q(z_0|x) - log p(z_T) + sum_t [log q(v_t|x, z_{t-1}) - log r(v'_t|x, z_t)].

    In `kl` the mean of log q(z_0|x) - log p(z_0) is in closed form.

    Source: Salimans, Kingma & Welling, arXiv:1410.6460v4, Algorithm 3 and Sec. 4. Every dimension
    of every leapfrog step has a trained step size, in (0, `max_step_size`).
    Deviation: a unit mass, since with a step size for each dimension a diagonal mass matrix only
    changes the units of v; one reverse model for all iterations.

    Their "T = 16" on MNIST is one iteration of 16 leapfrog steps. The convolutional VAE with HVI is
    this model with `tfgen.networks.conv_encoder` and `conv_decoder`. A step of training costs about
    `num_iterations` * (`leapfrog_steps` + 1) gradients of the decoder, differentiated once more.
    The dynamics use the decoder as in evaluation, without dropout.

    `encode`, `embed` and `reconstruct` use q(z_0|x), from which the leapfrog steps set out. It logs
    the terms of `VAE`.

    Args:
        encoder: `keras.Model` from x to q(z_0|x).
        decoder: `keras.Model` from z to p(x|z), with a gradient in z.
        reverse: `keras.Model` from [x, z] to r(v'|x, z), such as `tfgen.networks.mlp_auxiliary`.
        momentum: `keras.Model` from [x, z] to q(v|x, z); N(0, I) if None.
        num_iterations: int >= 0, draws of a velocity; 0 is the VAE.
        leapfrog_steps: int >= 1, leapfrog steps after each draw of a velocity.
        step_size: float, of all steps when training begins, in units of z.
        max_step_size: float > `step_size`, which no step size can exceed.
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if a number is out of range, or a network returns no density over velocities;
            and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = HVI(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...             networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16),
        ...             networks.mlp_auxiliary((8, 8, 1), latent_dim=2, width=16), seed=0)
        >>> model.compile("adam", jit_compile=False)
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), verbose=0)
        >>> sorted(history.history)
        ['bits_per_dim', 'elbo', 'kl', 'loss', 'reconstruction']
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        reverse: keras.Model,
        momentum: keras.Model | None = None,
        num_iterations: int = 1,
        leapfrog_steps: int = 4,
        step_size: float = 0.1,
        max_step_size: float = 0.5,
        prior: Prior | None = None,
        **kwargs: Unpack[VAEOptions],
    ) -> None:
        super().__init__(encoder, decoder, prior, **kwargs)
        check_size(0, num_iterations=num_iterations)
        check_size(leapfrog_steps=leapfrog_steps)
        self.reverse, self.momentum = reverse, momentum
        self._check_velocities(reverse, "reverse")
        if momentum is not None:
            self._check_velocities(momentum, "momentum")
        self.num_iterations, self.leapfrog_steps = num_iterations, leapfrog_steps
        self.step_size, self.max_step_size = step_size, max_step_size
        shape = (num_iterations, leapfrog_steps, *self.latent_shape)
        self.step_sizes = StepSizes(shape, step_size, max_step_size)

    def _check_velocities(self, network, name):
        shapes = (self.data_shape, self.latent_shape)
        remedy = f"networks.mlp_auxiliary({self.data_shape}, {self.latent_shape[0]})"
        check_pairs(network, name, shapes, remedy)
        output = network([tf.zeros((1, *shape)) for shape in shapes])
        event_shape = tuple(output.event_shape) if is_distribution(output) else None
        if event_shape != self.latent_shape:
            raise ValueError(
                f"The {name} must return a density over velocities of shape {self.latent_shape}. "
                f"Received: a {name} that returns {type(output).__name__} of event shape "
                f"{event_shape}. End it with IndependentNormal({self.latent_shape[0]})."
            )

    @property
    def networks(self) -> tuple[keras.layers.Layer, ...]:
        momentum = (self.momentum,) if self.momentum else ()
        return (*super().networks, self.reverse, *momentum)

    def iterate(
        self,
        x: Any,
        z: tf.Tensor,
        gradient: Callable[[tf.Tensor], tf.Tensor],
        step_sizes: Sequence[tf.Tensor],
        seed: Seed,
        training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One iteration of Algorithm 3: the next z, and log q(v|x, z) - log r(v'|x, next z)."""
        velocity, log_q = self.draw_velocity(x, z, seed, training)
        z, velocity = leapfrog(gradient, z, velocity, step_sizes)
        return z, log_q - self.reverse([self.inputs(x), z], training=training).log_prob(velocity)

    def draw_velocity(
        self, x: Any, z: tf.Tensor, seed: Seed, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """v ~ q(v|x, z), and log q(v|x, z)."""
        if self.momentum is None:
            velocity = normal(tf.shape(z), seed)
            return velocity, StandardNormal(self.latent_shape).as_distribution().log_prob(velocity)
        q = self.momentum([self.inputs(x), z], training=training)
        velocity = q.sample(seed=seed)
        return velocity, q.log_prob(velocity)
