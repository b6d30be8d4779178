"""The folder of a run: its settings, which later commands read, and its model."""

import argparse
import json
import os
import pathlib
import shutil
from typing import Any

from tfgen.command.tables import EMBEDDED, MODELS, is_folder, is_table, size_of, source_of

__all__ = [
    "BACKUP",
    "METRICS",
    "MODEL",
    "SETTINGS",
    "check_fetched",
    "check_folder",
    "check_search",
    "check_settings",
    "check_traversal",
    "check_traversed",
    "complete_data",
    "complete_training",
    "describe",
    "forget_unless_begun",
    "is_finished",
    "model_path",
    "read_settings",
    "seconds_before",
]

SETTINGS, MODEL, METRICS, BACKUP = "run.json", "model.keras", "metrics.json", "backup"
# Where Keras writes how many epochs the weights of a backup have been trained for.
_EPOCHS_OF_BACKUP = "training_metadata.json"
# In the folder of a model that was saved with `zipped=False`.
_OF_UNZIPPED = "config.json"
# What decides which data a model sees; the last two whatever the data set.
_DATA = (
    *("data", "train_split", "test_split", "batch_size", "binarize", "image_size"),
    *("data_dir", "cache_dir", "kinds"),
)
_OF_MODEL = ("likelihood", "value_range", "mask")
# Arguments of models that are set elsewhere, or cannot be written in a line.
_OF_EVERY_MODEL = ("seed", "prior", "dataset_size", "name", "dtype", "trainable")
# Examples of which a tenth is one at least, rounded.
_FEWEST_SPLIT = 5
# What may differ when a run goes on.
_FREE = {
    "epochs",
    "download",
    "data_dir",
    "cache_dir",
    "output_dir",
    "show_code",
    "traceback",
    "command",
}


def model_path(path: str) -> pathlib.Path:
    """The file of a model that is named by itself or by the folder of its run.

    Raises:
        FileNotFoundError: if there is none.
    """
    folder = pathlib.Path(path)
    if (folder / MODEL).is_file():
        return folder / MODEL
    if (folder / SETTINGS).is_file():
        raise FileNotFoundError(
            f"The run has no {MODEL} yet. Received: {path}. Let it go on to its end, by the "
            "command that began it."
        )
    if not folder.exists() or (folder.is_dir() and not (folder / _OF_UNZIPPED).is_file()):
        raise FileNotFoundError(
            f"There is no model. Received: {path}. Give a .keras file, or the folder that `tfgen "
            "train` wrote."
        )
    return folder


def read_settings(path: pathlib.Path) -> dict[str, Any]:
    """Settings of the run that wrote a model; {} for another model."""
    return _read_json(path.parent / SETTINGS)


def _read_json(file):
    """The dict in a file; {} if it is missing, or was cut off by a kill."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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


def check_traversal(args: argparse.Namespace) -> None:
    """Raises ValueError for traversals of a table, and for options of data that are not known."""
    if args.data is None:
        given = [name for name in (*_DATA, "seed", "image") if getattr(args, name) is not None]
        if given or args.download:
            flag = "--" + (given or ["download"])[0].replace("_", "-")
            raise ValueError(
                f"{flag} needs data. Received: {args.path}, which no `tfgen train` wrote. Say of "
                "which data, as in --data mnist, or leave it out."
            )
    elif is_table(args.data):
        raise ValueError(
            f"traverse is for images. Received: {args.path}, a model of the rows of {args.data}. "
            "Draw rows with `tfgen sample`."
        )


def check_traversed(args: argparse.Namespace, model: Any, info: Any = None) -> None:
    """Raises ValueError unless a model has codes, these dimensions, and its data the image."""
    if not hasattr(model, "traverse"):
        raise ValueError(
            f"traverse begins at the code of an image. Received: {args.path}, a "
            f"{type(model).__name__}, which has no codes of images. Draw samples with `tfgen "
            "sample`."
        )
    size = model.latent_shape[-1]
    beyond = [dim for dim in args.dims or () if dim >= size]
    if beyond:
        raise ValueError(
            f"The latent space has {size} dimensions, counted from 0. Received: --dims "
            f"{beyond[0]}. Choose from 0 to {size - 1}, or leave --dims out for all."
        )
    if info is not None and args.image >= info.num_examples:
        raise ValueError(
            f"There is no such test image. Received: --image {args.image}, of "
            f"{info.num_examples} images, counted from 0. Choose from 0 to "
            f"{info.num_examples - 1}, or other images by --test-split."
        )


def complete_rows(args: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Fills in how the rows are loaded that samples of a table are shown beside, if it is there."""
    rows = is_table(settings.get("data") or "") and os.path.exists(settings["data"])
    vars(args).update(dict.fromkeys(_DATA), download=False)
    complete_data(args, settings if rows else {})


def _complete_source(args):
    """Fills in what the data set decides."""
    source = source_of(args.data)
    args.kinds = dict(args.kinds or ()) or None
    if is_table(args.data) or is_folder(args.data):
        args.data = os.path.abspath(args.data)
        _check_size(args)
    if args.kinds and not is_table(args.data):
        raise ValueError(
            f"--kinds is for the columns of a CSV file. Received: --data {args.data}, which are "
            "images. Leave it out."
        )
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


def _check_size(args):
    """Raises ValueError where a tenth of the examples would be none."""
    given = args.train_split and args.test_split
    if given or not os.path.exists(args.data) or (size := size_of(args.data)) >= _FEWEST_SPLIT:
        return
    raise ValueError(
        f"The last tenth of the data is held out as test data. Received: --data {args.data}, of "
        f"{size} examples. Give {_FEWEST_SPLIT} or more, or say what to take by --train-split and "
        "--test-split, such as train for both."
    )


def _check_table(args):
    given = {
        "--binarize": args.binarize,
        "--image-size": args.image_size,
        "--download": args.download,
        "--data-dir": args.data_dir,
        "--cache-dir": args.cache_dir,
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
    if model.mask and not is_table(args.data):
        raise ValueError(
            f"{args.model} is for tables with missing values. Received: --data {args.data}, which "
            "are images. Choose another model."
        )
    if not model.has_likelihood and not is_table(args.data):
        args.likelihood = "none"
    args.mask = model.mask
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


def check_search(args: argparse.Namespace) -> None:
    """Raises ValueError for a name of --set whose values another flag gives."""
    flags = {"latent_dim": "--latent-dims", MODELS[args.model].weight: "--weights"}
    if args.batch_size:
        flags["batch_size"] = "--batch-size"
    for name in dict(args.set or ()):
        if name in flags:
            raise ValueError(
                f"Values of {name} are those of {flags[name]}. Received: --set {name}. Give them "
                "once."
            )


def check_fetched(name: str) -> None:
    """Raises ValueError unless a name is that of a data set of TensorFlow Datasets."""
    from tfgen.datasets.factor_images import FACTOR_IMAGES
    from tfgen.datasets.tfds_examples import close_names, is_tfds

    if name in EMBEDDED:
        raise ValueError(
            f"{name} is in the package. Received: {name}. Use it, as in --data {name}; there is "
            "nothing to fetch."
        )
    if name in FACTOR_IMAGES:
        raise ValueError(
            f"{name} is not fetched. Received: {name}. Get {FACTOR_IMAGES[name]} from its authors, "
            "and give its folder by --data-dir."
        )
    if not is_tfds(name):
        alike = close_names(name)
        raise ValueError(
            f"TensorFlow Datasets has no such data set. Received: {name}. "
            + (f"Did you mean one of {alike}?" if alike else "Expected one such as mnist.")
        )


def _arguments_of(model):
    """Names of what the class of a model takes besides networks."""
    from tfgen import models
    from tfgen._utils.constructors import constructor_arguments

    taken = constructor_arguments(getattr(models, model.cls))
    return set(taken) - {*model.networks, *_OF_EVERY_MODEL}


def describe(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of a run as JSON has them."""
    names = set(vars(args)) - {"first", "second", *(_FREE - {"data_dir", "cache_dir", "epochs"})}
    values = {name: getattr(args, name) for name in sorted(names)}
    return json.loads(json.dumps(values, default=str))


def check_folder(args: argparse.Namespace) -> None:
    """Raises ValueError if another run than the one that is asked for has begun in the folder.

    A finished run of the quickstart, which keeps no backup, may be overwritten.
    """
    begun = (BACKUP, MODEL) if args.command == "train" else (BACKUP,)
    if not any((args.output_dir / name).exists() for name in begun):
        return
    before, now = read_settings(args.output_dir / MODEL), describe(args)
    changed = [k for k in now if k not in _FREE and k in before and before[k] != now[k]]
    if changed:
        differences = ", ".join(f"{k} {before[k]!r} there, {now[k]!r} now" for k in changed)
        raise ValueError(
            f"{args.output_dir} holds another run. Received: {differences}. Choose another "
            "--output-dir, or repeat the settings to go on with that run."
        )
    done = _epochs_before(args)
    if done > args.epochs:
        raise ValueError(
            f"{args.output_dir} is trained for {done} epochs already. Received: {args.epochs} "
            "epochs. Give a larger --epochs to train it for longer, or another --output-dir to "
            "begin anew."
        )


def _epochs_before(args):
    """Epochs that the folder's weights have been trained for, as far as they are gone on with."""
    saved = _read_json(args.output_dir / BACKUP / _EPOCHS_OF_BACKUP).get("epoch", 0)
    if args.command == "train" and (args.output_dir / MODEL).exists():
        saved = max(saved, _read_json(args.output_dir / METRICS).get("epochs", 0))
    return saved


def is_finished(args: argparse.Namespace) -> bool:
    """Whether a run that `check_folder` has let pass has ended with so many epochs before."""
    ended = _read_json(args.output_dir / METRICS).get("epochs")
    return ended == args.epochs and (args.output_dir / MODEL).exists()


def seconds_before(folder: pathlib.Path) -> float:
    """Seconds that earlier calls took to train what is gone on with, up to the last backup."""
    backup, begun = folder / BACKUP / _EPOCHS_OF_BACKUP, folder / SETTINGS
    if not (backup.is_file() and begun.is_file()):
        return 0.0
    ended = folder / METRICS
    if ended.is_file() and ended.stat().st_mtime >= begun.stat().st_mtime:
        return _read_json(ended).get("seconds", 0.0)
    last = max(0.0, backup.stat().st_mtime - begun.stat().st_mtime)  # Of a call that was killed.
    return _read_json(begun).get("seconds", 0.0) + last


def forget_unless_begun(folder: pathlib.Path) -> None:
    """Removes what a run has written that failed before its first epoch ended."""
    if (folder / BACKUP / _EPOCHS_OF_BACKUP).exists() or (folder / MODEL).exists():
        return
    (folder / SETTINGS).unlink(missing_ok=True)
    shutil.rmtree(folder / BACKUP, ignore_errors=True)
    if not any(folder.iterdir()):
        folder.rmdir()
