"""Scores of single examples: closed forms of a linear Gaussian model, and what they find."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfgen import layers, models, networks
from tfgen.metrics import importance_sampled_nll, outlier_scores
from tfgen.metrics.outliers import _KINDS

from .conftest import BIAS, SCALE, WEIGHTS


def scores(model, data, kind, **kwargs):
    return outlier_scores(model, data, kind, **{"verbose": False, **kwargs})


# Closed forms.


def test_nll_is_that_of_every_example(linear_gaussian):
    g = linear_gaussian
    # Float32 rounding of sums of about 10 terms, each up to 30.
    assert_allclose(scores(g.exact, g.x, "nll", num_samples=3), -g.log_p, rtol=0, atol=3e-5)
    expected = importance_sampled_nll(g.rough, g.x, 7, batch_size=100, verbose=False).nlls
    np.testing.assert_array_equal(scores(g.rough, g.x, "nll", num_samples=7), expected)


def test_elbo(linear_gaussian):
    found = scores(linear_gaussian.rough, linear_gaussian.x, "elbo", num_samples=2000)
    # Five standard errors of 2000 draws, of log weights whose variance is below 4 (a rough q).
    assert_allclose(found, -linear_gaussian.elbo(0.75, 1.33), rtol=0, atol=5 * np.sqrt(4 / 2000))


def test_reconstruction_probability(linear_gaussian):
    """-E[log N(x; Wz + b, s^2)] of z from N(m, v): the log-density at m, and tr(W v W') / 2 s^2."""
    g = linear_gaussian
    q = g.posterior()
    residual = g.x - BIAS - q.mean() @ WEIGHTS.T
    spread = np.sum(WEIGHTS**2 * np.asarray(q.stddev())[:, None] ** 2, axis=(1, 2))
    expected = (np.sum(residual**2, 1) + spread) / (2 * SCALE**2)
    expected += 4 * np.log(SCALE * np.sqrt(2 * np.pi))
    found = scores(g.exact, g.x, "reconstruction", num_samples=4000)
    # Five standard errors of 4000 draws; the variance is below that of half of 4 residuals of 25.
    assert_allclose(found, expected, rtol=0, atol=5 * np.sqrt(25 / 4000))


def test_reconstruction_error(linear_gaussian):
    g = linear_gaussian
    residual = g.x - BIAS - g.posterior().mean() @ WEIGHTS.T
    found = scores(g.exact, g.x, "reconstruction_error")
    assert_allclose(found, np.sum(residual**2, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_regret_is_the_gap_of_the_encoder(linear_gaussian):
    """The best q is p(z|x), whose bound is log p(x): what is gained is KL(q || p(z|x))."""
    g = linear_gaussian
    found = scores(g.rough, g.x[:50], "regret", num_samples=2000)
    # Five standard errors of a mean of 2000 differences of log weights with a variance below 4.
    gap = (g.log_p - g.elbo(0.75, 1.33))[:50]
    assert_allclose(found, gap, rtol=0, atol=5 * np.sqrt(4 / 2000))
    # The exact encoder has nothing to gain but the fit to 2000 points of noise, d / 2 n of d
    # parameters in expectation.
    assert np.all(scores(g.exact, g.x[:50], "regret", num_samples=2000) < 20 * 6 / (2 * 2000))


@pytest.mark.slow
def test_regret_grows_with_steps_and_is_never_negative(linear_gaussian):
    g = linear_gaussian
    one, many = (scores(g.rough, g.x[:100], "regret", num_steps=n) for n in (1, 50))
    assert np.all(one >= 0) and np.all(many >= one - 1e-4) and many.mean() > 1.1 * one.mean()


def test_latent_distance(linear_gaussian):
    """Of codes a linear map of x, whose Mahalanobis distance numpy knows from x alone."""
    g = linear_gaussian
    reference = g.p.rvs(500, random_state=1).astype("float32")
    found = scores(g.exact, g.x, "latent", reference=reference)
    used = g.projection[:2].T  # The third code is always 0.
    codes, others = (reference - BIAS) @ used, (g.x - BIAS) @ used
    precision = np.linalg.inv(np.cov(codes, rowvar=False))
    difference = others - codes.mean(axis=0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", difference, precision, difference))
    assert_allclose(found, expected, rtol=1e-3)  # A ridge of a millionth, and float32 codes.


def test_typicality(linear_gaussian):
    g = linear_gaussian
    found = scores(g.exact, g.x[:50], "typicality", reference=g.x, num_samples=2)
    assert_allclose(found, np.abs(-g.log_p[:50] + g.log_p.mean()), rtol=0, atol=1e-4)


# Images.


@pytest.fixture(scope="module")
def vae():
    sizes = dict(latent_dim=2, width=8)
    keras.utils.set_random_seed(0)
    return models.VAE(
        networks.mlp_encoder((8, 8, 1), **sizes), networks.mlp_decoder((8, 8, 1), **sizes)
    )


def test_complexity_takes_off_what_a_file_needs(vae):
    """Noise is a longer file than one grey value, by about its 8 bits a pixel."""
    rng = np.random.default_rng(0)
    images = np.stack([np.full((8, 8, 1), 0.5), rng.random((8, 8, 1))]).astype("float32")
    taken_off = scores(vae, images, "nll") / np.log(2) - scores(vae, images, "complexity")
    assert taken_off[0] < taken_off[1]
    assert taken_off[1] - taken_off[0] == pytest.approx(8 * 64, rel=0.25)
    with pytest.raises(ValueError, match=r"complexity.*shape \(4,\)"):
        scores(linear_vae(), np.zeros((2, 4)), "complexity")


def linear_vae():
    return models.VAE(
        networks.mlp_encoder((4,), 2, depth=0),
        networks.mlp_decoder((4,), 2, head=layers.FixedScaleNormal, depth=0),
    )


def test_a_discriminator():
    generator = networks.mlp_generator((4,), 2, (4,), output_activation=None)
    discriminator = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    gan = models.GAN(generator, discriminator)
    x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    expected = -discriminator(x)[:, 0]
    assert_allclose(scores(gan, x, "discriminator", batch_size=7), expected, rtol=1e-6)


def test_deterministic_autoencoders():
    ae = models.AE(
        networks.mlp_encoder((4,), 2, head=None, depth=0),
        networks.mlp_decoder((4,), 2, head=None, depth=0),
    )
    x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    expected = np.sum(np.square(x - ae.reconstruct(x)), axis=1)
    assert_allclose(scores(ae, x, "reconstruction_error"), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="needs a model with the method log_weights"):
        scores(ae, x, "nll")


@pytest.mark.slow
def test_conditional_models():
    """Each example is scored given its own class: the other class has other scores."""
    sizes = dict(latent_dim=2, width=8, num_classes=2)
    keras.utils.set_random_seed(0)
    model = models.VAE(
        networks.mlp_encoder((4,), **sizes),
        networks.mlp_decoder((4,), head=layers.IndependentNormal, **sizes),
        seed=0,
    )
    x, c = np.ones((6, 4), "float32"), np.array([0, 1, 0, 1, 1, 0])
    for kind in ("nll", "elbo", "reconstruction", "reconstruction_error", "regret"):
        draws = {} if kind == "reconstruction_error" else {"num_samples": 5000}
        found = scores(model, (x, c), kind, **draws)
        assert np.ptp(found[c == 0]) < 0.5 * abs(found[c == 0].mean() - found[c == 1].mean())


def test_masks_are_the_encoders_alone():
    shape, sizes = (4,), dict(latent_dim=2, width=8)
    model = models.MissingDataVAE(
        networks.mlp_encoder(shape, condition_shape=shape, **sizes),
        networks.mlp_decoder(shape, head=layers.IndependentNormal, **sizes),
        seed=0,
    )
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    mask = np.ones((6, 4), "float32")
    expected = np.sum(np.square(x - model.reconstruct(x, mask)), axis=1)
    assert_allclose(scores(model, (x, mask), "reconstruction_error"), expected, rtol=1e-5)


def model_of_missing_values(shape, head):
    sizes = dict(latent_dim=2, width=8)
    encoder = networks.mlp_encoder(shape, condition_shape=shape, **sizes)
    return models.MissingDataVAE(encoder, networks.mlp_decoder(shape, head=head, **sizes), seed=0)


@pytest.mark.parametrize("form", ["arrays", "data set"])
@pytest.mark.parametrize("kind", [kind for kind in _KINDS if kind != "discriminator"])
def test_what_is_missing_has_no_influence(kind, form):
    """A row, or of "complexity" an image, with other values where nothing was observed."""
    shape, head = ((4, 4, 1), None) if kind == "complexity" else ((4,), layers.IndependentNormal)
    rng = np.random.default_rng(0)
    x, other = rng.random((2, 6, *shape)).astype("float32")
    mask = rng.random((6, *shape)) < 0.6
    model = model_of_missing_values(shape, head or layers.IndependentBernoulli)
    options = {name: 3 for name in ("num_samples", "num_steps") if name in _KINDS[kind][2]}
    if "reference" in _KINDS[kind][2]:
        options["reference"] = x, mask

    def found(values):
        data = values, mask.astype("float32")
        if form == "data set":
            data = tf.data.Dataset.from_tensor_slices(data).batch(4)
        return scores(model, data, kind, **options)

    np.testing.assert_array_equal(found(np.where(mask, x, other)), found(x))
    assert not np.array_equal(found(np.where(mask, other, x)), found(x))


def test_a_class_of_the_encoder_alone_is_no_mask():
    sizes = dict(latent_dim=2, width=8)
    encoder = networks.mlp_encoder((4,), num_classes=2, **sizes)
    model = models.VAE(encoder, networks.mlp_decoder((4,), **sizes), seed=0)
    x, labels = np.random.default_rng(0).random((6, 4)).astype("float32"), np.zeros(6, int)
    expected = np.sum(np.square(x - model.reconstruct(x, labels)), axis=1)
    assert_allclose(scores(model, (x, labels), "reconstruction_error"), expected, rtol=1e-5)


KINDS = ("nll", "elbo", "reconstruction", "reconstruction_error", "latent")


def test_targets_are_what_is_explained(linear_gaussian):
    """Of a denoising VAE q(z|x) sees one part of a batch, and p(x|z) is of the other."""
    g, noisy = linear_gaussian, linear_gaussian.x[:20]
    clean = noisy + np.float32(0.5)
    z = np.asarray(g.exact.embed(noisy))
    error = np.sum(np.square(clean - g.exact.generate(z)), axis=1)
    assert_allclose(scores(g.exact, (noisy, clean), "reconstruction_error"), error, rtol=1e-5)
    for kind in KINDS:
        reference = {"reference": (noisy, clean)} if kind == "latent" else {}
        found = scores(g.exact, (noisy, clean), kind, **reference)
        inputs = scores(g.exact, noisy, kind, **({"reference": noisy} if reference else {}))
        assert np.array_equal(found, inputs) == (kind == "latent")


@pytest.mark.parametrize("make", [np.asarray, lambda x: tf.data.Dataset.from_tensor_slices(x)])
def test_every_example_is_looked_at(linear_gaussian, make):
    x = linear_gaussian.x[:20].copy()
    x[15, 2] = np.nan
    data = make(x) if make is np.asarray else make(x).batch(6)
    with pytest.raises(ValueError, match="data must be finite"):
        scores(linear_gaussian.exact, data, "elbo", num_samples=2)


def test_every_row_of_an_array_is_in_the_support(vae):
    images = np.full((20, 8, 8, 1), 0.5, "float32")
    images[15] = 2
    for kind in KINDS:
        reference = {"reference": images} if kind == "latent" else {}
        with pytest.raises(ValueError, match="A Bernoulli likelihood needs data in"):
            scores(vae, images, kind, batch_size=5, **reference)


def test_a_data_set_in_which_nothing_is_left(linear_gaussian):
    data = tf.data.Dataset.from_tensor_slices(linear_gaussian.x).batch(20).filter(lambda x: False)
    for kind in ("nll", "elbo"):
        with pytest.raises(ValueError, match="Received: empty data"):
            scores(linear_gaussian.exact, data, kind, num_samples=2)


def test_complexity_of_a_data_set_in_another_order_each_time(vae):
    """Noise and grey values take different files: each score is of one image."""
    rng = np.random.default_rng(0)
    images = np.where(np.arange(30)[:, None, None, None] < 15, 0.5, rng.random((30, 8, 8, 1)))
    images = images.astype("float32")
    data = tf.data.Dataset.from_tensor_slices(images).shuffle(30, seed=0).batch(10)
    # Draws differ by the place in a batch: up to a nat. A file of noise has some 500 bits more.
    expected = np.sort(scores(vae, images, "complexity"))
    assert_allclose(np.sort(scores(vae, data, "complexity")), expected, atol=20)


@pytest.mark.slow
def test_regret_of_what_is_infinitely_far_is_infinite(linear_gaussian):
    x = np.stack([linear_gaussian.x[0], np.full(4, 1e25, "float32")])
    found = scores(linear_gaussian.exact, x, "regret", num_steps=2, num_samples=2)
    assert np.isfinite(found[0]) and found[1] == np.inf


def test_regret_is_of_diagonal_normal_posteriors():
    head = layers.MultivariateNormalTriL
    model = models.VAE(
        networks.mlp_encoder((4,), 2, head=head, depth=0),
        networks.mlp_decoder((4,), 2, head=layers.FixedScaleNormal, depth=0),
    )
    with pytest.raises(ValueError, match="diagonal normal.*returns a MultivariateNormalTriL"):
        scores(model, np.zeros((3, 4)), "regret")


@pytest.mark.parametrize(
    "kind",
    ["nll", "elbo", "reconstruction", pytest.param("regret", marks=pytest.mark.slow), "latent"],
)
def test_finds_outliers_of_a_table(kind):
    """Points on a line and points beside it; scikit-learn's AUROC is far above chance."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    line = rng.normal(size=(500, 1)) * [1.0, -1.0, 0.5, 1.0]
    train = (line + 0.1 * rng.normal(size=(500, 4))).astype("float32")
    model = models.VAE(
        networks.mlp_encoder((4,), 1, width=32),
        networks.mlp_decoder((4,), 1, head=layers.SharedScaleNormal, width=32),
        seed=0,
    )
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(train, epochs=10, batch_size=50, verbose=0)
    test = np.concatenate([train[:100], 4 * rng.normal(size=(100, 4))]).astype("float32")
    reference = dict(reference=train) if kind == "latent" else {}
    found = scores(model, test, kind, **reference)
    # Of 100 and 100 independent scores of no worth the AUROC has a standard error of 0.041.
    assert roc_auc_score(np.arange(200) >= 100, found) > 0.5 + 5 * 0.041


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(kind="distance"), "kind must be"),
        (dict(kind="typicality"), "kind='typicality' compares each example with a reference"),
        (
            dict(kind="nll", reference=np.zeros((3, 4))),
            "kind='nll' has no use for reference.*latent",
        ),
        (dict(num_samples=0), "num_samples must be an int"),
        (dict(kind="regret", num_steps=0), "num_steps must be an int"),
        (dict(num_steps=5), r"'nll' has no use for num_steps.*a kind that has: \['regret'\]"),
        (dict(kind="reconstruction_error", num_samples=5), "has no use for num_samples.*'elbo'"),
        (
            dict(kind="latent", reference=np.zeros((2, 4)), num_samples=5),
            "'latent' has no use for num_samples",
        ),
        (dict(kind="latent", reference=np.zeros((1, 4))), "of 1 examples, whose codes are all the"),
        (dict(kind="latent", reference=np.zeros((5, 4))), "of 5 examples, whose codes are all the"),
        (dict(data=np.zeros((3, 5))), r"examples of shape \(4,\)"),
        (dict(kind="discriminator"), "method discriminate"),
    ],
)
def test_what_is_refused(linear_gaussian, change, message):
    arguments = dict(data=linear_gaussian.x, kind="nll") | change
    with pytest.raises(ValueError, match=message):
        outlier_scores(linear_gaussian.exact, verbose=False, **arguments)
