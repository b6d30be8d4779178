"""A model whose images can be read back, and figures that do not outlive their test."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")


class ReadableModel:
    """Writes 0.5 + 0.1 z into the first pixels of a 3 x 4 image, and reads it back."""

    def __init__(self, latent_dim, channels=1):
        self.latent_shape = (latent_dim,)
        self.image_shape = (3, 4, channels)

    def generate(self, z):
        z = np.asarray(z)
        pixels = np.zeros((len(z), np.prod(self.image_shape)), "float32")
        pixels[:, : z.shape[1]] = 0.5 + 0.1 * z
        return pixels.reshape(-1, *self.image_shape)

    def embed(self, x):
        pixels = np.reshape(x, (len(x), -1))[:, : self.latent_shape[0]]
        return (pixels - 0.5) / 0.1

    def reconstruct(self, x):
        return self.generate(self.embed(x))

    def sample(self, num_samples, seed=None, mean=True):
        images = self.generate(np.random.default_rng(seed).normal(size=(num_samples, 2)))
        return images if mean else np.round(images)

    def traverse(self, x=None, dims=None, values=None):
        z = np.zeros(self.latent_shape) if x is None else self.embed(x[None])[0]
        rows = np.tile(z, (len(dims), len(values), 1))
        for row, dim in zip(rows, dims, strict=True):
            row[:, dim] = values
        return np.stack([self.generate(row) for row in rows])

    def interpolate(self, start, end, num_steps):
        lines = np.linspace(self.embed(start), self.embed(end), num_steps, axis=1)
        return np.stack([self.generate(line) for line in lines])


@pytest.fixture
def make_model():
    return ReadableModel


@pytest.fixture
def tile():
    """Reads the image at a row and column out of a grid of 3 x 4 images with gaps of 1."""

    def read(axes, row, column):
        grid = np.asarray(axes.images[0].get_array())
        return grid[row * 4 : row * 4 + 3, column * 5 : column * 5 + 4]

    return read


@pytest.fixture
def texts():
    """The texts of tick labels."""
    return lambda labels: [label.get_text() for label in labels]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    matplotlib.pyplot.close("all")
