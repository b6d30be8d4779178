"""Encoders, decoders, generators and discriminators of the papers, as Keras models.

A network ends in a distribution layer where its paper puts a probability, so that `encoder(x)` is
q(z|x) and `decoder(z)` is p(x|z). That layer is the network's *head*: a callable that takes the
shape of one event and returns the layer, such as `tfgen.layers.IndependentNormal`, or
`functools.partial(tfgen.layers.FixedScaleNormal, scale=0.1)` to set its other arguments.
`head=None` leaves the network deterministic, as in an autoencoder or a generator.

A generator is a decoder without head: it ends in an activation that bounds its pixels, and with a
head this activation bounds the mean. A discriminator, or critic, ends in one logit per example,
without sigmoid; its layer named "features" serves to compare images. Outputs are float32 also under
a mixed-precision policy.
"""

from tfgen.networks.auxiliary import mlp_auxiliary
from tfgen.networks.causal import causal_decoder, causal_encoder
from tfgen.networks.conv import conv_decoder, conv_encoder
from tfgen.networks.conv64 import conv64_decoder, conv64_encoder
from tfgen.networks.dcgan import dcgan_discriminator, dcgan_encoder, dcgan_generator
from tfgen.networks.draw import DRAWDecoder, DRAWEncoder
from tfgen.networks.flows import (
    gated_conv_net,
    glow,
    glow_net,
    multiscale_flow,
    simple_flow,
    variational_dequantization,
    vector_flow,
)
from tfgen.networks.ladder import ladder_decoder, ladder_encoder, ladder_prior
from tfgen.networks.larsen import larsen_decoder, larsen_discriminator, larsen_encoder
from tfgen.networks.mlp import mlp_decoder, mlp_encoder, mlp_prior
from tfgen.networks.mlp_gan import (
    joint_discriminator,
    mlp_code_discriminator,
    mlp_discriminator,
    mlp_generator,
)
from tfgen.networks.recurrent import recurrent_decoder, recurrent_encoder
from tfgen.networks.residual import gvae_encoder, residual_discriminator, residual_generator
from tfgen.networks.series_flow import series_flow
from tfgen.networks.table import table_head
from tfgen.networks.vgp import GaussianProcessMapping, VGPPosterior
from tfgen.networks.vq import vq_decoder, vq_encoder

__all__ = [
    "DRAWDecoder",
    "DRAWEncoder",
    "GaussianProcessMapping",
    "VGPPosterior",
    "causal_decoder",
    "causal_encoder",
    "conv64_decoder",
    "conv64_encoder",
    "conv_decoder",
    "conv_encoder",
    "dcgan_discriminator",
    "dcgan_encoder",
    "dcgan_generator",
    "gated_conv_net",
    "glow",
    "glow_net",
    "gvae_encoder",
    "joint_discriminator",
    "ladder_decoder",
    "ladder_encoder",
    "ladder_prior",
    "larsen_decoder",
    "larsen_discriminator",
    "larsen_encoder",
    "mlp_auxiliary",
    "mlp_code_discriminator",
    "mlp_decoder",
    "mlp_discriminator",
    "mlp_encoder",
    "mlp_generator",
    "mlp_prior",
    "multiscale_flow",
    "recurrent_decoder",
    "recurrent_encoder",
    "residual_discriminator",
    "residual_generator",
    "series_flow",
    "simple_flow",
    "table_head",
    "variational_dequantization",
    "vector_flow",
    "vq_decoder",
    "vq_encoder",
]
