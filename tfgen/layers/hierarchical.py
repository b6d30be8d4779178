"""Levels of latent variables, each given the one above. Sonderby et al., arXiv:1602.02282v3."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import as_event_shape, check_flags, check_ints
from tfgen._utils.tensors import check_callables, check_last_axis, check_tensors
from tfgen._utils.typing import LayerOptions
from tfgen.layers.distribution_lambda import register
from tfgen.layers.distributions import Normal
from tfgen.layers.priors import Encoder, Prior

__all__ = ["HierarchicalDistribution", "HierarchicalNormal", "diagonal_normal", "top_down"]


def diagonal_normal(loc: tf.Tensor, scale: tf.Tensor | float) -> tfd.Distribution:
    """Independent normal variables along the last axis."""
    return tfd.Independent(Normal(loc, scale), 1)


def top_down(
    num_levels: int,
    density: Callable[[int, Any], Any],
    choose: Callable[[int, Any], Any],
) -> list[tuple[Any, Any]]:
    """Goes through all levels, from the top one down.

    Args:
        num_levels: int L.
        density: callable (level, z of the level above, None at the top) to the density of a level;
            levels are counted from 0, the lowest.
        choose: callable (level, density) to z of that level.

    Returns:
        List of pairs (density, z), the lowest level first.

    Example:
        >>> steps = top_down(3, lambda level, above: (level, above), lambda level, _: 10 * level)
        >>> [density for density, z in steps]
        [(0, 10), (1, 20), (2, None)]
    """
    levels: list[tuple[Any, Any]] = []
    z = None
    for level in reversed(range(num_levels)):
        p = density(level, z)
        z = choose(level, p)
        levels.insert(0, (p, z))
    return levels


class HierarchicalDistribution(tfd.Distribution):
    """p(z_L) p(z_{L-1}|z_L) ... p(z_1|z_2) over the vector z = (z_1, ..., z_L).

    `mean` is the mean of the top level and, for each further level, the mean given that of the
    level above. It is a typical value; below the top level it is exact only for linear networks.

    Args:
        density: callable as `top_down` takes it; its distributions are over vectors, and take any
            leading dimensions of z.
        latent_dims: sequence of int, sizes of z_1, ..., z_L.
    """

    def __init__(
        self,
        density: Callable[[int, tf.Tensor | None], tfd.Distribution],
        latent_dims: Sequence[int],
        name: str = "HierarchicalDistribution",
    ) -> None:
        parameters = dict(locals())
        check_callables("a function of a level and the z above it", density=density)
        self.density, self.latent_dims = density, as_event_shape(latent_dims=latent_dims)
        if not self.latent_dims:
            raise ValueError("latent_dims must have a level at least. Received: latent_dims=().")
        self.top = density(len(self.latent_dims) - 1, None)
        super().__init__(
            dtype=self.top.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape_tensor(self):
        return self.top.batch_shape_tensor()

    def _batch_shape(self):
        return self.top.batch_shape

    def _event_shape_tensor(self):
        return tf.constant([sum(self.latent_dims)])

    def _event_shape(self):
        return tf.TensorShape([sum(self.latent_dims)])

    def _join(self, choose):
        levels = top_down(len(self.latent_dims), self.density, choose)
        return tf.concat([z for _, z in levels], axis=-1)

    def _sample_n(self, n, seed=None):
        seeds = random.split(tfp.random.sanitize_seed(seed), len(self.latent_dims))
        top = len(seeds) - 1
        return self._join(lambda level, p: p.sample(n if level == top else (), seed=seeds[level]))

    def _log_prob(self, value):
        parts = tf.split(value, self.latent_dims, axis=-1)
        levels = top_down(len(parts), self.density, lambda level, _: parts[level])
        return tf.add_n([p.log_prob(z) for p, z in levels])

    def _mean(self):
        return self._join(lambda level, p: p.mean())


@register
class HierarchicalNormal(Prior):
    """Levels of normal variables: p(z_L) = N(0, I), and a network for each p(z_i|z_{i+1}).

    Source: Sonderby et al., arXiv:1602.02282v3, Eq. 1 and 2.

    Args:
        networks: sequence of `keras.Model`, from z_2 to p(z_1|z_2), from z_3 to p(z_2|z_3), and so
            on, each of which ends in `IndependentNormal`. Conditional ones make p(z_i|z_{i+1}, c),
            below p(z_L) = N(0, I) whatever c is.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if there is no network, or one does not accept what the next one returns.

    Example:
        >>> from tfgen.layers import IndependentNormal
        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(6),
        ...                             IndependentNormal(3)])
        >>> prior = HierarchicalNormal([network])
        >>> prior.latent_dims, prior.as_distribution().sample(5, seed=0).shape
        ((3, 2), TensorShape([5, 5]))
    """

    def __init__(self, networks: Sequence[keras.Model], **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        _check_chain(networks)
        self.networks = list(networks)
        self.latent_dims = (
            *(network.output_shape[-1] for network in networks),
            networks[-1].input_shape[-1],
        )
        self.built = True

    def density(
        self, level: int, above: tf.Tensor | None, training: bool = False
    ) -> tfd.Distribution:
        """p(z_level|above) for `above` of any leading dimensions; p(z_L), of none, at the top."""
        self._check(level, above, training)
        if level == len(self.networks):
            return diagonal_normal(tf.zeros(self.latent_dims[level]), 1.0)
        leading = tf.shape(above)[:-1]
        flat = tf.reshape(above, (-1, self.latent_dims[level + 1]))
        p = self.networks[level](flat, training=training)
        shape = tf.concat([leading, p.event_shape], axis=0)
        return diagonal_normal(tf.reshape(p.mean(), shape), tf.reshape(p.stddev(), shape))

    def _check(self, level, above, training):
        """Raises ValueError for arguments of `density` that do not fit."""
        check_ints(0, level=level)
        check_flags(training=bool(training) if training is None else training)
        if level > len(self.networks):
            raise ValueError(
                f"level must be at most {len(self.networks)}, the top one. Received: level={level}."
            )
        if level < len(self.networks):
            check_tensors(1, above=above)
            check_last_axis(self.latent_dims[level + 1], above=above)

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        return HierarchicalDistribution(self.density, self.latent_dims)

    def under(self, condition: Any) -> "HierarchicalNormal":
        """The prior under one condition, of conditional networks, with the same weights."""
        networks = [n.under(condition) if hasattr(n, "under") else n for n in self.networks]
        return HierarchicalNormal(networks, name=self.name)

    def get_config(self) -> dict[str, Any]:
        networks = [keras.saving.serialize_keras_object(network) for network in self.networks]
        return {**super().get_config(), "networks": networks}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        networks = [keras.saving.deserialize_keras_object(n) for n in config["networks"]]
        return cls(**{**config, "networks": networks})


def _has_shapes(network):
    return hasattr(network, "input_shape") and hasattr(network, "output_shape")


def _check_chain(networks):
    is_chain = isinstance(networks, Sequence) and all(map(_has_shapes, networks))
    if not is_chain:
        raise ValueError(
            "networks must be a list of keras.Model that know their shapes, lowest level first. "
            f"Received: networks={networks!r}. Use networks.ladder_prior(latent_dims)."
        )
    inputs = [network.input_shape for network in networks]
    outputs = [network.output_shape for network in networks]
    if not networks or inputs[:-1] != outputs[1:]:
        raise ValueError(
            "HierarchicalNormal needs a network for each level but the top one, lowest first, and "
            f"each takes what the next returns. Received: {len(inputs)} networks of input shapes "
            f"{inputs} and output shapes {outputs}. Use networks.ladder_prior(latent_dims)."
        )
