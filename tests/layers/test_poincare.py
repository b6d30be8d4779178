"""The wrapped normal on the Poincare ball: density, draws, gradients, a whole VAE."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose
from scipy import stats

from tfgen import layers, losses, models
from tfgen.layers.poincare import PoincareNormalDistribution

sys.path.append(str(Path(__file__).parents[1] / "models"))

from linear_gaussian import BIAS, SCALE, WEIGHTS, X, exact  # noqa: E402

SEED = tf.constant([1, 2])
CURVATURES = (0.5, 1.0, 2.5)


def distribution(loc, scale, curvature=1.0):
    """In float64."""
    return PoincareNormalDistribution(np.float64(loc), np.float64(scale), curvature)


def disc(curvature):
    """Points of a grid, shape (n, 2), and the areas that they stand for, of coordinates."""
    distances, angles = np.meshgrid(
        (np.arange(3000) + 0.5) * 16 / 3000, (np.arange(300) + 0.5) * 2 * np.pi / 300
    )
    distances = distances.ravel() / np.sqrt(curvature)
    radius = np.tanh(np.sqrt(curvature) * distances / 2) / np.sqrt(curvature)
    directions = np.stack([np.cos(angles.ravel()), np.sin(angles.ravel())], axis=-1)
    # dr / d distance = (1 - c r^2) / 2.
    widths = (1 - curvature * radius**2) / 2 * 16 / 3000 / np.sqrt(curvature)
    return radius[:, None] * directions, radius * widths * 2 * np.pi / 300


def exp_map(loc, v, curvature):
    """exp_loc(v / lambda_loc), as the paper writes it, by the Moebius sum."""
    root, factor = np.sqrt(curvature), 2 / (1 - curvature * loc @ loc)
    u = v / factor
    length = np.linalg.norm(u)
    y = np.tanh(root * factor * length / 2) * u / (root * length)
    dot, of_loc, of_y = curvature * loc @ y, curvature * loc @ loc, curvature * y @ y
    numerator = (1 + 2 * dot + of_y) * loc + (1 - of_loc) * y
    return numerator / (1 + 2 * dot + of_loc * of_y)


# Density.


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("loc, scale", [((0.0, 0.0), (1.0, 1.0)), ((0.3, -0.4), (0.5, 1.2))])
def test_density_integrates_to_one(loc, scale, curvature):
    q = distribution(loc, scale, curvature)
    points, areas = disc(curvature)
    # The midpoint rule on a grid of 900,000 smooth values.
    assert np.sum(np.exp(q.log_prob(points)) * areas) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("dim", [2, 3, 5])
@pytest.mark.parametrize("distance", [0.19, 1.0, 4.0])
def test_log_prob_by_change_of_variables(distance, dim, curvature):
    """log N(v) - log |det dz/dv|, the Jacobian of the exponential map by central differences."""
    rng = np.random.default_rng(dim)
    loc = 0.5 * rng.uniform(-1, 1, size=dim) / np.sqrt(dim * curvature)
    scale, v = rng.uniform(0.5, 1.5, size=dim), rng.normal(size=dim)
    v *= distance / np.sqrt(curvature) / np.linalg.norm(v)
    steps = 1e-5 * np.eye(dim)
    ends = [[exp_map(loc, v + sign * step, curvature) for step in steps] for sign in (1, -1)]
    jacobian = (np.array(ends[0]) - np.array(ends[1])) / 2e-5
    expected = stats.norm.logpdf(v, scale=scale).sum() - np.linalg.slogdet(jacobian)[1]
    q = distribution(loc, scale, curvature)
    assert float(q.log_prob(exp_map(loc, v, curvature))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("curvature", CURVATURES)
def test_log_prob_in_one_dimension(curvature):
    """u = 2 artanh(sqrt(c) z) / sqrt(c), the place on the line, is normal; du/dz by hand."""
    root = np.sqrt(curvature)
    loc, z = 0.4 / root, np.linspace(-0.99, 0.99, 41) / root
    q = distribution([loc], [0.7], curvature)
    place = 2 * np.arctanh(root * z) / root
    center = 2 * np.arctanh(root * loc) / root
    expected = stats.norm.logpdf(place, center, 0.7) + np.log(2 / (1 - curvature * z**2))
    assert_allclose(q.log_prob(z[:, None]), expected, rtol=1e-8)


def test_little_curvature_is_flat():
    """z = v / 2 in the limit, of which N(0, 1) has log 2 more for each dimension."""
    q = PoincareNormalDistribution(tf.zeros(3), tf.ones(3), curvature=1e-8)
    z = np.float32([0.3, -0.8, 1.5])
    expected = stats.norm.logpdf(2 * z).sum() + 3 * np.log(2)
    assert float(q.log_prob(z)) == pytest.approx(expected, rel=1e-5)
    draws = 2 * q.sample(20_000, seed=SEED).numpy()
    assert_allclose(draws.std(0), 1.0, rtol=0, atol=5 / np.sqrt(2 * 20_000))


def test_no_density_outside():
    q = PoincareNormalDistribution(tf.zeros(2), tf.ones(2))
    assert_allclose(q.log_prob([[1.0, 0.0], [0.8, 0.8], [30.0, 0.0]]), 3 * [-np.inf])
    strict = PoincareNormalDistribution(tf.zeros(2), tf.ones(2), validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside of the ball"):
        strict.log_prob([0.8, 0.8])


# Draws.


@pytest.mark.parametrize("curvature", CURVATURES)
def test_draws_follow_the_density(curvature):
    """Means of three functions, by draws in float32 and by quadrature."""
    loc, scale = np.float32([0.3, -0.4]), np.float32([0.5, 1.2])
    q, n = PoincareNormalDistribution(loc, scale, curvature), 100_000
    points, areas = disc(curvature)
    density = np.exp(distribution(loc, scale, curvature).log_prob(points)) * areas

    def functions(z):
        return np.stack([z[:, 0], z[:, 1], np.sum(z**2, axis=1), np.abs(z[:, 0] - z[:, 1])])

    draws = functions(q.sample(n, seed=SEED).numpy().astype("float64"))
    expected = functions(points) @ density
    errors = np.abs(draws.mean(1) - expected)
    # 5 standard errors, and that of the quadrature.
    assert np.all(errors < 5 * draws.std(1) / np.sqrt(n) + 1e-4)


def test_gradient_of_draws_and_densities():
    """By location and scale, against central differences with one seed, in float64."""
    loc, scale = np.array([[0.3, -0.4], [0.0, 0.0]]), np.array([[0.5, 1.2], [1.0, 0.3]])

    def value(loc, scale):
        q = PoincareNormalDistribution(loc, scale, 1.5)
        z = q.sample(4, seed=SEED)
        p = distribution([0.1, 0.0], [1.0, 0.8], 1.5)
        return tf.reduce_sum(q.log_prob(z) - p.log_prob(z) + z[..., 0])

    arguments = [tf.constant(loc), tf.constant(scale)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        result = value(*arguments)
    gradients = tape.gradient(result, arguments)
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=(2, 2)) for _ in range(2)]
    ends = [
        float(value(*(a + h * d for a, d in zip((loc, scale), directions, strict=True))))
        for h in (1e-5, -1e-5)
    ]
    actual = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    assert actual == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


# The KL divergence.


def test_kl_divergence_by_draws_and_by_quadrature():
    q, p = (distribution(*arguments) for arguments in (([0.3, -0.4], [0.5, 0.8]), ([0, 0], [1, 1])))
    points, areas = disc(1.0)
    log_q, log_p = q.log_prob(points).numpy(), p.log_prob(points).numpy()
    expected = np.sum(np.exp(log_q) * (log_q - log_p) * areas)
    n = 100_000
    copies = distribution(np.tile(q.loc, (n, 1)), np.tile(q.scale, (n, 1)))
    draws = losses.kl_divergence(copies, p, copies.sample(seed=SEED)).numpy()
    assert expected > 0.3
    assert draws.mean() == pytest.approx(expected, abs=5 * draws.std() / np.sqrt(n) + 1e-3)


def test_kl_divergence_in_one_dimension():
    """That of the normals on the line."""
    q, p, n = distribution([0.5], [0.4]), distribution([0.0], [1.0]), 100_000
    z = q.sample(n, seed=SEED)
    draws = (q.log_prob(z) - p.log_prob(z)).numpy()
    center = 2 * np.arctanh(0.5)
    expected = 0.5 * (0.4**2 + center**2 - 1) - np.log(0.4)
    assert draws.mean() == pytest.approx(expected, abs=5 * draws.std() / np.sqrt(n))


# Layers.


def test_parameters_of_the_head():
    """The center is at the distance of the tangent vector, and scales are softplus + 0.001."""
    params = np.float32([[0.6, -0.8, 0.0, 1.0], [60.0, -80.0, -50.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    q = layers.PoincareNormal.new(params, 2, curvature=4.0)
    directions = [[0.6, -0.8], [0.6, -0.8], [0.0, 0.0]]
    distances = np.array([[1.0], [4.0], [0.0]])  # At most 8 / sqrt(4).
    assert_allclose(q.loc, np.tanh(distances) / 2 * directions, rtol=1e-5, atol=1e-7)
    assert_allclose(q.scale, np.log1p(np.exp(params[:, 2:])) + 1e-3, rtol=1e-5)


@pytest.mark.parametrize("dim", [1, 2, 40])
@pytest.mark.parametrize("size", [0.0, 1e-20, 1.0, 1e4, 1e18])
def test_values_and_gradients_are_finite(dim, size):
    params = tf.constant(size * np.linspace(-1, 1, 2 * dim, dtype="float32")[None])
    p = layers.PoincareNormalPrior(dim).as_distribution()
    with tf.GradientTape() as tape:
        tape.watch(params)
        q = layers.PoincareNormal.new(params, dim)
        z = q.sample(seed=SEED)
        kl = q.log_prob(z) - p.log_prob(z)
        total = kl + tf.reduce_sum(layers.PoincareLogMap()(z), axis=-1)
    assert np.isfinite(kl).all()
    assert np.linalg.norm(z, axis=-1) < 1
    assert np.isfinite(tape.gradient(total, params)).all()


def test_log_map_undoes_the_prior():
    """Draws of the prior become normal: moments, with 5 standard errors. Points outside go in."""
    prior, n = layers.PoincareNormalPrior(3, curvature=0.5, scale=1.5), 50_000
    v = layers.PoincareLogMap(0.5)(prior.as_distribution().sample(n, seed=SEED)).numpy()
    assert_allclose(v.mean(0), 0.0, atol=5 * 1.5 / np.sqrt(n))
    assert_allclose(v.std(0), 1.5, rtol=0, atol=5 * 1.5 / np.sqrt(2 * n))
    assert stats.kstest(v[:, 0] / 1.5, "norm").pvalue > 1e-6
    far = layers.PoincareLogMap(1.0)(tf.constant([[5.0, 0.0]]))
    assert_allclose(far, [[2 * np.arctanh(1 - 1e-5), 0.0]], rtol=1e-3)


def test_draws_and_densities_are_the_same_with_xla():
    layer = layers.PoincareNormal(3, 0.5)
    params = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")

    def draw():
        q = layer(params)
        z = q.sample(4, seed=SEED)
        return z, q.log_prob(z)

    for actual, expected in zip(tf.function(draw, jit_compile=True)(), draw(), strict=True):
        assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_log_map_near_the_boundary(policy):
    """Of 0.99933, which is 1 in bfloat16: the layer reads points in float32."""
    layer = layers.PoincareLogMap(dtype=policy)
    v = layer(tf.constant([[np.tanh(4.0), 0.0]], tf.float32))
    assert v.dtype == layer.compute_dtype
    assert_allclose(tf.cast(v, tf.float32), [[8.0, 0.0]], rtol=1e-3)


@pytest.mark.parametrize("validate_args", [False, True])
def test_arguments_survive_the_config(validate_args):
    layer = layers.PoincareNormal(3, 0.5, validate_args=validate_args)
    params = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    again = layers.PoincareNormal.from_config(layer.get_config())
    for q in (layer(params), again(params)):
        assert q.validate_args is validate_args
        assert q.space == "points of the Poincare ball of curvature -0.5"
    prior = layers.PoincareNormalPrior(3, 0.5, scale=2.0)
    assert layers.PoincareNormalPrior.from_config(prior.get_config()).get_config() == {
        **prior.get_config()
    }
    assert (
        layers.PoincareLogMap.from_config(layers.PoincareLogMap(0.5).get_config()).curvature == 0.5
    )


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.PoincareNormal(0), "event_size must be an int of at least 1"),
        (lambda: layers.PoincareNormal(2, curvature=0.0), "Received: curvature=0.0"),
        (lambda: layers.PoincareNormalPrior(2, scale=-1.0), "Received: scale=-1.0"),
        (lambda: layers.PoincareLogMap(-1.0), "Received: curvature=-1.0"),
        (lambda: layers.PoincareNormal(2)(tf.zeros((3, 5))), "Received"),
    ],
)
def test_arguments_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# A Poincare VAE.


def vae(curvature=1.0, **kwargs):
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(4, bias_initializer="zeros")
    encoder = keras.Sequential([keras.Input((3,)), dense, layers.PoincareNormal(2, curvature)])
    decoder = keras.Sequential(
        [
            keras.Input((2,)),
            layers.PoincareLogMap(curvature),
            keras.layers.Dense(3),
            layers.FixedScaleNormal(3, scale=SCALE),
        ]
    )
    decoder.layers[-2].set_weights([WEIGHTS, BIAS])
    prior = layers.PoincareNormalPrior(2, curvature)
    return models.VAE(encoder, decoder, **{"prior": prior, "seed": 0, **kwargs})


@pytest.mark.parametrize("curvature", [0.3, 1.0])
def test_importance_weights_against_the_exact_likelihood(curvature):
    """Behind the log map the prior is N(0, I), and the model that of `linear_gaussian`."""
    model, num_samples = vae(curvature), 50_000
    log_px = exact().log_prob(X).numpy()
    log_weights = model.log_weights(X, num_samples, SEED).numpy()
    weights = np.exp(log_weights - log_px)
    assert np.all(np.abs(weights.mean(0) - 1) < 5 * weights.std(0) / np.sqrt(num_samples))
    assert np.all(log_weights.mean(0) < log_px - 0.1)


def test_training_comes_close_to_the_exact_likelihood():
    model, x = vae(), exact().sample(6400, seed=0).numpy()
    model.decoder.trainable = False
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    before = np.mean(exact().log_prob(x) - model.terms(x, training=False)["elbo"])
    model.fit(x, batch_size=128, epochs=6, verbose=0)
    differences = exact().log_prob(x) - model.terms(x, training=False)["elbo"]
    standard_error = np.std(differences) / np.sqrt(len(x))
    assert -5 * standard_error < np.mean(differences) < 0.8 < 0.5 * before


@pytest.mark.parametrize("prior", [None, layers.PoincareNormalPrior(2, curvature=2.0)])
def test_prior_over_another_space(prior):
    with pytest.raises(
        ValueError, match=r"Poincare ball of curvature -1 and a prior.*one curvature"
    ):
        vae(prior=prior)
