"""Hamiltonian VAE: the flow's volume, the bound against exact values, tempering, its errors."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from linear_gaussian import (
    BIAS,
    SCALE,
    WEIGHTS,
    X,
    assert_gradient_is_that_of_differences,
    assert_training_tightens_the_bound,
    exact,
    linear_model,
)
from numpy.testing import assert_allclose

from tfgen import models
from tfgen.models.hvae import HVAE, CoolingFactors
from tfgen.models.leapfrog import leapfrog

SEED = tf.constant([1, 2])


def build(**kwargs):
    return HVAE(*linear_model(), seed=0, **kwargs)


def quartic_gradient(z):
    """Of -(z_1^4 + z_1 z_2 + z_2^2), which couples the dimensions."""
    return tf.stack([-4 * z[..., 0] ** 3 - z[..., 1], -z[..., 0] - 2 * z[..., 1]], axis=-1)


# The flow.


def test_factors_change_volume_by_their_product():
    """The determinant of the Jacobian of (z, rho) to the end, by autodiff, of two dimensions."""
    start, factors = tf.constant([0.7, -0.4, 0.2, 1.1]), [0.9, 0.7, 0.8]
    steps = [0.2, tf.constant([0.1, 0.4]), 0.3]
    with tf.GradientTape() as tape:
        tape.watch(start)
        end = tf.concat(leapfrog(quartic_gradient, start[:2], start[2:], steps, factors), axis=0)
    jacobian = tape.jacobian(end, start).numpy()
    assert np.linalg.det(jacobian) == pytest.approx(np.prod(factors) ** 2, rel=1e-5)


@pytest.mark.parametrize("tempering", ["fixed", "free", None])
def test_the_flow_from_gamma_keeps_volume(tempering):
    """So that log N(gamma; 0, I) is its density: by autodiff, through the model's own decoder."""
    model = build(leapfrog_steps=3, tempering=tempering)
    sizes = tf.unstack(model.step_sizes.values()[0])
    factors = model.cooling.values() if tempering else tf.ones(3)
    gradient = model.log_joint_gradient(X[:1], model.prior_distribution())

    def flow(start):
        z, rho = start[:, :2], start[:, 2:] / tf.reduce_prod(factors)
        return tf.concat(leapfrog(gradient, z, rho, sizes, tf.unstack(factors)), axis=1)

    start = tf.constant([[0.7, -0.4, 0.2, 1.1]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(start)
        end = flow(start)
    jacobian = tape.batch_jacobian(end, start, experimental_use_pfor=False)[0].numpy()
    assert abs(np.linalg.det(jacobian) - 1) < 1e-5
    assert np.abs(jacobian - np.eye(4)).max() > 0.5


def test_fixed_factors_are_quadratic():
    """s_k by hand for s_0 = 3 and K = 4: 1 + 2 (1 - k^2 / 16)."""
    scales = np.array([3.0, 2.875, 2.5, 1.875, 1.0])
    factors = CoolingFactors(4, "fixed", temperature=9.0).values()
    assert_allclose(factors, scales[1:] / scales[:-1], rtol=1e-6)


@pytest.mark.parametrize("tempering", ["fixed", "free"])
def test_factors_begin_at_the_temperature_and_stay_below_one(tempering):
    cooling = CoolingFactors(5, tempering, temperature=2.5)
    assert_allclose(np.prod(cooling.values()) ** -2, 2.5, rtol=1e-5)
    cooling.raw.assign(cooling.raw + 3.0)
    assert np.all((cooling.values() > 0) & (cooling.values() < 1))


# The bound.


@pytest.mark.parametrize(
    "arguments",
    [
        dict(leapfrog_steps=0),
        dict(leapfrog_steps=2, step_size=0.3, tempering=None),
        dict(leapfrog_steps=3, tempering="fixed", temperature=2.0),
        dict(leapfrog_steps=3, tempering="free", temperature=2.0),
    ],
)
def test_bound_and_importance_weights_against_the_exact_likelihood(arguments):
    model, num_samples = build(**arguments), 20_000
    log_px = exact().log_prob(X).numpy()
    log_weights = model.log_weights(X, num_samples, SEED).numpy()
    weights = np.exp(log_weights - log_px)
    # Unbiased: 5 standard errors of the mean of what should be 1.
    assert np.all(np.abs(weights.mean(0) - 1) < 5 * weights.std(0) / np.sqrt(num_samples))
    # A bound, by more than five standard errors.
    gap = log_px - log_weights.mean(0)
    assert np.all(gap > 5 * log_weights.std(0) / np.sqrt(num_samples))
    # The ELBO with closed forms has the same mean as the log-weights.
    elbos = model.terms(np.repeat(X, num_samples, axis=0))["elbo"].numpy().reshape(2, num_samples)
    variance = elbos.var(1) + log_weights.var(0)
    errors = np.abs(elbos.mean(1) - log_weights.mean(0))
    assert np.all(errors < 5 * np.sqrt(variance / num_samples))


def test_one_step_by_hand():
    """z_1, rho_1 and log_ratio in NumPy, with the gradient of the linear model by hand."""
    model = build(leapfrog_steps=1, step_size=0.2, tempering="fixed", temperature=4.0)
    inference = model.infer(tf.constant(X), SEED, training=False)
    z_seed, gamma_seed = tf.unstack(tfp.random.split_seed(SEED, 2))
    q = model.encoder(X)
    z_0 = q.sample(seed=z_seed).numpy()
    gamma = tf.random.stateless_normal((2, 2), gamma_seed, alg="philox").numpy()

    def gradient(z):
        return (X - z @ WEIGHTS - BIAS) @ WEIGHTS.T / SCALE**2 - z

    rho = 2 * gamma + 0.1 * gradient(z_0)
    z = z_0 + 0.2 * rho
    rho = (rho + 0.1 * gradient(z)) / 2

    def log_normal(value, loc=0.0, scale=1.0):
        squares = ((value - loc) / scale) ** 2
        return np.sum(-0.5 * squares - np.log(scale) - 0.5 * np.log(2 * np.pi), axis=1)

    log_q = log_normal(z_0, q.mean().numpy(), q.stddev().numpy())
    # By the change of variables: N(rho_0; 0, 4 I), over the determinant of the cooling, 1 / 4.
    log_q += log_normal(2 * gamma, scale=2 * np.ones(2)) + 2 * np.log(2)
    assert_allclose(inference.z, z, rtol=1e-4)
    assert_allclose(inference.log_ratio, log_q - log_normal(z) - log_normal(rho), rtol=1e-4)


@pytest.mark.parametrize("tempering", ["fixed", "free", None])
def test_without_steps_it_is_the_vae(tempering):
    model = build(leapfrog_steps=0, tempering=tempering)
    vae = models.VAE(model.encoder, model.decoder)
    inference = model.infer(tf.constant(X), SEED, training=False)
    assert_allclose(inference.kl, vae.terms(X)["kl"], rtol=1e-6)
    log_q = model.encode(X).log_prob(inference.z)
    expected = vae.log_joint(X, inference.z) - log_q
    assert_allclose(model.log_weights(X, 1, SEED)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("tempering, number", [("fixed", 6), ("free", 6), (None, 5)])
def test_gradient_against_finite_differences(tempering, number):
    """Through second derivatives of the decoder."""
    model = build(leapfrog_steps=2, tempering=tempering)
    assert len(model.trainable_variables) == number
    assert_gradient_is_that_of_differences(model)


def test_the_flow_tightens_the_bound():
    assert_training_tightens_the_bound(build(leapfrog_steps=10, step_size=0.4, max_step_size=1.0))


# Saving and errors.


@pytest.mark.parametrize("tempering", ["fixed", "free", None])
def test_saved_with_its_steps_and_temperature(tempering, tmp_path):
    model = build(leapfrog_steps=3, tempering=tempering)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert_allclose(loaded.log_weights(X, 3, SEED), model.log_weights(X, 3, SEED), rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(leapfrog_steps=-1), "leapfrog_steps must be an int of at least 0. Received"),
        (dict(step_size=0.5), "between 0 and max_step_size. Received: step_size=0.5, max.*=0.5"),
        (dict(tempering="quadratic"), "one of .*'fixed', 'free'.* Received: tempering='quadratic'"),
        (dict(temperature=1.0), "above 1. Received: temperature=1.0.*tempering=None"),
        (dict(tempering=None, temperature=2.0), "Received: temperature=2.0, tempering=None"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
