"""Missing values: a linear Gaussian model whose marginals and conditional means are closed form."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_gaussian import BIAS, SCALE, WEIGHTS
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tfgen import layers, networks
from tfgen.models import IWAE, MIWAE, VAE, MissingDataVAE, load_model
from tfgen.models.training_data import Conditioned

CLASSES = [MissingDataVAE, MIWAE]
X = np.array([[0.5, -0.1, 0.2], [-1.0, 0.4, 0.1], [0.3, 1.2, -0.8], [0.9, 0.4, 0.3]], "float32")
MASK = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], "float32")
SEED = tf.constant([1, 2])


@keras.saving.register_keras_serializable("tests")
class ExactPosterior(keras.layers.Layer):
    """Mean and logarithm of the scale of p(z|observed values), of the first latent alone."""

    def call(self, x, mask):
        precision = 1 + tf.reduce_sum(mask * WEIGHTS[0] ** 2, -1, keepdims=True) / SCALE**2
        projected = tf.reduce_sum(mask * WEIGHTS[0] * (x - BIAS), -1, keepdims=True) / SCALE**2
        return tf.concat([projected / precision, -tf.math.log(precision) / 2], axis=-1)


def linear(cls, latents, encoder):
    """The linear Gaussian model of so many latents."""
    decoder = keras.Sequential(
        [keras.Input((latents,)), keras.layers.Dense(3), layers.FixedScaleNormal(3, scale=SCALE)]
    )
    decoder.layers[0].set_weights([WEIGHTS[:latents], BIAS])
    return cls(layers.Conditional(encoder), decoder, seed=0)


def exact(cls):
    """One latent, whose posterior the encoder knows, whatever is missing."""
    x, mask = keras.Input((3,)), keras.Input((3,))
    head = layers.IndependentNormal(1, scale_activation="exponential")
    return linear(cls, 1, keras.Model([x, mask], head(ExactPosterior()(x, mask))))


def rough(cls):
    """Two latents, and a posterior that is no good, but wide."""
    keras.utils.set_random_seed(0)
    x, mask = keras.Input((3,)), keras.Input((3,))
    raw = keras.layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(stddev=0.1))
    head = layers.IndependentNormal(2, scale_activation="exponential")
    return linear(cls, 2, keras.Model([x, mask], head(raw(keras.layers.Concatenate()([x, mask])))))


def marginal(latents):
    """Covariance of x."""
    weights = WEIGHTS[:latents].astype("float64")
    return weights.T @ weights + SCALE**2 * np.eye(3)


def log_observed(x, mask, latents):
    """log p of the observed values of one example."""
    seen = mask > 0
    if not seen.any():
        return 0.0
    covariance = marginal(latents)[np.ix_(seen, seen)]
    return stats.multivariate_normal.logpdf(x[seen], BIAS[seen], covariance)


def conditional_mean(x, mask, latents):
    """x with the conditional means of its missing values."""
    seen, covariance = mask > 0, marginal(latents)
    gain = covariance[np.ix_(~seen, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    filled = x.astype("float64")
    filled[~seen] = BIAS[~seen] + gain @ (x[seen] - BIAS[seen])
    return filled


# Bounds.


@pytest.mark.parametrize("cls", CLASSES)
def test_bounds_of_the_exact_posterior_are_the_likelihood_of_what_is_observed(cls):
    """Each weight is p(observed), whatever the draw; so is the mean of the ELBO."""
    expected = [log_observed(x, mask, 1) for x, mask in zip(X, MASK, strict=True)]
    weights = exact(cls).log_weights(Conditioned(X, MASK), 7, SEED)
    assert_allclose(weights, np.broadcast_to(expected, (7, 4)), rtol=1e-4, atol=1e-4)
    repeated = Conditioned(np.tile(X, (5000, 1)), np.tile(MASK, (5000, 1)))
    terms = exact(cls).terms(repeated, training=False)
    draws = np.reshape(terms["elbo"], (5000, 4)).astype("float64")
    slack = 5 * draws.std(axis=0) / 5000**0.5 + 1e-4
    assert (np.abs(draws.mean(axis=0) - expected) < slack).all()
    if cls is MIWAE:
        assert_allclose(terms["iw_elbo"], np.tile(expected, 5000), rtol=1e-4, atol=1e-4)


def test_weights_of_a_rough_posterior_have_the_likelihood_as_mean():
    num = 200_000
    weights = np.exp(rough(MissingDataVAE).log_weights(Conditioned(X, MASK), num, SEED), dtype="f8")
    expected = np.exp([log_observed(x, mask, 2) for x, mask in zip(X, MASK, strict=True)])
    slack = 5 * weights.std(axis=0) / num**0.5 + 1e-5
    assert (np.abs(weights.mean(axis=0) - expected) < slack).all()


@pytest.mark.parametrize("cls, parent", [(MissingDataVAE, VAE), (MIWAE, IWAE)])
def test_without_anything_missing_it_is_its_parent(cls, parent):
    model = rough(cls)
    plain = parent(model.encoder.under(np.ones(3)), model.decoder, seed=0)
    expected = plain.terms(X, training=False)
    for batch in (Conditioned(X, np.ones_like(X)), X):
        model.evaluation_seed_generator.state.assign([0, 0])
        terms = model.terms(batch, training=False)
        assert set(terms) == set(expected)
        for name, value in expected.items():
            assert_allclose(terms[name], value, rtol=1e-5, err_msg=name)
    assert_allclose(model.embed(X), plain.embed(X), rtol=1e-6)
    assert_allclose(model.predict(X, verbose=0), plain.reconstruct(X), rtol=1e-5)


# What is missing has no influence.


@pytest.mark.parametrize("cls", CLASSES)
def test_values_in_missing_places_do_not_matter(cls):
    def of(x):
        model = rough(cls)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.terms(Conditioned(x, MASK))["loss"])
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return [loss, *gradients, model.reconstruct(x, MASK)]

    for a, b in zip(of(X), of(np.where(MASK > 0, X, 77.0)), strict=True):
        assert_array_equal(a, b)


HEADS = {
    layers.IndependentBernoulli: 1.0,
    layers.IndependentBeta: 0.5,
    layers.IndependentContinuousBernoulli: 0.5,
    layers.IndependentGamma: 0.5,
    layers.IndependentLogNormal: 0.5,
    layers.IndependentStudentT: 0.5,
    layers.IndependentTruncatedNormal: 0.5,
    layers.IndependentDiscretizedLogistic: 1.0,
    functools.partial(layers.IndependentCategorical, num_classes=3): 2.0,
    layers.ZeroInflatedNegativeBinomial: 3.0,
}


@pytest.mark.parametrize("head, value", HEADS.items())
def test_observed_values_count_under_every_likelihood(head, value):
    """As the likelihood of these columns alone; gradients are finite, and of the others zero."""
    seen = [True, False, False, True]
    x, mask = np.full((1, 4), value, "float32"), np.array([seen])
    size = getattr(head(1), "num_params", 3)
    z = tf.constant(np.random.default_rng(0).normal(size=(1, size, 4)).astype("float32"))
    model = MissingDataVAE(
        networks.mlp_encoder((4,), 4 * size, width=2, condition_shape=(4,)),
        keras.Sequential([keras.Input((4 * size,)), head(4)]),
    )
    with tf.GradientTape() as tape:
        tape.watch(z)
        found = model.log_likelihood(Conditioned(x, mask), tf.reshape(z, (1, -1)))
    alone = head(2)(tf.reshape(tf.boolean_mask(z, seen, axis=2), (1, -1)))
    assert_allclose(found, alone.log_prob(x[:, :2]), rtol=1e-5)
    gradient = tape.gradient(found, z).numpy()
    assert np.isfinite(gradient).all()
    assert (np.any(gradient != 0, axis=(0, 1)) == seen).all()


def test_counts_train_under_xla():
    """XLA has no draws of counts, and none are needed."""
    model = MissingDataVAE(
        networks.mlp_encoder((3,), 1, width=2, condition_shape=(3,)),
        networks.mlp_decoder((3,), 1, width=2, head=layers.IndependentNegativeBinomial),
        seed=0,
    )
    model.compile("adam", jit_compile=True)
    assert np.isfinite(model.fit(np.ones((4, 3)), MASK, verbose=0).history["loss"]).all()


# Imputation.


@pytest.mark.parametrize("cls", CLASSES)
def test_imputes_conditional_means(cls):
    """Against closed form; five standard errors of a ratio of means, by the delta method."""
    num, model = 20_000, rough(cls)
    found = model.impute(X, MASK, num, seed=0).numpy()
    assert_array_equal(found[MASK > 0], X[MASK > 0])
    assert_array_equal(model.impute(X, MASK, num, seed=0), found)
    for i, (x, mask) in enumerate(zip(X, MASK, strict=True)):
        q = model.encode(x[None], mask[None])
        z = q.sample(num, seed=[8, 9])
        log_weights = model.log_joint(Conditioned(x[None], mask[None]), z) - q.log_prob(z)
        weights = np.exp(log_weights[:, 0], dtype="float64")
        weights /= weights.mean()
        means = z[:, 0].numpy() @ WEIGHTS + BIAS
        expected = conditional_mean(x, mask, 2)
        error = (weights[:, None] * (means - expected)).std(axis=0) / num**0.5
        assert (np.abs(found[i] - expected) <= 5 * error + 1e-5)[mask == 0].all()


def test_imputes_in_parts():
    """As many draws as make each part one example, and some."""
    model = exact(MissingDataVAE)
    x, mask = np.tile(X, (3, 1)), np.tile(MASK, (3, 1))
    expected = [conditional_mean(*pair, 1) for pair in zip(x, mask, strict=True)]
    for num in (6000, 1700):
        assert_allclose(model.impute(x, mask, num, seed=0), expected, atol=0.1)
    assert model.impute(x[:0], mask[:0]).shape == (0, 3)


def test_learns_from_incomplete_images_to_complete_them(tmp_path):
    """Images whose eight pixels are all of one of two values; half of them are missing."""
    rng = np.random.default_rng(0)
    full = np.repeat(rng.integers(0, 2, (600, 1)), 8, axis=1).reshape(600, 2, 4, 1)
    x, mask = full.astype("float32"), rng.random((600, 2, 4, 1)) < 0.5
    keras.utils.set_random_seed(0)
    size = {"latent_dim": 1, "width": 16}
    encoder = networks.mlp_encoder((2, 4, 1), **size, condition_shape=(2, 4, 1))
    model = MIWAE(encoder, networks.mlp_decoder((2, 4, 1), **size), seed=0)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(x * mask, mask, batch_size=50, epochs=15, verbose=0)
    some = mask[:100].any(axis=(1, 2, 3))
    imputed = model.impute((x * mask)[:100][some], mask[:100][some], 100, seed=0)
    assert np.mean(np.abs(imputed - x[:100][some])) < 0.05
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert_array_equal(loaded.impute(x[:3], mask[:3], 10, 0), model.impute(x[:3], mask[:3], 10, 0))
    data = tf.data.Dataset.from_tensor_slices((x, mask)).batch(50)
    logs = model.evaluate(data, verbose=0, return_dict=True)
    of_arrays = model.evaluate(x, mask, batch_size=50, verbose=0, return_dict=True)
    assert logs == pytest.approx(of_arrays, rel=1e-6)  # Float32: each has a graph of its own.


# Errors.


@pytest.mark.parametrize("mask", [0.5 * MASK, MASK - 1, MASK[:, :2], MASK[:2], np.full(3, np.nan)])
def test_masks_that_are_none(mask):
    model = rough(MissingDataVAE)
    model.compile("sgd", run_eagerly=True)
    for call in (lambda: model.fit(X, mask, verbose=0), lambda: model.impute(X, mask)):
        with pytest.raises(
            ValueError, match="(a mask of shape|for each of 4|and mask).* Received: "
        ):
            call()


def test_masks_of_data_sets_that_are_none():
    model = rough(MissingDataVAE)
    step = tf.function(lambda mask: model.unpack((tf.constant(X), mask)).condition)
    assert_array_equal(step(tf.constant(MASK)), MASK)
    assert_array_equal(step(tf.constant(MASK > 0)), MASK)
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 where a value is observed"):
        step(tf.constant(0.5 * MASK))


@pytest.mark.parametrize(
    "encoder, decoder, message",
    [
        ({}, {}, r"takes a mask beside x.*condition_shape=\(4, 4, 1\)"),
        ({"condition_shape": 3}, {}, "takes a mask beside x.* Received: .*3"),
        ({"num_classes": 3}, {}, "takes a mask beside x"),
        (
            {"condition_shape": (4, 4, 1)},
            {"condition_shape": (4, 4, 1)},
            "no other network a condition",
        ),
    ],
)
def test_networks_that_do_not_fit(encoder, decoder, message):
    shape = (4, 4, 1)
    with pytest.raises(ValueError, match=message):
        MIWAE(
            networks.mlp_encoder(shape, 2, width=4, **encoder),
            networks.mlp_decoder(shape, 2, width=4, **decoder),
        )


def test_a_correlated_likelihood_and_one_mask_for_ever():
    encoder = networks.mlp_encoder((3, 1, 1), 2, width=4, condition_shape=(3, 1, 1))
    x, mask = keras.Input((3,)), keras.Input((3,))
    flat = keras.Model([x, mask], encoder.network([x[:, :, None, None], mask[:, :, None, None]]))
    decoder = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(9), layers.MultivariateNormalTriL(3)]
    )
    with pytest.raises(ValueError, match="independent over values. Received: .*Normal"):
        MissingDataVAE(layers.Conditional(flat), decoder)
    with pytest.raises(ValueError, match="A mask belongs to an example.* Received"):
        exact(MissingDataVAE).given(MASK[0])


def test_numbers_of_classes_are_not_imputed_by_their_mean():
    sizes = {"latent_dim": 2, "width": 8}
    decoder = networks.mlp_decoder(
        (4,), head=lambda shape: layers.IndependentCategorical(shape, num_classes=3), **sizes
    )
    encoder = networks.mlp_encoder((4,), **sizes, condition_shape=(4,))
    model = MissingDataVAE(encoder, decoder)
    x = np.ones((2, 4), "float32")
    with pytest.raises(ValueError, match="Numbers of classes have no mean"):
        model.impute(x, np.zeros_like(x), 5)
