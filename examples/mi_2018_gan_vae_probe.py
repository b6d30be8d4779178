"""Mi, Shen & Zhang, "A Probe Towards Understanding GAN and VAE Models" (2018), on MNIST

    python examples/mi_2018_gan_vae_probe.py --list
    python examples/mi_2018_gan_vae_probe.py --data-dir ~/tensorflow_datasets
    python examples/mi_2018_gan_vae_probe.py --run gan wgan comparison --scale cpu
    python examples/mi_2018_gan_vae_probe.py --smoke

Five models of one fully connected stack, arXiv:1812.05676v2, are judged by a two-layer classifier:
the entropy of the classes of 10,000 samples says whether modes are missing, the entropy of each
image's prediction how clear it is. The paper prints no optimizer, batch size or scale of the
likelihood; those below are this script's. Its 784-392-196-98-(10x10) is read as 100 latent
variables of encoder and generator, and as a last hidden layer of 100 in a discriminator, followed
by one logit. Faces (figure 7c, d) are left out: the paper draws no conclusion from them.

The entropies of figure 3 are taken while a model trains. Nothing is selected: the last weights
count. A killed run goes on where it stopped.
"""

import csv
import functools
import math

import keras
import numpy as np
import paper_script
from paper_script import Experiment
from scipy import stats

from tfgen import datasets, layers, metrics, models, networks, plotting

BATCH_SIZE = 32
LATENT_DIM = 100
WIDTHS = (392, 196, 98)
SCALE = 0.3
CLIP = 0.05
CRITIC_STEPS = 5
LOW_ENTROPY = 0.1


# Section 3.1: the networks, in pixels from 0 to 1.


def generator(image_shape, head=None):
    """100-98-196-392-784, sigmoid."""
    return networks.mlp_generator(image_shape, LATENT_DIM, WIDTHS[::-1], 0, "relu", "sigmoid", head)


def decoder(image_shape):
    """The generator as the mean of p(x|z): the squared error over 2 SCALE^2, in nats."""
    return generator(image_shape, functools.partial(layers.FixedScaleNormal, scale=SCALE))


def encoder(image_shape):
    """784-392-196-98, then mean and scale of 100 latent variables."""
    return networks.mlp_encoder(image_shape, LATENT_DIM, width=WIDTHS)


def discriminator(image_shape):
    """784-392-196-98-100, then a logit."""
    return networks.mlp_discriminator(image_shape, (*WIDTHS, LATENT_DIM), 0, "relu")


# Section 2: the models, each with its optimizer. `iterations` are those of the whole run.


def gan(image_shape, seed, iterations, loss="non_saturating"):
    """Equation 2, or with loss="minimax" equation 1."""
    model = models.GAN(generator(image_shape), discriminator(image_shape), loss, seed=seed)
    model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
    return model


def wgan(image_shape, seed, iterations):
    """Equation 5. The rates fall to 0: at a constant one the entropy goes up and down."""
    model = models.WGAN(
        generator(image_shape), discriminator(image_shape), CLIP, CRITIC_STEPS, seed=seed
    )
    steps = {"generator": iterations, "discriminator": CRITIC_STEPS * iterations}
    rates = {name: keras.optimizers.schedules.CosineDecay(5e-4, n) for name, n in steps.items()}
    model.compile({name: keras.optimizers.RMSprop(rate) for name, rate in rates.items()})
    return model


def vae(image_shape, seed, iterations):
    """Equation 6."""
    model = models.VAE(encoder(image_shape), decoder(image_shape), seed=seed)
    model.compile(keras.optimizers.Adam(1e-3))
    return model


def vae_gan(image_shape, seed, iterations, cls=models.VAEGAN, **kwargs):
    """Equations 6 and 7, or with another class section 4.1. The discriminator learns slower."""
    networks_ = [part(image_shape) for part in (encoder, decoder, discriminator)]
    model = cls(*networks_, seed=seed, **kwargs)
    rates = {"encoder": 1e-3, "decoder": 1e-3, "discriminator": 1e-4}
    model.compile({name: keras.optimizers.Adam(rate, beta_1=0.5) for name, rate in rates.items()})
    return model


# Section 3.2: entropy of the generated classes.


class EntropyCurve(keras.callbacks.Callback):
    """Figure 3: scores 1000 samples of the same latents every so many iterations, into a CSV file.

    It also keeps 10 of them at the stages of figure 2, as stage_<number>.npy.
    """

    def __init__(self, run, classify, iterations):
        super().__init__()
        self.path, self.classify, self.folder = run.folder / "entropy.csv", classify, run.folder
        self.every = max(iterations // 50, 1)
        self.stages = stages(iterations)

    def on_train_begin(self, logs=None):
        self.last = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.last is None:  # Only now has a killed run's model been restored.
            self._begin()

    def _begin(self):
        """Goes on behind the last iteration that was saved."""
        rows = [row for row in read_curve(self.path) if row[0] <= self.done]
        self.path.write_text("".join(f"{i:.0f},{entropy}\n" for i, entropy in rows))
        self.last = self.done
        if not self.done:
            self._score()

    def on_train_batch_end(self, batch, logs=None):
        if self.done // self.every > self.last // self.every or self.done == self.stages[-1]:
            self._score()

    @property
    def done(self):
        return int(self.model.steps)

    def _score(self):
        images = self.model.sample(1000, seed=0)
        entropy = metrics.class_entropy(self.classify(images))
        with open(self.path, "a") as file:
            file.write(f"{self.done},{entropy}\n")
        for stage in self.stages:
            if stage == 0 == self.done or self.last < stage <= self.done:
                np.save(self.folder / f"stage_{stage}.npy", images[:10])
        self.last = self.done


def stages(iterations):
    """Figure 2's iterations 1, 100k, 500k and 1000k of 1000k, counted from 0."""
    return [0, iterations // 10, iterations // 2, iterations]


def read_curve(path):
    """Rows (iteration, entropy) of figure 3."""
    if not path.exists():
        return []
    with open(path) as file:
        return [(float(i), float(entropy)) for i, entropy in csv.reader(file)]


def load_data(run, split, **options):
    """Images from 0 to 1, and their description."""
    return datasets.load(
        run.args.dataset, split, data_dir=run.args.data_dir, seed=run.seed, **options
    )


def classifier(run):
    """The two-layer classifier of section 3.2, from images to probabilities; trained once."""
    train, _ = load_data(run, "train", labels=True)
    network = metrics.classifier(
        train,
        kind="mlp",
        steps=run.pick(2500, 2500, 200),
        cache_dir=run.folder.parents[1] / "classifier",
        verbose=False,
    )
    return functools.partial(network.predict, batch_size=500, verbose=0)


# One experiment: train, then judge 10,000 samples.


def experiment(build, epochs, critic_steps=1):
    """Trains what `build` returns, and judges it."""

    def train_and_judge(run):
        batch_size = BATCH_SIZE * critic_steps
        data, info = load_data(run, "train", batch_size=batch_size, drop_remainder=True)
        classify = classifier(run)
        num_epochs = run.pick(**epochs)
        iterations = num_epochs * int(data.cardinality())
        model = build(info.image_shape, run.seed, iterations)
        curve = EntropyCurve(run, classify, iterations)
        history = paper_script.fit_resumable(model, data, run, num_epochs, callbacks=[curve])
        seconds = history.pop("seconds")
        model.save(run.folder / "model.keras")
        plot_training(run, history)
        return {
            **judge(model, run, classify),
            "iterations": int(model.steps),
            "seconds": sum(seconds),
            **{name: values[-1] for name, values in history.items()},
        }

    return train_and_judge


def plot_training(run, history):
    """Curves of the losses, and the entropy over the iterations."""
    logit = "mean logit"
    fig, _ = plotting.training_curves(history, {"real_logits": logit, "fake_logits": logit})
    paper_script.save_figure(fig, run.folder / "losses.png")
    paper_script.save_figure(entropy_figure([run.folder]), run.folder / "entropy.png")


def judge(model, run, classify):
    """Scores of 10,000 samples, which are kept with their class probabilities."""
    images = model.sample(run.pick(10_000, 10_000, 200), seed=1).numpy()
    return keep_and_score(run, images, classify(images))


def keep_and_score(run, images, probabilities):
    """Writes samples.npz and samples.png, the first 20 images with their predicted digits."""
    np.savez(run.folder / "samples.npz", images=images[:20], probabilities=probabilities)
    fig, _ = plotting.image_grid(images[:20], 10, titles=digits(probabilities[:20]))
    paper_script.save_figure(fig, run.folder / "samples.png")
    return scores(probabilities)


def digits(probabilities):
    """Predicted digits as text."""
    return [str(digit) for digit in probabilities.argmax(axis=1)]


def scores(probabilities):
    """Table 1's entropy in nats, and the share of clear images with its Wilson 95 % interval."""
    entropies = metrics.image_entropies(probabilities)
    low = int(np.sum(entropies < LOW_ENTROPY))
    interval = stats.binomtest(low, len(entropies)).proportion_ci(method="wilson")
    return {
        "entropy": metrics.class_entropy(probabilities),
        "classes_present": metrics.mode_count(probabilities),
        "low_entropy_share": low / len(entropies),
        "low_entropy_share_from": interval.low,
        "low_entropy_share_to": interval.high,
        "median_image_entropy": float(np.median(entropies)),
    }


def real_images(run):
    """The same scores of the test images, and the classifier's accuracy on them."""
    test, _ = load_data(run, "test", labels=True)
    images, labels = (np.concatenate(part) for part in zip(*test, strict=True))
    probabilities = classifier(run)(images)
    return {
        **keep_and_score(run, images, probabilities),
        "classifier_accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
    }


# Figures 2 to 5 and 8, and the difference of section 4.2.


def comparison(run):
    """Puts the runs of one seed side by side; those that are missing are trained first."""
    folders = {e.name: run.folder.parents[1] / e.name / run.folder.name for e in TRAINED}
    for e in TRAINED:
        paper_script.measure(e, run._replace(folder=folders[e.name]))
    samples = {name: dict(np.load(folder / "samples.npz")) for name, folder in folders.items()}
    adversarial = [folders["gan"], folders["wgan"]]
    figures = {
        "figure_2": stages_figure(adversarial),
        "figure_3": entropy_figure(adversarial),
        "figure_4": samples_figure({name: samples[name] for name in TABLE_1}),
        "figure_5": image_entropy_figure({name: samples[name] for name in TABLE_1}),
        "figure_7": samples_figure({name: samples[name] for name in SECTION_4}),
        "figure_8": histogram({name: samples[name] for name in SECTION_4}),
    }
    for name, fig in figures.items():
        paper_script.save_figure(fig, run.folder / f"{name}.png")
    return {
        f"{name}_minus_{base}{suffix}": value
        for base in folders
        for name in folders
        if base.startswith("vae-gan") and name.startswith("constrained")
        for suffix, value in difference(
            samples[name]["probabilities"], samples[base]["probabilities"]
        ).items()
    }


def difference(a, b):
    """Share of low-entropy images in `a` minus that in `b`, with a 95 % interval.

    Source of the interval: Newcombe, Statistics in Medicine 17 (1998), method 10. It is for two
    trained models, and holds nothing of how seeds of training differ.
    """
    (p, p_from, p_to), (q, q_from, q_to) = (
        [scores(x)[f"low_entropy_share{end}"] for end in ("", "_from", "_to")] for x in (a, b)
    )
    return {
        "": p - q,
        "_from": p - q - math.hypot(p - p_from, q_to - q),
        "_to": p - q + math.hypot(p_to - p, q - q_from),
    }


def label(folder):
    """An experiment's name, of the folder of one of its seeds."""
    return folder.parent.name


def stages_figure(folders):
    """Figure 2: 10 samples at four stages, of the same latents."""
    numbers = [sorted(int(p.stem[6:]) for p in folder.glob("stage_*.npy")) for folder in folders]
    rows = [(folder, n) for folder, ns in zip(folders, numbers, strict=True) for n in ns]
    images = [np.load(folder / f"stage_{n}.npy") for folder, n in rows]
    fig, _ = plotting.image_grid(
        np.concatenate(images), 10, row_labels=[f"{label(folder)}, {n:,}" for folder, n in rows]
    )
    return fig


def entropy_figure(folders):
    """Figure 3: entropy of the classes of 1000 samples over the iterations."""
    fig, axes = subplots(1, len(folders), sharey=True, figsize=(5 * len(folders), 3))
    for ax, folder in zip(axes[0], folders, strict=True):
        iterations, entropies = zip(*read_curve(folder / "entropy.csv"), strict=True)
        ax.plot(iterations, entropies)
        ax.axhline(math.log(10), color="0.6", linestyle=":", label="ln 10")
        ax.set(title=label(folder), xlabel="iteration", ylabel="class entropy, nats")
        ax.legend()
    return fig


def subplots(rows, columns, **kwargs):
    """Axes of shape (rows, columns)."""
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, squeeze=False, layout="constrained", **kwargs)


def samples_figure(samples):
    """Figures 4 and 7: 10 samples of each model, above each the digit that the classifier sees."""
    images = np.concatenate([s["images"][:10] for s in samples.values()])
    titles = sum((digits(s["probabilities"][:10]) for s in samples.values()), [])
    fig, axes = plotting.image_grid(images, 10, titles=titles)
    for ax, name in zip(axes[:, 0], samples, strict=True):
        ax.text(-0.2, 0.5, name, transform=ax.transAxes, ha="right", va="center")
    return fig


def image_entropy_figure(samples):
    """Figure 5: entropy of the prediction for each image of figure 4."""
    fig, axes = subplots(1, 1, figsize=(7, 3))
    for name, s in samples.items():
        entropies = metrics.image_entropies(s["probabilities"][:10])
        axes[0, 0].plot(range(1, 11), entropies, "o-", label=name)
    axes[0, 0].set(xlabel="image of figure 4", ylabel="entropy of its prediction, nats")
    fig.legend(loc="outside right center")
    return fig


def histogram(samples):
    """Figure 8: how many of 10,000 images have which entropy."""
    fig, axes = subplots(1, 1, figsize=(9, 3))
    for name, s in samples.items():
        entropies = metrics.image_entropies(s["probabilities"])
        axes[0, 0].hist(
            entropies, np.linspace(0, math.log(10), 47), histtype="step", log=True, label=name
        )
    axes[0, 0].set(xlabel="entropy of an image's prediction, nats", ylabel="images")
    fig.legend(loc="outside right center")
    return fig


STACK = "784-392-196-98, ReLU, 100 latents, pixels in [0, 1], batch 32"
FIGURES = ("samples.png", "entropy.png", "losses.png")
# An epoch is 60,000 images: 1875 iterations, 375 of WGAN. The paper trains the first two for 1000k.
GAN_EPOCHS = {"paper": 534, "cpu": 10, "smoke": 2}
WGAN_EPOCHS = {"paper": 2667, "cpu": 16, "smoke": 2}
VAE_EPOCHS = {"paper": 100, "cpu": 10, "smoke": 2}
VAE_GAN_EPOCHS = {"paper": 100, "cpu": 6, "smoke": 2}


def vae_gan_experiment(name, stands_for, weight, time, paper=None):
    """L_vae + weight L_gan; the likelihood's scale leaves the weight open."""
    return Experiment(
        name,
        stands_for,
        experiment(functools.partial(vae_gan, gan_weight=weight), VAE_GAN_EPOCHS),
        paper or {},
        f"VAE-GAN in pixels, Gaussian likelihood of scale {SCALE}, adversarial loss of weight "
        f"{weight:g}, {STACK}, Adam 1e-3, discriminator 1e-4 (0.5)",
        {"cpu": time},
        FIGURES,
    )


def constrained(bound, multiplier, time, dual_rate=0.0):
    """L_vae + lambda max(L_gan - d, 0), or with `dual_rate` its Lagrangian."""
    build = functools.partial(
        vae_gan,
        cls=models.ConstrainedVAEGAN,
        bound=bound,
        multiplier=multiplier,
        dual_rate=dual_rate,
    )
    name = "constrained-dual" if dual_rate else f"constrained-d{bound:g}-lambda{multiplier:g}"
    return Experiment(
        name,
        "Section 4, figures 7 and 8",
        experiment(build, VAE_GAN_EPOCHS),
        {},
        f"as vae-gan, d {bound:g}, lambda {multiplier:g}"
        + (f" at first, dual ascent at rate {dual_rate:g}" if dual_rate else ", fixed"),
        {"cpu": time},
        FIGURES,
    )


# Times of one seed, measured beside other work on a CPU that was busy: upper bounds.
TRAINED = [
    Experiment(
        "gan",
        "Table 1, figures 2 to 5, equation 2",
        experiment(gan, GAN_EPOCHS),
        {"entropy": 0.0, "iterations": "1000k"},
        f"GAN, non-saturating, {STACK}, Adam 2e-4 (0.5)",
        {"cpu": "6 min"},
        FIGURES,
    ),
    Experiment(
        "gan-minimax",
        "beside: equation 1",
        experiment(functools.partial(gan, loss="minimax"), GAN_EPOCHS),
        {},
        f"GAN, minimax, {STACK}, optimizers as gan",
        {"cpu": "9 min"},
        FIGURES,
    ),
    Experiment(
        "wgan",
        "Table 1, figures 2 to 5, equation 5",
        experiment(wgan, WGAN_EPOCHS, CRITIC_STEPS),
        {"entropy": 2.280, "iterations": "1000k"},
        f"WGAN, weights clipped at {CLIP}, {CRITIC_STEPS} steps of the critic, {STACK}, RMSprop "
        "from 5e-4 to 0 along a cosine",
        {"cpu": "4 min"},
        FIGURES,
    ),
    Experiment(
        "vae",
        "Table 1, figures 4 and 5, equation 6",
        experiment(vae, VAE_EPOCHS),
        {"entropy": 2.266},
        f"VAE, Gaussian likelihood of scale {SCALE}, {STACK}, Adam 1e-3",
        {"cpu": "2 min"},
        FIGURES,
    ),
    vae_gan_experiment(
        "vae-gan", "Table 1, figures 4, 5, 7 and 8", 0.3, "13 min", {"entropy": 2.263}
    ),
    vae_gan_experiment("vae-gan-weight-1", "beside: equations 6 and 7 as printed", 1.0, "11 min"),
    vae_gan_experiment("vae-gan-weight-5", "beside: lambda 5 without bound", 5.0, "15 min"),
    constrained(4, 1, "6 min"),
    constrained(2, 5, "16 min"),
    constrained(2, 1, "15 min", dual_rate=0.01),
]
TABLE_1 = ("gan", "wgan", "vae", "vae-gan")
SECTION_4 = (
    "vae-gan",
    "vae-gan-weight-1",
    "vae-gan-weight-5",
    "constrained-d4-lambda1",
    "constrained-d2-lambda5",
    "constrained-dual",
)

EXPERIMENTS = [
    Experiment(
        "real",
        "beside: the test images",
        real_images,
        {"classifier_accuracy": 0.954},
        "784-128-10, trained on the training images",
        {"cpu": "1 min"},
        ("samples.png",),
    ),
    *TRAINED,
    Experiment(
        "comparison",
        "Figures 2 to 5, 7 and 8; section 4.2",
        comparison,
        {},
        f"share of images whose entropy is below {LOW_ENTROPY} nats, minus that of vae-gan, "
        "10,000 samples each, Newcombe's 95 % interval",
        {"cpu": "seconds after the others"},
        tuple(f"figure_{number}.png" for number in (2, 3, 4, 5, 7, 8)),
    ),
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 42, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
