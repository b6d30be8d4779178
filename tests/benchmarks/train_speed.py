"""Training speed of tfgen's VAEs beside TensorFlow, PyTorch and pythae, in images per second.

    python tests/benchmarks/train_speed.py                          # both networks
    python tests/benchmarks/train_speed.py --models mlp --without pythae torch
    python tests/benchmarks/train_speed.py --ablate                 # what each default gives
    python tests/benchmarks/train_speed.py --ablate fused           # the rows that begin so

The contenders take turns, each in a process of its own, round after round, so that a slow moment
of the machine hits all alike. The first epoch of a run, in which things are compiled and caches
filled, is reported apart. README.md says what each contender does.
"""

import argparse
import datetime
import importlib
import importlib.metadata
import itertools
import json
import operator
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from contenders import Recorder

# Contender -> module `contenders.with_*` and its options.
CONTENDERS = {
    "tfgen": ("tfgen", {}),
    "tensorflow": ("tensorflow", {"graph_epoch": True}),
    "tensorflow-steps": ("tensorflow", {"graph_epoch": False}),
    "torch": ("torch", {}),
    "torch-compiled": ("torch", {"compiled": True}),
    "torch-channels-last": ("torch", {"channels_last": True}),
    "pythae": ("pythae", {}),
}
# Network -> contender -> least ratio of tfgen's speed to the contender's.
TARGETS = {
    "mlp": {
        "tensorflow": 0.95,
        "tensorflow-steps": 0.95,
        "torch": 1.6,
        "torch-compiled": 1.6,
        "pythae": 1.6,
    },
    "mlp-64": {},
    "conv": {"torch": 1.3, "torch-compiled": 1.3, "torch-channels-last": 1.3},
}
ABLATIONS = {
    "defaults": {},
    **{
        f"fused={fused}, jit_compile={jit}": {"fused": fused, "jit_compile": jit}
        for fused in (False, True)
        for jit in (False, True)
    },
    **{
        f"steps_per_execution={steps}, jit_compile={jit}": {
            "steps_per_execution": steps,
            "jit_compile": jit,
        }
        for jit in (False, True)
        for steps in (1, 8, 32, 128)
    },
    **{
        f"pipeline: {name}": {"pipeline": name}
        for name in ("slices", "tfds", "tfds, cache", "tfds, prefetch", "tfds, cache, prefetch")
    },
}
PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "torch", "pythae", "numpy")


def main(argv=None):
    args = parse_args(argv)
    if args.worker:
        run_worker(**json.loads(args.worker))
        return
    load_before = os.getloadavg()[0]
    if load_before > 0.5:
        print(f"Load {load_before:.1f}: an idle machine is needed, see README.md", file=sys.stderr)
    ablate = args.ablate is not None
    plan = (
        ablation_plan(args.models, args.ablate)
        if ablate
        else contest_plan(args.models, args.without)
    )
    runs = run_plan(plan, args.rounds, args.epochs)
    report = {
        "machine": describe_machine(load_before),
        "epochs": args.epochs,
        "results": [summarise(row, runs[row]) for row in plan],
        "ratios": [] if ablate else ratios(runs),
    }
    args.json.write_text(json.dumps(report, indent=1))
    print(format_report(report))
    print(f"\nWritten to {args.json}")


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument(
        "--without", nargs="+", choices=["tensorflow", "torch", "pythae"], default=[]
    )
    parser.add_argument(
        "--ablate",
        nargs="?",
        const="",
        help="vary tfgen's own settings instead, those whose names begin so",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of each run; the first is warm-up")
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("train_speed.json"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.epochs < 2:
        parser.error("--epochs must be at least 2: the first epoch is warm-up.")
    return args


# Plans: (network, row of the table) -> (module, options).


def contest_plan(models, without):
    """tfgen and its contenders for every network."""
    return {
        (network, contender): CONTENDERS[contender]
        for network in models
        for contender in ("tfgen", *TARGETS[network])
        if CONTENDERS[contender][0] not in without
    }


def ablation_plan(models, prefix):
    """tfgen with one setting after the other, those whose names begin with the prefix."""
    return {
        (network, setting): ("tfgen", options)
        for network in models
        for setting, options in ABLATIONS.items()
        if setting.startswith(prefix)
    }


# Running.


def run_plan(plan, rounds, epochs):
    """Runs the plan `rounds` times over; returns row -> list of results."""
    runs = {row: [] for row in plan}
    with tempfile.TemporaryDirectory() as folder:
        common = {"epochs": epochs, "images_path": os.path.join(folder, "images.npy")}
        export_images(common["images_path"])
        for number, (row, (module, options)) in itertools.product(range(rounds), plan.items()):
            run = run_process(folder, module=module, network=row[0], **options, **common)
            runs[row].append(run)
            speed = images_per_second(run)
            print(f"round {number + 1}: {' '.join(row)}: {speed:,.0f} images/s", file=sys.stderr)
    return runs


def run_process(folder, **task):
    """Runs one task in a new process and returns its result."""
    result_path = pathlib.Path(folder, "result.json")
    task_json = json.dumps({**task, "result_path": str(result_path)})
    done = subprocess.run(
        [sys.executable, __file__, "--worker", task_json],
        env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{task} failed:\n{done.stderr[-4000:]}")
    return json.loads(result_path.read_text(encoding="utf-8"))


def run_worker(module, result_path, **task):
    """Runs one task in this process and writes its result."""
    recorder = Recorder()
    importlib.import_module(f"contenders.with_{module}").train(recorder, **task)
    result = {"seconds": recorder.epoch_seconds(), "losses": recorder.losses}
    pathlib.Path(result_path).write_text(json.dumps(result))


def export_images(path):
    """Saves MNIST's training images for contenders that do without TensorFlow."""
    import tensorflow_datasets as tfds

    np.save(path, tfds.as_numpy(tfds.load("mnist", split="train", batch_size=-1))["image"])


# Statistics.


def images_per_second(run, num_images=60_000):
    """Speed over all epochs but the first."""
    later = run["seconds"][1:]
    return num_images * len(later) / sum(later)


def spread(values):
    """Median and range."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarise(row, runs):
    """One row of the table."""
    whole = [sum(run["seconds"]) for run in runs]
    startup = [run["seconds"][0] - statistics.mean(run["seconds"][1:]) for run in runs]
    return {
        "network": row[0],
        "contender": row[1],
        "images_per_second": spread([images_per_second(run) for run in runs]),
        "first_epoch_extra_seconds": spread(startup),
        "seconds_of_all_epochs": spread(whole),
        "last_loss": spread([run["losses"][-1] for run in runs]),
    }


def ratios(runs):
    """tfgen's speed over each contender's in the same round, beside the target."""
    speeds = {row: list(map(images_per_second, results)) for row, results in runs.items()}
    return [
        {
            "network": network,
            "contender": contender,
            "target": TARGETS[network][contender],
            "ratio": spread(list(map(operator.truediv, speeds[network, "tfgen"], others))),
        }
        for (network, contender), others in speeds.items()
        if contender != "tfgen"
    ]


# Reporting.


def describe_machine(load_before):
    """What the numbers depend on."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "load_before": load_before,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def commit():
    """The checked-out commit, None where there is no repository."""
    folder = pathlib.Path(__file__).parent
    command = ["git", "-C", folder, "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or None


def processor_name():
    """Model name where Linux tells it."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def version(package):
    """Installed version, None if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def format_report(report):
    """The tables, in Markdown."""
    machine = report["machine"]
    versions = [f"{name} {number}" for name, number in machine["versions"].items() if number]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load_before']:.1f} "
        f"before; Python {machine['python']}, {', '.join(versions)}",
        "",
        "| network | contender | images/s (min-max) | first epoch, extra s | last loss, nats |",
        "| --- | --- | --- | --- | --- |",
        *map(format_result, report["results"]),
        "",
    ]
    if report["ratios"]:
        lines += ["| network | tfgen / | ratio (min-max) | target |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *map(format_ratio, report["ratios"])])


def format_result(row):
    return (
        f"| {row['network']} | {row['contender']} "
        f"| {format_spread(row['images_per_second'], ',.0f')} "
        f"| {row['first_epoch_extra_seconds']['median']:.1f} | {row['last_loss']['median']:.1f} |"
    )


def format_ratio(row):
    return (
        f"| {row['network']} | {row['contender']} | {format_spread(row['ratio'], '.2f')} "
        f"| {row['target']:.2f} |"
    )


def format_spread(values, spec):
    return f"{values['median']:{spec}} ({values['min']:{spec}}-{values['max']:{spec}})"


if __name__ == "__main__":
    main()
