"""Samplers of codes: densities against other libraries, enumeration and quadrature; draws."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats
from sklearn import mixture

from tfgen import bijectors, layers, models, networks, samplers

tfd = tfp.distributions

SHAPE, NUM_CODES, NUM_POSITIONS = (2, 2, 1), 3, 3
FITTED = {
    "mixture": lambda: samplers.GaussianMixture(3),
    "diagonal mixture": lambda: samplers.GaussianMixture(3, covariance="diag"),
    "posteriors": lambda: samplers.VampPosterior(50),
    "histogram": lambda: samplers.Histogram(10),
    "flow": lambda: samplers.NormalizingFlow(num_steps=2, hidden=(16,), epochs=3),
}
CONTINUOUS = {**FITTED, "two stages": lambda: samplers.TwoStageVAE(width=16, depth=1, epochs=3)}
# Of a class each, with weights before any fit.
SHAPED = {
    "Autoregressive": {"width": 8, "depth": 1, "num_heads": 2, "epochs": 1, "num_codes": NUM_CODES},
    "GaussianMixture": {"num_components": 3},
    "Histogram": {},
    "NormalizingFlow": {"num_steps": 1, "hidden": (4,), "epochs": 1},
    "TwoStageVAE": {"width": 4, "depth": 1, "epochs": 1},
    "VampPosterior": {"num_components": 3},
}


def shaped(name):
    return getattr(samplers, name)(event_shape=2, **SHAPED[name])


class Coder:
    """A model whose code of an example is the example."""

    def encode(self, x):
        return tf.cast(x, tf.float32)


class NormalCoder:
    """A model whose posterior is N(x, 0.1 I)."""

    def encode(self, x):
        return layers.IndependentNormal(2, scale_activation="exponential")(
            tf.concat([tf.cast(x, tf.float32), tf.fill(x.shape, math.log(0.1))], axis=1)
        )


@pytest.fixture(scope="module")
def codes():
    """600 codes of two dimensions, in two clusters."""
    rng = np.random.default_rng(0)
    centres = rng.choice([-2.0, 2.0], size=(600, 1))
    return (centres + rng.normal(size=(600, 2)) @ [[1.0, 0.5], [0.0, 0.3]]).astype("float32")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(200, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def vae(images):
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, 2, width=8, depth=1)
    decoder = networks.mlp_decoder(SHAPE, 2, layers.FixedScaleNormal, width=8, depth=1)
    model = models.VAE(encoder, decoder, beta=0.5, seed=0)
    model.compile("adam")
    model.fit(images, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def vq_vae(images):
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, NUM_POSITIONS, head=None, width=8)
    decoder = networks.mlp_decoder(SHAPE, NUM_POSITIONS, width=8)
    model = models.VQVAE(encoder, decoder, num_codes=NUM_CODES, code_dim=1, seed=0)
    model.compile("adam")
    model.fit(np.round(images), epochs=2, verbose=0)
    return model


def fit(sampler, codes, model=None):
    return sampler.fit(model or Coder(), codes, verbose=False)


# Densities.


def test_mixture_is_scikit_learns(codes):
    for covariance in ("full", "diag"):
        ours = fit(samplers.GaussianMixture(3, covariance), codes)
        theirs = mixture.GaussianMixture(3, covariance_type=covariance, random_state=0)
        theirs.fit(codes.astype("float64"))
        expected = theirs.score_samples(codes[:50].astype("float64"))
        np.testing.assert_allclose(ours.log_prob(codes[:50]), expected, rtol=1e-4, atol=1e-4)


def test_mean_of_posteriors(codes):
    sampler = fit(samplers.VampPosterior(600), codes, NormalCoder())
    density = stats.norm(codes[:, None], 0.1).pdf(codes[None, :5]).prod(-1).mean(0)
    np.testing.assert_allclose(sampler.log_prob(codes[:5]), np.log(density), rtol=1e-4)


def test_histogram_is_numpys(codes):
    sampler = fit(samplers.Histogram(10), codes)
    expected = 0.0
    for column in codes.T:
        counts, edges = np.histogram(column, 10, density=True)
        expected += np.log(counts[np.clip(np.searchsorted(edges, column, "right") - 1, 0, 9)])
    # Codes within float32 rounding of an edge may fall into either bin.
    same = np.isclose(sampler.log_prob(codes), expected, rtol=1e-4)
    assert same.mean() > 0.99
    assert sampler.log_prob([[100.0, 0.0]]) == -math.inf


def test_flow_is_the_model_that_was_trained(codes):
    flow = bijectors.maf(2, 2, (16,))
    sampler = fit(samplers.NormalizingFlow(flow, epochs=3), codes)
    expected = models.NormalizingFlow(flow).log_prob(codes[:20])
    np.testing.assert_allclose(sampler.log_prob(codes[:20]), expected, rtol=1e-5)
    standard = stats.norm.logpdf(codes).sum(1).mean()
    assert np.mean(sampler.log_prob(codes)) > standard + 1


@pytest.mark.parametrize("name", FITTED)
def test_densities_integrate_to_one(codes, name):
    model = NormalCoder() if name == "posteriors" else None
    sampler = fit(FITTED[name](), codes, model)
    axis = np.linspace(-12, 12, 801, dtype="float32")
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    mass = np.exp(np.asarray(sampler.log_prob(grid), "float64")).sum() * (axis[1] - axis[0]) ** 2
    # Bins of the histogram end between the points of the grid.
    assert mass == pytest.approx(1, abs=0.02 if name == "histogram" else 2e-3)


def test_autoregressive_density_sums_to_one_and_is_causal(vq_vae, images):
    sampler = fit(samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=2), images, vq_vae)
    every = np.stack(np.meshgrid(*[range(NUM_CODES)] * NUM_POSITIONS), -1).reshape(-1, 3)
    assert np.exp(sampler.log_prob(every)).sum() == pytest.approx(1, abs=1e-5)
    logits = sampler.network(np.array([[0, 1, 2], [0, 1, 0], [1, 1, 2]]))
    np.testing.assert_allclose(logits[0, :3], logits[1, :3], atol=1e-6)  # The last sees itself not.
    np.testing.assert_allclose(logits[0, 0], logits[2, 0], atol=1e-6)
    assert np.abs(logits[0, 1] - logits[2, 1]).max() > 1e-4


@pytest.mark.slow
def test_autoregressive_learns_what_counts_cannot():
    class Copier:
        num_codes = 4

        def indices(self, x):
            return tf.repeat(tf.cast(x, tf.int32) % 4, 3, axis=1)

        encode = indices

    x = np.random.default_rng(0).integers(4, size=(512, 1))
    sampler = samplers.Autoregressive(
        width=16, depth=1, num_heads=2, epochs=30, batch_size=64, learning_rate=1e-2
    )
    fit(sampler, x, Copier())
    nll = -np.mean(sampler.log_prob(Copier().indices(x)))
    # Equal codes have an entropy of log 4, independent ones would need 3 log 4 = 4.16.
    assert nll == pytest.approx(math.log(4), abs=0.05)
    drawn = np.asarray(sampler.sample(200, seed=0))
    assert (drawn == drawn[:, :1]).mean() > 0.98


@pytest.mark.parametrize("name", FITTED)
def test_density_of_codes_that_are_no_numbers(codes, name):
    """NaN, as of the distributions of TFP; the row beside it keeps its own."""
    sampler = fit(FITTED[name](), codes, NormalCoder() if name == "posteriors" else None)
    found = np.asarray(sampler.log_prob(np.stack([[np.nan, 0.0], codes[0]])))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(sampler.log_prob(codes[:1])[0].numpy(), rel=1e-5)


# Draws.


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_are_as_the_codes(codes, name):
    trained = {"epochs": 60, "batch_size": 64, "learning_rate": 1e-2}
    makers = {
        **CONTINUOUS,
        "posteriors": lambda: samplers.VampPosterior(600),
        "flow": lambda: samplers.NormalizingFlow(num_steps=2, hidden=(16,), **trained),
        "two stages": lambda: samplers.TwoStageVAE(width=32, depth=1, **trained),
    }
    sampler = fit(makers[name](), codes, NormalCoder() if name == "posteriors" else None)
    drawn = np.asarray(sampler.sample(5000, seed=1))
    # Five standard errors of 5,000 draws; bins and trained densities are not the codes' own.
    slack = 0.25 if name in ("flow", "two stages") else 5 / 5000**0.5
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=slack * codes.std(0).max())
    np.testing.assert_allclose(drawn.std(0), codes.std(0), rtol=0.1)
    again = sampler.sample(5000, seed=1)
    np.testing.assert_array_equal(drawn, again)


def test_draws_have_the_density(codes):
    """Mean log-densities of draws are minus the entropy, here by quadrature."""
    for name in ("mixture", "diagonal mixture", "posteriors"):
        sampler = fit(FITTED[name](), codes, NormalCoder() if name == "posteriors" else None)
        axis = np.linspace(-12, 12, 801, dtype="float32")
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        logs = np.asarray(sampler.log_prob(grid), "float64")
        negative_entropy = (np.exp(logs) * logs).sum() * (axis[1] - axis[0]) ** 2
        found = np.asarray(sampler.log_prob(sampler.sample(4000, seed=0)))
        slack = 5 * float(found.std()) / 4000**0.5
        assert found.mean() == pytest.approx(negative_entropy, abs=slack)


def test_draws_of_codes_have_the_density(vq_vae, images):
    sampler = fit(samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=2), images, vq_vae)
    every = np.stack(np.meshgrid(*[range(NUM_CODES)] * NUM_POSITIONS), -1).reshape(-1, 3)
    expected = np.exp(np.asarray(sampler.log_prob(every), "float64"))
    drawn = np.asarray(sampler.sample(2000, seed=0))
    counts = (drawn[:, None] == every).all(-1).sum(0)
    assert stats.chisquare(counts, 2000 * expected / expected.sum()).pvalue > 1e-6


def test_temperature_and_truncation(codes):
    sampler = fit(samplers.GaussianMixture(1), codes)
    spread = [np.std(sampler.sample(4000, seed=0, temperature=t), axis=0) for t in (1.0, 0.5)]
    np.testing.assert_allclose(spread[1], spread[0] / 2, rtol=1e-4)
    drawn = sampler.sample(4000, seed=0, truncation=1.5) - sampler.loc[0]
    noise = np.linalg.solve(np.asarray(sampler.scale[0]), np.transpose(drawn))
    assert np.abs(noise).max() <= 1.5 + 1e-4
    assert stats.kstest(noise[0], stats.truncnorm(-1.5, 1.5).cdf).pvalue > 1e-6


def test_temperature_of_codes(vq_vae, images):
    sampler = fit(samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=2), images, vq_vae)
    coldest = np.asarray(sampler.sample(50, seed=0, temperature=1e-3))
    assert (coldest == coldest[0]).all()
    with pytest.raises(ValueError, match="has no use for truncation"):
        sampler.sample(3, truncation=2.0)


# In a model.


@pytest.mark.parametrize("name", FITTED)
def test_bounds_under_a_sampler(vae, images, name):
    sampler = FITTED[name]().fit(vae, images, verbose=False)
    model = vae.with_prior(sampler)
    assert model.beta == vae.beta == 0.5 and model.encoder is vae.encoder
    draw = model.infer(tf.constant(images), [0, 1], training=False)
    kl = draw.q.log_prob(draw.z) - sampler.log_prob(draw.z)
    np.testing.assert_allclose(draw.kl, kl, rtol=1e-5, atol=1e-5)
    weights = model.log_weights(images[:5], 3, [0, 1])
    z, _ = vae.encode(images[:5]).experimental_sample_and_log_prob(3, seed=[0, 1])
    before = vae.log_weights(images[:5], 3, [0, 1])
    change = sampler.log_prob(z) - vae.prior_distribution().log_prob(z)
    np.testing.assert_allclose(weights - before, change, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_bound_of_a_vq_vae(vq_vae, images):
    x = np.round(images)
    sampler = samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=2)
    model = vq_vae.with_prior(fit(sampler, x, vq_vae))
    model.compile()
    logs = model.evaluate(x, verbose=0, return_dict=True)
    expected = -np.mean(sampler.log_prob(vq_vae.indices(x)))
    assert logs["kl"] == pytest.approx(expected, rel=1e-4)
    assert model.sample(4, seed=0).shape == (4, *SHAPE)


@pytest.mark.slow
def test_fit_prior_fits_a_sampler_again(vq_vae, images):
    sampler = samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=1)
    model = vq_vae.with_prior(fit(sampler, images[:50], vq_vae))
    before = [np.array(w) for w in sampler.get_weights()]
    model.fit_prior(images)
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, sampler.get_weights(), strict=True))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_saved_with_the_model(vae, images, name, tmp_path):
    model = vae.with_prior(CONTINUOUS[name]().fit(vae, images, verbose=False))
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.sample(5, seed=3), model.sample(5, seed=3), atol=1e-6)
    direct = vae.sample(5, seed=3, prior=model.prior)
    np.testing.assert_allclose(direct, model.sample(5, seed=3), atol=1e-6)


def test_codes_of_a_vq_vae_saved(vq_vae, images, tmp_path):
    sampler = fit(samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=1), images, vq_vae)
    model = vq_vae.with_prior(sampler)
    model.compile()  # Which evaluates the prior once, before its weights are loaded too.
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.sample(5, seed=3), model.sample(5, seed=3), atol=1e-6)


def assert_served_samples(model, folder):
    """Of any number of samples, some more than are drawn at a time."""
    model.export(folder, endpoints=["sample"])
    served = tf.saved_model.load(folder)
    for num_samples in (0, 1, 7, 501):
        images = served.sample(num_samples, [3, 0])
        # The graph adds up float32 numbers in another order.
        np.testing.assert_allclose(images, model.sample(num_samples, seed=3), atol=1e-5)
        assert images.shape == (num_samples, *SHAPE)
    assert np.ptp(images, axis=0).max() > 0


@pytest.mark.parametrize("name", CONTINUOUS)
def test_exported_with_the_model(vae, images, name, tmp_path):
    sampler = CONTINUOUS[name]().fit(vae, images, verbose=False)
    assert_served_samples(vae.with_prior(sampler), tmp_path)


def test_codes_of_a_vq_vae_exported(vq_vae, images, tmp_path):
    sampler = fit(samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=1), images, vq_vae)
    assert_served_samples(vq_vae.with_prior(sampler), tmp_path)


@pytest.mark.parametrize("z", [[[0, 1, NUM_CODES]], [[0, 1, -1]], [[0.0, np.nan, 1.0]]])
def test_codes_that_there_are_not_have_no_density(vq_vae, images, z):
    sampler = fit(samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=1), images, vq_vae)
    with pytest.raises(ValueError, match=r"z must be a tensor of ints from 0 to 2. Received: z"):
        sampler.log_prob(z)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_examples_that_are_not_finite_have_no_codes(vq_vae, images, value):
    """A codebook has an index for them too."""
    x = np.where(np.arange(len(images))[:, None, None, None] == 7, value, images)
    with pytest.raises(ValueError, match="Examples must be finite. Received: examples with NaN"):
        fit(samplers.Autoregressive(width=8, depth=1, num_heads=2), x, vq_vae)
    with pytest.raises(ValueError, match="Expected finite data. Received: 4 values that are NaN"):
        vq_vae.fit_prior(x)


def test_a_number_of_draws_that_a_graph_knows(vq_vae, images):
    sampler = fit(samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=1), images, vq_vae)
    density, seed = sampler.as_distribution(), [0, 3]
    drawn = tf.function(lambda n: density.sample(n, seed=seed))(tf.constant(600))
    np.testing.assert_array_equal(drawn, density.sample(600, seed=seed))


def test_a_prior_that_a_subclass_computes(vae):
    """Its `prior_distribution` takes no argument, and another prior goes around it."""

    class Shifted(models.VAE):
        def prior_distribution(self):
            return tfd.MultivariateNormalDiag([5.0, 5.0], [1e-3, 1e-3])

    model = Shifted(vae.encoder, vae.decoder, seed=0)
    np.testing.assert_allclose(model.sample_latents(3, seed=0), 5.0, atol=0.01)
    z = model.sample_latents(200, seed=0, prior=layers.StandardNormal(2))
    assert np.abs(np.mean(z)) < 1
    assert model.sample(3, seed=0, prior=layers.StandardNormal(2)).shape == (3, *SHAPE)


def test_autoencoder_becomes_a_generator(images):
    encoder = networks.mlp_encoder(SHAPE, 2, head=None, width=8)
    model = models.AE(encoder, networks.mlp_decoder(SHAPE, 2, head=None, width=8), seed=0)
    sampler = samplers.GaussianMixture(2).fit(model, images, verbose=False)
    codes = np.asarray(model.encode(images))
    z = np.asarray(sampler.sample(2000, seed=0))
    np.testing.assert_allclose(z.mean(0), codes.mean(0), atol=0.2 * codes.std(0).max())
    assert model.sample(4, prior=sampler).shape == (4, *SHAPE)


# Codes.


def test_codes_are_kept_at_random_within_bounds(codes):
    seen = []

    class Kept(samplers.Histogram):
        def fit_codes(self, codes, seed, verbose):
            seen.append(codes)

    data = np.arange(10_000, dtype="float32")[:, None]
    fit(Kept(), data).fit(Coder(), data, max_codes=1000, verbose=False)
    assert len(seen[0]) == 10_000 and len(seen[1]) == 1000
    assert len(np.unique(seen[1])) == 1000
    # The mean of 1,000 of 10,000 whole numbers, at five standard errors.
    assert seen[1].mean() == pytest.approx(5000, abs=5 * 2887 / 1000**0.5)


def test_data_sets_and_draws_of_posteriors(codes):
    data = tf.data.Dataset.from_tensor_slices((codes, np.zeros(600))).batch(100)
    ours = fit(samplers.GaussianMixture(1), data, NormalCoder())
    # One draw of N(x, 0.1) for each x: variances add.
    covariance = np.asarray(ours.scale[0]) @ np.transpose(ours.scale[0])
    expected = np.cov(codes.T) + 0.01 * np.eye(2)
    np.testing.assert_allclose(covariance, expected, atol=0.05)


def test_maps_of_codes(images):
    class Maps:
        def encode(self, x):
            return tf.reshape(x, (-1, 2, 2, 1)) * 3

    sampler = fit(samplers.GaussianMixture(2), images, Maps())
    assert sampler.sample(3).shape == (3, 2, 2, 1)
    assert sampler.log_prob(sampler.sample(3)).shape == (3,)


# Refusals.


@pytest.mark.parametrize("name", CONTINUOUS)
def test_nothing_is_drawn_before_a_fit(vae, name):
    sampler = CONTINUOUS[name]()
    for call in (sampler.sample, lambda: sampler.log_prob([[0.0]]), sampler.as_distribution):
        with pytest.raises(ValueError, match="fitted on nothing yet"):
            call()
    with pytest.raises(ValueError, match="fitted on nothing yet"):
        vae.sample(3, prior=sampler)


def test_all_samplers_are_in_the_table():
    assert set(SHAPED) == set(samplers.__all__) - {"ByClass", "Sampler"}


@pytest.mark.parametrize("name", SHAPED)
def test_weights_of_no_fit_are_no_density(vae, codes, name):
    sampler, again = shaped(name), shaped(name)
    assert sampler.weights and not sampler.fitted
    copies = [sampler, type(sampler).from_config(sampler.get_config())]
    for one in copies:
        for call in (one.sample, lambda one=one: one.log_prob([[0, 0]]), one.as_distribution):
            with pytest.raises(ValueError, match=f"This {name} was fitted on nothing yet"):
                call()
        for call in (vae.with_prior, lambda prior: vae.sample(3, prior=prior)):
            with pytest.raises(ValueError, match="fitted on nothing yet"):
                call(one)

    class TwoCodes:
        num_codes = NUM_CODES

        def indices(self, x):
            return tf.cast(x > 0, tf.int32)

        encode = indices

    coders = {"Autoregressive": TwoCodes(), "VampPosterior": NormalCoder()}
    fit(again, codes, coders.get(name))
    restored = type(again).from_config(again.get_config())
    restored.set_weights(again.get_weights())
    for one in (again, restored):
        assert one.fitted
        np.testing.assert_array_equal(one.sample(3, seed=0), again.sample(3, seed=0))


def test_a_config_that_says_nothing_of_a_fit_is_of_one():
    config = shaped("GaussianMixture").get_config()
    del config["fitted"]
    assert samplers.GaussianMixture.from_config(config).sample(3, seed=0).shape == (3, 2)


def test_refusals(codes, vae, images):
    with pytest.raises(ValueError, match="has no encode"):
        samplers.GaussianMixture().fit(object(), codes)
    with pytest.raises(ValueError, match="without any"):
        samplers.GaussianMixture().fit(Coder(), codes[:0])
    with pytest.raises(ValueError, match="needs as many codes"):
        fit(samplers.GaussianMixture(700), codes)
    with pytest.raises(ValueError, match="diagonal normals"):
        fit(samplers.VampPosterior(), codes)
    with pytest.raises(ValueError, match="all the same in dimension 1"):
        fit(samplers.Histogram(), codes * np.float32([1, 0]))
    with pytest.raises(ValueError, match="no use for temperature"):
        fit(samplers.Histogram(), codes).sample(3, temperature=0.5)
    with pytest.raises(ValueError, match="has no density"):
        fit(CONTINUOUS["two stages"](), codes).log_prob(codes)
    with pytest.raises(ValueError, match="indices of a codebook"):
        fit(samplers.Autoregressive(), images, vae)
    with pytest.raises(ValueError, match="Make a new one"):
        fit(fit(samplers.GaussianMixture(2), codes), codes[:, :1])
    with pytest.raises(ValueError, match="flat codes"):
        fit(samplers.NormalizingFlow(bijectors.maf(3)), codes)
    with pytest.raises(ValueError, match="must divide it"):
        samplers.Autoregressive(width=10, num_heads=4)
    with pytest.raises(ValueError, match="The prior must be over"):
        vae.with_prior(layers.StandardNormal(3))
    with pytest.raises(ValueError, match="The prior of|is the prior"):
        vae.sample(2, prior="normal")
    with pytest.raises(ValueError, match="takes no widths"):
        vae.rebuilt(widths=3)
