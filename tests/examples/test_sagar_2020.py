"""The script of Sagar's GVAE runs and writes what it says."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", ["sagar_2020_gvae.py"])
    monkeypatch.delenv("TFGEN_CT_DIR", raising=False)
    return importlib.import_module("sagar_2020_gvae")


@pytest.fixture
def smoke(script, tmp_path):
    def run(*names):
        script.main(["--smoke", "--run", *names, "--output-dir", str(tmp_path)])
        return tmp_path / "digits-smoke"

    return run


@pytest.mark.slow
def test_table_4_and_5(smoke):
    folder = smoke("gvae", "z-100", "figure-4")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    metrics = results["gvae"][0]["metrics"]
    # With --smoke z is 100: the row of Table 5 is that of Table 4, not another run.
    assert results["z-100"][0]["metrics"] == metrics
    assert not (folder / "z-100" / "seed_0" / "model.keras").exists()
    # Training images score as test images do; an untrained model's samples are far from both.
    assert abs(metrics["real_mmd_pixels"]) < 100 < metrics["mmd_pixels"]
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert f"<td>mmd_pixels</td><td>{metrics['mmd_pixels']:.4g}</td>" in report
    scores = (folder / "gvae" / "seed_0" / "scores.md").read_text(encoding="utf-8")
    assert "kernel=gaussian" in scores and "filter_size=3" in scores
    samples = np.load(folder / "gvae" / "seed_0" / "samples.npy")
    assert samples.shape == (64, 8, 8, 1) and 0 <= samples.min() and samples.max() <= 1
    assert (folder / "figure-4" / "seed_0" / "comparison.png").exists()


def test_table_6(smoke):
    folder = smoke("vae")
    metrics = json.loads((folder / "results.json").read_text(encoding="utf-8"))["vae"][0]["metrics"]
    np.testing.assert_allclose(
        metrics["elbo"], -metrics["reconstruction"] - metrics["kl"], rtol=1e-5
    )


def test_tables_1_and_2(smoke):
    folder = smoke("networks")
    metrics = json.loads((folder / "results.json").read_text(encoding="utf-8"))["networks"][0][
        "metrics"
    ]
    # Width 4, 32 x 32 x 3 images: 3x3 convolutions, blocks with 1x1 shortcuts, Dense(63), Dense(1).
    convs = [(9, 3, 4), *[(9, 4, 4)] * 3, (9, 4, 8), (1, 4, 8), *[(9, 8, 8)] * 3, (9, 8, 16)]
    layers = [*convs, (1, 8, 16), (1, 16 * 8 * 8, 63), (1, 63, 1)]
    assert metrics["discriminator_parameters"] == sum(k * i * o + o for k, i, o in layers)
    sizes = folder / "networks" / "seed_0" / "layers.txt"
    assert "residual_generator" in sizes.read_text(encoding="utf-8")


def test_residual_width_trains_the_printed_networks(script):
    options, rest = script.parse_options(["--residual-width", "2", "--smoke"])
    experiment = script.EXPERIMENTS[0]._replace(
        run=lambda run: [
            network.name
            for network in (
                script.generator(run, (8, 8, 1), 3),
                script.critic(run, (8, 8, 1)),
                script.encoder(run, (16, 16, 1), 3),
            )
        ]
    )
    run = script.paper_script.Run(
        script.paper_script.parse_args("", [experiment], ["mnist"], rest), None, 0
    )
    names = script.paper_script.with_options(experiment, options).run(run)
    assert names == ["residual_generator", "residual_discriminator", "gvae_encoder"]


def test_ct(smoke):
    folder = smoke("ct")
    metrics = json.loads((folder / "results.json").read_text(encoding="utf-8"))["ct"][0]["metrics"]
    assert metrics["num_slices"] == 64
    assert (folder / "ct" / "seed_0" / "slices.png").exists()


def test_ct_needs_a_folder(script, capsys):
    with pytest.raises(SystemExit):
        script.main(["--run", "ct"])
    assert "--ct-dir or TFGEN_CT_DIR" in capsys.readouterr().out


def test_list(script, capsys):
    script.main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("z-2000") and "Table 5" in line for line in lines)
    assert any(line.startswith("ct") for line in lines)
