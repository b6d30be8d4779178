"""What the paper scripts share: flags, runs that go on where they stopped, results and report.

A script lists its experiments and calls `main`. An experiment is a function of one `Run`; it may be
killed at any moment and called again, and returns its measured metrics.
"""

import argparse
import csv
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf


class Experiment(NamedTuple):
    """One table entry or figure of a paper.

    Attributes:
        name: string, for `--run`.
        stands_for: string, what it reproduces, such as "Figure 4".
        run: callable, `Run` to a dict of measured metrics.
        paper: dict from metric to what the paper prints.
        setup: string, what was trained and on what.
        times: dict from scale to the measured time of one seed, as text.
        figures: file names, relative to the run's folder, for the report.
    """

    name: str
    stands_for: str
    run: Callable
    paper: dict
    setup: str
    times: dict
    figures: tuple = ()


class Run(NamedTuple):
    """One seed of one experiment."""

    args: argparse.Namespace
    folder: pathlib.Path
    seed: int

    def pick(self, paper: Any, cpu: Any, smoke: Any):
        """The value for the scale that was asked for."""
        return smoke if self.args.smoke else {"paper": paper, "cpu": cpu}[self.args.scale]


def main(title, experiments, first_seed, datasets, argv=None):
    """Runs the experiments that the flags name and writes results.json and report.md.

    Args:
        title: string, the script's docstring; its first line heads the report.
        experiments: list of `Experiment`.
        first_seed: int, the paper's seed; `--seeds 3` runs it and the next two.
        datasets: names that `--dataset` allows; the first is the paper's.
        argv: list of strings, `sys.argv[1:]` if None.
    """
    args = parse_args(title, experiments, datasets, argv)
    if args.list:
        print_experiments(experiments)
        return
    chosen = [e for e in experiments if "all" in args.run or e.name in args.run]
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + args.seeds):
        for experiment in chosen:
            folder = args.output_dir / experiment.name / f"seed_{seed}"
            measure(experiment, Run(args, folder, seed))
            write_report(title, experiments, args.output_dir)
    print(f"\n{args.output_dir / 'report.md'}\n{args.output_dir / 'results.json'}")


def parse_args(title, experiments, datasets, argv):
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
    parser.add_argument("--dataset", default=datasets[0], choices=datasets)
    parser.add_argument(
        "--scale",
        default="paper",
        choices=["paper", "cpu"],
        help="the paper's sizes, or sizes for two CPU cores; --list gives the times",
    )
    args = parser.parse_args(argv)
    if args.smoke:
        args.dataset = "digits"
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


def print_experiments(experiments):
    """The table that `--list` prints."""
    for e in experiments:
        times = ", ".join(f"{scale}: {time}" for scale, time in e.times.items())
        print(f"{e.name:<20} {e.stands_for:<34} {times}")


def measure(experiment, run):
    """Runs one seed of one experiment, unless its result is there already."""
    path = run.folder / "result.json"
    if path.exists():
        print(f"{experiment.name}, seed {run.seed}: done before, {path}")
        return
    print(f"\n{experiment.name}, seed {run.seed}: {experiment.stands_for}")
    run.folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(run.seed)
    metrics = experiment.run(run)
    print("  " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
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


def machine():
    """What the numbers were measured on."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    cpu = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    devices = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "hardware": ", ".join([f"{os.cpu_count()} cores of {cpu}", *devices]),
        "versions": f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
    }


def write_json(path, content):
    """Writes a JSON file aside and renames it."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path):
    """What a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_text(path, text):
    """Writes a text file aside and renames it."""
    aside = path.with_name(f".writing.{path.name}")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def save_figure(fig, path):
    """Writes a figure and forgets it."""
    import matplotlib.pyplot as plt

    fig.savefig(path, dpi=110)
    plt.close(fig)


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


# Results and report.


def load_results(output_dir):
    """All results of an output folder, by experiment."""
    results = {}
    for path in sorted(output_dir.glob("*/seed_*/result.json")):
        result = read_json(path)
        results.setdefault(result["experiment"], []).append(result)
    return results


def measured_text(values):
    """Mean and spread, for the report."""
    text = f"{np.mean(values):.4g}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.2g} ({len(values)} seeds)"
    return text


def report_rows(experiment, results):
    """One row for each metric: what | paper | measured | setup."""
    for metric in results[0]["metrics"]:
        values = [r["metrics"][metric] for r in results]
        paper = experiment.paper.get(metric, "")
        yield (
            f"| {experiment.name} | {metric} | {paper} | {measured_text(values)} "
            f"| {experiment.setup} |"
        )


def report_figures(experiment, results, output_dir):
    """The figures of the first seed."""
    folder = output_dir / experiment.name / f"seed_{results[0]['seed']}"
    present = [figure for figure in experiment.figures if (folder / figure).exists()]
    if present:
        yield f"\n## {experiment.name}: {experiment.stands_for}\n"
        yield f"{experiment.setup}; seed {results[0]['seed']}.\n"
    for figure in present:
        yield f"![{experiment.name}, {figure}]({folder.relative_to(output_dir) / figure})\n"


def write_report(title, experiments, output_dir):
    """Writes results.json and report.md from all results that are there."""
    results = load_results(output_dir)
    write_json(output_dir / "results.json", results)
    done = [e for e in experiments if e.name in results]
    lines = [
        f"# {title.splitlines()[0]}\n",
        "Mean and standard deviation over seeds. `elbo`, `reconstruction` and `kl` in nats per "
        "example, `bits_per_dim` in bits, times in seconds; test set unless named otherwise.\n",
        "| experiment | metric | paper | measured | setup |",
        "| --- | --- | --- | --- | --- |",
    ]
    for e in done:
        lines += report_rows(e, results[e.name])
    lines.append("\n## Runs\n")
    lines += [
        f"- {e.name}, seed {r['seed']}: `{r['command']}`, {r['scale']} scale, {r['dataset']}, "
        f"{r['hardware']}, {r['versions']}, {r['date']}"
        for e in done
        for r in results[e.name]
    ]
    for e in done:
        lines += report_figures(e, results[e.name], output_dir)
    write_text(output_dir / "report.md", "\n".join(lines) + "\n")
