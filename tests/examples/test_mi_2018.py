"""The script of Mi et al. (2018) runs, and its statistics and figures are right."""

import argparse
import importlib
import json
import pathlib

import numpy as np
import pytest
from numpy.testing import assert_allclose

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def mi(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("mi_2018_gan_vae_probe")


def predictions(num_clear, num_images, num_classes=10):
    """Probabilities of which `num_clear` have entropy 0 and the others ln 10."""
    clear = np.eye(num_classes)[np.arange(num_clear) % num_classes]
    return np.concatenate([clear, np.full((num_images - num_clear, num_classes), 0.1)])


@pytest.mark.slow
def test_smoke_run(mi, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["mi_2018_gan_vae_probe.py"])
    mi.main(["--smoke", "--run", "real", "wgan", "--output-dir", str(tmp_path)])
    folder = tmp_path / "digits-smoke"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    real, wgan = (results[name][0]["metrics"] for name in ("real", "wgan"))
    # Chance is 0.1; the digits are nearly balanced: ln 10 = 2.303, less what 360 images cost.
    assert real["classifier_accuracy"] > 0.7
    assert 2.2 < real["entropy"] <= np.log(10)
    assert wgan["iterations"] == 2 * (1437 // (32 * mi.CRITIC_STEPS))
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert f"<td>entropy</td><td>{wgan['entropy']:.4g}</td>" in report
    # Each of its 200 samples is judged, and their shares are within their interval.
    samples = np.load(folder / "wgan" / "seed_42" / "samples.npz")
    assert samples["probabilities"].shape == (200, 10)
    share = wgan["low_entropy_share"]
    assert wgan["low_entropy_share_from"] <= share <= wgan["low_entropy_share_to"]
    curve = np.loadtxt(folder / "wgan" / "seed_42" / "entropy.csv", delimiter=",")
    assert curve[0, 0] == 0 and curve[-1, 0] == wgan["iterations"]


def test_models_are_the_papers_stack(mi):
    shape = (28, 28, 1)
    widths = [
        [layer.units for layer in network(shape).layers if hasattr(layer, "units")]
        for network in (mi.encoder, mi.decoder, mi.discriminator)
    ]
    assert widths == [[392, 196, 98, 200], [98, 196, 392, 784], [392, 196, 98, 100, 1]]
    assert mi.decoder(shape).input_shape == (None, 100)
    # The decoder's likelihood is the squared error over 2 scale^2, up to a constant.
    p = mi.decoder(shape)(np.zeros((1, 100), "float32"))
    x = np.zeros((1, *shape), "float32")
    squared_error = np.sum((x - p.mean()) ** 2)
    constant = 784 * np.log(mi.SCALE * np.sqrt(2 * np.pi))
    assert_allclose(-p.log_prob(x), [squared_error / (2 * mi.SCALE**2) + constant], rtol=1e-5)


def test_scores(mi):
    scores = mi.scores(predictions(num_clear=50, num_images=200))
    # Of 200 images 5 x 10 are clear; the argmax of the others is class 0.
    shares = np.array([155, *[5] * 9]) / 200
    assert_allclose(scores["entropy"], -np.sum(shares * np.log(shares)))
    assert_allclose(scores["low_entropy_share"], 0.25)
    assert_allclose(scores["median_image_entropy"], np.log(10))
    # Wilson's interval: the p at which |0.25 - p| is 1.96 standard errors sqrt(p (1 - p) / 200).
    for p in (scores["low_entropy_share_from"], scores["low_entropy_share_to"]):
        assert_allclose(abs(0.25 - p), 1.959964 * np.sqrt(p * (1 - p) / 200), rtol=1e-6)


def test_difference_is_newcombes(mi):
    # Newcombe (1998), table II, example (a): 56/70 against 48/80, method 10.
    interval = mi.difference(predictions(56, 70), predictions(48, 80))
    assert_allclose(list(interval.values()), [0.2, 0.0524, 0.3339], atol=5e-5)


def test_curve_drops_what_a_killed_run_wrote_too_much(mi, tmp_path):
    (tmp_path / "entropy.csv").write_text("0,1.5\n100,1.0\n200,0.5\n")
    run = argparse.Namespace(folder=tmp_path)
    curve = mi.EntropyCurve(run, classify=None, iterations=1000)
    model = argparse.Namespace(steps=0)
    curve.set_model(model)
    curve.on_train_begin()
    model.steps = 100  # A callback behind this one restores the model.
    curve.on_epoch_begin(0)
    assert mi.mi_figures.read_curve(tmp_path / "entropy.csv") == [(0, 1.5), (100, 1.0)]


def test_comparison(mi, tmp_path):
    args = argparse.Namespace(output_dir=tmp_path)
    for i, e in enumerate(mi.TRAINED):
        folder = tmp_path / e.name / "seed_42"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")
        (folder / "entropy.csv").write_text("0,0.0\n1000,2.0\n")
        for stage in (0, 100, 500, 1000):
            np.save(folder / f"stage_{stage}.npy", np.zeros((10, 28, 28, 1)))
        images = np.zeros((20, 28, 28, 1))
        np.savez(folder / "samples.npz", images=images, probabilities=predictions(20 + i, 100))
    folder = tmp_path / "comparison" / "seed_42"
    folder.mkdir(parents=True)
    script = importlib.import_module("paper_script")
    result = mi.comparison(script.Run(args, folder, 42))
    names = [e.name for e in mi.TRAINED]
    for base in ("vae-gan", "vae-gan-weight-1", "vae-gan-weight-5"):
        assert_allclose(
            result[f"constrained-dual_minus_{base}"],
            (names.index("constrained-dual") - names.index(base)) / 100,
        )
    assert {p.name for p in folder.glob("*.png")} == set(mi.EXPERIMENTS[-1].figures)
