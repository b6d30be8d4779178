"""Estimates of log p(x): of a linear Gaussian model, of weights given by hand, of every VAE."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_gaussian import exact, linear_model
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers, losses, models, networks
from tfgen.models import latent


@pytest.fixture(scope="module")
def linear_vae():
    return models.VAE(*linear_model(), seed=0)


def test_estimates_are_below_the_likelihood_by_as_much_as_their_errors_say(linear_vae):
    x = exact().sample(400, seed=1).numpy()
    estimate = linear_vae.log_prob(x, num_samples=500, seed=0)
    error, se = estimate.log_prob - exact().log_prob(x), estimate.standard_error
    # Squares of 400 standardized errors: mean 1, standard error sqrt(2 / 400), five of them.
    assert abs(np.mean(np.square(error / se)) - 1) < 5 * np.sqrt(2 / 400)
    assert abs(np.mean(error) + np.mean(se**2) / 2) < 5 * np.mean(se) / np.sqrt(400)


def test_errors_fall_with_the_root_of_the_draws(linear_vae):
    x = exact().sample(200, seed=2).numpy()
    few, many = (linear_vae.log_prob(x, n, seed=0).standard_error for n in (100, 1600))
    # A ratio of 4; of means over 200 examples, each of which knows its own to 10 % by 100 draws.
    assert np.mean(few) / np.mean(many) == pytest.approx(4, rel=0.1)


def test_draws_are_made_in_parts_of_their_own(linear_vae, monkeypatch):
    x = exact().sample(5, seed=1).numpy()
    together = linear_vae.log_prob(x, 25, seed=0)
    monkeypatch.setattr(latent, "DRAWS", 4)
    apart = linear_vae.log_prob(x, 25, seed=0)
    assert apart.log_prob.shape == (5,) and (apart.log_prob != together.log_prob).numpy().any()
    assert_array_equal(apart.log_prob, linear_vae.log_prob(x, 25, seed=0).log_prob)


def test_weights_by_hand():
    weights = np.array([[1.0, 2.0], [2.0, 2.0], [6.0, 2.0]])
    estimate = losses.log_mean_exp(tf.constant(np.log(weights), tf.float32))
    assert_allclose(estimate.log_prob, np.log([3.0, 2.0]), rtol=1e-6)
    expected = np.std(weights, axis=0, ddof=0) / np.mean(weights, axis=0) / np.sqrt(3 - 1)
    # Of equal weights 0, up to the root of float32 rounding.
    assert_allclose(estimate.standard_error, expected, atol=1e-3)
    assert np.isnan(losses.log_mean_exp(tf.zeros((1, 2))).standard_error).all()
    huge = losses.log_mean_exp(tf.constant([[-1e4, 3e4], [-1e4, -3e4]]))
    assert_allclose(huge.log_prob, [-1e4, 3e4 - np.log(2)])
    assert np.isfinite(huge.standard_error).all()


def test_given_a_condition():
    sizes = dict(latent_dim=2, width=8, num_classes=3)
    model = models.VAE(
        networks.mlp_encoder((4,), **sizes),
        networks.mlp_decoder((4,), head=layers.IndependentNormal, **sizes),
        seed=0,
    )
    x, c = np.random.default_rng(0).normal(size=(6, 4)).astype("float32"), [0, 1, 2, 2, 1, 0]
    found = model.log_prob(x, 300, seed=0, condition=c)
    one = model.given(2).log_prob(x[2:4], 300, seed=1)
    difference = found.log_prob[2:4] - one.log_prob
    se = np.hypot(found.standard_error[2:4], one.standard_error)
    assert np.all(np.abs(difference) < 5 * se)
    data = tf.data.Dataset.from_tensor_slices((x, c)).batch(6)
    assert_allclose(model.log_prob(data, 300, seed=0).log_prob, found.log_prob, rtol=1e-5)
    with pytest.raises(ValueError, match="condition"):
        model.log_prob(x, 5)


@pytest.mark.parametrize(
    ("head", "value", "message"),
    [
        (layers.IndependentGamma, -1.0, "A Gamma likelihood needs data"),
        (layers.IndependentNormal, np.nan, "finite data"),
        (lambda shape: layers.IndependentCategorical(shape, num_classes=4), 7.0, "likelihood"),
    ],
)
def test_what_the_likelihood_excludes_is_refused(head, value, message):
    sizes = dict(latent_dim=2, width=8)
    decoder = networks.mlp_decoder((4,), head=head, **sizes)
    model = models.VAE(networks.mlp_encoder((4,), **sizes), decoder, seed=0)
    x = np.ones((6, 4), "float32")
    x[-1, 0] = value  # Of a data set in its second batch.
    for data in (x, tf.data.Dataset.from_tensor_slices(x).batch(4)):
        with pytest.raises(ValueError, match=message):
            model.log_prob(data, 5)
    with pytest.raises(ValueError, match="num_samples"):
        model.log_prob(np.ones((6, 4), "float32"), 0)


@pytest.mark.one_of_each_kind
def test_every_model_with_weights_has_an_estimate(build_model, model_name, blobs):
    model = build_model(model_name)
    if not hasattr(model, "log_prob"):
        pytest.skip("No likelihood.")
    if isinstance(model, models.MixtureEM):
        model.initialize(blobs)
    with pytest.raises(ValueError, match="examples"):
        model.log_prob(tf.data.Dataset.from_tensor_slices(blobs[:0]).batch(3))
    with pytest.raises(ValueError, match="examples"):
        model.log_prob(blobs[:0])
    if isinstance(model, models.MixtureEM) or getattr(model, "dequantization", 1) is None:
        found = model.log_prob(blobs[:3])  # Exact.
        data = tf.data.Dataset.from_tensor_slices(blobs[:3]).batch(2)
        assert_allclose(model.log_prob(data), found, rtol=1e-5)
        with pytest.raises(ValueError, match="finite data"):
            model.log_prob(np.nan * blobs[:3])
        return
    x = blobs[:3]
    condition = {}
    if model.conditions is not None and not isinstance(model, models.MissingDataVAE):
        condition = dict(condition=np.array([0, 1, 1]))
    keras.utils.set_random_seed(0)
    estimate = model.log_prob(x, 15, seed=0, **condition)
    assert estimate.log_prob.shape == estimate.standard_error.shape == (3,)
    assert np.isfinite(estimate.log_prob).all() and np.all(estimate.standard_error >= 0)
