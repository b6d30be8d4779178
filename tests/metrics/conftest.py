"""A VAE whose likelihood, posterior and bounds are known exactly: all is linear and Gaussian."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.models.vae import VAE

tfd = tfp.distributions

SCALE = 0.5
BIAS = np.array([0.3, -0.2, 0.0, 0.1])
# Orthogonal columns, which make p(z|x) a diagonal normal; the third latent is unused.
WEIGHTS = np.array([[1.0, 0.4, 0.0], [1.0, -0.4, 0.0], [0.5, 0.0, 0.0], [0.0, 0.2, 0.0]])


class LinearGaussian:
    """z ~ N(0, I), x ~ N(WEIGHTS z + BIAS, SCALE^2 I).

    Attributes:
        exact: VAE with q(z|x) = p(z|x).
        rough: VAE with the same p(x, z), but means of q(z|x) off by a quarter, and scales by a
            third.
        p: p(x), a distribution of `scipy.stats`.
        x: float32 array, 300 draws from p(x), shape (300, 4).
        log_p: their log p(x).
    """

    def __init__(self):
        precision = 1 + np.sum(WEIGHTS**2, axis=0) / SCALE**2
        self.scale = precision**-0.5
        self.projection = (WEIGHTS / SCALE**2 / precision).T
        self.exact = self.vae(1.0, 1.0)
        self.rough = self.vae(0.75, 1.33)
        self.p = scipy.stats.multivariate_normal(BIAS, WEIGHTS @ WEIGHTS.T + SCALE**2 * np.eye(4))
        self.x = self.p.rvs(300, random_state=0).astype("float32")
        self.log_p = self.p.logpdf(self.x)
        covariance = WEIGHTS @ WEIGHTS.T / SCALE**2 + np.eye(4)
        self.mutual_information = 0.5 * np.linalg.slogdet(covariance)[1]

    def posterior(self, mean_factor=1.0, scale_factor=1.0):
        """q(z|x) of `vae` in closed form, of all of `x`."""
        loc = mean_factor * (self.x - BIAS) @ self.projection.T
        return tfd.MultivariateNormalDiag(loc, np.tile(scale_factor * self.scale, (len(loc), 1)))

    def elbo(self, mean_factor, scale_factor):
        """log p(x) - KL(q(z|x) || p(z|x)) of each example."""
        gap = self.posterior(mean_factor, scale_factor).kl_divergence(self.posterior())
        return self.log_p - gap.numpy()

    def vae(self, mean_factor, scale_factor):
        head = layers.IndependentNormal(3, scale_activation="exponential")
        encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), head])
        matrix = mean_factor * self.projection.T
        bias = [-BIAS @ matrix, np.log(scale_factor * self.scale)]
        encoder.set_weights([np.hstack([matrix, np.zeros((4, 3))]), np.concatenate(bias)])
        normal = layers.FixedScaleNormal((4,), scale=SCALE)
        decoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), normal])
        decoder.set_weights([WEIGHTS.T, BIAS])
        return VAE(encoder, decoder, seed=0)


@pytest.fixture(scope="session")
def linear_gaussian():
    return LinearGaussian()


@pytest.fixture(scope="session")
def binary_vae():
    """A VAE of 2 x 2 binary images with q(z|x) = p(z), so that w = p(x|z) is at most 1."""
    head = layers.IndependentNormal(2, scale_activation="exponential")
    flat = keras.layers.Flatten()
    zero = keras.layers.Dense(4, kernel_initializer="zeros")
    encoder = keras.Sequential([keras.Input((2, 2, 1)), flat, zero, head])
    pixels = layers.IndependentBernoulli((2, 2, 1))
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), pixels])
    kernel = [[1.0, -0.5, 2.0, 0.0], [0.3, 0.8, -1.0, 0.0]]
    decoder.set_weights([np.array(kernel), np.array([0.1, 0.2, -0.3, 0.5])])
    return VAE(encoder, decoder, seed=0)
