"""Priors p(z) as layers: serializable, and trainable where the paper trains them."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.arguments import check_activation, check_seed, check_size
from tfgen._utils.constructors import check_no_activity
from tfgen._utils.tensors import check_callables
from tfgen._utils.typing import Activation, LayerOptions, Shape
from tfgen.layers.distribution_lambda import register
from tfgen.layers.distributions import Categorical, Normal
from tfgen.layers.parameters import as_shape, bounded_scale
from tfgen.losses.divergences import is_diagonal_normal

__all__ = ["Encoder", "MixtureOfNormals", "Prior", "StandardNormal", "VampPrior", "sample_at"]

# Numbers in one weight, 1 GiB of float32.
MAX_WEIGHTS = 2**28

Encoder: TypeAlias = Callable[[tf.Tensor], tfd.Distribution]
"""A network from data to q(z|x)."""


def sample_at(
    density: tfd.Distribution, shape: Any, temperature: float, seed: Any = None
) -> tf.Tensor:
    """Draws whose distances from the mean are `temperature` times as large as those of `sample`.

    Args:
        density: independent normals, or a distribution with a method `sample_at` of its own.
        shape: as `sample` takes it.
        temperature: float > 0.
        seed: as `sample` takes it.

    Raises:
        ValueError: if the temperature is not 1, and the density another.

    Example:
        >>> p, seed = StandardNormal(2).as_distribution(), [0, 1]
        >>> bool(tf.reduce_all(sample_at(p, 3, 0.5, seed) == 0.5 * p.sample(3, seed=seed)))
        True
    """
    if temperature == 1.0:
        return density.sample(shape, seed=seed)
    if hasattr(density, "sample_at"):
        return density.sample_at(shape, temperature, seed)
    if not is_diagonal_normal(density):
        raise ValueError(
            "A temperature scales draws of independent normals, or of a sampler that has one. "
            f"Received: temperature={temperature} and z drawn from {density.name} "
            f"({type(density).__name__}). Leave it 1, or give a prior such as layers.StandardNormal"
            "."
        )
    mean = density.mean()
    return mean + temperature * (density.sample(shape, seed=seed) - mean)


class Prior(keras.layers.Layer):
    """Base of the priors: a layer with weights and `as_distribution`.

    Subclasses serve wherever tfgen expects a prior, as in `VAE(prior=...)` and
    `KLDivergenceRegularizer`.

    Args:
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        check_no_activity(self, "A prior, which is never called,")

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        """The density p(z).

        Args:
            encoder: network from data to q(z|x); only priors made of posteriors use it.

        Returns:
            `tfd.Distribution` with empty batch shape; `log_prob` in nats.
        """
        raise NotImplementedError

    def add_float_weight(self, name: str, shape: Shape, initializer: Any) -> keras.Variable:
        """A trainable weight that mixed precision leaves alone: densities are in full precision."""
        return self.add_weight(shape=shape, initializer=initializer, autocast=False, name=name)


@register
class StandardNormal(Prior):
    """N(0, I), without weights.

    Source: Kingma & Welling, arXiv:1312.6114v10, App. B.

    Args:
        event_shape: int or tuple, shape of one latent variable z.
        **kwargs: arguments of `keras.layers.Layer`.

    Example:
        >>> StandardNormal(3).as_distribution().event_shape
        TensorShape([3])
    """

    def __init__(self, event_shape: int | Shape, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.event_shape = as_shape(event_shape)
        self.built = True

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        return tfd.Independent(Normal(tf.zeros(self.event_shape), 1.0), len(self.event_shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "event_shape": self.event_shape}


@register
class MixtureOfNormals(Prior):
    """Mixture of diagonal normals with trained weights, locations and scales.

    Source: the "MoG" prior that Tomczak & Welling, arXiv:1705.07120v5, Sec. 2, compare with.

    Args:
        event_shape: int or tuple, shape of one latent variable z.
        num_components: int K >= 1.
        seed: int or None, for the initial locations, N(0, 1); scales begin at 1, weights equal.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `num_components` < 1, or a weight has more than 2**28 numbers.

    Example:
        >>> prior = MixtureOfNormals(2, num_components=5, seed=0)
        >>> prior.as_distribution().sample(3, seed=0).shape
        TensorShape([3, 2])
    """

    def __init__(
        self,
        event_shape: int | Shape,
        num_components: int = 10,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.event_shape = as_shape(event_shape)
        _check_mixture(num_components, seed, event_shape=self.event_shape)
        self.num_components, self.seed = num_components, seed
        shape = (num_components, *self.event_shape)
        locations = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        inverse_softplus_of_one = keras.initializers.Constant(math.log(math.e - 1))
        self.logits = self.add_float_weight("logits", (num_components,), "zeros")
        self.loc = self.add_float_weight("loc", shape, locations)
        self.raw_scale = self.add_float_weight("raw_scale", shape, inverse_softplus_of_one)
        self.built = True

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        scale = bounded_scale(tf.convert_to_tensor(self.raw_scale), tf.nn.softplus)
        components = Normal(tf.convert_to_tensor(self.loc), scale)
        return tfd.MixtureSameFamily(
            Categorical(tf.convert_to_tensor(self.logits)),
            tfd.Independent(components, len(self.event_shape)),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "event_shape": self.event_shape,
            "num_components": self.num_components,
            "seed": self.seed,
        }


class _VampOptions(TypedDict, total=False):
    """Arguments of `keras.layers.Layer` beside an `input_shape` that means another thing there."""

    name: str | None
    trainable: bool
    dtype: Any


@register
class VampPrior(Prior):
    """Mixture of the posteriors of K trained pseudo-inputs: p(z) = 1/K sum_k q(z|u_k).

    Source: Tomczak & Welling, arXiv:1705.07120v5, Eq. 9. u = activation(weights); the paper clips
    to [0, 1] (hard tanh), which has no gradient outside, here a sigmoid by default.

    Args:
        input_shape: tuple, shape of one data point, such as (28, 28, 1).
        num_components: int K >= 1.
        activation: name of a Keras activation whose range is that of the data; "linear" for none.
        seed: int or None, for the initial weights, N(0, 1).
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `num_components` < 1, or `as_distribution` gets no encoder.

    Example:
        >>> from tfgen.layers import IndependentNormal
        >>> encoder = keras.Sequential([keras.layers.Dense(6), IndependentNormal(3)])
        >>> VampPrior((4,), num_components=5).as_distribution(encoder).event_shape
        TensorShape([3])
    """

    def __init__(
        self,
        input_shape: int | Shape,
        num_components: int = 50,
        activation: Activation = "sigmoid",
        seed: int | None = None,
        **kwargs: Unpack[_VampOptions],
    ) -> None:
        super().__init__(**kwargs)
        shape = as_shape(input_shape, "input_shape")
        _check_mixture(num_components, seed, input_shape=shape)
        check_activation(activation=activation)
        self.num_components, self.seed = num_components, seed
        self.activation = keras.activations.get(activation)
        self.pseudo_inputs = self.add_float_weight(
            "pseudo_inputs",
            (num_components, *shape),
            keras.initializers.RandomNormal(stddev=1.0, seed=seed),
        )
        self.built = True

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        if encoder is None:
            raise ValueError(
                "VampPrior is a mixture of posteriors q(z|u). Received: encoder=None. Use it as "
                "the prior of a tfgen.models.VAE, or pass as_distribution(encoder)."
            )
        check_callables("a network from data to q(z|x)", encoder=encoder)
        posteriors = encoder(self.activation(tf.convert_to_tensor(self.pseudo_inputs)))
        return tfd.MixtureSameFamily(Categorical(tf.zeros(self.num_components)), posteriors)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_shape": tuple(self.pseudo_inputs.shape[1:]),
            "num_components": self.num_components,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }


def _check_mixture(num_components, seed, **shapes):
    """Raises ValueError unless a mixture over events of the one shape has weights that fit."""
    ((name, shape),) = shapes.items()
    check_size(num_components=num_components)
    if num_components * math.prod(shape) > MAX_WEIGHTS:
        raise ValueError(
            f"num_components * prod({name}) must be at most {MAX_WEIGHTS}, the numbers in memory. "
            f"Received: num_components={num_components}, {name}={shape}."
        )
    if seed is not None:
        check_seed(seed=seed)
