"""Seconds and memory of scores of 10,000 points, beside torchmetrics, prdc and plain NumPy.

    python tests/benchmarks/metric_cost.py --json metric_cost.json    # five minutes on two cores

Each computation runs in a process of its own, which reports the fastest of three calls, how much
memory the process took beyond what it had before, and the value.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

import numpy as np
from train_speed import describe_machine

NUM_POINTS, NUM_FEATURES, NUM_FACTORS, NUM_CODES, NUM_BINS = 10_000, 64, 5, 10, 20


def points():
    """Two sets of features that differ a little."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, NUM_POINTS, NUM_FEATURES)).astype("float32")
    return x, 1.1 * y + 0.1


def codes():
    """Codes, some of which tell of factors of ten values."""
    rng = np.random.default_rng(0)
    factors = rng.integers(10, size=(NUM_POINTS, NUM_FACTORS))
    noise = rng.normal(size=(NUM_POINTS, NUM_CODES))
    return np.pad(factors, ((0, 0), (0, NUM_CODES - NUM_FACTORS))) + noise, factors


def torchmetrics_frechet(x, y):
    """Its formula alone: the class wants images, and a network for them."""
    import torch
    from torchmetrics.image.fid import _compute_fid

    def moments(features):
        features = torch.from_numpy(features).double()
        return features.mean(0), features.T.cov()

    return lambda: float(_compute_fid(*moments(x), *moments(y)))


def numpy_frechet(x, y):
    import scipy.linalg

    def distance():
        first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        root = scipy.linalg.sqrtm(first @ second).real
        mean = x.mean(0) - y.mean(0)
        return float(mean @ mean + np.trace(first + second - 2 * root))

    return distance


def numpy_mmd(x, y):
    """The Gaussian kernel of one bandwidth, unbiased, with whole matrices."""

    def mmd():
        def mean(a, b, same):
            squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
            kernel = np.exp(-squares / (2 * 8.0**2))
            return (kernel.sum() - len(a) * same) / (len(a) * (len(b) - same))

        return float(mean(x, x, 1) + mean(y, y, 1) - 2 * mean(x, y, 0))

    return mmd


def numpy_mig(codes, factors):
    """As disentanglement_lib: histograms of 20 bins, one pair after the other."""

    def gap():
        import sklearn.metrics

        edges = [np.histogram(code, NUM_BINS)[1][:-1] for code in codes.T]
        bins = [np.digitize(code, edge) for code, edge in zip(codes.T, edges, strict=True)]
        score = sklearn.metrics.mutual_info_score
        matrix = np.array([[score(factor, code) for factor in factors.T] for code in bins])
        entropies = np.array([score(factor, factor) for factor in factors.T])
        ordered = np.sort(matrix, axis=0)
        return float(np.mean((ordered[-1] - ordered[-2]) / entropies))

    return gap


def prdc_scores(x, y):
    import prdc

    def scores():
        result = prdc.compute_prdc(real_features=x, fake_features=y, nearest_k=5)
        return [float(result[name]) for name in ("precision", "recall", "density", "coverage")]

    return scores


def of_tfgen(name):
    """Function that prepares a call of tfgen's."""

    def prepare(first, second):
        from tfgen import metrics

        return {
            "frechet": lambda: metrics.frechet_distance(first, second),
            "mmd": lambda: metrics.squared_mmd(first, second, bandwidths=8.0),
            "neighbours": lambda: list(metrics.precision_recall(first, second)),
            "mig": lambda: metrics.mig(first, second),
        }[name]

    return prepare


# Score -> its data, and who computes it.
SCORES = {
    "frechet": (points, {"torchmetrics": torchmetrics_frechet, "numpy": numpy_frechet}),
    "mmd": (points, {"numpy": numpy_mmd}),
    "neighbours": (points, {"prdc": prdc_scores}),
    "mig": (codes, {"numpy": numpy_mig}),
}


def measure(score, contender):
    """The result of one process."""
    data, others = SCORES[score]
    call = {"tfgen": of_tfgen(score), **others}[contender](*data())
    before, seconds = peak_mib(), []
    for _ in range(3):
        start = time.perf_counter()
        value = call()
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "more_mib": peak_mib() - before, "value": value}


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=pathlib.Path, default="metric_cost.json")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(measure(*args.worker)))
        return
    results = {}
    print("| score | by | seconds | more MiB |\n| --- | --- | --- | --- |")
    for score, (_, others) in SCORES.items():
        for contender in ("tfgen", *others):
            command = [sys.executable, __file__, "--worker", score, contender]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            result = results[f"{score}, {contender}"] = json.loads(output.splitlines()[-1])
            cells = f"{result['seconds']:.2f} | {result['more_mib']:,.0f}"
            print(f"| {score} | {contender} | {cells} |", flush=True)
    report = {"machine": describe_machine(os.getloadavg()[0]), "results": results}
    args.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
