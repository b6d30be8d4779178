"""Generative models: `keras.Model` subclasses over one base with one training step."""

from tfgen.models.aae import AAE
from tfgen.models.acgan import ACGAN
from tfgen.models.ada_gvae import AdaGVAE
from tfgen.models.ali import ALI
from tfgen.models.alpha_gan import AlphaGAN
from tfgen.models.autoencoder import AE
from tfgen.models.auxiliary_vae import AuxiliaryVAE
from tfgen.models.base import GenerativeModel, Update
from tfgen.models.beta_tcvae import BetaTCVAE
from tfgen.models.beta_vae import BetaVAE
from tfgen.models.dip_vae import DIPVAE
from tfgen.models.draw import DRAW
from tfgen.models.export import export_model, export_network
from tfgen.models.factor_vae import FactorVAE
from tfgen.models.flow_vae import FlowVAE
from tfgen.models.fsq_vae import FSQVAE
from tfgen.models.gan import GAN
from tfgen.models.hvae import HVAE
from tfgen.models.hvi import HVI
from tfgen.models.info_gan import InfoGAN
from tfgen.models.info_vae import InfoVAE
from tfgen.models.iwae import IWAE
from tfgen.models.ladder_vae import LadderVAE
from tfgen.models.loading import load_model
from tfgen.models.missing_data import MIWAE, MissingDataVAE
from tfgen.models.mixture_em import MixtureEM
from tfgen.models.normalizing_flow import NormalizingFlow
from tfgen.models.pretrained import load_pretrained, pretrained_models
from tfgen.models.rae import RAE
from tfgen.models.resumable_model import ResumableModel
from tfgen.models.rq_vae import RQVAE
from tfgen.models.semi_supervised_vae import SemiSupervisedVAE
from tfgen.models.vae import VAE, Draw
from tfgen.models.vaegan import GVAE, VAEGAN, ConstrainedVAEGAN
from tfgen.models.vgp import VGP
from tfgen.models.vq_vae import VQVAE
from tfgen.models.wae import WAE
from tfgen.models.wgan import WGAN, WGANGP

__all__ = [
    "AAE",
    "ACGAN",
    "AE",
    "ALI",
    "AdaGVAE",
    "AlphaGAN",
    "AuxiliaryVAE",
    "BetaTCVAE",
    "BetaVAE",
    "ConstrainedVAEGAN",
    "DIPVAE",
    "DRAW",
    "Draw",
    "FSQVAE",
    "FactorVAE",
    "FlowVAE",
    "GAN",
    "GVAE",
    "GenerativeModel",
    "HVAE",
    "HVI",
    "IWAE",
    "InfoGAN",
    "InfoVAE",
    "LadderVAE",
    "MIWAE",
    "MissingDataVAE",
    "MixtureEM",
    "NormalizingFlow",
    "RAE",
    "RQVAE",
    "ResumableModel",
    "SemiSupervisedVAE",
    "Update",
    "VAE",
    "VAEGAN",
    "VGP",
    "VQVAE",
    "WAE",
    "WGAN",
    "WGANGP",
    "export_model",
    "export_network",
    "load_model",
    "load_pretrained",
    "pretrained_models",
]
