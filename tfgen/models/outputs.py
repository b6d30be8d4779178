"""What networks return, a distribution or a tensor: its mean, its draws, the values it can have."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils.random import fold_in
from tfgen._utils.typing import Seed, TensorLike
from tfgen.layers import Conditional, FixedScaleNormal
from tfgen.losses import check_support, expected_value
from tfgen.models.batches import CHUNK, chunks
from tfgen.models.checks import is_distribution, output_on_zeros

tfd = tfp.distributions

__all__ = [
    "check_explains",
    "decode_in_chunks",
    "mean_of",
    "pixel_of",
    "sample_of",
    "value_range_of",
]

# What an image can be that ends in these.
_RANGES = {keras.activations.sigmoid: (0, 1), keras.activations.tanh: (-1, 1)}
_PASS_VALUES_ON = (keras.layers.Reshape, keras.layers.Cropping2D, FixedScaleNormal)
_UNIT_INTERVAL = (tfd.Bernoulli, tfd.ContinuousBernoulli, tfd.Beta, tfd.RelaxedBernoulli)
_LOCATION_SCALE = (tfd.Normal, tfd.Laplace, tfd.Logistic, tfd.MultivariateNormalDiag)
# Standard deviations beyond which an untrained decoder has a long way to go.
FAR = 10.0


def mean_of(output: Any) -> tf.Tensor:
    """The mean of a distribution (of a flow or on a sphere, its center), other outputs themselves.

    Where the mean has no closed form it is that of draws; where there is none, the mode. See
    `tfgen.losses.expected_value`.
    """
    if hasattr(output, "center"):
        return output.center()
    return expected_value(output) if is_distribution(output) else tf.convert_to_tensor(output)


def sample_of(output: Any, seed: Seed) -> tf.Tensor:
    """A reparameterized sample of a distribution, a deterministic output itself; float32."""
    return tf.cast(output.sample(seed=seed) if is_distribution(output) else output, tf.float32)


def decode_in_chunks(
    decode: Callable[..., Any],
    z: TensorLike,
    seed: Seed | None = None,
    condition: Any = None,
) -> tf.Tensor:
    """Means of what `decode` returns for `z` and `condition`, or draws if there is a seed."""
    parts = chunks(z)
    conditions = [None] * len(parts) if condition is None else chunks(condition)
    outputs = (decode(*part) for part in zip(parts, conditions, strict=True))
    if seed is None:
        return tf.concat([mean_of(output) for output in outputs], axis=0)
    draws = [_draw(output, fold_in(seed, i + 1)) for i, output in enumerate(outputs)]
    return tf.concat(draws, axis=0)


def _draw(output, seed):
    if not is_distribution(output):
        raise ValueError(
            "mean=False draws from p(x|z). Received: a decoder that returns "
            f"{type(output).__name__}, no distribution. Pass mean=True."
        )
    return output.sample(seed=seed)


def pixel_of(output: Any) -> Any:
    """The distribution of one value, of a distribution of independent ones."""
    return getattr(output, "distribution", output)


def _last_activation(network):
    """The activation that a network ends in, or None if something else changes its values."""
    network = network.network if isinstance(network, Conditional) else network
    for layer in reversed(getattr(network, "layers", [])):
        if getattr(layer, "activation", None):
            return layer.activation
        if not isinstance(layer, _PASS_VALUES_ON):
            return None
    return None


def _half_used_range(activation, x):
    """What is wrong with images in [0, 1] for a tanh, or None."""
    if activation is not keras.activations.tanh or x.min() < 0 or x.max() <= 0:
        return None
    return (
        "A decoder or generator that ends in tanh gives values from -1 to 1, of which the data use "
        f"the upper half. Received: data from {x.min():g} to {x.max():g}. Rescale them to [-1, 1] "
        "(datasets.load(..., value_range=(-1, 1)), or 2 * x - 1), or end it in sigmoid."
    )


def _distance_from_output(output, x):
    """Which data lie many standard deviations from what a decoder returns, or None."""
    x = np.asarray(x[:CHUNK], "float32")
    if is_distribution(output) and not isinstance(pixel_of(output), _LOCATION_SCALE):
        return None
    loc, scale = (output.mean(), output.stddev()) if is_distribution(output) else (output, 1.0)
    loc, scale = np.asarray(loc, "float32"), np.asarray(scale, "float32")
    distance = np.sqrt(np.mean(np.square((x - loc) / scale)))
    if not (distance > FAR and np.abs(x).max() > FAR):
        return None
    return (
        f"The data lie some {distance:.0f} standard deviations from what the decoder or generator "
        "gives at z = 0 (of p(x|z), or 1 where it returns no distribution): the loss begins with "
        f"about {distance**2 / 2:.1g} nats for each value, and training may not get anywhere. "
        f"Received: data from {x.min():g} to {x.max():g}. Rescale them (datasets.load(..., "
        "value_range=(0, 1)), or x / 255 for 8-bit images), or give p(x|z) a scale that fits."
    )


def check_explains(network: keras.Model, x: np.ndarray) -> str | None:
    """Raises ValueError if a decoder can neither return nor explain values of `x`.

    Returns:
        Why it would take very long to learn them, or None.
    """
    output = output_on_zeros(network)
    if is_distribution(output):
        check_support(output, x)
    activation = _last_activation(network)
    low, high = _RANGES.get(activation, (-math.inf, math.inf))
    if x.min() < low or x.max() > high:
        raise ValueError(
            f"A decoder or generator that ends in {activation.__name__} gives values from {low}"
            f" to {high}. Received: data from {x.min():g} to {x.max():g}. Rescale the data "
            f"(datasets.load(..., value_range=({low}, {high}))), or use another activation."
        )
    return _half_used_range(activation, x) or _distance_from_output(output, x)


def value_range_of(network: Any) -> tuple[float, float] | None:
    """The values (low, high) between which all means of a decoder lie; None if unbounded."""
    activation = _last_activation(network)
    if activation in _RANGES or not isinstance(network, keras.Model):
        return _RANGES.get(activation)
    pixel = pixel_of(output_on_zeros(network))
    if isinstance(pixel, tfd.TruncatedNormal):
        return float(pixel.low), float(pixel.high)
    if isinstance(pixel, tfd.Categorical):
        return 0.0, float(pixel.logits_parameter().shape[-1] - 1)
    is_in_steps = hasattr(pixel, "num_values")
    return (0.0, 1.0) if is_in_steps or isinstance(pixel, _UNIT_INTERVAL) else None
