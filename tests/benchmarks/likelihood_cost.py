"""Milliseconds that the likelihood of an image takes, and those of its products of matrices alone.

    python tests/benchmarks/likelihood_cost.py     # five minutes on two cores, otherwise idle

`importance_sampled_nll` by 200 draws of noise as dense as MNIST, in the chunks that it takes by
default; `evaluate` of a flow; annealed importance sampling by 16 chains, 50 steps, 10 leapfrog
steps. Models as in cost.py, untrained. The fastest of three calls after the first. Where the
products lie in a loop they are not computed alone: their share of the profiled operations stands
instead.
"""

import argparse
import json
import os
import pathlib

import tensorflow as tf
from contenders import in_range, steps_tfgen
from cost import noise
from profile_steps import fastest, products, shares
from train_speed import describe_machine

from tfgen import metrics

NUM_DRAWS, BATCH, CHUNK = 200, 20, 100
# Model -> images.
MODELS = {"vae": 1000, "planar-80": 400, "iaf": 400, "ladder": 400, "hvi-4": 100, "draw": 100}
REPEATS = 3
AIS_IMAGES, FLOW_IMAGES, FLOW_BATCH = 20, 1000, 100


def of_importance_samples(name, num_images):
    """Row of a model with a log_weights."""
    x = noise()[:num_images]
    model = steps_tfgen.MODELS[name](len(x))
    seconds = fastest(
        lambda: metrics.importance_sampled_nll(
            model, x, NUM_DRAWS, batch_size=BATCH, samples_per_batch=CHUNK, verbose=False
        ),
        REPEATS,
    )
    chunk, _ = products(lambda x: model.log_weights(x, CHUNK, (0, 0)), tf.constant(x[:BATCH]))
    return seconds * 1e3 / num_images, chunk * NUM_DRAWS / CHUNK / BATCH


def of_flow():
    """Row of the image flow."""
    x = in_range("image-flow", noise()[:FLOW_IMAGES])
    model = steps_tfgen.MODELS["image-flow"](len(x))
    model.compile("adam")
    seconds = fastest(lambda: model.evaluate(x, batch_size=FLOW_BATCH, verbose=0), REPEATS)
    alone, _ = products(model.test_step, tf.constant(x[:FLOW_BATCH]))
    return seconds * 1e3 / FLOW_IMAGES, alone / FLOW_BATCH


def of_annealing():
    """Row of AIS of the VAE: what its products would take if all ran as the others' share does."""
    x = noise()[:AIS_IMAGES]
    model = steps_tfgen.MODELS["vae"](len(x))

    def call():
        metrics.annealed_importance_sampling(model, x, num_steps=50, verbose=False)

    milliseconds = fastest(call, REPEATS) * 1e3 / AIS_IMAGES
    return milliseconds, milliseconds * shares(call)["products"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("likelihood_cost.json"))
    args = parser.parse_args()
    report = {"machine": describe_machine(os.getloadavg()[0]), "rows": {}}
    print("| model | ms an image | products alone | share |\n| --- | --- | --- | --- |")
    rows = {name: lambda n=name: of_importance_samples(n, MODELS[n]) for name in MODELS}
    for name, row in {**rows, "image-flow": of_flow, "vae, AIS": of_annealing}.items():
        total, alone = report["rows"][name] = row()
        print(f"| {name} | {total:.2f} | {alone:.2f} | {alone / total:.0%} |", flush=True)
        args.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
