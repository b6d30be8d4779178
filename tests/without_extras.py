"""What must work after a bare `pip install .`: run by .ci/run, in an environment without extras.

python tests/without_extras.py
"""

import importlib
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np

from tfgen import callbacks, datasets, layers, metrics, models, networks

# A name of each optional area, the package that it needs, and the extra that brings it.
EXTRAS = {
    "matplotlib": ("plot", lambda model: importlib.import_module("tfgen.plotting").samples(model)),
    "keras_tuner": ("tuning", lambda model: importlib.import_module("tfgen.tuning").search),
    "sklearn": ("data", lambda model: datasets.load("digits", "train")),
    "tensorflow_datasets": ("data", lambda model: datasets.load("mnist", "train")),
}
# docs/installation.md promises it: a second of processor time beside TensorFlow's and TFP's.
IMPORT = """
import time, tensorflow, tensorflow_probability
start = time.process_time()
import tfgen
print(time.process_time() - start)
"""


def check_import():
    """Importing tfgen takes less than a second beyond what it needs."""
    run = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    seconds = float(run.stdout)
    print(f"import tfgen: {seconds:.2f} s beyond TensorFlow and TensorFlow Probability")
    assert seconds < 1, seconds


def train(folder):
    """A small VAE through what training uses."""
    x = (np.random.default_rng(0).random((64, 8, 8, 1)) < 0.5).astype("float32")
    encoder = networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16)
    decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16)
    model = models.BetaVAE(encoder, decoder, prior=layers.StandardNormal(2), seed=0)
    model.compile(keras.optimizers.Adam(1e-3))
    warm_up = callbacks.KLWarmUp(num_steps=4)
    history = model.fit(x, batch_size=16, epochs=2, verbose=0, callbacks=[warm_up]).history
    assert np.isfinite(history["loss"]).all()
    model.save(folder / "vae.keras")
    again = keras.models.load_model(folder / "vae.keras")
    assert np.array_equal(again.sample(3, seed=0), model.sample(3, seed=0))
    assert np.isfinite(metrics.importance_sampled_nll(model, x, num_samples=4, verbose=False).nll)
    dataset, info = datasets.load(x, batch_size=16)
    assert info.image_shape == (8, 8, 1)
    return model


def check_message(package, extra, use, model):
    """A missing package is named with the extra that brings it."""
    try:
        use(model)
    except ImportError as error:
        assert f"pip install 'tfgen[{extra}]'" in str(error), error
    else:
        raise AssertionError(f"nothing said that {package} is missing")


def main():
    check_import()
    with tempfile.TemporaryDirectory() as folder:
        model = train(pathlib.Path(folder))
    for package, (extra, use) in EXTRAS.items():
        assert importlib.util.find_spec(package) is None, f"{package} is installed"
        check_message(package, extra, use, model)
    print("works without extras, and says which are missing")


if __name__ == "__main__":
    main()
