"""Figures of models, latent spaces and training. Each function returns `(fig, axes)`."""

from tfgen.plotting.components import mixture_components
from tfgen.plotting.curves import training_curves
from tfgen.plotting.density import density
from tfgen.plotting.grids import interpolations, reconstructions, samples, traversals
from tfgen.plotting.heat_map import heat_map
from tfgen.plotting.images import image_grid
from tfgen.plotting.latents import latent_scatter, manifold
from tfgen.plotting.rate_distortion import rate_distortion

__all__ = [
    "density",
    "heat_map",
    "image_grid",
    "interpolations",
    "latent_scatter",
    "manifold",
    "mixture_components",
    "rate_distortion",
    "reconstructions",
    "samples",
    "training_curves",
    "traversals",
]
