"""What models with latent variables share: decode, generate, sample, traverse, interpolate."""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.layers import FixedScaleNormal, FlowDistribution, StandardNormal
from tfgen.models.base import GenerativeModel
from tfgen.models.training_data import unpack

tfd = tfp.distributions

__all__ = [
    "AutoencodingModel",
    "LatentVariableModel",
    "batches_of",
    "decode_in_chunks",
    "input_shape",
    "is_distribution",
    "mean_of",
    "sample_of",
]

# What an image can be that ends in these.
_RANGES = {keras.activations.sigmoid: (0, 1), keras.activations.tanh: (-1, 1)}
_PASS_VALUES_ON = (keras.layers.Reshape, keras.layers.Cropping2D, FixedScaleNormal)
# Latents decoded at a time, so that memory does not grow with the number of samples.
CHUNK = 500


def is_distribution(output):
    """Whether a network returned a distribution rather than a tensor."""
    return isinstance(output, tfd.Distribution)


def mean_of(output):
    """The mean of a distribution (of a flow, its center), a deterministic output itself."""
    if isinstance(output, FlowDistribution):
        return output.center()
    return output.mean() if is_distribution(output) else tf.convert_to_tensor(output)


def sample_of(output, seed):
    """A reparameterized sample of a distribution, a deterministic output itself; float32."""
    return tf.cast(output.sample(seed=seed) if is_distribution(output) else output, tf.float32)


def decode_in_chunks(decode, z, seed=None):
    """Means of what `decode` returns for `z`, or draws if there is a seed."""
    if seed is None:
        return tf.concat([mean_of(decode(part)) for part in _chunks(z)], axis=0)
    fold_in = tf.random.experimental.stateless_fold_in
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


def batches_of(x):
    """Batches of a data set or of an array."""
    if isinstance(x, tf.data.Dataset):
        return map(unpack, x)
    return _chunks(x)


class LatentVariableModel(GenerativeModel):
    """A model that generates data from latent variables.

    Args:
        decoder: network from z to p(x|z), or to x.
        latent_shape: tuple, shape of one z, such as (20,).
        data_shape: tuple, shape of one example.
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`.

    Raises:
        ValueError: if the prior is over another shape.
    """

    def __init__(self, decoder, latent_shape, data_shape, prior=None, **kwargs):
        super().__init__(data_shape, **kwargs)
        self.decoder = decoder
        self.latent_shape = tuple(latent_shape)
        self.prior = prior or StandardNormal(self.latent_shape)

    def check_prior(self):
        """Raises ValueError if the prior is not over the decoder's latents."""
        event_shape = tuple(self.prior_distribution().event_shape)
        if event_shape != self.latent_shape:
            raise ValueError(
                f"The prior must be over the latents of shape {self.latent_shape}. Received: a "
                f"prior over shape {event_shape}. Give the prior that shape."
            )

    def prior_distribution(self):
        """p(z), a `tfd.Distribution`."""
        return self.prior.as_distribution(getattr(self, "encoder", None))

    def check_batch(self, x):
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
        likelihood = self.decoder(tf.zeros((1, *self.decoder.input_shape[1:])))
        pixel = getattr(likelihood, "distribution", likelihood)
        if isinstance(pixel, tfd.Bernoulli) and not (x.min() >= 0 and x.max() <= 1):
            raise ValueError(
                "A Bernoulli likelihood needs data in [0, 1]. Received: values from "
                f"{x.min():g} to {x.max():g}. Rescale the data (uint8 images: divide by 255), "
                "or end the decoder with FixedScaleNormal or IndependentNormal."
            )

    def sample_latents(self, num_samples, seed=None):
        """Draws from p(z), shape (num_samples, *latent_shape)."""
        return self.prior_distribution().sample(num_samples, seed=seed)

    def decode(self, z):
        """p(x|z), or x where the decoder is deterministic."""
        return self.decoder(z)

    def generate_in_training(self, z, training):
        """The decoder's mean within a training step, float32 whatever the policy."""
        return tf.cast(mean_of(self.decoder(z, training=training)), tf.float32)

    def generate(self, z):
        """The decoder's mean E[x|z], shape (len(z), *data_shape)."""
        return decode_in_chunks(self.decode, z)

    def sample(self, num_samples=1, seed=None, mean=True):
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

    def interpolate_latents(self, start, end, num_steps=7):
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

    def traverse_latents(self, z, dims=None, values=None):
        """Images for one latent vector with one dimension at a time set to each value.

        Args:
            z: shape `latent_shape`, one latent vector.
            dims: sequence of int, dimensions to vary; all if None.
            values: sequence of float, -3 to 3 in 7 steps if None; in units of z.

        Returns:
            Tensor, shape (len(dims), len(values), *data_shape).
        """
        values = np.linspace(-3, 3, 7) if values is None else np.asarray(values)
        dims = range(math.prod(self.latent_shape)) if dims is None else dims
        grid = np.tile(np.reshape(z, -1), (len(dims), len(values), 1))
        for row, dim in enumerate(dims):
            grid[row, :, dim] = values
        return self._generate_grid(
            tf.reshape(tf.cast(grid, tf.float32), (len(dims), len(values), *self.latent_shape))
        )

    def _generate_grid(self, z):
        """`generate` for latents with two leading axes."""
        images = self.generate(tf.reshape(z, (-1, *self.latent_shape)))
        return tf.reshape(images, (*z.shape[:2], *self.data_shape))

    def get_config(self):
        return {**super().get_config(), "prior": keras.saving.serialize_keras_object(self.prior)}


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

    def __init__(self, encoder, decoder, prior=None, num_classes=0, **kwargs):
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

    def encode(self, x):
        """q(z|x), or z where the encoder is deterministic."""
        return self.encoder(x)

    def embed(self, x):
        """Means of q(z|x) of an array or a data set: a NumPy array, shape (n, *latent_shape)."""
        return np.concatenate([mean_of(self.encode(batch)) for batch in batches_of(x)])

    def reconstruct(self, x):
        """E[x|z] at the mean of q(z|x), shape of `x`."""
        return mean_of(self.decode(mean_of(self.encode(x))))

    def call(self, x):
        return self.reconstruct(x)

    def interpolate(self, start, end, num_steps=7):
        """Images between two batches of images; see `interpolate_latents`."""
        return self.interpolate_latents(self.embed(start), self.embed(end), num_steps)

    def traverse(self, x=None, dims=None, values=None):
        """Images around that of `x`, one example, or around the origin; see `traverse_latents`."""
        z = np.zeros(self.latent_shape) if x is None else self.embed(np.asarray(x)[None])[0]
        return self.traverse_latents(z, dims, values)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "decoder": serialize(self.decoder),
        }


def input_shape(network, role, remedy, num_classes=0):
    """Shape of one input of a network with a single known one, less the values of a label."""
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple):
        raise ValueError(
            f"The {role} must be a Keras model with one input of known shape. Received: "
            f"{network!r}. Begin it with {remedy}, or wrap it: "
            f"keras.Sequential([{remedy}, network])."
        )
    return (*shape[1:-1], shape[-1] - num_classes) if num_classes else tuple(shape[1:])
