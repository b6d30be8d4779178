"""How the cost of a training step grows with the size of the batch, of z, and with K and T.

    python tests/benchmarks/cost_sweep.py --json cost_sweep.json --figure cost_sweep.png

Five minutes on two idle cores. Models are those of `examples/benchmark_models.py`, batches
of 100 and 40 latent dimensions where they are not what changes; without XLA. Each has a process of
its own, and the fastest of three measurements of a second counts.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from cost import BATCH_SIZE, REPEATS, noise, steps_of, timed
from train_speed import describe_machine

# Panel -> title of its axis, values on it, and curves.
PANELS = {
    "batch": ("images in a batch", (32, 64, 128, 256, 512, 1024), ("VAE", "HVI, T = 4")),
    "latent": ("latent dimensions", (2, 10, 40, 160, 640), ("VAE", "HVI, T = 4")),
    "draws": ("draws of IWAE, K", (1, 5, 10, 20, 50), ("IWAE",)),
    "steps": ("steps of the posterior, T", (1, 4, 16, 40, 80), ("planar flow", "HVI")),
}


def measure(panel, curve, value):
    """Milliseconds of a step."""
    from contenders import steps_tfgen
    from contenders.steps_tfgen import builders

    if panel == "latent":
        builders.LATENT_DIM = value
    builders = {
        "VAE": builders.vae,
        "IWAE": builders.iwae(value),
        "planar flow": builders.planar(value),
        "HVI": builders.hvi(value),
        "HVI, T = 4": builders.hvi(4),
    }
    steps_tfgen.MODELS[curve] = steps_tfgen.of_builder(builders[curve])
    _, run = steps_tfgen.build(curve, noise(), value if panel == "batch" else BATCH_SIZE)
    num_steps = steps_of(run, 1.0)
    return min(timed(run, num_steps) for _ in range(REPEATS)) * 1e3


def measure_all():
    """Panel -> curve -> list of pairs (value, ms), each from a process of its own."""
    results = {}
    for panel, (_, values, curves) in PANELS.items():
        for curve in curves:
            for value in values:
                task = json.dumps([panel, curve, value])
                command = [sys.executable, __file__, "--worker", task]
                output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                points = results.setdefault(panel, {}).setdefault(curve, [])
                points.append([value, float(output.splitlines()[-1])])
                print(panel, curve, *points[-1], flush=True)
    return results


def draw(results, path):
    """A panel for each axis, both logarithmic."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(PANELS), figsize=(13, 3.4), sharey=True, layout="constrained")
    for ax, (panel, (title, values, _)) in zip(axes, PANELS.items(), strict=True):
        for (curve, points), marker in zip(results[panel].items(), "os", strict=False):
            ax.plot(*np.transpose(points), marker=marker, label=curve)
        ax.set(xscale="log", yscale="log", xlabel=title)
        ax.set_xticks(values, map(str, values), minor=False)
        ax.minorticks_off()
        ax.legend(frameon=False)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("milliseconds a training step")
    axes[0].set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    fig.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=pathlib.Path, default="cost_sweep.json")
    parser.add_argument("--figure", type=pathlib.Path, default="cost_sweep.png")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(measure(*json.loads(args.worker)))
        return
    machine = describe_machine(os.getloadavg()[0])
    report = {"machine": machine, "milliseconds": measure_all()}
    args.json.write_text(json.dumps(report, indent=1) + "\n")
    draw(report["milliseconds"], args.figure)


if __name__ == "__main__":
    main()
