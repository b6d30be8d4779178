"""Figures of models, latent spaces and training, `(fig, axes)`; and a page to show them."""

from tfgen.plotting.components import mixture_components
from tfgen.plotting.curves import training_curves
from tfgen.plotting.density import density
from tfgen.plotting.grids import interpolations, reconstructions, samples, traversals
from tfgen.plotting.heat_map import heat_map
from tfgen.plotting.images import image_grid, volume_slices
from tfgen.plotting.latents import latent_scatter, manifold
from tfgen.plotting.page import html_page
from tfgen.plotting.rate_distortion import rate_distortion
from tfgen.plotting.series import series
from tfgen.plotting.tables import correlations, marginals, pair_plot

__all__ = [
    "correlations",
    "density",
    "heat_map",
    "html_page",
    "image_grid",
    "interpolations",
    "latent_scatter",
    "manifold",
    "marginals",
    "mixture_components",
    "pair_plot",
    "rate_distortion",
    "reconstructions",
    "samples",
    "series",
    "training_curves",
    "traversals",
    "volume_slices",
]
