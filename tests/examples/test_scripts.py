"""The example scripts run and write what they say."""

import json
import sys

import pytest


@pytest.fixture
def script(load_script):
    return load_script


def test_soons(script, monkeypatch, tmp_path, capsys):
    soons = script("soons_2020_vae_gan_flow")
    monkeypatch.setattr(sys, "argv", ["soons_2020_vae_gan_flow.py"])
    flags = ["--smoke", "--run", "vae-mlp", "--output-dir", str(tmp_path)]
    soons.main(flags)
    tmp_path = tmp_path / "digits-smoke"
    result = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["vae-mlp"][0]
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<td>bits_per_dim</td><td>{result['metrics']['bits_per_dim']:.4g}</td>" in report
    assert "<h1>SMOKE: Soons" in report and "0.152" not in report
    assert report.count("data:image/png;base64,") == len(soons.FIGURES)
    assert (tmp_path / "vae-mlp" / "seed_42" / "samples.png").exists()
    output = capsys.readouterr().out
    assert output.startswith("SMOKE") and "\nepoch 2/2  loss " in output and "Epoch" not in output
    soons.main(flags)
    assert "done before" in capsys.readouterr().out


@pytest.mark.slow
def test_soons_flows(script, monkeypatch, tmp_path):
    soons = script("soons_2020_vae_gan_flow")
    monkeypatch.setattr(sys, "argv", ["soons_2020_vae_gan_flow.py"])
    names = ["flow-uniform", "flow-variational", "flow-gap"]
    soons.main(["--smoke", "--run", *names, "--output-dir", str(tmp_path)])
    folder = tmp_path / "digits-smoke"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    uniform, variational, gap = (results[name][0]["metrics"] for name in names)
    difference = uniform["bits_per_dim"] - variational["bits_per_dim"]
    assert gap["gap_bits_per_dim"] == pytest.approx(difference, abs=1e-5)
    # More draws of the noise are a tighter bound.
    assert uniform["bits_per_dim"] < uniform["bits_per_dim_one_draw"]
    for figure in soons.FLOW_FIGURES:
        assert (folder / "flow-variational" / "seed_42" / figure).exists()


def test_soons_list(script, capsys):
    script("soons_2020_vae_gan_flow").main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("manifold") and "figure 4" in line for line in lines)
