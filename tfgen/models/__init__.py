"""Generative models: `keras.Model` subclasses over one base with one training step."""

from tfgen.models.aae import AAE
from tfgen.models.ali import ALI
from tfgen.models.alpha_gan import AlphaGAN
from tfgen.models.autoencoder import AE
from tfgen.models.base import GenerativeModel, Update, load_model
from tfgen.models.beta_tcvae import BetaTCVAE
from tfgen.models.beta_vae import BetaVAE
from tfgen.models.conditional_vae import ConditionalVAE
from tfgen.models.dip_vae import DIPVAE
from tfgen.models.factor_vae import FactorVAE
from tfgen.models.gan import GAN
from tfgen.models.info_vae import InfoVAE
from tfgen.models.vae import VAE
from tfgen.models.vaegan import GVAE, VAEGAN, ConstrainedVAEGAN
from tfgen.models.wae import WAE
from tfgen.models.wgan import WGAN, WGANGP

__all__ = [
    "AAE",
    "AE",
    "ALI",
    "DIPVAE",
    "GAN",
    "GVAE",
    "VAE",
    "VAEGAN",
    "WAE",
    "WGAN",
    "WGANGP",
    "AlphaGAN",
    "BetaTCVAE",
    "BetaVAE",
    "ConditionalVAE",
    "ConstrainedVAEGAN",
    "FactorVAE",
    "GenerativeModel",
    "InfoVAE",
    "Update",
    "load_model",
]
