"""Eq. 26 of Su (2018): the generator is held near what it was a step before. Figures 1 and 2."""

import keras
import numpy as np
import paper_script
from paper_figures import tiled
from paper_script import Experiment
from su_scores import NUM_SCORED, PIXELS, Judge, load_images

from tfgen import models, networks, plotting

COLLAPSED_ENTROPY = 0.65  # Of that of real images: 1.5 nats of ln 10.
COLLAPSED_FRECHET = 2.0  # Times the lowest before.
LATENT_DIM = 100
WIDTH = {"paper": 64, "cpu": 16, "smoke": 4}
BATCH_SIZE = {"paper": 64, "cpu": 32, "smoke": 32}
PROXIMITY = {"baseline": 0.0, "proximity": 5.0}
WHOLE = {"paper": "train", "cpu": "train", "smoke": "train"}


def gan(run, image_shape, weight, settings):
    """DCGAN whose generator steps on one z, from the second time on with the term or not."""
    width, batch_norm = run.pick(**WIDTH), settings["batch_norm"]
    return models.GAN(
        networks.dcgan_generator(image_shape, LATENT_DIM, width, batch_norm),
        networks.dcgan_discriminator(image_shape, width, batch_norm),
        proximity=weight,
        discriminator_steps=settings["discriminator_steps"],
        generator_steps=settings["generator_steps"],
        seed=run.seed,
    )


class Checks(keras.callbacks.Callback):
    """Keeps samples of the same latents every so many iterations, as 8-bit pixels."""

    def __init__(self, run, every):
        super().__init__()
        self.folder, self.every, self.seen = run.folder / "checks", every, 0
        self.num_samples = run.pick(**NUM_SCORED)

    def on_epoch_begin(self, epoch, logs=None):
        self.seen = int(self.model.steps)
        if self.seen == 0:
            self.keep()

    def on_train_batch_end(self, batch, logs=None):
        before, self.seen = self.seen, int(self.model.steps)
        if self.seen // self.every > before // self.every:
            self.keep()

    def keep(self):
        self.folder.mkdir(exist_ok=True)
        samples = to_bytes(self.model.sample(self.num_samples, seed=0))
        np.save(self.folder / f"{self.seen:07d}.npy", samples)

    def load(self):
        """Iterations and samples of all checks, in order."""
        for path in sorted(self.folder.glob("*.npy")):
            yield int(path.stem), to_pixels(np.load(path))


def to_bytes(images):
    return np.uint8(np.round(np.clip((np.asarray(images) + 1) * 127.5, 0, 255)))


def to_pixels(images):
    return images.astype("float32") / 127.5 - 1


def train_gan(run, weight, settings, judge):
    """Trains one GAN and scores it: dict of lists, one value a check; and whether it diverged."""
    run.folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(run.seed)  # Both begin with the same weights.
    size = image_size(run)
    batch_size = run.pick(**BATCH_SIZE) * settings["discriminator_steps"]
    split = run.pick(**settings["split"])
    data, info = load_images(run, split, batch_size, size, drop_remainder=True)
    model = gan(run, info.image_shape, weight, settings)
    model.compile(keras.optimizers.Adam(settings["learning_rate"], beta_1=0.5))
    checks = Checks(run, run.pick(**settings["every"]))
    diverged = 0.0
    try:
        epochs = run.pick(**settings["epochs"])
        paper_script.fit_in_lines(model, data, run, epochs, callbacks=[checks])
    except FloatingPointError as error:
        print(f"  {run.folder.name}: {error}")
        diverged = 1.0
    model.save(run.folder / "model.keras")
    scores = [{"iteration": n, **judge.scores(samples)} for n, samples in checks.load()]
    paper_script.write_json(run.folder / "scores.json", scores)
    scores = {name: [check[name] for check in scores] for name in scores[0]}
    return scores, {"diverged": diverged, "iterations": float(model.steps)}


def image_size(run):
    """Fashion-MNIST and MNIST at 32 pixels, faces and digits at their own size."""
    return 32 if run.args.dataset in ("fashion_mnist", "mnist") else None


def collapsed_checks(scores, real_entropy):
    """Which checks after the start are collapsed, as the head of this script defines it."""
    entropies, distances = np.array(scores["class_entropy"]), np.array(scores["frechet"])
    diverse = entropies >= COLLAPSED_ENTROPY * real_entropy
    start = int(np.argmax(diverse)) if diverse.any() else len(diverse)
    lowest = np.minimum.accumulate(distances[start:])
    worse = distances[start:] > COLLAPSED_FRECHET * lowest
    return np.concatenate([np.zeros(start, bool), worse | ~diverse[start:]])


def summary(scores, real_entropy):
    """What the table shows of one training."""
    collapsed = collapsed_checks(scores, real_entropy)
    diverse = np.array(scores["class_entropy"]) >= COLLAPSED_ENTROPY * real_entropy
    return {
        "started": float(diverse.any()),
        "collapsed": float(collapsed.any()),
        "collapsed_share_of_checks": float(collapsed.mean()),
        "collapsed_at_end": float(collapsed[-1]),
        "final_class_entropy": scores["class_entropy"][-1],
        "lowest_frechet": min(scores["frechet"]),
        "final_frechet": scores["frechet"][-1],
        "mean_frechet": float(np.mean(scores["frechet"][1:])),
    }


def proximity_experiment(**settings):
    """One GAN without and one with the term, by the same checks."""

    def experiment(run):
        judge = Judge(run, image_size(run))
        scores, values = {}, {}
        for kind, weight in PROXIMITY.items():
            part = run._replace(folder=run.folder / kind)
            scores[kind], facts = train_gan(part, weight, settings, judge)
            facts |= summary(scores[kind], judge.real["class_entropy"])
            values |= {f"{kind}_{name}": value for name, value in facts.items()}
        run.draw("scores", figure_of_scores(scores, judge.real))
        run.draw("samples", figure_of_stages(run))
        return values | judge.facts()

    return experiment


def figure_of_scores(scores, real):
    """Class entropy and Frechet distance over the iterations; grey is real data."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    names = {"class_entropy": "class entropy, nats", "frechet": "Frechet distance, features"}
    for ax, (name, label) in zip(axes, names.items(), strict=True):
        for kind, values in scores.items():
            ax.plot(values["iteration"], values[name], ".-", label=kind)
        ax.axhline(real[name], color="grey", label="real data")
        ax.set(xlabel="iterations", ylabel=label)
        ax.grid(alpha=0.3)
    axes[0].axhline(
        COLLAPSED_ENTROPY * real["class_entropy"], color="grey", ls=":", label="collapse"
    )
    axes[1].set_yscale("log")
    axes[0].legend(fontsize=8)
    return fig


def figure_of_stages(run):
    """64 samples at four stages: above without the term, below with it, as in Figure 1."""
    rows, columns = [], []
    for kind in PROXIMITY:
        checks = list(Checks(run._replace(folder=run.folder / kind), 1).load())
        picked = [checks[round(i)] for i in np.linspace(1, len(checks) - 1, 4)]
        rows += [tiled(samples[:64]) for _, samples in picked]
        columns = [f"iteration {iteration}" for iteration, _ in picked]
    fig, _ = plotting.image_grid(
        np.stack(rows),
        columns=4,
        value_range=PIXELS,
        row_labels=list(PROXIMITY),
        column_labels=columns,
    )
    return fig


DCGAN = "DCGAN, z 100, Adam (0.5, 0.999), lambda 5 on the mean square, or 0"
PROXIMITY_FIGURES = ("scores.png", "samples.png")

PROXIMITIES = [
    Experiment(
        "proximity",
        "Eq. 26, Figure 1",
        proximity_experiment(
            batch_norm=True,
            discriminator_steps=1,
            generator_steps=2,
            learning_rate=2e-4,
            split=WHOLE,
            epochs={"paper": 50, "cpu": 1, "smoke": 1},
            every={"paper": 2000, "cpu": 256, "smoke": 20},
        ),
        {},
        f"{DCGAN}; batch normalization, discriminator once, generator twice, learning rate 2e-4",
        figures=PROXIMITY_FIGURES,
    ),
    Experiment(
        "proximity-no-bn",
        "Eq. 26, Figure 2",
        proximity_experiment(
            batch_norm=False,
            discriminator_steps=5,
            generator_steps=5,
            learning_rate=2e-4,
            split=WHOLE,
            epochs={"paper": 50, "cpu": 2, "smoke": 2},
            every={"paper": 500, "cpu": 96, "smoke": 4},
        ),
        {},
        f"{DCGAN}; no batch normalization, 5 steps of both, learning rate 2e-4",
        figures=PROXIMITY_FIGURES,
    ),
    Experiment(
        "proximity-harsh",
        "beside: a setting that is unstable",
        proximity_experiment(
            batch_norm=False,
            discriminator_steps=1,
            generator_steps=2,
            learning_rate=5e-3,
            split={**WHOLE, "cpu": "train[:24576]"},
            epochs={"paper": 50, "cpu": 1, "smoke": 1},
            every={"paper": 500, "cpu": 128, "smoke": 20},
        ),
        {},
        f"{DCGAN}; no batch normalization, discriminator once, generator twice, learning rate 5e-3",
        figures=PROXIMITY_FIGURES,
    ),
]
