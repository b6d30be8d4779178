"""Writes tiny models of this version, and what they return, for later versions to load.

    python tests/models/saved/write.py

Run once at a release, with the lowest versions of setup.cfg, since an older Keras cannot read the
files of a newer one; `test_saved_files.py` loads the files of every version from then on. A folder
that is there is never written again.
"""

import pathlib
import sys
import tempfile
import zipfile

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parents[1] / "benchmarks"))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from same_weights import BUILDERS, data  # noqa: E402

import tfgen  # noqa: E402
from tfgen import models  # noqa: E402

NAMES = [name for name in BUILDERS if "," not in name]  # A model of each class.
BATCH_SIZE = 16


def batch(step):
    """Examples of one training step."""
    return data()[0][step * BATCH_SIZE : (step + 1) * BATCH_SIZE]


def train(model, step):
    """One step; its logs."""
    x = batch(step)
    history = model.fit(x, batch_size=BATCH_SIZE, shuffle=False, verbose=0).history
    return {name: values[0] for name, values in history.items()}


def outputs(model):
    """What the model returns, by name."""
    x = batch(0)
    found = {"sample": model.sample(3, seed=0)}
    if hasattr(model, "reconstruct"):
        found["reconstruct"] = model.reconstruct(x)
    if isinstance(model, models.VAE | models.NormalizingFlow | models.MixtureEM):
        found["log_weights"] = model.log_weights(x, 2, [0, 1])
    return {name: np.asarray(value) for name, value in found.items()}


def go_on(model):
    """Logs of two more steps; those of the second follow from the optimizers' state."""
    logs = {1: train(model, 1), 2: train(model, 2)}
    return {f"step {step}, {key}": value for step in logs for key, value in logs[step].items()}


def build(name):
    """A model after one step."""
    keras.utils.set_random_seed(0)
    model = BUILDERS[name]()
    if not isinstance(model, models.MixtureEM):
        model.compile(keras.optimizers.Adam(1e-2))
    train(model, 0)
    return model


def compress(source, target):
    """The same archive; Keras stores its files as they are."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def main():
    folder = FOLDER / tfgen.__version__
    folder.mkdir()
    for name in NAMES:
        model = build(name)
        with tempfile.TemporaryDirectory() as temporary:
            path = pathlib.Path(temporary, "model.keras")
            model.save(path)
            compress(path, folder / f"{name}.keras")
        expected = outputs(model)
        np.savez_compressed(folder / f"{name}.npz", **expected, **go_on(model))


if __name__ == "__main__":
    main()
