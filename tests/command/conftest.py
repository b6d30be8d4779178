"""A folder to run commands in, and a small trained model."""

import matplotlib.pyplot as plt
import pytest

from tfgen.command import main

SMALL = ["--train-split", "train[:128]", "--test-split", "test[:64]"]
TRAIN = ["train", "vae", *SMALL, "--epochs", "2", "--latent-dim", "3"]


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """Files go to a folder of the test; variables that the command sets are taken back."""
    monkeypatch.chdir(tmp_path)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "MPLBACKEND"):
        monkeypatch.setenv(name, {"MPLBACKEND": "Agg"}.get(name, "2"))
    yield tmp_path
    plt.close("all")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder of a run of two epochs; tests only read it."""
    folder = tmp_path_factory.mktemp("run") / "vae"
    assert main([*TRAIN, "--output-dir", str(folder)]) == 0
    return folder
