"""Trained models by name: every file loads and repeats its printed number; errors."""

import hashlib
import importlib
import json
import os
import pathlib

import numpy as np
import pytest

from tfgen import models

module = importlib.import_module("tfgen.models.pretrained")
REPOSITORY = pathlib.Path(__file__).parents[2]
FOLDER = REPOSITORY / "examples" / "pretrained"
NAMES = list(models.pretrained_models())


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The scripts' module, with an index and a folder of its own."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "examples"))
    index = tmp_path / "pretrained.json"
    index.write_text("{}", encoding="utf-8")
    publish = importlib.import_module("benchmark_publish")
    monkeypatch.setattr(module, "_INDEX", index)
    monkeypatch.setattr(publish, "INDEX", index)
    monkeypatch.setattr(publish, "FOLDER", tmp_path)
    return publish


def test_files_are_those_of_the_index():
    assert {p.relative_to(FOLDER).with_suffix("").as_posix() for p in FOLDER.rglob("*.keras")} == (
        set(NAMES)
    )
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 40e6


@pytest.mark.parametrize("name", NAMES)
def test_loads(name):
    """Class and samples are those that were published."""
    known = models.pretrained_models()[name]
    model = models.load_pretrained(name, FOLDER)
    assert type(model).__name__ == known["model"]
    # Draws are the same anywhere; other processors round otherwise.
    mean = float(np.mean(model.sample(64, seed=0, mean=True)))
    assert mean == pytest.approx(known["sample_mean"], abs=2e-3)
    assert (FOLDER / f"{name}.md").exists()


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="needs MNIST in TFDS_DATA_DIR")
@pytest.mark.parametrize("name", NAMES)
def test_repeats_its_printed_number(name, monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "examples"))
    publish = importlib.import_module("benchmark_publish")
    known = models.pretrained_models()[name]
    data, row = name.split("/")
    path = publish.benchmark.RECORDS / f"{data}-small" / row / "seed_0" / "result.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    metric, digits = publish.printed_of(result["metrics"])
    found = publish.measured(FOLDER / f"{name}.keras", result, metric, os.environ["TFDS_DATA_DIR"])
    assert known["printed"] == publish.text_of(result["metrics"])
    assert known["metrics"][metric] == result["metrics"][metric]
    # One unit of the last digit for processors that round otherwise.
    assert found == pytest.approx(result["metrics"][metric], abs=1.5 * 10**-digits)


def test_published_run(published, tmp_path):
    """In float16 at half the size; the card and the index say what it is."""
    command = published.benchmark
    args = command.parse_args(["--smoke", "--output-dir", str(tmp_path / "outputs")])
    row = command.row_of("vae")
    job = command.job_of(row, "digits", 0, args)
    assert command.benchmark_run.measure(row, command.run_of(job, args))
    published.record(job.folder, tmp_path / "records")
    assert {p.name for p in (tmp_path / "records").iterdir()} == {
        *("result.json", "nlls_200.npy", "samples.png", "reconstructions.png")
    }
    published.publish(job.folder, "digits/vae", None)
    known = models.pretrained_models()["digits/vae"]
    assert (known["dtype"], known["model"]) == ("float16", "VAE")
    assert known["printed"] == f"elbo {known['metrics']['elbo']:.1f}"
    model = models.load_pretrained("digits/vae", tmp_path)
    before = models.load_model(job.folder / "model.keras")
    for a, b in zip(model.weights, before.weights, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-6)
    assert before.compiled and not model.compiled
    assert known["bytes"] < (job.folder / "model.keras").stat().st_size
    card = (tmp_path / "digits" / "vae.md").read_text(encoding="utf-8")
    assert "load_pretrained" in card and "--run vae" in card and "elbo" in card
    written = (tmp_path / "digits" / "vae.keras").stat().st_mtime_ns
    published.publish(job.folder, "digits/vae", None)  # It is there.
    assert (tmp_path / "digits" / "vae.keras").stat().st_mtime_ns == written
    # Another measure of the same weights.
    result = json.loads((job.folder / "result.json").read_text(encoding="utf-8"))
    result["metrics"]["coverage"] = 0.123
    (job.folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    published.publish(job.folder, "digits/vae", None)
    assert (tmp_path / "digits" / "vae.keras").stat().st_mtime_ns == written
    assert models.pretrained_models()["digits/vae"]["metrics"]["coverage"] == 0.123


def test_only_results_of_todays_code_are_published(published, tmp_path):
    """Smoke runs are left out too; seconds that were measured apart are kept."""
    mark = published.benchmark.fingerprint_of("gan")
    names = {"mnist-small": mark, "fashion_mnist-small": "other code", "digits-smoke": mark}
    for place, print_of in names.items():
        write_result(tmp_path / "outputs" / place / "gan" / "seed_0", place, print_of)
    flags = [str(tmp_path / "outputs"), "--records", str(tmp_path / "records"), "--weights"]
    published.main(flags)
    (path,) = (tmp_path / "records").rglob("result.json")
    assert path.parent == tmp_path / "records" / "mnist-small" / "gan" / "seed_0"
    timed = json.loads(path.read_text(encoding="utf-8"))
    timed["metrics"] |= {"timed": True, "seconds_per_epoch": 2.0}
    path.write_text(json.dumps(timed), encoding="utf-8")
    published.main(flags)
    assert json.loads(path.read_text(encoding="utf-8")) == timed


def write_result(folder, place, print_of):
    folder.mkdir(parents=True)
    content = {
        "name": "gan",
        "budget": place.split("-")[1],
        "fingerprint": print_of,
        "metrics": {"timed": False, "seconds_per_epoch": 9.0},
    }
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")


def test_float32_where_the_number_would_change(published, tmp_path, monkeypatch):
    command = published.benchmark
    args = command.parse_args(["--smoke", "--output-dir", str(tmp_path / "outputs")])
    job = command.job_of(command.row_of("ae"), "digits", 0, args)
    assert command.benchmark_run.measure(job.row, command.run_of(job, args))
    monkeypatch.setattr(published, "measured", lambda *args: -1.0)
    published.publish(job.folder, "digits/ae", None)
    assert models.pretrained_models()["digits/ae"]["dtype"] == "float32"
    model = models.load_pretrained("digits/ae", tmp_path)
    before = models.load_model(job.folder / "model.keras")
    np.testing.assert_array_equal(model.weights[0].numpy(), before.weights[0].numpy())


def test_errors(published, tmp_path, monkeypatch):
    for name in ("mnist/vea", "", None, 3, ["mnist/vae"], pathlib.Path("mnist/vae")):
        with pytest.raises(ValueError, match="no trained model of this name"):
            models.load_pretrained(name)
    content = b"weights"
    entry = {"sha256": hashlib.sha256(content).hexdigest()}
    module._INDEX.write_text(json.dumps({"mnist/vae": entry}), encoding="utf-8")
    monkeypatch.setenv("TFGEN_PRETRAINED_DIR", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="examples/pretrained"):
        models.load_pretrained("mnist/vae")
    with pytest.raises(ValueError, match="folder must be a path"):
        models.load_pretrained("mnist/vae", 3)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "vae.keras").write_bytes(content[::-1])
    with pytest.raises(ValueError, match="another than the one whose numbers"):
        models.load_pretrained("mnist/vae", tmp_path)
