"""Gaussian process posteriors against NumPy, scikit-learn and TFP, and the draws of the mapping."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose
from sklearn.gaussian_process.kernels import RBF

from tfgen import layers
from tfgen._utils import random
from tfgen.networks.vgp import (
    JITTER,
    GaussianProcessMapping,
    VGPPosterior,
    ard_kernel,
    process_posterior,
)

VARIANCE, PRECISIONS = 1.7, np.array([0.5, 2.0], "float32")


@pytest.fixture(scope="module")
def arrays():
    """Inputs (4, 2), points (5, 2) and whitened values (4, 5, 3)."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype("float32") for shape in ((4, 2), (5, 2), (4, 5, 3))]


@pytest.fixture(scope="module")
def mapping():
    keras.utils.set_random_seed(0)
    return GaussianProcessMapping(2, (3,), input_dim=1, num_points=4, width=8, seed=0)


def test_kernel(arrays):
    inputs, points, _ = arrays
    expected = VARIANCE * RBF(1 / np.sqrt(PRECISIONS))(inputs, points)
    assert_allclose(ard_kernel(inputs, points, VARIANCE, PRECISIONS), expected, rtol=1e-5)
    by_hand = VARIANCE * np.exp(-0.5 * np.sum(PRECISIONS * (inputs[1] - points[2]) ** 2))
    assert expected[1, 2] == pytest.approx(by_hand)


def test_posterior_against_numpy_and_tfp(arrays):
    """Rasmussen & Williams, Eq. 2.23 and 2.24, in float64; TFP's process for one example."""
    inputs, points, whitened = arrays
    kernel = VARIANCE * RBF(1 / np.sqrt(PRECISIONS))
    matrix = VARIANCE * (RBF(1 / np.sqrt(PRECISIONS))(points) + JITTER * np.eye(5))
    values = np.linalg.cholesky(matrix) @ whitened
    cross = kernel(inputs, points)
    mean = np.einsum("bm,bmd->bd", cross @ np.linalg.inv(matrix), values)
    variance = VARIANCE * (1 + JITTER) - np.sum(cross @ np.linalg.inv(matrix) * cross, axis=1)
    actual = process_posterior(inputs, points, whitened, VARIANCE, PRECISIONS)
    assert_allclose(actual[0], mean, atol=1e-4)
    assert_allclose(actual[1], variance, atol=1e-4)
    assert np.ptp(variance) > 0.1
    psd_kernels = tfp.math.psd_kernels
    process = tfp.distributions.GaussianProcessRegressionModel(
        psd_kernels.FeatureScaled(
            psd_kernels.ExponentiatedQuadratic(np.float32(np.sqrt(VARIANCE))), PRECISIONS**-0.5
        ),
        index_points=inputs[:1],
        observation_index_points=points,
        observations=values[0, :, 1].astype("float32"),
        jitter=JITTER * VARIANCE,
    )
    assert_allclose(actual[0][0, 1], process.mean()[0], atol=1e-4)
    assert_allclose(actual[1][0], process.variance()[0], atol=2 * JITTER * VARIANCE)


def test_process_passes_through_its_values(arrays):
    """At a point the mean is the value there, and the variance is the jitter's."""
    _, points, whitened = arrays
    matrix = ard_kernel(points, points, VARIANCE, PRECISIONS) + JITTER * VARIANCE * np.eye(5)
    values = np.linalg.cholesky(matrix) @ whitened[0]
    repeated = np.repeat(whitened[:1], 5, axis=0)
    mean, variance = process_posterior(points, points, repeated, VARIANCE, PRECISIONS)
    assert_allclose(mean, values, atol=1e-3)
    assert np.all(variance < 3 * JITTER * VARIANCE)
    far, prior_variance = process_posterior(points + 50, points, repeated, VARIANCE, PRECISIONS)
    assert_allclose(far, np.zeros((5, 3)), atol=1e-6)
    assert_allclose(prior_variance, np.full(5, VARIANCE), rtol=2 * JITTER)


def test_points_on_top_of_each_other_have_finite_gradients(arrays):
    inputs, points, whitened = arrays
    points = tf.Variable(np.repeat(points[:1], 5, axis=0))
    with tf.GradientTape() as tape:
        mean, variance = process_posterior(inputs, points, whitened, VARIANCE, PRECISIONS)
        total = tf.reduce_sum(mean) + tf.reduce_sum(tf.math.log(variance))
    assert np.all(np.isfinite(tape.gradient(total, points)))


def dense_regression(mapping, q, features, inputs):
    """Mean and variance of z in float64, pair by pair, with K inverted explicitly.

    Rasmussen & Williams, Eq. 2.23 and 2.24, whose prior mean is q's loc, in units of q's scale.
    """
    points = mapping.points.numpy().astype("float64")
    precisions, variance = (
        np.exp(mapping.log_precisions.numpy()),
        np.exp(mapping.log_variance.numpy()),
    )

    def kernel(a, b):
        return variance * np.exp(-np.sum(precisions * np.square(a - b)) / 2)

    matrix = np.array([[kernel(a, b) for b in points] for a in points])
    matrix += JITTER * variance * np.eye(len(points))
    whitened = mapping.values(features).numpy().reshape(len(inputs), len(points), -1)
    means, variances = [], []
    for xi, white in zip(inputs, whitened, strict=True):
        cross = np.array([kernel(xi, point) for point in points]) @ np.linalg.inv(matrix)
        means.append(cross @ np.linalg.cholesky(matrix) @ white)
        variances.append(variance * (1 + JITTER) - cross @ matrix @ cross)
    loc, scale = q.mean().numpy(), q.stddev().numpy()
    return loc + scale * means, scale**2 * (1 + np.array(variances)[:, None])


@pytest.fixture(scope="module")
def warped():
    """A mapping with no weight at 0, q with scales away from 1, features and inputs xi."""
    keras.utils.set_random_seed(0)
    mapping = GaussianProcessMapping(2, (3,), input_dim=2, num_points=4, width=8, seed=0)
    rng = np.random.default_rng(2)
    for weight in mapping.trainable_variables:
        weight.assign_add(0.5 * rng.normal(size=weight.shape))
    features, parameters, inputs = (rng.normal(size=(6, n)).astype("float32") for n in (3, 4, 2))
    parameters[:, 2:] += [-1.0, 3.0]
    return mapping, layers.IndependentNormal(2)(parameters), features, inputs


def test_conditional_is_dense_regression(warped):
    conditional = warped[0].conditional(*warped[1:])
    mean, variance = dense_regression(*warped)
    assert np.ptp(variance / warped[1].variance()) > 0.1
    # Float32 rounding of a kernel matrix of condition number about 1e2.
    assert_allclose(conditional.mean(), mean, rtol=1e-4, atol=1e-4)
    assert_allclose(conditional.variance(), variance, rtol=1e-4)


def test_conditional_integrates_over_functions(warped):
    """Draws of f at xi, and of z given f: the moments of 40,000 of them."""
    mapping, q, features, inputs = warped
    num, rng = 40_000, np.random.default_rng(0)
    conditional = mapping.conditional(q, features, inputs)
    mean, variance = process_posterior(
        inputs,
        mapping.points.numpy(),
        mapping.values(features).numpy().reshape(6, 4, 2),
        np.exp(mapping.log_variance.numpy()),
        np.exp(mapping.log_precisions.numpy()),
    )
    f = mean + np.sqrt(variance)[:, None] * rng.normal(size=(num, 6, 2))
    z = q.mean() + q.stddev() * f + q.stddev() * rng.normal(size=f.shape)
    # 5 standard errors.
    error = np.std(z, axis=0) / np.sqrt(num)
    assert np.all(np.abs(np.mean(z, axis=0) - conditional.mean()) < 5 * error)
    squares = np.square(z - conditional.mean())
    error = np.std(squares, axis=0) / np.sqrt(num)
    assert np.all(np.abs(np.mean(squares, axis=0) - conditional.variance()) < 5 * error)


def test_auxiliary_sees_z_in_units_of_the_mean_field(warped):
    mapping, q, features, _ = warped
    z = np.random.default_rng(3).normal(size=(6, 2)).astype("float32")
    r = mapping.auxiliary(q, features, z)
    units = (z - q.mean().numpy()) / q.stddev().numpy()
    parameters = mapping.reverse(np.concatenate([features, units], axis=1)).numpy()
    assert_allclose(r.mean(), parameters[:, :2], rtol=1e-5)
    assert_allclose(r.stddev(), np.logaddexp(0, parameters[:, 2:]), rtol=1e-3)


def test_kl_in_closed_form_by_hand(warped):
    """KL(q(z|xi, x) || p(z)), Kingma & Welling, App. B, and the log ratio of xi."""
    mapping, q, features, _ = warped
    seed = tf.constant([3, 4])
    prior = layers.StandardNormal(2).as_distribution()
    z, kl, log_ratio = mapping.draw(q, prior, features, seed)
    inputs = random.normal((6, 2), tfp.random.split_seed(seed)[0])
    mean, variance = dense_regression(mapping, q, features, inputs.numpy())
    closed = np.sum(mean**2 + variance - 1 - np.log(variance), axis=1) / 2
    at_draw = np.sum(z**2 - (z - mean) ** 2 / variance - np.log(variance), axis=1) / 2
    assert_allclose(kl - log_ratio, closed - at_draw, rtol=1e-3, atol=1e-3)


def test_inputs_do_not_depend_on_xla(warped):
    mapping, q, features, _ = warped
    prior = layers.StandardNormal(2).as_distribution()
    draw = tf.function(lambda: mapping.draw(q, prior, features, [0, 1])[0], jit_compile=True)
    assert_allclose(draw(), mapping.draw(q, prior, features, [0, 1])[0], rtol=1e-4, atol=1e-4)


def test_draws_have_the_density_that_is_claimed(mapping):
    """q(z|x) by quadrature over xi against the moments of draws, and r(xi|x, z) integrates to 1."""
    num = 20_000
    features = np.repeat([[0.3, -1.0, 2.0]], num, axis=0).astype("float32")
    parameters = np.repeat([[0.3, -0.3, 1.5, 1.0]], num, axis=0).astype("float32")
    q, prior = layers.IndependentNormal(2)(parameters), layers.StandardNormal(2).as_distribution()
    z, kl, log_ratio = (value.numpy() for value in mapping.draw(q, prior, features, [0, 1]))
    grid = np.linspace(-6, 6, 201, dtype="float32")
    weights = np.exp(-0.5 * grid**2) / np.exp(-0.5 * grid**2).sum()
    conditional = mapping.conditional(
        layers.IndependentNormal(2)(parameters[:201]), features[:201], grid[:, None]
    )
    mean = weights @ conditional.mean().numpy()
    second_moment = weights @ (conditional.mean() ** 2 + conditional.variance()).numpy()
    # 5 standard errors of means of 20,000 draws.
    for power, expected in ((1, mean), (2, second_moment)):
        tolerance = 5 * (z**power).std(axis=0) / np.sqrt(num)
        assert np.all(np.abs((z**power).mean(axis=0) - expected) < tolerance)
    # E[p(z) r(xi|z) / q(z, xi)] = 1, and both estimates of the KL divergence have one mean.
    ratios = np.exp(-log_ratio)
    assert abs(ratios.mean() - 1) < 5 * ratios.std() / np.sqrt(num)
    error = np.abs(np.mean(kl - log_ratio))
    assert error < 5 * np.std(kl - log_ratio) / np.sqrt(num)


def test_log_ratio_by_hand(mapping):
    rng = np.random.default_rng(1)
    features, parameters = (rng.normal(size=(6, n)).astype("float32") for n in (3, 4))
    q, prior = layers.IndependentNormal(2)(parameters), layers.StandardNormal(2).as_distribution()
    seed = tf.constant([3, 4])
    z, _, log_ratio = mapping.draw(q, prior, features, seed)
    inputs = random.normal((6, 1), tfp.random.split_seed(seed)[0]).numpy()
    conditional, r = mapping.conditional(q, features, inputs), mapping.auxiliary(q, features, z)

    def log_normal(value, loc=0.0, scale=1.0):
        squares = ((value - loc) / scale) ** 2
        return np.sum(-0.5 * squares - np.log(scale) - 0.5 * np.log(2 * np.pi), axis=1)

    expected = (
        log_normal(inputs)
        + log_normal(z.numpy(), conditional.mean().numpy(), conditional.stddev().numpy())
        - log_normal(z.numpy())
        - log_normal(inputs, r.mean().numpy(), r.stddev().numpy())
    )
    assert_allclose(log_ratio, expected, rtol=1e-4, atol=1e-5)


def test_posterior_of_draw():
    """The same as the mapping by itself, with a mean field that is linear in the features."""
    posterior = VGPPosterior(2, num_features=3, input_dim=2, num_points=3, width=4, seed=0)
    features = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    z, kl, log_ratio = posterior.draw(features, tf.constant([0, 1]))
    q, prior = posterior.distribution(features), layers.StandardNormal(2).as_distribution()
    expected = posterior.mapping.draw(q, prior, features, tf.constant([0, 1]))
    for a, b in zip((z, kl, log_ratio), expected, strict=True):
        assert_allclose(a, b, rtol=1e-5)
    center = posterior.mapping.conditional(q, features, tf.zeros((5, 2)))
    assert_allclose(posterior.mean(features), center.mean(), rtol=1e-5)
    assert type(posterior).from_config(posterior.get_config()).mapping.num_points == 3


@pytest.mark.parametrize("name", ["latent_dim", "input_dim", "num_points", "width"])
def test_sizes_out_of_range(name):
    sizes = {"latent_dim": 2, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be an int of at least 1. Received"):
        GaussianProcessMapping(feature_shape=(3,), **sizes)


def test_kernel_between_inputs_and_points_is_about_1_over_e_at_first():
    """Precisions of 1 / input_dim and squared distances of about 2 * input_dim."""
    mapping = GaussianProcessMapping(2, (3,), input_dim=10, num_points=4, width=8, seed=0)
    assert_allclose(tf.exp(mapping.log_precisions), np.full(10, 0.1), rtol=1e-5)
    assert_allclose(tf.exp(mapping.log_variance), 1.0)


def test_values_and_reverse_model_begin_small():
    mapping = GaussianProcessMapping(40, (20,), input_dim=20, num_points=4, width=60, seed=0)
    for network in (mapping.values, mapping.reverse):
        kernel = network.layers[-1].get_weights()[0]
        # 5 standard errors of the deviation of some thousand normals.
        assert np.std(kernel) == pytest.approx(0.01, rel=5 / np.sqrt(2 * kernel.size))
