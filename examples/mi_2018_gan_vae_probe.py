"""Mi, Shen & Zhang, "A Probe Towards Understanding GAN and VAE Models" (2018), on MNIST

    python examples/mi_2018_gan_vae_probe.py --list
    python examples/mi_2018_gan_vae_probe.py --data-dir ~/tensorflow_datasets
    python examples/mi_2018_gan_vae_probe.py --run gan wgan comparison --seeds 3
    python examples/mi_2018_gan_vae_probe.py --scale paper
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

import functools
import math

import _start  # noqa: F401
import keras
import mi_figures
import numpy as np
import paper_script
from paper_script import Experiment
from scipy import stats

from tfgen import layers, metrics, models, networks, plotting

BATCH_SIZE = 32
LATENT_DIM = 100
WIDTHS = (392, 196, 98)
SCALE = 0.3
CLIP = 0.05
CRITIC_STEPS = 5
LOW_ENTROPY = 0.1
LOGITS = dict.fromkeys(["real_logits", "fake_logits"], "mean logit")


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
        rows = [row for row in mi_figures.read_curve(self.path) if row[0] <= self.done]
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


def classifier(run):
    """The two-layer classifier of section 3.2, from images to probabilities; trained once."""
    train, _ = run.load("train", labels=True)
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
        data, info = run.load("train", batch_size, drop_remainder=True)
        classify = classifier(run)
        num_epochs = run.pick(**epochs)
        iterations = num_epochs * int(data.cardinality())
        model = build(info.image_shape, run.seed, iterations)
        curve = EntropyCurve(run, classify, iterations)
        options = {"callbacks": [curve], "units": LOGITS}
        history, times = paper_script.train(model, run, data, num_epochs, **options)
        run.draw("entropy", mi_figures.entropies([run.folder]))
        return {
            **judge(model, run, classify),
            "iterations": int(model.steps),
            "seconds": times["seconds"],
            **{name: values[-1] for name, values in history.items()},
        }

    return train_and_judge


def judge(model, run, classify):
    """Scores of 10,000 samples, which are kept with their class probabilities."""
    images = model.sample(run.pick(10_000, 10_000, 200), seed=1).numpy()
    return keep_and_score(run, images, classify(images))


def keep_and_score(run, images, probabilities):
    """Writes samples.npz and samples.png, the first 20 images with their predicted digits."""
    np.savez(run.folder / "samples.npz", images=images[:20], probabilities=probabilities)
    titles = mi_figures.digits(probabilities[:20])
    run.draw("samples", plotting.image_grid(images[:20], 10, titles=titles))
    return scores(probabilities)


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
    test, _ = run.load("test", labels=True)
    images, labels = (np.concatenate(part) for part in zip(*test, strict=True))
    probabilities = classifier(run)(images)
    return {
        **keep_and_score(run, images, probabilities),
        "classifier_accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
    }


# Figures 2 to 5 and 8, and the difference of section 4.2.


def comparison(run):
    """Puts the runs of one seed side by side; those that are missing are trained first."""
    folders = {e.name: run.of(e.name).folder for e in TRAINED}
    for e in TRAINED:
        paper_script.measure(e, run.of(e.name))
    samples = {name: dict(np.load(folder / "samples.npz")) for name, folder in folders.items()}
    table_1, section_4 = ({n: samples[n] for n in names} for names in (TABLE_1, SECTION_4))
    adversarial = [folders["gan"], folders["wgan"]]
    run.draw("figure_2", mi_figures.stages(adversarial))
    run.draw("figure_3", mi_figures.entropies(adversarial))
    run.draw("figure_4", mi_figures.samples(table_1))
    run.draw("figure_5", mi_figures.image_entropies(table_1))
    run.draw("figure_7", mi_figures.samples(section_4))
    run.draw("figure_8", mi_figures.histogram(section_4))
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


STACK = "784-392-196-98, ReLU, 100 latents, pixels in [0, 1], batch 32"
FIGURES = ("samples.png", "entropy.png", "curves.png")
# An epoch is 60,000 images: 1875 iterations, 375 of WGAN. The paper trains the first two for 1000k.
GAN_EPOCHS = {"paper": 534, "cpu": 10, "smoke": 2}
WGAN_EPOCHS = {"paper": 2667, "cpu": 16, "smoke": 2}
VAE_EPOCHS = {"paper": 100, "cpu": 10, "smoke": 2}
VAE_GAN_EPOCHS = {"paper": 100, "cpu": 6, "smoke": 2}


def vae_gan_experiment(name, stands_for, weight, paper=None):
    """L_vae + weight L_gan; the likelihood's scale leaves the weight open."""
    return Experiment(
        name,
        stands_for,
        experiment(functools.partial(vae_gan, gan_weight=weight), VAE_GAN_EPOCHS),
        paper or {},
        f"VAE-GAN in pixels, Gaussian likelihood of scale {SCALE}, adversarial loss of weight "
        f"{weight:g}, {STACK}, Adam 1e-3, discriminator 1e-4 (0.5)",
        figures=FIGURES,
    )


def constrained(bound, multiplier, dual_rate=0.0):
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
        figures=FIGURES,
    )


TRAINED = [
    Experiment(
        "gan",
        "Table 1, figures 2 to 5, equation 2",
        experiment(gan, GAN_EPOCHS),
        {"entropy": 0.0, "iterations": "1000k"},
        f"GAN, non-saturating, {STACK}, Adam 2e-4 (0.5)",
        figures=FIGURES,
    ),
    Experiment(
        "gan-minimax",
        "beside: equation 1",
        experiment(functools.partial(gan, loss="minimax"), GAN_EPOCHS),
        {},
        f"GAN, minimax, {STACK}, optimizers as gan",
        figures=FIGURES,
    ),
    Experiment(
        "wgan",
        "Table 1, figures 2 to 5, equation 5",
        experiment(wgan, WGAN_EPOCHS, CRITIC_STEPS),
        {"entropy": 2.280, "iterations": "1000k"},
        f"WGAN, weights clipped at {CLIP}, {CRITIC_STEPS} steps of the critic, {STACK}, RMSprop "
        "from 5e-4 to 0 along a cosine",
        figures=FIGURES,
    ),
    Experiment(
        "vae",
        "Table 1, figures 4 and 5, equation 6",
        experiment(vae, VAE_EPOCHS),
        {"entropy": 2.266},
        f"VAE, Gaussian likelihood of scale {SCALE}, {STACK}, Adam 1e-3",
        figures=FIGURES,
    ),
    vae_gan_experiment("vae-gan", "Table 1, figures 4, 5, 7 and 8", 0.3, {"entropy": 2.263}),
    vae_gan_experiment("vae-gan-weight-1", "beside: equations 6 and 7 as printed", 1.0),
    vae_gan_experiment("vae-gan-weight-5", "beside: lambda 5 without bound", 5.0),
    constrained(4, 1),
    constrained(2, 5),
    constrained(2, 1, dual_rate=0.01),
]
TABLE_1 = ("gan", "wgan", "vae", "vae-gan")
SECTION_4 = (
    *("vae-gan", "vae-gan-weight-1", "vae-gan-weight-5"),
    *("constrained-d4-lambda1", "constrained-d2-lambda5", "constrained-dual"),
)

EXPERIMENTS = [
    Experiment(
        "real",
        "beside: the test images",
        real_images,
        {"classifier_accuracy": 0.954},
        "784-128-10, trained on the training images",
        figures=("samples.png",),
    ),
    *TRAINED,
    Experiment(
        "comparison",
        "Figures 2 to 5, 7 and 8; section 4.2",
        comparison,
        {},
        f"share of images whose entropy is below {LOW_ENTROPY} nats, minus that of vae-gan, "
        "10,000 samples each, Newcombe's 95 % interval",
        figures=tuple(f"figure_{number}.png" for number in (2, 3, 4, 5, 7, 8)),
    ),
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 42, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
