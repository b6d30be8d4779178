"""Figures of models, latent spaces and training. Each function returns `(fig, axes)`."""

from tfgen.plotting.curves import training_curves
from tfgen.plotting.grids import interpolations, reconstructions, samples, traversals
from tfgen.plotting.images import image_grid
from tfgen.plotting.latents import latent_scatter, manifold

__all__ = [
    "image_grid",
    "interpolations",
    "latent_scatter",
    "manifold",
    "reconstructions",
    "samples",
    "training_curves",
    "traversals",
]
