"""p(z|c): densities, KL divergences and draws against closed forms; in VAEs, saved and served."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tfgen import layers, losses, metrics, models, networks
from tfgen.models.training_data import Conditioned

SHAPE, LATENT, CLASSES = (4, 4, 1), 2, 3
LABELS = np.arange(48) % CLASSES
KINDS = {"num_classes": 3, "condition_shape": 4}


def conditions(kind, n=6):
    """Of a kind, and as the network is given them."""
    if kind == "num_classes":
        return LABELS[:n], np.eye(CLASSES)[LABELS[:n]]
    c = np.random.default_rng(0).normal(size=(n, 4)).astype("float32")
    return c, c


def linear(kind):
    """A prior whose locations and raw scales are linear in c, with weights of order one."""
    prior = networks.mlp_prior(LATENT, depth=0, **{kind: KINDS[kind]})
    rng = np.random.default_rng(1)
    prior.set_weights([rng.normal(size=w.shape) for w in prior.get_weights()])
    return prior


def parameters(prior, rows):
    """In NumPy."""
    kernel, bias = prior.get_weights()
    loc, raw = np.split(rows @ kernel + bias, 2, axis=1)
    return loc, np.log1p(np.exp(raw))


def normal_kl(loc, scale, prior_loc, prior_scale):
    """KL(N(loc, scale^2) || N(prior_loc, prior_scale^2)) of each number."""
    ratio = scale / prior_scale
    return 0.5 * (ratio**2 + ((loc - prior_loc) / prior_scale) ** 2 - 1) - np.log(ratio)


# The layer.


@pytest.mark.parametrize("kind", KINDS)
def test_densities_and_kl_divergences(kind):
    prior, (c, rows) = linear(kind), conditions(kind)
    p = prior.as_distribution()
    loc, scale = parameters(prior, rows)
    rng = np.random.default_rng(2)
    z = rng.normal(size=(5, 6, LATENT)).astype("float32")
    q_loc = rng.normal(size=(6, LATENT)).astype("float32")
    q_scale = rng.uniform(0.3, 2, size=(6, LATENT)).astype("float32")
    q = layers.hierarchical.diagonal_normal(q_loc, q_scale)
    expected = normal_kl(q_loc, q_scale, loc, scale)
    with layers.given(c):
        log_prob, kl = p.log_prob(z), losses.kl_divergence(q, p)
        parts = losses.kl_of_dimensions(q, p)
        draws = q.sample(20_000, seed=0)
        estimate = (q.log_prob(draws) - p.log_prob(draws)).numpy()
    assert p.event_shape == (LATENT,) and p.batch_shape == ()
    assert_allclose(log_prob, stats.norm.logpdf(z, loc, scale).sum(-1), rtol=1e-4, atol=1e-4)
    assert_allclose(kl, expected.sum(axis=1), rtol=1e-4, atol=1e-5)
    assert_allclose(parts, expected, rtol=1e-4, atol=1e-5)
    # 5 standard errors of each mean.
    tolerance = 5 * estimate.std(axis=0) / np.sqrt(20_000)
    assert np.all(np.abs(estimate.mean(axis=0) - kl) < tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_draws(kind):
    prior, (c, rows) = linear(kind), conditions(kind)
    loc, scale = parameters(prior, rows)
    with layers.given(c):
        z = prior.as_distribution().sample((20_000, 6), seed=0).numpy()
    assert z.shape == (20_000, 6, LATENT)
    # 5 standard errors of means and of standard deviations.
    assert np.all(np.abs(z.mean(axis=0) - loc) < 5 * scale / np.sqrt(20_000))
    assert_allclose(z.std(axis=0), scale, rtol=5 / np.sqrt(2 * 20_000))
    one = prior.under(c[1])
    assert one.takes is None
    z = one.as_distribution().sample(20_000, seed=0).numpy()
    assert np.all(np.abs(z.mean(axis=0) - loc[1]) < 5 * scale[1] / np.sqrt(20_000))


def test_a_config_holds_the_condition():
    for prior in (linear("num_classes"), linear("condition_shape").under([1.0, 0.0, 2.0, 0.0])):
        copy = layers.ConditionalPrior.from_config(prior.get_config())
        copy.set_weights(prior.get_weights())
        assert copy.takes == prior.takes
        c = None if prior.takes is None else 1
        with layers.given(c):
            draws = [p.as_distribution().sample(3, seed=[0, 1]) for p in (prior, copy)]
        assert_array_equal(*draws)


# In a VAE.


def build(kind="both", **kwargs):
    """A VAE with p(z|c); "prior" alone is conditional, or all networks are."""
    keras.utils.set_random_seed(0)
    c = {"num_classes": CLASSES}
    of_networks = {"width": 16, **(c if kind == "both" else {})}
    return models.VAE(
        networks.mlp_encoder(SHAPE, LATENT, **of_networks),
        networks.mlp_decoder(SHAPE, LATENT, **of_networks),
        networks.mlp_prior(LATENT, width=8, **c),
        **{"seed": 0, **kwargs},
    )


@pytest.fixture(scope="module")
def images():
    """Images of which class k has its k-th column white."""
    x = np.zeros((48, *SHAPE), "float32")
    x[np.arange(48), :, LABELS] = 1.0
    return x


@pytest.mark.parametrize("kind", ["both", "prior"])
def test_terms_are_of_the_class(images, kind):
    model, x, labels = build(kind, free_bits=0.1), images[:6], LABELS[:6]
    assert model.num_classes == CLASSES and model.samples_are_conditional
    for weight in model.prior.trainable_variables:
        weight.assign_add(0.3 * tf.ones(weight.shape))
    terms = model.terms(Conditioned(x, labels), training=False)
    q, p = model.encode(x, labels), model.prior.network(np.eye(CLASSES)[labels])
    parts = normal_kl(*(part.numpy() for part in (q.mean(), q.stddev(), p.mean(), p.stddev())))
    assert_allclose(terms["kl"], parts.sum(axis=1), rtol=1e-4, atol=1e-5)
    free = np.maximum(parts.mean(axis=0), 0.1).sum()
    assert_allclose(terms["free_kl"], np.full(6, free), rtol=1e-4)
    seed = tf.constant([0, 1])
    weights = model.log_weights(Conditioned(x, labels), 5, seed).numpy()
    for label in range(CLASSES):
        one = model.given(label)
        assert one.conditions is None
        expected = one.log_weights(x, 5, seed).numpy()
        rows = labels == label
        assert_allclose(weights[:, rows], expected[:, rows], rtol=1e-4, atol=1e-4)
        samples = model.sample(4, seed=0, condition=label)
        assert_allclose(one.sample(4, seed=0), samples, rtol=1e-4, atol=1e-6)


def test_bounds_of_several_draws(images):
    """Weights of copies of a batch, as VGP and IWAE have them, go with the conditions again."""
    model = build()
    iwae = models.IWAE(model.encoder, model.decoder, model.prior, num_samples=4, seed=0)
    mapping = networks.GaussianProcessMapping(LATENT, SHAPE, 2, num_points=3, width=8, seed=0)
    vgp = models.VGP(model.encoder, model.decoder, mapping, model.prior, seed=0)
    pairs, seed = Conditioned(images[:6], LABELS[:6]), tf.constant([0, 1])
    for each in (iwae, vgp):
        weights = each.log_weights(pairs, 5, seed).numpy()
        for label in range(CLASSES):
            rows = LABELS[:6] == label
            expected = each.given(label).log_weights(images[:6], 5, seed).numpy()
            assert_allclose(weights[:, rows], expected[:, rows], rtol=1e-4, atol=1e-4)
        each.compile("sgd", run_eagerly=True)
        assert np.isfinite(each.fit(images, LABELS, verbose=0).history["loss"][0])


@pytest.mark.slow
def test_it_learns_what_the_class_tells(images):
    """The decoder sees z alone, so that p(z|c) must know the class."""
    model = build("prior")
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    x, labels = np.tile(images, (4, 1, 1, 1)), np.tile(LABELS, 4)
    model.fit(x, labels, batch_size=48, epochs=60, verbose=0)
    assert_allclose(model.sample(9, seed=0), images[:9], atol=0.2)
    right, wrong = (
        model.evaluate(images, y, verbose=0, return_dict=True) for y in (LABELS, (LABELS + 1) % 3)
    )
    assert right["loss"] < 2 < wrong["loss"]


@pytest.mark.parametrize("kind", ["both", "prior"])
def test_saved_and_served(images, kind, tmp_path):
    model = build(kind)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    samples = model.sample(5, seed=3, condition=1)
    assert_array_equal(loaded.sample(5, seed=3, condition=1), samples)
    one = model.given(1)
    one.save(tmp_path / "one.keras")
    assert_array_equal(models.load_model(tmp_path / "one.keras").sample(5, 3), one.sample(5, 3))
    model.export(tmp_path / "served")
    served = tf.saved_model.load(tmp_path / "served")
    assert_allclose(served.sample(5, [1] * 5, [3, 0]), samples, atol=1e-5)
    codes = served.embed(images[:5], LABELS[:5])
    assert_allclose(codes, model.embed(images[:5], LABELS[:5]), atol=1e-5)


# A ladder.


def test_a_ladder_whose_prior_sees_the_class(images):
    """Its levels below the top one are of the class: those of the ladder of one."""
    keras.utils.set_random_seed(0)
    sizes, widths = (2, 1), (16, 8)
    decoder = networks.mlp_decoder(SHAPE, 2, width=16)
    model = models.LadderVAE(
        networks.ladder_encoder(SHAPE, sizes, widths),
        networks.ladder_decoder(decoder, sizes),
        networks.ladder_prior(sizes, widths, num_classes=CLASSES),
        seed=0,
    )
    z, seed = tf.random.stateless_normal((5, 6, 3), [1, 2]), tf.constant([0, 1])
    for label in range(CLASSES):
        one, labels = model.given(label), np.full(6, label)
        assert one.conditions is None
        found = model.log_weights(Conditioned(images[:6], labels), 5, seed)
        assert_allclose(found, one.log_weights(images[:6], 5, seed), rtol=1e-4, atol=1e-4)
        assert_allclose(
            model.encode(images[:6], label).mean(), one.encode(images[:6]).mean(), rtol=1e-5
        )
        with layers.given(labels):
            log_p = model.prior_distribution().log_prob(z)
        lower = model.prior.networks[0](tf.reshape(z[..., 2:], (-1, 1)), condition=label)
        expected = lower.log_prob(tf.reshape(z[..., :2], (-1, 2))).numpy().reshape(5, 6)
        expected += stats.norm.logpdf(z[..., 2])
        assert_allclose(log_p, expected, rtol=1e-4, atol=1e-4)
        assert_allclose(one.sample(3, 0), model.sample(3, 0, condition=label), rtol=1e-5)


# Errors.


def test_measures_of_one_class_are_those_of_its_model(images):
    model = build("num_classes")
    pairs = tf.data.Dataset.from_tensor_slices((images[:4], np.full(4, 2))).batch(4)
    one = model.given(2)
    options = dict(num_chains=2, num_steps=5, step_size=0.1, verbose=False)
    assert_allclose(
        metrics.annealed_importance_sampling(model, pairs, **options).nlls,
        metrics.annealed_importance_sampling(one, images[:4], **options).nlls,
        rtol=1e-4,
    )
    report, of_one = (
        metrics.posterior_collapse_report(m, data, verbose=False)
        for m, data in ((model, pairs), (one, images[:4]))
    )
    assert report.value == pytest.approx(of_one.value, rel=1e-4, abs=1e-4)
    assert_allclose(report.kl_per_dimension, of_one.kl_per_dimension, rtol=1e-4, atol=1e-5)


def test_networks_that_do_not_fit():
    c, two = keras.Input((3,)), keras.Input((2,))
    head = layers.IndependentNormal(1)
    density = keras.Model(c, head(keras.layers.Dense(2)(c)))
    joined = keras.layers.Concatenate()([c, two])
    with pytest.raises(ValueError, match="of one input, the condition. Received: network="):
        layers.ConditionalPrior(keras.Model([c, two], joined))
    with pytest.raises(ValueError, match="one-hot. Received: .* with num_classes=2"):
        layers.ConditionalPrior(density, num_classes=2)
    with pytest.raises(ValueError, match="must return a density p"):
        layers.ConditionalPrior(keras.Model(c, keras.layers.Dense(2)(c)))
    with pytest.raises(ValueError, match=r"Classes must be in \[0, 3\)"):
        layers.ConditionalPrior(density, num_classes=3).under(3)
    with pytest.raises(ValueError, match="Received: neither num_classes nor"):
        networks.mlp_prior(2)
    with pytest.raises(ValueError, match="is a density.* Received: head=None"):
        networks.mlp_prior(2, head=None, num_classes=3)


def test_missing_conditions(images):
    model = build("prior")
    for call in (model.sample_latents, model.prior.as_distribution().sample):
        with pytest.raises(ValueError, match="needs a condition"):
            call(3)
    model = build()
    with pytest.raises(ValueError, match="same condition"):
        models.VAE(model.encoder, model.decoder, networks.mlp_prior(LATENT, num_classes=2))
