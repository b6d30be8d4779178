"""Planar, radial and Sylvester flows.

Rezende & Mohamed, arXiv:1505.05770v6; van den Berg et al., arXiv:1803.05649.

All start as the identity: the paper's softplus functions that keep the maps invertible are moved
so that a parameter of 0 stands for no change. The maps that can be reached are the same.
"""

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.typing import LayerOptions, Shape
from tfgen.bijectors.bijector import (
    Bijector,
    Mapped,
    broadcast_to_context,
    check_context,
    register,
    vector_size,
)

__all__ = ["Planar", "Radial", "Sylvester"]

# softplus(_SHIFT) = 1
_SHIFT = math.log(math.e - 1)
# Least value of what must be positive, so that its logarithm stays finite in float32.
_LEAST = 1e-30


class _Steps(Bijector):
    """Steps over vectors whose parameters are trained, or one linear map of the context.

    Args:
        event_shape: int or tuple (d,), shape of one example.
        num_steps: int >= 1, steps T.
        context_size: int, size of the context; 0 for none.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        event_shape: int | Shape,
        num_steps: int = 1,
        context_size: int = 0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(event_shape, **kwargs)
        size = vector_size(event_shape)
        check_size(num_steps=num_steps)
        check_size(0, context_size=context_size)
        self.num_steps, self.context_size = num_steps, context_size
        self._sizes, self._direction = self._layout(size)
        shape = (num_steps, sum(self._sizes))
        self.bias = self.add_weight(shape=shape, initializer=self._initial_bias, name="bias")
        if context_size:
            self.kernel = self.add_weight(
                shape=(context_size, math.prod(shape)), initializer="zeros", name="kernel"
            )

    @property
    def context_shape(self) -> Shape | None:
        return (self.context_size,) if self.context_size else None

    def _layout(self, size):
        """Numbers of values of each of a step's parameters, and the index of that parameter which
        starts at random, in every step its own; the others start at 0.
        """
        raise NotImplementedError

    def _repeated(self, x, context):
        """`x` with the leading axes of the context too, if there is one."""
        if not self.context_size:
            return x
        return broadcast_to_context(x, check_context(context, self.context_size))

    def _initial_bias(self, shape, dtype=None):
        """Zeros, and a random direction of length about 1 for every step."""
        stddev = self.event_shape[0] ** -0.5
        parts = [keras.ops.zeros((shape[0], size), dtype) for size in self._sizes]
        random = keras.random.normal((shape[0], self._sizes[self._direction]), 0.0, stddev, dtype)
        parts[self._direction] = random
        return keras.ops.concatenate(parts, axis=-1)

    def parameters(self, x: tf.Tensor, context: tf.Tensor | None) -> list[tf.Tensor]:
        """All steps' parameters for `x`: tensors of shapes (num_steps, ..., size)."""
        bias = tf.convert_to_tensor(self.bias)
        shape = [self.num_steps, *[1] * (len(x.shape) - 1), bias.shape[-1]]
        if not self.context_size:
            return tf.split(tf.reshape(bias, shape), self._sizes, axis=-1)
        context = check_context(context, self.context_size)
        flat = tf.reshape(context, (-1, self.context_size))
        values = tf.reshape(flat @ self.kernel, (-1, *bias.shape)) + bias
        leading = tf.shape(context)[:-1]
        shape = tf.concat([shape[: -len(context.shape)], leading, shape[-1:]], axis=0)
        return tf.split(tf.reshape(tf.transpose(values, (1, 0, 2)), shape), self._sizes, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_steps": self.num_steps,
            "context_size": self.context_size,
        }


@register
class Planar(_Steps):
    """Planar flow, T steps z -> z + u tanh(w.z + b).

    With context the parameters u, w and b of all steps are one linear map of it, as the paper has
    them; they are computed once for every context, however many z share it. There is no inverse in
    closed form.

    Source: Rezende & Mohamed, arXiv:1505.05770v6, Eq. 10-12, Sec. 4.1 and, for the constraint
    w.u >= -1, App. A.1.
    Deviation: m(x) = -1 + softplus(x + ln(e - 1)) in place of -1 + softplus(x), so that u = 0 is
    the identity, and the constrained u stays finite where w tends to 0.

    Args:
        event_shape: int or tuple (d,), shape of one example.
        num_steps: int >= 1, steps T.
        context_size: int, size of the context; 0 for parameters that are trained directly.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the event is not a vector, there is no step, or a context is missing or of
            another size.

    Example:
        >>> flow = Planar(2, num_steps=10, context_size=3)
        >>> z, log_det = flow.forward(tf.zeros((5, 8, 2)), tf.ones((8, 3)))
        >>> z.shape, log_det.shape
        (TensorShape([5, 8, 2]), TensorShape([5, 8]))
    """

    def _layout(self, size):
        return (size, size, 1), 1

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x = self._repeated(x, context)
        u, w, b = self.parameters(x, context)
        u, slope = constrain(u, w)
        y, activations = _planar_steps(x, u, w, b)
        # 1 + h'(a) u.w with h' = 1 - tanh^2 and u.w = slope - 1: a sum of positive terms.
        squared = activations**2
        log_dets = tf.math.log(squared + (1.0 - squared) * slope)
        return y, tf.reduce_sum(log_dets, axis=(0, -1))


def _activation(x, w, b):
    return tf.tanh(tf.reduce_sum(w * x, axis=-1, keepdims=True) + b)


@tf.custom_gradient
def _planar_steps(x, u, w, b):
    """The planar steps: the last z and all steps' tanh(w.z + b), shape (num_steps, ..., 1).

    Loops, since XLA compiles 80 steps written out for more than half a minute. The gradient is by
    hand: it takes each z back from the next one, where that of TensorFlow's loops would store all,
    and be many times slower under XLA.
    """
    num_steps = u.shape[0]

    def step(t, z, activations):
        activation = _activation(z, w[t], b[t])
        return t + 1, z + u[t] * activation, activations.write(t, activation)

    activations = tf.TensorArray(x.dtype, num_steps, element_shape=(*x.shape[:-1], 1))
    _, z, activations = _loop(num_steps, step, (x, activations))
    activations = activations.stack()

    def gradient(z_gradient, activation_gradients):
        def step_back(i, z, dz, *arrays):
            t = num_steps - 1 - i
            activation = activations[t]
            z -= u[t] * activation
            total = tf.reduce_sum(dz * u[t], axis=-1, keepdims=True) + activation_gradients[t]
            db = total * (1.0 - activation**2)
            changes = zip(arrays, (u, w, b), (dz * activation, db * z, db), strict=True)
            written = [array.write(t, _sum_to(p[t], change)) for array, p, change in changes]
            return i + 1, z, dz + db * w[t], *written

        arrays = [tf.TensorArray(x.dtype, num_steps, element_shape=p.shape[1:]) for p in (u, w, b)]
        _, _, dx, *arrays = _loop(num_steps, step_back, (z, z_gradient, *arrays))
        return dx, *(array.stack() for array in arrays)

    return (z, activations), gradient


def _loop(num_steps, body, variables):
    return tf.while_loop(
        lambda t, *_: t < num_steps, body, (0, *variables), maximum_iterations=num_steps
    )


def _sum_to(parameter, gradient):
    """Sum over the axes along which the parameter was broadcast."""
    axes = [axis for axis, size in enumerate(parameter.shape[:-1]) if size == 1]
    return tf.reduce_sum(gradient, axes, keepdims=True)


def constrain(u: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The u nearest to the given one with w.u > -1, and 1 + w.u; App. A.1.

    Args:
        u: tensor, shape (..., d), unconstrained.
        w: tensor of the same shape.

    Returns:
        Tuple (u, slope) of shapes (..., d) and (..., 1); slope = 1 + w.u > 0.

    Example:
        >>> u, slope = constrain(tf.constant([-9.0, 5.0]), tf.constant([1.0, 0.0]))
        >>> u.numpy().round(3), slope.numpy().round(3)
        (array([-1.,  5.], dtype=float32), array([0.], dtype=float32))
    """
    product = tf.reduce_sum(u * w, axis=-1, keepdims=True)
    slope = tf.maximum(tf.math.softplus(product + _SHIFT), _LEAST)
    # slope - 1 to its last digit where it is near 0, since w may be as small.
    small = tf.math.log1p((1.0 - 1.0 / math.e) * tf.math.expm1(tf.clip_by_value(product, -1, 1)))
    change = tf.where(tf.abs(product) < 1.0, small, slope - 1.0) - product
    squared_norm = tf.reduce_sum(w**2, axis=-1, keepdims=True)
    return u + tf.math.divide_no_nan(change, squared_norm) * w, slope


@register
class Radial(_Steps):
    """Radial flow, T steps z -> z + beta (z - centre) / (alpha + r), r = |z - centre|.

    alpha = softplus(a) > 0, and alpha + beta = softplus(a + c) > 0, with trained, or context's, a
    and c: c = 0 is the identity. The inverse solves a quadratic equation for r.

    Source: Rezende & Mohamed, arXiv:1505.05770v6, Eq. 14; constraint beta >= -alpha, App. A.2.
    Deviation: the paper has beta = -alpha + softplus(c).

    Args:
        event_shape: int or tuple (d,), shape of one example.
        num_steps: int >= 1, steps T.
        context_size: int, size of the context; 0 for parameters that are trained directly.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the event is not a vector, there is no step, or a context is missing or of
            another size.

    Example:
        >>> flow = Radial(2, num_steps=10)
        >>> z, log_det = flow.forward(tf.zeros((8, 2)))
        >>> z.shape, log_det.shape
        (TensorShape([8, 2]), TensorShape([8]))
    """

    def _layout(self, size):
        return (size, 1, 1), 0

    def _steps(self, x, context):
        """Tuples (centre, alpha, alpha + beta), one for every step."""
        centre, a, c = self.parameters(x, context)
        values = centre, _positive(a), _positive(a + c)
        return list(zip(*map(tf.unstack, values), strict=True))

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x = self._repeated(x, context)
        log_det = self.no_log_det(x)
        for centre, alpha, alpha_beta in self._steps(x, context):
            radius = _norm(x - centre)
            log_det += self._log_det(radius, alpha, alpha_beta)
            x = centre + (x - centre) * (alpha_beta + radius) / (alpha + radius)
        return x, log_det

    def inverse(self, y: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        y = self._repeated(y, context)
        log_det = self.no_log_det(y)
        for centre, alpha, alpha_beta in reversed(self._steps(y, context)):
            radius = _preimage_of_radius(_norm(y - centre), alpha, alpha_beta)
            log_det -= self._log_det(radius, alpha, alpha_beta)
            y = centre + (y - centre) * (alpha + radius) / (alpha_beta + radius)
        return y, log_det

    def _log_det(self, radius, alpha, alpha_beta):
        """(d - 1) ln(1 + beta h) + ln(1 + beta h + beta h' r), h = 1 / (alpha + r)."""
        tangential = tf.math.log((alpha_beta + radius) / (alpha + radius))
        numerator = radius * (radius + 2.0 * alpha) + alpha * alpha_beta
        radial = tf.math.log(numerator) - 2.0 * tf.math.log(alpha + radius)
        return ((self.event_shape[0] - 1) * tangential + radial)[..., 0]


def _positive(x):
    return tf.maximum(tf.math.softplus(x), _LEAST)


def _norm(x):
    """Length of vectors, shape (..., 1), with a finite gradient at 0."""
    return tf.sqrt(tf.reduce_sum(x**2, axis=-1, keepdims=True) + 1e-12)


def _preimage_of_radius(radius, alpha, alpha_beta):
    """The r >= 0 with r (alpha_beta + r) / (alpha + r) = radius."""
    half = (radius - alpha_beta) / 2.0
    root = tf.abs(half) + tf.sqrt(half**2 + alpha * radius)
    # Of the two ways to write it, the one that subtracts nothing.
    return tf.where(half < 0, alpha * radius / root, root)


@register
class Sylvester(_Steps):
    """Orthogonal Sylvester flow, T steps z -> z + Q R tanh(R~ Q^T z + b): M planar ones at once.

    Q has `rank` orthonormal columns, and R and R~ are upper triangular, so that the determinant of
    a step is that of an M x M triangle: the product of 1 + tanh'(.)_i r~_ii r_ii. With M = 1 it is
    the planar flow whose u and w are parallel. With context all parameters are one linear map of
    it, as those of `Planar` are. There is no inverse in closed form.

    Source: van den Berg et al., arXiv:1803.05649 (equations not checked; the authors' code,
    riannevdberg/sylvester-flows, has the same step and determinant).
    Deviation: Q is a product of M Householder reflections, which reach each such Q but for signs
    that R and R~ can take; r_ii is that of `Planar`'s u, so that r~_ii r_ii > -1; R~ is the unit
    matrix and R is 0 at first.

    Args:
        event_shape: int or tuple (d,), shape of one example.
        rank: int from 1 to d, columns M of Q.
        num_steps: int >= 1, steps T.
        context_size: int, size of the context; 0 for parameters that are trained directly.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if the event is not a vector, there is no step, the rank is out of range, or a
            context is missing or of another size.

    Example:
        >>> flow = Sylvester(4, rank=2, num_steps=2, context_size=3)
        >>> z, log_det = flow.forward(tf.zeros((5, 8, 4)), tf.ones((8, 3)))
        >>> z.shape, log_det.shape
        (TensorShape([5, 8, 4]), TensorShape([5, 8]))
    """

    def __init__(
        self,
        event_shape: int | Shape,
        rank: int,
        num_steps: int = 1,
        context_size: int = 0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_size(rank=rank)
        size = vector_size(event_shape)
        if rank > size:
            raise ValueError(
                f"Of vectors of {size} elements no more than {size} are orthogonal. Received: "
                f"rank={rank}. Give a rank from 1 to {size}."
            )
        self.rank = rank
        super().__init__(event_shape, num_steps, context_size, **kwargs)

    def _layout(self, size):
        triangle = self.rank * (self.rank + 1) // 2
        return (self.rank * size, triangle, triangle, self.rank), 0

    def forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> Mapped:
        x = self._repeated(x, context)
        vectors, outer, inner, b = self.parameters(x, context)
        q = orthonormal(_split_last(vectors, (self.rank, self.event_shape[0])))
        outer, inner = _triangle(outer), _triangle(inner) + tf.eye(self.rank)
        diagonals = [tf.linalg.diag_part(matrix)[..., None] for matrix in (outer, inner)]
        diagonal, slope = (part[..., 0] for part in constrain(*diagonals))
        outer = tf.linalg.set_diag(outer, diagonal)
        log_det = self.no_log_det(x)
        for t in range(self.num_steps):
            squared, x = _sylvester_step(x, q[t], outer[t], inner[t], b[t])
            # As in `Planar`, a sum of positive terms.
            log_det += tf.reduce_sum(tf.math.log(squared + (1.0 - squared) * slope[t]), axis=-1)
        return x, log_det

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rank": self.rank}


def _sylvester_step(z, q, outer, inner, b):
    """tanh(.)^2, and z + Q R tanh(R~ Q^T z + b)."""
    activation = tf.tanh(tf.linalg.matvec(inner, tf.linalg.matvec(q, z, transpose_a=True)) + b)
    return activation**2, z + tf.linalg.matvec(q, tf.linalg.matvec(outer, activation))


def _split_last(x, sizes):
    return tf.reshape(x, tf.concat([tf.shape(x)[:-1], sizes], axis=0))


def _triangle(values):
    """Upper triangular matrices of their M (M + 1) / 2 elements."""
    return tfp.math.fill_triangular(values, upper=True)


def orthonormal(vectors: tf.Tensor) -> tf.Tensor:
    """The first M columns of the product of M Householder reflections along the given vectors.

    H_1 ... H_M = I - V T V^T with unit vectors V, where T^-1 is upper triangular: 1/2 on the
    diagonal, and V^T V above it.

    Args:
        vectors: tensor, shape (..., M, d), M <= d.

    Returns:
        Tensor, shape (..., d, M), of orthonormal columns.

    Example:
        >>> q = orthonormal(tf.constant([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]]))
        >>> gram = tf.linalg.matmul(q, q, transpose_a=True)
        >>> q.shape, bool(tf.reduce_all(tf.abs(gram - tf.eye(2)) < 1e-5))
        (TensorShape([3, 2]), True)
    """
    num, size = vectors.shape[-2:]
    largest = tf.maximum(tf.reduce_max(tf.abs(vectors), axis=-1, keepdims=True), _LEAST)
    vectors = tf.math.l2_normalize(vectors / largest, axis=-1, epsilon=_LEAST)
    inverse = tf.linalg.band_part(tf.linalg.matmul(vectors, vectors, transpose_b=True), 0, -1)
    inverse = tf.linalg.set_diag(inverse, 0.5 * tf.ones_like(inverse[..., 0]))
    first = vectors[..., :num]  # V^T E, as rows are vectors.
    coefficients = tf.linalg.triangular_solve(inverse, first, lower=False)
    return tf.eye(size, num) - tf.linalg.matmul(vectors, coefficients, transpose_a=True)
