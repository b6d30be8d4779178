"""The rows of `benchmark.py`: every model of `tfgen.models` under one budget, in one table.

Rows stand in the order in which they are run: what a reader needs first, then what was never
measured, then what takes longest. `Row` says what each column means.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import benchmark_models as builders

from tfgen import models

BATCH_SIZE = 100
EPOCHS = 30
GAN_EPOCHS = 10  # A DCGAN has 82 seconds an epoch on two cores, and 41 minutes in 30.
NLL_IMAGES = 2000

# What each row's data are: how they are binarized, and what black and white are.
PIXELS = {
    "binary": {"binarize": "fixed", "seed": 0},
    "signed": {"value_range": (-1, 1)},
    "levels": {"value_range": (0, 255)},
}

ADAM = ("adam", {"learning_rate": 1e-3})
ADAM_TO_ZERO = ("adam", {"learning_rate": 1e-3, "decay": "cosine"})
ADAM_OF_GANS = ("adam", {"learning_rate": 2e-4, "beta_1": 0.5})

BOUND, NLL, SAMPLES = "bound", "nll", "samples"
LIKELIHOODS = (BOUND, NLL, SAMPLES)


class Row(NamedTuple):
    """One model of the benchmark.

    Attributes:
        name: string, for `--run`.
        model: class of `tfgen.models`.
        build: function (run, image_shape) to a model, whose sizes are those of its budget.
        setup: string, what it is, in words.
        minutes: float, a guess of training and measures on two idle cores, for the ETA before
            anything is measured.
        optimizer: name and arguments of one of Keras, with "decay": "cosine" for a learning rate
            that falls to 0; None for models without.
        pixels: name of `PIXELS`.
        measures: some of "bound" (ELBO, rate and distortion, as far as there are such), "nll" and
            "samples".
        nll_images_5000: test images whose NLL is taken with 5,000 samples.
        labels: whether the model is given labels.
        epochs: int.
        budget: "small", or "paper" for the setup of the authors.
    """

    name: str
    model: type
    build: Callable
    setup: str
    minutes: float
    optimizer: tuple | None = ADAM
    pixels: str = "binary"
    measures: tuple = LIKELIHOODS
    nll_images_5000: int = NLL_IMAGES
    labels: bool = False
    epochs: int = EPOCHS
    budget: str = "small"


_gan_row = functools.partial(
    Row,
    optimizer=ADAM_OF_GANS,
    pixels="signed",
    measures=(SAMPLES,),
    minutes=16,
    epochs=GAN_EPOCHS,
)
_point_row = functools.partial(Row, measures=(SAMPLES,), minutes=3)

ROWS = (
    Row("vae", models.VAE, builders.vae, "VAE", 4),
    _point_row(
        "ae",
        models.AE,
        builders.point_model(models.AE),
        "autoencoder, squared error, sigmoid outputs; samples from codes of N(0, I)",
    ),
    _point_row(
        "ae-ms-ssim",
        models.AE,
        builders.point_model(models.AE, reconstruction_loss="ms_ssim"),
        "autoencoder, 1 - MS-SSIM at three scales, sigmoid outputs; samples from codes of N(0, I)",
    ),
    Row(
        "beta-vae",
        models.BetaVAE,
        builders.vae_variant(models.BetaVAE, beta=4.0),
        "beta-VAE, beta 4",
        4,
    ),
    Row("beta-tcvae", models.BetaTCVAE, builders.beta_tcvae, "beta-TCVAE, beta 6", 5),
    Row("iwae-5", models.IWAE, builders.iwae(5), "IWAE, 5 samples", 5),
    Row("vamp-prior", models.VAE, builders.vamp_prior, "VAE, VampPrior of 50 pseudo-inputs", 5),
    Row(
        "iaf",
        models.FlowVAE,
        builders.iaf,
        "VAE + IAF: 4 steps of masked networks of 128-128 units, context of 64",
        6,
    ),
    Row(
        "planar-10",
        models.FlowVAE,
        builders.planar(10),
        "VAE + NF: 10 planar steps from a context of 64",
        5,
    ),
    Row(
        "sylvester",
        models.FlowVAE,
        builders.sylvester,
        "VAE + orthogonal Sylvester flow: 4 steps of rank 8 from a context of 64",
        8,
    ),
    Row(
        "info-vae",
        models.InfoVAE,
        builders.vae_variant(models.InfoVAE),
        "InfoVAE, alpha 0, lambda 1000",
        5,
    ),
    Row(
        "spherical-vae",
        models.VAE,
        builders.spherical_vae,
        "VAE with codes on the unit sphere: von Mises-Fisher posterior, uniform prior",
        6,
    ),
    Row(
        "poincare-vae",
        models.VAE,
        builders.poincare_vae,
        "VAE with 10 codes in the Poincare ball of curvature -1: wrapped normals, log map",
        6,
    ),
    Row(
        "relaxed-vae",
        models.VAE,
        builders.relaxed_vae,
        "VAE with 20 relaxed one-hot variables of 10 classes, both temperatures 0.5",
        6,
    ),
    _point_row(
        "wae",
        models.WAE,
        builders.point_model(models.WAE),
        "WAE-MMD, lambda 10, squared error, sigmoid outputs",
    ),
    _point_row(
        "rae",
        models.RAE,
        builders.point_model(models.RAE),
        "RAE, embeddings 0.01, L2 of the decoder 0.001; samples from codes of N(0, I)",
    ),
    _point_row(
        "rae-gradient",
        models.RAE,
        builders.point_model(models.RAE, kind="gradient"),
        "RAE, embeddings 0.01, decoder's gradient 0.001; samples from codes of N(0, I)",
    ),
    _point_row(
        "aae", models.AAE, builders.aae, "AAE, code discriminator of 1000-1000 units", minutes=6
    ),
    Row(
        "dip-vae-i",
        models.DIPVAE,
        builders.vae_variant(models.DIPVAE, kind="i"),
        "DIP-VAE I, lambda_od 10, lambda_d 100",
        4,
    ),
    Row(
        "dip-vae-ii",
        models.DIPVAE,
        builders.vae_variant(models.DIPVAE, kind="ii"),
        "DIP-VAE II, lambda_od 10, lambda_d 10",
        4,
    ),
    Row(
        "factor-vae",
        models.FactorVAE,
        builders.factor_vae,
        "FactorVAE, gamma 10, code discriminator of 1000-1000 units",
        7,
    ),
    Row(
        "conditional-vae",
        models.VAE,
        builders.conditional_vae,
        "conditional VAE, given the class: log p(x|y); samples of the classes in turn",
        5,
        labels=True,
    ),
    Row(
        "vq-vae",
        models.VQVAE,
        builders.vq_vae,
        "VQ-VAE: 64 filters, 7 x 7 codes of 512, prior: their frequencies at each place",
        13,
        measures=(BOUND, SAMPLES),
    ),
    Row(
        "fsq-vae",
        models.FSQVAE,
        builders.fsq_vae,
        "FSQ-VAE: 64 filters, 7 x 7 codes of 8 x 8 x 8 levels, prior: their frequencies",
        13,
        measures=(BOUND, SAMPLES),
    ),
    Row(
        "rq-vae",
        models.RQVAE,
        builders.rq_vae,
        "RQ-VAE: 64 filters, 7 x 7 x 4 codes of 512, prior: their frequencies",
        16,
        measures=(BOUND, SAMPLES),
    ),
    Row(
        "mixture",
        models.MixtureEM,
        builders.mixture,
        "mixture of 500 products of Bernoullis by EM, one step an epoch",
        3,
        optimizer=None,
        measures=(NLL, SAMPLES),
    ),
    _gan_row("gan", models.GAN, builders.gan(models.GAN), "DCGAN, non-saturating loss"),
    _gan_row("gan-hinge", models.GAN, builders.gan(models.GAN, loss="hinge"), "DCGAN, hinge loss"),
    _gan_row(
        "gan-spectral",
        models.GAN,
        builders.spectral_gan,
        "DCGAN, hinge loss, discriminator with spectral instead of batch normalization",
    ),
    _gan_row(
        "gan-relativistic",
        models.GAN,
        builders.gan(models.GAN, loss="relativistic"),
        "DCGAN, relativistic loss of pairs",
    ),
    _gan_row(
        "gan-augment",
        models.GAN,
        builders.gan(models.GAN, augment="translation,cutout"),
        "DCGAN, non-saturating loss, translation and cutout of all that is judged",
    ),
    _gan_row(
        "gan-average",
        models.GAN,
        builders.gan(models.GAN, generator_average=0.999),
        "DCGAN, non-saturating loss, samples from the average of the generator's weights",
    ),
    _gan_row(
        "gan-conditional",
        models.GAN,
        builders.conditional_gan,
        "DCGAN, both networks given the class beside z and x; samples of the classes in turn",
        labels=True,
    ),
    _gan_row(
        "gan-projection",
        models.GAN,
        builders.projection_gan,
        "DCGAN, hinge loss, given the class by conditional batch normalization and a projection, "
        "spectral normalization of the discriminator",
        labels=True,
    ),
    _gan_row(
        "ac-gan",
        models.ACGAN,
        builders.ac_gan,
        "AC-GAN: DCGAN whose discriminator also tells the class, class_weight 1",
        labels=True,
    ),
    _gan_row(
        "info-gan",
        models.InfoGAN,
        builders.info_gan,
        "InfoGAN: DCGAN with a code of 10 categories and 2 continuous ones, info_weight 1",
    ),
    _gan_row(
        "wgan-gp",
        models.WGANGP,
        builders.gan(models.WGANGP, batch_norm=False),
        "WGAN-GP, penalty 10, each batch split over 5 steps of the critic",
        optimizer=("adam", {"learning_rate": 2e-4, "beta_1": 0.0, "beta_2": 0.9}),
    ),
    _gan_row(
        "wgan",
        models.WGAN,
        builders.gan(models.WGAN),
        "WGAN, weights clipped at 0.01, each batch split over 5 steps of the critic",
        optimizer=("rmsprop", {"learning_rate": 5e-5}),
    ),
    _gan_row(
        "ali",
        models.ALI,
        builders.ali,
        "ALI, the pair judged by convolutions and 256 units, batch normalization in all networks",
    ),
    _gan_row(
        "vae-gan",
        models.VAEGAN,
        builders.hybrid(models.VAEGAN, feature_layer="features"),
        "VAE-GAN, errors in the discriminator's features, gan_weight 1",
        minutes=25,
    ),
    _gan_row(
        "vae-gan-pixels",
        models.VAEGAN,
        builders.hybrid(models.VAEGAN, gan_weight=10.0),
        "VAE-GAN, errors in pixels, gan_weight 10",
        minutes=25,
    ),
    _gan_row(
        "constrained-vae-gan",
        models.ConstrainedVAEGAN,
        builders.hybrid(models.ConstrainedVAEGAN, bound=1.0, multiplier=20.0),
        "VAE-GAN, adversarial loss bounded by 1, multiplier 20",
        minutes=25,
    ),
    _gan_row(
        "alpha-gan",
        models.AlphaGAN,
        builders.alpha_gan,
        "alpha-GAN, weight 0.1 on the summed absolute error, code critic of 256-256 units",
        minutes=25,
    ),
    _gan_row(
        "gvae",
        models.GVAE,
        builders.hybrid(models.GVAE, gan_weight=20.0),
        "GVAE, gan_weight 20, penalty 10",
        minutes=30,
    ),
    _gan_row(
        "gvae-5",
        models.GVAE,
        builders.hybrid(models.GVAE, gan_weight=20.0, discriminator_steps=5),
        "GVAE as above, each batch split over 5 steps of the critic",
        minutes=30,
    ),
    Row(
        "conv-vae",
        models.VAE,
        builders.conv_vae,
        "convolutional VAE: 32-32-64-64-64 filters, GELU",
        11,
        nll_images_5000=200,
    ),
    Row(
        "ladder",
        models.LadderVAE,
        builders.ladder,
        "ladder VAE of levels of 40 and 20, 400 and 200 units",
        5,
        nll_images_5000=500,
    ),
    Row(
        "flow-prior",
        models.VAE,
        builders.flow_prior,
        "VAE whose prior is a MAF of 4 steps of 128-128 units",
        7,
    ),
    Row(
        "planar-80",
        models.FlowVAE,
        builders.planar(80),
        "VAE + NF: 80 planar steps from a context of 64",
        8,
        nll_images_5000=500,
    ),
    Row(
        "vgp",
        models.VGP,
        builders.vgp,
        "VAE + VGP: 20 variational data of 10 inputs, networks of 300 units",
        6,
        nll_images_5000=200,
    ),
    Row(
        "hvi-4",
        models.HVI,
        builders.hvi(4),
        "HVI, one iteration of 4 leapfrog steps, velocities by networks of 300 units",
        8,
        nll_images_5000=200,
    ),
    Row(
        "hvae-4",
        models.HVAE,
        builders.hvae,
        "Hamiltonian VAE, 4 leapfrog steps, fixed tempering from a temperature of 1.5",
        7,
        nll_images_5000=200,
    ),
    Row(
        "draw",
        models.DRAW,
        builders.draw(),
        "DRAW without attention, 256 units, 10 steps of z 10",
        20,
        nll_images_5000=200,
    ),
    Row(
        "draw-attention",
        models.DRAW,
        builders.draw(2, 5),
        "DRAW with attention, reads 2 x 2, writes 5 x 5, 256 units, 10 steps of z 10",
        20,
        nll_images_5000=200,
    ),
    Row(
        "iwae-50",
        models.IWAE,
        builders.iwae(50),
        "IWAE, 50 samples",
        15,
    ),
    Row(
        "iwae-5-dreg",
        models.IWAE,
        builders.iwae(5, estimator="doubly_reparameterized"),
        "IWAE, 5 samples, doubly reparameterized gradient",
        6,
    ),
    Row(
        "ciwae-5",
        models.IWAE,
        builders.iwae(5, elbo_weight=0.5),
        "CIWAE: half the ELBO, half the bound of 5 samples",
        5,
    ),
    Row(
        "miwae-5-5", models.IWAE, builders.iwae(5, num_groups=5), "MIWAE: 5 groups of 5 samples", 9
    ),
    Row(
        "piwae-5-5",
        models.IWAE,
        builders.iwae(5, num_groups=5, partial=True),
        "PIWAE: 5 groups of 5 samples for the encoder, 25 for the decoder",
        9,
    ),
    Row(
        "hvi-16",
        models.HVI,
        builders.hvi(16),
        "HVI, one iteration of 16 leapfrog steps, velocities by networks of 300 units",
        16,
        nll_images_5000=100,
    ),
    Row(
        "vgp-2hl",
        models.VGP,
        builders.vgp_two_layers,
        "VAE + VGP, two layers of latent variables, 40 and 20, 400 and 200 units",
        8,
        nll_images_5000=100,
    ),
    Row(
        "draw-vgp",
        models.DRAW,
        builders.draw(with_vgp=True),
        "DRAW as above, each step's posterior a VGP of 20 variational data and 100 units",
        24,
        nll_images_5000=100,
    ),
    Row(
        "conv-hvi",
        models.HVI,
        builders.conv_hvi,
        "the convolutional VAE with HVI, one iteration of 4 leapfrog steps",
        90,
        nll_images_5000=50,
    ),
    _gan_row(
        "image-flow",
        models.NormalizingFlow,
        builders.image_flow,
        "flow over images of three scales, couplings of 16 filters, uniform dequantization",
        optimizer=ADAM,
        pixels="levels",
        measures=(BOUND, SAMPLES),
        minutes=25,
    ),
    _gan_row(
        "glow",
        models.NormalizingFlow,
        builders.glow,
        "Glow of two scales, 8 steps each, couplings of 96 filters, uniform dequantization",
        optimizer=ADAM,
        pixels="levels",
        measures=(BOUND, SAMPLES),
        minutes=20,
    ),
    Row(
        "vae-cosine",
        models.VAE,
        builders.vae,
        "VAE, whose learning rate falls to 0 along half a cosine",
        4,
        optimizer=ADAM_TO_ZERO,
    ),
    Row(
        "vae-500",
        models.VAE,
        builders.vae,
        "VAE, 500 epochs",
        50,
        epochs=500,
        budget="paper",
    ),
    Row(
        "draw-64",
        models.DRAW,
        builders.draw(),
        "DRAW without attention, 256 units, 64 steps of z 100",
        180,
        nll_images_5000=20,
        budget="paper",
    ),
    Row(
        "conv-hvi-16",
        models.HVI,
        builders.conv_hvi,
        "the convolutional VAE with HVI, one iteration of 16 leapfrog steps",
        300,
        nll_images_5000=20,
        budget="paper",
    ),
)

# Models of pythae 0.1.2, and a VAE by hand in PyTorch, under the same budget on the same kind of
# machine, whose pixels were drawn once by another generator: ELBO, NLL by 200 samples on the first
# 2,000 test images (standard error 0.55), seconds an epoch.
PEERS = {
    "vae (PyTorch by hand)": (-99.6, 93.5, 2.3),
    "vae": (-99.5, 93.4, 3.0),
    "beta-vae": (-116.0, 104.1, 3.3),
    "beta-tcvae": (-124.6, 111.1, 4.8),
    "iwae-5": (-101.6, 92.8, 7.0),
    "planar-10": (-99.8, 93.8, 6.7),
    "iaf": (-98.8, 93.0, 8.0),
    "vamp-prior": (-95.9, 90.6, 8.4),
}
