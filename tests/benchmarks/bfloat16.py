"""What the policy `mixed_bfloat16` costs in nats, and saves in seconds: VAEs of MNIST.

    python tests/benchmarks/bfloat16.py                                  # half an hour on two cores
    python tests/benchmarks/bfloat16.py --models vae --seeds 2 --epochs 1

Both policies start from the same weights, which the seed gives, and see the same batches and draws:
their difference is that of the policies. Its mean stands with a 95 % interval (Student's t) over
seeds. The data are those of docs/sagar.md: the first 55,000 images, binarized once, and the test
images. A finished training is kept in the file and not repeated.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics

import keras
import numpy as np
import scipy.stats
from contenders import LEARNING_RATE
from contenders.steps_tfgen import MODELS, paper_script
from train_speed import describe_machine

from tfgen import datasets

POLICIES = ("float32", "mixed_bfloat16")
BATCH_SIZE, TRAIN, DATA_SEED = 100, "train[:55000]", 0


def data(split):
    """Batches of binary images."""
    return datasets.load("mnist", split, BATCH_SIZE, binarize="fixed", seed=DATA_SEED)[0]


def train(name, policy, seed, epochs):
    """ELBO of the test images in nats, and the fastest epoch's seconds."""
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)
    model = MODELS[name](55_000)
    model.compile(keras.optimizers.Adam(LEARNING_RATE))
    callbacks = [paper_script.EpochSeconds()]
    history = model.fit(data(TRAIN), epochs=epochs, callbacks=callbacks, verbose=0).history
    elbo = model.evaluate(data("test"), return_dict=True, verbose=0)["elbo"]
    return {"elbo": float(elbo), "epoch_seconds": min(history["seconds"])}


def difference(runs, name):
    """Mean of bfloat16's ELBO less float32's over seeds, with half the width of its interval."""
    by_policy = [[run["elbo"] for run in runs if run_of(run, name, policy)] for policy in POLICIES]
    values = np.diff(by_policy, axis=0)[0]
    if len(values) < 2:
        return float(values.mean()), float("nan")
    quantile = scipy.stats.t.ppf(0.975, len(values) - 1)
    return float(values.mean()), float(quantile * scipy.stats.sem(values))


def run_of(run, name, policy):
    return (run["model"], run["policy"]) == (name, policy)


def row(runs, name):
    """A row of the table."""
    means = [
        statistics.mean(run["elbo"] for run in runs if run_of(run, name, policy))
        for policy in POLICIES
    ]
    mean, half = difference(runs, name)
    return f"| {name} | {means[0]:.2f} | {means[1]:.2f} | {mean:+.2f} ± {half:.2f} |"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["vae", "conv-vae"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("bfloat16.json"))
    args = parser.parse_args()
    runs = json.loads(args.json.read_text(encoding="utf-8"))["runs"] if args.json.exists() else []
    load = os.getloadavg()[0]
    for name, seed, policy in itertools.product(args.models, range(args.seeds), POLICIES):
        task = {"model": name, "policy": policy, "seed": seed, "epochs": args.epochs}
        if any(task.items() <= run.items() for run in runs):
            continue
        runs.append({**task, **train(name, policy, seed, args.epochs)})
        print(runs[-1], flush=True)
        report = {"machine": describe_machine(load), "runs": runs}
        args.json.write_text(json.dumps(report, indent=1))
    print("| model | ELBO, float32 | mixed_bfloat16 | difference |\n| --- | --- | --- | --- |")
    for name in args.models:
        print(row([run for run in runs if run["epochs"] == args.epochs], name))


if __name__ == "__main__":
    main()
