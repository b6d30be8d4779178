"""Generative models: `keras.Model` subclasses over one base with one training step."""

from tfgen.models.autoencoder import AE
from tfgen.models.base import GenerativeModel, Update, load_model
from tfgen.models.beta_tcvae import BetaTCVAE
from tfgen.models.beta_vae import BetaVAE
from tfgen.models.vae import VAE

__all__ = ["AE", "VAE", "BetaTCVAE", "BetaVAE", "GenerativeModel", "Update", "load_model"]
