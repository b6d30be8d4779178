"""One module for each way to train the same models.

Each `with_*` has a function `train(recorder, network, epochs, images_path, **options)` that trains
the 784-512-512-20 network ("mlp") or the convolutional one ("conv") on MNIST with Adam, and tells
the recorder when training starts and when an epoch ends. Imports stay inside, so that each run
loads one framework only.

Each `steps_*` has a function `build(name, images, batch_size, ...)` that builds the model of a name
and returns a function `run(num_steps)`: it trains for so many batches with Adam, and returns the
mean loss over them. The sizes are those of `examples/benchmark_models.py`,
and for models that it does not have those below.
"""

import dataclasses
import time

import numpy as np

__all__ = [
    "BATCH_SIZE",
    "FLOW_WIDTH",
    "GAN_WIDTH",
    "LATENT_DIM",
    "LEARNING_RATE",
    "VQ_WIDTH",
    "Recorder",
    "in_range",
    "load_images",
    "value_range",
]

BATCH_SIZE = 128
LATENT_DIM = 20
LEARNING_RATE = 1e-3

# Of `steps_*`: filters of the networks of DCGAN, VQ-VAE and the flow over images.
GAN_WIDTH, VQ_WIDTH, FLOW_WIDTH = 32, 64, 8
_RANGES = {
    "dcgan": (-1, 1),
    "wgan-gp": (-1, 1),
    "vae-gan": (-1, 1),
    "image-flow": (0, 255),
}


@dataclasses.dataclass
class Recorder:
    """Times of the ends of epochs, in seconds, and mean losses, in nats per image."""

    times: list = dataclasses.field(default_factory=list)
    losses: list = dataclasses.field(default_factory=list)

    def start(self):
        """Called when everything is built and training begins."""
        self.times = [time.perf_counter()]

    def end_epoch(self, loss):
        """Called after each epoch."""
        self.times.append(time.perf_counter())
        self.losses.append(float(loss))

    def epoch_seconds(self):
        """Duration of each epoch."""
        return np.diff(self.times).tolist()


def load_images(path):
    """Float32 images in [0, 1], shape (60000, 28, 28, 1)."""
    return np.load(path).astype("float32") / 255


def value_range(name):
    """What the model of this name takes for the intensities 0 and 1."""
    return _RANGES.get(name, (0, 1))


def in_range(name, images):
    """Images in [0, 1] as the model of this name takes them."""
    low, high = value_range(name)
    return low + (high - low) * images
