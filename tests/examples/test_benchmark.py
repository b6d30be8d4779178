"""The benchmark's rows, queue and fingerprints; a row that is killed and goes on."""

import argparse
import dataclasses
import importlib
import json
import pathlib
import subprocess
import sys
import time
from concurrent import futures

import keras
import numpy as np
import pytest

from tfgen import models

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
BASES = {"AuxiliaryVAE", "GenerativeModel", "ResumableModel"}
OTHER_DATA = {"AdaGVAE", "MIWAE", "MissingDataVAE", "SemiSupervisedVAE"}  # Pairs, masks, -1.


@pytest.fixture(scope="module")
def scripts():
    """The modules of the benchmark by their last names."""
    names = ["benchmark", "benchmark_rows", "benchmark_run", "benchmark_fingerprint"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        modules = [importlib.import_module(name) for name in names]
        yield argparse.Namespace(
            command=modules[0], rows=modules[1], run=modules[2], fingerprint=modules[3]
        )


@pytest.fixture
def row(scripts):
    return {row.name: row for row in scripts.rows.ROWS}.__getitem__


@pytest.fixture
def page(scripts):
    return importlib.import_module("benchmark_page")


def jobs(scripts, tmp_path, *flags):
    paths = ["--output-dir", str(tmp_path), "--records", str(tmp_path / "records")]
    return scripts.command.jobs(scripts.command.parse_args([*paths, *flags]))


def run_of(scripts, row, folder, seed=0):
    """A smoke run of a row."""
    args = scripts.command.parse_args(["--smoke", "--output-dir", str(folder)])
    return scripts.command.run_of(scripts.command.job_of(row, "digits", seed, args), args)


def write_result(job, seconds, print_of, record=False, timed=True):
    folder = job.record if record else job.folder
    folder.mkdir(parents=True)
    content = {
        "metrics": {"timed": timed, "seconds_per_epoch": 9.0},
        "name": job.row.name,
        "dataset": job.dataset,
        "seed": job.seed,
        "total_seconds": seconds,
        "fingerprint": print_of,
    }
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")


# The table.


def test_every_model_has_a_row(scripts):
    classes = {
        name
        for name in models.__all__
        if isinstance(getattr(models, name), type)
        and issubclass(getattr(models, name), keras.Model)
    }
    assert {row.model.__name__ for row in scripts.rows.ROWS} == classes - BASES - OTHER_DATA


def test_rows_share_one_budget(scripts):
    small = [row for row in scripts.rows.ROWS if row.budget == "small"]
    # Those of 10 epochs, in a table of their own, are models of grey images that are convolutional.
    assert {row.epochs for row in small} == {10, 30}
    grey = {row.name for row in small if row.pixels != "binary"}
    assert {row.name for row in small if row.epochs == 10} <= grey
    assert len({row.name for row in scripts.rows.ROWS}) == len(scripts.rows.ROWS)
    for row in small:
        assert row.pixels == "binary" or "nll" not in row.measures


@pytest.mark.slow
def test_builders_make_what_rows_declare(scripts, tmp_path):
    for row in scripts.rows.ROWS:
        assert type(row.build(run_of(scripts, row, tmp_path), (8, 8, 1))) is row.model, row.name


# Order.


def test_order(scripts, tmp_path):
    chosen = jobs(scripts, tmp_path, "--seeds", "3", "--dataset", "mnist", "fashion_mnist")
    small = [row.name for row in scripts.rows.ROWS if row.budget == "small"]
    names = [(job.dataset, job.seed, job.row.name) for job in chosen]
    assert names[: len(small)] == [("mnist", 0, name) for name in small]
    seeds = [(dataset, seed) for dataset, seed, _ in names]
    assert seeds == sorted(seeds, key=lambda pair: (pair[0] != "mnist", pair[1]))
    later = {name for _, seed, name in names if seed > 0}
    assert "vae" in later and "draw-vgp" not in later


def test_measured_times_say_which_rows_are_quick(scripts, tmp_path):
    (vae, slow) = jobs(scripts, tmp_path, "--run", "vae", "draw-vgp")
    for job, seconds in ((vae, 361.0), (slow, 359.0)):
        write_result(job, seconds, "any")
    later = {job.row.name for job in jobs(scripts, tmp_path, "--seeds", "2") if job.seed == 1}
    assert "draw-vgp" in later and "vae" not in later


def test_named_rows_have_all_seeds(scripts, tmp_path):
    chosen = jobs(scripts, tmp_path, "--seeds", "2", "--run", "draw-vgp", "vae")
    assert [(job.row.name, job.seed) for job in chosen] == [
        ("vae", 0),
        ("draw-vgp", 0),
        ("vae", 1),
        ("draw-vgp", 1),
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "must be at least 1"),
        (["--dataset", "digits"], "--smoke alone"),
        (["--run", "vea"], "invalid choice"),
        (["--dataset", "static_mnist"], "needs --static-mnist FOLDER"),
    ],
)
def test_rejects(scripts, capsys, flags, message):
    with pytest.raises(SystemExit):
        scripts.command.parse_args(flags)
    assert message in capsys.readouterr().err


def test_peers_are_rows(scripts):
    names = {row.name for row in scripts.rows.ROWS}
    assert {name.split(" ")[0] for name in scripts.rows.PEERS} <= names


# Times.


def test_expected_seconds(scripts, row):
    vae, slow = row("vae"), row("iwae-50")
    expected = scripts.command.expected_seconds
    assert expected(vae, []) == 60 * vae.minutes
    done = [{"name": "vae", "total_seconds": 30 * vae.minutes}]
    assert expected(vae, done) == 30 * vae.minutes
    assert expected(slow, done) == 30 * slow.minutes  # Others took half of their guesses.
    done.append({"name": "vae", "total_seconds": 90 * vae.minutes})
    assert expected(vae, done) == 60 * vae.minutes


def test_trained_in_part_takes_the_rest(scripts, tmp_path):
    (job,) = jobs(scripts, tmp_path, "--run", "vae")
    job.folder.mkdir(parents=True)
    (job.folder / "epochs.csv").write_text("epoch,loss\n0,1\n1,1\n1,1\n2,1\n")
    noted = job.folder / "fingerprint.txt"
    noted.write_text(scripts.command.fingerprint_of("vae"))
    assert scripts.command.share_left(job) == pytest.approx(27 / 30)
    noted.write_text("that of other code")
    assert scripts.command.share_left(job) == 1


def test_quiet_epochs_are_timed(scripts):
    epoch_seconds = scripts.run.epoch_seconds
    quiet = {"seconds_per_epoch": 2.0, "timed": True}
    assert epoch_seconds([2.0, 9.0, 2.0], [0.1, 1.5, 0.2]) == quiet
    assert epoch_seconds([2.0, 4.0], [float("inf")] * 2) == {
        "seconds_per_epoch": 3.0,
        "timed": False,
    }


def test_others_load(scripts, monkeypatch):
    monkeypatch.setattr(scripts.run.os, "nice", lambda _: 0)
    # In ten seconds the machine worked for 19, this process for 12.
    assert scripts.run.others_load((5.0, 100.0, 7.0), (15.0, 119.0, 19.0)) == pytest.approx(0.7)
    monkeypatch.setattr(scripts.run.os, "nice", lambda _: 19)
    assert scripts.run.others_load((5.0, 100.0, 7.0), (15.0, 112.0, 19.0)) == float("inf")


# States and the list.


def test_list(scripts, tmp_path, capsys):
    flags = ["--run", "vae", "ae", "wae", "aae", "--output-dir", str(tmp_path)]
    flags += ["--records", str(tmp_path / "records")]
    vae, ae, wae, aae = jobs(scripts, tmp_path, *flags)
    write_result(aae, 60.0, scripts.command.fingerprint_of("aae"), record=True)
    write_result(vae, 120.0, scripts.command.fingerprint_of("vae"))
    write_result(ae, 80.0, "that of other code")
    with scripts.run.locked(wae.folder) as ours:
        assert ours
        # The lock is the open file's: another one in this process finds it taken.
        scripts.command.main([*flags, "--list"])
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["vae"][1:] == ["VAE", "mnist", "0", "30", "done", "2", "min"]
    assert lines["ae"][5:] == ["stale", "80", "s", "80", "s"]
    assert lines["wae"][5] == "running"
    assert lines["aae"][5] == "done"  # Its record is in the repository.
    assert "2 of 4 done" in " ".join(lines["2"])
    assert scripts.command.state_of(wae) == "to do"


# Times taken apart, and static MNIST.


def test_time_again(scripts, row, tmp_path, monkeypatch):
    """Two epochs of a new model: the seconds of the second one, where the machine is idle."""
    (job,) = jobs(scripts, tmp_path, "--run", "ae")
    write_result(job, 60.0, scripts.command.fingerprint_of("ae"), timed=False)
    write_result(job, 60.0, scripts.command.fingerprint_of("ae"), record=True, timed=False)
    assert scripts.command.lacks_time(job)
    run = run_of(scripts, row("ae"), tmp_path)
    for load in (scripts.run.QUIET + 1, 0.0):
        monkeypatch.setattr(scripts.run, "others_load", lambda *_, load=load: load)
        timed = scripts.run.time_again(job.row, run, (job.folder, job.record))
        assert timed == (load == 0.0) != scripts.command.lacks_time(job)
    for folder in (job.folder, job.record):
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        assert 0 < result["metrics"]["seconds_per_epoch"] < 9
        assert "hardware" in result["timed_apart"]


def test_static_mnist(scripts, row, tmp_path):
    """Lines of zeros and ones, from files that stand for the splits."""
    rng = np.random.default_rng(0)
    sizes = {"train": 120, "test": 30}
    images = {name: rng.integers(0, 2, (size, 784)) for name, size in sizes.items()}
    for name, values in images.items():
        np.savetxt(tmp_path / f"binarized_mnist_{name}.amat", values, "%d")
    flags = ["--dataset", "static_mnist", "--static-mnist", str(tmp_path), "--run", "vae-500"]
    args = scripts.command.parse_args(flags)
    (job,) = scripts.command.jobs(args)
    run = scripts.command.run_of(job, args)
    assert scripts.run.train_split(run) == "train"
    train = scripts.run.load_data(job.row, run, "train")[0]
    assert train.cardinality() == 1 and next(iter(train)).shape == (100, 28, 28, 1)
    seen = next(iter(scripts.run.load_data(job.row, run, "test[:20]")[0]))
    np.testing.assert_array_equal(np.reshape(seen, (20, 784)), images["test"][:20])
    assert scripts.run.source_of(run.args, "test", labels=True) == ("mnist", "test")


# Fingerprints.


def test_fingerprint_sees_declarations(scripts, row):
    mark = scripts.fingerprint.fingerprint
    vae = row("vae")
    assert mark(vae, []) == mark(vae._replace(setup="a VAE", minutes=1), [])
    changed = [
        vae._replace(epochs=31),
        vae._replace(optimizer=("adam", {"learning_rate": 2e-3})),
        vae._replace(measures=("bound",)),
        vae._replace(build=row("vamp-prior").build),
    ]
    assert len({mark(other, []) for other in [vae, *changed]}) == 5
    assert mark(vae, []) != mark(vae, [scripts.run.load_data])


def test_recipe_is_what_trains(scripts):
    code, _ = scripts.fingerprint.scripts_and_files(scripts.run.RECIPE)
    names = {key.split("(")[0].split(".")[-1] for key, _ in code}
    assert names >= {"fitted", "load_data", "train_split", "num_epochs", "optimizer"}
    assert "fit_resumable" in names and not names & {"save_figure", "peak_memory", "measure"}


def test_fingerprint_sees_constants_and_options(scripts, row, monkeypatch):
    mark, builders = scripts.fingerprint.fingerprint, scripts.rows.builders
    before = {name: mark(row(name), []) for name in ("gan", "vae", "planar-10")}
    monkeypatch.setattr(builders, "GAN_WIDTH", 25)
    assert mark(row("gan"), []) != before["gan"]
    assert mark(row("vae"), []) == before["vae"]
    options = [builders.vae_variant(models.BetaVAE, beta=beta) for beta in (4.0, 5.0)]
    assert len({mark(row("beta-vae")._replace(build=build), []) for build in options}) == 2


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ("tfgen.models.beta_vae", {"beta-vae"}),
        ("tfgen.models.vae", {"vae", "beta-vae", "iaf"}),
        ("tfgen.bijectors.autoregressive", {"iaf"}),
        ("tfgen.networks.dcgan", {"gan"}),
        ("tfgen.losses.adversarial", {"gan"}),
        ("tfgen.models.base", {"vae", "beta-vae", "iaf", "gan"}),
    ],
)
def test_fingerprint_sees_the_code_of_models(scripts, row, monkeypatch, changed, stale):
    names = ["vae", "beta-vae", "iaf", "gan"]
    mark, code = scripts.fingerprint.fingerprint, scripts.fingerprint.file_code
    before = {name: mark(row(name), []) for name in names}
    monkeypatch.setattr(
        scripts.fingerprint, "file_code", lambda n: code(n) + ("\nx = 1" if n == changed else "")
    )
    assert {name for name in names if mark(row(name), []) != before[name]} == stale


def test_normalized_code(scripts):
    normalized = scripts.fingerprint.normalized
    plain = 'def f(x):\n    """One."""\n    return x + 1  # Because.\n'
    assert normalized(plain) == normalized("def f(x):\n\n    return (x + 1)\n")
    assert normalized(plain) != normalized("def f(x):\n    return x + 2\n")


# Renewal.


@pytest.fixture
def renew(scripts):
    return importlib.import_module("benchmark_renew")


@pytest.mark.slow
def test_digest_is_of_what_is_trained(scripts, renew, row, monkeypatch):
    before = renew.digest_of("vae", "digits", "0", None)
    assert renew.run_in(renew.REPOSITORY, ("vae", "digits", "0"), None) == before
    assert renew.digest_of("vae", "digits", "1", None) != before
    other = row("vae")._replace(optimizer=("adam", {"learning_rate": 1.01e-3}))
    monkeypatch.setattr(scripts.command, "row_of", lambda name: other)
    assert renew.digest_of("vae", "digits", "0", None) != before


def test_stale_results_that_compute_the_same_are_renewed(scripts, renew, tmp_path, monkeypatch):
    today = scripts.command.fingerprint_of
    written = jobs(scripts, tmp_path, "--run", "vae", "gan", "ae")
    for job in written:
        write_result(job, 1.0, today("gan") if job.row.name == "gan" else "old")
    monkeypatch.setattr(renew, "check_committed", lambda: None)
    monkeypatch.setattr(renew, "computes_the_same", lambda result, _: result["name"] == "vae")
    renew.main([str(tmp_path)])
    results = {j.row.name: json.loads((j.folder / "result.json").read_text()) for j in written}
    assert results["vae"]["fingerprint"] == today("vae") and "renewed" in results["vae"]
    assert results["ae"]["fingerprint"] == "old" and "renewed" not in results["gan"]


# A row, in this process.


@dataclasses.dataclass
class Kill(keras.callbacks.Callback):
    """Ends training in the middle of the second epoch."""

    epoch: int = 0

    def __post_init__(self):
        super().__init__()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1 and batch >= 5:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_killed_row_goes_on(scripts, row, tmp_path, monkeypatch):
    """In the middle of training, then between two measures: the numbers are those of one run."""
    vae = row("vae")
    whole, parts = (run_of(scripts, vae, tmp_path / name) for name in ("whole", "parts"))
    assert scripts.run.measure(vae, whole)
    with pytest.raises(KeyboardInterrupt):
        scripts.run.measure(vae, parts, [Kill()])
    assert scripts.run.state(parts.folder, scripts.run.fingerprint(vae, scripts.run.RECIPE)) == (
        "to do"
    )
    with monkeypatch.context() as patch:
        patch.setattr(scripts.run.metrics, "importance_sampled_nll", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scripts.run.measure(vae, parts)
    done = (parts.folder / "parts" / "samples.json").stat().st_mtime_ns
    assert scripts.run.measure(vae, parts)
    assert (parts.folder / "parts" / "samples.json").stat().st_mtime_ns == done
    a, b = (
        json.loads((run.folder / "result.json").read_text(encoding="utf-8"))
        for run in (whole, parts)
    )
    assert a["fingerprint"] == b["fingerprint"]
    assert a["metrics"]["elbo"] == pytest.approx(
        -a["metrics"]["rate"] - a["metrics"]["distortion"], rel=1e-6
    )
    for name in ("elbo", "rate", "nll_200", "nll_5000", "classifier_frechet_distance"):
        assert a["metrics"][name] == b["metrics"][name], name


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_stale_row_is_put_aside_and_run_again(scripts, row, tmp_path):
    """And one that is done is left alone."""
    ae = row("ae")
    run = run_of(scripts, ae, tmp_path)
    assert scripts.run.measure(ae, run)
    path = run.folder / "result.json"
    first = path.stat().st_mtime_ns
    assert scripts.run.measure(ae, run)
    assert path.stat().st_mtime_ns == first
    changed = ae._replace(optimizer=("adam", {"learning_rate": 2e-3}))
    assert scripts.run.state(run.folder, "another") == "stale"
    assert scripts.run.measure(changed, run)
    (aside,) = run.folder.glob("stale-*")
    before, after = (
        json.loads((f / "result.json").read_text(encoding="utf-8")) for f in (aside, run.folder)
    )
    assert before["fingerprint"] != after["fingerprint"]
    assert before["metrics"]["epochs"] == after["metrics"]["epochs"] == 2


# The command.


@pytest.mark.slow
def test_smoke(scripts, tmp_path, capsys):
    """A row in a process of its own; the second call finds it done."""
    flags = ["--smoke", "--run", "gan", "--output-dir", str(tmp_path)]
    command = [sys.executable, str(EXAMPLES / "benchmark.py"), *flags]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scripts.command.main(flags)
    assert "1 of 1 done" in first and "gan, digits, seed 0: done" in capsys.readouterr().out
    folder = tmp_path / "digits-smoke" / "gan" / "seed_0"
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["command"] == "python examples/benchmark.py --run gan --smoke --seeds 1"
    assert result["metrics"]["coverage"] <= 1 <= 2 * result["metrics"]["real_coverage"]
    assert "elbo" not in result["metrics"] and result["metrics"]["peak_memory_mib"] > 100
    assert {p.name for p in folder.glob("*.png")} == {"samples.png", "curves.png"}
    assert keras.models.load_model(folder / "model.keras").data_shape == (8, 8, 1)


@pytest.mark.slow
def test_row_with_labels(scripts, row, tmp_path):
    run = run_of(scripts, row("conditional-vae"), tmp_path)
    assert scripts.run.measure(row("conditional-vae"), run)
    assert (run.folder / "reconstructions.png").exists()


def test_children_end_with_their_parent(scripts, tmp_path):
    children = scripts.command.Children()
    waiting = [sys.executable, "-c", "import time; time.sleep(600)"]
    with futures.ThreadPoolExecutor(1) as pool:
        ended = pool.submit(children.run, waiting, tmp_path / "log.txt")
        while not children.running:
            time.sleep(0.01)
        with pytest.raises(SystemExit, match="to go on"):
            children.end()
        assert ended.result(timeout=60) is False
    assert children.run(waiting, tmp_path / "log.txt") is False  # Not begun any more.


def test_failed_row_is_named(scripts, tmp_path, monkeypatch, capsys):
    """And the others are run."""
    monkeypatch.setattr(
        scripts.command,
        "child_command",
        lambda job, argv: [sys.executable, "-c", f"exit({int(job.row.name == 'vae')})"],
    )
    with pytest.raises(SystemExit, match="1 rows failed: vae"):
        scripts.command.main(["--smoke", "--run", "vae", "ae", "--output-dir", str(tmp_path)])
    assert "ae, digits, seed 0: to do" in capsys.readouterr().out


# The page.


def result_of(row, seed, **metrics):
    known = {"timed": True, "seconds_per_epoch": 2.0, "parameters": 9}
    return {
        "name": row.name,
        "setup": row.setup,
        "dataset": "mnist",
        "seed": seed,
        "configuration": {"epochs": row.epochs},
        "hardware": "2 cores",
        "versions": "Keras",
        "metrics": {**known, **metrics},
    }


def test_page(row, tmp_path, page):
    given = [
        result_of(row("gan"), 0, classifier_frechet_distance=1.5),
        result_of(row("vae"), 0, elbo=-100.0, rate=25.0, distortion=75.0),
        result_of(row("vae"), 1, elbo=-98.0, rate=25.0, distortion=73.0, timed=False),
        result_of(row("iaf"), 0),
    ]
    # Of 400 images one seed of the VAE has 90 nats, the other 92; IAF 0 or 2 nats less than 91.
    nlls = {"vae0": np.full(400, 90.0), "vae1": np.full(400, 92.0)}
    nlls["iaf0"] = np.tile([91.0, 89.0], 200)
    for result in given:
        folder = tmp_path / result["name"] / f"seed_{result['seed']}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
        keras.utils.save_img(folder / "samples.png", np.zeros((8, 8, 1)))
        if (key := f"{result['name']}{result['seed']}") in nlls:
            np.save(folder / "nlls_200.npy", nlls[key])
    page.main([str(tmp_path), "--to", str(tmp_path / "page")])
    target = tmp_path / "page"
    lines = (target / "summary.md").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "30 epochs:"
    assert lines[5:7] == [
        "| vae | -99.0 ± 1.4 | 2.0 |  | -99.5, 93.4, 3.0 |",
        "| iaf |  | 2.0 | -1.00 ± 0.10 | -98.8, 93.0, 8.0 |",
    ]
    assert "| vae (PyTorch by hand) |  |  |  | -99.6, 93.5, 2.3 |" in lines[7:-5]
    assert lines[-5] == "10 epochs:"
    assert lines[-1] == "| gan | 1.50 | 2.0 |"  # Without columns that would be empty.
    text = (target / "index.html").read_text(encoding="utf-8")
    assert "<td>-99.0 ± 1.4</td><td>25.0 ± 0.0</td><td>74.0 ± 1.4</td>" in text
    for name in ("vae", "gan"):
        assert f'<img src="../{name}/seed_0/samples.png"' in text
    assert (target / "rate_distortion.png").stat().st_size > 5000
    assert "likelihood_samples.png" not in text  # No model has both.
    assert "cost_quality.png" in text


def test_a_plot_of_few_models_is_left_out(row, page):
    """Of five models with scores one was timed."""
    names = ("gan", "gan-hinge", "wgan", "wgan-gp", "ali")
    results = {
        name: [result_of(row(name), 0, timed=name == "gan", classifier_frechet_distance=1.5)]
        for name in names
    }
    assert page.PLOTS["cost_quality.png"](results) is None
    assert page.PLOTS["cost_quality.png"]({n: results[n] for n in names[:4]}) is not None


def test_page_of_nothing(page, tmp_path, capsys):
    with pytest.raises(SystemExit):
        page.main([str(tmp_path)])
    assert "Run benchmark.py first" in capsys.readouterr().err
