"""The parts of Schik's script that its smoke run cannot show to be right."""

import importlib
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import datasets, metrics, models

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def schik(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("schik_2021_vae_overview")


class FactorModel:
    """Its codes are the factors themselves: the pictures' first five pixels."""

    def encode(self, x):
        loc = tf.reshape(x, (len(x), -1))
        return tfp.distributions.Independent(tfp.distributions.Normal(loc, 0.01), 1)


def test_shape_is_left_out_of_the_authors_gap(schik):
    factors = datasets.sprites.factors_of(np.random.default_rng(0).integers(737_280, size=3000))
    codes = tf.cast(factors, tf.float32).numpy()
    codes[:, 0] = 0.0  # The shape is lost, each other factor has a dimension of its own.
    data = tf.data.Dataset.from_tensor_slices((codes, factors)).batch(1000)
    found = schik.mig_of_four_factors(FactorModel(), data)
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


@pytest.mark.slow
def test_scores_of_sprites(schik, tmp_path):
    flags = ["--smoke", "--run", "sprites-ae", "sprites-factor-vae", "scores"]
    schik.main([*flags, "--output-dir", str(tmp_path)])
    results = json.loads((tmp_path / "digits-smoke" / "results.json").read_text(encoding="utf-8"))
    assert {"mig", "dci_disentanglement", "squared_error"} <= set(
        results["sprites-ae"][0]["metrics"]
    )
    assert "mig_4" not in results["sprites-ae"][0]["metrics"]
    assert 0 <= results["sprites-factor-vae"][0]["metrics"]["mig_4"] <= 1
    assert (tmp_path / "digits-smoke" / "scores" / "seed_0" / "scores.png").stat().st_size > 10_000
