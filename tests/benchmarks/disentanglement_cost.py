"""Time and memory of the scores of disentanglement; writes a JSON file.

    python tests/benchmarks/disentanglement_cost.py --output disentanglement_cost.json

The report of 10,000 sprites and the mutual information gap by samples of all 737,280, of an
untrained fully connected VAE with 10 latents: the cost does not depend on what a model has learned,
but for scales that span several orders of magnitude, see `mig_by_samples`.
"""

import argparse
import json
import os
import pathlib
import resource
import time

import numpy as np

from tfgen import datasets, metrics, models, networks


def measured(function):
    """Result, and the seconds it took with the most memory that the process ever had."""
    start = time.perf_counter()
    result = function()
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cost = {"seconds": time.perf_counter() - start, "peak_gib": kibibytes / 2**20}
    return result, cost


def encode_all(model):
    """Means and scales of q(z|x), and factors, of all sprites."""
    data, _ = datasets.load("sprites", "all", 2048, labels=True)
    parts = [(q.mean(), q.stddev(), y) for q, y in ((model.encode(x), y) for x, y in data)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, default="disentanglement_cost.json")
    args = parser.parse_args()
    shape = (64, 64, 1)
    model = models.VAE(
        networks.mlp_encoder(shape, 10, width=256), networks.mlp_decoder(shape, 10, width=256)
    )
    results = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    data = datasets.load("sprites", "test", 100, labels=True)
    report = lambda: metrics.disentanglement_report(model, data, 10_000)  # noqa: E731
    _, results["report of 10,000 points, 3 seeds"] = measured(report)
    arrays, results["encode 737,280 sprites"] = measured(lambda: encode_all(model))
    gap = lambda: metrics.mig_by_samples(*arrays, verbose=True)  # noqa: E731
    _, results["mig_by_samples of 737,280 points"] = measured(gap)
    args.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
