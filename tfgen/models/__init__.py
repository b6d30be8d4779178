"""Generative models: `keras.Model` subclasses over one base with one training step."""

from tfgen.models.aae import AAE
from tfgen.models.ali import ALI
from tfgen.models.alpha_gan import AlphaGAN
from tfgen.models.autoencoder import AE
from tfgen.models.base import GenerativeModel, Update, load_model
from tfgen.models.beta_tcvae import BetaTCVAE
from tfgen.models.beta_vae import BetaVAE
from tfgen.models.gan import GAN
from tfgen.models.vae import VAE
from tfgen.models.vaegan import GVAE, VAEGAN, ConstrainedVAEGAN
from tfgen.models.wgan import WGAN, WGANGP

__all__ = [
    "AAE",
    "AE",
    "ALI",
    "GAN",
    "GVAE",
    "VAE",
    "VAEGAN",
    "WGAN",
    "WGANGP",
    "AlphaGAN",
    "BetaTCVAE",
    "BetaVAE",
    "ConstrainedVAEGAN",
    "GenerativeModel",
    "Update",
    "load_model",
]
