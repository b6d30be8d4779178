"""Files that hold no whole model of tfgen are named as what they are."""

import json
import pathlib
import random
import shutil
import zipfile

import keras
import numpy as np
import pytest

from tfgen import models, networks

SHAPE = (4, 4, 1)


def build():
    return models.VAE(networks.mlp_encoder(SHAPE, 2), networks.mlp_decoder(SHAPE, 2))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model, and its file."""
    model, path = build(), tmp_path_factory.mktemp("saved") / "vae.keras"
    model.save(path)
    return model, path


def equal(a, b):
    return all(map(np.array_equal, a.get_weights(), b.get_weights()))


@pytest.mark.parametrize("as_path", [str, pathlib.Path])
def test_whole_file(saved, as_path):
    model, path = saved
    assert equal(models.load_model(as_path(path)), model)


def test_folder(saved, tmp_path):
    saved[0].save(tmp_path / "vae", zipped=False)
    assert equal(models.load_model(tmp_path / "vae"), saved[0])


def test_addresses_go_to_keras(monkeypatch):
    model, asked = build(), []

    def load_model(filepath, **kwargs):
        asked.append((filepath, kwargs))
        return model

    monkeypatch.setattr("keras.models.load_model", load_model)
    assert models.load_model("hf://user/vae", compile=False) is model
    assert asked == [("hf://user/vae", {"compile": False})]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file. Received: filepath=.*none\.keras"):
        models.load_model(tmp_path / "none.keras")


@pytest.mark.parametrize("keep", [0, 4, 0.5, -1])
def test_truncated_file(saved, tmp_path, keep):
    path, content = tmp_path / "vae.keras", saved[1].read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"vae\.keras is not complete: it is truncated.*Received"):
        models.load_model(path)


def test_a_flipped_bit_is_named_or_changes_nothing(saved, tmp_path):
    """Bits that change nothing are those of the archive's times and attributes."""
    model, whole = saved
    path, content, damaged = tmp_path / "vae.keras", bytearray(whole.read_bytes()), 0
    for bit in random.Random(0).sample(range(8 * len(content)), 12):
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        try:
            assert equal(models.load_model(path), model)
        except ValueError as error:
            assert str(path) in str(error) and "damaged" in str(error)
            damaged += 1
    assert damaged >= 10


@pytest.mark.parametrize(
    "config, message",
    [
        (None, r"not complete.*no item named 'config\.json'"),
        (b"garbage", r"not complete.*JSONDecodeError"),
        (b"[]", r"not complete.*config\.json names no class"),
        (b'{"class_name": 3}', "No model could be made of .*Received: ValueError"),
        (
            json.dumps({"class_name": "None", "config": {}, "registered_name": "x>None"}).encode(),
            "No model could be made of .*Received: TypeError: Could not locate class 'None'"
            "(.|\n)*Import what defines its classes",
        ),
    ],
)
def test_missing_or_strange_config(saved, tmp_path, config, message):
    path = tmp_path / "vae.keras"
    with zipfile.ZipFile(saved[1]) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            content = config if name == "config.json" else whole.read(name)
            if content is not None:
                archive.writestr(name, content)
    with pytest.raises(ValueError, match=message):
        models.load_model(path)


def test_another_kind_of_file(saved, tmp_path):
    path = tmp_path / "notes.keras"
    path.write_text("not a model")
    with pytest.raises(ValueError, match="another format. Received: 11 bytes"):
        models.load_model(path)
    shutil.copy(saved[1], tmp_path / "vae.zip")
    with pytest.raises(ValueError, match=r"Expected a \.keras file.*Received: .*vae\.zip"):
        models.load_model(tmp_path / "vae.zip")


def test_another_kind_of_model(tmp_path):
    path = tmp_path / "dense.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(ValueError, match="Received: Sequential"):
        models.load_model(path)
