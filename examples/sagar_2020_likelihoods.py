"""Sagar, "Generate High Fidelity Images With Generative Variational Autoencoder": Table 7, in nats

    python examples/sagar_2020_likelihoods.py --list
    python examples/sagar_2020_likelihoods.py --data-dir ~/tensorflow_datasets --scale cpu
    python examples/sagar_2020_likelihoods.py --run vae iwae-5 planar-10 iaf table-7 --scale cpu
    python examples/sagar_2020_likelihoods.py --smoke

Table 7 lists bounds of log p(x) from eight papers, on different binarizations of MNIST. Here every
kind of model in it is trained on one: each pixel drawn once as Bernoulli(intensity) with seed 0,
the first 55,000 training images, batches of 100, Adam whose rate falls from 1e-3 to 0 along half a
cosine; if not said otherwise one layer of 400 ReLU units each way and 40 latent variables. The
weights of the last epoch count.

`elbo` is on all 10,000 test images. `nll_200` is the negative log-likelihood by 200 importance
samples on the first `images_200` of them (2,000, of slow models fewer), with its standard error
over images; `nll_5000` has 5,000 samples on the first `images_5000`, `nll_200_same` 200 on these.
All in nats, of draws from the model's own posterior: upper bounds. `--scale cpu` trains the slow
models for fewer epochs, each result says how many. A killed run goes on where it stopped.
"""

import functools

import keras
import numpy as np
import paper_script
from paper_script import Experiment

from tfgen import bijectors, datasets, layers, metrics, models, networks, plotting

BATCH_SIZE = 100
LEARNING_RATE = 1e-3
EPOCHS = 30
LATENT_DIM, WIDTH = 40, 400
CONTEXT_SIZE = 64


# The models of Table 7, and what they are measured against.


def encoder(run, shape, head=layers.IndependentNormal):
    """q(z|x)."""
    width, latent_dim = run.pick(WIDTH, WIDTH, 32), run.pick(LATENT_DIM, LATENT_DIM, 4)
    return networks.mlp_encoder(shape, latent_dim, head, width, depth=1)


def decoder(run, shape):
    """p(x|z)."""
    width, latent_dim = run.pick(WIDTH, WIDTH, 32), run.pick(LATENT_DIM, LATENT_DIM, 4)
    return networks.mlp_decoder(shape, latent_dim, width=width, depth=1)


def vae(run, shape):
    return models.VAE(encoder(run, shape), decoder(run, shape), seed=run.seed)


def vamp_prior(run, shape):
    prior = layers.VampPrior(shape, num_components=50, seed=run.seed)
    return models.VAE(encoder(run, shape), decoder(run, shape), prior, seed=run.seed)


def conv_networks(run, shape):
    latent_dim = run.pick(LATENT_DIM, LATENT_DIM, 4)
    return networks.conv_encoder(shape, latent_dim), networks.conv_decoder(shape, latent_dim)


def conv_vae(run, shape):
    return models.VAE(*conv_networks(run, shape), seed=run.seed)


def iwae(num_samples):
    """IWAE of so many samples."""
    return lambda run, shape: models.IWAE(
        encoder(run, shape), decoder(run, shape), num_samples=num_samples, seed=run.seed
    )


def flow_vae(run, shape, flow):
    """VAE with a flow posterior whose parameters, or inputs, come from the encoder."""
    head = functools.partial(layers.FlowNormal, bijector=flow, context_size=CONTEXT_SIZE)
    return models.FlowVAE(encoder(run, shape, head), decoder(run, shape), seed=run.seed)


def planar(num_steps):
    """VAE + NF."""

    def build(run, shape):
        latent_dim = run.pick(LATENT_DIM, LATENT_DIM, 4)
        steps = run.pick(num_steps, num_steps, 2)
        return flow_vae(run, shape, bijectors.Planar(latent_dim, steps, CONTEXT_SIZE))

    return build


def hamiltonian(run, shape, encoder_and_decoder, leapfrog_steps):
    """HVI with networks of 300 softplus units for the velocities, forwards and back."""
    latent_dim, width = run.pick(LATENT_DIM, LATENT_DIM, 4), run.pick(300, 300, 16)
    reverse, momentum = (networks.mlp_auxiliary(shape, latent_dim, width=width) for _ in range(2))
    return models.HVI(
        *encoder_and_decoder, reverse, momentum, leapfrog_steps=leapfrog_steps, seed=run.seed
    )


def hvi(leapfrog_steps):
    """VAE + HVI."""

    def build(run, shape):
        parts = encoder(run, shape), decoder(run, shape)
        return hamiltonian(run, shape, parts, run.pick(leapfrog_steps, leapfrog_steps, 2))

    return build


def iaf(run, shape):
    """VAE + IAF."""
    latent_dim, units = run.pick(LATENT_DIM, LATENT_DIM, 4), run.pick(128, 128, 8)
    return flow_vae(run, shape, bijectors.iaf(latent_dim, 4, (units, units), CONTEXT_SIZE))


def vgp(run, shape):
    """VAE + VGP."""
    latent_dim, width = run.pick(LATENT_DIM, LATENT_DIM, 4), run.pick(300, 300, 16)
    mapping = networks.GaussianProcessMapping(latent_dim, shape, width=width, seed=run.seed)
    return models.VGP(encoder(run, shape), decoder(run, shape), mapping, seed=run.seed)


def vgp_two_layers(run, shape):
    """VAE + VGP (2hl): two layers of latent variables, warped together."""
    sizes, widths = run.pick(((40, 20), (400, 200)), ((40, 20), (400, 200)), ((4, 2), (16, 8)))
    options = {"width": run.pick(WIDTH, WIDTH, 32), "depth": 1}
    pixels = networks.mlp_decoder(shape, sizes[0], **options)
    return models.VGP(
        networks.mlp_encoder(shape, sum(sizes), **options),
        networks.ladder_decoder(pixels, sizes),
        networks.GaussianProcessMapping(sum(sizes), shape, width=run.pick(300, 300, 16)),
        networks.ladder_prior(sizes, widths, depth=1, activation="relu"),
        seed=run.seed,
    )


def draw(read_size=None, write_size=None, with_vgp=False):
    """DRAW, of 64 steps; cpu: 10."""

    def build(run, shape):
        size = {
            "latent_dim": run.pick(100, 10, 2),
            "num_steps": run.pick(64, 10, 2),
            "width": run.pick(256, 256, 16),
        }
        posterior = None
        if with_vgp:
            posterior = networks.VGPPosterior(size["latent_dim"], size["width"], seed=run.seed)
        return models.DRAW(
            networks.DRAWEncoder(shape, read_size=read_size, posterior=posterior, **size),
            networks.DRAWDecoder(shape, write_size=write_size, **size),
            seed=run.seed,
        )

    return build


def ladder(run, shape):
    """Beside the table: two levels of latent variables."""
    sizes, widths = run.pick(((40, 20), (400, 200)), ((40, 20), (400, 200)), ((4, 2), (16, 8)))
    options = {"depth": 1, "activation": "relu"}
    pixels = networks.mlp_decoder(shape, sizes[0], width=widths[0], depth=1)
    return models.LadderVAE(
        networks.ladder_encoder(shape, sizes, widths, **options),
        networks.ladder_decoder(pixels, sizes),
        networks.ladder_prior(sizes, widths, **options),
        seed=run.seed,
    )


def conv_hvi(run, shape):
    """conv VAE + HVI: 16 leapfrog steps; cpu: 4."""
    return hamiltonian(run, shape, conv_networks(run, shape), run.pick(16, 4, 2))


# Data, training and likelihoods.


def load_data(run, split):
    """Pipeline and description of images that are binarized once."""
    return datasets.load(
        run.args.dataset,
        split,
        BATCH_SIZE,
        binarize="fixed",
        seed=0,
        data_dir=run.args.data_dir,
        drop_remainder=split.startswith("train"),
    )


def bound(build, epochs=EPOCHS, images_200=2000, images_5000=500, decay=True):
    """Trains a model and bounds its likelihood.

    Args:
        build: function (run, image_shape) to a model.
        epochs: int, epochs of `--scale cpu`; the other scale has 30.
        images_200: int, images for 200 samples.
        images_5000: int, images for 5,000 samples.
        decay: bool, whether the learning rate falls.
    """

    def experiment(run):
        data, info = load_data(run, run.pick("train[:55000]", "train[:55000]", "train"))
        test = load_data(run, "test")[0]
        model = build(run, info.image_shape)
        num_epochs = run.pick(EPOCHS, epochs, 1)
        steps = num_epochs * int(data.cardinality())
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
        model.compile(keras.optimizers.Adam(rate if decay else LEARNING_RATE))
        times = train(model, run, data, test, num_epochs)
        elbo = model.evaluate(test, verbose=0, return_dict=True)["elbo"]
        parameters = sum(v.shape.num_elements() for v in model.trainable_variables)
        return {
            "elbo": elbo,
            **likelihoods(model, run, images_200, images_5000),
            "parameters": float(parameters),
            **times,
        }

    return experiment


def train(model, run, data, test, epochs):
    """Fits, saves the model and its samples, and returns epochs and time."""
    history = paper_script.fit_resumable(model, data, run, epochs, test.take(10))
    model.save(run.folder / "model.keras")
    seconds = history.pop("seconds")
    fig, _ = plotting.training_curves(history)
    paper_script.save_figure(fig, run.folder / "curves.png")
    fig, _ = plotting.image_grid(model.sample(64, seed=run.seed), 8)
    paper_script.save_figure(fig, run.folder / "samples.png")
    return {"epochs": float(epochs), "seconds_per_epoch": float(np.median(seconds))}


def likelihoods(model, run, images_200, images_5000):
    """Negative log-likelihoods by 200 and by 5,000 importance samples."""
    first = run.pick(images_200, images_200, 20)
    few = metrics.importance_sampled_nll(
        model, load_data(run, f"test[:{first}]")[0], run.pick(200, 200, 10)
    )
    some = run.pick(images_5000, images_5000, 10)
    many = metrics.importance_sampled_nll(
        model, load_data(run, f"test[:{some}]")[0], run.pick(5000, 5000, 20), at=(200, 10)
    )
    return {
        "nll_200": few.nll,
        "nll_200_se": few.standard_error,
        "images_200": float(first),
        "nll_5000": many.nll,
        "nll_5000_se": many.standard_error,
        "nll_200_same": many.bounds.get(200, many.bounds[10]),
        "images_5000": float(some),
        "effective_sample_size_5000": many.effective_sample_size,
    }


def annealing(run):
    """How much 5,000 draws from the encoder still miss: the VAE above, on few images."""
    model = models.load_model(run.folder.parents[1] / "vae" / run.folder.name / "model.keras")
    data = load_data(run, f"test[:{run.pick(50, 50, 4)}]")[0]
    sampled = metrics.importance_sampled_nll(model, data, run.pick(5000, 5000, 20), at=())
    values = {"nll_5000": sampled.nll, "nll_5000_se": sampled.standard_error}
    for num_steps in run.pick((250, 1000), (250, 1000), (4, 8)):
        annealed = metrics.annealed_importance_sampling(
            model, data, num_chains=8, num_steps=num_steps, seed=run.seed
        )
        values[f"annealed_{num_steps}"] = annealed.nll
        gains = sampled.nlls - annealed.nlls
        values[f"annealed_{num_steps}_gain"] = float(gains.mean())
        values[f"annealed_{num_steps}_gain_se"] = float(gains.std(ddof=1) / len(gains) ** 0.5)
    return values


# The table.


def table_7(run):
    """All that was trained before, ranked by NLL, beside what the paper prints."""
    rows = {}
    for experiment in EXPERIMENTS:
        path = run.folder.parents[1] / experiment.name / run.folder.name / "result.json"
        if path.exists() and experiment.figures == FIGURES:
            rows[experiment.name] = paper_script.read_json(path)["metrics"]
    ranked = sorted(rows, key=lambda name: rows[name]["nll_200"])
    papers = {e.name: e.paper.get("bound", "") for e in EXPERIMENTS}
    lines = [
        "| model | paper, log p(x) >= | NLL, k 200 (images) | k 200, 5000 (images) | ELBO "
        "| parameters | epochs | s/epoch |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(table_row(name, papers[name], rows[name]) for name in ranked),
    ]
    paper_script.write_text(run.folder / "table_7.md", "\n".join(lines) + "\n")
    if ranked:
        paper_script.save_figure(ranking(ranked, rows), run.folder / "table_7.png")
    return {"models": float(len(ranked))}


def table_row(name, paper, row):
    return (
        f"| {name} | {paper} | {row['nll_200']:.2f} ± {row['nll_200_se']:.2f} "
        f"({row['images_200']:.0f}) | "
        f"{row['nll_200_same']:.2f}, {row['nll_5000']:.2f} ({row['images_5000']:.0f}) | "
        f"{row['elbo']:.2f} | {row['parameters']:,.0f} | {row['epochs']:.0f} | "
        f"{row['seconds_per_epoch']:.1f} |"
    )


def ranking(names, rows):
    """NLL and -ELBO of each model as two dots on a line."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 0.9 + 0.34 * len(names)), layout="constrained")
    positions = np.arange(len(names))[::-1]
    nlls = np.array([rows[name]["nll_200"] for name in names])
    elbos = np.array([-rows[name]["elbo"] for name in names])
    errors = [rows[name]["nll_200_se"] for name in names]
    ax.hlines(positions, nlls, elbos, color="0.75", zorder=1)
    ax.errorbar(
        nlls, positions, xerr=errors, fmt="o", color="#0072b2", label="NLL, 200 samples, ± s.e."
    )
    ax.plot(elbos, positions, "D", color="#d55e00", markersize=5, label="-ELBO")
    ax.set_yticks(positions, names)
    ax.set_xlabel("nats per test image, lower is better")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return fig


SETUP = (
    "first 55,000 images, pixels drawn once as Bernoulli(intensity), seed 0; batch 100, Adam 1e-3 "
    "falling to 0 as a cosine, last weights; 400 ReLU units each way, z 40, if not said otherwise"
)
FIGURES = ("samples.png", "curves.png")


def row(name, build, setup, paper=None, **options):
    """A row of Table 7."""
    paper = {} if paper is None else {"bound": paper}
    return Experiment(
        name, "Table 7", bound(build, **options), paper, f"{setup}; {SETUP}", {}, FIGURES
    )


EXPERIMENTS = [
    row("vae", vae, "VAE"),
    row("vae-short", vae, "VAE; cpu: 8 epochs, to compare with rows of as many", epochs=8),
    row("vae-12", vae, "VAE; cpu: 12 epochs, to compare with HVI", epochs=12),
    row("vae-constant", vae, "VAE, with the learning rate held at 1e-3", decay=False),
    row("iwae-5", iwae(5), "IWAE, 5 samples"),
    row("iwae-50", iwae(50), "IWAE, 50 samples", epochs=8, images_5000=200),
    row("vamp-prior", vamp_prior, "VAE, VampPrior of 50 pseudo-inputs"),
    row("planar-10", planar(10), "VAE + NF: 10 planar steps from a context of 64"),
    row("planar-80", planar(80), "VAE + NF: 80 planar steps from a context of 64", -85.1),
    row(
        "iaf",
        iaf,
        "VAE + IAF: 4 steps of masked networks of 128-128 units, context of 64",
        -80.8,
    ),
    row(
        "hvi-4",
        hvi(4),
        "HVI, one iteration of 4 leapfrog steps, velocities by networks of 300 units",
        epochs=12,
        images_5000=50,
    ),
    row(
        "hvi-16",
        hvi(16),
        "HVI, one iteration of 16 leapfrog steps, velocities by networks of 300 units",
        -88.3,
        epochs=1,
        images_200=200,
        images_5000=2,
    ),
    row(
        "vgp",
        vgp,
        "VAE + VGP: 20 variational data of 10 inputs, networks of 300 units",
        epochs=8,
        images_5000=50,
    ),
    row(
        "vgp-2hl",
        vgp_two_layers,
        "VAE + VGP, two layers of latent variables, 40 and 20, 400 and 200 units",
        -81.3,
        epochs=4,
        images_200=500,
        images_5000=10,
    ),
    row(
        "draw",
        draw(),
        "DRAW without attention, 256 units; cpu: 10 steps of z 10",
        images_5000=20,
    ),
    row(
        "draw-attention",
        draw(2, 5),
        "DRAW with attention, reads 2 x 2, writes 5 x 5, 256 units; cpu: 10 steps of z 10",
        epochs=1,
        images_200=500,
        images_5000=10,
    ),
    row(
        "draw-vgp",
        draw(with_vgp=True),
        "DRAW as above, each step's posterior a VGP of 20 variational data and 100 units",
        -79.9,
        epochs=1,
        images_200=200,
        images_5000=2,
    ),
    row("ladder", ladder, "ladder VAE of levels of 40 and 20, 400 and 200 units", epochs=20),
    row(
        "conv-vae",
        conv_vae,
        "convolutional VAE: 32-32-64-64-64 filters, GELU",
        epochs=10,
        images_5000=50,
    ),
    row(
        "conv-hvi",
        conv_hvi,
        "the convolutional VAE with HVI; cpu: 4 leapfrog steps",
        -84.1,
        epochs=1,
        images_200=100,
        images_5000=5,
    ),
    Experiment(
        "annealing",
        "beside Table 7",
        annealing,
        {},
        "the model of vae, first 50 test images: importance sampling, and annealed importance "
        "sampling by HMC from the prior, 8 chains, 10 leapfrog steps",
        {},
    ),
    Experiment(
        "table-7",
        "Table 7",
        table_7,
        {},
        "all models above that are trained, ranked",
        {"cpu": "seconds"},
        ("table_7.png",),
    ),
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 0, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
