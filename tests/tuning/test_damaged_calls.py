"""Calls with one argument damaged: a ValueError that names it, before a search begins."""

import functools

import numpy as np
import pytest

from tfgen import datasets, models, tuning
from tfgen.tuning.objectives import as_objective
from tfgen.tuning.trials import TrialRecord, write_json, write_trial

NUMBERS = (None, "", "x", b"x", -1, 0, 10**10, 2.5, float("inf"), float("nan"), True)
OBJECTS = ((), [None], {}, object(), np.array(["a", "b"], object), np.array("x"), ("a", "b"))
ALL = (*NUMBERS, *OBJECTS)


def without(*good):
    """Every damaged value that is none of these."""
    return [v for v in ALL if not any(type(v) is type(g) and v == g for g in good)]


data = functools.partial(datasets.load, "digits", binarize="threshold")
HYPERMODEL = tuning.BetaLatentHyperModel(data, beta=(1.0, 2.0), latent_dim=2)
CALLS = [
    (functools.partial(tuning.search, HYPERMODEL, "search"), argument, values)
    for argument, values in {
        "objective": without(),
        "tuner": NUMBERS,
        "epochs": without(10**10),
        "max_trials": without(None, 10**10),
        "metrics": without((), {}),
        "save_models": NUMBERS,
        "seed": without(0, 10**10),
        "verbose": [v for v in NUMBERS if v not in (0, 1)],
    }.items()
]
CALLS += [
    (lambda **kwargs: tuning.search(**{"output_dir": "search", **kwargs}), "hypermodel", without()),
    (functools.partial(tuning.search, HYPERMODEL), "output_dir", without("x")),
    (
        lambda weight: as_objective({"mig": weight}),
        "weight",
        [v for v in NUMBERS if not v or v in ("x", -1)],
    ),
]
CALLS += [
    (functools.partial(tuning.BetaLatentHyperModel, data), argument, values)
    for argument, values in {
        "model_class": [*without(), int],
        "latent_dim": without(),
        "width": without(None),
        "batch_size": without(10**10),
        "learning_rate": [v for v in without(0, 10**10, 2.5) if v is not True],
        "likelihood": [v for v in without() if not isinstance(v, np.ndarray)],
        "network": [v for v in NUMBERS if v is not None],
        "splits": without(("a", "b")),
        "optimizer": without(),
        "jit_compile": [v for v in NUMBERS if v not in (0, 1)],
        "seed": without(0, 10**10),
        "beta": [float("inf"), float("nan"), (1.0, float("nan")), (), [None], object()],
        "gamma": [1.0],
    }.items()
]
CALLS += [(tuning.BetaLatentHyperModel, "data", without())]
CALLS += [
    (functools.partial(tuning.AdversarialHyperModel, data, models.GAN), argument, without(*good))
    for argument, good in {"latent_dim": (), "optimizer": (), "splits": (("a", "b"),)}.items()
]
CALLS += [
    (functools.partial(tuning.Range, high=2.0), "low", without(-1, 0, True)),
    (functools.partial(tuning.Range, 1.0), "high", without(10**10, 2.5)),
    (functools.partial(tuning.Range, 1.0, 2.0), "sampling", NUMBERS),
    (functools.partial(tuning.Range, high=2.0, sampling="log"), "low", (-1, 0)),
]
CALLS += [
    (functools.partial(tuning.worker_environments, 2), argument, without(*good))
    for argument, good in {
        "gpus": ((), ("a", "b")),
        "address": ("x",),
        "port": (None,),
    }.items()
]
CALLS += [
    (tuning.worker_environments, "num_workers", without()),
    (functools.partial(tuning.run_workers, num_workers=1), "command", without(("a", "b"))),
    (functools.partial(tuning.run_workers, ["true"]), "num_workers", without()),
    (functools.partial(tuning.run_workers, ["true"], 1), "max_restarts", without(0, 10**10)),
    (tuning.configure_devices, "mixed_precision", [v for v in NUMBERS if v not in (0, 1)]),
    (tuning.configure_devices, "memory_growth", [v for v in NUMBERS if v not in (0, 1)]),
    (tuning.load_search, "output_dir", without("x")),
    (tuning.load_trials, "output_dir", without("x")),
]
CALLS += [
    (function, "trials", [*without("", (), {}), [{}]])
    for function in (tuning.ranked, tuning.best_trial, tuning.worst_trial)
]


@pytest.mark.parametrize("call, argument, values", CALLS)
def test_one_damaged_argument(tmp_path, monkeypatch, call, argument, values):
    monkeypatch.chdir(tmp_path)
    for value in values:
        with pytest.raises(ValueError, match="Received") as caught:
            call(**{argument: value})
        named = "range" if argument in ("low", "high") else argument
        assert named in str(caught.value) or argument in str(caught.value), value
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argument, values",
    [
        ("output_dir", without("x")),
        ("x", [v for v in ALL if v is not None]),
        ("rows", [v for v in NUMBERS if v is not None]),
        ("columns", NUMBERS),
        ("value_range", without()),
    ],
)
def test_damaged_arguments_of_a_report(tmp_path, monkeypatch, argument, values):
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "search" / "search.json", {})
    write_trial("search", TrialRecord("0", "FAILED", {"beta": 4.0}, {}, None, 1.5, 0, "why"))
    for value in values:
        with pytest.raises(ValueError, match=rf"{argument}.*Received"):
            tuning.write_report(**{"output_dir": "search", argument: value})
    assert not (tmp_path / "search" / "report").exists()
