"""Noise and codes of an InfoGAN. Chen et al., arXiv:1606.03657."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import check_size
from tfgen._utils.typing import LayerOptions
from tfgen.layers.distribution_lambda import register
from tfgen.layers.distributions import Normal, OneHotCategorical, Uniform
from tfgen.layers.parameters import bounded_scale, checked_params
from tfgen.layers.priors import Encoder, Prior

__all__ = ["InfoGANPrior"]


class _Parts(tfd.Blockwise):
    """Independent vectors, one after the other, with the same draws with XLA and without."""

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seeds = random.split(tfp.random.sanitize_seed(seed), len(self.distributions))
        pairs = zip(self.distributions, seeds, strict=True)
        return tf.concat([part.sample(n, seed=each) for part, each in pairs], axis=-1)

    def _sample_and_log_prob(self, sample_shape: Any, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        z = self.sample(sample_shape, seed=seed)
        return z, self.log_prob(z)


@register
class InfoGANPrior(Prior):
    """Independent noise and codes, concatenated in z; without weights.

    z = [noise, codes]: noise of N(0, I), then for each categorical code a one-hot row of equal
    probabilities, then continuous codes, each uniform over [-1, 1].

    Source: Chen et al., arXiv:1606.03657, Sec. 7.2 and App. C.1: 62 dimensions of noise, a code of
    10 categories and 2 continuous ones for MNIST.

    Args:
        noise_dim: int >= 0, dimensions of noise.
        categories: sequence of int >= 2, the number of categories of each categorical code.
        num_continuous: int >= 0, continuous codes.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is out of range, or there is no code.

    Example:
        >>> prior = InfoGANPrior(62, categories=(10,), num_continuous=2)
        >>> prior.as_distribution().event_shape, prior.code_dims
        (TensorShape([74]), [range(62, 72), range(72, 73), range(73, 74)])
    """

    def __init__(
        self,
        noise_dim: int,
        categories: Sequence[int] = (10,),
        num_continuous: int = 0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        check_size(0, noise_dim=noise_dim, num_continuous=num_continuous)
        self.noise_dim, self.num_continuous = noise_dim, num_continuous
        self.categories = _as_categories(categories)
        if not self.categories and not num_continuous:
            raise ValueError(
                "There must be a code. Received: categories=() and num_continuous=0. Give some, or "
                "use StandardNormal for noise alone."
            )
        self.built = True

    @property
    def code_dims(self) -> list[range]:
        """The dimensions of z that each code has, as `traverse_latents` takes them."""
        sizes = [*self.categories, *[1] * self.num_continuous]
        ends = [*itertools.accumulate(sizes, initial=self.noise_dim)]
        return [range(start, end) for start, end in itertools.pairwise(ends)]

    @property
    def num_parameters(self) -> int:
        """How many numbers say what q(c|x) is."""
        return sum(self.categories) + 2 * self.num_continuous

    @property
    def code_entropy(self) -> float:
        """H(c) in nats, of all codes c; the differential entropy of continuous ones."""
        return sum(map(math.log, self.categories)) + self.num_continuous * math.log(2.0)

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        parts = [OneHotCategorical(tf.zeros(size), dtype=tf.float32) for size in self.categories]
        if self.noise_dim:
            parts = [_vector(Normal(tf.zeros(self.noise_dim), 1.0)), *parts]
        if self.num_continuous:
            parts = [*parts, _vector(Uniform(-tf.ones(self.num_continuous), 1.0))]
        return _Parts(parts)

    def code_posterior(self, params: tf.Tensor) -> tfd.Distribution:
        """q(c|x) of independent codes: categorical ones, and normal where c is continuous.

        Args:
            params: float tensor, shape (batch, num_parameters): logits of all categorical
                codes, then loc of all continuous ones, and last their scale before a softplus.

        Returns:
            `tfd.Distribution` over the codes, the last dimensions of z; `log_prob` in nats.

        Raises:
            ValueError: if the last axis has another size.

        Example:
            >>> q = InfoGANPrior(4, (3,), num_continuous=1).code_posterior(tf.zeros((2, 5)))
            >>> q.event_shape, q.batch_shape
            (TensorShape([4]), TensorShape([2]))
        """
        params = checked_params(params, self.num_parameters, "InfoGANPrior.code_posterior")
        sizes = [*self.categories, self.num_continuous, self.num_continuous]
        *logits, loc, raw_scale = tf.split(tf.cast(params, tf.float32), sizes, axis=-1)
        parts = [OneHotCategorical(each, dtype=tf.float32) for each in logits]
        if self.num_continuous:
            parts.append(_vector(Normal(loc, bounded_scale(raw_scale, tf.nn.softplus))))
        return _Parts(parts)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "noise_dim": self.noise_dim,
            "categories": self.categories,
            "num_continuous": self.num_continuous,
        }


def _vector(distribution):
    return tfd.Independent(distribution, 1)


def _as_categories(categories):
    if not isinstance(categories, Sequence) or isinstance(categories, str):
        raise ValueError(
            "categories must be a sequence of int, one for each code. Received: categories="
            f"{categories!r}. One code of ten is (10,)."
        )
    for size in categories:
        check_size(2, categories=size)
    return tuple(categories)
