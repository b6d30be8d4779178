"""pythae's models, each trained by the step of its own trainer on images that lie in memory.

Encoders, decoders and discriminators are those of `torch_networks`. In place of the trainer's
`DataLoader`, which fetches image by image, a batch is one index operation; Adam is fused; there are
no callbacks. What pythae's models have otherwise than tfgen's: log-variances in place of softplus;
planar steps and IAF without context; pseudo-inputs and pairs of logits with further biases;
FactorVAE with half of a batch for each part; VAE-GAN with the features in passes of their own and
steps that a threshold leaves out; VQ-VAE with squared errors.
"""

import tempfile

import torch
from pythae import models, trainers
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder
from pythae.trainers.training_callbacks import CallbackHandler
from torch import nn

from contenders import GAN_WIDTH, LEARNING_RATE, VQ_WIDTH, in_range
from contenders import torch_networks as networks
from contenders.steps_torch import endless_batches
from contenders.torch_models import LATENT_DIM, WIDTH

__all__ = ["MODELS", "Decoder", "Encoder", "Training", "build"]

_IMAGE_SHAPE = (1, 28, 28)


# Networks.


class Encoder(BaseEncoder):
    """A network to locs and log-variances of z."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        loc, log_variance = self.network(images).chunk(2, dim=1)
        return ModelOutput(embedding=loc, log_covariance=log_variance)


class _CodeEncoder(Encoder):
    """A network to the vectors that are quantized."""

    def forward(self, images):
        return ModelOutput(embedding=self.network(images))


class Decoder(BaseDecoder):
    """A network to images, through a last activation."""

    def __init__(self, network, activation):
        super().__init__()
        self.network, self.activation = network, activation

    def forward(self, z):
        return ModelOutput(reconstruction=self.activation(self.network(z)))


class _Discriminator(BaseDiscriminator):
    """Features, layer 1, and probability, layer 2."""

    depth = 2

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images, output_layer_levels=None):
        features = self.network[:-1](images)
        if output_layer_levels is not None:
            return ModelOutput(embedding_layer_1=features)
        return ModelOutput(embedding=self.network[-1](features).sigmoid())


# Models.


def _vae(model=models.VAE, config=models.VAEConfig, parts=None, **options):
    """A VAE, or one of its variants, of binary images."""
    config = config(
        input_dim=_IMAGE_SHAPE, latent_dim=LATENT_DIM, reconstruction_loss="bce", **options
    )
    encoder, decoder = parts or (
        networks.mlp_encoder(2 * LATENT_DIM, WIDTH),
        networks.mlp_decoder(LATENT_DIM, WIDTH),
    )
    return model(config, Encoder(encoder), Decoder(decoder, nn.Sigmoid()))


def _conv_vae():
    parts = networks.conv_encoder(2 * LATENT_DIM), networks.conv_decoder(LATENT_DIM)
    return _vae(parts=parts)


def _planar(num_steps):
    return _vae(models.VAE_LinNF, models.VAE_LinNF_Config, flows=num_steps * ["Planar"])


def _iaf():
    sizes = {"n_made_blocks": 4, "n_hidden_in_made": 2, "hidden_size": 128}
    return _vae(models.VAE_IAF, models.VAE_IAF_Config, **sizes)


def _vq_vae(code_dim=64):
    config = models.VQVAEConfig(input_dim=_IMAGE_SHAPE, latent_dim=code_dim, use_ema=True)
    encoder = networks.vq_encoder(code_dim, VQ_WIDTH)
    decoder = networks.vq_decoder(code_dim, VQ_WIDTH)
    return models.VQVAE(config, _CodeEncoder(encoder), Decoder(decoder, nn.Sigmoid()))


def _vae_gan():
    latent_dim = networks.GAN_LATENT_DIM
    return models.VAEGAN(
        models.VAEGANConfig(input_dim=_IMAGE_SHAPE, latent_dim=latent_dim, reconstruction_layer=1),
        Encoder(networks.dcgan_encoder(2 * latent_dim, GAN_WIDTH)),
        Decoder(networks.dcgan_generator(GAN_WIDTH), nn.Identity()),
        _Discriminator(networks.dcgan_discriminator(GAN_WIDTH)),
    )


MODELS = {
    "vae": _vae,
    "conv-vae": _conv_vae,
    "iwae-5": lambda: _vae(models.IWAE, models.IWAEConfig, number_samples=5),
    "iwae-50": lambda: _vae(models.IWAE, models.IWAEConfig, number_samples=50),
    "vampprior": lambda: _vae(models.VAMP, models.VAMPConfig, number_components=50),
    "planar-10": lambda: _planar(10),
    "planar-80": lambda: _planar(80),
    "iaf": _iaf,
    "beta-tcvae": lambda: _vae(models.BetaTCVAE, models.BetaTCVAEConfig, beta=6.0, use_mss=True),
    "factor-vae": lambda: _vae(models.FactorVAE, models.FactorVAEConfig, gamma=10.0),
    "vq-vae": _vq_vae,
    "vae-gan": _vae_gan,
}
# Class -> its trainer, the trainer's config, and the players that have an optimizer.
_TRAINERS = {
    models.FactorVAE: (
        trainers.AdversarialTrainer,
        trainers.AdversarialTrainerConfig,
        ("autoencoder_", "discriminator_"),
    ),
    models.VAEGAN: (
        trainers.CoupledOptimizerAdversarialTrainer,
        trainers.CoupledOptimizerAdversarialTrainerConfig,
        ("encoder_", "decoder_", "discriminator_"),
    ),
}
_TRAINER = trainers.BaseTrainer, trainers.BaseTrainerConfig, ("",)


# Training.


def build(name, images, batch_size=100):
    """Builds a model.

    Args:
        name: str, a name of `MODELS`.
        images: float32 array in [0, 1], shape (n, 28, 28, 1).
        batch_size: int.

    Returns:
        `Training`, the function from a number of steps to the mean loss.
    """
    return Training(MODELS[name](), in_range(name, images), batch_size)


class _Batches:
    """So many batches, as a trainer's `train_loader` has them."""

    def __init__(self, batches, num_steps, dataset):
        self.batches, self.num_steps, self.dataset = batches, num_steps, dataset

    def __len__(self):
        return self.num_steps

    def __iter__(self):
        return (DatasetOutput(data=next(self.batches)) for _ in range(self.num_steps))


class Training:
    """Function from a number of steps to the mean of the sum of all players' losses.

    Args:
        model: model of pythae.
        images: float32 array, shape (n, 28, 28, 1).
        batch_size: int.
    """

    def __init__(self, model, images, batch_size):
        self.model, self.batches = model, endless_batches(images, batch_size)
        images = torch.from_numpy(images.transpose(0, 3, 1, 2))
        self.trainer = _trainer(model, BaseDataset(images, torch.ones(len(images))), batch_size)

    def __call__(self, num_steps):
        dataset = self.trainer.train_dataset
        self.trainer.train_loader = _Batches(self.batches, num_steps, dataset)
        loss = self.trainer.train_step(epoch=1)
        return loss[0] if isinstance(loss, tuple) else loss


def _trainer(model, dataset, batch_size):
    """The model's trainer, ready for its first step."""
    trainer_class, config_class, players = _TRAINERS.get(type(model), _TRAINER)
    options = {f"{player}learning_rate": LEARNING_RATE for player in players}
    options |= {f"{player}optimizer_params": {"fused": True} for player in players}
    with tempfile.TemporaryDirectory() as output_dir:
        config = config_class(
            output_dir=output_dir, per_device_train_batch_size=batch_size, **options
        )
        trainer = trainer_class(model, dataset, training_config=config)
        trainer.prepare_training()
    trainer.callback_handler = CallbackHandler([], model)
    return trainer
