"""Soons, "Deep Learning practical 3" (2020): VAEs, a GAN and normalizing flows on MNIST

    python examples/soons_2020_vae_gan_flow.py --list
    python examples/soons_2020_vae_gan_flow.py --data-dir ~/tensorflow_datasets
    python examples/soons_2020_vae_gan_flow.py --run vae-mlp --seeds 3 --scale paper
    python examples/soons_2020_vae_gan_flow.py --run flow-uniform flow-variational flow-gap \
        --dataset digits --seeds 3
    python examples/soons_2020_vae_gan_flow.py --smoke

The report answers the assignment of the UvA Deep Learning course. The VAEs' pixels are binarized at
0.5, those of the GAN lie in [-1, 1], those of the flows are the whole numbers 0 to 255 (digits: 0
to 16). All 60,000 training images train. Nothing is selected: the
test set is evaluated after each epoch for the curves, and the last epoch counts. Each experiment
writes its figures, its model and result.json into --output-dir; results.json and report.html gather
them. A killed run goes on where it stopped.
"""

import functools

import _start  # noqa: F401
import keras
import numpy as np
import paper_script
import tensorflow as tf
from paper_figures import tiled
from paper_script import Experiment
from soons_flows import FLOWS

from tfgen import datasets, layers, metrics, models, networks, plotting

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
EPOCHS = {"paper": 80, "cpu": 10, "smoke": 2}
GAN_EPOCHS = {"paper": 250, "cpu": 25, "smoke": 2}


# Question 1.9: data and training.


def load_data(run, **options):
    """Training and test pipelines, and the description of the data."""
    (train, info), (test, _) = (run.load(s, BATCH_SIZE, **options) for s in ("train", "test"))
    return train, test, info


def train(model, run, train_data, test_data, callbacks=()):
    """Fits for the paper's 80 epochs and returns the measured metrics.

    `bits_per_dim` and the other terms are those of the last epoch's weights, as in the paper. The
    optimizer also keeps a moving average of the weights, which the saved model has; its value is
    `averaged_bits_per_dim`.
    """
    model.compile(keras.optimizers.Adam(LEARNING_RATE, use_ema=True, ema_momentum=0.999))
    epochs = run.pick(**EPOCHS)
    history, times = paper_script.train(model, run, train_data, epochs, test_data, callbacks)
    averaged = model.evaluate(test_data, verbose=0, return_dict=True)
    last = {name[4:]: values[-1] for name, values in history.items() if name.startswith("val_")}
    return {
        **last,
        "training_bits_per_dim": history["bits_per_dim"][-1],
        "averaged_bits_per_dim": averaged["bits_per_dim"],
        "seconds_per_epoch": times["seconds_per_epoch"],
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
            kind: tiled(self.model.sample(64, seed=0, mean=kind == "continuous"))
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
        run.draw("samples", stages.figure())
        run.draw("reconstructions", plotting.reconstructions(model, next(iter(test_data))[:10]))
        return measured

    return experiment


def manifold(run):
    """Question 1.11, figure 4: the decoder's means over the quantiles of a 2-D latent."""
    train_data, test_data, info = load_data(run, binarize="threshold")
    model = vae(run, info, networks.mlp_encoder, networks.mlp_decoder, latent_dim=2)
    measured = train(model, run, train_data, test_data)
    run.draw("manifold", plotting.manifold(model))
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
    history, times = paper_script.train(model, run, train_data, epochs, callbacks=[stages])
    run.draw("samples", stages.figure())
    return {
        **{name: values[-1] for name, values in history.items()},
        **mode_coverage(model, run),
        "seconds_per_epoch": times["seconds_per_epoch"],
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
        other = run.of(name)
        if not (other.folder / "model.keras").exists():
            other.folder.mkdir(parents=True, exist_ok=True)
            experiment(other)
        model = models.load_model(other.folder / "model.keras")
        ends = model.sample_latents(8, seed=[run.seed, 0])
        rows = model.interpolate_latents(ends[:4], ends[4:], num_steps=7)
        images.append(tf.clip_by_value(rows if name == "vae-mlp" else (rows + 1) / 2, 0, 1))
    columns = ["z", *[f"{step}/6" for step in range(1, 6)], "z'"]
    grid = plotting.image_grid(
        tf.reshape(tf.concat(images, 0), (-1, *model.data_shape)),
        columns=7,
        row_labels=[f"{kind} {pair}" for kind in ("VAE", "GAN") for pair in range(1, 5)],
        column_labels=columns,
    )
    run.draw("interpolations", grid)
    return {}


MLP = (networks.mlp_encoder, networks.mlp_decoder)
CNN = (networks.conv_encoder, networks.conv_decoder)
FIGURES = ("samples.png", "reconstructions.png", "curves.png")
MLP_SETUP = "512-512 ReLU, z 20, Bernoulli, batch 128, Adam 1e-3, last weights"
THRESHOLD = "pixels binarized at 0.5"
EXPERIMENTS = [
    Experiment(
        "vae-mlp",
        "Q. 1.9, figures 1 to 3",
        vae_experiment(*MLP),
        {"bits_per_dim": 0.152},
        f"VAE, {MLP_SETUP}; {THRESHOLD}",
        figures=FIGURES,
    ),
    Experiment(
        "vae-cnn",
        "Q. 1.12, figures 5 to 7",
        vae_experiment(*CNN),
        {"bits_per_dim": 0.129},
        f"VAE, the course's CNN 32-32-64-64-64, else as vae-mlp; {THRESHOLD}",
        figures=FIGURES,
    ),
    Experiment(
        "manifold",
        "Q. 1.11, figure 4",
        manifold,
        {},
        f"VAE with z 2, else as vae-mlp; {THRESHOLD}",
        figures=("manifold.png", "curves.png"),
    ),
    Experiment(
        "vae-mlp-dynamic",
        "beside: dynamic binarization",
        vae_experiment(*MLP, binarize="stochastic"),
        {},
        f"VAE, {MLP_SETUP}; pixels drawn anew each epoch, test drawn once",
        figures=FIGURES,
    ),
    Experiment(
        "beta-vae",
        "beside: beta-VAE on the same data",
        vae_experiment(*MLP, cls=models.BetaVAE, beta=4.0),
        {},
        f"BetaVAE, beta 4, {MLP_SETUP}; {THRESHOLD}",
        figures=FIGURES,
    ),
    Experiment(
        "beta-tcvae",
        "beside: beta-TCVAE on the same data",
        vae_experiment(*MLP, cls=models.BetaTCVAE, beta=6.0),
        {},
        f"BetaTCVAE, beta 6, stratified estimator, {MLP_SETUP}; {THRESHOLD}",
        figures=FIGURES,
    ),
    Experiment(
        "gan-mlp",
        "Q. 2.3, figure 8",
        gan,
        {},
        "GAN, non-saturating, G 128-256-512 dropout 0.1, D 512-256 dropout 0.3, z 32, batch 128, "
        "Adam 2e-4 (0.5, 0.999); pixels in [-1, 1]",
        figures=("samples.png", "curves.png"),
    ),
    Experiment(
        "interpolations",
        "Q. 2.4, figure 9",
        interpolations,
        {},
        "vae-mlp and gan-mlp, straight lines between two draws of z",
        figures=("interpolations.png",),
    ),
    *FLOWS,
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 42, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
