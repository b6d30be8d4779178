"""tfgen's models, trained by `fit` on images in memory.

Most are built by the functions of `examples/benchmark_models.py`.
"""

import argparse
import pathlib
import sys

import keras

from contenders import FLOW_WIDTH, GAN_WIDTH, LEARNING_RATE, VQ_WIDTH, value_range
from tfgen import bijectors, datasets, layers, models, networks

sys.path.append(str(pathlib.Path(__file__).parents[3] / "examples"))

import benchmark_models as builders  # noqa: E402
import paper_script  # noqa: E402

__all__ = ["MODELS", "build", "of_builder"]

SHAPE = (28, 28, 1)
GAN_LATENT_DIM = 100
_RUN = paper_script.Run(argparse.Namespace(smoke=False, scale="cpu"), pathlib.Path(), seed=0)


def _vae_parts():
    return builders.encoder(_RUN, SHAPE), builders.decoder(_RUN, SHAPE)


def _beta_tcvae(num_images):
    return models.BetaTCVAE(*_vae_parts(), dataset_size=num_images, seed=0)


def _factor_vae(_):
    discriminator = networks.mlp_code_discriminator(
        builders.LATENT_DIM, width=1000, depth=5, activation="leaky_relu"
    )
    return models.FactorVAE(*_vae_parts(), discriminator, seed=0)


def _vq_vae(_):
    parts = (make(SHAPE, width=VQ_WIDTH) for make in (networks.vq_encoder, networks.vq_decoder))
    return models.VQVAE(*parts, seed=0)


def _dcgan(_):
    generator = networks.dcgan_generator(SHAPE, GAN_LATENT_DIM, GAN_WIDTH)
    return models.GAN(generator, networks.dcgan_discriminator(SHAPE, GAN_WIDTH), seed=0)


def _wgan_gp(_):
    generator = networks.dcgan_generator(SHAPE, GAN_LATENT_DIM, GAN_WIDTH)
    critic = networks.dcgan_discriminator(SHAPE, GAN_WIDTH, batch_norm=False)
    return models.WGANGP(generator, critic, seed=0)


def _vae_gan(_):
    return models.VAEGAN(
        networks.dcgan_encoder(SHAPE, GAN_LATENT_DIM, width=GAN_WIDTH),
        networks.dcgan_generator(SHAPE, GAN_LATENT_DIM, GAN_WIDTH, head=layers.FixedScaleNormal),
        networks.dcgan_discriminator(SHAPE, GAN_WIDTH),
        feature_layer="features",
        seed=0,
    )


def _image_flow(_):
    flow = networks.multiscale_flow(SHAPE, FLOW_WIDTH)
    return models.NormalizingFlow(flow, bijectors.UniformDequantization(SHAPE), seed=0)


def of_builder(builder):
    """The function of `MODELS` for one of `builders`'."""
    return lambda _: builder(_RUN, SHAPE)


# Name -> function of the number of images to the model.
MODELS = {
    "vae": of_builder(builders.vae),
    "conv-vae": of_builder(builders.conv_vae),
    "iwae-5": of_builder(builders.iwae(5)),
    "iwae-50": of_builder(builders.iwae(50)),
    "vampprior": of_builder(builders.vamp_prior),
    "planar-10": of_builder(builders.planar(10)),
    "planar-80": of_builder(builders.planar(80)),
    "iaf": of_builder(builders.iaf),
    "hvi-4": of_builder(builders.hvi(4)),
    "hvi-16": of_builder(builders.hvi(16)),
    "draw": of_builder(builders.draw()),
    "draw-attention": of_builder(builders.draw(2, 5)),
    "draw-vgp": of_builder(builders.draw(with_vgp=True)),
    "vgp": of_builder(builders.vgp),
    "vgp-2hl": of_builder(builders.vgp_two_layers),
    "ladder": of_builder(builders.ladder),
    "beta-tcvae": _beta_tcvae,
    "factor-vae": _factor_vae,
    "vq-vae": _vq_vae,
    "dcgan": _dcgan,
    "wgan-gp": _wgan_gp,
    "vae-gan": _vae_gan,
    "image-flow": _image_flow,
}


def build(name, images, batch_size=100, jit_compile=False):
    """Builds and compiles a model.

    Args:
        name: str, a name of `MODELS`.
        images: float32 array in [0, 1], shape (n, 28, 28, 1).
        batch_size: int.
        jit_compile: bool, XLA.

    Returns:
        Tuple (model, run). `run` calls `fit` for one epoch of so many batches, and returns the mean
        of the first player's loss.
    """
    keras.utils.set_random_seed(0)
    model = MODELS[name](len(images))
    model.compile(keras.optimizers.Adam(LEARNING_RATE), jit_compile=jit_compile)
    dataset, _ = datasets.load(
        images, batch_size=batch_size, value_range=value_range(name), drop_remainder=True
    )

    def run(num_steps):
        history = model.fit(dataset.repeat().take(num_steps), verbose=0).history
        return history[model.updates[0].minimise][0]

    return model, run
