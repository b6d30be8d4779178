"""The script of Su's paper: its definition of collapse, Eq. 40, EM's curves, and a short run."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers, networks

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SHAPE = (4, 4, 1)


@pytest.fixture
def su(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", ["su_2018_variational_view.py"])
    return importlib.import_module("su_2018_variational_view")


@pytest.fixture
def su_proximity(su):
    return importlib.import_module("su_proximity")


@pytest.mark.parametrize(
    "entropies, distances, expected",
    [
        # Before the first diverse check nothing collapses, however distances move.
        ([0.0, 1.0, 2.0, 2.2], [50.0, 200.0, 40.0, 30.0], [0, 0, 0, 0]),
        ([0.0, 2.0, 1.2, 2.0], [50.0, 20.0, 20.0, 20.0], [0, 0, 1, 0]),  # Classes are lost.
        ([0.0, 2.0, 2.0, 2.0], [50.0, 20.0, 41.0, 40.0], [0, 0, 1, 0]),  # Over twice the lowest.
        ([0.0, 0.1, 0.2, 0.3], [50.0, 60.0, 160.0, 50.0], [0, 0, 0, 0]),  # Never began.
    ],
)
def test_collapsed_checks(su_proximity, entropies, distances, expected):
    scores = {"class_entropy": entropies, "frechet": distances}
    assert_array_equal(su_proximity.collapsed_checks(scores, real_entropy=np.log(10)), expected)


def test_summary(su_proximity):
    scores = {"class_entropy": [0.0, 2.0, 1.2], "frechet": [50.0, 20.0, 30.0]}
    assert su_proximity.summary(scores, np.log(10)) == {
        "started": 1.0,
        "collapsed": 1.0,
        "collapsed_share_of_checks": pytest.approx(1 / 3),
        "collapsed_at_end": 1.0,
        "final_class_entropy": 1.2,
        "lowest_frechet": 20.0,
        "final_frechet": 30.0,
        "mean_frechet": 25.0,  # Without the check before training.
    }


def whole_ali(su, latent_dim=3):
    return su.WholeALI(
        networks.mlp_encoder(SHAPE, latent_dim, layers.IndependentNormal, width=8),
        networks.mlp_generator(SHAPE, latent_dim, (8,), dropout=0.0),
        networks.joint_discriminator(SHAPE, latent_dim, (8,), dropout=0.0),
        objective="variational",
        seed=0,
    )


def test_code_nll_of_an_encoder_that_ignores_its_image(su):
    latent_dim, num_samples = 3, 4000
    model = whole_ali(su, latent_dim)
    for weights in model.encoder.trainable_variables:
        weights.assign(tf.zeros_like(weights))
    x = tf.zeros((num_samples, *SHAPE))
    scale = float(model.encode(x[:1]).stddev()[0, 0])
    # -E log N(z; 0, s) for z ~ N(0, 1); z^2 has variance 2. 5 standard errors.
    expected = latent_dim * (np.log(scale) + 0.5 * np.log(2 * np.pi) + 0.5 / scale**2)
    tolerance = 5 * np.sqrt(latent_dim / 2) / scale**2 / np.sqrt(num_samples)
    terms = model.terms(x)
    assert_allclose(np.mean(terms["code_nll"]), expected, rtol=0, atol=tolerance)


def test_whole_objective_adds_code_nll_and_moves_only_the_encoder(su):
    model = whole_ali(su)
    with tf.GradientTape() as tape:
        terms = model.terms(tf.zeros((5, *SHAPE)))
        code_nll = tf.reduce_sum(terms["code_nll"])
    loss = terms["autoencoder_loss"] - terms["code_nll"]
    softplus = [np.logaddexp(0, -terms[n]) for n in ("encoded_logits", "generated_logits")]
    assert_allclose(loss, np.reshape(sum(softplus), 5), rtol=1e-5)  # Eq. 41
    networks_ = (model.decoder, model.discriminator, model.encoder)
    variables = [[v.value for v in network.trainable_variables] for network in networks_]
    decoder, discriminator, encoder = tape.gradient(code_nll, variables)
    assert set(decoder + discriminator) == {None}
    assert None not in encoder


def short_run(su, tmp_path, *names):
    """The folder of a short run, and its results."""
    su.main(["--smoke", "--run", *names, "--output-dir", str(tmp_path)])
    folder = tmp_path / "digits-smoke"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert set(results) == set(names)
    return folder, results


@pytest.mark.slow
def test_short_run_of_proximity(su, su_proximity, tmp_path):
    folder = short_run(su, tmp_path, "proximity")[0] / "proximity" / "seed_0"
    first, last = (
        [
            np.load(sorted((folder / kind / "checks").glob("*.npy"))[i])
            for kind in su_proximity.PROXIMITY
        ]
        for i in (0, -1)
    )
    assert_array_equal(*first)  # Both begin with the same weights,
    assert np.any(last[0] != last[1])  # and the term makes them differ.
    assert all((folder / figure).exists() for figure in su_proximity.PROXIMITY_FIGURES)


@pytest.mark.slow
def test_short_run_of_inference(su, tmp_path):
    folder, _ = short_run(su, tmp_path, "ali-whole")
    assert all(
        (folder / "ali-whole" / "seed_0" / figure).exists() for figure in su.INFERENCE_FIGURES
    )


@pytest.mark.slow
def test_short_run_of_em(su, tmp_path):
    folder, results = short_run(su, tmp_path, "em-digits", "em-bernoulli")
    # Both are float64, from the same start; sums in another order.
    assert results["em-digits"][0]["metrics"]["largest_difference_to_scikit_learn"] < 1e-8
    curves = json.loads(
        (folder / "em-bernoulli" / "seed_0" / "curves.json").read_text(encoding="utf-8")
    )
    assert len(curves["EM"]["log_likelihood"]) == 3
    assert all(np.diff(curves["EM"]["log_likelihood"]) > 0)
    figures = importlib.import_module("su_em").EM_FIGURES
    assert all((folder / "em-digits" / "seed_0" / figure).exists() for figure in figures)
