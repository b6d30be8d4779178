"""Images in memory beside images in a memory-mapped file: speed and memory of an epoch.

    python tests/benchmarks/streaming.py                    # three minutes on two cores
    python tests/benchmarks/streaming.py --num-images 500 --rounds 1 --json /tmp/streaming.json

20,000 PNG files of 28 x 28 random pixels are read by `datasets.load`, with and without `cache_dir`
(the file was written before, and is in the system's cache). Two things are timed: an epoch of the
pipeline alone, and one in which a VAE 784-400-40 is trained, batches of 128. Memory and map take
turns, each in a process of its own. Anonymous memory is what the system cannot take back: the
largest in an epoch beyond what the process had before the data were loaded.
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

KINDS, TASKS = ("memory", "mapped"), ("pipeline", "training")
BATCH_SIZE, EPOCHS = 128, {"pipeline": 21, "training": 3}  # The first is warm-up.
TARGET = 0.8


def main():
    args = parse_args()
    if args.worker:
        kind, task, folder = args.worker
        print(json.dumps(measure(kind, task, pathlib.Path(folder), args.seed)))
        return
    load_before = os.getloadavg()[0]
    report = {
        "machine": describe_machine(load_before),
        "seed": args.seed,
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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path, default="docs/results/streaming.json")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


# Measuring, in the parent.


def run(args):
    """Results of all rounds, and how long the images took to be decoded into the file."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_images(folder / "images", args.num_images, args.seed)
        first = in_process("mapped", "pipeline", folder, args.seed)
        runs = {(task, kind): [] for task in TASKS for kind in KINDS}
        for _ in range(args.rounds):
            for (task, kind), results in runs.items():
                results.append(in_process(kind, task, folder, args.seed))
                print(task, kind, results[-1], file=sys.stderr)
    rows = {f"{task}, {kind}": summary(results) for (task, kind), results in runs.items()}
    return {"first_load_s": first["load_s"], "results": rows, "mapped / memory": ratios(runs)}


def write_images(folder, num_images, seed):
    from PIL import Image

    folder.mkdir()
    pixels = np.random.default_rng(seed).integers(0, 256, (num_images, 28, 28), "uint8")
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:05}.png")


def in_process(kind, task, folder, seed):
    command = [sys.executable, __file__, "--seed", str(seed), "--worker", kind, task, str(folder)]
    output = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
    return json.loads(output.splitlines()[-1])


def summary(results):
    return {key: spread([result[key] for result in results]) for key in results[0]}


def ratios(runs):
    """Speed from the file over that from memory, round by round."""
    pairs = {task: zip(runs[task, "mapped"], runs[task, "memory"], strict=True) for task in TASKS}
    return {
        task: spread([a["images_per_s"] / b["images_per_s"] for a, b in pair])
        for task, pair in pairs.items()
    }


# Measuring, in a process of its own.


def measure(kind, task, folder, seed):
    """Images a second, MiB of anonymous memory, and seconds until the data were loaded."""
    from tfgen import datasets

    epoch = {"pipeline": iterate, "training": trainer(seed)}[task]
    epoch(datasets.load(np.zeros((BATCH_SIZE, 28, 28, 1), "uint8"), batch_size=BATCH_SIZE)[0])
    before, start = anonymous_mib(), time.perf_counter()
    options = {"cache_dir": folder / "cache"} if kind == "mapped" else {}
    dataset, info = datasets.load(folder / "images", batch_size=BATCH_SIZE, seed=seed, **options)
    load_s = time.perf_counter() - start
    seconds, peaks = zip(*(timed(epoch, dataset) for _ in range(EPOCHS[task])), strict=True)
    return {
        "images_per_s": info.num_examples / statistics.median(seconds[1:]),
        "anonymous_mib": max(peaks) - before,
        "load_s": load_s,
    }


def timed(epoch, dataset):
    """Seconds of an epoch, and anonymous memory at its end."""
    start = time.perf_counter()
    epoch(dataset)
    return time.perf_counter() - start, anonymous_mib()


def iterate(dataset):
    for _ in dataset:
        pass


def trainer(seed):
    """Function that trains a VAE for an epoch."""
    import keras

    from tfgen import models, networks

    keras.utils.set_random_seed(seed)
    encoder = networks.mlp_encoder((28, 28, 1), 40, width=400, depth=1)
    decoder = networks.mlp_decoder((28, 28, 1), 40, width=400, depth=1)
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
        "| an epoch of | images from | images/s (min-max) | anonymous memory, MiB | load, s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in report["results"].items():
        speed = row["images_per_s"]
        lines.append(
            f"| {name.replace(', ', ' | ')} "
            f"| {speed['median']:,.0f} ({speed['min']:,.0f}-{speed['max']:,.0f}) "
            f"| {row['anonymous_mib']['median']:.0f} | {row['load_s']['median']:.1f} |"
        )
    lines += [
        "",
        f"The first load with a cache, which decodes: {report['first_load_s']:.1f} s.",
        "",
    ]
    for task, ratio in report["mapped / memory"].items():
        lines.append(
            f"{task}: mapped / memory {ratio['median']:.2f} "
            f"({ratio['min']:.2f}-{ratio['max']:.2f}), target {TARGET:.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
