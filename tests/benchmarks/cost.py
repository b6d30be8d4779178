"""What a training step costs, model by model, beside PyTorch and pythae.

    python tests/benchmarks/cost.py                              # all models: over an hour
    python tests/benchmarks/cost.py --models vae draw --rounds 1
    python tests/benchmarks/cost.py --models hvi-16 --contenders tfgen tfgen-xla
    python tests/benchmarks/cost.py --profile --models draw      # what its steps are made of
    python tests/benchmarks/cost.py --table docs/results/cost.json

The contenders take turns, each in a process of its own, round after round, so that a slow moment of
the machine hits all alike. README.md says what is measured.
"""

import argparse
import importlib
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from train_speed import describe_machine, format_spread, spread

# Contender -> module `contenders.steps_*` and its options.
CONTENDERS = {
    "tfgen": ("tfgen", {"jit_compile": False}),
    "tfgen-xla": ("tfgen", {"jit_compile": True}),
    "torch": ("torch", {"compiled": False}),
    "torch-compiled": ("torch", {"compiled": True}),
    "pythae": ("pythae", {}),
}
MODELS = (
    *("vae", "conv-vae", "iwae-5", "iwae-50", "vampprior", "planar-10", "planar-80", "iaf"),
    *("hvi-4", "hvi-16", "vgp", "vgp-2hl", "draw", "draw-attention", "draw-vgp", "ladder"),
    *("beta-tcvae", "factor-vae", "vq-vae", "vae-gan", "dcgan", "wgan-gp", "image-flow"),
)
# Five times as slow as others, and not worth more than one round.
ONCE = {(model, "tfgen-xla") for model in ("vae-gan", "dcgan", "wgan-gp")}
# Seconds of one measurement, and how many of them a process makes; the fastest counts.
SECONDS, REPEATS = 1.5, 3
NUM_IMAGES, BATCH_SIZE = 10_000, 100


def main(argv=None):
    args = parse_args(argv)
    if args.worker:
        task = json.loads(args.worker)
        path = pathlib.Path(task.pop("path"))
        path.write_text(json.dumps(work(**task)))
        return
    if args.table:
        print(format_table(json.loads(args.table.read_text(encoding="utf-8"))["runs"]))
        return
    if os.getloadavg()[0] > 0.5:
        print(f"Load {os.getloadavg()[0]:.1f}: an idle machine is needed", file=sys.stderr)
    report = {"machine": describe_machine(os.getloadavg()[0]), "batch_size": args.batch_size}
    report["runs"] = contest(args, report)
    print(format_table(report["runs"]))


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--profile", action="store_true", help="what steps of tfgen are made of")
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("cost.json"))
    parser.add_argument("--table", type=pathlib.Path, metavar="JSON", help="print what it holds")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


# Running.


def contest(args, report):
    """List of results, one for each process, which are written with the report as they come."""
    runs = []
    for round_number in range(args.rounds):
        for model in args.models:
            for contender in args.contenders:
                if round_number and (model, contender) in ONCE:
                    continue
                run = run_process(model, contender, args, args.profile and not round_number)
                if run is not None:
                    known = {"model": model, "contender": contender, "round": round_number}
                    runs.append(known | run)
                    args.json.write_text(json.dumps({**report, "runs": runs}, indent=1))
                    shown = f"{run['ms']:.2f} ms, first step after {run['first_seconds']:.1f} s"
                    print(f"round {round_number + 1}: {model}, {contender}: {shown}", flush=True)
    return runs


def run_process(model, contender, args, profile):
    """What `work` returns in a new process; None where the contender lacks the model."""
    module, options = CONTENDERS[contender]
    path = args.json.with_suffix(".worker")
    task = {"module": module, "model": model, "options": options, "start": time.time()}
    task |= {"batch_size": args.batch_size, "profile": profile, "path": str(path)}
    with tempfile.TemporaryDirectory() as cache:  # Else torch finds what it compiled before.
        done = subprocess.run(
            [sys.executable, __file__, "--worker", json.dumps(task)],
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        print(f"{model}, {contender} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    result = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return result


def work(module, model, options, start, batch_size, profile):
    """Trains one model in this process; None where the contender lacks it."""
    build = importlib.import_module(f"contenders.steps_{module}")
    if model not in build.MODELS:
        return None
    made = build.build(model, noise(), batch_size, **options)
    network, run = made if isinstance(made, tuple) else (None, made)
    run(1)
    result = {"first_seconds": time.time() - start}
    num_steps = steps_of(run, SECONDS)
    result["ms"] = min(timed(run, num_steps) for _ in range(REPEATS)) * 1e3
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    result["ready_seconds"] = time.time() - start
    if network is not None and not options["jit_compile"]:
        import profile_steps

        x = network.zeros(batch_size)
        alone, count = profile_steps.products(network.train_step, x)
        result |= {"products_ms": alone, "giga_products": count}
        result["giga_rate"] = profile_steps.matrix_rate()
        if profile:
            result["shares"] = profile_steps.shares(lambda: run(num_steps // 4 + 1))
    return result


def noise():
    """Binary images as dense as MNIST's, float32."""
    images = np.random.default_rng(0).random((NUM_IMAGES, 28, 28, 1)) < 0.13
    return images.astype("float32")


def steps_of(run, seconds):
    """How many steps take about so long, a multiple of 32, after steps that warm up."""
    run(32)
    return 32 * max(1, round(seconds / timed(run, 32) / 32))


def timed(run, num_steps):
    """Seconds a step."""
    start = time.perf_counter()
    run(num_steps)
    return (time.perf_counter() - start) / num_steps


# Reporting.


def format_table(runs):
    """Medians over rounds in Markdown, ratios within a round."""
    values = {}
    for run in runs:
        values.setdefault(run["model"], {}).setdefault(run["contender"], []).append(run)
    titles = ["model", *CONTENDERS, "fastest peer / tfgen", "/ tfgen-xla"]
    titles += ["products alone", "of the matrix rate", "first step, s", "with XLA", "peak MiB"]
    lines = [titles, ["---"] * len(titles), *(cells(model, of) for model, of in values.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(model, runs):
    """A row of the table."""

    def median(contender, key, spec):
        found = [run[key] for run in runs.get(contender, []) if key in run]
        return format(statistics.median(found), spec) if found else ""

    return [
        model,
        *(median(contender, "ms", ".1f") for contender in CONTENDERS),
        *(ratio(runs, contender) for contender in ("tfgen", "tfgen-xla")),
        share(runs, lambda run: run["products_ms"] / run["ms"]),
        share(runs, lambda run: run["giga_products"] / run["ms"] * 1e3 / run["giga_rate"]),
        *(median(contender, "first_seconds", ".1f") for contender in ("tfgen", "tfgen-xla")),
        median("tfgen", "peak_mib", ",.0f"),
    ]


def share(runs, of_run):
    """Median over rounds of tfgen's."""
    values = [of_run(run) for run in runs.get("tfgen", [])]
    return f"{statistics.median(values):.0%}" if values else ""


def ratio(runs, contender):
    """How many times as long the fastest peer's step is, median over rounds and range."""
    peers = [run for name in runs if not name.startswith("tfgen") for run in runs[name]]
    own = {run["round"]: run["ms"] for run in runs.get(contender, [])}
    fastest = {
        number: min(run["ms"] for run in of_round)
        for number in own
        if (of_round := [run for run in peers if run["round"] == number])
    }
    if not fastest:
        return ""
    values = [fastest[number] / own[number] for number in fastest]
    return format_spread(spread(values), ".2f") if values[1:] else f"{values[0]:.2f}"


if __name__ == "__main__":
    main()
