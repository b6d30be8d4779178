"""The models of Schik's script that are judged by number: sprites whose five factors are known

"With a better disentanglement metric than visual inspection by a human, it would be easier to
compare": seven models, four of them the paper's, and all scores of their codes.
"""

import keras
import matplotlib.pyplot as plt
import numpy as np
import paper_script
import tensorflow as tf
from paper_script import Experiment

from tfgen import datasets, layers, metrics, models, networks, plotting
from tfgen.datasets.images import resize
from tfgen.datasets.sprites import FACTOR_NAMES, FACTOR_SIZES, draw
from tfgen.plotting.figures import COLORS, MARKERS

LATENT_DIM = 10
SIZE = {"paper": 64, "cpu": 32, "smoke": 16}
BATCH_SIZE = {"paper": 2048, "cpu": 128, "smoke": 100}
WIDTH = {"paper": 1200, "cpu": 256, "smoke": 16}
EPOCHS = {"paper": 50, "cpu": 8, "smoke": 1}
BETA = 6.0


def image_size_of(run):
    return run.args.sprites_size or run.pick(**SIZE)


def num_epochs(run):
    return run.args.sprites_epochs or run.pick(**EPOCHS)


def load_sprites(run, split, **kwargs):
    """Pipeline and description of sprites; with --smoke of some."""
    return datasets.load(
        "sprites",
        run.pick(split, split, f"{split}[:1000]"),
        run.pick(**BATCH_SIZE),
        image_size=image_size_of(run),
        seed=run.seed,
        **kwargs,
    )


def load_pairs(run, split, **kwargs):
    """The same, each beside one of which a factor is drawn anew, without saying which."""
    data, info = load_sprites(run, split, labels=True, **kwargs)
    size = (image_size_of(run),) * 2

    def with_second(index, batch):
        images, factors = batch
        seeds = tf.random.split([run.seed, tf.cast(index, tf.int32)], 2)
        drawn = tf.random.stateless_uniform(tf.shape(factors), seeds[0])
        other = tf.cast(drawn * FACTOR_SIZES, tf.int32)
        one = tf.random.stateless_uniform([len(images)], seeds[1], 0, 5, tf.int32)
        changed = tf.cast(tf.one_hot(one, 5), bool)
        return images, resize(draw(tf.where(changed, other, factors)), size)

    return data.enumerate().map(with_second, tf.data.AUTOTUNE), info


def encoder_and_decoder(run, shape, heads):
    """Two layers of ReLUs, and three of tanh, as Chen et al., arXiv:1802.04942v5, have them."""
    encoder_head, decoder_head = heads
    width, decoder = run.pick(**WIDTH), {"depth": 3, "activation": "tanh"}
    return (
        networks.mlp_encoder(shape, LATENT_DIM, encoder_head, width),
        networks.mlp_decoder(shape, LATENT_DIM, decoder_head, width, **decoder),
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
        LATENT_DIM, width=width, depth=depth, activation="leaky_relu"
    )
    return models.FactorVAE(encoder, decoder, discriminator, gamma=35.0, seed=run.seed)


def dip_vae(run, encoder, decoder, info):
    return models.DIPVAE(encoder, decoder, kind="ii", lambda_od=10.0, seed=run.seed)


def ada_gvae(run, encoder, decoder, info):
    return models.AdaGVAE(encoder, decoder, beta=4.0, seed=run.seed)


BERNOULLI_VAE = (layers.IndependentNormal, layers.IndependentBernoulli)


def scored(build, heads=BERNOULLI_VAE, load=load_sprites):
    """Trains a model on sprites and scores its codes of the test split.

    Args:
        build: function (run, encoder, decoder, info) to a model.
        heads: of encoder and decoder.
        load: function (run, split, **options) to what it learns from.
    """

    def experiment(run):
        data, info = load(run, "train", drop_remainder=True)
        model = build(run, *encoder_and_decoder(run, info.image_shape, heads), info)
        times = train(model, run, data, num_epochs(run), 1e-3)
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
    gaps = dict(zip(FACTOR_NAMES[1:], scores.gaps[1:], strict=True))
    return {"mig_4": scores.gaps[1:].mean()} | {f"gap_{name}": gap for name, gap in gaps.items()}


def scores(run):
    """The models beside each other: four scores against what their images lose."""
    rows = all_results(run)
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


def all_results(run):
    """Metrics of every seed of every model on sprites that is there."""
    results = paper_script.load_results(run.folder.parents[1])
    return {
        name: [result["metrics"] for result in results[name]]
        for name in results
        if name.startswith("sprites-")
    }


# What both scripts do with a model.


def train(model, run, data, epochs, learning_rate):
    """Fits, draws the curves, saves the model; returns times."""
    model.compile(keras.optimizers.Adam(learning_rate))
    times = paper_script.train(model, run, data, epochs)[1]
    return {"seconds_per_epoch": times["seconds_per_epoch"], "epochs": float(epochs)}


def squared_error(model, data):
    """Mean over images of ||x - E[x|z]||^2, z the encoder's mean, summed over pixels."""
    sums = [np.square(x - model.reconstruct(x)).reshape(len(x), -1).sum(1) for x in data]
    return float(np.concatenate(sums).mean())


SETUP = (
    "z 10, MLP, Bernoulli, Adam 1e-3; paper: 64 pixels, width 1200, batch 2048, 50 epochs; "
    "cpu: 32 pixels, width 256, batch 128, 8 epochs, if flags do not say otherwise; scores of "
    "10,000 test points, mig_4 of all"
)


def on_sprites(name, run, setup, paper=None):
    """One model that is judged by number."""
    figures = ("traversals.png", "mutual_information.png", "curves.png")
    setup += SETUP
    return Experiment(f"sprites-{name}", "by number", run, paper or {}, setup, figures=figures)


EXPERIMENTS = [
    on_sprites("ae", scored(ae, (None, None)), "squared error, "),
    on_sprites("vae", scored(vae), ""),
    on_sprites("beta-vae", scored(beta_vae), "beta 4, "),
    on_sprites(
        "beta-tcvae",
        scored(beta_tcvae),
        f"beta {BETA:g} if not said otherwise, stratified estimator, ",
        {"mig_4": 0.5, "elbo": -85.5},
    ),
    on_sprites("factor-vae", scored(factor_vae), "gamma 35, "),
    on_sprites("dip-vae", scored(dip_vae), "kind II, lambda 10, "),
    on_sprites(
        "ada-gvae",
        scored(ada_gvae, load=load_pairs),
        "beta 4, of pairs that differ in one factor, ",
    ),
]
