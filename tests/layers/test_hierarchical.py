"""Levels of latent variables: densities by hand, draws from the density that is scored."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers
from tfgen.layers.hierarchical import HierarchicalNormal

SIZES = (3, 2, 1)


def linear(above, size, seed):
    """p(z|above) = N(W above + b, s), with s free of `above`, so that z is normal."""
    return keras.Sequential(
        [
            keras.Input((above,)),
            keras.layers.Dense(
                2 * size,
                kernel_initializer=keras.initializers.Constant(
                    np.hstack(
                        [
                            np.random.default_rng(seed).normal(size=(above, size)),
                            np.zeros((above, size)),
                        ]
                    )
                ),
                bias_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=seed),
            ),
            layers.IndependentNormal(size),
        ]
    )


@pytest.fixture(scope="module")
def prior():
    return HierarchicalNormal([linear(2, 3, seed=1), linear(1, 2, seed=2)])


def moments(prior):
    """Mean and covariance of z = (z_1, z_2, z_3), from z_3 down, in NumPy."""
    mean, covariance = np.zeros(1), np.eye(1)
    above = slice(0, 1)
    for network in reversed(prior.networks):
        kernel, bias = network.get_weights()[:2]
        size = len(bias) // 2
        weights = np.zeros((size, len(mean)))
        weights[:, above] = kernel[:, :size].T
        variance = np.diag(np.log1p(np.exp(bias[size:])) ** 2)
        cross = weights @ covariance
        covariance = np.block([[cross @ weights.T + variance, cross], [cross.T, covariance]])
        mean = np.concatenate([weights @ mean + bias[:size], mean])
        above = slice(0, size)
    return mean, covariance


def test_density_of_linear_levels_is_a_normal_one(prior):
    z = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")
    mean, covariance = moments(prior)
    error = z - mean
    distances = np.einsum("...i,ij,...j", error, np.linalg.inv(covariance), error)
    expected = -0.5 * (distances + np.linalg.slogdet(2 * np.pi * covariance)[1])
    p = prior.as_distribution()
    assert p.event_shape == (6,)
    assert p.batch_shape == ()
    # Float32 rounding of squares up to about 100.
    assert_allclose(p.log_prob(z), expected, rtol=1e-5, atol=1e-4)
    assert_allclose(p.mean(), mean, rtol=1e-5, atol=1e-6)


def test_draws_have_the_moments_of_the_density(prior):
    mean, covariance = moments(prior)
    num = 40_000
    z = prior.as_distribution().sample((2, num // 2), seed=[0, 1]).numpy().reshape(num, 6)
    deviations = np.sqrt(np.diag(covariance))
    # 5 standard errors of a mean; of a covariance, with Var(xy) <= 2 Var(x) Var(y).
    assert np.all(np.abs(z.mean(0) - mean) < 5 * deviations / np.sqrt(num))
    error = np.abs(np.cov(z.T) - covariance) / np.outer(deviations, deviations)
    assert np.all(error < 5 * np.sqrt(2 / num))


def test_draws_are_repeatable_and_levels_have_seeds_of_their_own(prior):
    p = prior.as_distribution()
    assert_array_equal(p.sample(3, seed=[1, 2]), p.sample(3, seed=[1, 2]))
    noise = p.sample(1000, seed=[1, 2]).numpy()
    z_2 = noise[:, 3:5] - moments(prior)[0][3:5]
    residual = z_2[:, 0] - np.polyval(np.polyfit(noise[:, 5], z_2[:, 0], 1), noise[:, 5])
    correlation = np.corrcoef(residual, noise[:, 5])[0, 1]
    assert residual.std() > 0.1
    assert abs(correlation) < 1e-3


def test_save_and_load(prior, reloaded):
    @keras.saving.register_keras_serializable("test")
    class Holder(keras.Model):
        def __init__(self, prior, **kwargs):
            super().__init__(**kwargs)
            self.prior = prior
            self.built = True

        def get_config(self):
            return {"prior": keras.saving.serialize_keras_object(self.prior)}

        @classmethod
        def from_config(cls, config):
            return cls(keras.saving.deserialize_keras_object(config["prior"]))

    changed = HierarchicalNormal([linear(2, 3, seed=3), linear(1, 2, seed=4)])
    changed.set_weights([2 * weight for weight in changed.get_weights()])
    z = np.ones((1, 6), "float32")
    expected = changed.as_distribution().log_prob(z)
    assert_array_equal(reloaded(Holder(changed)).prior.as_distribution().log_prob(z), expected)


def test_networks_that_do_not_follow_each_other():
    with pytest.raises(ValueError, match="Received: 2 networks of input shapes.*ladder_prior"):
        HierarchicalNormal([linear(3, 2, seed=0), linear(1, 2, seed=0)])
    with pytest.raises(ValueError, match="a network for each level.*Received: 0 networks"):
        HierarchicalNormal([])


def test_gradients_pass_through_all_levels(prior):
    with tf.GradientTape() as tape:
        z = prior.as_distribution().sample(7, seed=[0, 1])
        target = tf.reduce_sum(z[:, 0])
    gradients = tape.gradient(target, [v.value for v in prior.trainable_variables])
    assert all(np.any(gradient.numpy() != 0) for gradient in gradients)
