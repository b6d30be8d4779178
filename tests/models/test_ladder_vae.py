"""Ladder VAE: posterior and KL divergences by hand, integrals on a grid, training, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import callbacks, layers, networks
from tfgen.layers.hierarchical import diagonal_normal
from tfgen.models.ladder_vae import LadderVAE, product_of_normals
from tfgen.networks.ladder import ladder_decoder, ladder_encoder, ladder_prior

tfd = tfp.distributions
SHAPE = (2, 2, 1)


def build(sizes=(3, 2), widths=(8, 6), depth=1, batch_norm=False, scale=1.0, **kwargs):
    """`scale` multiplies the kernels, so that levels matter without training."""
    keras.utils.set_random_seed(0)
    model = LadderVAE(
        ladder_encoder(SHAPE, sizes, widths, depth, batch_norm, "tanh"),
        ladder_decoder(networks.mlp_decoder(SHAPE, sizes[0], width=8, activation="tanh"), sizes),
        ladder_prior(sizes, widths, depth, batch_norm, "tanh"),
        seed=0,
        **kwargs,
    )
    for weight in model.trainable_variables:
        if weight.name == "kernel":
            weight.assign(scale * weight)
    return model


def pixels(num=64):
    return np.random.default_rng(0).integers(0, 2, (num, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def tiny():
    """Two levels of one latent variable each."""
    return build((1, 1), (4, 4), scale=2.0)


# The formula.


def test_product_of_normals_against_closed_form_and_product_of_densities():
    rng = np.random.default_rng(0)
    loc_a, loc_b = rng.normal(size=(2, 5, 3)).astype("float32")
    scale_a, scale_b = np.exp(rng.normal(size=(2, 5, 3))).astype("float32")
    a, b = diagonal_normal(loc_a, scale_a), diagonal_normal(loc_b, scale_b)
    product = product_of_normals(a, b)
    precision = scale_a**-2.0 + scale_b**-2.0
    # Sonderby et al., Eq. 18 and 19; float32 rounding.
    assert_allclose(product.variance(), 1 / precision, rtol=1e-5)
    loc = (loc_a * scale_a**-2.0 + loc_b * scale_b**-2.0) / precision
    assert_allclose(product.mean(), loc, rtol=1e-4, atol=1e-5)
    # log a + log b - log product is constant in z: the log of the product's normalizer.
    z = rng.normal(size=(7, 5, 3)).astype("float32")
    normalizer = a.log_prob(z) + b.log_prob(z) - product.log_prob(z)
    # Rounding of squares up to several hundred.
    assert_allclose(normalizer, np.broadcast_to(normalizer[0], (7, 5)), rtol=1e-4, atol=5e-3)


def test_product_with_a_certain_density_is_that_density():
    certain, vague = diagonal_normal([[3.0]], [[1e-8]]), diagonal_normal([[0.0]], [[1e8]])
    for product in (product_of_normals(certain, vague), product_of_normals(vague, certain)):
        assert_allclose(product.mean(), [[3.0]], rtol=1e-6)
        assert_allclose(product.stddev(), [[1e-8]], rtol=1e-6)


# The model's densities.


def test_levels_by_hand():
    model, x = build(scale=2.0), pixels(4)
    levels = model.draw_levels(x, tf.constant([1, 2]), training=False)
    (q_1, p_1, z_1), (q_2, p_2, z_2) = levels
    normal = model.encoder(x)
    loc, scale = normal.mean().numpy(), normal.stddev().numpy()
    assert_array_equal(q_2.mean(), loc[:, 3:])
    assert_array_equal(q_2.stddev(), scale[:, 3:])
    prior = model.prior.networks[0](z_2)
    precision = scale[:, :3] ** -2.0 + prior.stddev().numpy() ** -2.0
    weighted = loc[:, :3] * scale[:, :3] ** -2.0 + prior.mean() * prior.stddev() ** -2.0
    assert_allclose(q_1.mean(), weighted / precision, rtol=1e-4, atol=1e-6)
    assert_allclose(q_1.variance(), 1 / precision, rtol=1e-5)
    # App. B of Kingma & Welling, generalized to any normal p.
    for (q, p, _), found in zip(
        levels, [model.kl_divergence(*level) for level in levels], strict=True
    ):
        q_loc, q_scale, p_loc, p_scale = (
            np.broadcast_to(v, q.mean().shape) for v in (q.mean(), q.stddev(), p.mean(), p.stddev())
        )
        expected = np.log(p_scale / q_scale) - 0.5
        expected += (q_scale**2 + (q_loc - p_loc) ** 2) / (2 * p_scale**2)
        assert_allclose(found, expected.sum(-1), rtol=1e-4, atol=1e-5)


def test_kl_of_each_level_against_monte_carlo():
    """Closed forms given the levels above, and draws of log q - log p, have the same mean."""
    model, num = build(scale=2.0), 20_000
    x = np.tile(pixels(1), (num, 1, 1, 1))
    levels = model.draw_levels(x, tf.constant([1, 2]), training=False)
    for (q, p, z), kl in zip(
        levels, [model.kl_divergence(*level) for level in levels], strict=True
    ):
        errors = (q.log_prob(z) - p.log_prob(z) - kl).numpy()
        assert np.mean(kl) > 0.05
        # 5 standard errors.
        assert abs(errors.mean()) < 5 * errors.std() / np.sqrt(num)


def test_terms_and_inference_agree():
    model, x = build(scale=2.0, beta=3.0), pixels(6)
    model.evaluation_seed_generator.state.assign([0, 0])
    terms = model.terms(x, training=False)
    model.evaluation_seed_generator.state.assign([0, 0])
    inference = model.infer(tf.constant(x), model.next_seed(training=False), training=False)
    assert_allclose(terms["kl"], terms["kl_1"] + terms["kl_2"], rtol=1e-6)
    assert_allclose(terms["kl"], inference.kl, rtol=1e-6)
    assert_allclose(terms["reconstruction"], -inference.likelihood.log_prob(x), rtol=1e-6)
    assert_allclose(terms["loss"], terms["reconstruction"] + 3 * terms["kl"], rtol=1e-6)
    log_ratio = model.encode(x).log_prob(inference.z)
    log_ratio -= model.prior_distribution().log_prob(inference.z)
    assert_allclose(inference.log_ratio, log_ratio, rtol=1e-4, atol=1e-5)


def test_encode_embed_and_reconstruct():
    model, x = build(scale=2.0), pixels(5)
    q = model.encode(x)
    assert q.batch_shape == (5,)
    assert q.sample(3, seed=[0, 1]).shape == (3, 5, 5)
    assert q.log_prob(q.sample(3, seed=[0, 1])).shape == (3, 5)
    codes = model.embed(x)
    assert_array_equal(codes[:, 3:], model.encoder(x).mean()[:, 3:])
    assert_allclose(model.reconstruct(x), model.generate(codes), rtol=1e-6)
    assert_allclose(model.predict(x, verbose=0), model.reconstruct(x), rtol=1e-5)


def test_posterior_density_integrates_to_one_and_weights_are_unbiased(tiny):
    """p(x) of two latent variables by quadrature, the oracle of both densities and the weights."""
    x = pixels(3)
    axis = np.linspace(-8, 8, 321, dtype="float32")
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 1, 2)
    cell = (axis[1] - axis[0]) ** 2
    # Scales of a cell or more, and densities that vanish at the border: far smaller errors.
    assert_allclose(cell * np.sum(np.exp(tiny.encode(x).log_prob(z)), 0), 1.0, rtol=1e-3)
    z = np.broadcast_to(z, (len(z), 3, 2))
    evidence = cell * np.sum(np.exp(tiny.log_joint(x, z)), axis=0)
    weights = np.exp(tiny.log_weights(x, 20_000, seed=tf.constant([0, 1])))
    assert weights.shape == (20_000, 3)
    assert np.all(weights.std(0) > 0.01 * evidence)
    # 5 standard errors, and the quadrature's.
    tolerance = 5 * weights.std(0) / np.sqrt(20_000) + 1e-3 * evidence
    assert np.all(np.abs(weights.mean(0) - evidence) < tolerance)
    elbos = tiny.terms(np.repeat(x, 500, axis=0))["elbo"].numpy().reshape(3, 500)
    assert np.all(elbos.mean(1) < np.log(evidence))


# Training.


def test_gradients_reach_every_weight():
    model = build((3, 2, 2), (8, 6, 4), depth=2, batch_norm=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.terms(pixels())["loss"])
    variables = model.updates[0].variables
    assert {v.path for v in variables} == {v.path for v in model.trainable_variables}
    for variable, gradient in zip(
        variables, tape.gradient(loss, [v.value for v in variables]), strict=True
    ):
        assert np.any(gradient.numpy() != 0), variable.path


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_trains_and_warms_up(jit_compile):
    model = build(batch_norm=True)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
    x = np.repeat(pixels(2), 32, axis=0)
    warm_up = callbacks.KLWarmUp(num_steps=8)
    history = model.fit(x, batch_size=32, epochs=12, callbacks=[warm_up], verbose=0).history
    # One of two images is log 2 nats; four fair coins are four times that.
    assert history["elbo"][-1] > history["elbo"][0]
    assert history["elbo"][-1] > -3.0
    assert history["beta"][-1] == 1.0


def test_saved_model_continues_exactly(assert_continues_exactly):
    loaded = assert_continues_exactly(build(batch_norm=True, beta=2.0), pixels())
    assert float(loaded.beta) == 2.0


# Errors.


def test_errors():
    model = build()
    with pytest.raises(ValueError, match="HierarchicalNormal. Received: prior=None.*ladder_prior"):
        LadderVAE(model.encoder, model.decoder, None)
    encoder = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(20),
            layers.MultivariateNormalTriL(5),
        ]
    )
    with pytest.raises(
        ValueError, match="independent normals.*Received.*Multivar.*IndependentNormal"
    ):
        LadderVAE(encoder, model.decoder, model.prior)
    with pytest.raises(ValueError, match=r"prior over shape \(4,\)"):
        LadderVAE(model.encoder, model.decoder, ladder_prior((2, 2), (8, 6)))
