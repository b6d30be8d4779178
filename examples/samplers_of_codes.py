"""Samples from densities fitted on the codes of trained models, in the place of the prior

    python examples/samplers_of_codes.py --list
    python examples/samplers_of_codes.py --data-dir ~/tensorflow_datasets --scale cpu
    python examples/samplers_of_codes.py --run ae --scale cpu
    python examples/samplers_of_codes.py --smoke

A VAE, an autoencoder and a VQ-VAE are trained for a few epochs. Their samples are then scored with
codes from N(0, I) (of the VQ-VAE, from the frequencies of its codes), and from each sampler of
`tfgen.samplers` that was fitted on the codes of the training images. Scores are of 2,000 decoder
means against as many grey test images, in the features of `metrics.classifier`, of dense layers;
`real` has training images in the place of samples. `elbo` is on all test images, under the sampler,
in nats, where it is finite. Pixels are grey, which p(x|z), a Bernoulli, takes for probabilities.
"""

import functools

import keras
import numpy as np
import paper_script
from paper_script import Experiment

from tfgen import datasets, metrics, models, networks, plotting, samplers

LATENT_DIM, WIDTH, BATCH_SIZE = 20, 512, 128
EPOCHS = {"paper": 4, "cpu": 4, "smoke": 1}
NUM_SAMPLES = {"paper": 2000, "cpu": 2000, "smoke": 100}
SCORES = ("classifier_frechet_distance", "coverage", "precision", "recall", "class_entropy")


def load_data(run, split, **kwargs):
    """Pipeline of pixels in [0, 1], and what is known of them."""
    return datasets.load(
        run.args.dataset, split, BATCH_SIZE, seed=run.seed, data_dir=run.args.data_dir, **kwargs
    )


def vae(run, shape):
    width, size = run.pick(WIDTH, WIDTH, 16), run.pick(LATENT_DIM, LATENT_DIM, 4)
    encoder = networks.mlp_encoder(shape, size, width=width)
    return models.VAE(encoder, networks.mlp_decoder(shape, size, width=width), seed=run.seed)


def ae(run, shape):
    width, size = run.pick(WIDTH, WIDTH, 16), run.pick(LATENT_DIM, LATENT_DIM, 4)
    encoder = networks.mlp_encoder(shape, size, head=None, width=width)
    decoder = networks.mlp_generator(
        shape, size, (width, width), dropout=0.0, activation="relu", output_activation="sigmoid"
    )
    return models.AE(encoder, decoder, seed=run.seed)


def vq_vae(run, shape):
    width, codes = run.pick(32, 32, 8), run.pick(256, 256, 16)
    parts = (make(shape, width=width) for make in (networks.vq_encoder, networks.vq_decoder))
    return models.VQVAE(*parts, num_codes=codes, seed=run.seed)


def continuous(run):
    """Samplers by name, of vectors."""
    epochs = run.pick(30, 30, 1)
    counts = run.pick((1, 10, 50), (1, 10, 50), (1, 2))
    mixtures = {f"mixture of {n}": samplers.GaussianMixture(n) for n in counts}
    return {
        "histogram": samplers.Histogram(),
        **mixtures,
        "flow": samplers.NormalizingFlow(epochs=epochs),
        "two stages": samplers.TwoStageVAE(epochs=epochs),
    }


def of_vae(run):
    """Those of vectors, and the mean of posteriors."""
    return {**continuous(run), "posteriors": samplers.VampPosterior(run.pick(500, 500, 20))}


def discrete(run):
    """Samplers by name, of codes."""
    return {"transformer": samplers.Autoregressive(epochs=run.pick(20, 20, 1))}


def compared(build, samplers_of):
    """Trains a model, fits all samplers on its codes, and scores samples under each."""

    def experiment(run):
        data, info = load_data(run, "train")
        model = build(run, info.image_shape)
        model.compile(keras.optimizers.Adam(1e-3))
        paper_script.fit_resumable(model, data, run, run.pick(**EPOCHS))
        if isinstance(model, models.VQVAE):
            model.fit_prior(data)
        score = functools.partial(scored, run, judge_of(run))
        found, rows = score("prior", model), {"prior": drawn(model, run)}
        for name, sampler in samplers_of(run).items():
            sampler.fit(model, data, seed=run.seed, verbose=False)
            under = model.with_prior(sampler)
            found |= score(name, under)
            rows[name] = drawn(under, run)
        fig, _ = plotting.image_grid(np.concatenate(list(rows.values())), 12, row_labels=list(rows))
        paper_script.save_figure(fig, run.folder / "samples.png")
        return found

    return experiment


def drawn(model, run):
    """Twelve samples for the figure."""
    return np.clip(model.sample(12, seed=run.seed), 0, 1)


def judge_of(run):
    """The classifier, and the images that samples are compared with."""
    train, test = (load_data(run, split, labels=True)[0] for split in ("train", "test"))
    steps = run.pick(2500, 2500, 50)
    judge = metrics.classifier(train, steps=steps, verbose=False)
    return judge, train, test


def scored(run, judge_and_data, name, model):
    """Scores of samples by the name of their sampler; the ELBO where there is one."""
    judge, train, test = judge_and_data
    result = metrics.evaluate_samples(
        model, train, test, run.pick(**NUM_SAMPLES), classifier=judge, seed=run.seed, verbose=False
    )
    values = {f"{name}: {score}": result.generated[score] for score in SCORES}
    if name == "prior":
        values |= {f"real: {score}": result.real[score] for score in SCORES}
    if has_bound(model):
        model.compile()
        terms = model.evaluate(load_data(run, "test")[0], verbose=0, return_dict=True)
        values |= {f"{name}: elbo": terms["elbo"]} if np.isfinite(terms["elbo"]) else {}
    return values


def has_bound(model):
    """Whether a model has an ELBO, and its prior a density."""
    density = getattr(model.prior, "no_density", None) is None
    return density and not isinstance(model, models.AE)


def experiment(name, build, samplers_of, setup):
    run, times = compared(build, samplers_of), {"cpu": "5 min of two cores, vq-vae 45 min of one"}
    return Experiment(name, "samplers", run, {}, setup, times, ("samples.png",))


MLP = "two layers of 512 units each way, z 20, 4 epochs of 60,000 images, batch 128, Adam 1e-3"
EXPERIMENTS = [
    experiment("vae", vae, of_vae, f"VAE, {MLP}"),
    experiment("ae", ae, continuous, f"autoencoder, squared error, sigmoid outputs, {MLP}"),
    experiment(
        "vq-vae",
        vq_vae,
        discrete,
        "VQ-VAE, 32 filters, 7 x 7 codes of 256, 4 epochs; transformer of 3 blocks of 64 units, 20 "
        "epochs",
    ),
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 0, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
