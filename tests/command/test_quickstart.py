"""The quickstart runs alone, draws every picture and keeps numbers as numbers."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from tfgen import plotting, quickstart
from tfgen.command import reports
from tfgen.command.tables import smoke_splits

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "quickstart.py"
OF_IMAGES = {"samples", "curves"}
OF_CODES = {"reconstructions", "traversals", "interpolations", "latents"}


def run(folder, *flags):
    """The names of the pictures."""
    assert quickstart.main(["--smoke", "--output-dir", str(folder), *flags]) == 0
    return {path.stem for path in folder.glob("*.png")}


def test_quickstart(in_folder, capsys):
    pictures = run(in_folder, "--model", "beta-vae", "--beta", "3", "--latent-dim", "2")
    assert pictures == OF_IMAGES | OF_CODES | {"manifold"}
    facts = json.loads((in_folder / "metrics.json").read_text(encoding="utf-8"))
    assert {type(value) for value in facts["metrics"].values()} == {float}
    assert facts["arguments"]["latent_dim"] == 2 and facts["arguments"]["set"] == {"beta": 3.0}
    out = capsys.readouterr().out
    assert f"{facts['metrics']['loss']:.4f}" in out and facts["versions"] in out
    assert all(str(path) in out for path in in_folder.glob("*.png"))
    assert keras.models.load_model(in_folder / "model.keras").beta == 3.0


def test_rows_of_a_table_are_shown_in_its_units(in_folder, monkeypatch):
    rows = "\n".join(f"{i},{i % 2}" for i in range(300))
    (in_folder / "rows.csv").write_text(f"length,side\n{rows}\n", encoding="utf-8")
    shown, marginals = [], plotting.marginals

    def noted(real, generated):
        shown.extend([real, generated])
        return marginals(real, generated)

    monkeypatch.setattr(plotting, "marginals", noted)
    flags = ["--dataset", "rows.csv", "--epochs", "1", "--output-dir", str(in_folder)]
    assert quickstart.main(flags) == 0
    assert {path.stem for path in in_folder.glob("*.png")} == OF_IMAGES
    assert [list(frame.columns) for frame in shown] == [["length", "side"]] * 2
    assert shown[0]["length"].max() > 100  # Not standardized.


def test_smoke_of_a_table_and_of_photos(in_folder):
    rows = "\n".join(f"{i},{i % 2}" for i in range(40))
    (in_folder / "rows.csv").write_text(f"length,side\n{rows}\n", encoding="utf-8")
    assert run(in_folder / "table", "--dataset", "rows.csv") == OF_IMAGES
    for i in range(40):
        image = tf.zeros((8 + i % 2, 8, 1), "uint8")
        tf.io.write_file(f"photos/{i}.png", tf.io.encode_png(image))
    flags = ["--dataset", "photos", "--image-size", "8"]
    assert run(in_folder / "photos_run", *flags) == OF_IMAGES | OF_CODES - {"latents"}
    arguments = json.loads((in_folder / "table" / "run.json").read_text(encoding="utf-8"))
    assert (arguments["train_split"], arguments["test_split"]) == (
        "train_shuffled[:90%]",
        "train_shuffled[-10%:]",
    )


def test_few_examples_of_many(in_folder):
    (in_folder / "rows.csv").write_text("a\n" * 10_000, encoding="utf-8")
    assert smoke_splits("rows.csv") == ("train_shuffled[:3%]", "train_shuffled[-3%:]")


def write_classes(number):
    """Photos in folders of two classes."""
    for i in range(number):
        image = tf.fill((8, 8, 1), tf.cast(20 * i, "uint8"))
        tf.io.write_file(f"photos/{'ab'[i % 2]}/{i}.png", tf.io.encode_png(image))


def test_one_test_image_is_enough(in_folder):
    """Codes by class need two; all other pictures are drawn, of as many epochs as asked for."""
    write_classes(12)
    flags = ["--dataset", "photos", "--model", "ae", "--epochs", "2"]
    assert run(in_folder / "few", *flags) == OF_IMAGES | OF_CODES - {"latents"}
    facts = json.loads((in_folder / "few" / "metrics.json").read_text(encoding="utf-8"))
    assert facts["epochs"] == 2


def test_a_picture_that_fails_costs_no_training(in_folder, monkeypatch, capsys):
    """Those before it are there, and the next call draws the others without training anew."""
    argv = ["--smoke", "--output-dir", str(in_folder)]

    def failing(*args):
        raise ValueError("No ink.")

    with monkeypatch.context() as broken:
        broken.setattr(plotting, "traversals", failing)
        assert quickstart.main(argv) == 2
    assert {path.stem for path in in_folder.glob("*.png")} == {
        "curves",
        "samples",
        "reconstructions",
    }
    capsys.readouterr()
    assert quickstart.main(argv) == 0
    assert "epoch 1" not in capsys.readouterr().out
    assert {path.stem for path in in_folder.glob("*.png")} == OF_IMAGES | OF_CODES
    assert not (in_folder / "backup").exists()


def test_codes_of_factors_are_named_by_the_factor(in_folder, monkeypatch):
    titles, save = [], reports.save_figure

    def noted(fig, path):
        titles.extend(legend.get_title().get_text() for legend in fig.legends)
        save(fig, path)

    monkeypatch.setattr(reports, "save_figure", noted)
    assert "latents" in run(in_folder, "--dataset", "sprites", "--model", "ae")
    assert "shape" in titles and "class" not in titles


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "pictures"),
    [
        ("ae", OF_IMAGES | OF_CODES),
        ("vae", OF_IMAGES | OF_CODES),
        ("beta-tcvae", OF_IMAGES | OF_CODES),
        ("gan", OF_IMAGES),
    ],
)
def test_other_models(model, pictures, in_folder):
    assert run(in_folder, "--model", model) == pictures


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("dataset", ["sprites", "mnist"])
def test_other_data(dataset, in_folder):
    assert run(in_folder, "--dataset", dataset) == OF_IMAGES | OF_CODES


def test_the_code_of_the_training(in_folder, capsys):
    assert quickstart.main(["--smoke", "--show-code"]) == 0
    assert "model.fit(" in capsys.readouterr().out
    assert not (in_folder / "outputs").exists()


def test_beta_of_a_model_without(capsys):
    assert quickstart.main(["--beta", "2"]) == 2
    assert "Received: --beta 2.0 for vae." in capsys.readouterr().err


def test_the_example_runs_without_the_other_files(tmp_path):
    alone = tmp_path / "quickstart.py"
    alone.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, str(alone), "--smoke", "--epochs", "1", "--show-code"],
        cwd=tmp_path,
        env=env,  # The level is the script's own.
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "model = models.VAE(" in done.stdout, done.stderr
    assert not done.stderr
