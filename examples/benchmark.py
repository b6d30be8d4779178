"""Every model of tfgen under one budget: likelihoods, samples, cost, pictures, weights

    python examples/benchmark.py --list
    python examples/benchmark.py --run all --seeds 3 --dataset mnist fashion_mnist
    python examples/benchmark.py --run vae iwae-5 --seeds 5
    python examples/benchmark.py --time
    python examples/benchmark.py --budget paper --dataset static_mnist --static-mnist FOLDER
    python examples/benchmark.py --smoke

The rows are in `benchmark_rows.py`: each a model, its networks, optimizer and measures. With
`--budget small` all have 30 epochs of the first 55,000 images in batches of 100 and keep the
weights of the last; but GANs, their hybrids and the flows over images have 10, and stand in a table
of their own. These see grey pixels, others such as were drawn once as Bernoulli(intensity) with
seed 0. `--budget paper` has the rows in their authors' own setup; static_mnist is the binarization
of Larochelle, whose files binarized_mnist_train.amat and _test.amat of 50,000 and 10,000 images
must be in a folder already.

`elbo`, `rate` and `distortion` are on all 10,000 test images, `nll_200` and `nll_5000` by so many
importance samples from the model's posterior on the first `images_200` and `images_5000` of them,
in nats, with standard errors over images. Scores of 10,000 samples, which are means E[x|z], are
against grey test images, in a classifier's features; `real_` is the score of training images.
`seconds_per_epoch` is a median; `timed` says whether others left the machine alone meanwhile. If
not, `--time` trains the rows that are done for two epochs more, on a machine that is idle now, and
measures the second one. An epoch includes validation on 1,000 images.

A row runs in a process of its own. Killed, it goes on where it stopped; done, it is not run again
unless its declaration or the code of its model has changed (`benchmark_fingerprint.py`). Rows run
in the order of the table: all with the first seed on the first data set, then further seeds of
those that take at most six minutes (of all that `--run` names), then the next data set. Each
writes into `DATASET-BUDGET/NAME/seed_N`: result.json, model.keras, pictures, log.txt. What is in
`--records` is done too: `benchmark_publish.py` put it there.
"""

import argparse
import functools
import pathlib
import signal
import subprocess
import sys
import time
from concurrent import futures
from typing import NamedTuple

import benchmark_run
import numpy as np
import paper_script
from benchmark_fingerprint import fingerprint
from benchmark_rows import ROWS, Row
from paper_times import duration

QUICK_SECONDS = 360
RESULTS = "*-*/*/seed_*/result.json"
RECORDS = pathlib.Path(__file__).parents[1] / "docs" / "results" / "benchmark"


class Job(NamedTuple):
    """One seed of one row on one data set."""

    row: Row
    dataset: str
    seed: int
    folder: pathlib.Path
    record: pathlib.Path


# What to run.


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    args = parse_args(argv)
    if args.one:
        name, seed = args.one
        run_here(job_of(row_of(name), args.dataset[0], int(seed), args), args)
        return
    chosen = jobs(args)
    if args.list:
        print("\n".join(table(chosen, args)))
        return
    if args.time:
        chosen = [job for job in chosen if job.seed == 0 and lacks_time(job)]
    failed = run_all(chosen, args, argv)
    print("\n".join(table(chosen, args)))
    if failed:
        names = ", ".join(f"{job.row.name} ({job.folder / 'log.txt'})" for job in failed)
        sys.exit(f"{len(failed)} rows failed: {names}. The others are done.")


def parse_args(argv):
    parser = paper_script.new_parser(__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument(
        "--run", nargs="+", default=["all"], metavar="NAME", choices=[*names, "all"]
    )
    parser.add_argument(
        "--dataset",
        nargs="+",
        default=["mnist"],
        choices=["mnist", "fashion_mnist", "static_mnist", "digits"],
        help="one or more, run in this order",
    )
    parser.add_argument("--budget", default="small", choices=["small", "paper"])
    parser.add_argument("--static-mnist", type=pathlib.Path, help="folder of static MNIST's files")
    parser.add_argument(
        "--records",
        type=pathlib.Path,
        default=RECORDS,
        help="folder of results that were published; default this repository's",
    )
    parser.add_argument("--workers", type=int, default=1, help="rows that are run at once")
    parser.add_argument("--time", action="store_true", help="time epochs of rows that are done")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # A row in this process.
    args = parser.parse_args(argv)
    if args.seeds < 1 or args.workers < 1:
        parser.error(f"--seeds and --workers must be at least 1: {args.seeds}, {args.workers}")
    if "digits" in args.dataset and not args.smoke:
        parser.error("digits are the data of --smoke alone")
    if "static_mnist" in args.dataset:
        check_static(parser, args)
    if args.smoke:
        args.dataset = ["digits"]
    return args


def check_static(parser, args):
    """Ends the command unless static MNIST is there, and fits the rows."""
    files = [f"binarized_mnist_{name}.amat" for name in ("train", "test")]
    if args.static_mnist is None or not all((args.static_mnist / f).exists() for f in files):
        parser.error(
            f"--dataset static_mnist needs --static-mnist FOLDER with {' and '.join(files)}. "
            f"Received: {args.static_mnist}"
        )
    unfit = [row.name for row in rows_of(args) if row.labels or row.pixels != "binary"]
    if unfit:
        parser.error(
            "Static MNIST has binary pixels and no labels, which these rows need: "
            f"{', '.join(unfit)}. Name others with --run."
        )


def rows_of(args):
    """Those that `--run` and `--budget` choose."""
    if "all" in args.run:
        return [row for row in ROWS if row.budget == args.budget]
    return [row for row in ROWS if row.name in args.run]


def jobs(args):
    """All that is to be run, in order."""
    named = "all" not in args.run
    rows, done = rows_of(args), results(args)
    return [
        job_of(row, dataset, seed, args)
        for dataset in args.dataset
        for seed in range(args.seeds)
        for row in rows
        if seed == 0 or named or expected_seconds(row, done) <= QUICK_SECONDS
    ]


def job_of(row, dataset, seed, args):
    budget = "smoke" if args.smoke else row.budget
    place = pathlib.Path(f"{dataset}-{budget}", row.name, f"seed_{seed}")
    return Job(row, dataset, seed, args.output_dir / place, args.records / place)


def run_here(job, args):
    """Runs, or times, one job in this process; ends it with an error if it could not be timed."""
    run = run_of(job, args)
    if not args.time:
        benchmark_run.measure(job.row, run)
    elif not benchmark_run.time_again(job.row, run, (job.folder, job.record)):
        sys.exit("Others used the machine: time it when it is idle, at the usual niceness.")


def lacks_time(job):
    """Whether a job is done, and its time no measurement."""
    paths = [folder / "result.json" for folder in (job.folder, job.record)]
    found = [paper_script.read_json(path) for path in paths if path.exists()]
    return state_of(job) == "done" and not any(result["metrics"]["timed"] for result in found)


def run_of(job, args):
    """What `benchmark_run` takes: the job with the flags."""
    given = {"dataset": job.dataset, "command": command_of(job)}
    scale = "paper" if job.row.budget == "paper" else "cpu"  # Sizes that a builder picks.
    one = argparse.Namespace(**{**vars(args), **given, "scale": scale})
    return paper_script.Run(one, job.folder, job.seed)


def command_of(job):
    """What a reader types to make this result."""
    data = "--smoke" if job.dataset == "digits" else f"--dataset {job.dataset}"
    data += " --static-mnist FOLDER" * (job.dataset == "static_mnist")
    return f"python examples/benchmark.py --run {job.row.name} {data} --seeds {job.seed + 1}"


# Running.


def run_all(chosen, args, argv):
    """Runs jobs that are not done, each in a new process; returns those that failed."""
    children = Children()
    before = signal.signal(signal.SIGTERM, lambda *_: children.end())
    try:
        with futures.ThreadPoolExecutor(args.workers) as pool:
            fine = pool.map(lambda job: run_job(job, chosen, args, argv, children), chosen)
            return [job for job, ok in zip(chosen, fine, strict=True) if not ok]
    finally:
        signal.signal(signal.SIGTERM, before)


def run_job(job, chosen, args, argv, children):
    """Runs one job to its end; returns whether it went well."""
    now = state_of(job)
    name = f"{job.row.name}, {job.dataset}, seed {job.seed}"
    if now == "running" or now == "done" and not args.time:
        print(f"{name}: {now}", flush=True)
        return True
    done = results(args)
    left = sum(seconds_left(other, done) for other in chosen) / args.workers
    known = "" if args.time else f", {duration(left)} left for all"
    print(f"{time.strftime('%d %H:%M')} {name}: {now}{known}", flush=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    ok = children.run(child_command(job, argv), job.folder / "log.txt")
    if not ok:
        print(f"{name}: failed, see {job.folder / 'log.txt'}", flush=True)
    return ok


def child_command(job, argv):
    """The command that runs a job in a process of its own; the last of equal flags counts."""
    one = ["--dataset", job.dataset, "--one", job.row.name, str(job.seed)]
    return [sys.executable, __file__, *argv, *one]


class Children:
    """Processes that are ended when this one is told to end."""

    def __init__(self):
        self.running, self.ended = set(), False

    def run(self, command, log):
        """Runs a command, its output appended to a file; returns whether it went well."""
        if self.ended:
            return False
        with open(log, "a", encoding="utf-8") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file)
            self.running.add(process)
            code = process.wait()
        self.running.discard(process)
        return code == 0

    def end(self):
        self.ended = True
        for process in list(self.running):
            process.terminate()
        sys.exit("Told to end. Run the same command again to go on.")


# What is known of each: state, times.


@functools.cache
def fingerprint_of(name):
    """That of the code with which this process began."""
    return fingerprint(row_of(name), benchmark_run.RECIPE)


def row_of(name):
    return next(row for row in ROWS if row.name == name)


def state_of(job):
    """That of its folder, unless the record of it is done, or all that there is."""
    states = [
        benchmark_run.state(folder, fingerprint_of(job.row.name))
        for folder in (job.folder, job.record)
    ]
    return next((s for s in ("running", "done", "stale") if s in states), "to do")


def results(args):
    """All results of runs or of smoke runs, stale ones included: they tell how long rows take."""
    found = {}
    for root in (args.records, args.output_dir):
        for path in sorted(root.glob(RESULTS)):
            if path.match("*-smoke/*/*/*") != args.smoke:
                continue
            found[path.relative_to(root)] = paper_script.read_json(path)
    return list(found.values())


def expected_seconds(row, done):
    """How long a row takes: as it took before, or else its guess, scaled as others turned out.

    Args:
        row: `Row`.
        done: list of results, of any rows.

    Returns:
        float.
    """
    same = [r["total_seconds"] for r in done if r["name"] == row.name]
    if same:
        return float(np.median(same))
    guesses = {r.name: 60 * r.minutes for r in ROWS}
    ratios = [r["total_seconds"] / guesses[r["name"]] for r in done if r["name"] in guesses]
    return 60 * row.minutes * (float(np.median(ratios)) if ratios else 1.0)


def seconds_left(job, done):
    """How long a job will still take; one that is trained in part takes the rest."""
    return 0.0 if state_of(job) == "done" else expected_seconds(job.row, done) * share_left(job)


def share_left(job):
    """Of the epochs; those of code that has changed since do not count."""
    noted, log = job.folder / "fingerprint.txt", job.folder / "epochs.csv"
    if not log.exists() or noted.read_text(encoding="utf-8") != fingerprint_of(job.row.name):
        return 1.0
    epochs = {line.split(",")[0] for line in log.read_text(encoding="utf-8").splitlines()[1:]}
    return max(0.0, 1 - len(epochs) / num_epochs(job))


def table(chosen, args):
    """The lines that `--list` prints."""
    done = results(args)
    left = [seconds_left(job, done) for job in chosen]
    heads = f"{'row':<20} {'model':<18} {'data':<13} seed epochs {'state':<8}"
    yield f"{heads} {'took':>10} {'left':>10}"
    for job, seconds in zip(chosen, left, strict=True):
        took = [r["total_seconds"] for r in done if is_of(r, job)]
        yield (
            f"{job.row.name:<20} {job.row.model.__name__:<18} {job.dataset:<13} {job.seed:>4} "
            f"{num_epochs(job):>6} {state_of(job):<8} "
            f"{duration(took[0]) if took else '':>10} {duration(seconds) if seconds else '':>10}"
        )
    yield f"{left.count(0.0)} of {len(left)} done, {duration(sum(left))} left"


def num_epochs(job):
    return benchmark_run.SMOKE_EPOCHS if job.dataset == "digits" else job.row.epochs


def is_of(result, job):
    return (result["name"], result["dataset"], result["seed"]) == (
        job.row.name,
        job.dataset,
        job.seed,
    )


if __name__ == "__main__":
    main()
