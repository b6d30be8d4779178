"""Su, "Variational Inference: A Unified Framework of Generative Models" (2018): EM, GANs, AAE, ALI

    python examples/su_2018_variational_view.py --list
    python examples/su_2018_variational_view.py --run proximity --seeds 3
    python examples/su_2018_variational_view.py --dataset mnist --run aae ali-variational
    python examples/su_2018_variational_view.py --dataset mnist --run em-gaussian --scale paper
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
report.html gather them. A killed run goes on where it stopped.
"""

import functools

import _start  # noqa: F401
import keras
import numpy as np
import paper_script
import tensorflow as tf
from paper_script import Experiment
from su_em import MIXTURES
from su_proximity import PROXIMITIES
from su_scores import PIXELS, Judge, load_images

from tfgen import layers, metrics, models, networks, plotting

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
        data, info = load_images(run, "train", 128, drop_remainder=True)
        model = build(run, info.image_shape)
        model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
        paper_script.train(model, run, data, run.pick(**EPOCHS), units=UNITS)
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
    run.draw("samples", plotting.samples(model, value_range=PIXELS))
    run.draw("reconstructions", plotting.reconstructions(model, x[:10], value_range=PIXELS))
    run.draw("interpolations", plotting.interpolations(model, x[:6], x[6:12], value_range=PIXELS))


MLP = "MLPs of 512-512, z 20, batch 128, Adam 2e-4 (0.5, 0.999), last weights"
INFERENCE_FIGURES = ("samples.png", "reconstructions.png", "interpolations.png", "curves.png")

EXPERIMENTS = [
    *PROXIMITIES,
    Experiment(
        "aae",
        "Eq. 30 to 34",
        inference_experiment(aae),
        {},
        f"AAE, {MLP}; lambda 0.02 on the squared error summed over pixels in [-1, 1]",
        figures=INFERENCE_FIGURES,
    ),
    *(
        Experiment(
            f"ali-{objective.replace('_', '-')}",
            f"Eq. {equation}",
            inference_experiment(functools.partial(ali, objective=objective)),
            {},
            f"ALI, {MLP}, dropout 0.3 in the discriminator",
            figures=INFERENCE_FIGURES,
        )
        for objective, equation in (("variational", 41), ("minimax", 42), ("non_saturating", 43))
    ),
    Experiment(
        "ali-whole",
        "Eq. 40",
        inference_experiment(functools.partial(ali, objective="variational", cls=WholeALI)),
        {},
        f"as ali-variational, with the term of Eq. 40 that Eq. 41 leaves out: {MLP}",
        figures=INFERENCE_FIGURES,
    ),
    *MIXTURES,
]


def main(argv=None):
    known = ["fashion_mnist", "mnist", "celeb_a", "digits"]
    paper_script.main(__doc__, EXPERIMENTS, 0, known, argv)


if __name__ == "__main__":
    main()
