"""A stand-in for a model in training, and a small real one."""

import keras
import matplotlib
import numpy as np
import pytest

import tfgen

matplotlib.use("Agg")

IMAGE_SHAPE = (8, 8, 1)


class FakeModel:
    """A model with a step count, a beta and a capacity that callbacks may set."""

    def __init__(self, beta=4.0, capacity=0.0):
        self.steps = keras.Variable(0, dtype="int64", trainable=False)
        self.beta = keras.Variable(beta, dtype="float32", trainable=False)
        self.capacity = keras.Variable(capacity, dtype="float32", trainable=False)
        self.config = {"beta": beta, "capacity": capacity}
        self.seeds = []

    def get_config(self):
        return self.config

    def sample(self, num_samples, seed=None, mean=True):
        self.seeds.append(seed)
        pixels = np.random.default_rng(seed).uniform(size=(num_samples, *IMAGE_SHAPE))
        return pixels if mean else np.round(pixels)


@pytest.fixture
def fake_model():
    return FakeModel()


@pytest.fixture
def make_beta_vae():
    """Makes equal small models."""

    def make(steps_per_execution=1, **kwargs):
        networks = tfgen.networks
        encoder = networks.mlp_encoder(IMAGE_SHAPE, latent_dim=2, width=8)
        decoder = networks.mlp_decoder(IMAGE_SHAPE, latent_dim=2, width=8)
        model = tfgen.models.BetaVAE(encoder, decoder, seed=0, **kwargs)
        model.compile("adam", steps_per_execution=steps_per_execution)
        return model

    return make


@pytest.fixture
def images():
    """32 images, four batches of eight."""
    return np.random.default_rng(0).uniform(size=(32, *IMAGE_SHAPE)).astype("float32")
