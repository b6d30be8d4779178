"""The command `tfgen`: what it prints and writes, and that its lines do the same."""

import ast
import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

from tfgen import models
from tfgen.command import main, runs
from tfgen.command.arguments import new_parser
from tfgen.command.tables import (
    EMBEDDED,
    FETCHED,
    FEWEST_IMAGES,
    MODELS,
    MOST_EPOCHS,
    OBJECTIVES,
    epochs_of,
)
from tfgen.datasets.factor_images import FACTOR_IMAGES
from tfgen.tuning import objectives

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "command.md"
SMALL = ["--train-split", "train[:128]", "--test-split", "test[:64]"]
TRAIN = ["train", "vae", *SMALL, "--epochs", "2", "--latent-dim", "3"]
COMMANDS = ("train", "evaluate", "sample", "traverse", "export", "search", "bench")


def error_of(capsys, *argv):
    """What is printed for arguments that are wrong: one line."""
    try:
        status = main(list(argv))
    except SystemExit as exit:  # Of argparse.
        status = exit.code
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1, error
    return error


def lines_of(capsys, *argv):
    """What --show-code prints."""
    capsys.readouterr()
    assert main([*argv, "--show-code"]) == 0
    return capsys.readouterr().out


def executed(code):
    names = {}
    exec(code, names)
    return names


def test_help_loads_nothing_heavy():
    code = """
import sys
sys.argv = ["tfgen"]
from tfgen.command import main
try:
    main(["train", "--help"])
except SystemExit:
    assert not {"tensorflow", "keras", "numpy"} & set(sys.modules)
    print("light")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("light\n"), done.stderr


@pytest.mark.parametrize("module", ["tfgen", "tfgen.quickstart"])
def test_module_runs(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage:") and not done.stderr


@pytest.mark.parametrize("name", [*COMMANDS, "data list", "data prepare"])
def test_every_command_has_help_and_an_example(name, capsys):
    with pytest.raises(SystemExit) as exit:
        new_parser("1").parse_args([*name.split(), "--help"])
    assert not exit.value.code
    assert f"    tfgen {name}" in capsys.readouterr().out


def test_train_writes_a_model_and_its_metrics(trained):
    model = keras.models.load_model(trained / "model.keras")
    assert isinstance(model, models.VAE) and model.latent_shape == (3,)
    facts = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert facts["metrics"]["loss"] == pytest.approx(-facts["metrics"]["elbo"])
    assert facts["epochs"] == 2 and "TensorFlow" in facts["versions"]


def test_lines_of_train_do_the_same(trained, in_folder, capsys):
    code = lines_of(capsys, *TRAIN, "--output-dir", "again")
    assert "tfgen import callbacks, datasets, models, networks" in code
    made = executed(code)
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))["metrics"]
    assert made["metrics"] == pytest.approx(metrics, rel=1e-6)
    first, second = (
        keras.models.load_model(f / "model.keras") for f in (trained, in_folder / "again")
    )
    for ours, theirs in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_page_shows_the_lines(in_folder, capsys):
    assert f"```python\n{lines_of(capsys, 'train', 'vae')}```" in PAGE.read_text(encoding="utf-8")


@pytest.fixture
def sources(in_folder):
    """A table and a folder, whose test data are part of "train_shuffled"; names by kind."""
    rows = "\n".join(f"{i % 9},{i * i % 7}" for i in range(400))
    (in_folder / "rows.csv").write_text(f"a,b\n{rows}\n", encoding="utf-8")
    write_photos("photos", 40, sizes=((8, 8),))
    return {"table": "rows.csv", "folder": "photos"}


@pytest.mark.parametrize("source", ["table", "folder"])
def test_going_on_ends_as_one_run_where_test_data_are_part_of_train(source, sources, in_folder):
    data = ["train", "vae", "--data", sources[source], "--batch-size", "16"]
    for folder, epochs in [("two", "1"), ("two", "2"), ("one", "2")]:
        assert main([*data, "--epochs", epochs, "--output-dir", folder]) == 0
    found = [
        json.loads((in_folder / folder / "metrics.json").read_text(encoding="utf-8"))["metrics"]
        for folder in ("one", "two")
    ]
    for _ in range(2):
        assert main(["evaluate", "one", "--json", "again.json"]) == 0
        found.append(json.loads((in_folder / "again.json").read_text(encoding="utf-8")))
    assert found == [found[0]] * 4


def test_a_finished_run_is_left_alone(trained, in_folder, capsys):
    shutil.copytree(trained, "run")
    kept = {path: path.read_bytes() for path in (in_folder / "run").rglob("*") if path.is_file()}
    assert main([*TRAIN, "--output-dir", "run"]) == 0
    assert "run is trained for 2 epochs already. A larger --epochs" in capsys.readouterr().out
    error = error_of(capsys, *TRAIN, "--epochs", "1", "--output-dir", "run")
    assert "run is trained for 2 epochs already. Received: 1 epochs." in error
    assert kept == {path: path.read_bytes() for path in kept}


def test_seconds_of_all_calls_add_up(in_folder):
    argv = ["train", "ae", *SMALL, "--output-dir", "run", "--epochs"]
    for epochs in ("1", "2"):
        assert main([*argv, epochs]) == 0
        facts = json.loads((in_folder / "run" / "metrics.json").read_text(encoding="utf-8"))
        if epochs == "1":
            facts["seconds"] = 1000.0
            (in_folder / "run" / "metrics.json").write_text(json.dumps(facts), encoding="utf-8")
    assert facts["epochs"] == 2 and 1000 < facts["seconds"] < 1500


def test_seconds_of_a_call_that_was_killed_count(in_folder):
    """Those up to its last backup."""
    (in_folder / "backup").mkdir()
    for path, time, content in [
        ("run.json", 5000, {"seconds": 40.0}),
        ("backup/training_metadata.json", 5300, {"epoch": 3}),
        ("metrics.json", 4000, {"seconds": 1.0}),
    ]:
        (in_folder / path).write_text(json.dumps(content), encoding="utf-8")
        os.utime(in_folder / path, (time, time))
    assert runs.seconds_before(in_folder) == 340.0


def test_train_goes_on(in_folder, capsys):
    assert main(["train", "ae", *SMALL, "--epochs", "1"]) == 0
    capsys.readouterr()
    assert main(["train", "ae", *SMALL, "--epochs", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Goes on at epoch 2 of 2.\nepoch 2/2  loss ")
    error = error_of(capsys, "train", "ae", *SMALL, "--latent-dim", "2")
    assert "Received: latent_dim 10 there, 2 now." in error


def test_evaluate_uses_the_data_of_the_run(trained, in_folder, capsys):
    assert main(["evaluate", str(trained), "--json", "metrics.json"]) == 0
    found = json.loads((in_folder / "metrics.json").read_text(encoding="utf-8"))
    before = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))["metrics"]
    assert found == pytest.approx(before, rel=1e-6)
    assert executed(lines_of(capsys, "evaluate", str(trained)))["metrics"] == pytest.approx(found)
    assert 'datasets.load("digits", "test[:64]", binarize="stochastic")' in lines_of(
        capsys, "evaluate", str(trained)
    )


def write_photos(folder, number, sizes=((20, 20),)):
    """Noise in colour, of these sizes in turn."""
    rng = np.random.default_rng(0)
    for i in range(number):
        image = rng.integers(256, size=(*sizes[i % len(sizes)], 3), dtype="uint8")
        tf.io.write_file(f"{folder}/{i}.png", tf.io.encode_png(image))


def test_a_gan_is_judged_by_its_samples(in_folder, capsys, monkeypatch):
    monkeypatch.setenv("TFGEN_CACHE_DIR", str(in_folder / "cache"))
    assert main(["train", "gan", *SMALL, "--epochs", "1"]) == 0
    argv = ["evaluate", "outputs/gan-digits", "--seed", "3"]
    code = lines_of(capsys, *argv)
    assert "from tfgen.metrics import classifier, evaluate_samples" in code
    assert main([*argv, "--json", "metrics.json"]) == 0
    found = json.loads((in_folder / "metrics.json").read_text(encoding="utf-8"))["samples"]
    scores = executed(code)["scores"]
    assert found["generated"] == pytest.approx(scores.generated)
    assert found["real"] == pytest.approx(scores.real)
    assert (found["settings"]["num_samples"], found["settings"]["seed"]) == (64, 3)
    assert "classifier_frechet_distance" in found["generated"]
    assert "64 samples, and 64 training images in their place" in capsys.readouterr().out


def test_scores_of_samples_without_classes(in_folder, capsys):
    write_photos("photos", 40)
    assert main(["train", "gan", "--data", "photos", "--epochs", "1"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "outputs/gan-photos"]) == 0  # Of four images to test on.
    assert "No scores of samples: they need at least 10 test images" in capsys.readouterr().out
    argv = ["evaluate", "outputs/gan-photos", "--train-split", "train", "--test-split", "train"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "40 samples" in out and "ms_ssim" in out and "entropy" not in out


def test_samples_of_others_are_scored_on_demand(trained, capsys):
    assert "evaluate_samples" not in lines_of(capsys, "evaluate", str(trained))
    code = lines_of(capsys, "evaluate", str(trained), "--num-samples", "20")
    assert "evaluate_samples(model, train, test, 20, classifier=judge, clip=True)" in code
    assert 'datasets.load("digits", "train[:128]", binarize="stochastic", labels=True)' in code
    error = error_of(capsys, "evaluate", str(trained), "--num-samples", "65")
    assert "Received: --num-samples 65, and 64 images in test[:64] of digits. Give 64" in error
    few = ["--num-samples", "20", "--test-split", "test[:4]"]
    assert "Give a --test-split of more images." in error_of(capsys, "evaluate", str(trained), *few)


def test_a_run_that_could_not_begin_leaves_nothing(in_folder, capsys):
    write_photos("photos", 20, sizes=((20, 20), (24, 16)))
    argv = ["train", "vae", "--data", "photos", "--epochs", "1"]
    assert "Pass image_size to resize them all. (Here: --image-size.)" in error_of(capsys, *argv)
    assert not (in_folder / "outputs").exists()
    assert "has no such" in error_of(capsys, *argv, "--image-size", "16", "--set", "depth=3")
    assert "beta" in error_of(
        capsys,
        "train",
        "beta-vae",
        *argv[2:],
        "--image-size",
        "16",
        "--set",
        "beta=-1",
        "--output-dir",
        "outputs/vae-photos",
    )
    assert main([*argv, "--image-size", "16"]) == 0
    shutil.rmtree("outputs/vae-photos/backup")
    assert "holds another run" in error_of(capsys, *argv, "--image-size", "20")


@pytest.mark.parametrize(
    "flags",
    [
        ["beta-vae", "--set", "beta=foo"],
        ["vae", "--network", "conv64"],
        ["dip-vae", "--set", "kind=i3"],
    ],
)
def test_a_model_that_cannot_be_built_leaves_nothing(flags, in_folder, capsys):
    assert "Received" in error_of(capsys, "train", *flags, "--output-dir", "run")
    assert "There is no model. Received: run." in error_of(capsys, "sample", "run")
    assert not list(in_folder.iterdir())


def test_training_that_fails_before_its_first_backup_leaves_nothing(in_folder, monkeypatch):
    def failing(*args, **kwargs):
        raise RuntimeError("No memory.")

    monkeypatch.setattr(models.VAE, "fit", failing)
    with pytest.raises(RuntimeError):
        main([*TRAIN, "--output-dir", "run"])
    assert not list(in_folder.iterdir())


def test_a_run_that_has_not_ended_has_no_model(in_folder, capsys):
    (in_folder / "run.json").write_text("{}", encoding="utf-8")
    assert "The run has no model.keras yet." in error_of(capsys, "sample", ".")


@pytest.mark.parametrize("flags", [["--image", "0"], ["--download"], ["--test-split", "test"]])
def test_options_of_data_that_are_not_known(flags, trained, in_folder, capsys):
    shutil.copy(trained / "model.keras", "alone.keras")
    error = error_of(capsys, "traverse", "alone.keras", *flags)
    assert f"{flags[0]} needs data. Received: alone.keras" in error
    assert main(["traverse", "alone.keras", "--output", "a.png"]) == 0


@pytest.mark.parametrize("command", ["sample", "traverse"])
def test_pictures_are_those_of_the_lines(command, trained, in_folder, capsys):
    argv = [command, str(trained), "--dpi", "40", "--output"]
    assert main([*argv, "a.png"]) == 0
    assert capsys.readouterr().out == "a.png\n"
    executed(lines_of(capsys, *argv, "b.png"))
    first, second = (plt.imread(in_folder / name) for name in ("a.png", "b.png"))
    np.testing.assert_array_equal(first, second)
    assert first.std() > 0.1
    plt.close("all")


def test_traversals_have_the_dimensions_asked_for(trained, in_folder, capsys):
    code = lines_of(capsys, "traverse", str(trained), "--dims", "2", "0", "--image", "5")
    assert "dims=[2, 0]" in code and "skip(5)" in code


def test_export_is_read_without_tfgen(trained, in_folder, capsys):
    assert main(["export", str(trained), "--output", "served"]) == 0
    assert capsys.readouterr().out == "served: reconstruct, embed, generate, sample\n"
    assert tf.saved_model.load("served").embed(tf.zeros((5, 8, 8, 1))).shape == (5, 3)


@pytest.mark.slow
def test_search_reports_all_trials(in_folder, capsys):
    argv = ["search", "beta-vae", "--weights", "1", "4", "--latent-dims", "2", "--epochs", "1"]
    code = lines_of(capsys, *argv)
    assert "beta=(1.0, 4.0)" in code and "latent_dim=(2,)" in code and "batch_size" not in code
    other = lines_of(capsys, *argv, "--batch-size", "64", "--train-split", "train[:500]")
    assert 'splits=("train[:500]", "train[90%:]")' in other and "batch_size=64" in other
    assert main([*argv, "--set", "width=16"]) == 0
    out = capsys.readouterr().out
    assert "2 of 2 trials completed" in out and "report.html" in out
    first, second = out.splitlines()[:2]
    assert " s, 1 of 2, " in first and " left: beta" in first and " s, 2 of 2: beta" in second


def test_bench_measures(in_folder, capsys):
    assert main(["bench", "gan", *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith(" ...") for line in lines[:3])  # What it does, before it has done it.
    lines = lines[3:]
    assert [line.split()[0] for line in lines[:3]] == [
        "training_examples_per_second",
        "seconds_per_step",
        "samples_per_second",
    ]
    assert all(float(line.split()[1]) > 0 for line in lines[:3])


def test_data_are_listed_and_prepared(in_folder, capsys, monkeypatch):
    prepared = []
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", lambda self: prepared.append(self.name)
    )
    assert main(["data", "list", "--data-dir", str(in_folder)]) == 0
    out = capsys.readouterr().out
    assert "mnist              to fetch: tfgen data prepare mnist" in out
    assert "3dshapes           --data-dir DIR, which holds 3dshapes.h5" in out
    names = [line.split()[0] for line in out.splitlines()[:-1]]
    assert sorted(names) == sorted([*EMBEDDED, *FACTOR_IMAGES, *FETCHED])
    assert main(["data", "prepare", "mnist", "--data-dir", str(in_folder)]) == 0
    assert prepared == ["mnist"]


@pytest.mark.slow
@pytest.mark.parametrize("model", [name for name in MODELS if not MODELS[name].mask])
def test_every_model_trains(model, in_folder):
    assert main(["train", model, *SMALL, "--epochs", "1"]) == 0
    assert main(["sample", f"outputs/{model}-digits"]) == 0
    assert (in_folder / "outputs" / f"{model}-digits" / "samples.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["conv", "conv64"])
@pytest.mark.parametrize("model", ["vae", "gan", "wgan-gp"])
def test_convolutions_in_colour(model, network, in_folder):
    write_photos("images", 60, sizes=((64, 64),))
    assert main(["train", model, "--data", "images", "--network", network, "--epochs", "1"]) == 0
    assert main(["sample", f"outputs/{model}-images", "-n", "4"]) == 0


def test_rows_of_a_table(in_folder, capsys):
    rows = np.random.default_rng(0).normal(3.0, 2.0, size=(100, 2))
    text = "a,b\n" + "\n".join(f"{a},{b}" for a, b in rows)
    (in_folder / "rows.csv").write_text(text, encoding="utf-8")
    assert main(["train", "vae", "--data", "rows.csv", "--epochs", "1"]) == 0
    assert main(["evaluate", "outputs/vae-rows"]) == 0
    capsys.readouterr()
    assert main(["sample", "outputs/vae-rows", "--show-code"]) == 0
    assert "plotting.marginals(real, info.decode(model.sample(" in capsys.readouterr().out
    assert main(["sample", "outputs/vae-rows", "-n", "500"]) == 0
    assert "traverse is for images." in error_of(capsys, "traverse", "outputs/vae-rows")
    error = error_of(capsys, "evaluate", "outputs/vae-rows", "--num-samples", "10")
    assert "--num-samples is for images." in error
    (in_folder / "rows.csv").unlink()  # Without the table, samples alone.
    assert main(["sample", "outputs/vae-rows"]) == 0
    (in_folder / "rows.csv").write_text(text, encoding="utf-8")
    assert "gan makes images" in error_of(capsys, "train", "gan", "--data", "rows.csv")


def test_a_column_of_counts_has_a_likelihood_of_counts(sources, in_folder, capsys):
    argv = ["train", "vae", "--data", "rows.csv", "--kinds", "b=count", "--epochs", "1"]
    code = lines_of(capsys, *argv)
    assert 'kinds={"b": "count"}' in code
    assert main(argv) == 0
    assert main(["evaluate", "outputs/vae-rows"]) == 0
    names = executed(lines_of(capsys, "sample", "outputs/vae-rows"))
    assert [column.kind for column in names["info"].columns] == ["number", "count"]
    assert main(["sample", "outputs/vae-rows"]) == 0
    assert "kinds and label name columns" in error_of(
        capsys, *argv, "--kinds", "c=count", "--output-dir", "other"
    )


@pytest.mark.parametrize("rows_of_three", [("{},{}", "{},", "{},"), ("{},", ",{}", "{},")])
def test_rows_with_missing_values(in_folder, capsys, rows_of_three):
    """Of which the picture of real rows has those that miss nothing, if there are any."""
    rows = [rows_of_three[i % 3].format(i % 7, i % 5) for i in range(100)]
    (in_folder / "rows.csv").write_text("\n".join(["a,b", *rows]), encoding="utf-8")
    error = error_of(capsys, "train", "vae", "--data", "rows.csv")
    assert "pass mask=True" in error and "(Here: the model missing-data-vae.)" in error
    assert main(["train", "missing-data-vae", "--data", "rows.csv", "--epochs", "1"]) == 0
    assert main(["evaluate", "outputs/missing-data-vae-rows"]) == 0
    assert "elbo" in capsys.readouterr().out
    assert main(["sample", "outputs/missing-data-vae-rows"]) == 0
    assert (in_folder / "outputs" / "missing-data-vae-rows" / "samples.png").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "missing-data-vae"], "is for tables with missing values. Received: --data digi"),
        (["train", "vae", "--kinds", "a=count"], "--kinds is for the columns of a CSV file."),
        (["train", "vae", "--data", "a.csv", "--kinds", "a=int"], "expected NAME=KIND, a column"),
        (["search", "beta-vae", "--objective", "nosuch"], "got 'nosuch'"),
        (["train", "vea"], "invalid choice: 'vea'"),
        (["train", "vae", "--epochs", "0"], "expected an int of at least 1, got '0'"),
        (["train", "vae", "--learning-rate", "fast"], "expected a number above 0, got 'fast'"),
        (["train", "vae", "--set", "beta"], "expected NAME=VALUE, such as beta=4, got 'beta'"),
        (["train", "vae", "--set", "gamma=1"], "Received: --set gamma. Expected one of ['beta'"),
        (["train", "vae", "--data", "mnsit"], "Did you mean one of ['mnist'"),
        (["train", "gan", "--likelihood", "normal"], "--likelihood is for models with a density"),
        (["train", "vae", "--data", "a.csv", "--image-size", "8"], "--image-size is for images."),
        (["train", "vae", "--data", "a.csv", "--cache-dir", "c"], "--cache-dir is for images."),
        (["train", "vae", "--cache-dir", "c"], "are kept in a cache_dir. Received: cache_dir='c'"),
        (["train", "vae", "--data", "3dshapes"], "(Here: --data-dir.)"),
        (["train", "vae", "--data", "mnist", "--data-dir", "."], "and --download.)"),
        (["train", "vae", "--data", "a.csv", "--network", "conv"], "--network is for images."),
        (["search", "beta-vae", "--data", "a.csv"], "search is for images."),
        (["search", "beta-vae", "--set", "beta=2"], "Values of beta are those of --weights."),
        (["search", "beta-vae", "--batch-size", "8", "--set", "batch_size=9"], "--batch-size."),
        (["evaluate", "missing.keras"], "There is no model. Received: missing.keras."),
        (["sample", "."], "There is no model. Received: ."),
        (
            ["data", "prepare", "mnsit"],
            "no such data set. Received: mnsit. Did you mean one of ['mn",
        ),
        (["data", "prepare", "digits"], "digits is in the package."),
        (["data", "prepare", "cars3d"], "Get cars from its authors"),
        (["bake"], "invalid choice: 'bake'"),
        ([], "COMMAND"),
    ],
)
def test_errors_take_one_line(argv, message, in_folder, capsys):
    assert message in error_of(capsys, *argv)


@pytest.mark.parametrize("source", ["rows.csv", "photos"])
def test_data_too_few_to_hold_some_out(source, in_folder, capsys):
    (in_folder / "rows.csv").write_text("a,b\n1,2\n2,4\n3,5\n", encoding="utf-8")
    write_photos("photos", 3)
    argv = ["train", "vae", "--data", source, "--epochs", "1"]
    assert "of 3 examples. Give 5 or more, or say what" in error_of(capsys, *argv)
    assert main([*argv, "--train-split", "train", "--test-split", "train"]) == 0
    error = error_of(capsys, *argv, "--train-split", "train", "--test-split", "train[99%:]")
    assert "(Here: --test-split.)" in error


def test_what_cannot_be_traversed(trained, in_folder, capsys):
    assert main(["train", "gan", *SMALL, "--epochs", "1", "--output-dir", "gan"]) == 0
    assert "a GAN, which has no codes of images." in error_of(capsys, "traverse", "gan")
    error = error_of(capsys, "traverse", str(trained), "--dims", "1", "40")
    assert "Received: --dims 40. Choose from 0 to 2" in error


def test_objectives_are_those_of_searches():
    assert set(OBJECTIVES) == {*objectives.OBJECTIVES, "bits_per_dim"}


def test_lines_use_what_they_import_and_load(in_folder, trained, capsys):
    """Imports are in three groups at most, of Python first, and of tfgen before Keras."""
    assert main(["train", "gan", *SMALL, "--epochs", "1", "--output-dir", "gan"]) == 0
    few = ["--test-split", "test[:4]"]
    for argv in [
        ["train", "vae"],
        ["bench", "vae"],
        ["evaluate", "gan", *few],
        ["search", "dip-vae"],
    ]:
        code = lines_of(capsys, *argv)
        used = [name.id for name in ast.walk(ast.parse(code)) if isinstance(name, ast.Name)]
        for statement in ast.parse(code).body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                assert {name.name for name in statement.names} <= set(used), code
        if "import keras" in code:
            assert code.index("from tfgen") < code.index("import keras"), code
        assert ("train" in used) == (argv[0] in ("train", "bench")), code


def test_an_image_that_is_not_there(trained, in_folder, capsys):
    assert "Received: --image 64" in error_of(
        capsys, "traverse", str(trained), "--image", "64", "--output", "a.png"
    )
    assert not list(in_folder.iterdir())


def test_traceback_is_shown_on_demand(in_folder):
    with pytest.raises(FileNotFoundError):
        main(["sample", "missing.keras", "--traceback"])


def test_few_photos_are_seen_as_often_as_many(tmp_path):
    for i in range(200):
        (tmp_path / f"{i}.png").touch()
    assert epochs_of(str(tmp_path)) * 200 == FEWEST_IMAGES
    assert epochs_of("cifar10") == 20


def test_very_few_photos_do_not_take_hours(tmp_path):
    (tmp_path / "a.png").touch()
    assert epochs_of(str(tmp_path)) == MOST_EPOCHS
