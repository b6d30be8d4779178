"""Damage of files that Keras saved is found before Keras reads them."""

import inspect
import json
import random

import h5py
import keras
import numpy as np
import pytest

from tfgen._utils.saved_files import add_checksum, check_saved_file


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])


@pytest.fixture
def weights(model, tmp_path):
    """Path of its weights, with a checksum."""
    path = tmp_path / "dense.weights.h5"
    model.save_weights(path)
    add_checksum(path)
    return path


def damaged(path):
    return pytest.raises(ValueError, match=rf"{path.name} is not complete.*Received: \d+ bytes")


def test_keras_reads_files_with_a_checksum(model, weights):
    check_saved_file(weights)
    before = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in before])
    model.load_weights(weights)
    assert all(map(np.array_equal, model.get_weights(), before))


def test_any_bit_in_front_of_the_checksum(weights):
    content = bytearray(weights.read_bytes())
    end = content.index(b"tfgen crc32")
    for bit in random.Random(0).sample(range(8 * end), 100):
        content[bit // 8] ^= 1 << bit % 8
        weights.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        with damaged(weights):
            check_saved_file(weights)


@pytest.mark.parametrize("with_checksum", [True, False])
@pytest.mark.parametrize("kept", [0, 7, 100, 5000])
def test_cut_weights(model, weights, with_checksum, kept):
    if not with_checksum:
        model.save_weights(weights)
        check_saved_file(weights)
    weights.write_bytes(weights.read_bytes()[:kept])
    with damaged(weights):
        check_saved_file(weights)


def test_weights_that_others_wrote(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["a/b"], file["c"] = np.ones(3), "text"
    check_saved_file(path)


@pytest.mark.skipif(
    "max_shard_size" not in inspect.signature(keras.Model.save_weights).parameters,
    reason="Keras before 3.10 writes one file",
)
def test_shards(model, tmp_path):
    path = tmp_path / "dense.weights.json"
    model.save_weights(path, max_shard_size=25e-9)
    check_saved_file(path)
    shards = {
        n
        for names in json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
        for n in names
    }
    assert len(shards) > 1
    shard = tmp_path / max(shards)
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"dense.weights.json is not complete.*{shard.name}"):
        check_saved_file(path)
    path.write_text("{")
    with damaged(path):
        check_saved_file(path)


def test_what_is_not_looked_at(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder.keras").mkdir()
    for name in ("notes.txt", "folder.keras"):
        check_saved_file(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: '.*none\.weights\.h5'"):
        check_saved_file(tmp_path / "none.weights.h5")
