"""The arguments of the command. Nothing of this file imports TensorFlow."""

import argparse
import ast
import pathlib
from typing import Any, NoReturn

from tfgen.command.tables import EMBEDDED, MODELS, OBJECTIVES

__all__ = ["Parser", "add_data", "add_training", "new_parser"]

_IMAGES = (
    f"name of a data set, such as {', '.join(EMBEDDED)}, mnist or any other of images that "
    "TensorFlow Datasets has; or a folder of images"
)
_KINDS = ("number", "class", "count")
_FORMATS = ("tf_saved_model", "litert", "onnx")


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def at_least(minimum: int) -> Any:
    """Type of an argument: an int that is not smaller."""

    def parse(text: str) -> int:
        if not text.lstrip("-").isdigit() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"expected an int of at least {minimum}, got {text!r}")
        return int(text)

    return parse


def positive(text: str) -> float:
    """Type of an argument: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def setting(text: str) -> tuple[str, Any]:
    """Type of an argument: NAME=VALUE, the value a literal of Python or else text.

    Example:
        >>> setting("beta=4"), setting("kind=ii"), setting("gamma=(10, 20)")
        (('beta', 4), ('kind', 'ii'), ('gamma', (10, 20)))
    """
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, such as beta=4, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def kind(text: str) -> tuple[str, str]:
    """Type of an argument: NAME=KIND, of a column of a table.

    Example:
        >>> kind("kids=count"), kind("a=b=class")
        (('kids', 'count'), ('a=b', 'class'))
    """
    name, _, value = text.rpartition("=")
    if not name or value not in _KINDS:
        raise argparse.ArgumentTypeError(
            f"expected NAME=KIND, a column and one of {', '.join(_KINDS)}, got {text!r}"
        )
    return name, value


def goal(text: str) -> str | dict[str, float]:
    """Type of an argument: a name, or names with weights.

    Example:
        >>> goal("val_elbo"), goal("mig=1,val_elbo=0.01")
        ('val_elbo', {'mig': 1.0, 'val_elbo': 0.01})
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    unknown = [name for name, _, _ in pairs if name not in OBJECTIVES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"expected one of {', '.join(OBJECTIVES)}, or several with weights, as in "
            f"mig=1,val_elbo=0.01, got {unknown[0]!r}"
        )
    if "=" not in text:
        return text
    return {name: positive(weight) for name, _, weight in pairs}


def add_data(
    parser: argparse.ArgumentParser, default: str | None = None, tables: bool = True
) -> None:
    """Adds which data are loaded, and how; `tables` are those of CSV files."""
    add = parser.add_argument_group("data").add_argument
    source = _IMAGES.replace("or a folder", "a folder") + "; or a CSV file" if tables else _IMAGES
    of_run = "" if default else "; default: as the model was trained"
    add("--data", default=default, metavar="SOURCE", help=source + of_run)
    add("--train-split", metavar="SPLIT", help='such as "train[:90%%]"; default: by the data')
    add("--test-split", metavar="SPLIT", help="default: by the data")
    add("--batch-size", type=at_least(1), help="default 128")
    add(
        "--binarize",
        choices=["none", "threshold", "stochastic", "fixed"],
        help="default: by data and likelihood",
    )
    add("--image-size", type=at_least(1), metavar="PIXELS", help="resize images to this square")
    add(
        "--data-dir",
        metavar="DIR",
        help="of TensorFlow Datasets, default TFDS_DATA_DIR; or of the files of 3dshapes, cars3d, "
        "mpi3d_toy, ...",
    )
    add("--cache-dir", metavar="DIR", help="keep images of a folder or of such files decoded there")
    add("--download", action="store_true", help="fetch a data set that is missing")
    parser.set_defaults(kinds=None)
    if tables:
        add(
            "--kinds",
            type=kind,
            nargs="+",
            metavar="NAME=KIND",
            help="kinds of columns of a CSV file that are not number, or class of texts: number, "
            "class, or count of whole numbers from 0 on",
        )


def add_training(parser: argparse.ArgumentParser) -> None:
    """Adds what a new model is, and how it is trained."""
    add = parser.add_argument_group("model").add_argument
    add("--latent-dim", type=at_least(1), help="default 10, of GANs 32")
    add("--set", type=setting, action="append", metavar="NAME=VALUE", help="of the model's class")
    add("--network", choices=["mlp", "conv", "conv64"], help="default: by the height of the images")
    add("--likelihood", choices=["bernoulli", "normal"], help="of pixels; default: by the data")
    add("--learning-rate", type=positive, help="default 1e-3, of GANs 2e-4")
    add("--seed", type=at_least(0), default=0, help="of weights, order and draws; default 0")


def _add_common(parser):
    add = parser.add_argument_group("help").add_argument
    add("--show-code", action="store_true", help="print the Python lines instead of running them")
    add("--traceback", action="store_true", help="show where in the code an error was raised")


def _add_saved(parser):
    parser.add_argument("path", metavar="MODEL", help="a .keras file, or the folder of a run")


def _add_picture(parser, name):
    add = parser.add_argument
    add("--output", type=pathlib.Path, metavar="FILE", help=f"default {name} beside the model")
    add("--dpi", type=at_least(10), default=150, help="pixels an inch; default 150")


def _train(parser):
    parser.add_argument("model", choices=list(MODELS), help=", ".join(MODELS), metavar="MODEL")
    add_data(parser, "digits")
    add_training(parser)
    parser.add_argument("--epochs", type=at_least(1), help="default: by the data")
    parser.add_argument(
        "--output-dir", type=pathlib.Path, metavar="DIR", help="default outputs/MODEL-SOURCE"
    )


def _bench(parser):
    parser.add_argument("model", choices=list(MODELS), help=", ".join(MODELS), metavar="MODEL")
    add_data(parser, "digits")
    add_training(parser)


def _evaluate(parser):
    _add_saved(parser)
    add_data(parser)
    parser.add_argument("--seed", type=at_least(0), help="of the noise of binarization, of samples")
    parser.add_argument(
        "--num-samples",
        type=at_least(10),
        metavar="N",
        help="score so many samples too; default 1000 of a GAN, else none",
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the numbers there")


def _sample(parser):
    _add_saved(parser)
    parser.add_argument("--number", "-n", type=at_least(1), help="default 64 images, 1000 rows")
    parser.add_argument("--seed", type=at_least(0), default=0, help="default 0")
    parser.add_argument("--draw-pixels", action="store_true", help="x ~ p(x|z) in place of means")
    _add_picture(parser, "samples.png")


def _traverse(parser):
    _add_saved(parser)
    add_data(parser, tables=False)
    parser.add_argument("--seed", type=at_least(0), help="of the noise of binarization")
    parser.add_argument("--image", type=at_least(0), help="number of the test image; default 0")
    parser.add_argument("--dims", type=at_least(0), nargs="+", help="dimensions; default all")
    _add_picture(parser, "traversals.png")


def _export(parser):
    _add_saved(parser)
    add = parser.add_argument
    add("--format", choices=_FORMATS, default=_FORMATS[0], help=f"default {_FORMATS[0]}")
    add("--endpoints", nargs="+", metavar="NAME", help="default all; onnx needs one")
    add("--batch-size", type=at_least(1), help="examples that a call must have; default any number")
    add("--output", type=pathlib.Path, metavar="PATH", help="default exported beside the model")


def _search(parser):
    names = [name for name, model in MODELS.items() if model.weight]
    add = parser.add_argument
    add("model", choices=names, help=", ".join(names), metavar="MODEL")
    add_data(parser, "digits", tables=False)
    add("--weights", type=positive, nargs="+", help="of the model's own term; default: published")
    add("--latent-dims", type=at_least(1), nargs="+", default=[2, 5, 10, 20], help="2 5 10 20")
    add("--set", type=setting, action="append", metavar="NAME=VALUE", help="further values")
    add("--tuner", choices=["grid", "random", "bayesian", "hyperband"], default="grid")
    add(
        "--objective",
        type=goal,
        default="val_elbo",
        help="default val_elbo; or mig=1,val_elbo=0.01",
    )
    add("--epochs", type=at_least(1), help="default: by the data")
    add("--max-trials", type=at_least(1), help="needed by random and bayesian")
    add("--seed", type=at_least(0), default=0, help="default 0")
    add("--output-dir", type=pathlib.Path, metavar="DIR", help="outputs/search-MODEL-SOURCE")


def _data_list(parser):
    parser.add_argument("--data-dir", metavar="DIR", help="default TFDS_DATA_DIR")


def _data_prepare(parser):
    parser.add_argument("name", help="name of a data set of TensorFlow Datasets, such as mnist")
    parser.add_argument("--data-dir", metavar="DIR", help="default TFDS_DATA_DIR")


# Function that adds the arguments, what is done, an example.
_COMMANDS = {
    "train": (_train, "train a model; again, go on where it stopped", "train vae --data mnist"),
    "evaluate": (_evaluate, "metrics of the test data", "evaluate outputs/vae-mnist"),
    "sample": (_sample, "a picture of samples", "sample outputs/vae-mnist -n 100"),
    "traverse": (_traverse, "a picture of latent traversals", "traverse outputs/vae-mnist"),
    "export": (_export, "files for serving", "export outputs/vae-mnist --format litert"),
    "search": (_search, "search weight and latent size", "search beta-vae --weights 1 4"),
    "bench": (_bench, "time training and sampling here", "bench vae --data digits"),
}
_DATA_COMMANDS = {
    "list": (_data_list, "data sets, and which are here", "data list"),
    "prepare": (_data_prepare, "fetch a data set", "data prepare mnist"),
}


def _add_commands(parser, commands, dest, prefix=""):
    subparsers = parser.add_subparsers(dest=dest, required=True, metavar="COMMAND")
    for name, (add_arguments, what, example) in commands.items():
        text = f"{what[0].upper()}{what[1:]}.\n\n    tfgen {example}"
        command = subparsers.add_parser(name, help=what, description=text)
        add_arguments(command)
        _add_common(command)
        command.set_defaults(command=prefix + name)
    return subparsers


def new_parser(version: str) -> Parser:
    """The parser of `tfgen`, whose results have a `command` such as "data list"."""
    parser = Parser(prog="tfgen", description=f"Generative models for Keras 3, tfgen {version}.")
    parser.add_argument("--version", action="version", version=f"tfgen {version}")
    subparsers = _add_commands(parser, _COMMANDS, "first")
    data = subparsers.add_parser("data", help="list and fetch data sets")
    _add_commands(data, _DATA_COMMANDS, "second", "data ")
    return parser
