"""What all commands of tfgen do: load TensorFlow late and quietly, run lines, report errors."""

import argparse
import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tfgen._utils import startup
from tfgen.command.code import execute
from tfgen.command.recipes import Part

__all__ = ["errors_in_one_line", "load_tensorflow", "run_parts"]

# What a subcommand raises if an argument, a file or an installation is at fault.
_OF_USERS = (ValueError, OSError, ImportError)


@contextlib.contextmanager
def errors_in_one_line(program: str, traceback: bool) -> Iterator[list[int]]:
    """Prints an error of users as one line; yields the list that will hold the exit status."""
    status = [0]
    try:
        yield status
    except KeyboardInterrupt:
        print(f"\n{program}: stopped", file=sys.stderr)
        status[0] = 130
    except _OF_USERS as error:
        if traceback:
            raise
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr)
        status[0] = 2


def load_tensorflow() -> None:
    """Imports what `import tfgen` imports elsewhere, without TensorFlow's start-up lines."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MPLBACKEND", "Agg")  # Pictures are files.
    startup.import_keras(list_devices=True)
    logging.getLogger("absl").setLevel(logging.ERROR)  # Warnings of TensorFlow Datasets.
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
    return "\n".join(whole)
