"""Encoders and decoders of the papers, as functions that return plain Keras models.

A network ends in a distribution layer where its paper puts a probability, so that `encoder(x)` is
q(z|x) and `decoder(z)` is p(x|z). That layer is the network's *head*: a callable that takes the
shape of one event and returns the layer, such as `tfgen.layers.IndependentNormal`, or
`functools.partial(tfgen.layers.FixedScaleNormal, scale=0.1)` to set its other arguments.
`head=None` leaves the network deterministic, as in an autoencoder.
"""

from tfgen.networks.conv import conv_decoder, conv_encoder
from tfgen.networks.conv64 import conv64_decoder, conv64_encoder
from tfgen.networks.mlp import mlp_decoder, mlp_encoder

__all__ = [
    "conv64_decoder",
    "conv64_encoder",
    "conv_decoder",
    "conv_encoder",
    "mlp_decoder",
    "mlp_encoder",
]
