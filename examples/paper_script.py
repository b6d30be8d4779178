"""What the paper scripts share: flags, runs that go on where they stopped, and their results.

A script lists its experiments and calls `main`. An experiment is a function of one `Run`; it may be
killed at any moment and called again, and returns its measured metrics.
"""

import argparse
import csv
import datetime
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from paper_files import read_json, save_figure, write_json, write_text
from paper_report import SMOKE, load_results, write_index, write_report
from paper_times import SCALES, Clock, default_scale, duration, listed

from tfgen import datasets, plotting
from tfgen.callbacks import EpochLines
from tfgen.command.reports import machine

__all__ = [
    "Experiment",
    "Run",
    "commit",
    "fit_in_lines",
    "fit_resumable",
    "load_results",
    "machine",
    "main",
    "measure",
    "new_parser",
    "parse_args",
    "read_json",
    "save_figure",
    "train",
    "with_options",
    "write_json",
    "write_text",
]


class Experiment(NamedTuple):
    """One table entry or figure of a paper.

    Attributes:
        name: string, for `--run`.
        stands_for: string, what it reproduces, such as "Figure 4".
        run: callable, `Run` to a dict of measured metrics.
        paper: dict from metric to what the paper prints.
        setup: string, what was trained and on what.
        times: dict from scale to the time of one seed, as text, where `paper_times.TIMES` has none.
        figures: file names, relative to the run's folder, for the report.
    """

    name: str
    stands_for: str
    run: Callable
    paper: dict
    setup: str
    times: dict = {}
    figures: tuple = ()


class Run(NamedTuple):
    """One seed of one experiment.

    Attributes:
        args: the flags.
        folder: `pathlib.Path` of all that it writes.
        seed: int.
        later: float, estimated seconds of the experiments that follow, or None.
    """

    args: argparse.Namespace
    folder: pathlib.Path
    seed: int
    later: float | None = None

    def pick(self, paper: Any, cpu: Any, smoke: Any):
        """The value for the scale that was asked for."""
        return smoke if self.args.smoke else {"paper": paper, "cpu": cpu}[self.args.scale]

    def load(self, split: str, batch_size: int = 128, **options: Any):
        """`datasets.load` of the data set, folder and seed that were asked for."""
        options = {"data_dir": self.args.data_dir, "seed": self.seed} | options
        return datasets.load(self.args.dataset, split, batch_size, **options)

    def draw(self, name: str, figure: Any):
        """Writes a figure, or the `(fig, axes)` of `tfgen.plotting`, as <name>.png."""
        fig = figure[0] if isinstance(figure, tuple) else figure
        save_figure(fig, self.folder / f"{name}.png")

    def of(self, name: str):
        """The run of the same seed of another experiment."""
        return self._replace(folder=self.folder.parents[1] / name / self.folder.name)


def main(title, experiments, first_seed, data_sets, argv=None):
    """Runs the experiments that the flags name and writes results.json and report.html.

    Args:
        title: string, the script's docstring; its first line heads the report.
        experiments: list of `Experiment`.
        first_seed: int, the paper's seed; `--seeds 3` runs it and the next two.
        data_sets: names that `--dataset` allows; the first is the paper's.
        argv: list of strings, `sys.argv[1:]` if None.
    """
    args = parse_args(title, experiments, data_sets, argv)
    if args.list:
        print("\n".join(listed(experiments, args)))
        return
    args.output_dir.mkdir(parents=True, exist_ok=True)
    if args.smoke:
        print(SMOKE)
    try:
        for experiment, run in Clock(jobs(experiments, first_seed, args), is_done).timed():
            measure(experiment, run)
            write_report(title, experiments, args)
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on at the epoch that was running.")
    print(f"\n{args.output_dir / 'results.json'}\n{args.output_dir / 'report.html'}")
    if args.index:
        print(write_index(args.index))
    if args.smoke:
        print(SMOKE)


def jobs(experiments, first_seed, args):
    """All seeds of the chosen experiments, in order."""
    chosen = [e for e in experiments if "all" in args.run or e.name in args.run]
    return [
        (e, Run(args, args.output_dir / e.name / f"seed_{seed}", seed))
        for seed in range(first_seed, first_seed + args.seeds)
        for e in chosen
    ]


# Flags.


def parse_args(title, experiments, data_sets, argv):
    """The flags of all paper scripts."""
    parser = new_parser(title)
    names = [e.name for e in experiments]
    parser.add_argument(
        "--run",
        nargs="+",
        default=["all"],
        metavar="NAME",
        choices=[*names, "all"],
        help=f"one or more of {', '.join(names)}, or all",
    )
    parser.add_argument("--dataset", default=data_sets[0], choices=data_sets)
    default = default_scale(experiments)
    parser.add_argument(
        "--scale",
        default=default,
        choices=SCALES,
        help="the paper's sizes, or sizes for two CPU cores; --list gives the times; "
        f"default {default}",
    )
    args = parser.parse_args(argv)
    if args.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {args.seeds}.")
    if args.smoke:
        args.dataset = "digits"
    is_default = args.output_dir == parser.get_default("output_dir")
    args.index = args.output_dir.parent if is_default else None  # Of all papers' reports.
    # Runs of other data or sizes are other results.
    args.output_dir /= f"{args.dataset}-{'smoke' if args.smoke else args.scale}"
    return args


def new_parser(title):
    """A parser with the flags of every script that trains several models."""
    parser = argparse.ArgumentParser(
        description=title, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="list what can be run, and its times")
    parser.add_argument(
        "--data-dir",
        default=os.environ.get("TFDS_DATA_DIR"),
        help="TensorFlow Datasets folder; default TFDS_DATA_DIR",
    )
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument(
        "--output-dir",
        type=pathlib.Path,
        default=pathlib.Path("outputs", pathlib.Path(sys.argv[0]).stem),
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="seconds, on tiny embedded data: shows that the script works",
    )
    return parser


def with_options(experiment, options):
    """The experiment, whose run is given also the flags of one script."""

    def run(run):
        args = argparse.Namespace(**vars(run.args), **vars(options))
        return experiment.run(run._replace(args=args))

    return experiment._replace(run=run)


# One seed of one experiment.


def is_done(run):
    return (run.folder / "result.json").exists()


def measure(experiment, run):
    """Runs one seed of one experiment, unless its result is there already."""
    path = run.folder / "result.json"
    if is_done(run):
        print(f"{experiment.name}, seed {run.seed}: done before, {path}")
        return
    later = f" ({duration(run.later)} for those that follow)" if run.later else ""
    print(f"\n{experiment.name}, seed {run.seed}: {experiment.stands_for}{later}", flush=True)
    run.folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(run.seed)
    metrics = experiment.run(run)
    print("  " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()), flush=True)
    write_json(
        path,
        {
            "experiment": experiment.name,
            "seed": run.seed,
            "scale": "smoke" if run.args.smoke else run.args.scale,
            "dataset": run.args.dataset,
            "setup": experiment.setup,
            "metrics": metrics,
            "command": " ".join(["python", *sys.argv]),
            "commit": commit(),
            "date": datetime.date.today().isoformat(),
            **machine(),
        },
    )


def commit():
    """The commit of the checkout that this file is in; None where there is none."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


# Training that can be killed.


class EpochSeconds(keras.callbacks.Callback):
    """Adds the time of each epoch to its logs."""

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self._start


def fit_resumable(model, dataset, run, epochs, validation_data=None, callbacks=(), **arrays):
    """`model.fit` that goes on where a killed run stopped; `arrays` may be its y and batch_size.

    Returns:
        Dict of lists, one value an epoch, of all epochs, those before a kill included.
    """
    log = run.folder / "epochs.csv"
    model.fit(
        dataset,
        epochs=epochs,
        validation_data=validation_data,
        verbose=2,
        **arrays,
        callbacks=[
            *callbacks,
            EpochSeconds(),
            keras.callbacks.CSVLogger(log, append=log.exists()),
            keras.callbacks.BackupAndRestore(run.folder / "backup", delete_checkpoint=False),
        ],
    )
    with open(log) as file:
        rows = {int(row.pop("epoch")): row for row in csv.DictReader(file)}  # The last of repeats.
    names = [
        name for name in rows[0] if rows[0][name] != "NA"
    ]  # Of validation that was not asked for.
    return {name: [float(rows[e][name]) for e in sorted(rows)] for name in names}


def fit_in_lines(model, dataset, run, epochs, validation_data=None, callbacks=(), **arrays):
    """`fit_resumable` with one line an epoch in place of Keras's two."""
    chatty, callbacks = keras.config.is_interactive_logging_enabled(), [*callbacks, EpochLines()]
    keras.config.disable_interactive_logging()
    try:
        return fit_resumable(model, dataset, run, epochs, validation_data, callbacks, **arrays)
    finally:
        if chatty:
            keras.config.enable_interactive_logging()


def train(model, run, dataset, epochs, validation_data=None, callbacks=(), units=None, **arrays):
    """Trains, goes on where a killed run stopped, and writes model.keras and curves.png.

    Returns:
        Dict of lists, one value an epoch; and dict of the seconds that training took.
    """
    history = fit_in_lines(model, dataset, run, epochs, validation_data, callbacks, **arrays)
    seconds = history.pop("seconds")
    model.save(run.folder / "model.keras")
    run.draw("curves", plotting.training_curves(history, units))
    times = {"seconds_per_epoch": statistics.median(seconds), "seconds": sum(seconds)}
    return history, times
