"""Relaxed one-hot variables: the density of TFP and of logistic noise, draws, bounds, a VAE."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats
from tensorflow_probability import distributions as tfd

from tfgen import layers, losses, metrics, models, networks

SHAPE = (2, 2, 1)


def relaxed(logits, temperature=0.5):
    """The distribution of one row of logits for each variable."""
    logits = np.asarray(logits, "float32")
    layer = layers.RelaxedOneHot(logits.size, logits.shape[1], temperature)
    return layer(logits.reshape(1, -1))


def prior_of(variables, classes, temperature=0.5):
    return layers.RelaxedOneHotPrior(variables * classes, classes, temperature).as_distribution()


@pytest.mark.parametrize("temperature", [0.25, 0.5, 2.0])
def test_density_is_tfps(temperature):
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    q = relaxed(logits, temperature)
    theirs = tfd.Independent(tfd.RelaxedOneHotCategorical(temperature, logits), 1)
    z = theirs.sample(50, seed=[0, 1])
    z = z[tf.reduce_min(z, axis=(1, 2)) > 1e-12]
    assert len(z) > 20
    # Sums of some 40 terms up to 30, and probabilities that are 1e-7 away.
    np.testing.assert_allclose(
        q.log_prob(tf.reshape(z, (-1, 1, 12)))[:, 0], theirs.log_prob(z), rtol=1e-4, atol=1e-3
    )


def test_two_classes_are_the_logistic_function_of_logistic_noise():
    """t logit(z_1) is logistic around l_1 - l_2: a density by change of variables, in SciPy."""
    temperature, logits = 0.7, np.array([[1.5, -0.5]])
    z = np.linspace(0.01, 0.99, 30)
    points = np.stack([z, 1 - z], axis=1).astype("float32")[:, None]
    ours = relaxed(logits, temperature).log_prob(points)[:, 0]
    density = stats.logistic.pdf(temperature * special.logit(z), loc=2.0)
    np.testing.assert_allclose(ours, np.log(density * temperature / (z * (1 - z))), atol=1e-4)


@pytest.mark.parametrize("temperature", [0.25, 1.0])
def test_draws_fall_to_each_class_with_its_probability(temperature):
    logits, n = np.array([[0.0, 1.0, -2.0], [3.0, 0.0, 0.5]]), 20_000
    z = relaxed(logits, temperature).sample(n, seed=[2, 3]).numpy().reshape(n, 2, 3)
    np.testing.assert_allclose(z.sum(axis=-1), 1.0, rtol=1e-5)
    probs = special.softmax(logits, axis=1)
    shares = np.stack([np.mean(z.argmax(axis=-1) == k, axis=0) for k in range(3)], axis=1)
    assert np.all(np.abs(shares - probs) < 5 * np.sqrt(probs * (1 - probs) / n))


def test_draws_have_the_distribution_of_the_density():
    temperature, difference = 0.6, 0.8
    z = relaxed([[difference, 0.0]], temperature).sample(5_000, seed=[4, 5]).numpy()[:, 0, 0]
    noise = temperature * special.logit(np.clip(z.astype("float64"), 1e-12, 1 - 1e-7))
    assert stats.kstest(noise, stats.logistic(loc=difference).cdf).pvalue > 1e-6


def kl_of_logistics(difference):
    """KL(Logistic(difference, 1) || Logistic(0, 1)), by quadrature."""
    x = np.linspace(-60, 60, 400_001)
    q, p = stats.logistic(loc=difference), stats.logistic()
    return np.sum(q.pdf(x) * (q.logpdf(x) - p.logpdf(x))) * (x[1] - x[0])


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_kl_at_draws_is_that_of_the_noise(temperature):
    """Of equal temperatures the KL is that of the noise, and no less than that of the classes."""
    n, difference = 20_000, 2.0
    q = relaxed([[difference, 0.0]], temperature)
    z = q.sample(n, seed=[6, 7])
    estimates = losses.kl_divergence(q, prior_of(1, 2, temperature), z).numpy()
    expected = kl_of_logistics(difference)
    tolerance = 5 * estimates.std() / np.sqrt(n) + 1e-4
    np.testing.assert_allclose(estimates.mean(), expected, rtol=0, atol=tolerance)
    probs = special.softmax([difference, 0.0])
    assert expected > np.sum(probs * np.log(2 * probs))


def test_gradient_through_draws():
    """d E[z_1] / d (l_1 - l_2), against a numerical derivative by quadrature over the noise."""
    n, temperature, difference = 20_000, 0.5, 0.6
    layer = layers.RelaxedOneHot(2, 2, temperature)
    logits = tf.tile([[difference, 0.0]], (n, 1))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(layer(logits).sample(seed=[8, 9])[:, 0])
    slopes = tape.gradient(total, logits).numpy()[:, 0]
    x = np.linspace(-40, 40, 200_001)

    def mean(shift):
        return np.sum(stats.logistic.pdf(x) * special.expit((x + shift) / temperature))

    expected = (mean(difference + 0.01) - mean(difference - 0.01)) / 0.02 * (x[1] - x[0])
    np.testing.assert_allclose(slopes.mean(), expected, atol=5 * slopes.std() / np.sqrt(n))


def test_extreme_logits_are_finite():
    logits = tf.constant([[[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]]])
    layer, prior = layers.RelaxedOneHot(6, 3, 0.25), prior_of(2, 3, 0.25)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        q = layer(tf.reshape(logits, (1, 6)))
        z = q.sample(200, seed=[0, 0])
        loss = q.log_prob(z) - prior.log_prob(z)
    assert np.all(np.isfinite(loss)) and np.all(np.isfinite(tape.gradient(loss, logits)))
    np.testing.assert_array_equal(q.center(), [[1, 0, 0, 1, 0, 0]])


def test_draws_and_densities_are_the_same_under_xla_and_at_unknown_shapes():
    layer = layers.RelaxedOneHot(6, 3)
    params = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")

    def draw(params):
        q = layer(params)
        z = q.sample(2, seed=[1, 2])
        return z, q.log_prob(z)

    for options in ({"jit_compile": True}, {"input_signature": [tf.TensorSpec(None)]}):
        for ours, theirs in zip(draw(params), tf.function(draw, **options)(params), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_mixed_precision_leaves_densities_in_float32(mixed_precision):
    q = layers.RelaxedOneHot(6, 3)(tf.zeros((2, 6)))
    assert q.dtype == q.log_prob(q.sample(seed=[0, 0])).dtype == tf.float32


@pytest.mark.parametrize("make", [layers.RelaxedOneHot, layers.RelaxedOneHotPrior])
@pytest.mark.parametrize(
    "arguments, name",
    [((10, 4), "event_size"), ((10, 1), "num_classes"), ((10, 5, 0.1), "temperature")],
)
def test_refused_arguments(make, arguments, name):
    with pytest.raises(ValueError, match=f"Received: (.*){name}"):
        make(*arguments)


def vae(classes=2, variables=1, model=models.VAE, **kwargs):
    keras.utils.set_random_seed(0)
    size = classes * variables
    decoder_head = functools.partial(layers.FixedScaleNormal, scale=0.5)
    return model(
        networks.mlp_encoder(
            SHAPE, size, functools.partial(layers.RelaxedOneHot, num_classes=classes), width=8
        ),
        networks.mlp_decoder(SHAPE, size, decoder_head, width=8),
        prior=layers.RelaxedOneHotPrior(size, classes),
        seed=0,
        **kwargs,
    )


@pytest.fixture
def clusters():
    """Images near one of two."""
    rng = np.random.default_rng(0)
    centres = rng.choice([-1.0, 1.0], size=(128, 1, 1, 1))
    return (centres + 0.2 * rng.normal(size=(128, *SHAPE))).astype("float32")


def test_a_vae_finds_two_clusters_saves_and_loads(clusters, tmp_path):
    model = vae()
    head = model.encoder.layers[-1]
    model.compile(keras.optimizers.Adam(0.01))
    anneal = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: head.temperature.assign(1.0 if epoch < 20 else 0.5)
    )
    model.fit(clusters, epochs=40, verbose=0, callbacks=[anneal])
    codes = model.embed(clusters)
    assert set(np.unique(codes)) == {0.0, 1.0}
    agreement = np.mean((clusters.mean(axis=(1, 2, 3)) > 0) == (codes[:, 0] > 0.5))
    assert agreement in (0.0, 1.0)
    head.temperature.assign(0.4)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert float(loaded.encoder.layers[-1].temperature) == pytest.approx(0.4)
    np.testing.assert_array_equal(loaded.sample(5, seed=1), model.sample(5, seed=1))
    assert model.interpolate(clusters[:2], clusters[2:4]).shape == (2, 7, *SHAPE)
    assert model.traverse(clusters[0]).shape == (2, 7, *SHAPE)


def test_likelihood_is_the_integral_over_the_relaxed_code(clusters):
    model, x = vae(), clusters[:10]
    quantiles = (np.arange(4_000) + 0.5) / 4_000
    first = special.expit(special.logit(quantiles) / 0.5)  # Temperature 0.5.
    z = np.stack([first, 1 - first], axis=1).astype("float32")
    log_px = model.log_likelihood(x, np.repeat(z[:, None], len(x), axis=1)).numpy()
    exact = -np.mean(special.logsumexp(log_px, axis=0) - np.log(len(z)))
    measured = metrics.importance_sampled_nll(model, x, 4_000, verbose=False)
    # Weights within a factor of some 3: 0.01 nats of noise for each example.
    assert float(measured.nll) == pytest.approx(exact, abs=0.02)
    model.compile()
    elbo = model.evaluate(np.repeat(x, 100, axis=0), verbose=0, return_dict=True)["elbo"]
    assert elbo < -exact + 0.01


def test_iwae_takes_it_too(clusters):
    model = vae(3, 2, models.IWAE)
    model.compile()
    assert np.isfinite(model.fit(clusters, epochs=1, verbose=0).history["loss"][0])


def test_other_numbers_of_classes_are_other_vectors():
    head = functools.partial(layers.RelaxedOneHot, num_classes=2)
    networks_of = networks.mlp_encoder(SHAPE, 6, head), networks.mlp_decoder(SHAPE, 6)
    with pytest.raises(ValueError, match="Received: .*of 2 classes and a prior over .*of 3"):
        models.VAE(*networks_of, layers.RelaxedOneHotPrior(6, 3))
    with pytest.raises(ValueError, match="and a prior over all vectors"):
        models.VAE(*networks_of)
