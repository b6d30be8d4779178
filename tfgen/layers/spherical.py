"""Latent variables on the unit sphere. Davidson et al., arXiv:1804.00891."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import check_size
from tfgen._utils.typing import LayerOptions, TensorLike
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.parameters import bounded, check_options, checked_params
from tfgen.layers.priors import Encoder, Prior

__all__ = ["SphericalUniform", "UniformOnSphere", "VonMisesFisher", "VonMisesFisherDistribution"]

MIN_CONCENTRATION, MAX_CONCENTRATION = 1e-3, 1e6
# Of a direction of nearly no length, and of an angle.
TINY = 1e-6
# Of the length of a unit vector.
ROUNDING = 1e-3
# Of the angle to the mean direction, all that is not beyond so many standard deviations.
REACH = 9.0
NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)


# The angle t between z and the mean direction has the density f(t) / Z, with
# f(t) = sin(t)^(d - 2) exp(kappa (cos(t) - 1)), from 0 to pi. It is smooth, so that Gauss-Legendre
# quadrature takes the place of Bessel functions: Z is one, times what the sphere's area is made of.


def _log_density(angle, concentration, dim):
    """log f(t)."""
    half = tf.square(tf.sin(angle / 2))
    return (dim - 2.0) * tf.math.log(tf.sin(angle)) - 2.0 * concentration * half


def _nodes(low, high):
    """Angles and weights of a quadrature, along a last axis."""
    half = (high - low)[..., None] / 2
    return low[..., None] + half * (1.0 + tf.cast(NODES, low.dtype)), half * tf.cast(
        WEIGHTS, low.dtype
    )


def _range(concentration, dim):
    """Angles between which nearly all of the density lies, by its mode and curvature there."""
    concentration = tf.stop_gradient(concentration)
    root = tf.sqrt((dim - 2.0) ** 2 + 4.0 * tf.square(concentration))
    cosine = 2.0 * concentration / (dim - 2.0 + root)
    # cos(mode)^2 + (d - 2) / kappa cos(mode) = 1.
    squared_sine = (dim - 2.0) * cosine / tf.maximum(concentration, TINY)
    mode = tf.atan2(tf.sqrt(squared_sine), cosine)
    # Half of that of log f at its mode; of d = 2, where there is none of the sine, all.
    curvature = concentration * (1.0 + tf.square(cosine)) / (2.0 * tf.maximum(cosine, TINY))
    reach = REACH / tf.sqrt(curvature)
    return tf.maximum(mode - reach, 0.0), tf.minimum(mode + reach, math.pi)


def _log_integral(concentration, dim):
    """log Z; its derivative is E[cos(t)] - 1."""
    angle, weight = _nodes(*_range(concentration, dim))
    values = _log_density(angle, concentration[..., None], dim)
    return tf.reduce_logsumexp(values + tf.math.log(weight), axis=-1)


def _deviation(concentration, dim):
    """1 - E[cos(t)], without the rounding of a difference."""
    angle, weight = _nodes(*_range(concentration, dim))
    values = _log_density(angle, concentration[..., None], dim) + tf.math.log(weight)
    return tf.reduce_sum(tf.nn.softmax(values) * 2.0 * tf.square(tf.sin(angle / 2)), axis=-1)


def _slope(angle, concentration, dim):
    """Derivative of a draw t by the concentration, where its quantile stays the same.

    dt/dkappa = -(dF/dkappa) / f(t) = integral from t to pi of (cos(s) - E[cos]) f(s) / f(t), which
    is also minus that from 0 to t: that side of the mean is taken where no value changes sign.
    """
    low, high = _range(concentration, dim)
    deviation = _deviation(concentration, dim)
    is_below = 2.0 * tf.square(tf.sin(angle / 2)) < deviation
    start = tf.where(is_below, tf.minimum(low, angle), angle)
    end = tf.where(is_below, angle, tf.maximum(high, angle))
    nodes, weight = _nodes(start, end)
    concentration, angle = concentration[..., None], angle[..., None]
    ratio = tf.exp(
        _log_density(nodes, concentration, dim) - _log_density(angle, concentration, dim)
    )
    difference = tf.abs(deviation[..., None] - 2.0 * tf.square(tf.sin(nodes / 2)))
    return -tf.reduce_sum(weight * ratio * difference, axis=-1)


def _log_area(dim):
    """Of the unit sphere in R^dim."""
    log_gamma = math.lgamma if isinstance(dim, float) else tf.math.lgamma
    return math.log(2.0) + dim / 2 * math.log(math.pi) - log_gamma(dim / 2)


# Draws.


def _proposals(concentration, dim, seed):
    """Of the algorithm of Wood: 1 - cos(t), and whether they are to be taken.

    Without tfp's gamma variates, whose draws depend on XLA: a coordinate of a uniform draw from the
    sphere has the symmetric beta distribution that is needed.
    """
    shape, dtype = tf.shape(concentration), concentration.dtype
    u, v, threshold = (random.uniform(shape, part, dtype) for part in random.split(seed, 3))
    power = tf.pow(u, 2.0 / tf.maximum(dim - 2.0, 1e-12))  # 0 in the plane, as u < 1.
    radius = tf.sqrt(1.0 - power)
    y = power / (1.0 + radius) / 2 + radius * tf.square(tf.sin(math.pi * v))
    size = dim - 1.0
    b = size / (2.0 * concentration + tf.sqrt(4.0 * tf.square(concentration) + size**2))
    versine = 2.0 * b * (1.0 - y) / (y + b * (1.0 - y))
    center = 2.0 * b / (1.0 + b)  # 1 - x0 of Wood's.
    x0 = 1.0 - center
    log_ratio = concentration * (center - versine) + size * (
        tf.math.log(center + x0 * versine) - tf.math.log(center * (1.0 + x0))
    )
    return versine, log_ratio >= tf.math.log1p(-threshold)


def _angles(concentration, dim, seed):
    """A draw of t for each concentration, with the derivative that leaves its quantile as it is."""

    @tf.custom_gradient
    def draw(concentration):
        angle = _accepted(concentration, dim, seed)
        return angle, lambda upstream: upstream * _slope(angle, concentration, dim)

    return draw(concentration)


def _accepted(concentration, dim, seed):
    """Draws of t by rejection, some two thirds of which are accepted at least."""

    def again(i, versine, is_done):
        new, is_accepted = _proposals(concentration, dim, random.fold_in(seed, i))
        return i + 1, tf.where(is_done, versine, new), is_done | is_accepted

    zeros = tf.zeros_like(concentration)
    start = (0, zeros, tf.zeros_like(zeros, tf.bool))
    _, versine, _ = tf.while_loop(lambda i, _, is_done: ~tf.reduce_all(is_done), again, start)
    sine_of_half = tf.sqrt(tf.clip_by_value(versine / 2, 0.0, 1.0))
    return tf.clip_by_value(2.0 * tf.asin(sine_of_half), TINY, math.pi - TINY)


def _directions(shape, seed, dtype):
    """Uniform draws from a unit sphere, shape `shape`."""
    return tf.math.l2_normalize(random.normal(shape, seed, dtype), axis=-1)


class UniformOnSphere(tfd.SphericalUniform):
    """`tfd.SphericalUniform`, of density 0 off the sphere, with the same draws under XLA.

    Example:
        >>> UniformOnSphere(3).sample(4, seed=[0, 0]).shape
        TensorShape([4, 3])
    """

    space = "unit vectors"

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        is_on_sphere = tf.abs(tf.norm(x, axis=-1) - 1.0) < ROUNDING
        return tf.where(is_on_sphere, super()._log_prob(x), -math.inf)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], self.batch_shape_tensor(), [self.dimension]], axis=0)
        return _directions(shape, tfp.random.sanitize_seed(seed), self.dtype)


class VonMisesFisherDistribution(tfd.VonMisesFisher):
    """`tfd.VonMisesFisher` with a gradient through its draws.

    TFP draws by rejection, through which there is no gradient but in three dimensions. Here a draw
    has the derivative by the concentration that leaves its quantile as it is (Figurnov et al.,
    arXiv:1805.08498; equation not checked); there are no second derivatives. Densities do not lose
    digits at concentrations from 1e-3 to 1e6.

    Example:
        >>> q = VonMisesFisherDistribution([1.0, 0.0], 5.0)
        >>> float(tf.norm(q.sample(seed=[0, 0])))
        1.0
    """

    space = "unit vectors"

    @property
    def reparameterization_type(self) -> Any:
        return tfd.FULLY_REPARAMETERIZED

    @property
    def _dim(self):
        """A float, or a tensor where it is not known before the graph runs."""
        size = self.event_shape[0]
        return tf.cast(self.event_shape_tensor()[0], self.dtype) if size is None else float(size)

    def center(self) -> tf.Tensor:
        """The mean direction, a point of the sphere, which the mean is not."""
        return self.mode()

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        distance = tf.reduce_sum(tf.square(x - self.mean_direction), axis=-1)
        log_z = _log_integral(self.concentration, self._dim) + _log_area(self._dim - 1)
        return -self.concentration * distance / 2 - log_z

    def _entropy(self) -> tf.Tensor:
        return _log_area(self._dim) - _kl_to_uniform(self)

    def _mean(self) -> tf.Tensor:
        cosine = 1.0 - _deviation(self.concentration, self._dim)
        return cosine[..., None] * self.mean_direction

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        angle_seed, direction_seed = random.split(tfp.random.sanitize_seed(seed), 2)
        shape = tf.concat([[n], self.batch_shape_tensor()], axis=0)
        concentration = tf.broadcast_to(self.concentration, shape)
        angle = _angles(concentration, self._dim, angle_seed)[..., None]
        others = tf.concat([shape, self.event_shape_tensor() - 1], axis=0)
        around = _directions(others, direction_seed, self.dtype)
        z = tf.concat([tf.cos(angle), tf.sin(angle) * around], axis=-1)
        return self._reflected(z)

    def _reflected(self, z):
        """The reflection that takes the first axis to the mean direction."""
        first = _first_axis(self.event_shape_tensor()[0], self.dtype)
        normal = tf.math.l2_normalize(first - self.mean_direction, axis=-1)
        return tf.math.l2_normalize(
            z - 2.0 * tf.reduce_sum(z * normal, axis=-1, keepdims=True) * normal, axis=-1
        )


def _first_axis(dim, dtype):
    return tf.one_hot(0, dim, dtype=dtype)


@tfd.RegisterKL(VonMisesFisherDistribution, tfd.SphericalUniform)
def _kl_divergence(q, p, name=None):
    if not q.event_shape.is_compatible_with(p.event_shape):
        raise ValueError(
            "A KL divergence is between densities over the same sphere. Received: event shapes "
            f"{q.event_shape} and {p.event_shape}. Give both the same size."
        )
    return _kl_to_uniform(q)


def _kl_to_uniform(q):
    """E[log q] + log area = kappa (E[cos(t)] - 1) - log Z(kappa) + log Z(0)."""
    dim = q._dim
    concentration = tf.broadcast_to(q.concentration, q.batch_shape_tensor())
    log_z_of_zero = _log_area(dim) - _log_area(dim - 1)
    expected = -concentration * _deviation(concentration, dim)
    return expected - _log_integral(concentration, dim) + log_z_of_zero


@register
class VonMisesFisher(ParametricDistribution):
    """Unit vectors around a mean direction, from `d + 1` parameters: q(z|x) of spherical VAEs.

    direction, raw = inputs[:d], inputs[d]; mu = direction / ||direction||;
    kappa = softplus(raw) + 1e-3, at most 1e6. The density is proportional to exp(kappa mu^T z).

    `VAE(networks.mlp_encoder(shape, d, head=layers.VonMisesFisher), decoder,
    prior=layers.SphericalUniform(d))` is a hyperspherical VAE. Draws are differentiable in any
    dimension; the KL divergence from the uniform distribution is exact up to rounding.

    Source: Davidson et al., arXiv:1804.00891 (equations not checked; the authors' code,
    nicola-decao/s-vae-tf, has the same density and KL divergence). Deviation: the gradient through
    a draw is implicit, by the draw's quantile, in the place of one through the proposals.

    Args:
        event_size: int >= 2, dimension d of the space; the sphere has d - 1.
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., d + 1).

    Returns:
        A `tfd.VonMisesFisher`; `log_prob` in nats, by area of the sphere.

    Raises:
        ValueError: if `event_size` is less than 2, or the last axis of the inputs has another size.

    Example:
        >>> q = VonMisesFisher(3)(tf.zeros((8, 4)))
        >>> q.event_shape, round(float(q.concentration[0]), 4)
        (TensorShape([3]), 0.6941)
    """

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_size(2, event_size=event_size)
        arguments = dict(event_size=int(event_size), validate_args=validate_args)
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_size: int,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params`: direction, then raw concentration."""
        check_options(validate_args)
        size = VonMisesFisher.params_size(event_size)
        params = checked_params(params, size, "VonMisesFisher")
        direction, raw = params[..., :event_size], params[..., event_size]
        concentration = tf.nn.softplus(raw) + MIN_CONCENTRATION
        return VonMisesFisherDistribution(
            _unit_vector(direction, event_size),
            bounded(concentration, MIN_CONCENTRATION, MAX_CONCENTRATION),
            validate_args=validate_args,
        )

    @staticmethod
    def params_size(event_size: int, name: str | None = None) -> int:
        """Number of parameters of one event."""
        check_size(2, event_size=event_size)
        return event_size + 1


def _unit_vector(vector, dim):
    """`vector` by its length; the first axis in the place of one without."""
    is_tiny = tf.reduce_max(tf.abs(vector), axis=-1, keepdims=True) < TINY
    first = _first_axis(dim, vector.dtype)
    return tf.math.l2_normalize(tf.where(is_tiny, vector + first, vector), axis=-1)


@register
class SphericalUniform(Prior):
    """The uniform distribution over unit vectors, without weights.

    Source: Davidson et al., arXiv:1804.00891 (equations not checked).

    Args:
        event_size: int >= 2, dimension of the space.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `event_size` is less than 2.

    Example:
        >>> p = SphericalUniform(3).as_distribution()
        >>> round(float(p.log_prob([1.0, 0.0, 0.0])), 4), round(-math.log(4 * math.pi), 4)
        (-2.531, -2.531)
    """

    def __init__(self, event_size: int, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        check_size(2, event_size=event_size)
        self.event_size = int(event_size)
        self.built = True

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        return UniformOnSphere(self.event_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "event_size": self.event_size}
