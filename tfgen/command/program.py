"""`main`: reads the arguments, runs the lines of a subcommand and prints what they found."""

import argparse
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import tfgen
from tfgen.command import reports, runs
from tfgen.command.arguments import new_parser
from tfgen.command.process import errors_in_one_line, load_tensorflow, run_parts, run_training
from tfgen.command.recipes import RECIPES
from tfgen.command.tables import epochs_of, is_table, source_of

__all__ = ["main"]

_READS_MODEL = ("evaluate", "sample", "traverse", "export")
_EXPORTED = {"tf_saved_model": "exported", "litert": "exported.tflite", "onnx": "exported.onnx"}


def main(argv: Sequence[str] | None = None) -> int:
    """The command `tfgen`.

    Args:
        argv: list of str, `sys.argv[1:]` if None.

    Returns:
        Exit status: 0; 2 for what the user can mend; 130 after Ctrl-C.
    """
    args = new_parser(tfgen.__version__).parse_args(argv)
    with errors_in_one_line(f"tfgen {args.command}", args) as status:
        _complete(args)
        load_tensorflow()
        if args.command == "data prepare":
            runs.check_fetched(args.name)
        runs.check_settings(args)
        if args.show_code:
            print(run_parts(RECIPES[args.command], args, {}, dry=True), end="")
        else:
            _RUNS.get(args.command, _run)(args)
    return status[0]


def _complete(args):
    """Fills in the defaults that depend on other arguments."""
    if args.command in ("train", "bench", "search"):
        _complete_new(args)
    elif args.command in _READS_MODEL:
        args.path = runs.model_path(args.path)
        settings = runs.read_settings(args.path)
        if args.command == "sample":
            runs.complete_rows(args, settings)
        elif hasattr(args, "data"):
            runs.complete_data(args, settings)
        if args.command == "evaluate":
            _check_evaluation(args)
        if args.command == "traverse":
            runs.check_traversal(args)
            args.image = args.image or 0
        if args.command != "evaluate":
            args.output = args.output or args.path.parent / _default_name(args)


def _check_evaluation(args):
    if args.data is None:
        raise ValueError(
            f"evaluate needs data. Received: {args.path}, which no `tfgen train` wrote. Say on "
            "which data, as in --data mnist."
        )
    if args.num_samples and is_table(args.data):
        raise ValueError(
            f"--num-samples is for images. Received: --num-samples {args.num_samples} of a model "
            f"of the rows of {args.data}. Leave it out."
        )


def _default_name(args):
    return {
        "sample": "samples.png",
        "traverse": "traversals.png",
        "export": _EXPORTED[getattr(args, "format", "tf_saved_model")],
    }[args.command]


def _complete_new(args):
    if args.command == "search" and is_table(args.data):
        raise ValueError(
            f"search is for images. Received: --data {args.data}, the rows of a table. Write its "
            "lines with tfgen.tuning and datasets.load_table."
        )
    if args.command == "search":
        runs.check_search(args)
        whole = source_of(args.data).train.partition("[")[0]
        args.train_split = args.train_split or f"{whole}[:90%]"
        args.test_split = args.test_split or f"{whole}[90%:]"
    for name in ("likelihood", "latent_dim", "learning_rate", "network"):
        setattr(args, name, getattr(args, name, None))
    runs.complete_training(args)
    args.epochs = getattr(args, "epochs", None) or epochs_of(args.data)
    if args.command != "bench" and args.output_dir is None:
        folder = f"{args.model}-{pathlib.Path(args.data).name.split('.')[0]}"
        prefix = "search-" if args.command == "search" else ""
        args.output_dir = pathlib.Path("outputs", prefix + folder)


# What is done around the lines.


def _run(args):
    names: dict[str, Any] = {}
    run_parts(RECIPES[args.command], args, names)
    _REPORTS[args.command](args, names)


def _train(args):
    start, before = time.monotonic(), runs.seconds_before(args.output_dir)
    runs.check_folder(args)
    if runs.is_finished(args):
        print(
            f"{args.output_dir} is trained for {args.epochs} epochs already. A larger --epochs "
            "trains it for longer."
        )
        return
    names = run_training(args, before)
    reports.of_training(args, names, before + time.monotonic() - start)


def _draw(args):
    with reports.written_aside(args.output) as aside:
        shown = argparse.Namespace(**{**vars(args), "output": aside})
        run_parts(RECIPES[args.command], shown, {})
    print(args.output)


_RUNS: dict[str, Callable] = {"train": _train, "sample": _draw, "traverse": _draw}
_REPORTS: dict[str, Callable] = {
    "bench": reports.of_bench,
    "evaluate": reports.of_evaluation,
    "export": reports.of_export,
    "search": reports.of_search,
    "data list": reports.of_data_list,
    "data prepare": reports.of_data_prepare,
}
