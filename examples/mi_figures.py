"""Figures 2 to 5, 7 and 8 of Mi, Shen & Zhang (2018), of what their runs have left."""

import csv
import math

import numpy as np

from tfgen import metrics, plotting


def read_curve(path):
    """Rows (iteration, entropy) of figure 3."""
    if not path.exists():
        return []
    with open(path) as file:
        return [(float(i), float(entropy)) for i, entropy in csv.reader(file)]


def digits(probabilities):
    """Predicted digits as text."""
    return [str(digit) for digit in probabilities.argmax(axis=1)]


def label(folder):
    """An experiment's name, of the folder of one of its seeds."""
    return folder.parent.name


def stages(folders):
    """Figure 2: 10 samples at four stages, of the same latents."""
    numbers = [sorted(int(p.stem[6:]) for p in folder.glob("stage_*.npy")) for folder in folders]
    rows = [(folder, n) for folder, ns in zip(folders, numbers, strict=True) for n in ns]
    images = [np.load(folder / f"stage_{n}.npy") for folder, n in rows]
    fig, _ = plotting.image_grid(
        np.concatenate(images), 10, row_labels=[f"{label(folder)}, {n:,}" for folder, n in rows]
    )
    return fig


def entropies(folders):
    """Figure 3: entropy of the classes of 1000 samples over the iterations."""
    fig, axes = subplots(1, len(folders), sharey=True, figsize=(5 * len(folders), 3))
    for ax, folder in zip(axes[0], folders, strict=True):
        iterations, nats = zip(*read_curve(folder / "entropy.csv"), strict=True)
        ax.plot(iterations, nats)
        ax.axhline(math.log(10), color="0.6", linestyle=":", label="ln 10")
        ax.set(title=label(folder), xlabel="iteration", ylabel="class entropy, nats")
        ax.legend()
    return fig


def subplots(rows, columns, **kwargs):
    """Axes of shape (rows, columns)."""
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, squeeze=False, layout="constrained", **kwargs)


def samples(models):
    """Figures 4 and 7: 10 samples of each model, above each the digit that the classifier sees."""
    images = np.concatenate([s["images"][:10] for s in models.values()])
    titles = sum((digits(s["probabilities"][:10]) for s in models.values()), [])
    fig, axes = plotting.image_grid(images, 10, titles=titles)
    for ax, name in zip(axes[:, 0], models, strict=True):
        ax.text(-0.2, 0.5, name, transform=ax.transAxes, ha="right", va="center")
    return fig


def image_entropies(models):
    """Figure 5: entropy of the prediction for each image of figure 4."""
    fig, axes = subplots(1, 1, figsize=(7, 3))
    for name, s in models.items():
        nats = metrics.image_entropies(s["probabilities"][:10])
        axes[0, 0].plot(range(1, 11), nats, "o-", label=name)
    axes[0, 0].set(xlabel="image of figure 4", ylabel="entropy of its prediction, nats")
    fig.legend(loc="outside right center")
    return fig


def histogram(models):
    """Figure 8: how many of 10,000 images have which entropy."""
    fig, axes = subplots(1, 1, figsize=(9, 3))
    for name, s in models.items():
        nats = metrics.image_entropies(s["probabilities"])
        axes[0, 0].hist(
            nats, np.linspace(0, math.log(10), 47), histtype="step", log=True, label=name
        )
    axes[0, 0].set(xlabel="entropy of an image's prediction, nats", ylabel="images")
    fig.legend(loc="outside right center")
    return fig
