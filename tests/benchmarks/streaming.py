"""Images of a folder in memory, decoded while they are read, and mapped: speed and memory.

    python tests/benchmarks/streaming.py                           # minutes on two cores
    python tests/benchmarks/streaming.py --model conv --num-images 2000 --json /tmp/conv.json

PNG files of random pixels, of 28 x 28 grey ones for `--model mlp` and 64 x 64 in colour for
`--model conv`, are read by `datasets.load` in three ways: held in memory; from the files, as a
folder with more than 64 MiB of pixels is ("streamed"); and with `cache_dir` ("mapped": the file was
written before). All files are in the system's cache. Two things are timed, in batches of 128: an
epoch of the pipeline alone, and one in which a VAE is trained, 784-400-40 or `conv64_encoder`. The
kinds take turns, each in a process of its own. Beside the time stands that of all processors, which
other work on the machine changes little. Anonymous memory is what the system cannot take
back: the largest in an epoch beyond what the process had before the data were loaded.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from train_speed import describe_machine, spread

KINDS, TASKS = ("memory", "streamed", "mapped"), ("pipeline", "training")
BATCH_SIZE, EPOCHS = 128, {"pipeline": 3, "training": 3}  # The first is warm-up.
SHAPES = {"mlp": (28, 28, 1), "conv": (64, 64, 3)}
TARGET = 0.8


def main():
    args = parse_args()
    if args.worker:
        kind, task, folder = args.worker
        print(json.dumps(measure(kind, task, pathlib.Path(folder), args)))
        return
    load_before = os.getloadavg()[0]
    report = {
        "machine": describe_machine(load_before),
        "seed": args.seed,
        "model": args.model,
        "num_images": args.num_images,
        **run(args),
    }
    report["load_after"] = os.getloadavg()[0]
    args.json.write_text(json.dumps(report, indent=1) + "\n")
    print(format_report(report))
    print(f"\nWritten to {args.json}")


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=20_000)
    parser.add_argument("--model", choices=SHAPES, default="mlp")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path, default="docs/results/streaming.json")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


# Measuring, in the parent.


def run(args):
    """Results of all rounds."""
    runs = {(task, kind): [] for task in args.tasks for kind in args.kinds}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_images(folder / "images", (args.num_images, *SHAPES[args.model]), args.seed)
        if "mapped" in args.kinds:
            in_process("mapped", "pipeline", folder, args)
        for _ in range(args.rounds):
            for (task, kind), results in runs.items():
                results.append(in_process(kind, task, folder, args))
                print(task, kind, results[-1], file=sys.stderr, flush=True)
    rows = {f"{task}, {kind}": summary(results) for (task, kind), results in runs.items()}
    return {"results": rows, "speed / memory": ratios(runs)}


def write_images(folder, shape, seed):
    from PIL import Image

    folder.mkdir()
    generator = np.random.default_rng(seed)
    for number in range(shape[0]):
        pixels = generator.integers(0, 256, shape[1:], "uint8").squeeze()
        Image.fromarray(pixels).save(folder / f"{number:05}.png")


def in_process(kind, task, folder, args):
    options = ["--seed", str(args.seed), "--model", args.model]
    command = [sys.executable, __file__, *options, "--worker", kind, task, str(folder)]
    output = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
    return json.loads(output.splitlines()[-1])


def summary(results):
    return {key: spread([result[key] for result in results]) for key in results[0]}


def ratios(runs):
    """Speed over that from memory, round by round."""
    pairs = {
        (task, kind): zip(results, runs[task, "memory"], strict=True)
        for (task, kind), results in runs.items()
        if kind != "memory" and (task, "memory") in runs
    }
    return {
        ", ".join(key): spread([a["images_per_s"] / b["images_per_s"] for a, b in pair])
        for key, pair in pairs.items()
    }


# Measuring, in a process of its own.


def measure(kind, task, folder, args):
    """Images a second and time of all processors, MiB of anonymous memory, and seconds to load."""
    from tfgen import datasets
    from tfgen.datasets import folders

    epoch = iterate if task == "pipeline" else trainer(args.model, args.seed)
    epoch(datasets.load(np.zeros((BATCH_SIZE, *SHAPES[args.model]), "uint8"))[0])
    folders._MOST_IN_MEMORY = 0 if kind == "streamed" else sys.maxsize
    before, start = anonymous_mib(), time.perf_counter()
    options = {"cache_dir": folder / "cache"} if kind == "mapped" else {}
    dataset, info = datasets.load(
        folder / "images", batch_size=BATCH_SIZE, seed=args.seed, **options
    )
    load_s = time.perf_counter() - start
    epochs = [timed(epoch, dataset) for _ in range(EPOCHS[task])]
    seconds, processor_s, peaks = zip(*epochs, strict=True)
    return {
        "images_per_s": info.num_examples / statistics.median(seconds[1:]),
        "processor_us_per_image": statistics.median(processor_s[1:]) / info.num_examples * 1e6,
        "anonymous_mib": max(peaks) - before,
        "load_s": load_s,
    }


def timed(epoch, dataset):
    """Seconds of an epoch, those of all processors, and anonymous memory at its end."""
    start, processor_start = time.perf_counter(), time.process_time()
    epoch(dataset)
    seconds = time.perf_counter() - start, time.process_time() - processor_start
    return *seconds, anonymous_mib()


def iterate(dataset):
    for _ in dataset:
        pass


def trainer(model, seed):
    """Function that trains a VAE for an epoch."""
    import keras

    from tfgen import models, networks

    keras.utils.set_random_seed(seed)
    shape = SHAPES[model]
    if model == "mlp":
        encoder = networks.mlp_encoder(shape, 40, width=400, depth=1)
        decoder = networks.mlp_decoder(shape, 40, width=400, depth=1)
    else:
        encoder, decoder = networks.conv64_encoder(shape), networks.conv64_decoder(shape)
    vae = models.VAE(encoder, decoder, seed=seed)
    vae.compile(keras.optimizers.Adam(1e-3))
    return lambda dataset: vae.fit(dataset, verbose=0)


def anonymous_mib():
    lines = pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**10


# Reporting.


def format_report(report):
    """The table, in Markdown."""
    lines = [
        "| an epoch of | images | images/s (range) | processor us/image | memory, MiB | load, s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in report["results"].items():
        speed = row["images_per_s"]
        lines.append(
            f"| {name.replace(', ', ' | ')} "
            f"| {speed['median']:,.0f} ({speed['min']:,.0f}-{speed['max']:,.0f}) "
            f"| {row['processor_us_per_image']['median']:.1f} "
            f"| {row['anonymous_mib']['median']:.0f} | {row['load_s']['median']:.1f} |"
        )
    lines.append("")
    for name, ratio in report["speed / memory"].items():
        lines.append(
            f"{name} / memory {ratio['median']:.2f} "
            f"({ratio['min']:.2f}-{ratio['max']:.2f}), target {TARGET:.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
