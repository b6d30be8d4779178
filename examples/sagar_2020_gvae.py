"""Sagar, "Generate High Fidelity Images With Generative Variational Autoencoder", on MNIST and CT

    python examples/sagar_2020_gvae.py --list
    python examples/sagar_2020_gvae.py --data-dir ~/tensorflow_datasets
    python examples/sagar_2020_gvae.py --run wgan-gp vae-gan alpha-gan gvae --seeds 3
    python examples/sagar_2020_gvae.py --run ct --ct-dir ~/Pancreas-CT
    python examples/sagar_2020_gvae.py --scale paper
    python examples/sagar_2020_gvae.py --smoke

`tfgen.models.GVAE` says how the text is read. The text gives two settings: batches of 32 with Adam
1e-4 (Sec. 5), taken here, and batches of 16 with Adam 5e-4 (Table 3). Its "1000 iterations" are of
nothing in particular; `--scale paper` trains for 100 epochs with the residual networks of Tables 1
and 2, at the size of the images. `--scale cpu` trains small DCGANs. `--residual-width N` trains the
residual networks with N filters, 64 being the printed ones, at either scale.

Samples are the decoder's means for z from the prior. The paper names no kernel and no scales for
its scores: those here are described at `scores`. `--ct-dir` (or TFGEN_CT_DIR) is a folder of DICOM
series or NIfTI volumes; without one `ct` is left out. Nothing is selected: the last weights count.
A killed run goes on where it stopped.
"""

import argparse
import os

import _start  # noqa: F401
import keras
import numpy as np
import paper_script
from paper_script import Experiment
from sagar_networks import (
    SCALE,
    bernoulli_decoder,
    critic,
    encoder,
    generator,
    normal_decoder,
    printed_networks,
)

from tfgen import datasets, metrics, models, networks, plotting

BATCH_SIZE = 32
CRITIC_STEPS = 5
LEARNING_RATE = {"paper": 1e-4, "cpu": 1e-3, "smoke": 1e-3}
EPOCHS = {"paper": 100, "cpu": 2, "smoke": 1}
LATENT_DIM = {"paper": 1000, "cpu": 100, "smoke": 100}
NUM_SAMPLES = {"paper": 10_000, "cpu": 5000, "smoke": 200}
GAN_WEIGHT = 20.0


# Section 5: the models of Table 4.


def wgan_gp(run, shape, latent_dim):
    return models.WGANGP(
        generator(run, shape, latent_dim),
        critic(run, shape),
        discriminator_steps=CRITIC_STEPS,
        seed=run.seed,
    )


def vae_gan(run, shape, latent_dim):
    return models.VAEGAN(
        encoder(run, shape, latent_dim),
        normal_decoder(run, shape, latent_dim),
        critic(run, shape),
        gan_weight=10.0,
        seed=run.seed,
    )


def alpha_gan(run, shape, latent_dim):
    return models.AlphaGAN(
        encoder(run, shape, latent_dim),
        generator(run, shape, latent_dim),
        critic(run, shape),
        networks.mlp_code_discriminator(latent_dim, width=256, activation="leaky_relu"),
        reconstruction_weight=0.1,
        seed=run.seed,
    )


def gvae(run, shape, latent_dim, decoder=normal_decoder):
    return models.GVAE(
        encoder(run, shape, latent_dim),
        decoder(run, shape, latent_dim),
        critic(run, shape),
        gan_weight=GAN_WEIGHT,
        seed=run.seed,
    )


def vae(run, shape, latent_dim, decoder=bernoulli_decoder):
    return models.VAE(
        encoder(run, shape, latent_dim), decoder(run, shape, latent_dim), seed=run.seed
    )


# Data and training.


def load_data(run, split, batch_size=BATCH_SIZE, **kwargs):
    """Pipeline and description of MNIST, in [-1, 1] unless told otherwise."""
    return run.load(split, batch_size, **{"value_range": (-1, 1), **kwargs})


def few_test_images(run, **kwargs):
    """One batch for the curves."""
    return load_data(run, "test[:320]", 320, **kwargs)[0]


def train(model, run, data, epochs, validation=None):
    """Fits, saves the model, and returns how long that took."""
    model.compile(keras.optimizers.Adam(run.pick(**LEARNING_RATE), 0.5, 0.9))
    times = paper_script.train(model, run, data, epochs, validation)[1]
    return {"seconds_per_epoch": times["seconds_per_epoch"], "epochs": float(epochs)}


def keep_samples(model, run, low=-1):
    """Draws 64 images for the figures."""
    images = (model.sample(64, seed=run.seed) - low) / (1 - low)
    np.save(run.folder / "samples.npy", images)
    run.draw("samples", plotting.image_grid(images, 8))


# Tables 4 and 5: distance to the data, and diversity.


def generation(build, latent_dim=None, share=1, passes=1):
    """Trains a model on grey images and scores its samples.

    Args:
        build: function (run, image_shape, latent_dim) to a model.
        latent_dim: int; None for that of Table 4.
        share: int, steps of the critic that a batch is split over.
        passes: int, multiplies the epochs.
    """

    def experiment(run):
        data, info = load_data(run, "train", BATCH_SIZE * share, drop_remainder=True)
        model = build(run, info.image_shape, latent_dim or run.pick(**LATENT_DIM))
        times = train(model, run, data, passes * run.pick(**EPOCHS), few_test_images(run))
        keep_samples(model, run)
        return {**scores(model, run), **times}

    return experiment


def scores(model, run):
    """Scores of samples against test images, and in `real_` those of training images.

    `mmd_pixels` is squared, unbiased, in 1e-4: Gaussian kernels averaged over bandwidths of the
    `median_distance` of test images, pixels in [-1, 1], times 1/4 to 4. `mmd_features` is that of
    a classifier's 128 features with the polynomial kernel. `ms_ssim` is the mean of random pairs,
    half as many as samples, at 28 pixels at three scales with a window of 7. All settings are
    written to scores.md.
    """
    train_data, test_data = (load_data(run, split, labels=True)[0] for split in ("train", "test"))
    judge = metrics.classifier(
        train_data, value_range=(-1, 1), steps=run.pick(2500, 2500, 200), verbose=False
    )
    result = metrics.evaluate_samples(
        model,
        train_data,
        test_data,
        run.pick(**NUM_SAMPLES),
        classifier=judge,
        value_range=(-1, 1),
        seed=run.seed,
        verbose=False,
    )
    paper_script.write_text(run.folder / "scores.md", result.to_markdown())
    return {
        **selected(result.generated),
        **{f"real_{name}": value for name, value in selected(result.real).items()},
        "median_distance": result.settings["squared_mmd"]["bandwidths"][2],
        "classifier_accuracy": judge.evaluate(test_data, verbose=0)[1],
        "num_samples": float(result.settings["num_samples"]),
    }


def selected(table):
    """What tables 4 and 5 print, and whether digits are missing."""
    return {
        "mmd_pixels": 1e4 * table["squared_mmd"],
        "mmd_features": table["classifier_squared_mmd"],
        "ms_ssim": table["ms_ssim"],
        "class_entropy": table["class_entropy"],
    }


def latent_size(latent_dim):
    """A row of Table 5; that of Table 4's GVAE is not trained twice."""

    def experiment(run):
        path = run.of("gvae").folder / "result.json"
        if latent_dim == run.pick(**LATENT_DIM) and path.exists():
            return paper_script.read_json(path)["metrics"]
        return generation(gvae, latent_dim)(run)

    return experiment


# Table 6: bounds in nats, of binary images.


def likelihood(build):
    """Trains a model on images binarized once, and returns the terms of its ELBO."""

    def experiment(run):
        kwargs = {"binarize": "fixed", "value_range": (0, 1), "seed": 0}
        data, info = load_data(run, "train", **kwargs)
        model = build(run, info.image_shape, run.pick(**LATENT_DIM), decoder=bernoulli_decoder)
        times = train(model, run, data, run.pick(**EPOCHS), few_test_images(run, **kwargs))
        keep_samples(model, run, low=0)
        terms = model.evaluate(load_data(run, "test", **kwargs)[0], verbose=0, return_dict=True)
        return {name: terms[name] for name in ("elbo", "reconstruction", "kl")} | times

    return experiment


# Figure 4.


def comparison(run):
    """Eight samples of each model trained before."""
    images, _ = load_data(run, "test[:12]", value_range=(0, 1))
    rows = {"real": next(iter(images))}
    for name in ("wgan-gp", "vae-gan", "alpha-gan", "vae", "gvae"):
        path = run.of(name).folder / "samples.npy"
        if path.exists():
            rows[name] = np.load(path)[:12]
    images = np.concatenate(list(rows.values()))
    run.draw("comparison", plotting.image_grid(images, 12, row_labels=list(rows)))
    return {}


# Figure 3c: slices of computed tomography.


def ct_slices(run, size):
    """Pipeline and description of axial slices; with --smoke, of disks."""
    if run.args.smoke:
        y, x = np.mgrid[-1:1:16j, -1:1:16j]
        radii = np.linspace(0.3, 0.9, 64)[:, None, None]
        return datasets.load(np.float32(x**2 + y**2 < radii**2), value_range=(-1, 1))
    return datasets.load_volumes(
        run.args.ct_dir, "all", run.pick(32, 8, 8), size=size, shuffle=True, seed=run.seed
    )


def ct(run):
    """Trains on all slices and draws as many."""
    data, info = ct_slices(run, run.pick(128, 32, 16))
    model = gvae(run, info.image_shape, run.pick(512, 16, 10))
    times = train(model, run, data, run.pick(300, 300, 1), data)
    images = np.concatenate([batch.numpy() for batch in data])
    rows = np.concatenate([images[:24], model.sample(24, seed=run.seed)])
    labels = ["real", "", "generated", ""]
    run.draw("slices", plotting.image_grid(rows, 12, (-1, 1), row_labels=labels))
    return {"num_slices": float(info.num_examples), **times}


SETUP = (
    "batch 32; paper: residual networks, width 64, Adam 1e-4, 100 epochs; cpu: DCGANs, width 8, "
    "Adam 1e-3, 2 epochs"
)
TABLE_4 = f"z 1000 (paper) or 100 (cpu); {SETUP}"
SCORES = (
    "squared MMD: pixels in [-1, 1] in 1e-4, five Gaussian kernels around the median distance; "
    "128 features of an MLP classifier, polynomial kernel; MS-SSIM: window 7, three scales; "
    "real_: training images in the place of samples; all against test images"
)
GVAE_SETUP = f"GVAE, p(x|z) Normal of scale {SCALE:.0f}, gan_weight {GAN_WEIGHT:.0f}, penalty 10"
BINARY = "pixels drawn once as Bernoulli(intensity), seed 0, also for test; one z for each image"
FIGURES = ("samples.png", "curves.png")


def scored(name, table, run, mmd, ms_ssim, setup):
    """A row of Table 4 or 5."""
    paper = {"mmd_pixels": mmd, "ms_ssim": ms_ssim}
    return Experiment(name, table, run, paper, f"{setup}. {SCORES}", figures=FIGURES)


def table_5(latent_dim, mmd, ms_ssim):
    """A row of Table 5."""
    setup = f"{GVAE_SETUP}; z {latent_dim}; {SETUP}"
    return scored(f"z-{latent_dim}", "Table 5", latent_size(latent_dim), mmd, ms_ssim, setup)


EXPERIMENTS = [
    scored(
        "wgan-gp",
        "Table 4",
        generation(wgan_gp, share=CRITIC_STEPS, passes=2),
        0.327,
        0.996,
        "WGAN-GP, 5 steps of the critic on 32 other images each, penalty 10, twice the epochs; "
        f"{TABLE_4}",
    ),
    scored(
        "vae-gan",
        "Table 4",
        generation(vae_gan),
        0.075,
        0.972,
        f"VAE-GAN, errors in pixels, Normal of scale {SCALE:.0f}, non-saturating, gan_weight 10; "
        f"{TABLE_4}",
    ),
    scored(
        "alpha-gan",
        "Table 4",
        generation(alpha_gan),
        0.131,
        0.843,
        f"alpha-GAN, weight 0.1 on the summed absolute error, code critic 256-256; {TABLE_4}",
    ),
    scored("gvae", "Table 4", generation(gvae), 0.068, 0.818, f"{GVAE_SETUP}; {TABLE_4}"),
    table_5(100, 0.104, 0.856),
    table_5(500, 0.085, 0.821),
    table_5(1000, 0.068, 0.818),
    table_5(2000, 0.074, 0.844),
    Experiment(
        "vae",
        "Table 6, in nats",
        likelihood(vae),
        {},
        f"VAE, Bernoulli; {BINARY}; {TABLE_4}",
        figures=FIGURES,
    ),
    Experiment(
        "gvae-binary",
        "Table 6, in nats",
        likelihood(gvae),
        {},
        f"GVAE, Bernoulli, gan_weight {GAN_WEIGHT:.0f}, penalty 10; {BINARY}; {TABLE_4}",
        figures=FIGURES,
    ),
    Experiment(
        "figure-4",
        "Figure 4",
        comparison,
        {},
        "first test images, and samples of the models above that are trained",
        figures=("comparison.png",),
    ),
    Experiment(
        "networks",
        "Tables 1 and 2",
        printed_networks,
        {},
        "residual networks, width 64, 128 x 128 x 3 images, z 512; layers in layers.txt",
    ),
    Experiment(
        "ct",
        "Figure 3c",
        ct,
        {},
        f"{GVAE_SETUP}; axial slices, window -160 to 240 HU in [-1, 1], all volumes of --ct-dir; "
        "paper: 128 x 128, z 512, batch 32; cpu: 32 x 32, z 16, batch 8; 300 epochs",
        figures=("slices.png",),
    ),
]


def parse_options(argv):
    """The flags of this script alone, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ct-dir", default=os.environ.get("TFGEN_CT_DIR"))
    parser.add_argument("--residual-width", type=int)
    return parser.parse_known_args(argv)


def main(argv=None):
    options, argv = parse_options(argv)
    chosen = EXPERIMENTS
    if not options.ct_dir and not {"--smoke", "--list"} & set(argv):
        print("ct is left out: it needs a folder of volumes, --ct-dir or TFGEN_CT_DIR.")
        chosen = [e for e in EXPERIMENTS if e.name != "ct"]
    chosen = [paper_script.with_options(experiment, options) for experiment in chosen]
    paper_script.main(__doc__, chosen, 0, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
