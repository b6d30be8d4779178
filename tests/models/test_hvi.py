"""Hamiltonian variational inference: dynamics, the bound against exact values, its gradient."""

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
from tfgen.models.hvi import HVI
from tfgen.models.leapfrog import leapfrog
from tfgen.networks.auxiliary import mlp_auxiliary

SEED = tf.constant([1, 2])


def build(cls=HVI, momentum=False, depth=1, **kwargs):
    encoder, decoder = linear_model()
    networks = [mlp_auxiliary((3,), 2, width=8, depth=depth) for _ in range(1 + momentum)]
    return cls(encoder, decoder, *networks, seed=0, **kwargs)


# Dynamics.


def quartic_gradient(z):
    """Of -(z_1^4 + z_1 z_2 + z_2^2), which couples the dimensions."""
    return tf.stack([-4 * z[..., 0] ** 3 - z[..., 1], -z[..., 0] - 2 * z[..., 1]], axis=-1)


def test_leapfrog_keeps_volume():
    """The Jacobian of (z, v) to where they end, by autodiff, has determinant 1."""
    start = tf.constant([0.7, -0.4, 0.2, 1.1])
    steps = [0.2, tf.constant([0.1, 0.4]), 0.3]
    with tf.GradientTape() as tape:
        tape.watch(start)
        end = tf.concat(leapfrog(quartic_gradient, start[:2], start[2:], steps), axis=0)
    jacobian = tape.jacobian(end, start).numpy()
    assert abs(np.linalg.det(jacobian) - 1) < 1e-5
    assert np.abs(jacobian - np.eye(4)).max() > 0.5


def test_leapfrog_can_be_reversed():
    z, velocity = tf.constant([[0.7, -0.4]]), tf.constant([[0.2, 1.1]])
    steps = [0.2, 0.1, 0.3]
    end_z, end_velocity = leapfrog(quartic_gradient, z, velocity, steps)
    assert np.abs(end_z - z).max() > 0.2
    back_z, back_velocity = leapfrog(quartic_gradient, end_z, -end_velocity, steps[::-1])
    assert_allclose(back_z, z, atol=1e-6)
    assert_allclose(back_velocity, -velocity, atol=1e-6)


def test_leapfrog_follows_the_harmonic_oscillator():
    """z'' = -z from (1, 0) is (cos t, -sin t); the error of a second-order method falls by 4."""
    errors = []
    for num_steps in (10, 20):
        z, velocity = leapfrog(lambda z: -z, 1.0, 0.0, num_steps * [1 / num_steps])
        errors.append(np.hypot(z - np.cos(1), velocity + np.sin(1)))
    assert errors[0] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.01)


def test_gradient_of_the_linear_model():
    """log p(x, z) = log N(x; z W + b, s^2) + log N(z; 0, 1), by hand."""
    model, z = build(), np.array([[0.3, -0.2], [1.0, 0.5]], "float32")
    expected = (X - z @ WEIGHTS - BIAS) @ WEIGHTS.T / SCALE**2 - z
    gradient = model.log_joint_gradient(X, model.prior_distribution())
    assert_allclose(gradient(tf.constant(z)), expected, rtol=1e-5)


# The bound.


@pytest.mark.parametrize(
    "arguments",
    [
        dict(num_iterations=0),
        dict(leapfrog_steps=3, step_size=0.3),
        dict(num_iterations=2, leapfrog_steps=2, momentum=True, step_size=0.2),
    ],
)
def test_bound_and_importance_weights_against_the_exact_likelihood(arguments):
    model, num_samples = build(**arguments), 20_000
    log_px = exact().log_prob(X).numpy()
    log_weights = model.log_weights(X, num_samples, SEED).numpy()
    assert log_weights.shape == (num_samples, 2)
    weights = np.exp(log_weights - log_px)
    # Unbiased: 5 standard errors of the mean of what should be 1.
    assert np.all(np.abs(weights.mean(0) - 1) < 5 * weights.std(0) / np.sqrt(num_samples))
    # A bound, by far more than the Monte Carlo error, which is at most a few hundredths.
    assert np.all(log_weights.mean(0) < log_px - 0.1)
    # The ELBO with closed forms has the same mean as the log-weights.
    copies = np.repeat(X, num_samples, axis=0)
    elbos = model.terms(copies)["elbo"].numpy().reshape(2, num_samples)
    variance = elbos.var(1) + log_weights.var(0)
    errors = np.abs(elbos.mean(1) - log_weights.mean(0))
    assert np.all(errors < 5 * np.sqrt(variance / num_samples))


def test_log_ratio_by_hand():
    """One iteration of Algorithm 3 in NumPy, at the model's own draws."""
    model = build(leapfrog_steps=1, step_size=0.2)
    inference = model.infer(tf.constant(X), SEED, training=False)
    z_seed, v_seed = tf.unstack(tfp.random.split_seed(SEED, 2))
    q = model.encoder(X)
    z_0 = q.sample(seed=z_seed).numpy()
    v_0 = tf.random.stateless_normal((2, 2), v_seed, alg="philox").numpy()
    gradient = model.log_joint_gradient(X, model.prior_distribution())
    v = v_0 + 0.1 * gradient(tf.constant(z_0)).numpy()
    z = z_0 + 0.2 * v
    v += 0.1 * gradient(tf.constant(z)).numpy()
    r = model.reverse([X, z])

    def log_normal(value, loc=0.0, scale=1.0):
        squares = ((value - loc) / scale) ** 2
        return np.sum(-0.5 * squares - np.log(scale) - 0.5 * np.log(2 * np.pi), axis=1)

    log_q = log_normal(z_0, q.mean().numpy(), q.stddev().numpy()) + log_normal(v_0)
    log_r = log_normal(v, r.mean().numpy(), r.stddev().numpy())
    assert_allclose(inference.z, z, rtol=1e-5)
    assert_allclose(inference.log_ratio, log_q - log_r - log_normal(z), rtol=1e-4)


def test_without_iterations_it_is_the_vae():
    model = build(num_iterations=0)
    vae = models.VAE(model.encoder, model.decoder)
    inference = model.infer(tf.constant(X), SEED, training=False)
    q = model.encode(X)
    assert_allclose(inference.kl, vae.terms(X)["kl"], rtol=1e-6)
    expected = vae.log_joint(X, inference.z) - q.log_prob(inference.z)
    assert_allclose(model.log_weights(X, 1, SEED)[0], expected, rtol=1e-5)


def test_gradient_against_finite_differences():
    """Through second derivatives of the decoder."""
    model = build(num_iterations=2, leapfrog_steps=2, momentum=True, step_size=0.2)
    assert len(model.trainable_variables) == 2 + 2 + 4 + 4 + 1
    assert_gradient_is_that_of_differences(model)


def test_dynamics_tighten_the_bound():
    model = build(momentum=True, leapfrog_steps=2, step_size=0.3, max_step_size=1.0, depth=0)
    assert_training_tightens_the_bound(model)


# Codes, saving and errors.


def test_codes_are_those_of_the_encoder():
    model = build()
    assert_allclose(model.embed(X), model.encoder(X).mean())
    assert_allclose(model.reconstruct(X), model.embed(X) @ WEIGHTS + BIAS, rtol=1e-5)


def test_saved_with_its_step_sizes(tmp_path):
    model = build(num_iterations=2, leapfrog_steps=3, momentum=True, step_size=0.2)
    assert_allclose(model.step_sizes.values(), np.full((2, 3, 2), 0.2), rtol=1e-5)
    model.step_sizes.logits.assign_add(np.arange(12.0).reshape(2, 3, 2) / 10)
    assert np.all(model.step_sizes.values() < 0.5)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert_allclose(loaded.log_weights(X, 3, SEED), model.log_weights(X, 3, SEED), rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(leapfrog_steps=0), "leapfrog_steps must be an int of at least 1. Received: leap.*=0"),
        (
            dict(num_iterations=-1),
            "num_iterations must be an int of at least 0.*num.*=-1",
        ),
        (dict(step_size=0.5), "between 0 and max_step_size. Received: step_size=0.5, max.*=0.5"),
    ],
)
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    "reverse, message",
    [
        (mlp_auxiliary((3,), 5), r"pairs \[x, z\] of shapes .*Received: a reverse of input shape"),
        (mlp_auxiliary((3,), 2, output_dim=4), r"velocities of shape \(2,\).*event shape \(4,\)"),
        (mlp_auxiliary((3,), 2, head=None), "Received: a reverse that returns EagerTensor"),
    ],
)
def test_reverse_that_does_not_fit(reverse, message):
    with pytest.raises(ValueError, match=message):
        HVI(*linear_model(), reverse)
