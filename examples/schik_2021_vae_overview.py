"""Schik, "Overview of Variational Autoencoder-based Generative Models" (2021), and by number

    python examples/schik_2021_vae_overview.py --list
    python examples/schik_2021_vae_overview.py --dataset celeb_a --data-dir ~/tensorflow_datasets
    python examples/schik_2021_vae_overview.py --run traversals samples betas
    python examples/schik_2021_vae_overview.py --seeds 3 --run scores
    python examples/schik_2021_vae_overview.py --run sprites-beta-tcvae \
        --sprites-size 64 --sprites-epochs 16 --beta 4 --output-dir outputs/sprites-64-beta-4
    python examples/schik_2021_vae_overview.py --smoke

The paper compares four models on faces by eye, and closes: "With a better disentanglement metric
than visual inspection by a human, it would be easier to compare". The first experiments are its
figures, on CelebA where it is prepared and on Fashion-MNIST elsewhere. Those named `sprites-` train
seven models on sprites whose five factors are known, and `scores` compares them by number
(`schik_sprites.py`). `--sprites-size`, `--sprites-epochs` and `--beta`, of the beta-TCVAE, vary
these: give other values other folders.

The text is built, not the author's code, which differs from it: the posterior's scale goes through
the exponential alone, and beta is 20 where the text says so. Images are 64 x 64 in [0, 1]; p(x|z)
is a Normal of scale 0.1. Nothing is selected: the last weights count. A killed run goes on where it
stopped.
"""

import argparse
import functools
import os
import pathlib

import _start  # noqa: F401
import numpy as np
import paper_script
import schik_sprites
from paper_script import Experiment
from schik_sprites import squared_error, train

from tfgen import layers, models, networks, plotting

# Section VI.A.
BATCH_SIZE = 128
LATENT_DIM = 32
IMAGE_SIZE = 64
SCALE = 0.1
LEARNING_RATE = {"paper": 1e-4, "cpu": 1e-3, "smoke": 1e-3}
EPOCHS = {"paper": 30, "cpu": 20, "smoke": 1}
WIDTH = {"paper": 64, "cpu": 32, "smoke": 4}

# The encoder's second output is the logarithm of the scale.
POSTERIOR = functools.partial(layers.IndependentNormal, scale_activation="exponential")
LIKELIHOOD = functools.partial(layers.FixedScaleNormal, scale=SCALE)


def load_images(run, split, **kwargs):
    """Pipeline and description of faces, or of what stands in for them, at 64 pixels."""
    return run.load(split, BATCH_SIZE, image_size=IMAGE_SIZE, **kwargs)


def model_of(run, info, name, beta):
    """One of the paper's four models, with its six convolutions."""
    cls = {
        "ae": models.AE,
        "vae": models.VAE,
        "beta-vae": functools.partial(models.BetaVAE, beta=beta),
        "beta-tcvae": functools.partial(
            models.BetaTCVAE, beta=beta, estimator="weighted", dataset_size=info.num_examples
        ),
    }[name]
    heads = (None, None) if name == "ae" else (POSTERIOR, LIKELIHOOD)
    width = run.pick(**WIDTH)
    return cls(
        networks.conv64_encoder(info.image_shape, LATENT_DIM, heads[0], width),
        networks.conv64_decoder(info.image_shape, LATENT_DIM, heads[1], width),
        seed=run.seed,
    )


def paper_model(name, beta=None):
    """Trains one model of Section VI.A; measures it and draws its samples."""

    def experiment(run):
        data, info = load_images(run, "train")
        test_data, _ = load_images(run, "test")
        model = model_of(run, info, name, beta)
        times = train(model, run, data, run.pick(**EPOCHS), run.pick(**LEARNING_RATE))
        terms = model.evaluate(test_data, verbose=0, return_dict=True)
        run.draw("samples", plotting.image_grid(model.sample(64, seed=run.seed), 8))
        return {**terms, "squared_error": squared_error(model, test_data), **times}

    return experiment


def trained(run, name):
    """The model that another experiment left with the same seed, trained now if need be."""
    other = run.of(name)
    if not (other.folder / "model.keras").exists():
        paper_script.measure(next(e for e in EXPERIMENTS if e.name == name), other)
    return models.load_model(other.folder / "model.keras")


# Figures 1 to 3.


def traversals(run):
    """Figure 1: the dimensions that change the images most, around one test image."""
    image = next(iter(load_images(run, "test[:8]")[0]))[0]
    values = np.linspace(-3, 3, 9)
    rows, labels = [], []
    for name in PAPER_MODELS:
        model = trained(run, name)
        for dim in strongest_dimensions(model, image, 3):
            rows.append(model.traverse(image, [dim], values)[0])
            labels.append(f"{name}, z{dim}")
    images, columns = np.clip(np.concatenate(rows), 0, 1), [f"{value:.3g}" for value in values]
    run.draw("traversals", plotting.image_grid(images, 9, row_labels=labels, column_labels=columns))
    return {}


def strongest_dimensions(model, image, count):
    """Indices of the latent dimensions between whose ends, -3 and 3, images differ most."""
    ends = np.asarray(model.traverse(image, values=[-3, 3]))
    change = np.square(ends[:, 1] - ends[:, 0]).reshape(len(ends), -1).sum(1)
    return [int(dim) for dim in np.argsort(-change)[:count]]


def samples(run):
    """Figure 2: decoded draws of the prior."""
    rows = [trained(run, name).sample(10, seed=run.seed) for name in PAPER_MODELS]
    images = np.clip(np.concatenate(rows), 0, 1)
    run.draw("samples", plotting.image_grid(images, 10, row_labels=list(PAPER_MODELS)))
    return {}


def betas(run):
    """Figure 3: reconstructions by beta-TCVAEs; beta 1 is the VAE."""
    images = next(iter(load_images(run, "test[:10]")[0]))
    rows, errors = {"original": images}, {}
    for label, name in (("1", "vae"), ("5", "beta-tcvae-5"), ("20", "beta-tcvae")):
        model = trained(run, name)
        rows[f"beta {label}"] = np.clip(model.reconstruct(images), 0, 1)
        errors[f"squared_error_beta_{label}"] = squared_error(model, load_images(run, "test")[0])
    images = np.concatenate(list(rows.values()))
    run.draw("betas", plotting.image_grid(images, 10, row_labels=list(rows)))
    return errors


PAPER_MODELS = ("ae", "vae", "beta-vae", "beta-tcvae")
SETUP = (
    "six convolutions, z 32, batch 128; paper: width 64, Adam 1e-4, 30 epochs; cpu: width 32, "
    "Adam 1e-3, 20 epochs"
)


def of_paper(name, stands_for, beta=None):
    """One model of Section VI.A."""
    kind = "beta-tcvae" if name.startswith("beta-tcvae") else name
    setup = f"{f'beta {beta:g}, ' if beta else ''}{SETUP}"
    figures = ("samples.png", "curves.png")
    return Experiment(name, stands_for, paper_model(kind, beta), {}, setup, figures=figures)


def figure(name, stands_for, run, setup):
    return Experiment(name, stands_for, run, {}, setup, figures=(f"{name}.png",))


EXPERIMENTS = [
    of_paper("ae", "Fig. 1 and 2"),
    of_paper("vae", "Fig. 1 to 3"),
    of_paper("beta-vae", "Fig. 1 and 2", 5.0),
    of_paper("beta-tcvae", "Fig. 1 to 3", 20.0),
    of_paper("beta-tcvae-5", "Fig. 3", 5.0),
    figure("traversals", "Fig. 1", traversals, "the three dimensions that change most, -3 to 3"),
    figure("samples", "Fig. 2", samples, "decoded draws of the prior, not selected"),
    figure("betas", "Fig. 3", betas, "reconstructions of the first ten test images"),
    *schik_sprites.EXPERIMENTS,
    figure(
        "scores",
        "future work: by number",
        schik_sprites.scores,
        "the models on sprites, a point each seed",
    ),
]


def data_sets():
    """The paper's faces first where they are prepared, else what stands in for them."""
    folder = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    names = ["fashion_mnist", "celeb_a", "mnist"]
    present = (pathlib.Path(folder).expanduser() / "celeb_a").exists()
    return sorted(names, key=lambda name: name == "celeb_a", reverse=present)


def parse_options(argv):
    """The flags of this script alone, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--sprites-size", type=int)
    parser.add_argument("--sprites-epochs", type=int)
    parser.add_argument("--beta", type=float, default=schik_sprites.BETA)
    return parser.parse_known_args(argv)


def main(argv=None):
    options, argv = parse_options(argv)
    chosen = [paper_script.with_options(e, options) for e in EXPERIMENTS]
    paper_script.main(__doc__, chosen, 0, data_sets(), argv)


if __name__ == "__main__":
    main()
