"""The script searches, reports, and goes on."""

import csv
import functools
import pathlib

import pytest

from tfgen import datasets

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def script(load_script):
    return load_script("tune_beta_latent")


@pytest.mark.slow
def test_smoke_run(script, monkeypatch, tmp_path, capsys):
    flags = ["--smoke", "--output-dir", str(tmp_path)]
    script.main(flags)
    output = capsys.readouterr().out
    assert "2 of 2 trials completed" in output
    report = tmp_path / "report"
    assert str(report / "report.html") in output
    with open(report / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(float(row["beta"]) for row in rows) == [1, 4]
    for row in rows:  # val_elbo is of the same draws as its two terms.
        elbo = -float(row["val_kl"]) - float(row["val_reconstruction"])
        assert float(row["val_elbo"]) == pytest.approx(elbo, rel=1e-5)
    names = {"best", "worst", "elbo", "rate", "distortion", "rate_distortion"}
    assert {path.stem for path in report.glob("*.png")} == names
    # The same command reads the finished search.
    ended = {path: path.stat().st_mtime_ns for path in tmp_path.glob("trials/*/trial.json")}
    monkeypatch.setattr("tfgen.tuning.write_report", lambda *_: report / "report.html")
    script.main(flags)
    assert capsys.readouterr().out.endswith(output[output.index("2 of 2") :])
    assert {path: path.stat().st_mtime_ns for path in ended} == ended


@pytest.mark.parametrize("model", ["vae", "beta-vae", "beta-tcvae", "factor-vae", "dip-vae"])
def test_hypermodel_searches_the_weight_of_its_class(script, model):
    args = script.parse_args(["--smoke", "--model", model, "--latent-dims", "2", "5"])
    data = functools.partial(datasets.load, "digits")
    space = script.build_hypermodel(args, data).space
    weights = {"beta": (1.0, 4.0)} if model.startswith("beta") else {}
    weights |= {"gamma": (1.0, 4.0)} if model == "factor-vae" else {}
    weights |= {"lambda_od": (1.0, 4.0)} if model == "dip-vae" else {}
    given = {name: space[name] for name in ("beta", "gamma", "lambda_od") if name in space}
    searched = {name: values for name, values in given.items() if values != 1.0}
    assert searched == weights and space["latent_dim"] == (2, 5)


def test_defaults(script):
    args = script.parse_args(["--dataset", "sprites", "--tuner", "random"])
    assert args.max_trials == 20
    assert args.output_dir == pathlib.Path("outputs/tune_beta_latent/sprites-beta-vae-random")
    assert script.parse_args([]).max_trials is None
    assert script.MODELS["beta-vae"].values == (1, 2, 4, 6, 8, 16)


def test_weighted_objective(script):
    args = script.parse_args(["--objective", "mig=1,val_elbo=0.01"])
    assert args.objective == {"mig": 1.0, "val_elbo": 0.01}
    assert script.parse_args([]).objective == "val_elbo"


def test_workers_run_the_same_command(script, monkeypatch):
    class Started(Exception):
        pass

    def run_workers(command, num_workers):
        raise Started(command, num_workers)

    monkeypatch.setattr("tfgen.tuning.run_workers", run_workers)
    flags = ["--workers", "3", "--epochs", "2"]
    with pytest.raises(Started) as started:
        script.main(flags)
    command, num_workers = started.value.args
    assert num_workers == 3 and command[2:] == flags
    assert pathlib.Path(command[1]) == EXAMPLES / "tune_beta_latent.py"
