"""The variational Gaussian process: its bound against exact values, codes, two layers, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_gaussian import (
    BIAS,
    WEIGHTS,
    X,
    assert_training_tightens_the_bound,
    exact,
    linear,
    linear_model,
)
from numpy.testing import assert_allclose

from tfgen import layers, models, networks
from tfgen.models.vgp import VGP
from tfgen.networks.vgp import GaussianProcessMapping

SEED = tf.constant([1, 2])


def build():
    encoder, decoder = linear_model()
    mapping = GaussianProcessMapping(2, (3,), input_dim=2, num_points=4, width=8, seed=0)
    return VGP(encoder, decoder, mapping, seed=0)


def test_bound_and_importance_weights_against_the_exact_likelihood():
    model, num_samples = build(), 20_000
    log_px = exact().log_prob(X).numpy()
    log_weights = model.log_weights(X, num_samples, SEED).numpy()
    weights = np.exp(log_weights - log_px)
    # Unbiased: 5 standard errors of the mean of what should be 1.
    assert np.all(np.abs(weights.mean(0) - 1) < 5 * weights.std(0) / np.sqrt(num_samples))
    # A bound, by far more than the Monte Carlo error, which is at most a few hundredths.
    assert np.all(log_weights.mean(0) < log_px - 0.1)
    # The ELBO with closed forms has the same mean as the log-weights.
    elbos = model.terms(np.repeat(X, num_samples, axis=0))["elbo"].numpy().reshape(2, num_samples)
    variance = elbos.var(1) + log_weights.var(0)
    errors = np.abs(elbos.mean(1) - log_weights.mean(0))
    assert np.all(errors < 5 * np.sqrt(variance / num_samples))


def test_gradient_reaches_every_weight():
    model = build()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.terms(X)["loss"])
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    assert len(variables) == 2 + 2 + 4 + 4 + 3
    assert all(np.abs(gradient).max() > 1e-6 for gradient in gradients)
    assert {id(v) for v in model.updates[0].variables} == {id(v) for v in variables}


def test_warping_tightens_the_bound():
    model = build()
    assert_training_tightens_the_bound(model)


def test_codes_are_at_the_center_and_are_saved(tmp_path):
    model = build()
    center = model.mapping.conditional(model.encoder(X), X, tf.zeros((2, 2)))
    assert_allclose(model.embed(X), center.mean(), rtol=1e-5)
    assert_allclose(model.reconstruct(X), model.embed(X) @ WEIGHTS + BIAS, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert_allclose(loaded.log_weights(X, 3, SEED), model.log_weights(X, 3, SEED), rtol=1e-6)


def test_two_layers_of_latent_variables():
    """VGP (2hl): p(z_2) p(z_1|z_2), by a hierarchical prior over both at once."""
    keras.utils.set_random_seed(0)
    prior = layers.HierarchicalNormal([linear(1, 4, layers.IndependentNormal(2))])
    model = VGP(
        networks.mlp_encoder((2, 2, 1), latent_dim=3, width=8),
        networks.mlp_decoder((2, 2, 1), latent_dim=3, width=8),
        GaussianProcessMapping(3, (2, 2, 1), input_dim=2, num_points=3, width=8, seed=0),
        prior=prior,
        seed=0,
    )
    before = prior.get_weights()
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    colors = np.random.default_rng(0).integers(0, 2, (8, 1, 1, 1))
    x = np.tile(colors, (1, 2, 2, 1)).astype("float32")
    losses = model.fit(np.tile(x, (16, 1, 1, 1)), batch_size=16, epochs=6, verbose=0)
    assert losses.history["loss"][-1] < losses.history["loss"][0]
    assert not np.array_equal(before[0], prior.get_weights()[0])
    inference = model.infer(tf.constant(x), SEED, training=False)
    z_1, z_2 = inference.z[:, :2], inference.z[:, 2:]
    p = prior.networks[0](z_2)
    by_hand = p.log_prob(z_1) - 0.5 * np.log(2 * np.pi) - 0.5 * z_2[:, 0] ** 2
    assert_allclose(model.prior_distribution().log_prob(inference.z), by_hand, rtol=1e-4)
    assert_allclose(inference.kl, inference.log_ratio, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", [dict(latent_dim=3), dict(feature_shape=(4,))])
def test_mapping_that_does_not_fit(sizes):
    model = build()
    mapping = GaussianProcessMapping(**{"latent_dim": 2, "feature_shape": (3,), **sizes}, width=4)
    with pytest.raises(ValueError, match=r"shape \(2,\) and see data of shape \(3,\). Received"):
        VGP(model.encoder, model.decoder, mapping)
