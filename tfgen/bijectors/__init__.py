"""Invertible maps with tractable Jacobians, as Keras 3 layers: the parts of normalizing flows."""

from tfgen.bijectors.autoregressive import MaskedAutoregressive, iaf, maf
from tfgen.bijectors.bijector import Bijector, Chain, Given, Invert
from tfgen.bijectors.coupling import (
    AffineCoupling,
    SplineCoupling,
    alternating_mask,
    coupling_network,
)
from tfgen.bijectors.dequantization import UniformDequantization, VariationalDequantization
from tfgen.bijectors.elementwise import Permute, Sigmoid
from tfgen.bijectors.glow import ActNorm, Invertible1x1Conv
from tfgen.bijectors.image import Split, Squeezed, channel_mask, checkerboard_mask
from tfgen.bijectors.planar import Planar, Radial, Sylvester

__all__ = [
    "ActNorm",
    "AffineCoupling",
    "Bijector",
    "Chain",
    "Given",
    "Invert",
    "Invertible1x1Conv",
    "MaskedAutoregressive",
    "Permute",
    "Planar",
    "Radial",
    "Sigmoid",
    "SplineCoupling",
    "Split",
    "Squeezed",
    "Sylvester",
    "UniformDequantization",
    "VariationalDequantization",
    "alternating_mask",
    "channel_mask",
    "checkerboard_mask",
    "coupling_network",
    "iaf",
    "maf",
]
