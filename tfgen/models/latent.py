"""What models with latent variables share: decode, generate, sample, traverse, interpolate."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import check_weights
from tfgen._utils.constructors import KERAS_ARGUMENTS, check_fixed, constructor_arguments
from tfgen._utils.random import fold_in
from tfgen._utils.typing import Distribution, ModelOptions, Seed, Shape, TensorLike
from tfgen.layers import FixedScaleNormal, FlowDistribution, Prior, StandardNormal
from tfgen.losses import squared_mmd
from tfgen.models.base import GenerativeModel
from tfgen.models.checks import input_shape, is_distribution, output_on_zeros
from tfgen.models.training_data import unpack

tfd = tfp.distributions

__all__ = [
    "AutoencodingModel",
    "LatentVariableModel",
    "batches_of",
    "decode_in_chunks",
    "mean_of",
    "mmd_to_prior",
    "sample_of",
]

# What an image can be that ends in these.
_RANGES = {keras.activations.sigmoid: (0, 1), keras.activations.tanh: (-1, 1)}
_PASS_VALUES_ON = (keras.layers.Reshape, keras.layers.Cropping2D, FixedScaleNormal)
# Latents decoded at a time, so that memory does not grow with the number of samples.
CHUNK = 500


def mean_of(output: Any) -> tf.Tensor:
    """The mean of a distribution (of a flow, its center), a deterministic output itself."""
    if isinstance(output, FlowDistribution):
        return output.center()
    return output.mean() if is_distribution(output) else tf.convert_to_tensor(output)


def sample_of(output: Any, seed: Seed) -> tf.Tensor:
    """A reparameterized sample of a distribution, a deterministic output itself; float32."""
    return tf.cast(output.sample(seed=seed) if is_distribution(output) else output, tf.float32)


def decode_in_chunks(
    decode: Callable[[tf.Tensor], Any], z: TensorLike, seed: Seed | None = None
) -> tf.Tensor:
    """Means of what `decode` returns for `z`, or draws if there is a seed."""
    if seed is None:
        return tf.concat([mean_of(decode(part)) for part in _chunks(z)], axis=0)
    draws = [_draw(decode(part), fold_in(seed, i + 1)) for i, part in enumerate(_chunks(z))]
    return tf.concat(draws, axis=0)


def _draw(output, seed):
    if not is_distribution(output):
        raise ValueError(
            "mean=False draws from p(x|z). Received: a decoder that returns "
            f"{type(output).__name__}, no distribution. Pass mean=True."
        )
    return output.sample(seed=seed)


def _last_activation(network):
    """The activation that a network ends in, or None if something else changes its values."""
    for layer in reversed(getattr(network, "layers", [])):
        if getattr(layer, "activation", None):
            return layer.activation
        if not isinstance(layer, _PASS_VALUES_ON):
            return None
    return None


def _chunks(z):
    """Parts of `z` along its first axis; one empty part if there is nothing."""
    return [z[i : i + CHUNK] for i in range(0, max(len(z), 1), CHUNK)]


def batches_of(x: Any) -> Iterable[Any]:
    """Batches of a data set or of an array."""
    if isinstance(x, tf.data.Dataset):
        return map(unpack, x)
    return _chunks(x)


def mmd_to_prior(model: "LatentVariableModel", z: tf.Tensor, seed: Seed, kernel: Any) -> tf.Tensor:
    """The MMD^2 of a batch of codes and as many draws of the prior, once for each example."""
    num_samples = tf.shape(z)[0]
    draws = model.sample_latents(num_samples, seed)
    # Draws of a mixture carry part of its gradient only: a trained prior follows the KL alone.
    return tf.fill((num_samples,), squared_mmd(z, tf.stop_gradient(draws), kernel))


class LatentVariableModel(GenerativeModel):
    """A model that generates data from latent variables.

    Its config holds whatever its constructor takes (`constructor_arguments`): a subclass keeps each
    argument in an attribute of the same name, or gives it to `add_loss_weight`.

    Args:
        decoder: network from z to p(x|z), or to x.
        latent_shape: tuple, shape of one z, such as (20,).
        data_shape: tuple, shape of one example.
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`.

    Raises:
        ValueError: if the prior is over another shape.
    """

    # Arguments of a parent that a class sets itself, with the reason; see `check_fixed`.
    fixed: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        decoder: keras.Model,
        latent_shape: Shape,
        data_shape: Shape,
        prior: Prior | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(data_shape, **kwargs)
        self.decoder = decoder
        self.latent_shape = tuple(latent_shape)
        self.prior = prior or StandardNormal(self.latent_shape)
        self.initial_loss_weights: dict[str, float | None] = {}

    def add_loss_weight(
        self,
        name: str,
        value: float | None,
        minimum: float = 0.0,
        aggregation: str = "none",
    ) -> Any:
        """A weight of a term of the loss, which `tfgen.callbacks.WeightSchedule` can change.

        Args:
            name: the argument of the constructor, and the attribute that the weight is kept in.
            value: float >= `minimum`, or None for a term that the loss does not have.
            minimum: float, 0 or -inf.
            aggregation: as in `keras.layers.Layer.add_weight`.

        Returns:
            Scalar float32 variable that no optimizer moves, or None.
        """
        self.initial_loss_weights[name] = value
        if value is None:
            return None
        if minimum == 0.0:
            check_weights(**{name: value})
        return self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            aggregation=aggregation,
            autocast=False,
            name=name,
        )

    def check_prior(self) -> None:
        """Raises ValueError if the prior is not over the decoder's latents."""
        event_shape = tuple(self.prior_distribution().event_shape)
        if event_shape != self.latent_shape:
            raise ValueError(
                f"The prior must be over the latents of shape {self.latent_shape}. Received: a "
                f"prior over shape {event_shape}. Give the prior that shape."
            )

    def prior_distribution(self) -> Distribution:
        """p(z), a `tfd.Distribution`."""
        return self.prior.as_distribution(getattr(self, "encoder", None))

    def check_batch(self, x: np.ndarray) -> None:
        """Raises ValueError if the decoder can neither return nor explain values of `x`."""
        self._check_support(x)
        activation = _last_activation(self.decoder)
        low, high = _RANGES.get(activation, (-math.inf, math.inf))
        if x.min() < low or x.max() > high:
            raise ValueError(
                f"A decoder or generator that ends in {activation.__name__} gives values from {low}"
                f" to {high}. Received: data from {x.min():g} to {x.max():g}. Rescale the data "
                f"(datasets.load(..., value_range=({low}, {high}))), or use another activation."
            )

    def _check_support(self, x):
        likelihood = output_on_zeros(self.decoder)
        pixel = getattr(likelihood, "distribution", likelihood)
        if isinstance(pixel, tfd.Bernoulli) and not (x.min() >= 0 and x.max() <= 1):
            raise ValueError(
                "A Bernoulli likelihood needs data in [0, 1]. Received: values from "
                f"{x.min():g} to {x.max():g}. Rescale the data (uint8 images: divide by 255), "
                "or end the decoder with FixedScaleNormal or IndependentNormal."
            )

    def sample_latents(self, num_samples: int, seed: Seed | int | None = None) -> tf.Tensor:
        """Draws from p(z), shape (num_samples, *latent_shape)."""
        return self.prior_distribution().sample(num_samples, seed=seed)

    def decode(self, z: TensorLike) -> Any:
        """p(x|z), or x where the decoder is deterministic."""
        return self.decoder(z)

    def generate_in_training(self, z: tf.Tensor, training: bool) -> tf.Tensor:
        """The decoder's mean within a training step, float32 whatever the policy."""
        return tf.cast(mean_of(self.decoder(z, training=training)), tf.float32)

    def generate(self, z: TensorLike) -> tf.Tensor:
        """The decoder's mean E[x|z], shape (len(z), *data_shape)."""
        return decode_in_chunks(self.decode, z)

    def sample(self, num_samples: int = 1, seed: int | None = None, mean: bool = True) -> tf.Tensor:
        """New examples.

        Args:
            num_samples: int.
            seed: int or None. An int gives the same samples each time.
            mean: bool, E[x|z] as papers show it if True, else a draw from p(x|z).

        Returns:
            Tensor, shape (num_samples, *data_shape).
        """
        seed = self.sampling_seed(seed)
        z = self.sample_latents(num_samples, seed)
        return self.generate(z) if mean else decode_in_chunks(self.decode, z, seed)

    def interpolate_latents(
        self, start: TensorLike, end: TensorLike, num_steps: int = 7
    ) -> tf.Tensor:
        """Images on the straight lines from `start` to `end`, both included.

        Args:
            start: latents, shape (n, *latent_shape).
            end: latents, the same shape.
            num_steps: int >= 2.

        Returns:
            Tensor, shape (n, num_steps, *data_shape).
        """
        start, end = tf.convert_to_tensor(start), tf.convert_to_tensor(end)
        weights = tf.reshape(tf.linspace(0.0, 1.0, num_steps), (-1, *[1] * len(self.latent_shape)))
        z = start[:, None] + weights * (end - start)[:, None]
        return self._generate_grid(z)

    def traverse_latents(
        self,
        z: TensorLike,
        dims: Sequence[int] | None = None,
        values: Sequence[float] | None = None,
    ) -> tf.Tensor:
        """Images for one latent vector with one dimension at a time set to each value.

        Args:
            z: shape `latent_shape`, one latent vector.
            dims: sequence of int, dimensions to vary; all if None.
            values: sequence of float, -3 to 3 in 7 steps if None; in units of z.

        Returns:
            Tensor, shape (len(dims), len(values), *data_shape).
        """
        shown = np.linspace(-3, 3, 7) if values is None else np.asarray(values)
        rows = range(math.prod(self.latent_shape)) if dims is None else dims
        grid = np.tile(np.reshape(z, -1), (len(rows), len(shown), 1))
        for row, dim in enumerate(rows):
            grid[row, :, dim] = shown
        return self._generate_grid(
            tf.reshape(tf.cast(grid, tf.float32), (len(rows), len(shown), *self.latent_shape))
        )

    def _generate_grid(self, z):
        """`generate` for latents with two leading axes."""
        images = self.generate(tf.reshape(z, (-1, *self.latent_shape)))
        return tf.reshape(images, (*z.shape[:2], *self.data_shape))

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Everything that the constructor takes, ready for `from_config`."""
        config = super().get_config()
        names = [name for name in constructor_arguments(type(self)) if name not in KERAS_ARGUMENTS]
        values = {name: self._argument(name) for name in names if name not in config}
        return {**config, **{k: keras.saving.serialize_keras_object(v) for k, v in values.items()}}

    def _argument(self, name):
        """The value that an argument of the constructor had."""
        if name in self.initial_loss_weights:
            return self.initial_loss_weights[name]
        attribute = "loss_name" if name == "loss" else name  # `loss` is Keras' own.
        if not hasattr(self, attribute):
            raise ValueError(
                f"{type(self).__name__} takes the argument {name}, but its value is not known when "
                f"the model is saved. Received: a model without the attribute {name}. Set "
                f"self.{name} in __init__."
            )
        return getattr(self, attribute)

    def save_own_variables(self, store: Any) -> None:
        """Saves weights of the loss by name beside Keras' numbers, which depend on the class."""
        super().save_own_variables(store)
        for name, weight in self._loss_weights().items():
            store[f"weight_{name}"] = weight

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved, of version 0.1.0 too, which had fewer weights."""
        current: dict[str, Any] = {}
        super().save_own_variables(current)
        saved = {key: store[key] for key in store.keys()}
        weights = self._loss_weights()
        named = {name: saved.pop(f"weight_{name}", None) for name in weights}
        if weights and all(value is None for value in named.values()):
            named = _weights_of_0_1_0(saved, weights)
        super().load_own_variables({**current, **saved})
        for name, value in named.items():
            if value is not None:
                weights[name].assign(value)

    def _loss_weights(self):
        values = {name: getattr(self, name) for name in self.initial_loss_weights}
        return {name: value for name, value in values.items() if value is not None}


def _weights_of_0_1_0(saved, weights):
    """Takes the weights of the loss, which followed the count of steps, out of `saved`."""
    names = ["multiplier"] if "multiplier" in weights else ["beta", "capacity"]
    numbers = range(1, len([key for key in saved if key.isdigit()]))
    return {name: saved.pop(str(i)) for i, name in zip(numbers, names, strict=False)}


class AutoencodingModel(LatentVariableModel):
    """A model with an encoder as well; its `call` reconstructs.

    Args:
        encoder: network from x to q(z|x), or to z.
        decoder: network from z to p(x|z), or to x.
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        num_classes: int, how many values at the end of both networks' inputs are those of a label.
        **kwargs: arguments of `GenerativeModel`.

    Raises:
        ValueError: if the networks' shapes do not fit each other.
    """

    fixed = {
        "latent_shape": "It is that of the encoder's output.",
        "data_shape": "It is that of the encoder's input.",
        "num_classes": "Labels are for a ConditionalVAE, or a class that has it as first parent.",
    }

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        num_classes: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        if num_classes and "num_classes" not in constructor_arguments(type(self)):
            check_fixed(AutoencodingModel, {"num_classes": num_classes})
        data_shape = input_shape(encoder, "encoder", "keras.Input(image_shape)", num_classes)
        latent_shape = input_shape(decoder, "decoder", "keras.Input((latent_dim,))", num_classes)
        if tuple(encoder.output_shape[1:]) != latent_shape:
            raise ValueError(
                "The encoder's latents must be what the decoder takes. Received: an encoder of "
                f"output shape {encoder.output_shape} and a decoder of input shape "
                f"{decoder.input_shape}. Give both the same latent_dim."
            )
        if tuple(decoder.output_shape[1:]) != data_shape:
            raise ValueError(
                "The decoder must return what the encoder takes. Received: a decoder of output "
                f"shape {decoder.output_shape} and an encoder of input shape "
                f"{encoder.input_shape}. Give both the same image_shape."
            )
        super().__init__(decoder, latent_shape, data_shape, prior, **kwargs)
        self.encoder = encoder
        self.check_prior()

    def encode(self, x: TensorLike) -> Any:
        """q(z|x), or z where the encoder is deterministic."""
        return self.encoder(x)

    def embed(self, x: Any) -> np.ndarray:
        """Means of q(z|x) of an array or a data set: a NumPy array, shape (n, *latent_shape)."""
        return np.concatenate([mean_of(self.encode(batch)) for batch in batches_of(x)])

    def reconstruct(self, x: TensorLike) -> tf.Tensor:
        """E[x|z] at the mean of q(z|x), shape of `x`."""
        return mean_of(self.decode(mean_of(self.encode(x))))

    def call(self, x: Any) -> tf.Tensor:
        return self.reconstruct(x)

    def interpolate(self, start: TensorLike, end: TensorLike, num_steps: int = 7) -> tf.Tensor:
        """Images between two batches of images; see `interpolate_latents`."""
        return self.interpolate_latents(self.embed(start), self.embed(end), num_steps)

    def traverse(
        self,
        x: TensorLike | None = None,
        dims: Sequence[int] | None = None,
        values: Sequence[float] | None = None,
    ) -> tf.Tensor:
        """Images around that of `x`, one example, or around the origin; see `traverse_latents`."""
        z = np.zeros(self.latent_shape) if x is None else self.embed(np.asarray(x)[None])[0]
        return self.traverse_latents(z, dims, values)
