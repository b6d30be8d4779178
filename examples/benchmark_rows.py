"""The rows of `benchmark.py`: every model of `tfgen.models` under one budget, in one table.

Rows stand in the order in which they are run: what a reader needs first, then what was never
measured, then what takes longest. `Row` says what each column means.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import sagar_2020_likelihoods as sagar
from sagar_2020_likelihoods import decoder, encoder

from tfgen import bijectors, layers, models, networks

BATCH_SIZE = 100
EPOCHS = 30
NUM_IMAGES = 55_000
NLL_IMAGES = 2000

# Filters of the networks of GANs and hybrids, of VQ-VAE, and of the flow over images: between 0.3
# and 0.6 million parameters each, as the networks of 400 units have 0.7.
GAN_WIDTH, VQ_WIDTH, FLOW_WIDTH = 24, 64, 16

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


# Autoencoders of 400 ReLU units each way, z 40.


def latent_size(run):
    return run.pick(sagar.LATENT_DIM, sagar.LATENT_DIM, 4)


def width(run):
    return run.pick(sagar.WIDTH, sagar.WIDTH, 32)


def point_encoder(run, shape):
    """z = f(x)."""
    return encoder(run, shape, head=None)


def code_discriminator(run, units=1000):
    units = run.pick(units, units, 16)
    return networks.mlp_code_discriminator(latent_size(run), units, activation="leaky_relu")


def vae_variant(model, **options):
    """Builder of a VAE with another objective, from the same two networks."""

    def build(run, shape):
        return model(encoder(run, shape), decoder(run, shape), seed=run.seed, **options)

    return build


def point_decoder(run, shape):
    """x = g(z), in (0, 1)."""
    return networks.mlp_generator(
        shape,
        latent_size(run),
        (width(run),),
        dropout=0.0,
        activation="relu",
        output_activation="sigmoid",
    )


def point_model(model):
    """Builder of an autoencoder without distributions."""
    return lambda run, shape: model(
        point_encoder(run, shape), point_decoder(run, shape), seed=run.seed
    )


def aae(run, shape):
    parts = point_encoder(run, shape), decoder(run, shape), code_discriminator(run)
    return models.AAE(*parts, seed=run.seed)


def factor_vae(run, shape):
    parts = encoder(run, shape), decoder(run, shape), code_discriminator(run)
    return models.FactorVAE(*parts, gamma=10.0, seed=run.seed)


def beta_tcvae(run, shape):
    size = run.pick(NUM_IMAGES, NUM_IMAGES, 1437)
    return vae_variant(models.BetaTCVAE, beta=6.0, dataset_size=size)(run, shape)


def conditional_vae(run, shape):
    classes = 10
    options = {"width": width(run), "depth": 1}
    height, columns, channels = shape
    return models.ConditionalVAE(
        networks.mlp_encoder((height, columns, channels + classes), latent_size(run), **options),
        networks.mlp_decoder(shape, latent_size(run) + classes, **options),
        num_classes=classes,
        seed=run.seed,
    )


def flow_prior(run, shape):
    units = run.pick(128, 128, 8)
    prior = layers.FlowPrior(bijectors.maf(latent_size(run), 4, (units, units)))
    return models.VAE(encoder(run, shape), decoder(run, shape), prior, seed=run.seed)


def vq_vae(run, shape):
    filters = run.pick(VQ_WIDTH, VQ_WIDTH, 8)
    parts = (make(shape, width=filters) for make in (networks.vq_encoder, networks.vq_decoder))
    return models.VQVAE(*parts, num_codes=run.pick(512, 512, 16), seed=run.seed)


# Densities of pixels without an encoder.


def mixture(run, shape):
    components = run.pick(500, 500, 10)
    return models.MixtureEM(components, shape, "bernoulli", min_probability=1e-3, seed=run.seed)


def image_flow(run, shape):
    flow = networks.multiscale_flow(shape, run.pick(FLOW_WIDTH, FLOW_WIDTH, 4))
    noise = bijectors.UniformDequantization(shape, run.pick(256, 256, 17))
    return models.NormalizingFlow(flow, noise, seed=run.seed)


# GANs and hybrids of DCGAN's networks, z 40, pixels in [-1, 1].


def gan_width(run):
    return run.pick(GAN_WIDTH, GAN_WIDTH, 4)


def generator(run, shape, head=None):
    return networks.dcgan_generator(shape, latent_size(run), gan_width(run), head=head)


def discriminator(run, shape, batch_norm=True):
    return networks.dcgan_discriminator(shape, gan_width(run), batch_norm)


def image_encoder(run, shape):
    return networks.dcgan_encoder(shape, latent_size(run), width=gan_width(run), batch_norm=False)


def normal_decoder(run, shape):
    """p(x|z): half the squared error, summed over pixels, in nats."""
    return generator(run, shape, layers.FixedScaleNormal)


def gan(model, batch_norm=True, **options):
    """Builder of a generator and its adversary."""

    def build(run, shape):
        parts = generator(run, shape), discriminator(run, shape, batch_norm)
        return model(*parts, seed=run.seed, **options)

    return build


def hybrid(model, batch_norm=False, **options):
    """Builder of a VAE whose images an adversary judges."""

    def build(run, shape):
        parts = image_encoder(run, shape), normal_decoder(run, shape)
        return model(*parts, discriminator(run, shape, batch_norm), seed=run.seed, **options)

    return build


def ali(run, shape):
    features = networks.dcgan_encoder(
        shape, run.pick(128, 128, 8), head=None, width=gan_width(run), batch_norm=False
    )
    judge = networks.joint_discriminator(
        shape, latent_size(run), (run.pick(256, 256, 16),), dropout=0.0, image_network=features
    )
    return models.ALI(image_encoder(run, shape), generator(run, shape), judge, seed=run.seed)


def alpha_gan(run, shape):
    return models.AlphaGAN(
        image_encoder(run, shape),
        generator(run, shape),
        discriminator(run, shape, batch_norm=False),
        code_discriminator(run, units=256),
        reconstruction_weight=0.1,
        seed=run.seed,
    )


_gan_row = functools.partial(
    Row, optimizer=ADAM_OF_GANS, pixels="signed", measures=(SAMPLES,), minutes=10
)
_point_row = functools.partial(Row, measures=(SAMPLES,), minutes=3)

ROWS = (
    Row("vae", models.VAE, sagar.vae, "VAE", 4),
    _point_row(
        "ae",
        models.AE,
        point_model(models.AE),
        "autoencoder, squared error, sigmoid outputs; samples from codes of N(0, I)",
    ),
    Row("beta-vae", models.BetaVAE, vae_variant(models.BetaVAE, beta=4.0), "beta-VAE, beta 4", 4),
    Row("beta-tcvae", models.BetaTCVAE, beta_tcvae, "beta-TCVAE, beta 6", 5),
    Row("iwae-5", models.IWAE, sagar.iwae(5), "IWAE, 5 samples", 5),
    Row("vamp-prior", models.VAE, sagar.vamp_prior, "VAE, VampPrior of 50 pseudo-inputs", 5),
    Row(
        "iaf",
        models.FlowVAE,
        sagar.iaf,
        "VAE + IAF: 4 steps of masked networks of 128-128 units, context of 64",
        6,
    ),
    Row(
        "planar-10",
        models.FlowVAE,
        sagar.planar(10),
        "VAE + NF: 10 planar steps from a context of 64",
        5,
    ),
    Row(
        "info-vae", models.InfoVAE, vae_variant(models.InfoVAE), "InfoVAE, alpha 0, lambda 1000", 5
    ),
    _point_row(
        "wae",
        models.WAE,
        point_model(models.WAE),
        "WAE-MMD, lambda 10, squared error, sigmoid outputs",
    ),
    _point_row("aae", models.AAE, aae, "AAE, code discriminator of 1000-1000 units", minutes=6),
    Row(
        "dip-vae-i",
        models.DIPVAE,
        vae_variant(models.DIPVAE, kind="i"),
        "DIP-VAE I, lambda_od 10, lambda_d 100",
        4,
    ),
    Row(
        "dip-vae-ii",
        models.DIPVAE,
        vae_variant(models.DIPVAE, kind="ii"),
        "DIP-VAE II, lambda_od 10, lambda_d 10",
        4,
    ),
    Row(
        "factor-vae",
        models.FactorVAE,
        factor_vae,
        "FactorVAE, gamma 10, code discriminator of 1000-1000 units",
        7,
    ),
    Row(
        "conditional-vae",
        models.ConditionalVAE,
        conditional_vae,
        "conditional VAE, given the class: log p(x|y); samples of the classes in turn",
        5,
        labels=True,
    ),
    Row(
        "vq-vae",
        models.VQVAE,
        vq_vae,
        "VQ-VAE: 64 filters, 7 x 7 codes of 512, prior: their frequencies at each place",
        13,
        measures=(BOUND, SAMPLES),
    ),
    Row(
        "mixture",
        models.MixtureEM,
        mixture,
        "mixture of 500 products of Bernoullis by EM, one step an epoch",
        3,
        optimizer=None,
        measures=(NLL, SAMPLES),
    ),
    _gan_row("gan", models.GAN, gan(models.GAN), "DCGAN, non-saturating loss"),
    _gan_row("gan-hinge", models.GAN, gan(models.GAN, loss="hinge"), "DCGAN, hinge loss"),
    _gan_row(
        "wgan-gp",
        models.WGANGP,
        gan(models.WGANGP, batch_norm=False),
        "WGAN-GP, penalty 10, each batch split over 5 steps of the critic",
        optimizer=("adam", {"learning_rate": 2e-4, "beta_1": 0.0, "beta_2": 0.9}),
        minutes=13,
    ),
    _gan_row(
        "wgan",
        models.WGAN,
        gan(models.WGAN),
        "WGAN, weights clipped at 0.01, each batch split over 5 steps of the critic",
        optimizer=("rmsprop", {"learning_rate": 5e-5}),
    ),
    _gan_row("ali", models.ALI, ali, "ALI, the pair judged by convolutions and 256 units"),
    _gan_row(
        "vae-gan",
        models.VAEGAN,
        hybrid(models.VAEGAN, feature_layer="features"),
        "VAE-GAN, errors in the discriminator's features, gan_weight 1",
        minutes=17,
    ),
    _gan_row(
        "vae-gan-pixels",
        models.VAEGAN,
        hybrid(models.VAEGAN, gan_weight=10.0),
        "VAE-GAN, errors in pixels, gan_weight 10",
        minutes=17,
    ),
    _gan_row(
        "constrained-vae-gan",
        models.ConstrainedVAEGAN,
        hybrid(models.ConstrainedVAEGAN, bound=1.0, multiplier=20.0),
        "VAE-GAN, adversarial loss bounded by 1, multiplier 20",
        minutes=17,
    ),
    _gan_row(
        "alpha-gan",
        models.AlphaGAN,
        alpha_gan,
        "alpha-GAN, weight 0.1 on the summed absolute error, code critic of 256-256 units",
        minutes=17,
    ),
    _gan_row(
        "gvae",
        models.GVAE,
        hybrid(models.GVAE, gan_weight=20.0),
        "GVAE, gan_weight 20, penalty 10",
        minutes=20,
    ),
    Row(
        "conv-vae",
        models.VAE,
        sagar.conv_vae,
        "convolutional VAE: 32-32-64-64-64 filters, GELU",
        11,
        nll_images_5000=200,
    ),
    Row(
        "ladder",
        models.LadderVAE,
        sagar.ladder,
        "ladder VAE of levels of 40 and 20, 400 and 200 units",
        5,
        nll_images_5000=500,
    ),
    Row(
        "flow-prior",
        models.VAE,
        flow_prior,
        "VAE whose prior is a MAF of 4 steps of 128-128 units",
        7,
    ),
    Row(
        "planar-80",
        models.FlowVAE,
        sagar.planar(80),
        "VAE + NF: 80 planar steps from a context of 64",
        8,
        nll_images_5000=500,
    ),
    Row(
        "vgp",
        models.VGP,
        sagar.vgp,
        "VAE + VGP: 20 variational data of 10 inputs, networks of 300 units",
        6,
        nll_images_5000=200,
    ),
    Row(
        "hvi-4",
        models.HVI,
        sagar.hvi(4),
        "HVI, one iteration of 4 leapfrog steps, velocities by networks of 300 units",
        8,
        nll_images_5000=200,
    ),
    Row(
        "draw",
        models.DRAW,
        sagar.draw(),
        "DRAW without attention, 256 units, 10 steps of z 10",
        20,
        nll_images_5000=200,
    ),
    Row(
        "draw-attention",
        models.DRAW,
        sagar.draw(2, 5),
        "DRAW with attention, reads 2 x 2, writes 5 x 5, 256 units, 10 steps of z 10",
        20,
        nll_images_5000=200,
    ),
    Row(
        "iwae-50",
        models.IWAE,
        sagar.iwae(50),
        "IWAE, 50 samples",
        15,
    ),
    Row(
        "hvi-16",
        models.HVI,
        sagar.hvi(16),
        "HVI, one iteration of 16 leapfrog steps, velocities by networks of 300 units",
        16,
        nll_images_5000=100,
    ),
    Row(
        "vgp-2hl",
        models.VGP,
        sagar.vgp_two_layers,
        "VAE + VGP, two layers of latent variables, 40 and 20, 400 and 200 units",
        8,
        nll_images_5000=100,
    ),
    Row(
        "draw-vgp",
        models.DRAW,
        sagar.draw(with_vgp=True),
        "DRAW as above, each step's posterior a VGP of 20 variational data and 100 units",
        24,
        nll_images_5000=100,
    ),
    _gan_row(
        "image-flow",
        models.NormalizingFlow,
        image_flow,
        "flow over images of three scales, couplings of 16 filters, uniform dequantization",
        optimizer=ADAM,
        pixels="levels",
        measures=(BOUND, SAMPLES),
        minutes=75,
    ),
    Row(
        "vae-cosine",
        models.VAE,
        sagar.vae,
        "VAE, whose learning rate falls to 0 along half a cosine",
        4,
        optimizer=ADAM_TO_ZERO,
    ),
    Row(
        "vae-500",
        models.VAE,
        sagar.vae,
        "VAE, 500 epochs",
        50,
        epochs=500,
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
