"""Hamiltonian variational inference. Salimans, Kingma & Welling, arXiv:1410.6460v4."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import check_numbers, check_size
from tfgen._utils.random import normal, split
from tfgen._utils.typing import Distribution, LayerOptions, Seed, Shape
from tfgen.layers import Prior, StandardNormal
from tfgen.models.auxiliary_vae import AuxiliaryVAE
from tfgen.models.checks import check_pairs, is_distribution
from tfgen.models.vae import Draw, VAEOptions

tfd = tfp.distributions

__all__ = ["HVI", "leapfrog"]


def leapfrog(
    gradient: Callable[[tf.Tensor], tf.Tensor],
    z: tf.Tensor,
    velocity: tf.Tensor,
    step_sizes: Sequence[tf.Tensor | float],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Follows Hamilton's equations by leapfrog steps, which keep volume in (z, velocity).

    Each step adds half a step along the gradient to the velocity, a step along the velocity to z,
    and half a step along the gradient there to the velocity. With the mirrored list of steps, and
    from the end with the velocity turned round, it comes back to where it began.

    Source: Neal, "MCMC using Hamiltonian dynamics", arXiv:1206.1901v1, Eq. 2.28 to 2.30, with unit
    mass; Salimans, Kingma & Welling, arXiv:1410.6460v4, Sec. 4.

    Args:
        gradient: callable from z to the gradient of a log-density, one for each row of z.
        z: tensor, shape (batch, *latent_shape), in units of the latents.
        velocity: tensor, the same shape, in units of z per unit of step.
        step_sizes: sequence of numbers, or of tensors that broadcast to z, a size for each step.

    Returns:
        Tuple (z, velocity) at the end, shapes as given. The gradient is taken once more than there
        are steps.

    Example:
        >>> z, velocity = leapfrog(lambda z: -z, tf.ones(1), tf.zeros(1), 10 * [0.1])
        >>> round(float(z[0]), 2), round(float(velocity[0]), 2)  # After a time of 1: cos 1, -sin 1.
        (0.54, -0.84)
    """
    slope = gradient(z)
    for step_size in step_sizes:
        velocity = velocity + 0.5 * step_size * slope
        z = z + step_size * velocity
        slope = gradient(z)
        velocity = velocity + 0.5 * step_size * slope
    return z, velocity


class StepSizes(keras.layers.Layer):
    """Trained step sizes between 0 and a maximum.

    Args:
        shape: tuple, shape of all step sizes together.
        initial: float, all of them when training begins.
        maximum: float > `initial`.
        **kwargs: arguments of `keras.layers.Layer`.

    Example:
        >>> StepSizes((2, 3), initial=0.5, maximum=1.0).values().numpy()
        array([[0.5, 0.5, 0.5],
               [0.5, 0.5, 0.5]], dtype=float32)
    """

    def __init__(
        self, shape: Shape, initial: float, maximum: float, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.maximum = maximum
        logit = math.log(initial / (maximum - initial))
        self.logits = self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(logit),
            autocast=False,
            name="logits",
        )
        self.built = True

    def values(self) -> tf.Tensor:
        """The step sizes as a float32 tensor."""
        return self.maximum * tf.sigmoid(tf.convert_to_tensor(self.logits))


@keras.saving.register_keras_serializable("tfgen")
class HVI(AuxiliaryVAE):
    """VAE whose draws from the encoder move on towards the posterior by Hamiltonian dynamics.

    z_0 ~ q(z_0|x). An iteration t draws a velocity v ~ q(v|x, z), and takes leapfrog steps along
    the gradient of log p(x, z) to z_t and v'. A reverse model r(v'|x, z_t) guesses v' from where
    they end. Leapfrog steps keep volume, so that

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
        _check_numbers(num_iterations, leapfrog_steps, step_size, max_step_size)
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
        return (*super().networks, self.step_sizes, self.reverse, *momentum)

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws z_0, and moves it on."""
        seeds = split(seed, self.num_iterations + 1)
        q, prior = self.posterior(x, training), self.prior_distribution()
        z_0 = z = q.sample(seed=seeds[0])
        correction = prior.log_prob(z_0)
        gradient = self.log_joint_gradient(x, prior)
        for sizes, seed in zip(tf.unstack(self.step_sizes.values()), seeds[1:], strict=True):
            z, log_ratio = self.iterate(x, z, gradient, tf.unstack(sizes), seed, training)
            correction += log_ratio
        correction -= prior.log_prob(z)
        kl = self.kl_divergence(q, prior, z_0) + correction
        log_ratio = q.log_prob(z_0) - prior.log_prob(z_0) + correction
        return self.draw(x, z, kl, training, q=q, prior=prior, log_ratio=log_ratio)

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

    def log_joint_gradient(self, x: Any, prior: Distribution) -> Callable[[tf.Tensor], tf.Tensor]:
        """Function from z to the gradient of log p(x, z) in z, given the density p(z)."""

        def gradient(z):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(z)
                likelihood = self.likelihood(z, x, training=False)
                log_joint = likelihood.log_prob(self.examples(x)) + prior.log_prob(z)
            return tape.gradient(log_joint, z)

        return gradient


def _check_numbers(num_iterations, leapfrog_steps, step_size, max_step_size):
    check_size(0, num_iterations=num_iterations)
    check_size(leapfrog_steps=leapfrog_steps)
    check_numbers(step_size=step_size, max_step_size=max_step_size)
    if not 0 < step_size < max_step_size:
        raise ValueError(
            "step_size must lie between 0 and max_step_size. Received: "
            f"step_size={step_size}, max_step_size={max_step_size}."
        )
