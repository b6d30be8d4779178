"""Classifiers: accuracy, features by hand, one training per data set, damaged caches."""

import os
import pathlib
import random
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from tfgen import datasets, metrics

needs_data = pytest.mark.skipif(
    "TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR names no folder of prepared data sets"
)

BYTES = np.round(load_digits().images[..., None] * 255 / 16).astype("uint8")
IMAGES = BYTES.astype("float32") / 255
LABELS = load_digits().target
TRAIN, TEST = (IMAGES[:1400], LABELS[:1400]), (IMAGES[1400:], LABELS[1400:])


def train(cache_dir, *data, steps=40, **kwargs):
    return metrics.classifier(
        *(data or TRAIN), steps=steps, cache_dir=cache_dir, verbose=False, **kwargs
    )


def weights_equal(a, b):
    return all(map(np.array_equal, a.get_weights(), b.get_weights()))


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cached(shared_cache):
    return train(shared_cache)


@pytest.fixture
def no_training(monkeypatch):
    def fit(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(keras.Sequential, "fit", fit)


# What is learned.


@pytest.mark.parametrize("kind, accuracy", [("mlp", 0.87), ("conv", 0.87)])
def test_digits_are_learned(tmp_path, kind, accuracy):
    # Logistic regression has an accuracy of 0.907 on these images, whose writers are others.
    network = train(tmp_path, kind=kind, steps=200)
    loss, measured = network.evaluate(*TEST, verbose=0)
    outputs = metrics.classifier_outputs(network, TEST[0])
    assert measured >= accuracy
    np.testing.assert_allclose(
        np.mean(outputs.probabilities.argmax(axis=1) == TEST[1]), measured, atol=1e-6
    )
    right = outputs.probabilities[np.arange(len(TEST[1])), TEST[1]]
    np.testing.assert_allclose(-np.log(right).mean(), loss, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.real_data
@needs_data
@pytest.mark.parametrize("kind, accuracy", [("mlp", 0.954), ("conv", 0.99)])
def test_mnist_accuracy(tmp_path, kind, accuracy):
    train_data, _ = datasets.load("mnist", "train", labels=True)
    test_data, _ = datasets.load("mnist", "test", 1000, labels=True)
    network = metrics.classifier(train_data, kind=kind, cache_dir=tmp_path, verbose=False)
    assert network.evaluate(test_data, verbose=0)[1] >= accuracy


def test_mlp_outputs_by_hand(cached, shared_cache):
    network = train(shared_cache, 2 * TRAIN[0] - 1, TRAIN[1], value_range=(-1, 1))
    kernel, bias, last_kernel, last_bias = network.get_weights()
    features = np.maximum(IMAGES[:20].reshape(20, 64) @ kernel + bias, 0)
    logits = features @ last_kernel + last_bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    outputs = metrics.classifier_outputs(network, 2 * IMAGES[:20] - 1, batch_size=7)
    np.testing.assert_allclose(outputs.features, features, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        outputs.probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), atol=1e-6
    )


def test_global_policy_and_odd_sizes(tmp_path):
    images = np.random.default_rng(0).uniform(size=(30, 7, 5, 3))
    data = images, np.arange(30) % 2
    plain = train(tmp_path / "a", *data, kind="conv", steps=2)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = train(tmp_path / "b", *data, kind="conv", steps=2)
        outputs = metrics.classifier_outputs(mixed, images)
    finally:
        keras.config.set_dtype_policy("float32")
    assert weights_equal(plain, mixed)
    np.testing.assert_array_equal(
        outputs.probabilities, metrics.classifier_outputs(plain, images).probabilities
    )


# Once for each data set.


def as_dataset(images, labels):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(100)


@pytest.mark.parametrize(
    "data, value_range",
    [
        ((TRAIN[0][::-1], TRAIN[1][::-1]), (0, 1)),
        ((TRAIN[0].astype("float64"), TRAIN[1].astype("int32")), (0.0, 1.0)),
        ((2 * TRAIN[0] - 1, TRAIN[1]), (-1, 1)),
        ((BYTES[:1400], TRAIN[1]), (0, 255)),
        ((as_dataset(*TRAIN),), (0, 1)),
    ],
    ids=["order", "types", "range", "bytes", "pipeline"],
)
def test_the_same_data_are_not_trained_on_again(
    cached, shared_cache, no_training, data, value_range
):
    assert weights_equal(train(shared_cache, *data, value_range=value_range), cached)


def test_images_are_judged_alike_in_any_range(cached, shared_cache):
    signed = train(shared_cache, 2 * TRAIN[0] - 1, TRAIN[1], value_range=(-1, 1))
    a = metrics.classifier_outputs(cached, TEST[0])
    b = metrics.classifier_outputs(signed, 2 * TEST[0] - 1)
    np.testing.assert_allclose(a.features, b.features, atol=1e-5)
    np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)


def changed(array):
    array = array.copy()
    array.flat[0] += 1 if array.dtype.kind == "i" else 0.25
    return array


@pytest.mark.parametrize(
    "data, settings",
    [
        ((changed(TRAIN[0]), TRAIN[1]), {}),
        ((TRAIN[0], changed(TRAIN[1])), {}),
        ((TRAIN[0][:-1], TRAIN[1][:-1]), {}),
        (TRAIN, {"seed": 1}),
        (TRAIN, {"steps": 41}),
        (TRAIN, {"batch_size": 64}),
        (TRAIN, {"kind": "conv"}),
    ],
    ids=["pixel", "label", "fewer", "seed", "steps", "batch_size", "kind"],
)
def test_other_data_or_settings_are_trained_on(cached, shared_cache, data, settings, no_training):
    with pytest.raises(AssertionError, match="trained again"):
        train(shared_cache, *data, **settings)


def test_weights_follow_from_the_seed_alone(tmp_path):
    def states():
        return random.getstate(), repr(np.random.get_state())

    tf.random.set_seed(1)
    drawn = tf.random.uniform((3,)).numpy()
    tf.random.set_seed(1)
    before = states()
    first = train(tmp_path / "a")
    assert states() == before
    np.testing.assert_array_equal(tf.random.uniform((3,)), drawn)
    keras.utils.set_random_seed(2)
    second = train(tmp_path / "b")
    assert weights_equal(first, second)
    assert not weights_equal(first, train(tmp_path / "a", seed=1))


def test_order_covers_every_example_once_an_epoch():
    from tfgen.metrics.classifier import _training_data

    levels, labels = np.arange(10, dtype="uint16").reshape(10, 1, 1, 1), np.arange(10)
    batches = list(_training_data(levels, labels, steps=5, batch_size=4, seed=0))
    assert [len(seen) for _, seen in batches] == [4] * 5
    seen = np.concatenate([labels for _, labels in batches])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert list(seen[:10]) != list(seen[10:])
    pixels = np.concatenate([images for images, _ in batches]).ravel()
    np.testing.assert_allclose(pixels, seen / 65535, rtol=1e-6)


# The cache on disk.


def without_last_array(path):
    with np.load(path) as file:
        arrays = list(file.values())
    np.savez(path, *arrays[:-1])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[1000] ^= 1  # Inside the first array.
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "garbage": lambda path: path.write_bytes(b"garbage"),
    "bit": flip_a_bit,
    "no entry": without_last_array,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_refused(cached, shared_cache, tmp_path, damage):
    train(shared_cache)
    (path,) = shared_cache.glob("mlp_*")
    path = pathlib.Path(shutil.copy(path, tmp_path))
    DAMAGES[damage](path)
    with pytest.raises(ValueError, match=f"^{path} is damaged. .*Delete it and call again"):
        train(tmp_path)
    path.unlink()
    assert weights_equal(cached, train(tmp_path))


def test_an_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(path, *arrays):
        path.write_bytes(b"half of")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFGEN_CACHE_DIR", str(tmp_path / "named"))
    train(None, steps=1)
    monkeypatch.delenv("TFGEN_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    train(None, steps=1)
    (named,), (default,) = (
        list((tmp_path / folder).iterdir()) for folder in ("named", ".cache/tfgen")
    )
    assert named.name == default.name
    assert named.name.startswith("mlp_classifier_")


def test_progress_bar(tmp_path, capsys):
    metrics.classifier(*TRAIN, steps=3, cache_dir=tmp_path)
    assert "3/3" in capsys.readouterr().out
    train(tmp_path / "quiet", steps=3)
    assert capsys.readouterr().out == ""


# Errors.


@pytest.mark.parametrize(
    "images, labels, kwargs, message",
    [
        (*TRAIN, {"kind": "tree"}, r"kind must be one of \['mlp', 'conv'\]. Received: kind='tree'"),
        (*TRAIN, {"value_range": (1, 0)}, r"low < high. Received: value_range=\(1, 0\)"),
        (*TRAIN, {"steps": 0}, "at least 1. Received: steps=0"),
        (*TRAIN, {"batch_size": 0}, "at least 1. Received: batch_size=0"),
        (*TRAIN, {"batch_size": 10**10}, "batch_size must be .*at most .*Received: batch_size=1"),
        (*TRAIN, {"steps": 10**10}, "steps must be .*at most .*Received: steps=10000000000"),
        (*TRAIN, {"steps": "x"}, "steps must be an int.*Received: steps='x'"),
        (*TRAIN, {"seed": -1}, "seed must be an int of at least 0. Received: seed=-1"),
        (*TRAIN, {"value_range": (0, np.inf)}, "finite numbers.*Received: value_range="),
        ("x", TRAIN[1], {}, "images must be an array of numbers.*Received: str"),
        ([object()], TRAIN[1], {}, "images must be an array of numbers.*Received: list"),
        (None, TRAIN[1], {}, r"Received: shape \(\)"),
        (TRAIN[0], np.full(1400, "x"), {}, "labels must be one int.*Received: <U1"),
        (TRAIN[0][..., 0], TRAIN[1], {}, r"Received: shape \(1400, 8, 8\)"),
        (2 * TRAIN[0] - 1, TRAIN[1], {}, r"value_range=\(0.0, 1.0\). Received: values from -1 to"),
        (TRAIN[0] * np.nan, TRAIN[1], {}, "finite. Received: NaN"),
        (TRAIN[0], TRAIN[1][:5], {}, r"1400 images.*Received: int64 of shape \(5,\)"),
        (TRAIN[0], TRAIN[1] * 1.0, {}, "labels must be one int.*Received: float64"),
        (TRAIN[0], TRAIN[1] * 0, {}, "at least 2 classes. Received: int64"),
        (TRAIN[0], TRAIN[1] - 1, {}, "from 0 on.*Received: int64"),
        (TRAIN[0], None, {}, r"labels must be one int.*Received: object of shape \(\)"),
        (tf.data.Dataset.from_tensors(TRAIN[0]), None, {}, "Load it with labels=True"),
    ],
)
def test_unusable_arguments(tmp_path, images, labels, kwargs, message):
    with pytest.raises(ValueError, match=message):
        metrics.classifier(images, labels, cache_dir=tmp_path, verbose=False, **kwargs)


@pytest.mark.parametrize("cache_dir", ["", 3, b"x"])
def test_unusable_folders(cache_dir):
    with pytest.raises(ValueError, match="cache_dir must be a path.*Received: cache_dir="):
        metrics.classifier(*TRAIN, cache_dir=cache_dir, verbose=False)


def test_verbose_is_true_or_false(tmp_path):
    with pytest.raises(ValueError, match="Received: verbose='loud'"):
        metrics.classifier(*TRAIN, cache_dir=tmp_path, verbose="loud")


def test_unusable_images_and_networks(cached):
    with pytest.raises(ValueError, match="batch_size must be an int of at least 1. Received"):
        metrics.classifier_outputs(cached, IMAGES[:5], batch_size=0)
    with pytest.raises(ValueError, match="network must be a keras.Model. Received: None"):
        metrics.classifier_outputs(None, IMAGES[:5])
    with pytest.raises(ValueError, match="images must be an array of numbers"):
        metrics.classifier_outputs(cached, "x")
    with pytest.raises(ValueError, match=r"of shape \(8, 8, 1\). Received: .* \(3, 28, 28, 1\)"):
        metrics.classifier_outputs(cached, np.zeros((3, 28, 28, 1)))
    with pytest.raises(ValueError, match=r"value_range=\(0.0, 1.0\). Received: values from -1 to"):
        metrics.classifier_outputs(cached, 2 * IMAGES[:5] - 1)
    other = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(name="flat")])
    with pytest.raises(ValueError, match=r"name \"features\". Received: layers \['flat'\]"):
        metrics.classifier_outputs(other, IMAGES[:5])
