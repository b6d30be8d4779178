"""What models with latent variables share: decode, generate, sample, traverse, interpolate."""

import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Self, Unpack

from tfgen._utils.arguments import check_flags, check_ints, check_positive
from tfgen._utils.random import fold_in
from tfgen._utils.tensors import check_stateless_seed
from tfgen._utils.typing import Distribution, ModelOptions, Seed, Shape, TensorLike
from tfgen.layers import Prior, StandardNormal, conditionals_in
from tfgen.layers.priors import sample_at
from tfgen.losses import LogProbEstimate, log_mean_exp, squared_mmd
from tfgen.models.batches import of_some
from tfgen.models.checks import (
    as_example,
    as_examples,
    check_dims,
    check_num_samples,
    check_prior_layer,
    check_seed,
    check_values,
    output_on_zeros,
)
from tfgen.models.endpoints import SAMPLING, Endpoint, condition_specs
from tfgen.models.loss_weights import WeightedModel
from tfgen.models.outputs import (
    check_explains,
    decode_in_chunks,
    mean_of,
    pixel_of,
    value_range_of,
)
from tfgen.models.training_data import check_explained

__all__ = ["LatentVariableModel", "estimated_log_prob", "mmd_to_prior"]

# Draws of each example that are decoded together.
DRAWS = 10


def mmd_to_prior(model: "LatentVariableModel", z: tf.Tensor, seed: Seed, kernel: Any) -> tf.Tensor:
    """The MMD^2 of a batch of codes and as many draws of the prior, once for each example."""
    num_samples = tf.shape(z)[0]
    draws = model.sample_latents(num_samples, seed)
    # Draws of a mixture carry part of its gradient only: a trained prior follows the KL alone.
    return tf.fill((num_samples,), squared_mmd(z, tf.stop_gradient(draws), kernel))


def estimated_log_prob(
    model: Any, x: Any, num_samples: int, seed: int | None, condition: Any
) -> LogProbEstimate:
    """`log_mean_exp` of a model's `log_weights`, of an array or a data set; see `VAE.log_prob`."""
    check_num_samples(num_samples)
    check_ints(1, num_samples=num_samples)
    stateless = model.sampling_seed(seed)
    parts = [
        log_mean_exp(_weights(model, batch, given, num_samples, fold_in(stateless, i)))
        for i, (batch, given) in enumerate(model.batches_with_conditions(x, condition))
    ]
    return LogProbEstimate(*(tf.concat(part, axis=0) for part in zip(*of_some(parts), strict=True)))


def _weights(model, x, condition, num_samples, seed):
    """`log_weights` of a batch, few draws at a time."""
    check_explained(x, model)
    sizes = [min(DRAWS, num_samples - start) for start in range(0, num_samples, DRAWS)]
    with model.conditioned_on(condition, len(tf.nest.flatten(x)[0])):
        parts = [model.log_weights(x, n, fold_in(seed, i)) for i, n in enumerate(sizes)]
    return tf.concat(parts, axis=0)


class LatentVariableModel(WeightedModel):
    """A model that generates data from latent variables.

    Its config holds what its constructor was given (`ConfiguredModel`), that of a subclass too.

    Args:
        decoder: network from z to p(x|z), or to x.
        latent_shape: tuple, shape of one z, such as (20,).
        data_shape: tuple, shape of one example.
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`.

    Raises:
        ValueError: if the prior is over another shape.
    """

    def __init__(
        self,
        decoder: keras.Model,
        latent_shape: Shape,
        data_shape: Shape,
        prior: Prior | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        check_prior_layer(prior, self)
        super().__init__(data_shape, **kwargs)
        self.decoder = decoder
        self.latent_shape = tuple(latent_shape)
        self.prior = StandardNormal(self.latent_shape) if prior is None else prior

    def check_prior(self) -> None:
        """Raises ValueError if the prior is not over the decoder's latents."""
        event_shape = tuple(self.prior_distribution().event_shape)
        if event_shape != self.latent_shape:
            raise ValueError(
                f"The prior must be over the latents of shape {self.latent_shape}. Received: a "
                f"prior over shape {event_shape}. Give the prior that shape."
            )

    def identity(self) -> dict[str, str]:
        is_network = isinstance(self.decoder, keras.Model)  # Not the bijector of a flow.
        output = pixel_of(output_on_zeros(self.decoder)) if is_network else self.decoder
        return {**super().identity(), "decoder's output": type(output).__name__}

    def prior_distribution(self) -> Distribution:
        """p(z), a `tfd.Distribution`."""
        return self._distribution_of(self.prior)

    def _distribution_of(self, prior):
        return prior.as_distribution(getattr(self, "encoder", None))

    def with_prior(self, prior: Prior) -> Self:
        """A model of the same networks under another prior, such as one of `tfgen.samplers`.

        Its samples, bounds and likelihoods are those under that prior, and `save` saves both. The
        networks are shared: training one model changes the other. What the class makes itself, such
        as a codebook, is copied.

        Args:
            prior: a prior of `tfgen.layers`, or a fitted sampler.

        Returns:
            A model of the same class, not compiled.

        Raises:
            ValueError: if the prior does not fit the model, or its class takes none.
        """
        return self._sharing_weights(prior=prior)

    def _sharing_weights(self, **changes):
        """`rebuilt`, with copies of what the class makes itself and of the loss's weights."""
        model = self.rebuilt(**changes)
        layers = {k: v for k, v in vars(self).items() if isinstance(v, keras.layers.Layer)}
        for name, layer in layers.items():
            if name not in changes and layer is not (made := getattr(model, name)):
                made.set_weights(layer.get_weights())
        for name, weight in self.loss_weights().items():
            getattr(model, name).assign(weight)
        return model

    def check_batch(self, x: np.ndarray) -> None:
        """Raises ValueError if the decoder can neither return nor explain values of `x`.

        Warns, once, if it would take very long to learn them.
        """
        reason = check_explains(self.decoder, x)
        if reason and not vars(self).get("_warned_of_scale", False):
            self._warned_of_scale = True
            warnings.warn(reason, stacklevel=2)

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The values (low, high) between which all images of `generate` lie; None if unbounded."""
        return value_range_of(self.decoder)

    def sample_latents(
        self,
        num_samples: int,
        seed: Seed | int | None = None,
        prior: Prior | None = None,
        condition: Any = None,
        temperature: float = 1.0,
    ) -> tf.Tensor:
        """Draws from p(z), p(z|c) or another prior, shape (num_samples, *latent_shape)."""
        check_num_samples(num_samples)
        check_positive(temperature=temperature)
        if isinstance(seed, numbers.Number) or getattr(seed, "shape", None) == ():
            check_seed(seed)
            seed = int(seed)  # type: ignore[arg-type]  # A NumPy int is no seed of TFP.
        elif seed is not None:
            check_stateless_seed(seed=seed)
        check_prior_layer(prior, self)
        density = self.prior_distribution() if prior is None else self._distribution_of(prior)
        with self.conditioned_on(condition, num_samples):
            return sample_at(density, num_samples, temperature, seed)

    # Conditions.

    @property
    def samples_are_conditional(self) -> bool:
        """Whether p(x|z) or p(z) is given the condition; in some models only q(z|x) is."""
        return bool(conditionals_in(self.decoder) or conditionals_in(self.prior))

    def condition_of_samples(self, condition: Any, num_examples: int | None = None) -> Any:
        """As `checked_condition`, but for what is decoded.

        Raises:
            ValueError: if the decoder takes no condition.
        """
        if condition is not None and self.conditions and not self.samples_are_conditional:
            raise ValueError(
                f"The decoder of this {type(self).__name__} takes no condition, its encoder alone "
                f"does. Received: condition={condition!r}. Leave it out where z is decoded."
            )
        return self.checked_condition(condition, num_examples)

    def given(self, condition: Any) -> Self:
        """The model under one condition, of the same class and with the same weights.

        It takes no conditions and does all that unconditional models do: `traverse`,
        `interpolate`, plots, scores by condition, `save`. The networks are shared: training one
        model changes the other.

        Args:
            condition: one condition, such as the number of a class.

        Returns:
            A model of the same class, not compiled.

        Raises:
            ValueError: if the model takes no conditions, or others.
        """
        self.checked_condition(condition, 1)
        parts = {k: v for k, v in self.arguments().items() if hasattr(v, "under")}
        networks = {k: v for k, v in parts.items() if conditionals_in(v)}
        model = self._sharing_weights(**{k: v.under(condition) for k, v in networks.items()})
        if model.conditions is not None:
            raise ValueError(
                "given(condition) replaces conditional networks that are arguments of the model. "
                f"Received: a {type(self).__name__} with such a network inside another. Make the "
                "outer one the layers.Conditional, and its inner one a part of that."
            )
        return model

    def decode(self, z: TensorLike, condition: Any = None) -> Any:
        """p(x|z), or x where the decoder is deterministic; p(x|z, c) given a condition.

        Args:
            z: latents, shape (n, *latent_shape).
            condition: of a conditional model, one for all or one for each.

        Returns:
            What the decoder returns: a `tfd.Distribution` over n examples, or a tensor of them.

        Raises:
            ValueError: if `z` has another shape, or the condition does not fit.
        """
        z = as_examples(z, self.latent_shape, "z")
        with self.conditioned_on(self.condition_of_samples(condition), z.shape[0]):
            return self.decoder(z)

    def generate_in_training(self, z: tf.Tensor, training: bool) -> tf.Tensor:
        """The decoder's mean within a training step, float32 whatever the policy."""
        return tf.cast(mean_of(self.decoder(z, training=training)), tf.float32)

    def generate(self, z: TensorLike, condition: Any = None) -> tf.Tensor:
        """The decoder's mean E[x|z] or E[x|z, c].

        Args:
            z: latents, shape (n, *latent_shape).
            condition: of a conditional model, one for all or one for each.

        Returns:
            Tensor, shape (n, *data_shape), decoded in chunks, so that n may be large.

        Raises:
            ValueError: as `decode`.
        """
        z = as_examples(z, self.latent_shape, "z")
        condition = self.condition_of_samples(condition, z.shape[0])
        return decode_in_chunks(self.decode, z, None, condition)

    def sampling_seed(self, seed: int | None = None) -> tf.Tensor:
        """`next_seed` outside of training, or the stateless seed that the int `seed` stands for."""
        check_seed(seed)
        return super().sampling_seed(seed)

    def sample(
        self,
        num_samples: int = 1,
        seed: int | None = None,
        mean: bool = True,
        prior: Prior | None = None,
        condition: Any = None,
        temperature: float = 1.0,
    ) -> tf.Tensor:
        """New examples.

        Args:
            num_samples: int >= 0.
            seed: int >= 0 or None. An int gives the same samples each time.
            mean: bool, E[x|z] as papers show it if True, else a draw from p(x|z).
            prior: what z is drawn from in the place of the model's own prior, such as a fitted
                sampler of `tfgen.samplers`.
            condition: of a conditional model, one for all or one for each sample; see
                `layers.Condition.check`. None for the classes in turn, where there are classes.
            temperature: float > 0, factor of the standard deviations of z: less variety below 1, as
                in Glow (Kingma & Dhariwal, arXiv:1807.03039v2, whose authors' post of July 2018
                shows faces at 0.7). For z of independent normals, and under samplers that have a
                temperature.

        Returns:
            Tensor, shape (num_samples, *data_shape).

        Raises:
            ValueError: if `num_samples` or `seed` is not an int, is negative or needs more than 32
                bits, or the prior, the condition or the temperature does not fit.
        """
        check_flags(mean=mean)
        check_num_samples(num_samples)
        seed = self.sampling_seed(seed)
        if condition is None and self.num_classes and self.samples_are_conditional:
            condition = np.arange(num_samples) % self.num_classes
        condition = self.condition_of_samples(condition, num_samples)
        z = self.sample_latents(num_samples, seed, prior, condition, temperature)
        return decode_in_chunks(self.decode, z, None if mean else seed, condition)

    def interpolate_latents(
        self, start: TensorLike, end: TensorLike, num_steps: int = 7, condition: Any = None
    ) -> tf.Tensor:
        """Images on the straight lines from `start` to `end`, both included.

        Args:
            start: latents, shape (n, *latent_shape).
            end: latents, the same shape.
            num_steps: int >= 2.
            condition: of a conditional model, one for all or one for each line.

        Returns:
            Tensor, shape (n, num_steps, *data_shape).

        Raises:
            ValueError: if a shape is another, `num_steps` is less than 2, or the condition does
                not fit.
        """
        check_ints(2, num_steps=num_steps)
        start = as_examples(start, self.latent_shape, "start")
        end = as_examples(end, self.latent_shape, "end")
        if start.shape != end.shape:
            raise ValueError(
                "interpolate_latents joins each start with the end in its place. Received: start "
                f"of shape {tuple(start.shape)} and end of shape {tuple(end.shape)}. Give as many."
            )
        weights = tf.reshape(tf.linspace(0.0, 1.0, num_steps), (-1, *[1] * len(self.latent_shape)))
        z = start[:, None] + weights * (end - start)[:, None]
        condition = self.condition_of_samples(condition, len(start))
        return self._generate_grid(z, condition)

    def traverse_latents(
        self,
        z: TensorLike,
        dims: Sequence[int] | None = None,
        values: Sequence[float] | None = None,
        condition: Any = None,
    ) -> tf.Tensor:
        """Images for one latent vector with one dimension at a time set to each value.

        Args:
            z: shape `latent_shape`, one latent vector.
            dims: sequence of int, dimensions to vary; all if None.
            values: sequence of float, -3 to 3 in 7 steps if None; in units of z.
            condition: of a conditional model, one for all.

        Returns:
            Tensor, shape (len(dims), len(values), *data_shape).

        Raises:
            ValueError: if `z` has another shape, a dimension is not in it, a value is not finite,
                or the condition does not fit.
        """
        z = np.reshape(as_example(z, self.latent_shape, "z"), -1)
        rows = check_dims(range(len(z)) if dims is None else dims, self.latent_shape)
        shown = check_values(np.linspace(-3, 3, 7) if values is None else values)
        grid = np.tile(z, (len(rows), len(shown), 1))
        for row, dim in enumerate(rows):
            grid[row, :, dim] = shown
        grid = tf.reshape(tf.cast(grid, tf.float32), (len(rows), len(shown), *self.latent_shape))
        return self._generate_grid(grid, self.condition_of_samples(condition, len(rows)))

    def _generate_grid(self, z, condition):
        """`generate` for latents with two leading axes, and conditions with the first of them."""
        condition = None if condition is None else np.repeat(condition, z.shape[1], axis=0)
        images = self.generate(tf.reshape(z, (-1, *self.latent_shape)), condition)
        return tf.reshape(images, (*z.shape[:2], *self.data_shape))

    # Export.

    def endpoints(self) -> dict[str, Endpoint]:
        """`generate` and `sample`, which decode all at once where the methods do it in parts."""
        z = tf.TensorSpec((None, *self.latent_shape), name="z")
        num_samples, seed = SAMPLING
        condition = condition_specs(self) if self.samples_are_conditional else []

        def sample(num_samples, *condition_and_seed):
            *given, seed = condition_and_seed
            with self.conditioned_on(*given or [None]):
                return mean_of(self.decode(self.sample_latents(num_samples, seed)))

        return {
            "generate": Endpoint(lambda *z: mean_of(self.decode(*z)), [z, *condition]),
            "sample": Endpoint(sample, [num_samples, *condition, seed], draws=True),
        }
