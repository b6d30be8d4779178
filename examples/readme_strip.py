"""Draws the picture at the head of the README, from weights that come with the repository

    python examples/readme_strip.py --to docs/images/strip.png

Digits of MNIST; samples of six models, from one seed, not chosen; a traversal of the latent
variables of a beta-TCVAE that have the largest KL; interpolations by the flow of docs/soons.md.
"""

import argparse
import os
import pathlib

import matplotlib.pyplot as plt
import numpy as np
import paper_script

from tfgen import datasets, models

SAMPLED = {
    "vae": "VAE",
    "vamp-prior": "VAE, VampPrior",
    "flow-prior": "VAE, flow as prior",
    "conv-vae": "convolutional VAE",
    "vae-gan": "VAE-GAN",
    "gan": "GAN",
}
FLOW = pathlib.Path(__file__).parents[1] / "docs/images/soons_flow_interpolations.png"
SIDE, STEPS, ROWS = 4, 8, 4


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("strip.png"))
    parser.add_argument("--data-dir", default=os.environ.get("TFDS_DATA_DIR"))
    args = parser.parse_args(argv)
    test, _ = datasets.load("mnist", "test", batch_size=64, data_dir=args.data_dir)
    images = next(iter(test)).numpy()
    paper_script.save_figure(strip(images), args.to)


def strip(images):
    """The figure: a row of blocks of samples, and a row with two grids below."""
    fig = plt.figure(figsize=(11, 4.2), layout="constrained")
    upper, lower = fig.subfigures(2, 1, height_ratios=(1, 1.12))
    blocks = {"data": images[: SIDE**2]} | {
        title: models.load_pretrained(f"mnist/{name}").sample(SIDE**2, seed=0, mean=True)
        for name, title in SAMPLED.items()
    }
    for ax, (title, shown) in zip(upper.subplots(1, len(blocks)), blocks.items(), strict=True):
        show(ax, shown, SIDE, title)
    left, right = lower.subplots(1, 2)
    show(left, traversal(images[3]), STEPS, "beta-TCVAE: one latent variable a row, from -2 to 2")
    draw(right, interpolation(), "flow: from one test image to another")
    return fig


def show(ax, images, columns, title):
    """Images (n, 28, 28, 1) in rows of so many."""
    tiles = np.reshape(images, (-1, columns, 28, 28)).transpose(0, 2, 1, 3)
    draw(ax, tiles.reshape(-1, 28 * columns), title)


def draw(ax, pixels, title):
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.axis("off")


def traversal(image):
    """Of the latent variables that differ most from the prior for an image."""
    model = models.load_pretrained("mnist/beta-tcvae")
    posterior = model.encode(image[None])
    mean, scale = (np.ravel(part) for part in (posterior.mean(), posterior.stddev()))
    kl = (mean**2 + scale**2 - 1) / 2 - np.log(scale)
    dims = np.argsort(-kl)[:ROWS]
    return model.traverse(image, dims=[int(i) for i in dims], values=np.linspace(-2, 2, STEPS))


def interpolation():
    """The picture of a flow's interpolations, without its margin."""
    pixels = plt.imread(FLOW)[..., 0]
    inside = [np.flatnonzero((pixels < 1).any(axis)) for axis in (1, 0)]
    return pixels[tuple(slice(part[0], part[-1] + 1) for part in inside)]


if __name__ == "__main__":
    main()
