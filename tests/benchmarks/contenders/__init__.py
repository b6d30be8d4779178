"""One module for each way to train the same VAE.

Each has a function `train(recorder, network, epochs, images_path, **options)` that trains the
784-512-512-20 network ("mlp") or the convolutional one ("conv") on MNIST with Adam, and tells the
recorder when training starts and when an epoch ends. Imports stay inside, so that each run loads
one framework only.
"""

import dataclasses
import time

import numpy as np

__all__ = ["BATCH_SIZE", "LATENT_DIM", "LEARNING_RATE", "Recorder", "load_images"]

BATCH_SIZE = 128
LATENT_DIM = 20
LEARNING_RATE = 1e-3


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
