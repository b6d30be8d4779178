"""VAEs whose draws follow leapfrog steps towards the posterior: what `HVI` and `HVAE` share."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_numbers
from tfgen._utils.random import split
from tfgen._utils.typing import Distribution, LayerOptions, Seed, Shape
from tfgen.models.auxiliary_vae import AuxiliaryVAE
from tfgen.models.vae import Draw

__all__ = ["LeapfrogVAE", "StepSizes", "leapfrog"]


def leapfrog(
    gradient: Callable[[tf.Tensor], tf.Tensor],
    z: tf.Tensor,
    velocity: tf.Tensor,
    step_sizes: Sequence[tf.Tensor | float],
    factors: Iterable[tf.Tensor | float] | None = None,
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
        factors: numbers, one for each step, which the velocity is multiplied by after it: volume
            changes by their product to the power of the number of dimensions. All 1 if None.

    Returns:
        Tuple (z, velocity) at the end, shapes as given. The gradient is taken once more than there
        are steps.

    Example:
        >>> z, velocity = leapfrog(lambda z: -z, tf.ones(1), tf.zeros(1), 10 * [0.1])
        >>> round(float(z[0]), 2), round(float(velocity[0]), 2)  # After a time of 1: cos 1, -sin 1.
        (0.54, -0.84)
    """
    slope = gradient(z)
    factors = itertools.repeat(1.0, len(step_sizes)) if factors is None else factors
    for step_size, factor in zip(step_sizes, factors, strict=True):
        velocity = velocity + 0.5 * step_size * slope
        z = z + step_size * velocity
        slope = gradient(z)
        velocity = factor * (velocity + 0.5 * step_size * slope)
    return z, velocity


class StepSizes(keras.layers.Layer):
    """Trained step sizes between 0 and a maximum.

    Args:
        shape: tuple, shape of all step sizes together.
        step_size: float > 0, all of them when training begins.
        max_step_size: float > `step_size`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `step_size` does not lie between 0 and `max_step_size`.

    Example:
        >>> StepSizes((2, 3), step_size=0.5, max_step_size=1.0).values().numpy()
        array([[0.5, 0.5, 0.5],
               [0.5, 0.5, 0.5]], dtype=float32)
    """

    def __init__(
        self, shape: Shape, step_size: float, max_step_size: float, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        check_numbers(step_size=step_size, max_step_size=max_step_size)
        if not 0 < step_size < max_step_size:
            raise ValueError(
                "step_size must lie between 0 and max_step_size. Received: "
                f"step_size={step_size}, max_step_size={max_step_size}."
            )
        self.max_step_size = max_step_size
        logit = math.log(step_size / (max_step_size - step_size))
        self.logits = self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(logit),
            autocast=False,
            name="logits",
        )
        self.built = True

    def values(self) -> tf.Tensor:
        """The step sizes as a float32 tensor."""
        return self.max_step_size * tf.sigmoid(tf.convert_to_tensor(self.logits))


class LeapfrogVAE(AuxiliaryVAE):
    """VAE whose draws from the encoder move on by leapfrog steps, in one or several iterations.

    `encode`, `embed` and `reconstruct` use q(z_0|x), from which the leapfrog steps set out.

    A subclass has `step_sizes`, whose first axis is that of iterations, and overrides `iterate`.
    """

    step_sizes: StepSizes

    @property
    def networks(self) -> tuple[keras.layers.Layer, ...]:
        return (*super().networks, self.step_sizes)

    def infer(self, x: Any, seed: Seed, training: bool) -> Draw:
        """Draws z_0, and moves it on."""
        iterations = tf.unstack(self.step_sizes.values())
        seeds = split(seed, len(iterations) + 1)
        q, prior = self.posterior(x, training), self.prior_distribution()
        z_0 = z = q.sample(seed=seeds[0])
        correction = prior.log_prob(z_0)
        gradient = self.log_joint_gradient(x, prior)
        for sizes, seed in zip(iterations, seeds[1:], strict=True):
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
        """One iteration: the next z, and the log-ratio of densities of its velocities."""
        raise NotImplementedError

    def log_joint_gradient(self, x: Any, prior: Distribution) -> Callable[[tf.Tensor], tf.Tensor]:
        """Function from z to the gradient of log p(x, z) in z, given the density p(z)."""

        def gradient(z):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(z)
                likelihood = self.likelihood(z, x, training=False)
                log_joint = likelihood.log_prob(self.examples(x)) + prior.log_prob(z)
            return tape.gradient(log_joint, z)

        return gradient
