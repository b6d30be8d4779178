"""The folder of a run: its settings, which later commands read, and its model."""

import argparse
import json
import os
import pathlib
from typing import Any

from tfgen.command.tables import MODELS, is_folder, is_table, source_of

__all__ = [
    "MODEL",
    "SETTINGS",
    "check_folder",
    "check_settings",
    "complete_data",
    "complete_training",
    "describe",
    "model_path",
    "read_settings",
]

SETTINGS, MODEL = "run.json", "model.keras"
# What decides which data a model sees; the last two whatever the data set.
_DATA = ("data", "train_split", "test_split", "batch_size", "binarize", "image_size", "data_dir")
_OF_MODEL = ("likelihood", "value_range")
# Arguments of models that are set elsewhere, or cannot be written in a line.
_OF_EVERY_MODEL = ("seed", "prior", "dataset_size", "name", "dtype", "trainable")
# What may differ when a run goes on.
_FREE = {"epochs", "download", "data_dir", "output_dir", "show_code", "traceback", "command"}


def model_path(path: str) -> pathlib.Path:
    """The file of a model that is named by itself or by the folder of its run."""
    folder = pathlib.Path(path)
    return folder / MODEL if (folder / MODEL).is_file() else folder


def read_settings(path: pathlib.Path) -> dict[str, Any]:
    """Settings of the run that wrote a model; {} for another model."""
    file = path.parent / SETTINGS
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def complete_data(args: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Fills in how the data of a saved model are loaded, from the settings of its run."""
    same = args.data in (None, settings.get("data"))
    for name in (*_DATA, "seed"):
        if getattr(args, name) is None and same:
            setattr(args, name, settings.get(name))
    for name in _OF_MODEL:
        value = settings.get(name)
        setattr(args, name, tuple(value) if isinstance(value, list) else value)
    if args.data is not None:
        _complete_source(args)


def complete_rows(args: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Fills in how the rows are loaded that samples of a table are shown beside, if it is there."""
    rows = is_table(settings.get("data") or "") and os.path.exists(settings["data"])
    vars(args).update(dict.fromkeys(_DATA), download=False)
    complete_data(args, settings if rows else {})


def _complete_source(args):
    """Fills in what the data set decides."""
    source = source_of(args.data)
    if is_table(args.data) or is_folder(args.data):
        args.data = os.path.abspath(args.data)
    args.train_split = args.train_split or source.train
    args.test_split = args.test_split or source.test
    args.batch_size = args.batch_size or 128
    args.seed = args.seed or 0
    args.likelihood = args.likelihood or source.likelihood
    if is_table(args.data):
        _check_table(args)
    if args.binarize is None and args.likelihood == "bernoulli":
        args.binarize = source.binarize
    args.binarize = None if args.binarize == "none" else args.binarize


def _check_table(args):
    given = {
        "--binarize": args.binarize,
        "--image-size": args.image_size,
        "--download": args.download,
        "--data-dir": args.data_dir,
        "--network": getattr(args, "network", None) not in (None, "mlp"),
    }
    names = [name for name, value in given.items() if value]
    if names or args.likelihood != "columns":
        raise ValueError(
            f"{(names or ['--likelihood'])[0]} is for images. Received: --data {args.data}, the "
            "rows of a table. Leave it out."
        )


def complete_training(args: argparse.Namespace) -> None:
    """Fills in what model and data decide.

    Raises:
        ValueError: if the model has no use for an argument.
    """
    model = MODELS[args.model]
    if args.likelihood and not model.has_likelihood:
        raise ValueError(
            f"--likelihood is for models with a density of pixels. Received: --likelihood "
            f"{args.likelihood} for {args.model}. Leave it out."
        )
    if is_table(args.data) and "generator" in model.networks:
        raise ValueError(
            f"{args.model} makes images. Received: --data {args.data}, the rows of a table. "
            "Choose a VAE."
        )
    if not model.has_likelihood and not is_table(args.data):
        args.likelihood = "none"
    args.value_range = (-1.0, 1.0) if "generator" in model.networks else None
    _complete_source(args)
    args.set = dict(args.set or [])
    args.latent_dim = args.latent_dim or model.latent_dim
    args.learning_rate = args.learning_rate or model.learning_rate


def check_settings(args: argparse.Namespace) -> None:
    """Raises ValueError for a name of --set that the model's class does not take."""
    given = set(getattr(args, "set", ()))
    unknown = given & {*_OF_EVERY_MODEL, "splits"}
    expected = ""
    if args.command != "search":  # Whose hypermodel has arguments of its own, and checks them.
        taken = _arguments_of(MODELS[args.model]) if given else set()
        unknown |= given - taken
        expected = f" Expected one of {sorted(taken)}."
    if unknown:
        raise ValueError(
            f"--set of {args.model} has no such argument. Received: --set {min(unknown)}.{expected}"
        )


def _arguments_of(model):
    """Names of what the class of a model takes besides networks."""
    from tfgen import models
    from tfgen._utils.constructors import constructor_arguments

    taken = constructor_arguments(getattr(models, model.cls))
    return set(taken) - {*model.networks, *_OF_EVERY_MODEL}


def describe(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of a run as JSON has them."""
    names = set(vars(args)) - {"first", "second", *(_FREE - {"data_dir", "epochs"})}
    values = {name: getattr(args, name) for name in sorted(names)}
    return json.loads(json.dumps(values, default=str))


def check_folder(args: argparse.Namespace) -> None:
    """Raises ValueError if the folder holds another run than the one that is asked for."""
    before, now = read_settings(args.output_dir / MODEL), describe(args)
    changed = [k for k in now if k not in _FREE and k in before and before[k] != now[k]]
    if changed:
        differences = ", ".join(f"{k} {before[k]!r} there, {now[k]!r} now" for k in changed)
        raise ValueError(
            f"{args.output_dir} holds another run. Received: {differences}. Choose another "
            "--output-dir, or repeat the settings to go on with that run."
        )
