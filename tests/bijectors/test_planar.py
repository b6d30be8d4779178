"""Planar, radial and Sylvester flows: the paper's formulas, extremes, gradients, errors by text."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose
from scipy import linalg

from tfgen.bijectors import planar
from tfgen.bijectors.planar import Planar, Radial, Sylvester, constrain, orthonormal

SYLVESTER = functools.partial(Sylvester, rank=2)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def softplus(x):
    return np.log1p(np.exp(x))


def planar_by_hand(z, bias):
    """Rezende & Mohamed, Eq. 10-13, in double precision, one example."""
    log_det = 0.0
    for row in bias.astype("float64"):
        u, w, b = row[:3], row[3:6], row[6]
        m = -1 + softplus(w @ u + np.log(np.e - 1))
        u = u + (m - w @ u) * w / (w @ w)
        log_det += np.log(abs(1 + u @ w * (1 - np.tanh(w @ z + b) ** 2)))
        z = z + u * np.tanh(w @ z + b)
    return z, log_det


def test_planar_against_the_paper(perturb):
    flow = perturb(Planar(3, num_steps=4), stddev=1.0)
    z = normal(5, 3)
    expected = [planar_by_hand(row, flow.bias.numpy()) for row in z]
    y, log_det = flow.forward(z)
    assert_allclose(y, [y for y, _ in expected], rtol=1e-5, atol=1e-5)
    assert_allclose(log_det, [log_det for _, log_det in expected], rtol=1e-4, atol=1e-5)


def radial_by_hand(z, bias):
    """Rezende & Mohamed, Eq. 14, in double precision, one example."""
    log_det = 0.0
    for row in bias.astype("float64"):
        offset, alpha = z - row[:3], softplus(row[3])
        beta, r = -alpha + softplus(row[3] + row[4]), np.linalg.norm(offset)
        h, slope = 1 / (alpha + r), -1 / (alpha + r) ** 2
        log_det += 2 * np.log(1 + beta * h) + np.log(1 + beta * h + beta * slope * r)
        z = z + beta * h * offset
    return z, log_det


def test_radial_against_the_paper(perturb):
    flow = perturb(Radial(3, num_steps=4), stddev=1.0)
    z = normal(5, 3)
    expected = [radial_by_hand(row, flow.bias.numpy()) for row in z]
    y, log_det = flow.forward(z)
    assert_allclose(y, [y for y, _ in expected], rtol=1e-5, atol=1e-5)
    assert_allclose(log_det, [log_det for _, log_det in expected], rtol=1e-4, atol=1e-5)


def reflections(vectors):
    """The first columns of the product of Householder reflections, in double precision."""
    size = vectors.shape[1]
    matrices = [np.eye(size) - 2 * np.outer(v, v) / (v @ v) for v in vectors.astype("float64")]
    return functools.reduce(np.matmul, matrices)[:, : len(vectors)]


def upper(values):
    """As `tfp.math.fill_triangular` orders them."""
    return planar._triangle(tf.constant(values, tf.float32)).numpy().astype("float64")


def sylvester_by_hand(z, bias, rank):
    """z + Q R tanh(R~ Q^T z + b) and its determinant as a d x d matrix, one example."""
    size, triangle, log_det = len(z), rank * (rank + 1) // 2, 0.0
    cuts = np.cumsum([rank * size, triangle, triangle])
    for row in bias.astype("float64"):
        vectors, outer, inner, b = np.split(row, cuts)
        q = reflections(vectors.reshape(rank, size))
        outer, inner = upper(outer), upper(inner) + np.eye(rank)
        products = np.diag(outer) * np.diag(inner)
        allowed = -1 + softplus(products + np.log(np.e - 1))
        np.fill_diagonal(outer, allowed / np.diag(inner))
        activation = np.tanh(inner @ q.T @ z + b)
        jacobian = np.eye(size) + q @ outer @ np.diag(1 - activation**2) @ inner @ q.T
        log_det += np.linalg.slogdet(jacobian)[1]
        z = z + q @ outer @ activation
    return z, log_det


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_sylvester_against_its_matrices(rank, perturb):
    flow = perturb(Sylvester(4, rank, num_steps=3), stddev=1.0)
    z = normal(5, 4)
    expected = [sylvester_by_hand(row, flow.bias.numpy(), rank) for row in z]
    y, log_det = flow.forward(z)
    assert_allclose(y, [y for y, _ in expected], rtol=1e-4, atol=1e-5)
    assert_allclose(log_det, [log_det for _, log_det in expected], rtol=1e-3, atol=1e-4)


def test_sylvester_of_rank_one_is_planar(perturb):
    """With u = r q and w = r~ q."""
    flow, other = perturb(Sylvester(4, 1, num_steps=3), stddev=1.0), Planar(4, num_steps=3)
    vectors, r, inner, b = np.split(flow.bias.numpy(), [4, 5, 6], axis=1)
    q = np.stack([reflections(v[None])[:, 0] for v in vectors])
    other.bias.assign(np.concatenate([r * q, (1 + inner) * q, b], axis=1))
    z = normal(5, 4)
    for ours, theirs in zip(flow.forward(z), other.forward(z), strict=True):
        assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_columns_are_those_of_a_qr_decomposition():
    """LAPACK keeps the reflections that a matrix's QR decomposition is made of."""
    matrix = normal(6, 4)
    (packed, _), _ = linalg.qr(matrix, mode="raw")
    vectors = np.tril(packed, -1).T[:4] + np.eye(4, 6)
    q = orthonormal(tf.constant(vectors, tf.float32))
    assert_allclose(q, linalg.qr(matrix, mode="economic")[0], atol=1e-5)


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1.0, 1e30])
def test_columns_are_orthonormal_whatever_the_vectors(size):
    for vectors in (normal(3, 5), np.ones((3, 5)), np.eye(3, 5)):
        q = orthonormal(tf.constant(size * vectors, tf.float32)).numpy()
        assert_allclose(q.T @ q, np.eye(3), atol=1e-5)


def test_ranks_of_sylvester():
    for rank in (0, 5, 1.5, None):
        with pytest.raises(ValueError, match="Received: rank="):
            Sylvester(4, rank)


@pytest.mark.parametrize("flow_class", [Planar, Radial, SYLVESTER])
def test_context_sets_the_parameters_of_every_example(flow_class, perturb):
    flow = perturb(flow_class(3, num_steps=2, context_size=4), stddev=0.5)
    z, context = normal(2, 5, 3), normal(5, 4, seed=1)
    y, log_det = flow.forward(z, context)
    alone = flow_class(3, num_steps=2)
    for i in range(5):
        alone.bias.assign(flow.bias + tf.reshape(context[i] @ flow.kernel, alone.bias.shape))
        y_alone, log_det_alone = alone.forward(z[:, i])
        assert_allclose(y[:, i], y_alone, rtol=1e-5, atol=1e-5)
        assert_allclose(log_det[:, i], log_det_alone, rtol=1e-4, atol=1e-5)


def test_constraint_moves_u_along_w_until_the_map_is_invertible():
    u, w = 5 * normal(1000, 4), normal(1000, 4, seed=1)
    constrained, slope = constrain(u, w)
    products = np.sum(w * constrained, axis=-1)
    # Rounding of products of size 5 * 4 in float32, some of which is multiplied by |u| / |w|.
    assert np.all(products >= -1 - 1e-4) and np.all(slope > 0)
    assert_allclose(slope[:, 0], 1 + products, atol=1e-4)
    unit = w / np.linalg.norm(w, axis=-1, keepdims=True)
    change = constrained - u
    across = change - np.sum(change * unit, axis=-1, keepdims=True) * unit
    assert_allclose(across, np.zeros_like(u), atol=1e-4)


def test_constraint_where_w_vanishes():
    u = tf.ones((3, 2))
    w = tf.constant([[0.0, 0.0], [1e-3, 0.0], [0.0, -1e-2]])
    with tf.GradientTape() as tape:
        tape.watch(w)
        constrained, slope = constrain(u, w)
    # To first order in w: softplus' slope at its shift is 1 - exp(-1), so u loses exp(-1) along w.
    lost = [[0.0, 0.0], [np.exp(-1), 0.0], [0.0, np.exp(-1)]]
    assert_allclose(constrained, 1 - np.array(lost), atol=5e-3)
    assert_allclose(slope[:, 0], [1.0, 1.0, 0.99], atol=5e-3)
    assert np.all(np.isfinite(tape.gradient(constrained, w)))


def test_gradient_by_hand_equals_that_of_steps_written_out():
    shapes = [(2, 5, 3), (4, 1, 5, 3), (4, 1, 5, 3), (4, 1, 1, 1)]
    values = [tf.constant(normal(*shape, seed=i)) for i, shape in enumerate(shapes)]

    def written_out(x, u, w, b):
        activations = []
        for t in range(4):
            activations.append(tf.tanh(tf.reduce_sum(w[t] * x, -1, keepdims=True) + b[t]))
            x += u[t] * activations[-1]
        return x, tf.stack(activations)

    gradients = []
    for steps in (planar._planar_steps, written_out):
        with tf.GradientTape() as tape:
            tape.watch(values)
            z, activations = steps(*values)
            loss = tf.reduce_sum(tf.sin(z)) + tf.reduce_sum(activations**3)
        gradients.append(tape.gradient(loss, values))
    for ours, theirs in zip(*gradients, strict=True):
        assert ours.shape == theirs.shape
        assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_radial_near_the_constraint_and_at_the_centre():
    """alpha + beta = softplus(-9.5) is nearly 0: the ball around the centre almost collapses."""
    flow = Radial(2)
    flow.bias.assign([[1.0, -1.0, 0.5, -10.0]])
    x = tf.constant([[1.0, -1.0], [1.5, 0.0], [-2.0, 7.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, log_det = flow.forward(x)
    assert np.all(np.isfinite(tape.gradient([y, log_det], x)))
    assert_allclose(flow.inverse(y)[0], x, rtol=1e-3, atol=1e-3)


def test_planar_near_the_constraint():
    """w.u = -1 + softplus(-30): the slope at the centre is about 1e-13."""
    flow = Planar(2)
    flow.bias.assign([[-30.0, 1.0, 1.0, 0.0, 0.0]])
    y, log_det = flow.forward(tf.constant([[0.0, 0.0], [1e-3, 0.0], [3.0, 0.0]]))
    squared = np.tanh([0.0, 1e-3, 3.0]) ** 2
    slope = np.exp(-30.0) * (np.e - 1)
    assert_allclose(log_det, np.log(squared + (1 - squared) * slope), rtol=1e-4)


@pytest.mark.parametrize(
    "flow_class, direction",
    [
        (Planar, slice(16, 32)),
        (Radial, slice(16)),
        (functools.partial(Sylvester, rank=1), slice(16)),
    ],
)
def test_directions_of_steps_begin_at_random_with_a_length_of_about_one(flow_class, direction):
    bias = flow_class(16, num_steps=1000).bias.numpy()
    squares = np.sum(bias[:, direction] ** 2, axis=1)  # Chi square of 16 numbers, over 16.
    assert np.mean(squares) == pytest.approx(1, abs=5 * np.sqrt(2 / 16 / 1000))
    others = np.delete(bias, np.arange(bias.shape[1])[direction], axis=1)
    assert_allclose(others, 0)


def test_no_step():
    with pytest.raises(ValueError, match=r"num_steps must be an int of at least 1\. .*num_steps=0"):
        Planar(2, num_steps=0)


@pytest.mark.parametrize("flow_class", [Planar, Radial, SYLVESTER])
def test_errors(flow_class):
    with pytest.raises(ValueError, match=r"Received: event_shape=\(2, 2\)"):
        flow_class((2, 2))
    with pytest.raises(ValueError, match="needs a context"):
        flow_class(2, context_size=3).forward(tf.zeros((1, 2)))


def test_a_small_w_does_not_blow_u_up():
    """For w near 0, m(p) = p (1 - 1/e), so that u loses 1/e of its part along w."""
    for size in (1e-3, 1e-9, 1e-15):
        u, _ = constrain(tf.constant([3.0, 2.0]), tf.constant([size, 0.0]))
        # The next term of m is of relative size p = 3 size, below 1e-3.
        assert_allclose(u, [3.0 * (1 - 1 / np.e), 2.0], rtol=1e-3)


def test_extreme_parameters_keep_logarithms_finite():
    """u.w = -1e4 has the least slope, 1e-30, where tanh is 0; and so has a radius alpha."""
    flow = Planar(1)
    flow.bias.assign([[-100.0, 100.0, 0.0]])
    assert_allclose(flow.forward(tf.zeros((1, 1)))[1], [np.log(1e-30)], rtol=1e-5)
    flow = Radial(1)
    flow.bias.assign([[0.0, -1e4, 0.0]])
    for x in (0.0, 1.0):
        y, log_det = flow.forward(tf.fill((1, 1), x))
        assert_allclose(y, [[x]], atol=1e-6)
        assert_allclose(log_det, [0.0], atol=1e-6)


def test_the_inverse_of_a_strong_radial_flow_keeps_its_digits():
    """r (ab + r) / (a + r) = R with ab = 1e6 and a = 1: r = a R / ab for small R."""
    radius = planar._preimage_of_radius(tf.constant(10.0), tf.constant(1.0), tf.constant(1e6))
    assert_allclose(radius, 1e-5, rtol=2e-5)
