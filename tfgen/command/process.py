"""What all commands of tfgen do: load TensorFlow late and quietly, run lines, report errors."""

import argparse
import contextlib
import importlib
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tfgen._utils import startup
from tfgen.command import reports, runs
from tfgen.command.code import execute
from tfgen.command.recipes import RECIPES, Part
from tfgen.command.tables import MODELS

__all__ = ["errors_in_one_line", "load_tensorflow", "run_parts", "run_training"]

# What a subcommand raises if an argument, a file or an installation is at fault.
_OF_USERS = (ValueError, OSError, ImportError)


@contextlib.contextmanager
def errors_in_one_line(program: str, args: argparse.Namespace) -> Iterator[list[int]]:
    """Prints an error of users as one line; yields the list that will hold the exit status.

    Args:
        program: what the line begins with.
        args: the arguments as they were given: an error of Python names them as functions do.
    """
    status, given = [0], list(vars(args))
    try:
        yield status
    except KeyboardInterrupt:
        print(f"\n{program}: stopped", file=sys.stderr)
        status[0] = 130
    except _OF_USERS as error:
        if args.traceback:
            raise
        message = " ".join(str(error).split())
        print(f"{program}: error: {message}{_flags_in(message, given, args)}", file=sys.stderr)
        status[0] = 2


def _flags_in(message, given, args):
    """Says what arguments of functions, and models, that a message names are called here."""
    # One of a single word may be meant as a word.
    named = {name: rf"\b{name}\b" if "_" in name else rf"\b{name}=" for name in given}
    for name in {"train_split", "test_split"} & set(given):
        named[name] = rf"\b{name}\b|split=" + re.escape(repr(getattr(args, name, None)))
    found = [name for name, pattern in named.items() if re.search(pattern, message)]
    flags = ["--" + name.replace("_", "-") for name in found]
    classes = re.findall(r"\bmodels\.(\w+)", message)
    flags += [f"the model {name}" for name, kind in MODELS.items() if kind.cls in classes]
    return f" (Here: {' and '.join(flags)}.)" if flags else ""


def load_tensorflow() -> None:
    """Imports what `import tfgen` imports elsewhere, without TensorFlow's start-up lines."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MPLBACKEND", "Agg")  # Pictures are files.
    startup.import_keras(list_devices=True)
    # Warnings of TensorFlow Datasets, and of functions traced anew, as those of new models are.
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    importlib.import_module("tfgen.samplers")  # It imports the other areas with Keras classes.


def run_parts(
    parts: Sequence[Part], args: argparse.Namespace, names: dict[str, Any], dry: bool = False
) -> str:
    """Runs the code of all parts in `names`; if `dry`, of all but the last. Returns the code."""
    whole = []
    for number, part in enumerate(parts, start=1):
        whole.append(part(args, names))
        if not (dry and number == len(parts)):
            execute(whole[-1], names)
    return "\n".join(filter(None, whole))


def run_training(args: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Runs the parts of a training, the last of which fits, and returns their names.

    The folder of the run has its settings once data and model are there, and keeps them if there
    is something to go on with.

    Args:
        args: arguments.
        seconds: float, what earlier calls took.
    """
    names: dict[str, Any] = {}
    *parts, fit = RECIPES["train"]
    run_parts(parts, args, names)
    settings = {**runs.describe(args), "seconds": seconds}
    reports.write_json(args.output_dir / runs.SETTINGS, settings)
    try:
        run_parts([fit], args, names)
    except Exception:
        runs.forget_unless_begun(args.output_dir)
        raise
    return names
