"""Soons, "Deep Learning practical 3" (2020): VAEs, a GAN and normalizing flows on MNIST

    python examples/soons_2020_vae_gan_flow.py --list
    python examples/soons_2020_vae_gan_flow.py --data-dir ~/tensorflow_datasets
    python examples/soons_2020_vae_gan_flow.py --run vae-mlp --seeds 3
    python examples/soons_2020_vae_gan_flow.py --run flow-uniform flow-variational flow-gap \
        --dataset digits --scale cpu --seeds 3
    python examples/soons_2020_vae_gan_flow.py --smoke

The report answers the assignment of the UvA Deep Learning course. The VAEs' pixels are binarized at
0.5, those of the GAN lie in [-1, 1], those of the flows are the whole numbers 0 to 255 (digits: 0
to 16). All 60,000 training images train. Nothing is selected: the
test set is evaluated after each epoch for the curves, and the last epoch counts. Each experiment
writes its figures, its model and result.json into --output-dir; results.json and report.md gather
them. A killed run goes on where it stopped.
"""

import functools

import keras
import numpy as np
import paper_script
import tensorflow as tf
from paper_script import Experiment

from tfgen import bijectors, datasets, layers, metrics, models, networks, plotting

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
EPOCHS = {"paper": 80, "cpu": 10, "smoke": 2}
GAN_EPOCHS = {"paper": 250, "cpu": 25, "smoke": 2}


# Question 1.9: data and training.


def load_data(run, **options):
    """Training and test pipelines, and the description of the data."""
    loaded = [
        datasets.load(
            run.args.dataset,
            split,
            BATCH_SIZE,
            data_dir=run.args.data_dir,
            seed=run.seed,
            **options,
        )
        for split in ("train", "test")
    ]
    return loaded[0][0], loaded[1][0], loaded[0][1]


def train(model, run, train_data, test_data, callbacks=()):
    """Fits for the paper's 80 epochs and returns the measured metrics.

    `bits_per_dim` and the other terms are those of the last epoch's weights, as in the paper. The
    optimizer also keeps a moving average of the weights, which the saved model has; its value is
    `averaged_bits_per_dim`.
    """
    model.compile(keras.optimizers.Adam(LEARNING_RATE, use_ema=True, ema_momentum=0.999))
    epochs = run.pick(**EPOCHS)
    history = paper_script.fit_resumable(model, train_data, run, epochs, test_data, callbacks)
    seconds = history.pop("seconds")
    fig, _ = plotting.training_curves(history)
    paper_script.save_figure(fig, run.folder / "curves.png")
    model.save(run.folder / "model.keras")
    averaged = model.evaluate(test_data, verbose=0, return_dict=True)
    last = {name[4:]: values[-1] for name, values in history.items() if name.startswith("val_")}
    return {
        **last,
        "training_bits_per_dim": history["bits_per_dim"][-1],
        "averaged_bits_per_dim": averaged["bits_per_dim"],
        "seconds_per_epoch": float(np.median(seconds)),
    }


# Question 1.10: samples at three stages of training.


class Stages(keras.callbacks.Callback):
    """Keeps 64 samples before training, after epoch 10 and at the end, of the same latents."""

    def __init__(self, run, epochs=None, binarized=True):
        super().__init__()
        self.folder, self.epochs = run.folder, epochs or run.pick(**EPOCHS)
        self.stages = sorted({0, min(10, self.epochs), self.epochs})
        self.kinds = ("binarized", "continuous") if binarized else ("continuous",)

    def on_train_begin(self, logs=None):
        if self.model.steps == 0:
            self._keep(0)

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.stages:
            self._keep(epoch + 1)

    def _keep(self, epoch):
        samples = {
            kind: tile(self.model.sample(64, seed=0, mean=kind == "continuous"))
            for kind in self.kinds
        }
        np.savez(self.folder / f"stage_{epoch}.npz", **samples)

    def figure(self):
        """Figures 2 and 3 (6 and 7): drawn pixels above, their means below. Figure 8."""
        stages = [np.load(self.folder / f"stage_{epoch}.npz") for epoch in self.stages]
        images = [stage[kind] for kind in self.kinds for stage in stages]
        fig, _ = plotting.image_grid(
            np.stack(images),
            columns=len(stages),
            row_labels=["x ~ p(x|z)", "E[x|z]"] if len(self.kinds) == 2 else ["G(z)"],
            column_labels=[f"epoch {epoch}" for epoch in self.stages],
            value_range=self.model.value_range,
        )
        return fig


def tile(images):
    """64 images as one of 8 x 8."""
    _, height, width, channels = images.shape
    grid = np.reshape(images, (8, 8, height, width, channels)).swapaxes(1, 2)
    return grid.reshape(8 * height, 8 * width, channels)


# The models.


# The course's encoders give the mean and the log standard deviation.
POSTERIOR = functools.partial(layers.IndependentNormal, scale_activation="exponential")


def vae(run, info, encoder, decoder, latent_dim=20, cls=models.VAE, **kwargs):
    """A Bernoulli VAE of the given networks."""
    return cls(
        encoder(info.image_shape, latent_dim, POSTERIOR),
        decoder(info.image_shape, latent_dim),
        seed=run.seed,
        **kwargs,
    )


def vae_experiment(encoder, decoder, binarize="threshold", cls=models.VAE, **kwargs):
    """Trains one model, with the samples of figures 2 and 3."""

    def experiment(run):
        train_data, test_data, info = load_data(run, binarize=binarize)
        extra = {"dataset_size": info.num_examples} if cls is models.BetaTCVAE else {}
        stages = Stages(run)
        model = vae(run, info, encoder, decoder, cls=cls, **kwargs, **extra)
        measured = train(model, run, train_data, test_data, [stages])
        paper_script.save_figure(stages.figure(), run.folder / "samples.png")
        images = next(iter(test_data))[:10]
        fig, _ = plotting.reconstructions(model, images)
        paper_script.save_figure(fig, run.folder / "reconstructions.png")
        return measured

    return experiment


def manifold(run):
    """Question 1.11, figure 4: the decoder's means over the quantiles of a 2-D latent."""
    train_data, test_data, info = load_data(run, binarize="threshold")
    model = vae(run, info, networks.mlp_encoder, networks.mlp_decoder, latent_dim=2)
    measured = train(model, run, train_data, test_data)
    fig, _ = plotting.manifold(model)
    paper_script.save_figure(fig, run.folder / "manifold.png")
    return measured


# Questions 2.3 and 2.4: the GAN.


def gan(run):
    """Question 2.3, figure 8: samples at three stages, and the digits among 10,000 of them."""
    train_data, test_data, info = load_data(run, value_range=(-1, 1))
    epochs = run.pick(**GAN_EPOCHS)
    model = models.GAN(
        networks.mlp_generator(info.image_shape, 32),
        networks.mlp_discriminator(info.image_shape),
        seed=run.seed,
    )
    model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
    stages = Stages(run, epochs, binarized=False)
    history = paper_script.fit_resumable(model, train_data, run, epochs, callbacks=[stages])
    seconds = history.pop("seconds")
    model.save(run.folder / "model.keras")
    fig, _ = plotting.training_curves(history)
    paper_script.save_figure(fig, run.folder / "curves.png")
    paper_script.save_figure(stages.figure(), run.folder / "samples.png")
    return {
        **{name: values[-1] for name, values in history.items()},
        **mode_coverage(model, run),
        "seconds_per_epoch": float(np.median(seconds)),
    }


def mode_coverage(model, run):
    """Entropy of the digits among 10,000 samples, in nats: at most ln 10 = 2.303."""
    data = [
        datasets.load(
            run.args.dataset, split, data_dir=run.args.data_dir, labels=True, value_range=(-1, 1)
        )[0]
        for split in ("train", "test")
    ]
    steps = run.pick(2500, 2500, 50)
    judge = metrics.classifier(
        data[0],
        kind="conv",
        value_range=(-1, 1),
        steps=steps,
        cache_dir=run.folder.parents[1] / "classifier",
    )
    samples = model.sample(run.pick(10_000, 10_000, 100), seed=run.seed)
    probabilities = metrics.classifier_outputs(judge, samples).probabilities
    return {
        "class_entropy": metrics.class_entropy(probabilities),
        "judge_accuracy": judge.evaluate(data[1], verbose=0, return_dict=True)["accuracy"],
    }


def interpolations(run):
    """Question 2.4, figure 9: five steps between four pairs of latents, VAE and GAN."""
    images = []
    for name, experiment in (("vae-mlp", vae_experiment(*MLP)), ("gan-mlp", gan)):
        folder = run.folder.parents[1] / name / run.folder.name
        if not (folder / "model.keras").exists():
            folder.mkdir(parents=True, exist_ok=True)
            experiment(run._replace(folder=folder))
        model = models.load_model(folder / "model.keras")
        ends = model.sample_latents(8, seed=[run.seed, 0])
        rows = model.interpolate_latents(ends[:4], ends[4:], num_steps=7)
        images.append(tf.clip_by_value(rows if name == "vae-mlp" else (rows + 1) / 2, 0, 1))
    columns = ["z", *[f"{step}/6" for step in range(1, 6)], "z'"]
    fig, _ = plotting.image_grid(
        tf.reshape(tf.concat(images, 0), (-1, *model.data_shape)),
        columns=7,
        row_labels=[f"{kind} {pair}" for kind in ("VAE", "GAN") for pair in range(1, 5)],
        column_labels=columns,
    )
    paper_script.save_figure(fig, run.folder / "interpolations.png")
    return {}


# Part 3: normalizing flows, in the setup of the course, on whole-numbered pixels.

FLOW_EPOCHS = {
    "mnist": {"paper": 200, "cpu": 2, "smoke": 1},
    "digits": {"paper": 400, "cpu": 200, "smoke": 1},
}
FLOW_WIDTH = {"paper": 32, "cpu": 8, "smoke": 4}
FLOW_SAMPLES = 8


def flow_data(run, split, **options):
    """Pipeline and description of pixels 0 to 255, of digits 0 to 16."""
    largest = 16 if run.args.dataset == "digits" else 255
    return datasets.load(
        run.args.dataset,
        split,
        BATCH_SIZE,
        value_range=(0, largest),
        data_dir=run.args.data_dir,
        seed=run.seed,
        **options,
    )


def simple(run, shape):
    """Couplings with checkerboard masks: 8 of width 32; cpu: 4 of width 8."""
    couplings, layers = run.pick(8, 4, 2), run.pick(3, 2, 1)
    return networks.simple_flow(shape, couplings, run.pick(**FLOW_WIDTH), layers)


def multiscale(run, shape):
    return networks.multiscale_flow(shape, run.pick(**FLOW_WIDTH), run.pick(3, 2, 1))


def uniform(run, shape, num_values):
    return bijectors.UniformDequantization(shape, num_values)


def variational(run, shape, num_values):
    """Four couplings of half the width; cpu: two."""
    couplings, layers = run.pick(4, 2, 2), run.pick(3, 2, 1)
    width = run.pick(**FLOW_WIDTH) // 2
    return networks.variational_dequantization(shape, couplings, width, layers, num_values)


def flow_experiment(bijector, dequantization):
    """Trains a flow; bits/dim of test images with 8 draws of the noise, as in the course."""

    def experiment(run):
        train_data, info = flow_data(run, "train", drop_remainder=True)
        test_data, _ = flow_data(run, "test")
        num_values = 17 if run.args.dataset == "digits" else 256
        model = models.NormalizingFlow(
            bijector(run, info.image_shape),
            dequantization(run, info.image_shape, num_values),
            seed=run.seed,
        )
        times = train_flow(model, run, train_data, test_data.take(8))
        flow_figures(model, run, test_data)
        nll = metrics.importance_sampled_nll(
            model, test_data, FLOW_SAMPLES, at=(1,), batch_size=100, samples_per_batch=FLOW_SAMPLES
        )
        np.save(run.folder / "nlls.npy", nll.nlls)
        in_bits = metrics.bits_per_dim(1.0, model.data_shape)
        return {
            "bits_per_dim": nll.bits_per_dim,
            "standard_error": in_bits * nll.standard_error,
            "bits_per_dim_one_draw": in_bits * nll.bounds[1],
            **times,
        }

    return experiment


def train_flow(model, run, train_data, validation_data):
    """Fits with the course's optimizer: Adam 1e-3, 1 % less each epoch, gradients of norm 1."""
    rate = keras.optimizers.schedules.ExponentialDecay(
        LEARNING_RATE, int(train_data.cardinality()), 0.99, staircase=True
    )
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
    epochs = run.pick(**FLOW_EPOCHS.get(run.args.dataset, FLOW_EPOCHS["mnist"]))
    history = paper_script.fit_resumable(model, train_data, run, epochs, validation_data)
    seconds = history.pop("seconds")
    model.save(run.folder / "model.keras")
    fig, _ = plotting.training_curves(history)
    paper_script.save_figure(fig, run.folder / "curves.png")
    parameters = sum(v.shape.num_elements() for v in model.trainable_variables)
    return {
        "parameters": float(parameters),
        "epochs": float(epochs),
        "seconds_per_epoch": float(np.median(seconds)),
    }


def flow_figures(model, run, test_data):
    """64 samples, and images between four pairs of test images, in latent space."""
    largest = 16 if run.args.dataset == "digits" else 255
    fig, _ = plotting.image_grid(model.sample(64, seed=run.seed) / largest, 8)
    paper_script.save_figure(fig, run.folder / "samples.png")
    images = next(iter(test_data))
    rows = model.interpolate(images[:4], images[4:8], num_steps=8) / largest
    fig, _ = plotting.image_grid(tf.reshape(rows, (-1, *model.data_shape)), 8)
    paper_script.save_figure(fig, run.folder / "interpolations.png")


def flow_gap(run):
    """What variational dequantization gains on uniform: of each test image, in bits/dim."""
    nlls = [
        np.load(run.folder.parents[1] / name / run.folder.name / "nlls.npy")
        for name in ("flow-uniform", "flow-variational")
    ]
    info = flow_data(run, "test")[1]
    gains = metrics.bits_per_dim(nlls[0] - nlls[1], info.image_shape)
    return {
        "gap_bits_per_dim": float(gains.mean()),
        "gap_standard_error": float(gains.std(ddof=1) / np.sqrt(len(gains))),
        "share_of_images_that_gain": float((gains > 0).mean()),
    }


MLP = (networks.mlp_encoder, networks.mlp_decoder)
CNN = (networks.conv_encoder, networks.conv_decoder)
FIGURES = ("samples.png", "reconstructions.png", "curves.png")
MLP_SETUP = "512-512 ReLU, z 20, Bernoulli, batch 128, Adam 1e-3, last weights"
THRESHOLD = "pixels binarized at 0.5"
FLOW_FIGURES = ("samples.png", "interpolations.png", "curves.png")
FLOW_SETUP = (
    "8-bit pixels (digits: 17 values), the course's gated networks; paper: width 32; cpu: width 8, "
    "4 couplings, 2 for the noise, 2 gated blocks; batch 128, Adam 1e-3 falling by 1 % an epoch, "
    "gradients of norm 1; 8 draws of the noise at test"
)

# Times of one seed, measured on two CPU cores that were not idle.
EXPERIMENTS = [
    Experiment(
        "vae-mlp",
        "Q. 1.9, figures 1 to 3",
        vae_experiment(*MLP),
        {"bits_per_dim": 0.152},
        f"VAE, {MLP_SETUP}; {THRESHOLD}",
        {"paper": "5 min"},
        FIGURES,
    ),
    Experiment(
        "vae-cnn",
        "Q. 1.12, figures 5 to 7",
        vae_experiment(*CNN),
        {"bits_per_dim": 0.129},
        f"VAE, the course's CNN 32-32-64-64-64, else as vae-mlp; {THRESHOLD}",
        {"paper": "52 min"},
        FIGURES,
    ),
    Experiment(
        "manifold",
        "Q. 1.11, figure 4",
        manifold,
        {},
        f"VAE with z 2, else as vae-mlp; {THRESHOLD}",
        {"paper": "5 min", "cpu": "70 s"},
        ("manifold.png", "curves.png"),
    ),
    Experiment(
        "vae-mlp-dynamic",
        "beside: dynamic binarization",
        vae_experiment(*MLP, binarize="stochastic"),
        {},
        f"VAE, {MLP_SETUP}; pixels drawn anew each epoch, test drawn once",
        {"paper": "10 min", "cpu": "110 s"},
        FIGURES,
    ),
    Experiment(
        "beta-vae",
        "beside: beta-VAE on the same data",
        vae_experiment(*MLP, cls=models.BetaVAE, beta=4.0),
        {},
        f"BetaVAE, beta 4, {MLP_SETUP}; {THRESHOLD}",
        {"paper": "5 min", "cpu": "65 s"},
        FIGURES,
    ),
    Experiment(
        "beta-tcvae",
        "beside: beta-TCVAE on the same data",
        vae_experiment(*MLP, cls=models.BetaTCVAE, beta=6.0),
        {},
        f"BetaTCVAE, beta 6, stratified estimator, {MLP_SETUP}; {THRESHOLD}",
        {"paper": "6 min", "cpu": "105 s"},
        FIGURES,
    ),
    Experiment(
        "gan-mlp",
        "Q. 2.3, figure 8",
        gan,
        {},
        "GAN, non-saturating, G 128-256-512 dropout 0.1, D 512-256 dropout 0.3, z 32, batch 128, "
        "Adam 2e-4 (0.5, 0.999); pixels in [-1, 1]",
        {"paper": "250 epochs of 13 s, one core"},
        ("samples.png", "curves.png"),
    ),
    Experiment(
        "interpolations",
        "Q. 2.4, figure 9",
        interpolations,
        {},
        "vae-mlp and gan-mlp, straight lines between two draws of z",
        {},
        ("interpolations.png",),
    ),
    Experiment(
        "flow-uniform",
        "Part 3: uniform dequantization",
        flow_experiment(simple, uniform),
        {},
        f"simple flow, uniform dequantization; {FLOW_SETUP}",
        {},
        FLOW_FIGURES,
    ),
    Experiment(
        "flow-variational",
        "Part 3: variational dequantization",
        flow_experiment(simple, variational),
        {},
        f"simple flow, variational dequantization; {FLOW_SETUP}",
        {},
        FLOW_FIGURES,
    ),
    Experiment(
        "flow-multiscale",
        "beside: three scales",
        flow_experiment(multiscale, variational),
        {},
        f"multi-scale flow, variational dequantization; {FLOW_SETUP}",
        {},
        FLOW_FIGURES,
    ),
    Experiment(
        "flow-gap",
        "Part 3: uniform less variational",
        flow_gap,
        {},
        "flow-uniform and flow-variational, the same test images and seed",
        {},
    ),
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 42, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
