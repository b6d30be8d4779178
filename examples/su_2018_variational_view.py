"""Su, "Variational Inference: A Unified Framework of Generative Models" (2018): EM, GANs, AAE, ALI

    python examples/su_2018_variational_view.py --list
    python examples/su_2018_variational_view.py --run proximity --seeds 3 --scale cpu
    python examples/su_2018_variational_view.py --dataset mnist --run aae ali-variational
    python examples/su_2018_variational_view.py --dataset mnist --run em-gaussian --scale cpu
    python examples/su_2018_variational_view.py --smoke

J. Su, arXiv:1807.05936v4. `proximity`, `proximity-no-bn` and `proximity-harsh` train a DCGAN twice,
without and with the term of Eq. 26 (Figures 1 and 2), from the same weights on the same batches; a
classifier scores samples of both during training. `aae` and the four `ali-...` set Eq. 34, Eq. 41
to 43 and the whole Eq. 40 side by side. `em-gaussian`, `em-bernoulli` and `em-digits`, which is of
digits whatever --dataset says, are mixtures fitted by EM, Eq. 8 and 11, on whole epochs and
stepwise, Gaussian ones beside scikit-learn's from the same start; `log_likelihood` in nats per
example.

Scores: `class_entropy` in nats, of the classifier's classes; `frechet` and `mmd_1e4` in its
features, the latter times 1e4 (Gaussian kernels of 1/4 to 4 times the median distance of real
images, unbiased); `reconstruction_mse` per pixel, intensities in [0, 1]. As many samples as test
images are compared, and beside them, `real_...`, as many other test images.

Collapsed is a check whose class entropy is under 65 % of real images' (1.5 nats of ln 10), or whose
Frechet distance is more than twice the lowest before it; checks before the class entropy first
reaches that bound do not count. A loss or weight that becomes NaN ends a run: diverged.

Each experiment writes its figures, its models and result.json into --output-dir; results.json and
report.md gather them. A killed run goes on where it stopped.
"""

import functools
import time
import warnings

import keras
import numpy as np
import paper_script
import tensorflow as tf
from paper_script import Experiment
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from tfgen import datasets, layers, metrics, models, networks, plotting
from tfgen.models.mixture_em import MixtureEM
from tfgen.plotting.components import mixture_components

PIXELS = (-1.0, 1.0)
NUM_SCORED = {"paper": 5_000, "cpu": 2_000, "smoke": 150}
COLLAPSED_ENTROPY = 0.65  # Of that of real images: 1.5 nats of ln 10.
COLLAPSED_FRECHET = 2.0  # Times the lowest before.


def load(run, split, batch_size=1000, image_size=None, **options):
    """Images in [-1, 1], and the description of the data."""
    return datasets.load(
        run.args.dataset,
        split,
        batch_size,
        value_range=PIXELS,
        image_size=image_size,
        data_dir=run.args.data_dir,
        seed=run.seed,
        **options,
    )


def in_memory(run, split, image_size):
    """Images and classes of a split, as arrays; of CelebA part of them."""
    if run.args.dataset == "celeb_a":
        split = {"train": "train[:40000]", "test": "test[:10000]"}[split]
    batches = load(run, split, image_size=image_size, labels=True, shuffle=False)[0]
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), classes(np.concatenate(labels))


def classes(labels):
    """Classes; of the 40 attributes of a face, the four of "Male" and "Smiling"."""
    return labels if labels.ndim == 1 else 2 * labels[:, MALE] + labels[:, SMILING]


MALE, SMILING = 20, 31  # Of CelebA's attributes in alphabetical order.


# Eq. 26: the generator is held near what it was a step before. Figures 1 and 2.

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
    data, info = load(run, run.pick(**settings["split"]), batch_size, size, drop_remainder=True)
    model = gan(run, info.image_shape, weight, settings)
    model.compile(keras.optimizers.Adam(settings["learning_rate"], beta_1=0.5))
    checks = Checks(run, run.pick(**settings["every"]))
    diverged = 0.0
    try:
        epochs = run.pick(**settings["epochs"])
        paper_script.fit_resumable(model, data, run, epochs, callbacks=[checks])
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
        paper_script.save_figure(figure_of_scores(scores, judge.real), run.folder / "scores.png")
        paper_script.save_figure(figure_of_stages(run), run.folder / "samples.png")
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
        rows += [tile(samples[:64]) for _, samples in picked]
        columns = [f"iteration {iteration}" for iteration, _ in picked]
    fig, _ = plotting.image_grid(
        np.stack(rows),
        columns=4,
        value_range=PIXELS,
        row_labels=list(PROXIMITY),
        column_labels=columns,
    )
    return fig


def tile(images):
    """64 images as one of 8 x 8."""
    _, height, width, channels = images.shape
    grid = np.reshape(images, (8, 8, height, width, channels)).swapaxes(1, 2)
    return grid.reshape(8 * height, 8 * width, channels)


# Eq. 30 to 34 and 38 to 43: AAE and ALI.

CODE_DIM = 20
EPOCHS = {"paper": 100, "cpu": 8, "smoke": 2}

HIDDEN = {"paper": 512, "cpu": 512, "smoke": 32}
UNITS = {
    **dict.fromkeys(["autoencoder_loss", "encoder_loss"], "adversarial loss"),
    **dict.fromkeys(["discriminator_loss", "code_discriminator_loss"], "adversarial loss"),
    **dict.fromkeys(["encoded_logits", "generated_logits"], "logits"),
    "reconstruction": "squared error",
    "code_nll": "nats per example",
}


def aae(run, shape):
    """Eq. 30 and 34; the encoder is deterministic (Eq. 27)."""
    width = run.pick(**HIDDEN)
    return models.AAE(
        networks.mlp_encoder(shape, CODE_DIM, head=None, width=width),
        networks.mlp_generator(shape, CODE_DIM, (width, width), dropout=0.0),
        networks.mlp_code_discriminator(CODE_DIM, width),
        reconstruction_weight=0.02,
        seed=run.seed,
    )


def ali(run, shape, objective, cls=models.ALI):
    """Eq. 38 and one of Eq. 41 to 43; p(z|x) is Gaussian, q(x|z) a point, the decoder's image."""
    width = run.pick(**HIDDEN)
    return cls(
        networks.mlp_encoder(shape, CODE_DIM, layers.IndependentNormal, width=width),
        networks.mlp_generator(shape, CODE_DIM, (width, width), dropout=0.0),
        networks.joint_discriminator(shape, CODE_DIM, (width, width)),
        objective=objective,
        seed=run.seed,
    )


@keras.saving.register_keras_serializable("su_2018")
class WholeALI(models.ALI):
    """ALI that minimises Eq. 40: to Eq. 41 it adds -log p(z|x) of pairs x = G(z), z.

    Of the last two terms of Eq. 40 the first is 0 and without gradient where the decoder is what
    it was; of the second only the encoder has a gradient there, that of -log p(z|x).
    """

    def terms(self, x, training=True):
        terms = super().terms(x, training)
        z = self.sample_latents(tf.shape(x)[0], self.next_seed(training))
        generated = tf.stop_gradient(self.decoder(z, training=training))
        code_nll = -self.encoder(generated, training=training).log_prob(z)
        whole = terms["autoencoder_loss"] + code_nll
        return {**terms, "autoencoder_loss": whole, "code_nll": code_nll}


def inference_experiment(build):
    """Trains a model with encoder and decoder, and scores samples, reconstructions and codes."""

    def experiment(run):
        data, info = load(run, "train", 128, drop_remainder=True)
        model = build(run, info.image_shape)
        model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
        history = paper_script.fit_resumable(model, data, run, run.pick(**EPOCHS))
        history.pop("seconds")
        model.save(run.folder / "model.keras")
        fig, _ = plotting.training_curves(history, UNITS)
        paper_script.save_figure(fig, run.folder / "curves.png")
        judge = Judge(run)
        draw_figures(model, judge.images, run)
        return {
            **sample_scores(model, judge),
            **reconstruction_scores(model, judge),
            **judge.facts(),
            "real_mmd_1e4": judge.real_mmd,
        }

    return experiment


def sample_scores(model, judge):
    """Scores of samples, as many as there are test images beside them."""
    samples = model.sample(len(judge.images), seed=0)
    return {**judge.scores(samples), "mmd_1e4": judge.squared_mmd(samples)}


def reconstruction_scores(model, judge):
    """How near x and G(E(x)) are, in pixels and in class, and codes E(x) and draws of p(z)."""
    x = judge.images
    codes = np.asarray(tf.convert_to_tensor(model.encode(x)))
    latents = np.asarray(model.sample_latents(len(x), seed=[1, 0]))
    reconstructed = np.asarray(model.reconstruct(x))
    agree = judge.outputs(x)[1].argmax(1) == judge.outputs(reconstructed)[1].argmax(1)
    return {
        "reconstruction_mse": float(np.mean((x - reconstructed) ** 2) / 4),
        "reconstruction_same_class": float(np.mean(agree)),
        "code_mmd_1e4": 1e4 * metrics.squared_mmd(latents, codes),
    }


def draw_figures(model, x, run):
    """Samples, reconstructions and interpolations between images."""
    figures = {
        "samples": plotting.samples(model, value_range=PIXELS),
        "reconstructions": plotting.reconstructions(model, x[:10], value_range=PIXELS),
        "interpolations": plotting.interpolations(model, x[:6], x[6:12], value_range=PIXELS),
    }
    for name, (fig, _) in figures.items():
        paper_script.save_figure(fig, run.folder / f"{name}.png")


# Eq. 8 and 11: EM.

EM_EPOCHS = {"paper": 100, "cpu": 20, "smoke": 3}
EM_KINDS = {"EM": None, "stepwise EM": 0.7}
SKLEARN_COVARIANCES = {"full": "full", "diagonal": "diag"}
NUM_COMPONENTS = {"full": 5, "diagonal": 20, "bernoulli": 20}
EM_SPLITS = {"paper": "train", "cpu": "train[:20000]", "smoke": "train"}
# Width of the noise on intensities, with which no pixel is constant: `reg_covar` can be 0.
NOISE = 0.25


def em_data(run, split, components):
    """Batches of images in [0, 1], the same ones in each epoch, binarized or with noise."""
    dataset = "digits" if components == "full" else run.args.dataset
    if dataset != "digits" and split == "train":
        split = run.pick(**EM_SPLITS)
    options = {"batch_size": 100 if dataset == "digits" else 500, "seed": run.seed}
    source = {"split": split, "data_dir": run.args.data_dir, **options}
    if components == "bernoulli":
        return datasets.load(dataset, binarize="fixed", **source)
    batches = datasets.load(dataset, shuffle=False, **source)[0]
    return datasets.load(noisy(np.concatenate(list(batches)), split), **options)


def noisy(images, split):
    """Intensities with uniform noise, drawn once, mapped to [0, 1] again."""
    noise = np.random.default_rng(split == "test").uniform(size=images.shape)
    return ((images + NOISE * noise) / (1 + NOISE)).astype("float32")


def em_mixture(run, components, shape, kappa=None):
    return MixtureEM(
        NUM_COMPONENTS[components],
        shape,
        components,
        reg_covar=0.0,
        min_probability=0.001,
        kappa=kappa,
        seed=run.seed,
    )


def em_start(model, train):
    """Parameters by k-means of 10,000 images."""
    model.initialize(train)
    weights, means = model.mixture_weights.numpy(), model.means.numpy()
    return {"weights": weights, "means": means, "covariances": model.covariances}


def em_experiment(components):
    """EM on whole epochs and stepwise, and scikit-learn's, all from the same start."""

    def experiment(run):
        (train, info), (test, _) = (em_data(run, split, components) for split in ("train", "test"))
        start = em_start(em_mixture(run, components, info.image_shape), train)
        epochs = run.pick(**EM_EPOCHS)
        values, curves = {}, {}
        for kind, kappa in EM_KINDS.items():
            part = run._replace(folder=run.folder / kind.replace(" ", "_"))
            part.folder.mkdir(exist_ok=True)
            model = em_mixture(run, components, info.image_shape, kappa)
            model.set_parameters(**start)
            curves[kind] = paper_script.fit_resumable(model, train, part, epochs, test)
            model.save(part.folder / "model.keras")
            fig, _ = mixture_components(model)
            paper_script.save_figure(fig, part.folder / "components.png")
            values |= em_values(kind.replace(" ", "_"), model, curves[kind], train, test)
        if components in SKLEARN_COVARIANCES:
            curves["scikit-learn"], facts = sklearn_curve(train, components, start, epochs)
            ours = np.array(curves["EM"]["log_likelihood"])
            gap = np.abs(ours - curves["scikit-learn"]["log_likelihood"])
            values |= {**facts, "largest_difference_to_scikit_learn": float(np.max(gap))}
        paper_script.write_json(run.folder / "curves.json", curves)
        paper_script.save_figure(figure_of_em(curves), run.folder / "likelihood.png")
        return values

    return experiment


def em_values(kind, model, curve, train, test):
    """Log-likelihoods of the last parameters, and what the curve shows."""
    rises = np.diff(curve["log_likelihood"])
    return {
        f"{kind}_train_log_likelihood": model.evaluate(train, verbose=0, return_dict=True)[
            "log_likelihood"
        ],
        f"{kind}_test_log_likelihood": curve["val_log_likelihood"][-1],
        f"{kind}_largest_fall": float(max(0.0, -np.min(rises))),
        f"{kind}_least_weight": float(np.min(model.mixture_weights)),
        f"{kind}_seconds_per_epoch": float(np.mean(curve["seconds"])),
    }


def sklearn_curve(train, components, start, num_epochs):
    """Mean log p(x) before each M step of scikit-learn's `GaussianMixture`."""
    x = np.concatenate([np.reshape(batch, (len(batch), -1)) for batch in train.as_numpy_iterator()])
    means, covariances = start["means"], start["covariances"]
    mixture = GaussianMixture(
        len(means),
        covariance_type=SKLEARN_COVARIANCES[components],
        reg_covar=0.0,
        weights_init=start["weights"],
        means_init=means.reshape(len(means), -1),
        precisions_init=np.linalg.inv(covariances) if components == "full" else 1 / covariances,
        tol=0,
        max_iter=1,
        warm_start=True,
    )
    curve, begin = [], time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # Of each single step.
        for _ in range(num_epochs):
            curve.append(float(mixture.fit(x.astype("float64")).lower_bound_))
    seconds = (time.perf_counter() - begin) / num_epochs
    largest_fall = float(max(0.0, -np.min(np.diff(curve))))
    facts = {"largest_fall": largest_fall, "seconds_per_epoch": seconds}
    facts = {f"scikit_learn_{name}": value for name, value in facts.items()}
    return {"log_likelihood": curve}, facts


def figure_of_em(curves):
    """Log-likelihood of training and test images over the epochs."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    titles = {"log_likelihood": "training images", "val_log_likelihood": "test images"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for kind, curve in curves.items():
            epochs = 1 + np.arange(len(curve["log_likelihood"]))
            style = "k:" if kind == "scikit-learn" else "-"
            if name in curve:
                ax.plot(epochs, curve[name], style, label=kind, zorder=3 if style == "k:" else 2)
        ax.set(xlabel="epoch", title=title)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("log-likelihood, nats per image")
    axes[0].legend(fontsize=8)
    return fig


# What scores the samples.


class Judge:
    """A classifier of the data at hand, test images, and the scores of images beside them.

    `real` has the scores of other test images, of as many as are taken of a model's samples.
    """

    def __init__(self, run, size=None):
        self.classifier = classifier(run, size)
        images, labels = in_memory(run, "test", size)
        half = min(run.pick(**NUM_SCORED), len(images) // 2)
        self.images, others = images[:half], images[half : 2 * half]
        self.features, probabilities = self.outputs(self.images)
        self.accuracy = float(np.mean(probabilities.argmax(1) == labels[:half]))
        self.real = self.scores(others)
        self.real_mmd = self.squared_mmd(others)

    def outputs(self, images):
        """Features and class probabilities."""
        images = np.clip(images, *PIXELS)
        return metrics.classifier_outputs(self.classifier, images, batch_size=500)

    def scores(self, images):
        """Of as many images as `self.images`."""
        features, probabilities = self.outputs(images)
        return {
            "class_entropy": metrics.class_entropy(probabilities),
            "frechet": metrics.frechet_distance(self.features, features),
        }

    def squared_mmd(self, images):
        """Unbiased, Gaussian kernels of 1/4 to 4 times the median distance of real features."""
        return 1e4 * metrics.squared_mmd(self.features, self.outputs(images).features)

    def facts(self):
        """What the scores are for real images, and how good the classifier is."""
        real = {f"real_{name}": value for name, value in self.real.items()}
        return {**real, "classifier_accuracy": self.accuracy}


def classifier(run, size):
    """Trained once for a data set, on its training images."""
    return metrics.classifier(
        *in_memory(run, "train", size),
        kind="conv",
        value_range=PIXELS,
        steps=run.pick(paper=2500, cpu=400, smoke=50),
        cache_dir=run.args.output_dir,
        verbose=False,
    )


DCGAN = "DCGAN, z 100, Adam (0.5, 0.999), lambda 5 on the mean square, or 0"
MLP = "MLPs of 512-512, z 20, batch 128, Adam 2e-4 (0.5, 0.999), last weights"
PROXIMITY_FIGURES = ("scores.png", "samples.png")
EM_FIGURES = ("EM/components.png", "stepwise_EM/components.png", "likelihood.png")
INFERENCE_FIGURES = ("samples.png", "reconstructions.png", "interpolations.png", "curves.png")

# Times of one seed, processor time of one core.
EXPERIMENTS = [
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
        {"cpu": "3 min"},
        PROXIMITY_FIGURES,
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
        {},
        PROXIMITY_FIGURES,
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
        {"cpu": "90 s"},
        PROXIMITY_FIGURES,
    ),
    Experiment(
        "aae",
        "Eq. 30 to 34",
        inference_experiment(aae),
        {},
        f"AAE, {MLP}; lambda 0.02 on the squared error summed over pixels in [-1, 1]",
        {"cpu": "2 min"},
        INFERENCE_FIGURES,
    ),
    *(
        Experiment(
            f"ali-{objective.replace('_', '-')}",
            f"Eq. {equation}",
            inference_experiment(functools.partial(ali, objective=objective)),
            {},
            f"ALI, {MLP}, dropout 0.3 in the discriminator",
            {},
            INFERENCE_FIGURES,
        )
        for objective, equation in (("variational", 41), ("minimax", 42), ("non_saturating", 43))
    ),
    Experiment(
        "ali-whole",
        "Eq. 40",
        inference_experiment(functools.partial(ali, objective="variational", cls=WholeALI)),
        {},
        f"as ali-variational, with the term of Eq. 40 that Eq. 41 leaves out: {MLP}",
        {},
        INFERENCE_FIGURES,
    ),
    *(
        Experiment(
            f"em-{name}",
            "Eq. 8 and 11",
            em_experiment(components),
            {},
            f"{what}; stepwise EM with kappa 0.7",
            {},
            EM_FIGURES,
        )
        for name, components, what in (
            ("gaussian", "diagonal", "20 Gaussians, diagonal covariances, on pixels with noise"),
            (
                "bernoulli",
                "bernoulli",
                "20 Bernoullis, probabilities 0.001 to 0.999, pixels drawn once",
            ),
            (
                "digits",
                "full",
                "digits with noise, 5 Gaussians, full covariances",
            ),
        )
    ),
]


def main(argv=None):
    known = ["fashion_mnist", "mnist", "celeb_a", "digits"]
    paper_script.main(__doc__, EXPERIMENTS, 0, known, argv)


if __name__ == "__main__":
    main()
