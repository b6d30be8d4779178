"""Files that hold no model of tfgen are named as what they are."""

import keras
import pytest

from tfgen import models, networks

SHAPE = (4, 4, 1)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No model at .*none\.keras"):
        models.load_model(tmp_path / "none.keras")


def test_truncated_file(tmp_path):
    path = tmp_path / "vae.keras"
    models.VAE(networks.mlp_encoder(SHAPE, 2), networks.mlp_decoder(SHAPE, 2)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a complete .keras file: it is truncated"):
        models.load_model(path)


def test_another_kind_of_file(tmp_path):
    path = tmp_path / "notes.keras"
    path.write_text("not a model")
    with pytest.raises(ValueError, match="Received: 11 bytes that are no zip archive"):
        models.load_model(path)


def test_another_kind_of_model(tmp_path):
    path = tmp_path / "dense.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(ValueError, match="Received: Sequential"):
        models.load_model(path)
