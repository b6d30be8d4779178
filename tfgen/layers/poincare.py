"""Latent variables in the Poincare ball, a hyperbolic space. Mathieu et al., arXiv:1901.06033."""

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import check_positive, check_size
from tfgen._utils.typing import LayerOptions, TensorLike
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.parameters import as_params, bounded, check_options, checked_params
from tfgen.layers.priors import Encoder, Prior

__all__ = [
    "PoincareLogMap",
    "PoincareNormal",
    "PoincareNormalDistribution",
    "PoincareNormalPrior",
]

# Lengths below it are those of no vector, of which the square is a float32.
TINY = 1e-12
# Draws keep so far from the boundary, in parts of the radius: float32 knows no more.
MARGIN = 1e-5
# Of a posterior's center from the origin, in units of the radius of curvature.
MAX_DISTANCE = 8.0
MIN_SCALE = 1e-3

# The ball of curvature -c has the radius 1 / sqrt(c), and the factor lambda = 2 / (1 - c ||z||^2)
# between lengths in it and lengths of coordinates. Tangent vectors here are in units of the former,
# so that lambda_z log_z is a vector as long as the distance.


def _length(vectors):
    squares = tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)
    return tf.sqrt(tf.maximum(squares, TINY**2))


def _inside(z, curvature):
    """z, drawn in from where it is outside of the ball or within the margin."""
    most = (1.0 - MARGIN) / math.sqrt(curvature)
    length = _length(z)
    return z * tf.where(length > most, most / length, tf.ones_like(length))


def _from_tangent(v, curvature):
    """exp_0(v / 2): the point at the distance ||v|| from the origin in the direction of v."""
    scaled = math.sqrt(curvature) * _length(v)
    return v * tf.tanh(scaled / 2) / scaled


def _to_tangent(z, curvature):
    """2 log_0(z), the inverse of `_from_tangent`."""
    scaled = math.sqrt(curvature) * _length(z)
    return z * 2.0 * tf.atanh(scaled) / scaled


def _moved(y, loc, curvature):
    """The Moebius sum loc (+) y: the isometry that takes the origin to loc."""
    product = 2.0 * curvature * tf.reduce_sum(loc * y, axis=-1, keepdims=True)
    of_y, of_loc = (curvature * tf.square(_length(point)) for point in (y, loc))
    numerator = (1.0 + product + of_y) * loc + (1.0 - of_loc) * y
    return numerator / (1.0 + product + of_loc * of_y)


def _seen_from(loc, z, curvature):
    """lambda_loc log_loc(z), whose length is the distance from loc to z.

    The direction is that of -loc (+) z, written in z - loc so that near points keep their digits.
    """
    difference = z - loc
    squares = curvature * tf.square(_length(difference))
    room_of_loc, room_of_z = (_room(point, curvature) for point in (loc, z))
    half_distance = tf.asinh(tf.sqrt(squares / (room_of_loc * room_of_z)))
    direction = room_of_loc * difference - squares * loc
    return direction * (2.0 / math.sqrt(curvature)) * half_distance / _length(direction)


def _room(z, curvature):
    """1 - c ||z||^2 of a point in the ball."""
    return tf.maximum(1.0 - curvature * tf.square(_length(z)), TINY)


def _log_of_ratio(x):
    """log(x / sinh(x)) of x >= 0."""
    series = -tf.square(x) / 6.0 + tf.pow(x, 4) / 180.0
    large = tf.maximum(x, 0.2)
    exact = tf.math.log(2.0 * large) - large - tf.math.log1p(-tf.exp(-2.0 * large))
    return tf.where(x < 0.2, series, exact)


class PoincareNormalDistribution(tfd.Distribution):
    """Wrapped normal distribution on the Poincare ball: a normal of the tangent space at `loc`.

    A draw goes from `loc` along a geodesic, in the direction and for the distance that v of
    N(0, diag(scale^2)) says.

    Source: Mathieu et al., arXiv:1901.06033 (equations not checked; the authors' code,
    `WrappedNormal` in emilemathieu/pvae, has the same draws and, but for the measure, density).
    Deviation: `log_prob` is that of coordinates, by Lebesgue measure; by the ball's own volume, as
    there, it is less by d log(2 / (1 - c ||z||^2)). In a KL divergence the difference cancels.

    Args:
        loc: float tensor, shape (..., d), points of the ball.
        scale: float tensor, shape (..., d), standard deviations of v, in units of distance.
        curvature: float c > 0, of a ball of curvature -c and radius 1 / sqrt(c).
        validate_args: bool, whether `log_prob` refuses points outside of the ball, whose density is
            0 otherwise.
        name: string.

    Example:
        >>> q = PoincareNormalDistribution(tf.zeros((3, 2)), tf.ones((3, 2)))
        >>> q.event_shape, q.sample(5, seed=[0, 0]).shape
        (TensorShape([2]), TensorShape([5, 3, 2]))
    """

    def __init__(
        self,
        loc: TensorLike,
        scale: TensorLike,
        curvature: float = 1.0,
        validate_args: bool = False,
        name: str = "PoincareNormal",
    ) -> None:
        parameters = dict(locals())
        self.loc, self.scale = tf.convert_to_tensor(loc), tf.convert_to_tensor(scale)
        self.curvature = curvature
        super().__init__(
            dtype=self.loc.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def space(self) -> str:
        """What it is a density over."""
        return f"points of the Poincare ball of curvature -{self.curvature:g}"

    def _batch_shape_tensor(self):
        return tf.shape(self.loc)[:-1]

    def _batch_shape(self):
        return self.loc.shape[:-1]

    def _event_shape_tensor(self):
        return tf.shape(self.loc)[-1:]

    def _event_shape(self):
        return self.loc.shape[-1:]

    def center(self) -> tf.Tensor:
        """`loc`, from which draws set out in all directions alike; the mean is another point."""
        return self.loc

    def _sample_control_dependencies(self, z: tf.Tensor) -> list[Any]:
        if not self.validate_args:
            return []
        squares = self.curvature * tf.reduce_sum(tf.square(z), axis=-1)
        return [tf.debugging.assert_less(squares, tf.ones_like(squares), "outside of the ball")]

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], tf.shape(self.loc)], axis=0)
        v = self.scale * random.normal(shape, tfp.random.sanitize_seed(seed), self.dtype)
        y = _from_tangent(v, self.curvature)
        return _inside(_moved(y, self.loc, self.curvature), self.curvature)

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log N(v; 0, scale^2) + (d - 1) log(r / sinh(r)) + d log lambda_z, r = sqrt(c) ||v||."""
        dim = tf.cast(tf.shape(self.loc)[-1], self.dtype)
        v = _seen_from(self.loc, z, self.curvature)
        squares = tf.square(v / self.scale) / 2 + tf.math.log(self.scale * math.sqrt(2 * math.pi))
        log_normal = -tf.reduce_sum(squares, axis=-1)
        r = math.sqrt(self.curvature) * _length(v)[..., 0]
        room = _room(z, self.curvature)[..., 0]
        log_prob = log_normal + (dim - 1.0) * _log_of_ratio(r) + dim * tf.math.log(2.0 / room)
        return tf.where(room > TINY, log_prob, -math.inf)


@register
class PoincareNormal(ParametricDistribution):
    """Wrapped normal on the Poincare ball, from `2 d` parameters: q(z|x) of a Poincare VAE.

    v, raw = inputs[:d], inputs[d:]; loc is the point at the distance ||v|| from the origin in the
    direction of v, at most 8 / sqrt(c) away; scale = softplus(raw) + 1e-3.

    With `prior=PoincareNormalPrior(d, curvature)` and a decoder that begins with `PoincareLogMap`,
    a VAE is a Poincare VAE: its latent space grows exponentially with the distance from the origin,
    as the number of leaves of a tree does with depth. The KL divergence is estimated at the draw.
    Draws stay 1e-5 of the radius away from the boundary, at distances up to 12.2 / sqrt(c), since
    float32 cannot resolve points beyond: keep sqrt(d) * scale well below that.

    Source: Mathieu et al., "Continuous Hierarchical Representations with Poincare Variational
    Auto-Encoders", arXiv:1901.06033 (equations not checked).
    Deviation: loc = exp_0(v / 2), where the authors' code has exp_0(v) and no greatest distance.

    Args:
        event_size: int >= 1, dimension d of the ball.
        curvature: float c > 0, of a ball of curvature -c and radius 1 / sqrt(c).
        convert_to_tensor_fn: as in `DistributionLambda`.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., 2 * d).

    Returns:
        A `PoincareNormalDistribution`; `log_prob` in nats, of coordinates.

    Raises:
        ValueError: if an argument is out of range, or the last axis of the inputs has another size.

    Example:
        >>> q = PoincareNormal(2)(tf.zeros((8, 4)))
        >>> q.event_shape, round(float(q.scale[0, 0]), 4)
        (TensorShape([2]), 0.6941)
    """

    def __init__(
        self,
        event_size: int,
        curvature: float = 1.0,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_size(event_size=event_size)
        check_positive(curvature=curvature)
        arguments = dict(
            event_size=int(event_size), curvature=float(curvature), validate_args=validate_args
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        event_size: int,
        curvature: float = 1.0,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params`: the center's tangent vector, then raw scales."""
        check_options(validate_args)
        check_positive(curvature=curvature)
        size = PoincareNormal.params_size(event_size)
        v, raw = tf.split(checked_params(params, size, "PoincareNormal"), 2, axis=-1)
        length = _length(v)
        v *= bounded(length, 0.0, MAX_DISTANCE / math.sqrt(curvature)) / length
        scale = tf.nn.softplus(raw) + MIN_SCALE
        return PoincareNormalDistribution(
            _from_tangent(v, curvature), scale, curvature, validate_args
        )

    @staticmethod
    def params_size(event_size: int, name: str | None = None) -> int:
        """Number of parameters of one event."""
        check_size(event_size=event_size)
        return 2 * event_size


@register
class PoincareNormalPrior(Prior):
    """Wrapped normal around the origin of the Poincare ball, without weights.

    Source: Mathieu et al., arXiv:1901.06033 (equations not checked).

    Args:
        event_size: int >= 1, dimension of the ball.
        curvature: float c > 0, of a ball of curvature -c and radius 1 / sqrt(c).
        scale: float > 0, standard deviation in each direction, in units of distance.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> p = PoincareNormalPrior(2, scale=0.5).as_distribution()
        >>> round(float(p.log_prob([0.0, 0.0])), 4), round(math.log(4 / (2 * math.pi * 0.25)), 4)
        (0.9347, 0.9347)
    """

    def __init__(
        self,
        event_size: int,
        curvature: float = 1.0,
        scale: float = 1.0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        check_size(event_size=event_size)
        check_positive(curvature=curvature, scale=scale)
        self.event_size, self.curvature = int(event_size), float(curvature)
        self.scale = float(scale)
        self.built = True

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        loc = tf.zeros(self.event_size)
        return PoincareNormalDistribution(
            loc, tf.fill([self.event_size], self.scale), self.curvature
        )

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("event_size", "curvature", "scale")}
        return {**super().get_config(), **own}


@register
class PoincareLogMap(keras.layers.Layer):
    """Maps points of the Poincare ball to vectors: the first layer of a decoder.

    The vector has the direction of the point, and its length is the point's distance from the
    origin, so that draws of `PoincareNormalPrior` become draws of N(0, scale^2 I). Points outside
    the ball are first moved inside.

    Source: Mathieu et al., arXiv:1901.06033 (equations not checked). Twice log_0, with which the
    decoder `DecWrapped` of the authors' code begins. Their gyroplane layer is not here.

    Args:
        curvature: float c > 0, of a ball of curvature -c and radius 1 / sqrt(c).
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (..., d).

    Returns:
        Tensor, shape of the inputs.

    Raises:
        ValueError: if `curvature` is not a positive number.

    Example:
        >>> float(PoincareLogMap()(tf.constant([[math.tanh(1.0)]]))[0, 0])
        2.0
    """

    def __init__(self, curvature: float = 1.0, **kwargs: Unpack[LayerOptions]) -> None:
        kwargs.setdefault("autocast", False)  # Half precision knows no points near the boundary.
        super().__init__(**kwargs)
        check_positive(curvature=curvature)
        self.curvature = float(curvature)

    def call(self, inputs: TensorLike) -> tf.Tensor:
        z = tf.cast(as_params(inputs, "inputs"), tf.float32)
        v = _to_tangent(_inside(z, self.curvature), self.curvature)
        return tf.cast(v, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "curvature": self.curvature}
