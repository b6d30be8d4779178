"""The variational Gaussian process. Tran, Ranganath & Blei, arXiv:1511.06499v4."""

import math
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import as_event_shape, check_seed, check_size
from tfgen._utils.typing import Distribution, LayerOptions, Seed, Shape
from tfgen.layers import IndependentNormal, StandardNormal
from tfgen.layers.hierarchical import diagonal_normal
from tfgen.losses import kl_divergence
from tfgen.networks.draw import NormalPosterior

__all__ = ["GaussianProcessMapping", "VGPPosterior", "ard_kernel", "process_posterior"]

_register = keras.saving.register_keras_serializable("tfgen")
# On the diagonal of kernel matrices, in parts of the variance, so that float32 can factorize them.
JITTER = 1e-4


# Formulas.


def ard_kernel(a: tf.Tensor, b: tf.Tensor, variance: tf.Tensor, precisions: tf.Tensor) -> tf.Tensor:
    """variance * exp(-1/2 sum_j precisions_j (a_j - b_j)^2) for all pairs.

    Source: Tran, Ranganath & Blei, arXiv:1511.06499v4, Sec. 2.1, automatic relevance determination.

    Args:
        a: tensor, shape (n, c).
        b: tensor, shape (m, c).
        variance: scalar > 0.
        precisions: tensor > 0, shape (c,).

    Returns:
        Tensor, shape (n, m), from 0 to `variance`.

    Example:
        >>> ard_kernel(tf.ones((1, 2)), tf.zeros((1, 2)), 3.0, 0.5 * tf.ones(2)).numpy().round(2)
        array([[1.82]], dtype=float32)
    """
    squares = tf.reduce_sum(precisions * (a[:, None] - b) ** 2, axis=-1)
    return variance * tf.exp(-0.5 * squares)


def process_posterior(
    inputs: tf.Tensor,
    points: tf.Tensor,
    whitened: tf.Tensor,
    variance: tf.Tensor,
    precisions: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Marginals of a Gaussian process f, given its values at `points`, at one input per example.

    The values are L `whitened` with L the Cholesky factor of the kernel matrix K of the points:

        mean = k(inputs, points) K^-1 values,   variance = k(inputs, inputs) - k K^-1 k^T.

    Source: Tran, Ranganath & Blei, arXiv:1511.06499v4, Eq. 5.

    Args:
        inputs: tensor, shape (batch, c).
        points: tensor, shape (m, c), at which the values are known.
        whitened: tensor, shape (batch, m, d), for each example and each of d functions.
        variance: scalar > 0, of the kernel.
        precisions: tensor > 0, shape (c,), of the kernel.

    Returns:
        Tuple (mean of shape (batch, d), variance of shape (batch,)); all d functions have the same
        kernel, and so the same variance.

    Example:
        >>> mean, variance = process_posterior(
        ...     tf.zeros((1, 2)), tf.zeros((1, 2)), tf.fill((1, 1, 3), 2.0), 1.0, tf.ones(2))
        >>> mean.numpy().round(3), variance.numpy().round(3)
        (array([[2., 2., 2.]], dtype=float32), array([0.], dtype=float32))
    """
    jitter = JITTER * variance
    matrix = ard_kernel(points, points, variance, precisions)
    cholesky = tf.linalg.cholesky(matrix + jitter * tf.eye(points.shape[0]))
    cross = ard_kernel(points, inputs, variance, precisions)
    projection = tf.linalg.triangular_solve(cholesky, cross)
    mean = tf.einsum("mb,bmd->bd", projection, whitened)
    return mean, tf.maximum(variance + jitter - tf.reduce_sum(projection**2, axis=0), jitter)


# Layers.


def _exp(logarithm):
    """From 2e-9 to 5e8, of which float32 can make kernel matrices."""
    return tf.exp(tf.clip_by_value(tf.convert_to_tensor(logarithm), -20.0, 20.0))


def _mlp(num_inputs, widths, dtype):
    """Dense layers with softplus between them, whose outputs are small at first."""
    hidden = [keras.layers.Dense(width, "softplus", dtype=dtype) for width in widths[:-1]]
    small = keras.initializers.RandomNormal(stddev=0.01)
    last = keras.layers.Dense(widths[-1], dtype=dtype, kernel_initializer=small)
    return keras.Sequential([keras.Input((num_inputs,)), *hidden, last])


@_register
class GaussianProcessMapping(keras.layers.Layer):
    """Makes a factorial posterior a rich one: warps it by a random function.

    xi ~ N(0, I), f_i ~ GP conditioned on variational data (s_n, t_ni), n = 1..m, and

        q(z_i|f_i) = N(loc_i + scale_i f_i(xi), scale_i^2)

    with loc and scale of a factorial density of z, so that f is in units of scale. A network gives
    the outputs t for each example; the inputs s, and the kernel's variance and precisions, are
    trained weights. An auxiliary network gives r(xi|x, z).

    Source: Tran, Ranganath & Blei, arXiv:1511.06499v4, Sec. 2.2 and Eq. 7 to 9.
    Deviations: where the paper has a factorial r(xi, f|x, z), r is r(xi|x, z) q(f|xi, x, z) here.
    The mean field is normal, so that f is integrated out in closed form, which tightens the bound.
    The process has the mean field's loc as its mean, s does not depend on x, and the network gives
    L^-1 t with L the Cholesky factor of the kernel matrix, which keeps gradients in scale.

    Args:
        latent_dim: int d >= 1, latent dimensions.
        feature_shape: tuple of int, shape of what the networks see of an example: x, or features.
        input_dim: int c >= 1, dimensions of xi.
        num_points: int m >= 1, variational data.
        width: int >= 1, hidden units of both networks.
        seed: int or None, for the initial s, N(0, I).
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if a size is out of range.

    Example:
        >>> mapping = GaussianProcessMapping(latent_dim=3, feature_shape=(8,), width=16)
        >>> q, p = IndependentNormal(3)(tf.zeros((5, 6))), StandardNormal(3).as_distribution()
        >>> z, kl, log_ratio = mapping.draw(q, p, tf.zeros((5, 8)), seed=[0, 0])
        >>> z.shape, kl.shape
        (TensorShape([5, 3]), TensorShape([5]))
    """

    def __init__(
        self,
        latent_dim: int,
        feature_shape: Shape,
        input_dim: int = 10,
        num_points: int = 20,
        width: int = 300,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        check_size(latent_dim=latent_dim, input_dim=input_dim, num_points=num_points, width=width)
        if seed is not None:
            check_seed(seed=seed)
        self.latent_dim = latent_dim
        self.feature_shape = as_event_shape(feature_shape=feature_shape)
        self.input_dim, self.num_points, self.width = input_dim, num_points, width
        self.seed = seed
        num_features, policy = math.prod(self.feature_shape), self.dtype_policy
        self.values = _mlp(num_features, (width, num_points * latent_dim), policy)
        self.reverse = _mlp(num_features + latent_dim, (width, 2 * input_dim), policy)
        self.reverse_head = IndependentNormal(input_dim)
        self._add_kernel()
        self.built = True

    def _add_kernel(self):
        points = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.points = self._add_weight("points", (self.num_points, self.input_dim), points)
        self.log_variance = self._add_weight("log_variance", (), "zeros")
        # Inputs and points are about sqrt(2 * input_dim) apart: then their kernel is about 1 / e.
        log_precision = keras.initializers.Constant(-math.log(self.input_dim))
        self.log_precisions = self._add_weight("log_precisions", (self.input_dim,), log_precision)

    def _add_weight(self, name, shape, initializer):
        # Kernel matrices are in full precision, whatever the policy.
        return self.add_weight(shape=shape, initializer=initializer, autocast=False, name=name)

    def conditional(self, q: Distribution, features: tf.Tensor, inputs: tf.Tensor) -> Distribution:
        """q(z|xi, x): f integrated out.

        Args:
            q: the factorial density that is warped; its mean and standard deviation count.
            features: tensor, shape (batch, *feature_shape).
            inputs: tensor, shape (batch, input_dim), xi.

        Returns:
            Diagonal normal distribution over z.
        """
        loc, scale = q.mean(), q.stddev()
        mean, variance = process_posterior(
            inputs,
            tf.convert_to_tensor(self.points),
            self._whitened(features),
            _exp(self.log_variance),
            _exp(self.log_precisions),
        )
        return diagonal_normal(loc + scale * mean, scale * tf.sqrt(1 + variance[:, None]))

    def _whitened(self, features):
        values = tf.cast(self.values(self._flat(features)), tf.float32)
        return tf.reshape(values, (-1, self.num_points, self.latent_dim))

    def _flat(self, features):
        return tf.reshape(features, (-1, math.prod(self.feature_shape)))

    def auxiliary(self, q: Distribution, features: tf.Tensor, z: tf.Tensor) -> Distribution:
        """r(xi|x, z); the network sees z in units of the mean field's scale."""
        residual = (z - q.mean()) / q.stddev()
        parameters = self.reverse(tf.concat([self._flat(features), residual], axis=1))
        return self.reverse_head(tf.cast(parameters, tf.float32))

    def draw(
        self, q: Distribution, prior: Distribution, features: tf.Tensor, seed: Seed
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """One draw of z for each example.

        Args:
            q: the factorial density that is warped, batch shape (batch,).
            prior: `tfd.Distribution`, p(z).
            features: tensor, shape (batch, *feature_shape).
            seed: int32 tensor of shape (2,), a stateless seed.

        Returns:
            Tuple (z, kl, log_ratio) of shapes (batch, latent_dim), (batch,) and (batch,), in nats:
            log_ratio is log q(z, xi|x) - log p(z) - log r(xi|x, z), and kl the same with the part
            KL(q(z|xi, x) || p(z)) in closed form where there is one.
        """
        input_seed, z_seed = random.split(seed, 2)
        shape = (tf.shape(features)[0], self.input_dim)
        inputs = random.normal(shape, input_seed)
        conditional = self.conditional(q, features, inputs)
        z = conditional.sample(seed=z_seed)
        log_p = StandardNormal(self.input_dim).as_distribution().log_prob(inputs)
        log_ratio = log_p - self.auxiliary(q, features, z).log_prob(inputs)
        kl = kl_divergence(conditional, prior, z)
        return z, kl + log_ratio, conditional.log_prob(z) - prior.log_prob(z) + log_ratio

    def center(self, q: Distribution, features: tf.Tensor) -> Distribution:
        """q(z|xi, x) at xi = 0, the mode of the inputs."""
        return self.conditional(q, features, tf.zeros((tf.shape(features)[0], self.input_dim)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "feature_shape": self.feature_shape,
            "input_dim": self.input_dim,
            "num_points": self.num_points,
            "width": self.width,
            "seed": self.seed,
        }


@_register
class VGPPosterior(NormalPosterior):
    """Posterior of one step of `tfgen.models.DRAW` that a Gaussian process warps: DRAW + VGP.

    Source: Tran, Ranganath & Blei, arXiv:1511.06499v4, Sec. 5.

    Args:
        latent_dim: int >= 1, latent dimensions of one step.
        num_features: int >= 1, units of the encoder's LSTM.
        input_dim: int >= 1, as in `GaussianProcessMapping`.
        num_points: int >= 1, as in `GaussianProcessMapping`.
        width: int >= 1, as in `GaussianProcessMapping`.
        seed: int or None, as in `GaussianProcessMapping`.
        **kwargs: arguments of `keras.layers.Layer`.

    Example:
        >>> posterior = VGPPosterior(latent_dim=3, num_features=8, width=16)
        >>> z, kl, log_ratio = posterior.draw(tf.zeros((2, 8)), seed=[0, 0])
        >>> z.shape, posterior.mean(tf.zeros((2, 8))).shape
        (TensorShape([2, 3]), TensorShape([2, 3]))
    """

    def __init__(
        self,
        latent_dim: int,
        num_features: int,
        input_dim: int = 10,
        num_points: int = 20,
        width: int = 100,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(latent_dim, num_features, **kwargs)
        self.mapping = GaussianProcessMapping(
            latent_dim, (num_features,), input_dim, num_points, width, seed, dtype=self.dtype_policy
        )

    def draw(
        self, features: tf.Tensor, seed: Seed, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """As `NormalPosterior.draw`, where u_t is the input xi of the Gaussian process."""
        prior = StandardNormal(self.latent_dim).as_distribution()
        return self.mapping.draw(self.distribution(features), prior, features, seed)

    def mean(self, features: tf.Tensor) -> tf.Tensor:
        """The mean of z_t at xi = 0, shape (batch, latent_dim)."""
        return self.mapping.center(self.distribution(features), features).mean()

    def get_config(self) -> dict[str, Any]:
        names = ("input_dim", "num_points", "width", "seed")
        return {**super().get_config(), **{name: getattr(self.mapping, name) for name in names}}
