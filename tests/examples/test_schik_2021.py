"""The parts of Schik's script that its smoke run cannot show to be right."""

import argparse
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import datasets, metrics, models


@pytest.fixture
def schik(load_script):
    return load_script("schik_2021_vae_overview")


@pytest.fixture
def sprites(load_script):
    return load_script("schik_sprites")


class FactorModel:
    """Its codes are the factors themselves: the pictures' first five pixels."""

    def encode(self, x):
        loc = tf.reshape(x, (len(x), -1))
        return tfp.distributions.Independent(tfp.distributions.Normal(loc, 0.01), 1)


def test_shape_is_left_out_of_the_authors_gap(sprites):
    factors = datasets.sprites.factors_of(np.random.default_rng(0).integers(737_280, size=3000))
    codes = tf.cast(factors, tf.float32).numpy()
    codes[:, 0] = 0.0  # The shape is lost, each other factor has a dimension of its own.
    data = tf.data.Dataset.from_tensor_slices((codes, factors)).batch(1000)
    found = sprites.mig_of_four_factors(FactorModel(), data)
    alone = metrics.mig_by_samples(codes, np.full_like(codes, 0.01), factors)
    assert found["mig_4"] == pytest.approx(alone.gaps[1:].mean(), rel=1e-6)
    assert found["mig_4"] > 0.9 > 0.8 > alone.mig
    assert set(found) == {"mig_4", *(f"gap_{name}" for name in datasets.sprites.FACTOR_NAMES[1:])}


def test_strongest_dimensions(schik):
    weights = np.diag([1.0, 3.0, 0.0, -2.0]).astype("float32")
    decoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, use_bias=False)])
    decoder.layers[0].set_weights([weights])
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    model = models.AE(encoder, decoder)
    assert schik.strongest_dimensions(model, np.zeros(4, "float32"), 3) == [1, 3, 0]


def test_pairs_differ_in_one_factor(sprites, monkeypatch):
    """Of 100 pairs; that the new value of the factor is the old one has a probability of 0.12."""
    run = sprites.paper_script.Run(
        argparse.Namespace(smoke=True, sprites_size=None), pathlib.Path(), seed=0
    )
    _, factors = next(iter(sprites.load_sprites(run, "train", labels=True)[0]))
    monkeypatch.setattr(sprites, "draw", lambda factors: factors)
    monkeypatch.setattr(sprites, "resize", lambda images, size: images)
    first, second = next(iter(sprites.load_pairs(run, "train")[0]))
    changes = np.sum(second != factors, axis=1)
    assert first.shape == (100, 16, 16, 1) and changes.max() == 1
    assert 0.88 - 4 * 0.033 < changes.mean() < 1
    assert np.all(np.sum(second != factors, axis=0) > 0)
    assert np.all(second.numpy() < datasets.sprites.FACTOR_SIZES)


@pytest.mark.slow
def test_scores_of_sprites(schik, tmp_path):
    flags = ["--smoke", "--run", "sprites-ae", "sprites-ada-gvae", "sprites-factor-vae", "scores"]
    schik.main([*flags, "--output-dir", str(tmp_path)])
    results = json.loads((tmp_path / "digits-smoke" / "results.json").read_text(encoding="utf-8"))
    assert {"mig", "dci_disentanglement", "squared_error"} <= set(
        results["sprites-ae"][0]["metrics"]
    )
    assert "mig_4" not in results["sprites-ae"][0]["metrics"]
    assert 0 <= results["sprites-factor-vae"][0]["metrics"]["mig_4"] <= 1
    assert (tmp_path / "digits-smoke" / "scores" / "seed_0" / "scores.png").stat().st_size > 10_000
