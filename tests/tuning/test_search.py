"""Searches: what is recorded, what failing trials and kills do, what Hyperband continues."""

import contextlib
import errno
import functools
import gc
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap

import keras
import keras_tuner as kt
import numpy as np
import pytest

from tfgen import datasets, models, tuning
from tfgen.tuning import trials

module = sys.modules["tfgen.tuning.search"]  # `tuning.search` is the function.


class Killed(BaseException):
    """Ends a process in the place where it is raised: nothing catches it."""


class Stub:
    """What a search needs of a model."""

    def save(self, path):
        path.touch()


class Scripted(tuning.BetaLatentHyperModel):
    """Trains nothing: the ELBO follows from beta and latent size, or is a scripted event."""

    def start(self, events=None):
        self.events, self.trained = events or {}, []
        return self

    def build(self, hp):
        self.values(hp)
        return Stub()

    def fit(self, hp, model, **kwargs):
        values = self.values(hp)
        key = (values["beta"], values["latent_dim"])
        event = self.events.get(key)
        if isinstance(event, BaseException):
            raise event
        self.trained.append(key)
        return {"val_elbo": -key[0] - 0.1 * key[1] if event is None else event}


@pytest.fixture
def scripted(monkeypatch):
    """Function to a `Scripted` hypermodel over 2 x 3 values, with events by (beta, latent_dim)."""
    shared = Scripted(
        lambda split, batch_size, **kwargs: datasets.load("digits", split, batch_size, **kwargs),
        beta=(1.0, 4.0),
        latent_dim=(2, 3, 4),
        width=4,
    )

    monkeypatch.setattr(module, "load_model", lambda path: Stub())
    monkeypatch.setattr(module, "_memory_returned", contextlib.nullcontext)
    return shared.start


def run(hypermodel, folder, tuner="grid", **kwargs):
    limits = {"max_trials": 5} if tuner in ("random", "bayesian") else {}
    limits["epochs"] = 3 if tuner == "hyperband" else 2  # From 3 on Hyperband has two rounds.
    return tuning.search(hypermodel, folder, tuner=tuner, **{"verbose": 0} | limits | kwargs)


def outcome(result):
    """What must not depend on kills: everything but times and folders."""
    return [t._replace(seconds=0.0, folder=None) for t in result.trials]


# Records.


@pytest.mark.parametrize(
    ("tuner", "limits", "number"),
    [
        ("grid", {}, 6),
        ("grid", {"max_trials": 4}, 4),
        ("random", {"max_trials": 3}, 3),
        ("hyperband", {}, None),
    ],
)
def test_lines_say_how_many_trials_are_left(tuner, limits, number, scripted, tmp_path, capsys):
    run(scripted(), tmp_path, tuner, verbose=1, **limits)
    heads = [
        line.split(": ")[0].split(" s, ", 1)[-1]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("trial ")
    ]
    if number is None:
        assert heads and not any(" of " in head for head in heads)
    else:
        expected = [f"{i} of {number}, 0 s left" for i in range(1, number)]
        assert heads == [*expected, f"{number} of {number}"]


def test_versions_of_what_computes_are_recorded(scripted, tmp_path):
    run(scripted(), tmp_path)
    versions = tuning.load_search(tmp_path)["versions"]
    assert list(versions) == ["tfgen", "tensorflow", "keras", "keras_tuner"]


def num_training_graphs():
    graphs = [o for o in gc.get_objects() if type(o).__name__ == "FuncGraph"]
    return sum(graph.name == "one_step_on_data" for graph in graphs)


@pytest.fixture(scope="module")
def trained_and_graphs(tmp_path_factory):
    """A real search of two trials, and how many graphs of training steps it left behind."""
    hypermodel = tuning.BetaLatentHyperModel(
        lambda *args, **kwargs: datasets.load("digits", *args, binarize="threshold", **kwargs),
        beta=(1.0, 8.0),
        latent_dim=2,
        width=8,
        batch_size=64,
        splits=("train[:128]", "train[128:192]"),
    )
    gc.collect()
    before = num_training_graphs()
    result = run(hypermodel, tmp_path_factory.mktemp("search"), metrics=("mig", "mmd"))
    return result, num_training_graphs() - before


@pytest.fixture
def trained(trained_and_graphs):
    return trained_and_graphs[0]


@pytest.mark.slow
def test_trials_leave_no_graph_behind(trained_and_graphs):
    assert trained_and_graphs[1] <= 0


@pytest.mark.slow
def test_records_hold_the_values_and_the_metrics(trained):
    first = trained.trials[0]
    assert first.status == "COMPLETED"
    assert first.hyperparameters == {
        "beta": 1.0,
        "latent_dim": 2,
        "learning_rate": 1e-3,
        "batch_size": 64,
        "likelihood": "bernoulli",
        "width": 8,
    }
    assert first.epochs == 2 and first.seconds > 0
    metrics = first.metrics
    assert metrics["val_elbo"] == pytest.approx(-metrics["val_reconstruction"] - metrics["val_kl"])
    assert 0 <= metrics["mig"] <= 1
    goal = {"name": "val_elbo", "direction": "max", "value": metrics["val_elbo"]}
    assert first.objective == goal


def test_the_best_model_is_saved_whole_and_gives_the_recorded_metrics(trained):
    model = models.load_model(trained.best.model_path)
    assert model.optimizer.iterations == 4  # 2 epochs of 2 batches: its optimizer is there too.
    data, _ = datasets.load("digits", "train[128:192]", 64, binarize="threshold", shuffle=False)
    measured = model.evaluate(data, verbose=0, return_dict=True)
    assert measured["elbo"] == pytest.approx(trained.best.metrics["val_elbo"], rel=1e-5)


def test_the_search_is_described(trained):
    described = tuning.load_search(trained.output_dir)
    assert described["objective"] == {"name": "val_elbo", "direction": "max"}
    assert (described["model"], described["dataset"]) == ("BetaVAE", "digits")
    assert described["space"]["beta"] == [1.0, 8.0]
    assert described["space"]["likelihood"] == ["bernoulli"]


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        ("/venv/bin/tfgen", "tfgen search vae"),
        ("/site-packages/tfgen/__main__.py", "python -m tfgen search vae"),
        ("examples/tune.py", "python examples/tune.py search vae"),
    ],
)
def test_the_command_that_was_typed(program, typed, scripted, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program, "search", "vae"])
    run(scripted(), tmp_path)
    assert json.loads((tmp_path / "search.json").read_text())["command"] == typed


@pytest.mark.parametrize(
    "save_models, kept",
    [
        ("best", [0]),
        ("best_and_worst", [0, 5]),
        ("few", [0, 1, 2, 5]),
        ("all", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_models_that_are_kept(scripted, tmp_path, save_models, kept):
    result = run(scripted(), tmp_path, save_models=save_models)
    ranked = sorted(result.trials, key=lambda t: -t.objective["value"])
    assert [i for i, trial in enumerate(ranked) if trial.model_path] == kept


def test_a_grid_is_complete(scripted, tmp_path):
    hypermodel = scripted()
    run(hypermodel, tmp_path)
    assert sorted(hypermodel.trained) == [(b, d) for b in (1.0, 4.0) for d in (2, 3, 4)]


# Trials that fail.


@pytest.mark.parametrize("tuner", ["grid", "random", "bayesian", "hyperband"])
def test_failing_and_diverging_trials_are_recorded_and_the_search_goes_on(
    scripted, tmp_path, tuner
):
    """Four of six fail, all in a row in a grid, where KerasTuner's default would give up."""
    events = {
        (1.0, 3): RuntimeError("out of memory"),
        (1.0, 4): FloatingPointError("Training diverged"),
        (4.0, 2): math.nan,
        (4.0, 3): math.inf,
    }
    result = run(scripted(events), tmp_path, tuner)
    seen = {(t.hyperparameters["beta"], t.hyperparameters["latent_dim"]): t for t in result.trials}
    statuses = {key: trial.status for key, trial in seen.items()}
    expected = dict.fromkeys(events, "INVALID") | {(1.0, 3): "FAILED"}
    assert statuses == {key: expected.get(key, "COMPLETED") for key in statuses}
    assert set(statuses.values()) == {"COMPLETED", "FAILED", "INVALID"} or tuner != "grid"
    for key in seen.keys() & events.keys():
        assert seen[key].objective is None and seen[key].model_path is None
    if (1.0, 3) in seen:
        assert seen[1.0, 3].message == "RuntimeError: out of memory"
    completed = [t for t in result.trials if t.status == "COMPLETED"]
    assert result.best == max(completed, key=lambda t: t.objective["value"], default=None)


@pytest.mark.slow
def test_a_learning_rate_that_diverges_is_recorded(hypermodel, tmp_path):
    result = run(hypermodel(beta=1.0, learning_rate=(1e30, 1e-3)), tmp_path)
    assert [t.status for t in result.trials] == ["INVALID", "COMPLETED"]
    assert "became NaN or infinite" in result.trials[0].message


# Faults of the machine, of which no trial is guilty.


def no_space(path=None):
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def chained(error):
    """What Keras makes of an error of HDF5: another one, that names it."""
    outer = RuntimeError("cannot write")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        no_space("cache.npz"),
        OSError(errno.EROFS, "Read-only file system"),
        RuntimeError("Can't decrement id: error message = 'No space left on device'"),
        chained(no_space()),
    ],
)
def test_a_full_disk_ends_the_search_and_its_trial_begins_anew(scripted, tmp_path, error):
    hypermodel = scripted({(1.0, 3): error})
    with pytest.raises(
        OSError, match=rf"search in {tmp_path} has stopped. Received: .*begins anew"
    ):
        run(hypermodel, tmp_path)
    assert [t.status for t in tuning.load_trials(tmp_path)] == ["COMPLETED"]
    hypermodel.events = {}
    assert [t.status for t in run(hypermodel, tmp_path).trials] == ["COMPLETED"] * 6


def test_other_errors_of_files_are_those_of_the_trial(scripted, tmp_path):
    result = run(scripted({(1.0, 3): FileNotFoundError("no weights")}), tmp_path)
    assert [t.status for t in result.trials].count("FAILED") == 1


@pytest.mark.skipif(os.name == "nt", reason="no limits of files")
def test_a_model_that_does_not_fit_on_the_disk_ends_the_search(scripted, tmp_path, monkeypatch):
    """With Keras' own writer, and a limit of the system in place of a small disk."""
    import resource

    network = keras.Sequential([keras.Input((300,)), keras.layers.Dense(300)])
    monkeypatch.setattr(Stub, "save", lambda self, path: network.save(path))
    hypermodel = scripted()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="has stopped. Received: .*File too large"):
            run(hypermodel, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert tuning.load_trials(tmp_path) == []
    assert [t.status for t in run(hypermodel, tmp_path).trials] == ["COMPLETED"] * 6


def test_a_record_that_cannot_be_written_ends_the_search(scripted, tmp_path, monkeypatch):
    write_json = trials.write_json

    def full(path, value):
        if path.name == "trial.json" and "0002" in str(path):
            raise no_space(path)
        write_json(path, value)

    hypermodel = scripted()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left on device"):
        patch.setattr(trials, "write_json", full)
        run(hypermodel, tmp_path)
    assert len(tuning.load_trials(tmp_path)) == 2
    assert len(run(hypermodel, tmp_path).trials) == 6


def test_a_damaged_model_of_an_earlier_round_is_made_anew(scripted, tmp_path, monkeypatch):
    hypermodel = scripted()
    whole = run(hypermodel, tmp_path / "whole", "hyperband")

    def damaged(path):
        raise ValueError(f"{path} is damaged.")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="has stopped") as caught:
        patch.setattr(module, "load_model", damaged)
        run(hypermodel, tmp_path / "damaged", "hyperband")
    (folder,) = re.findall(r"Remove (\S+),", str(caught.value))
    assert folder in str(caught.value).split("is damaged")[0]
    shutil.rmtree(folder)
    resumed = run(hypermodel, tmp_path / "damaged", "hyperband")
    trained = [
        sorted((t.epochs, *t.hyperparameters.items()) for t in r.trials) for r in (resumed, whole)
    ]
    assert trained[0] == trained[1]  # The numbers of those that followed may have changed.


# Damaged files.


def test_a_damaged_record_is_named_and_its_trial_begins_anew(scripted, tmp_path):
    hypermodel = scripted()
    whole = run(hypermodel, tmp_path)
    path = tmp_path / "trials" / "0002" / "trial.json"
    path.write_bytes(path.read_bytes()[:-10])
    hypermodel.trained.clear()
    with pytest.warns(UserWarning, match=rf"left out. {path} is damaged"):
        again = run(hypermodel, tmp_path)
    assert hypermodel.trained == [(1.0, 4)]
    assert outcome(again) == outcome(whole)


@pytest.mark.parametrize("content", ["", "{", "{}", "[0, -1]", "[[0]]", "[0, 0, 0]", '["0"]'])
def test_a_damaged_order_is_named_and_can_be_removed(scripted, tmp_path, content):
    hypermodel = scripted()
    whole = run(hypermodel, tmp_path, "random")
    (tmp_path / "order.json").write_text(content)
    with pytest.raises(ValueError, match=r"order\.json is damaged. Received: .*Remove it"):
        run(hypermodel, tmp_path, "random")
    (tmp_path / "order.json").unlink()
    assert outcome(run(hypermodel, tmp_path, "random")) == outcome(whole)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_description_is_named_and_can_be_removed(scripted, tmp_path, content):
    hypermodel = scripted()
    whole = run(hypermodel, tmp_path)
    (tmp_path / "search.json").write_text(content)
    with pytest.raises(ValueError, match=r"search\.json is damaged. Received: .*Remove it"):
        run(hypermodel, tmp_path)
    (tmp_path / "search.json").unlink()
    assert outcome(run(hypermodel, tmp_path)) == outcome(whole)
    assert tuning.load_search(tmp_path)["tuner"] == "grid"


# Kills.


def kill_after(monkeypatch, write):
    """Raises `Killed` after this number of writes of state files, and counts them."""
    write_json, count = module.write_json, [0]

    def counted(path, value):
        count[0] += 1
        write_json(path, value)
        if count[0] == write:
            raise Killed

    for name in ("tfgen.tuning.oracles", "tfgen.tuning.search", "tfgen.tuning.trials"):
        monkeypatch.setattr(sys.modules[name], "write_json", counted)
    return count


@pytest.mark.parametrize(
    "tuner, every",
    [
        ("grid", 4),
        ("random", 7),
        ("bayesian", 7),
        ("hyperband", 13),
        *(pytest.param(t, 1, marks=pytest.mark.slow) for t in module.ORACLES),
    ],
)
def test_a_kill_between_any_two_writes_loses_and_repeats_no_trial(
    scripted, tmp_path, tuner, every, monkeypatch
):
    """Places in which a process can die between two states on disk, one after the other."""
    with monkeypatch.context() as patch:
        count = kill_after(patch, write=None)
        whole = run(scripted({(4.0, 3): RuntimeError("fails")}), tmp_path / "whole", tuner)
    num_completed = sum(t.status == "COMPLETED" for t in whole.trials)
    for write in range(1, count[0] + 1, every):
        folder = tmp_path / str(write)
        hypermodel = scripted({(4.0, 3): RuntimeError("fails")})
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, write)
            run(hypermodel, folder, tuner)
        recorded = {t.trial_id for t in tuning.load_trials(folder)}
        before = list(hypermodel.trained)
        resumed = run(hypermodel, folder, tuner)
        again = hypermodel.trained[len(before) :]
        assert recorded <= {t.trial_id for t in resumed.trials}
        assert not set(before) & set(again) or tuner == "hyperband", write
        assert len(before) + len(again) == num_completed, write
        assert outcome(resumed) == outcome(whole), write


def test_a_trial_that_ran_when_killed_begins_anew(scripted, tmp_path):
    hypermodel = scripted({(1.0, 4): Killed()})
    with pytest.raises(Killed):
        run(hypermodel, tmp_path)
    assert len(tuning.load_trials(tmp_path)) == 2
    hypermodel.events = {}
    result = run(hypermodel, tmp_path)
    assert len(result.trials) == 6 and len(hypermodel.trained) == 6
    assert len(set(hypermodel.trained)) == 6


def test_a_finished_search_is_only_read_and_can_be_extended(scripted, tmp_path):
    hypermodel = scripted()
    first = run(hypermodel, tmp_path, "random", max_trials=2)
    assert outcome(run(hypermodel, tmp_path, "random", max_trials=2)) == outcome(first)
    assert len(hypermodel.trained) == 2
    more = run(hypermodel, tmp_path, "random", max_trials=4)
    assert len(more.trials) == len(hypermodel.trained) == 4
    assert outcome(more)[:2] == outcome(first)


SCRIPT = """
    import functools, os, signal, sys
    from tfgen import datasets, tuning

    class Model(tuning.BetaLatentHyperModel):
        def fit(self, hp, model, **kwargs):
            if len(tuning.load_trials(sys.argv[1])) == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
            print("trained", self.values(hp)["beta"], flush=True)
            return super().fit(hp, model, **kwargs)

    data = functools.partial(datasets.load, "digits", binarize="threshold")
    hypermodel = Model(data, beta=(1.0, 2.0, 4.0), latent_dim=2, width=8, splits=("test", "test"))
    tuning.search(hypermodel, sys.argv[1], epochs=1, verbose=0)
"""


def run_script(folder, kill_after):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), str(kill_after)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_sigkill(tmp_path):
    """The same in processes of their own: killed in the third trial, then continued."""
    killed = run_script(tmp_path, kill_after=2)
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout.count("trained") == 2
    resumed = run_script(tmp_path, kill_after=-1)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert [line for line in resumed.stdout.splitlines() if "trained" in line] == ["trained 4.0"]
    assert [t.status for t in tuning.load_trials(tmp_path)] == ["COMPLETED"] * 3


# Hyperband.


@pytest.mark.slow
def test_hyperband_continues_models_as_if_they_had_never_stopped(hypermodel, tmp_path):
    built = hypermodel(beta=tuning.Range(0.5, 8.0, "log"))
    result = run(built, tmp_path, "hyperband", epochs=3, save_models="all")
    epochs = [t.epochs for t in result.trials]
    continued = [t for t in result.trials if t.epochs == 3]
    assert set(epochs) == {1, 3}
    first = continued[0].hyperparameters
    assert first in [t.hyperparameters for t in result.trials if t.epochs == 1]
    hp = kt.HyperParameters()
    hp.values = first
    uninterrupted = built.build(hp)
    measured = built.fit(hp, uninterrupted, epochs=3)
    assert continued[0].metrics == {k: pytest.approx(v, rel=1e-5) for k, v in measured.items()}
    saved = models.load_model(continued[0].model_path).get_weights()
    for a, b in zip(saved, uninterrupted.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# Memory.


MEMORY = """
    import functools, gc, psutil, sys, tempfile
    from tfgen import datasets, tuning

    class Model(tuning.BetaLatentHyperModel):
        sizes = []

        def fit(self, hp, model, **kwargs):
            self.sizes.append(psutil.Process().memory_info().rss / 2**20)
            return super().fit(hp, model, **kwargs)

    data = functools.partial(datasets.load, "digits", binarize="threshold")
    hypermodel = Model(data, beta=tuning.Range(0.5, 8.0), latent_dim=(2, 5, 10), width=16,
                       splits=("train[:256]", "test"))
    tuning.search(hypermodel, sys.argv[1], tuner="random", max_trials=int(sys.argv[2]), epochs=1,
                  save_models="best", verbose=0)
    print(hypermodel.sizes)
"""


@pytest.mark.slow
def test_memory_of_200_trials_grows_by_less_than_300_mb(tmp_path):
    pytest.importorskip("psutil")
    command = [sys.executable, "-c", textwrap.dedent(MEMORY), str(tmp_path), "200"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    sizes = json.loads(result.stdout.splitlines()[-1])
    assert len(sizes) == 200
    assert sizes[-1] - sizes[0] < 300


# Arguments.


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"tuner": "halving"}, "tuner must be one of .*Received: tuner='halving'"),
        ({"tuner": "random"}, "ends after max_trials.*Received: max_trials=None"),
        ({"epochs": 0}, "epochs must be an int of at least 1. Received: epochs=0"),
        ({"save_models": "none"}, "one of .*Received: save_models='none'"),
        ({"metrics": ("fid",)}, "Received: .'fid'"),
    ],
)
def test_bad_arguments(scripted, tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        tuning.search(scripted(), tmp_path, **kwargs)


def test_a_grid_takes_no_range(hypermodel, tmp_path):
    with pytest.raises(ValueError, match="needs values.*Received: a Range for .'beta'"):
        tuning.search(hypermodel(beta=tuning.Range(1.0, 2.0)), tmp_path)


def test_mig_needs_an_encoder_and_labels(scripted, tmp_path):
    gan = tuning.AdversarialHyperModel(
        lambda *args, **kwargs: datasets.load("digits", *args), models.GAN
    )
    with pytest.raises(ValueError, match="needs an encoder. Received: model_class=GAN"):
        tuning.search(gan, tmp_path, objective="mig")
    images = np.zeros((20, 8, 8, 1))
    unlabelled = tuning.BetaLatentHyperModel(
        lambda *args, **kwargs: datasets.load(images, *args, **kwargs)
    )
    with pytest.raises(ValueError, match="labels=True needs labels"):
        tuning.search(unlabelled, tmp_path, metrics=("mig",))


def test_the_folder_of_another_search_is_refused(scripted, tmp_path):
    run(scripted(), tmp_path)
    with pytest.raises(ValueError, match="another search. Received: epochs: 2 there, 3 now"):
        run(scripted(), tmp_path, epochs=3)


@pytest.mark.skipif(os.name == "nt", reason="no fcntl")
def test_two_searches_in_one_folder_are_refused(scripted, tmp_path):
    with module._alone(tmp_path), pytest.raises(ValueError, match="Another process.*Received"):
        run(scripted(), tmp_path)


class Unlogged(tuning.BetaLatentHyperModel):
    """Measures something of its own."""

    def fit(self, hp, model, metrics=(), **kwargs):
        return {"own": 1.0}


@pytest.mark.parametrize(
    "name", ["val_elbow", pytest.param("val_discriminator_loss", marks=pytest.mark.slow)]
)
def test_an_objective_that_no_trial_measures_is_refused_before_any_trains(tmp_path, name):
    """A search with another one may begin in the same folder."""
    data = functools.partial(datasets.load, "digits", binarize="threshold")
    splits = ("train[:64]", "train[64:96]")
    options = {"beta": 1.0, "latent_dim": 2, "width": 4, "splits": splits}
    hypermodel = tuning.BetaLatentHyperModel(data, **options)
    with pytest.raises(ValueError, match=f"BetaVAE measure .*'val_elbo'.*objective '{name}'"):
        run(hypermodel, tmp_path, objective=kt.Objective(name, "min"))
    assert not (tmp_path / "search.json").exists()
    own = run(Unlogged(data, **options), tmp_path, objective=kt.Objective("own", "max"))
    assert own.best.objective["value"] == 1.0


def test_hyperband_takes_no_number_of_trials(scripted, tmp_path):
    with pytest.raises(ValueError, match="epochs decide.*Received: max_trials=3"):
        run(scripted({}), tmp_path, "hyperband", max_trials=3)
