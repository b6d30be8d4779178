"""The von Mises-Fisher head and the uniform prior: densities, draws, gradients, a whole VAE."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tfgen import layers, losses, metrics, models, networks

DIMS, CONCENTRATIONS = (2, 3, 4, 10, 40), (1e-3, 0.1, 1.0, 20.0, 1e3, 1e6)
SHAPE = (2, 2, 1)


def head(concentration, dim):
    """The distribution around a direction that is no axis, from the layer's parameters."""
    raw = np.log(np.expm1(concentration - 1e-3)) if 1e-3 < concentration < 80 else concentration
    raw = -100.0 if concentration == 1e-3 else raw
    direction = np.linspace(-2.0, 3.0, dim)
    params = np.concatenate([direction, [raw]]).astype("float32")
    q = layers.VonMisesFisher.new(params, dim)
    np.testing.assert_allclose(q.concentration, concentration, rtol=1e-5)
    np.testing.assert_allclose(
        q.mean_direction, direction / np.linalg.norm(direction), rtol=1e-5, atol=1e-6
    )
    return q


def bessel_ratio(concentration, dim):
    """E[mu^T z] = I_{d/2}(kappa) / I_{d/2 - 1}(kappa)."""
    return special.ive(dim / 2, concentration) / special.ive(dim / 2 - 1, concentration)


def kl_by_bessel_functions(concentration, dim):
    """kappa E[mu^T z] + log C(kappa) + log of the sphere's area, Davidson et al., in float64."""
    order = dim / 2 - 1
    log_bessel = np.log(special.ive(order, concentration)) + concentration
    log_constant = order * np.log(concentration) - dim / 2 * np.log(2 * np.pi) - log_bessel
    log_area = np.log(2) + dim / 2 * np.log(np.pi) - special.gammaln(dim / 2)
    return concentration * bessel_ratio(concentration, dim) + log_constant + log_area


def kl(q, dim):
    return losses.kl_divergence(q, layers.SphericalUniform(dim).as_distribution())


@pytest.mark.parametrize("concentration", CONCENTRATIONS)
@pytest.mark.parametrize("dim", DIMS)
def test_kl_to_uniform(dim, concentration):
    q = head(concentration, dim)
    kappa = float(q.concentration)
    # Float32 rounding of terms up to dim / 2 log(kappa), 300.
    np.testing.assert_allclose(kl(q, dim), kl_by_bessel_functions(kappa, dim), rtol=2e-6, atol=5e-7)
    np.testing.assert_allclose(
        q.mean(), bessel_ratio(kappa, dim) * q.mean_direction.numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("dim, concentration", [(2, 0.5), (3, 20.0), (10, 200.0), (40, 5.0)])
def test_kl_is_the_mean_of_the_log_ratio_of_draws(dim, concentration):
    q, n = head(concentration, dim), 20_000
    z = q.sample(n, seed=[0, dim])
    ratios = q.log_prob(z) - layers.SphericalUniform(dim).as_distribution().log_prob(z)
    tolerance = 5 * np.std(ratios) / np.sqrt(n) + 1e-5
    np.testing.assert_allclose(np.mean(ratios), kl(q, dim), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dim, concentration", [(2, 1e-3), (2, 30.0), (3, 1.0), (7, 1e4)])
def test_density_is_scipys(dim, concentration):
    q = head(concentration, dim)
    z = q.sample(50, seed=[3, 4]).numpy().astype("float64")
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    mu = q.mean_direction.numpy().astype("float64")
    theirs = stats.vonmises_fisher(mu / np.linalg.norm(mu), float(q.concentration))
    np.testing.assert_allclose(q.log_prob(tf.cast(z, tf.float32)), theirs.logpdf(z), atol=2e-3)
    np.testing.assert_allclose(q.entropy(), theirs.entropy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("concentration", CONCENTRATIONS)
@pytest.mark.parametrize("dim", DIMS)
def test_draws_are_unit_vectors_around_the_mean_direction(dim, concentration):
    q, n = head(concentration, dim), 5_000
    z = q.sample(n, seed=[5, dim]).numpy().astype("float64")
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-6)
    # 1 - mu^T z, of mean 1 - A and variance 1 - A^2 - (d - 1) A / kappa.
    versines = np.sum(np.square(z - q.mean_direction.numpy()), axis=1) / 2
    error = 5 * versines.std() / np.sqrt(n)
    expected = 1 - bessel_ratio(float(q.concentration), dim)
    np.testing.assert_allclose(versines.mean(), expected, rtol=1e-5, atol=error)
    across = z - (z @ q.mean_direction.numpy())[:, None] * q.mean_direction.numpy()
    standard_errors = across.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(across.mean(axis=0)) < 5 * standard_errors + 1e-6)


@pytest.mark.parametrize("concentration", [0.1, 5.0, 1e4])
@pytest.mark.parametrize("dim", [2, 3, 10])
def test_angles_have_the_distribution_of_the_density(dim, concentration):
    q = head(concentration, dim)
    z = q.sample(4_000, seed=[6, dim]).numpy().astype("float64")
    half = np.linalg.norm(z - q.mean_direction.numpy(), axis=1) / 2
    angles = 2 * np.arcsin(np.minimum(half, 1.0))
    grid = np.linspace(1e-9, min(np.pi, 60 / np.sqrt(concentration)), 100_001)
    log_density = (dim - 2) * np.log(np.sin(grid)) - 2 * concentration * np.sin(grid / 2) ** 2
    cumulative = np.cumsum(np.exp(log_density - log_density.max()))
    cdf = functools.partial(np.interp, xp=grid, fp=cumulative / cumulative[-1])
    assert stats.kstest(angles, cdf).pvalue > 1e-6


def quadrature(function, concentration, dim):
    """E of a function of the angle to the mean direction, in float64."""
    grid = np.linspace(1e-9, np.pi - 1e-9, 200_001)
    log_density = (dim - 2) * np.log(np.sin(grid)) - 2 * concentration * np.sin(grid / 2) ** 2
    weights = np.exp(log_density - log_density.max())
    return np.sum(weights * function(grid)) / np.sum(weights)


@pytest.mark.parametrize("concentration", [0.2, 3.0, 50.0])
@pytest.mark.parametrize("dim", [2, 3, 4, 10])
def test_gradient_through_draws_by_the_concentration(dim, concentration):
    """Against the numerical derivative of an expectation, of a function that is not linear."""
    n, step = 20_000, 1e-3 * concentration
    mu = tf.one_hot(1, dim)
    kappa = tf.fill((n,), tf.constant(concentration))

    def value(angle):
        return np.exp(np.cos(angle)) + np.cos(angle) ** 3

    with tf.GradientTape() as tape:
        tape.watch(kappa)
        raw = tf.math.log(tf.math.expm1(kappa - 1e-3))
        params = tf.concat([tf.tile(mu[None], (n, 1)), raw[:, None]], axis=1)
        cosine = layers.VonMisesFisher.new(params, dim).sample(seed=[7, 8])[:, 1]
        total = tf.reduce_sum(tf.exp(cosine) + cosine**3)
    slopes = tape.gradient(total, kappa).numpy()
    upper, lower = (quadrature(value, concentration + s, dim) for s in (step, -step))
    tolerance = 5 * slopes.std() / np.sqrt(n)
    np.testing.assert_allclose(
        slopes.mean(), (upper - lower) / (2 * step), rtol=1e-5, atol=tolerance
    )


@pytest.mark.parametrize("dim", [2, 5])
def test_gradient_through_draws_by_the_direction(dim):
    """E[a^T z] = A(kappa) a^T v / ||v||."""
    n, a, kappa = 20_000, np.linspace(1.0, -1.0, dim).astype("float32"), 4.0
    v = np.linspace(0.5, 2.0, dim).astype("float32")
    copies = tf.tile(tf.constant(v)[None], (n, 1))
    with tf.GradientTape() as tape:
        tape.watch(copies)
        raw = tf.fill((n, 1), tf.math.log(tf.math.expm1(kappa - 1e-3)))
        q = layers.VonMisesFisher.new(tf.concat([copies, raw], axis=1), dim)
        total = tf.reduce_sum(q.sample(seed=[9, 1]) * a)
    slopes = tape.gradient(total, copies).numpy()
    mu = v / np.linalg.norm(v)
    expected = bessel_ratio(kappa, dim) * (a - (a @ mu) * mu) / np.linalg.norm(v)
    error = slopes.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(slopes.mean(axis=0) - expected) < 5 * error)


@pytest.mark.parametrize("concentration", [0.1, 5.0, 1e3])
@pytest.mark.parametrize("dim", [2, 3, 40])
def test_gradient_of_the_kl(dim, concentration):
    """d KL / d kappa = kappa A'(kappa), A' = 1 - A^2 - (d - 1) A / kappa."""
    q = layers.VonMisesFisher.new(tf.one_hot(0, dim + 1), dim)
    kappa = tf.constant(concentration)
    with tf.GradientTape() as tape:
        tape.watch(kappa)
        value = kl(q.copy(concentration=kappa), dim)
    ratio = bessel_ratio(concentration, dim)
    expected = concentration * (1 - ratio**2 - (dim - 1) * ratio / concentration)
    # The closed form itself loses digits where A is near 1.
    np.testing.assert_allclose(tape.gradient(value, kappa), expected, rtol=1e-3, atol=1e-6)


def test_extreme_parameters_are_finite():
    rows = [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1e9], [-1e-20, 0.0, 0.0, -1e9]]
    params = tf.constant(rows)
    with tf.GradientTape() as tape:
        tape.watch(params)
        q = layers.VonMisesFisher.new(params, 3)
        z = q.sample(seed=[0, 0])
        loss = tf.reduce_sum(kl(q, 3) + z[:, 0] + q.log_prob(z))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-5)
    assert np.all(np.isfinite(loss)) and np.all(np.isfinite(tape.gradient(loss, params)))


def test_draws_are_the_same_under_xla():
    params = np.random.default_rng(0).normal(size=(30, 5)).astype("float32")

    def draw(params):
        q = layers.VonMisesFisher.new(params, 4)
        return q.sample(3, seed=[1, 2]), layers.SphericalUniform(4).as_distribution().sample(
            3, seed=[1, 2]
        )

    compiled = tf.function(draw, jit_compile=True)(params)
    for ours, theirs in zip(draw(params), compiled, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_prior_is_uniform_on_the_sphere_and_nowhere_else():
    prior = layers.SphericalUniform(3).as_distribution()
    z = prior.sample(20_000, seed=[0, 0]).numpy()
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-5)
    # Archimedes: in three dimensions each coordinate is uniform on [-1, 1].
    for coordinate in z.T:
        assert stats.kstest(coordinate, stats.uniform(-1, 2).cdf).pvalue > 1e-6
    np.testing.assert_allclose(prior.log_prob(z), -np.log(4 * np.pi), rtol=1e-6)
    assert np.all(np.isneginf(prior.log_prob([[0.9, 0.0, 0.0], [0.0, 0.0, 0.0]])))


def test_kl_between_spheres_of_different_dimensions():
    with pytest.raises(ValueError, match="Received: event shapes"):
        losses.kl_divergence(head(1.0, 3), layers.SphericalUniform(4).as_distribution())


def vae(dim=2, model=models.VAE, **kwargs):
    keras.utils.set_random_seed(0)
    decoder_head = functools.partial(layers.FixedScaleNormal, scale=0.5)
    return model(
        networks.mlp_encoder(SHAPE, dim, layers.VonMisesFisher, width=8, depth=1),
        networks.mlp_decoder(SHAPE, dim, decoder_head, width=8, depth=1),
        prior=layers.SphericalUniform(dim),
        seed=0,
        **kwargs,
    )


@pytest.fixture
def circle():
    """Images that lie on a circle, with noise."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(128, 1))
    axes = np.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]]) / 2
    points = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) @ axes
    return (2 * points).reshape(-1, *SHAPE).astype("float32")


@pytest.mark.slow
def test_a_vae_on_the_circle_learns_saves_and_loads(circle, tmp_path):
    model = vae()
    model.compile(keras.optimizers.Adam(0.01))
    before = model.evaluate(circle, verbose=0, return_dict=True)
    model.fit(circle, epochs=40, verbose=0)
    after = model.evaluate(circle, verbose=0, return_dict=True)
    assert after["elbo"] > before["elbo"] + 1.0 and after["kl"] > 0.5
    np.testing.assert_allclose(np.linalg.norm(model.embed(circle), axis=1), 1.0, rtol=1e-5)
    assert model.interpolate(circle[:2], circle[2:4]).shape == (2, 7, *SHAPE)
    assert model.traverse(circle[0]).shape == (2, 7, *SHAPE)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.sample(5, seed=1), model.sample(5, seed=1))
    np.testing.assert_array_equal(loaded.reconstruct(circle), model.reconstruct(circle))


def test_likelihood_is_the_integral_over_the_circle(circle):
    model, x = vae(), circle[:20]
    angle = np.linspace(0, 2 * np.pi, 2_000, endpoint=False)
    z = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype("float32")
    log_px = model.log_likelihood(x, np.repeat(z[:, None], len(x), axis=1)).numpy()
    exact = -np.mean(special.logsumexp(log_px, axis=0) - np.log(len(angle)))
    measured = metrics.importance_sampled_nll(model, x, 4_000, verbose=False)
    # Weights of nearly equal size: some 0.01 nats of noise for each example.
    assert float(measured.nll) == pytest.approx(exact, abs=0.02)


def test_iwae_and_beta_vae_take_it_too(circle):
    for model in (models.IWAE, models.BetaVAE):
        built = vae(model=model)
        built.compile()
        history = built.fit(circle, epochs=1, verbose=0).history
        assert np.isfinite(history["loss"][0])


def normal_encoder(size):
    return networks.mlp_encoder(SHAPE, size, width=8)


def spherical_encoder(size):
    return networks.mlp_encoder(SHAPE, size, layers.VonMisesFisher, width=8)


@pytest.mark.parametrize("model", [models.VAE, models.IWAE])
@pytest.mark.parametrize(
    "encoder, prior, message",
    [
        (spherical_encoder, lambda: None, "unit vectors and a prior over all"),
        (normal_encoder, lambda: layers.SphericalUniform(6), "all vectors and a prior over unit"),
        (spherical_encoder, lambda: layers.RelaxedOneHotPrior(6, 3), "a prior over relaxed"),
    ],
)
def test_densities_over_different_vectors_are_refused(model, encoder, prior, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        model(encoder(6), networks.mlp_decoder(SHAPE, 6, width=8), prior())


def test_a_vamp_prior_of_the_sphere_is_over_the_sphere(circle):
    prior = layers.VampPrior(SHAPE, 3, activation="linear", seed=0)
    model = models.VAE(spherical_encoder(3), networks.mlp_decoder(SHAPE, 3, width=8), prior)
    assert np.all(np.isfinite(model.terms(np.clip(circle, 0, 1))["elbo"]))
