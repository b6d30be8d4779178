"""A sampler for each class: densities against those fitted alone, draws, bounds, saving, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

from tfgen import layers, models, networks, samplers
from tfgen.models.training_data import Conditioned

SHAPE, CLASSES = (2, 2, 1), 3
LABELS = np.arange(300) % CLASSES


@pytest.fixture(scope="module")
def images():
    """Images of which each class has a grey of its own."""
    noise = np.random.default_rng(0).uniform(0, 0.3, size=(300, *SHAPE))
    return (noise + 0.3 * LABELS.reshape(-1, 1, 1, 1)).astype("float32")


@pytest.fixture(scope="module")
def model(images):
    """Its encoder sees no class, so that codes of classes differ; its decoder does."""
    keras.utils.set_random_seed(0)
    size = {"width": 8, "depth": 1}
    decoder = networks.mlp_decoder(SHAPE, 2, layers.FixedScaleNormal, num_classes=CLASSES, **size)
    made = models.VAE(networks.mlp_encoder(SHAPE, 2, **size), decoder, beta=0.1, seed=0)
    made.compile(keras.optimizers.Adam(0.01))
    made.fit(images, LABELS, epochs=5, verbose=0)
    return made


def by_class(sampler=None):
    return samplers.ByClass(sampler or samplers.GaussianMixture(1), CLASSES)


@pytest.fixture(scope="module")
def fitted(model, images):
    return by_class().fit(model, images, condition=LABELS, verbose=False)


# Densities.


def test_a_normal_of_each_class(model, images, fitted):
    """The moments of the codes that were drawn, which are normals of the classes' own."""
    drawn = []

    class Kept(samplers.Histogram):
        def fit_given(self, codes, condition, seed, verbose):
            drawn.append(codes)

    Kept().fit(model, images, condition=LABELS, verbose=False)
    z = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    for label in range(CLASSES):
        codes = drawn[0][label == LABELS].astype("float64")
        # scikit-learn adds 1e-6 to the variances.
        covariance = np.cov(codes.T, bias=True) + 1e-6 * np.eye(2)
        expected = stats.multivariate_normal(codes.mean(0), covariance).logpdf(z)
        assert_allclose(fitted.log_prob(z, label), expected, rtol=1e-3, atol=1e-3)
        assert_allclose(fitted.under(label).log_prob(z), expected, rtol=1e-3, atol=1e-3)
    mixed = fitted.log_prob(z, [0, 1, 2, 1, 0])
    each = [fitted.log_prob(z[i : i + 1], c)[0] for i, c in enumerate([0, 1, 2, 1, 0])]
    assert_allclose(mixed, each, rtol=1e-5)
    copies = np.stack([z, z + 1.0, z - 1.0])
    with layers.given([0, 1, 2, 1, 0]):
        found = fitted.log_prob(copies)
    assert_allclose(found[0], mixed, rtol=1e-5)
    assert_allclose(found[2], fitted.log_prob(copies[2], [0, 1, 2, 1, 0]), rtol=1e-5)


def test_draws_are_those_of_the_class(model, fitted):
    labels = np.repeat([2, 0, 1], 2000)
    drawn = np.asarray(fitted.sample(6000, seed=0, condition=labels))
    for label in range(CLASSES):
        part = fitted.under(label)
        codes, scale = drawn[labels == label], np.asarray(part.scale[0])
        # Five standard errors of a mean of 2,000 draws.
        tolerance = 5 * np.sqrt(np.diag(scale @ scale.T) / 2000)
        assert np.all(np.abs(codes.mean(0) - part.loc[0]) < tolerance)
        assert_allclose(np.cov(codes.T), scale @ scale.T, rtol=0.2, atol=0.02)
    cold = np.asarray(fitted.sample(6000, seed=0, temperature=0.5, condition=labels))
    locs = np.stack([fitted.under(label).loc[0] for label in labels])
    assert_allclose(cold - locs, (drawn - locs) / 2, rtol=1e-3, atol=1e-5)


# In a model.


def test_samples_of_a_model(model, fitted):
    labels = [0, 1, 2, 2]
    images = model.sample(4, seed=3, prior=fitted, condition=labels)
    z = model.sample_latents(4, tf.constant([3, 0]), fitted, labels)
    assert_allclose(images, model.generate(z, labels), rtol=1e-5)
    in_turn = model.sample(4, seed=3, prior=fitted)
    assert_allclose(in_turn, model.sample(4, 3, prior=fitted, condition=[0, 1, 2, 0]), rtol=1e-5)
    assert_allclose(model.with_prior(fitted).sample(4, seed=3), in_turn, rtol=1e-5)


def test_bounds_are_those_under_the_sampler_of_the_class(model, images, fitted):
    under = model.with_prior(fitted)
    under.compile()
    pairs, seed = Conditioned(images[:6], LABELS[:6]), tf.constant([0, 1])
    weights = under.log_weights(pairs, 4, seed)
    for label in range(CLASSES):
        one, rows = under.given(label), LABELS[:6] == label
        assert one.conditions is None and one.prior is fitted.under(label)
        x = Conditioned(images[:6], np.full(6, label))
        expected = one.log_weights(images[:6], 4, seed)
        assert_allclose(under.log_weights(x, 4, seed), expected, rtol=1e-4, atol=1e-4)
        assert_allclose(weights.numpy()[:, rows], expected.numpy()[:, rows], rtol=1e-4, atol=1e-4)
    z, _ = model.encode(images[:6]).experimental_sample_and_log_prob(4, seed=seed)
    before = model.log_weights(pairs, 4, seed)
    with layers.given(LABELS[:6]):
        change = fitted.log_prob(z) - model.prior_distribution().log_prob(z)
    assert_allclose(weights - before, change, rtol=1e-4, atol=1e-3)
    logs = under.evaluate(images, LABELS, verbose=0, return_dict=True)
    model.compile()
    plain = model.evaluate(images, LABELS, verbose=0, return_dict=True)
    assert logs["elbo"] > plain["elbo"]


def test_a_data_set_of_pairs_is_fitted_as_arrays_are(model, images, fitted):
    data = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(300)
    again = by_class().fit(model, data, verbose=False)
    for one, other in zip(again.get_weights(), fitted.get_weights(), strict=True):
        assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    few = by_class().fit(model, data, max_codes=60, verbose=False)
    assert few.log_prob(np.zeros((2, 2)), [0, 1]).shape == (2,)


MAKERS = {
    "flow": lambda: samplers.NormalizingFlow(num_steps=1, hidden=(4,), epochs=1),
    "posteriors": lambda: samplers.VampPosterior(20),
    "two stages": lambda: samplers.TwoStageVAE(width=4, depth=1, epochs=1),
}


@pytest.mark.parametrize("name", ["mixture", *MAKERS])
@pytest.mark.slow
def test_saved_and_exported_with_the_model(model, images, fitted, name, tmp_path):
    sampler = fitted
    if name != "mixture":
        sampler = by_class(MAKERS[name]()).fit(model, images, condition=LABELS, verbose=False)
    under = model.with_prior(sampler)
    under.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert_allclose(loaded.sample(5, seed=3), under.sample(5, seed=3), atol=1e-6)
    one = loaded.given(2)
    expected = under.sample(5, seed=3, condition=2)
    assert one.sample(5, seed=3).shape == expected.shape
    under.export(tmp_path / "served", endpoints=["sample"])
    served = tf.saved_model.load(tmp_path / "served")
    assert_allclose(served.sample(5, [2] * 5, [3, 0]), expected, atol=1e-5)


@pytest.mark.slow
def test_codes_of_a_codebook(images):
    """Classes have codes of their own: the sum over all codes is one under each."""
    keras.utils.set_random_seed(0)
    size = {"width": 8, "depth": 1, "num_classes": CLASSES}
    model = models.VQVAE(
        networks.mlp_encoder(SHAPE, 2, head=None, **size),
        networks.mlp_decoder(SHAPE, 2, layers.FixedScaleNormal, **size),
        num_codes=3,
        code_dim=1,
        seed=0,
    )
    sampler = by_class(samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=2))
    sampler.fit(model, images, condition=LABELS, verbose=False)
    every = np.stack(np.meshgrid(range(3), range(3)), -1).reshape(-1, 2)
    for label in range(CLASSES):
        total = special.logsumexp(sampler.log_prob(every, label))
        assert total == pytest.approx(0, abs=1e-4)
    assert model.sample(4, prior=sampler, condition=1).shape == (4, *SHAPE)
    model.with_prior(sampler).fit_prior(
        tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(100)
    )


# Errors.


def test_arguments_that_do_not_fit():
    for sampler in (None, layers.StandardNormal(2), by_class()):
        with pytest.raises(ValueError, match="copies a sampler for each class. Received: sampler="):
            samplers.ByClass(sampler, CLASSES)
    with pytest.raises(ValueError, match="Received: num_classes=0"):
        samplers.ByClass(samplers.Histogram(), 0)


def test_fits_without_classes(model, images):
    plain = models.AE(
        networks.mlp_encoder(SHAPE, 2, head=None), networks.mlp_decoder(SHAPE, 2, head=None)
    )
    with pytest.raises(ValueError, match="Received: 0 classes, and none is 0"):
        by_class().fit(plain, images, verbose=False)
    with pytest.raises(ValueError, match="Received: 300 classes, and none is 2"):
        by_class().fit(model, images, condition=LABELS % 2, verbose=False)
    with pytest.raises(ValueError, match=r"Classes must be in \[0, 2\)"):
        samplers.ByClass(samplers.Histogram(), 2).fit(
            model, images, condition=LABELS, verbose=False
        )
    with pytest.raises(ValueError, match="takes no condition. Received: condition=1"):
        samplers.Histogram().fit(Coder(), images, condition=1, verbose=False)


class Coder:
    def encode(self, x):
        return x


def test_missing_classes(model, fitted):
    z = np.zeros((2, 2))
    for call in (lambda: fitted.sample(2), lambda: fitted.log_prob(z), model_under(model, fitted)):
        with pytest.raises(ValueError, match="needs a condition"):
            call()
    with pytest.raises(ValueError, match="one condition for each of 2 examples"):
        fitted.sample(2, condition=[0, 1, 2])
    with pytest.raises(ValueError, match="fitted on nothing yet"):
        by_class().under(0)


def test_samplers_of_other_classes(model, images):
    two = samplers.ByClass(samplers.Histogram(), 2)
    two.fit(model, images, condition=LABELS % 2, verbose=False)
    with pytest.raises(ValueError, match="same condition"):
        model.with_prior(two)
    with pytest.raises(ValueError, match=r"Classes must be in \[0, 2\)"):
        model.sample(3, prior=two)


def model_under(model, sampler):
    return lambda: model.with_prior(sampler).sample_latents(3)


def test_what_is_copied_stays(model, images):
    first = samplers.GaussianMixture(2)
    by_class(first).fit(model, images, condition=LABELS, verbose=False)
    assert not first.fitted and first.event_shape is None
    assert_array_equal(first.get_weights(), [])
