"""Images per second of the default VAE, printed; beside PyTorch where that has the GPU too."""

import importlib.util
import pathlib
import sys
import time

import keras
import numpy as np
import pytest

from tfgen import models, networks

sys.path.append(str(pathlib.Path(__file__).parents[1] / "benchmarks"))

from contenders import BATCH_SIZE as BATCH  # noqa: E402

pytestmark = pytest.mark.gpu

NUM_IMAGES, LATENT_DIM, EPOCHS = 60_000, 10, 4


@pytest.fixture(scope="module")
def digits():
    """60,000 images of 28 x 28 values in {0, 1}: rectangles, from memory."""
    rng = np.random.default_rng(0)
    ends = np.sort(rng.integers(0, 28, size=(2, NUM_IMAGES, 2)), axis=2)
    rows, columns = ((np.arange(28) >= e[:, :1]) & (np.arange(28) <= e[:, 1:]) for e in ends)
    return (rows[:, :, None, None] & columns[:, None, :, None]).astype("float32")


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch but the first, in which things are compiled."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += [time.perf_counter() - self.start] * (epoch > 0)


def with_tfgen(x, **options):
    """Images per second and the last loss."""
    shape, clock = x.shape[1:], Clock()
    encoder = networks.mlp_encoder(shape, LATENT_DIM)
    model = models.VAE(encoder, networks.mlp_decoder(shape, LATENT_DIM), seed=0)
    model.compile(keras.optimizers.Adam(1e-3), **options)
    logs = model.fit(x, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[clock]).history
    return len(x) * len(clock.seconds) / sum(clock.seconds), logs["loss"][-1]


def with_torch(x, where):
    """As `with_tfgen`, with the images on the device from the start, which is PyTorch's best."""
    import torch
    from contenders import torch_networks as parts
    from contenders.with_torch import negative_elbo, train_epoch

    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().to(where)
    encoder = parts.mlp_encoder(2 * LATENT_DIM, 512, 512).to(where)
    decoder = parts.mlp_decoder(LATENT_DIM, 512, 512).to(where)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer, seconds = torch.optim.Adam(parameters, lr=1e-3, fused=True), []
    for epoch in range(EPOCHS):
        start = time.perf_counter()
        loss = train_epoch(images, lambda batch: negative_elbo(encoder, decoder, batch), optimizer)
        mean = float(loss)  # Waits for the device.
        seconds += [time.perf_counter() - start] * (epoch > 0)
    return len(x) * len(seconds) / sum(seconds), mean


def torchs_device(device):
    """The GPU by PyTorch's name, or None.

    On a CPU the threads of both libraries would be in each other's way: tests/benchmarks is for it.
    """
    if device.startswith("CPU") or importlib.util.find_spec("torch") is None:
        return None
    import torch

    return device.replace("GPU", "cuda") if torch.cuda.is_available() else None


def test_speed_of_the_default_vae(device, on_device, digits, capsys):
    runs = {
        "tfgen": with_tfgen(digits),
        "tfgen, jit_compile=False": with_tfgen(digits, jit_compile=False),
    }
    if where := torchs_device(device):
        runs[f"PyTorch on {where}"] = with_torch(digits, where)
    with capsys.disabled():
        print(f"\nVAE of two times two layers of 512 units, batches of {BATCH}, {device}:")
        for name, (speed, loss) in runs.items():
            print(f"  {name}: {speed:,.0f} images/s, loss {loss:.1f} nats after {EPOCHS} epochs")
    losses = [loss for _, loss in runs.values()]
    # The same model and data: 784 ln 2 = 543 nats before training.
    assert max(losses) < 300 and max(losses) / min(losses) < 1.2, runs
