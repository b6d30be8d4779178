"""NormalizingFlow: closed forms, sums over all data, initialization from data, and its errors."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

from tfgen import layers
from tfgen._utils.keras_private import sublayers
from tfgen.bijectors.bijector import Chain
from tfgen.bijectors.coupling import AffineCoupling
from tfgen.bijectors.dequantization import UniformDequantization, VariationalDequantization
from tfgen.bijectors.glow import ActNorm, Invertible1x1Conv
from tfgen.models.normalizing_flow import NormalizingFlow
from tfgen.networks import flows

SHAPE, SEED = (1, 2, 1), tf.constant([0, 1])


def perturb(layer, size=0.5):
    rng = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign_add(size * rng.normal(size=weight.shape))
    return layer


def coupling(mask, context=False):
    """Affine coupling over images of two pixels."""
    inputs = [keras.Input(SHAPE) for _ in range(1 + context)]
    x = keras.layers.Concatenate()(inputs) if context else inputs[0]
    x = keras.layers.Dense(4, "tanh")(keras.layers.Flatten()(x))
    outputs = keras.layers.Reshape((1, 2, 2))(keras.layers.Dense(4)(x))
    return AffineCoupling(keras.Model(inputs if context else inputs[0], outputs), mask)


def couplings(context=False):
    masks = np.reshape([[1, 0], [0, 1]], (2, 1, 2, 1))
    return perturb(Chain([coupling(mask, context) for mask in masks]))


def uniform(num_values=3):
    return UniformDequantization(SHAPE, num_values)


def variational(num_values=3):
    return VariationalDequantization(couplings(context=True), num_values)


def build(dequantization=None, extra=()):
    keras.utils.set_random_seed(0)
    flow = Chain([couplings(), *extra])
    return NormalizingFlow(flow, dequantization and dequantization(), seed=0)


def all_data(num_values=3):
    """Every image of two pixels."""
    pixels = np.array(list(itertools.product(range(num_values), repeat=2)), "float32")
    return pixels.reshape(-1, *SHAPE)


def scaled(loc, scale, shape=2):
    norm = ActNorm(shape)
    norm.loc.assign(loc)
    norm.log_scale.assign(np.log(scale))
    return norm


# Likelihoods.


def test_log_prob_of_a_scaled_prior():
    """A normal prior through an affine map is a normal."""
    model = NormalizingFlow(scaled([1.0, -2.0], [0.5, 3.0]))
    x = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    expected = stats.norm([1.0, -2.0], [0.5, 3.0]).logpdf(x).sum(axis=1)
    assert_allclose(model.log_prob(x), expected, rtol=1e-5)
    assert_array_equal(model.log_weights(x, 3, SEED), np.tile(model.log_prob(x), (3, 1)))
    assert_array_equal(model.terms(x)["loss"], -model.log_prob(x))


def test_log_prob_with_another_prior():
    prior = layers.MixtureOfNormals(2, 3, seed=0)
    model = NormalizingFlow(scaled([1.0, 0.0], [2.0, 2.0]), prior=prior)
    x = np.ones((1, 2), "float32")
    expected = prior.as_distribution().log_prob(np.array([[0.0, 0.5]], "float32")) - np.log(4)
    assert_allclose(model.log_prob(x), expected, rtol=1e-5)
    assert len(model.trainable_variables) == 5


@pytest.mark.parametrize("dequantization", [None, uniform], ids=["exact", "estimated"])
def test_log_prob_of_data_sets(dequantization):
    """As of arrays, from which only draws differ; each of the nine images 66 times."""
    model, x = build(dequantization), np.tile(all_data(), (66, 1, 1, 1))
    found = model.log_prob(tf.data.Dataset.from_tensor_slices(x).batch(500))
    if dequantization is None:
        assert_allclose(found, model.log_prob(x), rtol=1e-5)
        return
    expected = np.exp(model.log_weights(all_data(), 10_000, SEED)).mean(axis=0)
    for estimate in (found, model.log_prob(x, num_samples=50, seed=0)):
        p = np.exp(estimate.log_prob).reshape(66, 9)
        assert np.all(np.abs(p.mean(axis=0) - expected) < 6 * p.std(axis=0) / np.sqrt(66))
        assert np.all(estimate.standard_error > 0)


@pytest.mark.parametrize("dequantization", [uniform, variational])
def test_probabilities_of_all_data_sum_to_one(dequantization):
    """The mean of the weights estimates P(x); nine images are all there are."""
    model, x, num_samples = build(dequantization), all_data(), 10_000
    weights = np.exp(model.log_weights(x, num_samples, SEED))
    # Independent draws for each image: 5 standard errors of the sum; alpha leaves out 1e-4.
    tolerance = 5 * np.sqrt(np.sum(weights.var(axis=0)) / num_samples) + 1e-4
    assert tolerance < 0.1
    assert abs(weights.mean(axis=0).sum() - 1) < tolerance
    assert np.ptp(weights.mean(axis=0)) > 0.05


def test_both_dequantizations_estimate_the_same_probabilities():
    """Another q(u|x) does not change P(x), as long as the flow is the same."""
    weights = [
        np.exp(build(kind).log_weights(all_data(), 4000, SEED)) for kind in (uniform, variational)
    ]
    errors = np.sqrt(sum(w.var(axis=0) / 4000 for w in weights))
    difference = np.abs(weights[0].mean(axis=0) - weights[1].mean(axis=0))
    assert np.all(difference < 5 * errors)


def test_probability_by_quadrature():
    """P(x) as the integral of the density over the square of noise, midpoints of 300 x 300."""
    model = build(uniform)
    noise = (np.arange(300) + 0.5) / 300
    grid = np.stack(np.meshgrid(noise, noise), axis=-1).reshape(-1, *SHAPE)
    v = (np.array([2.0, 1.0]).reshape(SHAPE) + grid) / 3
    y = special.logit(5e-6 + (1 - 1e-5) * v)
    z, log_det = model.bijector.inverse(tf.constant(y, tf.float32))
    log_prior = stats.norm.logpdf(z).sum(axis=(1, 2, 3))
    slopes = 9 / ((5e-6 + v * (1 - 1e-5)) * (5e-6 + (1 - v) * (1 - 1e-5))).prod(axis=(1, 2, 3)) / 81
    expected = np.mean(np.exp(log_prior + log_det) * slopes)
    weights = np.exp(
        model.log_weights(np.array([2.0, 1.0], "float32").reshape(1, *SHAPE), 20_000, SEED)
    )
    # 5 standard errors, and the integrand's poles, which midpoints miss.
    tolerance = 5 * weights.std() / np.sqrt(20_000) + 1e-3
    assert abs(weights.mean() - expected) < tolerance


def test_terms_of_whole_numbers():
    model, x = build(uniform), all_data()
    terms = model.terms(x, training=False)
    model.evaluation_seed_generator.state.assign([0, 0])
    log_weights = model.log_weights(x, 1, model.next_seed(training=False))[0]
    assert set(terms) == {"loss", "elbo", "bits_per_dim"}
    assert_array_equal(terms["elbo"], log_weights)
    assert_array_equal(terms["loss"], -log_weights)
    assert_allclose(terms["bits_per_dim"], -log_weights / (2 * np.log(2)), rtol=1e-6)


def test_draws_of_all_samples_differ():
    weights = build(uniform).log_weights(all_data(), 5, SEED)
    assert len(np.unique(weights)) == 5 * 9


# Latents and samples.


@pytest.mark.parametrize("dequantization", [None, uniform, variational])
def test_latents_lead_back_to_data(dequantization):
    model, x = build(dequantization), all_data()
    z = model.latent(x)
    assert_allclose(model.generate(z), x, atol=1e-4)
    assert_allclose(model.predict(x, verbose=0), z, rtol=1e-4, atol=1e-5)
    path = model.interpolate(x[:2], x[-2:], num_steps=3).numpy()
    assert_allclose(path[:, 0], x[:2], atol=1e-4)
    assert_allclose(path[:, 2], x[-2:], atol=1e-4)
    middle = model.generate((z[:2] + z[-2:]) / 2)
    assert_allclose(path[:, 1], middle, atol=1e-4)


def test_samples_follow_the_probabilities():
    """Frequencies of 20,000 samples against importance-sampled probabilities."""
    model, x, n = build(uniform), all_data(), 20_000
    samples = model.sample(n, seed=1).numpy().reshape(n, 2)
    assert_array_equal(samples, np.clip(np.round(samples), 0, 2))
    frequencies = np.array([np.mean(np.all(samples == image.ravel(), axis=1)) for image in x])
    weights = np.exp(model.log_weights(x, 4000, SEED))
    probabilities = weights.mean(axis=0)
    errors = np.sqrt(probabilities * (1 - probabilities) / n + weights.var(axis=0) / 4000)
    assert np.all(np.abs(frequencies - probabilities) < 5 * errors + 1e-4)
    assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1))


# Training.


def test_step_by_hand(assert_step_by_hand):
    model, x = build(variational), all_data()

    def forward_pass():
        loss = -tf.reduce_mean(model.log_weights(x, 1, model.next_seed()))
        return [(loss, model.bijector, model.dequantization)]

    assert_step_by_hand(model, x, forward_pass, rate=0.01)


def test_maximum_likelihood_of_a_normal():
    """The first batch sets mean and variance, which is the optimum; training stays there."""
    x = np.random.default_rng(0).normal([3.0, -1.0], [2.0, 0.1], (256, 2)).astype("float32")
    model = NormalizingFlow(Chain([ActNorm(2)]), seed=0)
    model.compile(keras.optimizers.SGD(1e-3))
    losses = model.fit(x, batch_size=256, epochs=5, verbose=0).history["loss"]
    expected = -stats.norm(x.mean(axis=0), x.std(axis=0)).logpdf(x).sum(axis=1).mean()
    assert_allclose(losses, expected, rtol=1e-4)


def test_initialization_happens_once():
    x = np.random.default_rng(0).normal(5.0, 1.0, (64, 2)).astype("float32")
    model = NormalizingFlow(ActNorm(2), seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(x, verbose=0)
    assert_allclose(model.bijector.loc, x.mean(axis=0), rtol=1e-5)
    model.fit(x + 10, verbose=0)
    assert_allclose(model.bijector.loc, x.mean(axis=0), rtol=1e-5)


def test_initialization_of_whole_numbers():
    """From the dequantized values, and from labelled pipelines as well."""
    x = np.random.default_rng(0).integers(0, 3, (64, *SHAPE)).astype("float32")
    model = NormalizingFlow(Chain([ActNorm(SHAPE)]), uniform(), seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(tf.data.Dataset.from_tensor_slices((x, np.arange(64))).batch(64), verbose=0)
    y, _ = model.dequantization.dequantize(x, model.sampling_seed(0))
    assert_allclose(model.bijector.bijectors[0].loc, [np.mean(y)], rtol=1e-5)


def state(model):
    optimizers = [v for optimizer in model.optimizers.values() for v in optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in [*model.variables, *optimizers]]


def test_resumed_and_loaded_runs_continue_exactly(tmp_path):
    """Data initialize a resumed run as well, before its backup is restored."""
    x = np.random.default_rng(0).integers(0, 3, (24, *SHAPE))

    def train():
        model = build(variational, extra=[Invertible1x1Conv(SHAPE, seed=0), ActNorm(SHAPE)])
        model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=1, run_eagerly=True)
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=4, delete_checkpoint=False)
        model.fit(x, batch_size=8, epochs=2, callbacks=[backup], verbose=0)
        return model

    def assert_same_state(a, b):
        for left, right in zip(state(a), state(b), strict=True):
            assert_array_equal(left, right)

    reference = train()
    assert int(reference.steps) == 6
    assert_same_state(reference, train())
    reference.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert_same_state(reference, loaded)
    assert_array_equal(loaded.sample(2, seed=0), reference.sample(2, seed=0))
    for model in (reference, loaded):
        model.fit(x[:8], verbose=0)
    assert_same_state(reference, loaded)


@pytest.mark.slow  # Tests of the bijectors compile all but the noise.
def test_xla_trains_as_without():
    """XLA draws other noise from the same seed: the losses agree as two seeds do."""
    x, losses = np.tile(all_data(), (200, 1, 1, 1)), []
    for jit_compile in (False, True):
        model = build(variational)
        model.compile(keras.optimizers.SGD(1e-4), jit_compile=jit_compile, steps_per_execution=1)
        losses.append(model.fit(x, batch_size=900, verbose=0).history["loss"][0])
    # 5 standard errors of the difference of two means of 1800 draws.
    deviation = np.std(build(variational).log_weights(x, 1, SEED))
    assert abs(losses[0] - losses[1]) < 5 * deviation * np.sqrt(2 / 1800)


def test_presets_are_saved(tmp_path):
    """Convolutional networks, masks, squeezes and splits come back from the file."""
    shape = (4, 4, 1)
    flow = flows.multiscale_flow(shape, width=2, num_layers=1)
    noise = flows.variational_dequantization(shape, 1, 2, 1, num_values=4)
    model = perturb(NormalizingFlow(flow, noise), size=0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    x = np.random.default_rng(0).integers(0, 4, (3, *shape))
    assert_array_equal(loaded.log_weights(x, 2, SEED), model.log_weights(x, 2, SEED))


def test_mixed_precision_leaves_the_likelihood_in_float32(bfloat16):
    """bfloat16 inside the networks: the map is another one, but as exactly invertible."""
    shape = (4, 4, 1)
    flow = perturb(flows.simple_flow(shape, 2, width=4, num_layers=1), size=0.1)
    assert any(layer.compute_dtype == "bfloat16" for layer in sublayers(flow))
    model = NormalizingFlow(flow, UniformDequantization(shape, 4))
    x = np.random.default_rng(0).integers(0, 4, (8, *shape))
    assert model.terms(x)["loss"].dtype == tf.float32
    assert_array_equal(model.generate(model.latent(x)), x)


# Errors.


def test_data_that_are_no_whole_numbers_are_refused():
    model = build(uniform)
    model.compile("adam")
    with pytest.raises(ValueError, match=r"Received: broken numbers.*value_range=\(0, 2\)"):
        model.fit(all_data() / 2 + 0.1, verbose=0)
    with pytest.raises(ValueError, match=r"whole numbers from 0 to 2. Received: .* from 0 to 3"):
        model.evaluate(all_data(4), verbose=0)


def test_draws_belong_to_whole_numbers():
    with pytest.raises(ValueError, match="exact, and draws nothing. Received: num_samples=3, seed"):
        build().log_prob(all_data(), num_samples=3)
    with pytest.raises(ValueError, match="finite data"):
        build().log_prob(np.full((2, *SHAPE), np.nan))
    with pytest.raises(ValueError, match="broken numbers"):
        build(uniform).log_prob(all_data() / 2 + 0.1)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"shape \(2,\).*Received: .* over shape \(3,\)"):
        NormalizingFlow(ActNorm(2), UniformDequantization(3))
    with pytest.raises(ValueError, match=r"prior over shape \(3,\)"):
        NormalizingFlow(ActNorm(2), prior=layers.StandardNormal(3))


@pytest.mark.parametrize("name", ["start", "end"])
def test_interpolations_name_what_is_misshapen(name):
    model, x = NormalizingFlow(ActNorm(2)), np.zeros((3, 2), "float32")
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        model.interpolate(**{"start": x, "end": x, name: x[:, :1]})
