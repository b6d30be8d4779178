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
six models on sprites whose five factors are known, and `scores` compares them by number. The flags
`--sprites-size`, `--sprites-epochs` and `--beta` (of the beta-TCVAE) vary these: give other values
other folders.

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
import keras
import matplotlib.pyplot as plt
import numpy as np
import paper_script
from paper_script import Experiment

from tfgen import datasets, layers, metrics, models, networks, plotting
from tfgen.plotting.figures import COLORS, MARKERS

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


def train(model, run, data, epochs, learning_rate):
    """Fits, draws the curves, saves the model; returns times."""
    model.compile(keras.optimizers.Adam(learning_rate))
    times = paper_script.train(model, run, data, epochs)[1]
    return {"seconds_per_epoch": times["seconds_per_epoch"], "epochs": float(epochs)}


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


def squared_error(model, data):
    """Mean over images of ||x - E[x|z]||^2, z the encoder's mean, summed over pixels."""
    sums = [np.square(x - model.reconstruct(x)).reshape(len(x), -1).sum(1) for x in data]
    return float(np.concatenate(sums).mean())


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


# "A better disentanglement metric than visual inspection": sprites with known factors.

SPRITES_LATENT_DIM = 10
SPRITES_SIZE = {"paper": 64, "cpu": 32, "smoke": 16}
SPRITES_BATCH_SIZE = {"paper": 2048, "cpu": 128, "smoke": 100}
SPRITES_WIDTH = {"paper": 1200, "cpu": 256, "smoke": 16}
SPRITES_EPOCHS = {"paper": 50, "cpu": 8, "smoke": 1}
BETA = 6.0


def sprites_size(run):
    return run.args.sprites_size or run.pick(**SPRITES_SIZE)


def sprites_epochs(run):
    return run.args.sprites_epochs or run.pick(**SPRITES_EPOCHS)


def load_sprites(run, split, **kwargs):
    """Pipeline and description of sprites; with --smoke of some."""
    return datasets.load(
        "sprites",
        run.pick(split, split, f"{split}[:1000]"),
        run.pick(**SPRITES_BATCH_SIZE),
        image_size=sprites_size(run),
        seed=run.seed,
        **kwargs,
    )


def sprites_networks(run, shape, heads):
    """Two layers of ReLUs, and three of tanh, as Chen et al., arXiv:1802.04942v5, have them."""
    encoder_head, decoder_head = heads
    width, decoder = run.pick(**SPRITES_WIDTH), {"depth": 3, "activation": "tanh"}
    return (
        networks.mlp_encoder(shape, SPRITES_LATENT_DIM, encoder_head, width),
        networks.mlp_decoder(shape, SPRITES_LATENT_DIM, decoder_head, width, **decoder),
    )


def ae(run, encoder, decoder, info):
    return models.AE(encoder, decoder, seed=run.seed)


def vae(run, encoder, decoder, info):
    return models.VAE(encoder, decoder, seed=run.seed)


def beta_vae(run, encoder, decoder, info):
    return models.BetaVAE(encoder, decoder, beta=4.0, seed=run.seed)


def beta_tcvae(run, encoder, decoder, info):
    return models.BetaTCVAE(
        encoder,
        decoder,
        beta=run.args.beta,
        dataset_size=info.num_examples,
        seed=run.seed,
    )


def factor_vae(run, encoder, decoder, info):
    width, depth = run.pick((1000, 6), (256, 3), (16, 2))
    discriminator = networks.mlp_code_discriminator(
        SPRITES_LATENT_DIM, width=width, depth=depth, activation="leaky_relu"
    )
    return models.FactorVAE(encoder, decoder, discriminator, gamma=35.0, seed=run.seed)


def dip_vae(run, encoder, decoder, info):
    return models.DIPVAE(encoder, decoder, kind="ii", lambda_od=10.0, seed=run.seed)


BERNOULLI_VAE = (layers.IndependentNormal, layers.IndependentBernoulli)


def sprites_model(build, heads=BERNOULLI_VAE):
    """Trains a model on sprites and scores its codes of the test split.

    Args:
        build: function (run, encoder, decoder, info) to a model.
        heads: of encoder and decoder.
    """

    def experiment(run):
        data, info = load_sprites(run, "train", drop_remainder=True)
        model = build(run, *sprites_networks(run, info.image_shape, heads), info)
        times = train(model, run, data, sprites_epochs(run), 1e-3)
        return {**disentanglement(model, run), **of_elbo(model, run), **times}

    return experiment


def of_elbo(model, run):
    """Test ELBO in nats, as far as there is one."""
    terms = model.evaluate(load_sprites(run, "test")[0], verbose=0, return_dict=True)
    return {"elbo": terms["elbo"]} if "elbo" in terms else {}


def disentanglement(model, run):
    """All scores, on test points; also the gap of the four factors that its authors average."""
    data, info = load_sprites(run, "test", labels=True)
    report = metrics.disentanglement_report(
        model,
        data,
        run.pick(10_000, 10_000, 500),
        factor_names=info.factor_names,
        seeds=(run.seed,),
        verbose=False,
    )
    paper_script.write_text(run.folder / "scores.md", report.to_markdown())
    run.draw("mutual_information", report.plot())
    pictures = next(iter(data))[0].numpy()
    run.draw("traversals", plotting.traversals(model, pictures[0]))
    error = squared_error(model, data.map(lambda image, _: image))
    return {**mig_of_four_factors(model, data), **report.value, "squared_error": error}


def mig_of_four_factors(model, data):
    """MIG by samples of q(z|x) without the shape, as Chen et al. report it; on all test points."""
    batches = [(model.encode(x), factors) for x, factors in data]
    if isinstance(model, models.AE):
        return {}
    scores = metrics.mig_by_samples(
        np.concatenate([q.mean() for q, _ in batches]),
        np.concatenate([q.stddev() for q, _ in batches]),
        np.concatenate([factors for _, factors in batches]),
    )
    gaps = dict(zip(datasets.sprites.FACTOR_NAMES[1:], scores.gaps[1:], strict=True))
    return {"mig_4": scores.gaps[1:].mean()} | {f"gap_{name}": gap for name, gap in gaps.items()}


def scores(run):
    """The models beside each other: four scores against what their images lose."""
    rows = sprites_results(run)
    names = {"mig_by_samples": "MIG (by samples)", "factor_vae_score": "FactorVAE score"}
    names |= {"dci_disentanglement": "DCI disentanglement", "sap_score": "SAP"}
    fig, axes = plt.subplots(1, 4, figsize=(13, 3.6), sharex=True, layout="constrained")
    for ax, (score, label) in zip(axes, names.items(), strict=True):
        for index, (name, results) in enumerate(rows.items()):
            points = [(r["squared_error"], r[score]) for r in results if score in r]
            x, y = zip(*points, strict=True) if points else ((), ())
            style = {"color": COLORS[index], "marker": MARKERS[index]}
            ax.scatter(x, y, 40, label=name.removeprefix("sprites-"), **style)
        ax.set(xlabel="squared error per image", title=label)
    axes[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    run.draw("scores", fig)
    return {}


def sprites_results(run):
    """Metrics of every seed of every model on sprites that is there."""
    results = paper_script.load_results(run.folder.parents[1])
    return {
        name: [result["metrics"] for result in results[name]]
        for name in results
        if name.startswith("sprites-")
    }


PAPER_MODELS = ("ae", "vae", "beta-vae", "beta-tcvae")
SETUP = (
    "six convolutions, z 32, batch 128; paper: width 64, Adam 1e-4, 30 epochs; cpu: width 32, "
    "Adam 1e-3, 20 epochs"
)
SPRITES_SETUP = (
    "z 10, MLP, Bernoulli, Adam 1e-3; paper: 64 pixels, width 1200, batch 2048, 50 epochs; "
    "cpu: 32 pixels, width 256, batch 128, 8 epochs, if flags do not say otherwise; scores of "
    "10,000 test points, mig_4 of all"
)


def of_paper(name, stands_for, beta=None):
    """One model of Section VI.A."""
    kind = "beta-tcvae" if name.startswith("beta-tcvae") else name
    setup = f"{f'beta {beta:g}, ' if beta else ''}{SETUP}"
    figures = ("samples.png", "curves.png")
    return Experiment(name, stands_for, paper_model(kind, beta), {}, setup, figures=figures)


def figure(name, stands_for, run, setup):
    return Experiment(name, stands_for, run, {}, setup, figures=(f"{name}.png",))


def on_sprites(name, run, setup, paper=None):
    """One model that is judged by number."""
    figures = ("traversals.png", "mutual_information.png", "curves.png")
    setup += SPRITES_SETUP
    return Experiment(f"sprites-{name}", "by number", run, paper or {}, setup, figures=figures)


EXPERIMENTS = [
    of_paper("ae", "Fig. 1 and 2"),
    of_paper("vae", "Fig. 1 to 3"),
    of_paper("beta-vae", "Fig. 1 and 2", 5.0),
    of_paper("beta-tcvae", "Fig. 1 to 3", 20.0),
    of_paper("beta-tcvae-5", "Fig. 3", 5.0),
    figure("traversals", "Fig. 1", traversals, "the three dimensions that change most, -3 to 3"),
    figure("samples", "Fig. 2", samples, "decoded draws of the prior, not selected"),
    figure("betas", "Fig. 3", betas, "reconstructions of the first ten test images"),
    on_sprites("ae", sprites_model(ae, (None, None)), "squared error, "),
    on_sprites("vae", sprites_model(vae), ""),
    on_sprites("beta-vae", sprites_model(beta_vae), "beta 4, "),
    on_sprites(
        "beta-tcvae",
        sprites_model(beta_tcvae),
        f"beta {BETA:g} if not said otherwise, stratified estimator, ",
        {"mig_4": 0.5, "elbo": -85.5},
    ),
    on_sprites("factor-vae", sprites_model(factor_vae), "gamma 35, "),
    on_sprites("dip-vae", sprites_model(dip_vae), "kind II, lambda 10, "),
    figure("scores", "future work: by number", scores, "the models on sprites, a point each seed"),
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
    parser.add_argument("--beta", type=float, default=BETA)
    return parser.parse_known_args(argv)


def main(argv=None):
    options, argv = parse_options(argv)
    chosen = [paper_script.with_options(e, options) for e in EXPERIMENTS]
    paper_script.main(__doc__, chosen, 0, data_sets(), argv)


if __name__ == "__main__":
    main()
