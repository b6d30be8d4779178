"""Networks of the PyTorch contenders: the layers and sizes of tfgen's, with Keras' initial weights.

Only the padding of strided convolutions differs: here it is symmetric, and Keras' "same" padding
lies one pixel further right and down.
"""

import torch
from torch import nn
from torch.nn import functional

__all__ = [
    "auxiliary",
    "conv_decoder",
    "conv_encoder",
    "dcgan_discriminator",
    "dcgan_encoder",
    "dcgan_generator",
    "dense",
    "gated_conv_net",
    "initialize",
    "mlp",
    "mlp_decoder",
    "mlp_encoder",
    "vq_decoder",
    "vq_encoder",
]

NUM_PIXELS = 784
GAN_LATENT_DIM = 100
_WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


# Initial weights.


def initialize(network, stddev=None):
    """The network with biases of 0 and Glorot's weights, or normal ones of a standard deviation."""
    for layer in network.modules():
        if isinstance(layer, _WEIGHTED):
            if stddev is None:
                nn.init.xavier_uniform_(layer.weight)
            else:
                nn.init.normal_(layer.weight, std=stddev)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def dense(inputs, outputs, bias=True, stddev=None):
    """One linear layer."""
    return initialize(nn.Linear(inputs, outputs, bias), stddev)


# Fully connected.


def mlp(*sizes, activation=nn.ReLU):
    """Linear layers with an activation between each two."""
    layers = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), activation()]
    return initialize(nn.Sequential(*layers[:-1]))


def mlp_encoder(num_outputs, *hidden):
    """From images to parameters of z."""
    return nn.Sequential(nn.Flatten(), *mlp(NUM_PIXELS, *hidden, num_outputs))


def mlp_decoder(latent_dim, *hidden):
    """From z to logits of images."""
    return nn.Sequential(*mlp(latent_dim, *hidden, NUM_PIXELS), nn.Unflatten(1, (1, 28, 28)))


def auxiliary(latent_dim, width):
    """`tfgen.networks.mlp_auxiliary`: from flat images beside z to the parameters of a density."""
    network = mlp(NUM_PIXELS + latent_dim, width, 2 * latent_dim, activation=nn.Softplus)
    initialize(network[-1], stddev=0.01)
    return network


# Convolutional, of `tfgen.networks.conv_encoder` and `conv_decoder`.


def _conv(inputs, filters, stride=1):
    return [nn.Conv2d(inputs, filters, 3, stride, padding=1), nn.GELU()]


def _transposed(inputs, filters, output_padding=1):
    return nn.ConvTranspose2d(
        inputs, filters, 3, stride=2, padding=1, output_padding=output_padding
    )


def conv_encoder(num_outputs):
    """From images to parameters of z."""
    network = nn.Sequential(
        *_conv(1, 32, stride=2),
        *_conv(32, 32),
        *_conv(32, 64, stride=2),
        *_conv(64, 64),
        *_conv(64, 64, stride=2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 64, num_outputs),
    )
    return initialize(network)


def conv_decoder(latent_dim):
    """From z to logits of images."""
    network = nn.Sequential(
        nn.Linear(latent_dim, 4 * 4 * 64),
        nn.GELU(),
        nn.Unflatten(1, (64, 4, 4)),
        _transposed(64, 64, output_padding=0),
        nn.GELU(),
        *_conv(64, 64),
        _transposed(64, 32),
        nn.GELU(),
        *_conv(32, 32),
        _transposed(32, 1),
    )
    return initialize(network)


# DCGAN, of `tfgen.networks.dcgan_generator` and its reverse.


def _features(width, batch_norm):
    """Convolutions that halve an image, to flat features."""
    layers, inputs = [], 1
    for filters in (width, 2 * width, 4 * width):
        normalized = batch_norm and inputs > 1
        layers.append(nn.Conv2d(inputs, filters, 5, 2, padding=2, bias=not normalized))
        layers += [nn.BatchNorm2d(filters)] if normalized else []
        layers.append(nn.LeakyReLU(0.2))
        inputs = filters
    return [*layers, nn.Flatten()]


def dcgan_encoder(num_outputs, width):
    """From images to parameters of z."""
    last = nn.Linear(4 * 4 * 4 * width, num_outputs)
    return initialize(nn.Sequential(*_features(width, batch_norm=True), last), stddev=0.02)


def dcgan_discriminator(width, batch_norm=True):
    """From images to a logit; all but its last layer give flat features."""
    last = nn.Linear(4 * 4 * 4 * width, 1)
    return initialize(nn.Sequential(*_features(width, batch_norm), last), stddev=0.02)


def dcgan_generator(width, latent_dim=GAN_LATENT_DIM):
    """From z to images in [-1, 1]."""

    def double(inputs, filters, output_padding, bias=False):
        return nn.ConvTranspose2d(
            inputs, filters, 5, 2, padding=2, output_padding=output_padding, bias=bias
        )

    network = nn.Sequential(
        nn.Linear(latent_dim, 4 * 4 * 4 * width, bias=False),
        nn.Unflatten(1, (4 * width, 4, 4)),
        nn.BatchNorm2d(4 * width),
        nn.ReLU(),
        double(4 * width, 2 * width, output_padding=0),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        double(2 * width, width, output_padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        double(width, 1, output_padding=1, bias=True),
        nn.Tanh(),
    )
    return initialize(network, stddev=0.02)


# VQ-VAE, of `tfgen.networks.vq_encoder` and `vq_decoder`.


class _Residual(nn.Module):
    """Adds ReLU, a 3x3 convolution, ReLU and a 1x1 convolution to its input."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1)
        )

    def forward(self, x):
        return x + self.layers(x)


def vq_encoder(code_dim, width):
    """From images to a map of 7 by 7 vectors."""
    network = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 4, 2, padding=1),
        _Residual(width),
        _Residual(width),
        nn.ReLU(),
        nn.Conv2d(width, code_dim, 1),
    )
    return initialize(network)


def vq_decoder(code_dim, width):
    """From a map of 7 by 7 codes to logits of images."""
    network = nn.Sequential(
        nn.Conv2d(code_dim, width, 3, padding=1),
        _Residual(width),
        _Residual(width),
        nn.ReLU(),
        nn.ConvTranspose2d(width, width, 4, 2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, 2, padding=1),
    )
    return initialize(network)


# The network of a coupling layer, `tfgen.networks.gated_conv_net`.


class _ConcatELU(nn.Module):
    def forward(self, x):
        return functional.elu(torch.cat([x, -x], dim=1))


class _GatedBlock(nn.Module):
    """Two convolutions, whose output a gate lets through to be added to x; normalization."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            _ConcatELU(),
            nn.Conv2d(2 * width, width, 3, padding=1),
            _ConcatELU(),
            nn.Conv2d(2 * width, 2 * width, 1),
        )
        self.scale = nn.Parameter(torch.ones(width, 1, 1))
        self.shift = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, x):
        value, gate = self.layers(x).chunk(2, dim=1)
        x = x + value * gate.sigmoid()
        variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-5) * self.scale + self.shift


def gated_conv_net(channels, width, num_layers=3):
    """From images to twice as many channels, 0 at first."""
    network = nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        *(_GatedBlock(width) for _ in range(num_layers)),
        _ConcatELU(),
        nn.Conv2d(2 * width, 2 * channels, 3, padding=1),
    )
    nn.init.zeros_(initialize(network)[-1].weight)
    return network
