"""What a model makes: samples, reconstructions, latent traversals, interpolations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import Plot, flat_latent_dim, value_range_of
from tfgen.plotting.images import check_images, image_grid

__all__ = ["interpolations", "reconstructions", "samples", "traversals"]

MAX_RECONSTRUCTIONS = 20


def _labels(labels):
    """The argument of that name; a model without labels has none."""
    return {} if labels is None else {"labels": labels}


def _table_of_images(model, images, row_labels, column_labels, value_range):
    """Grid of a model's images of shape (rows, columns, h, w, c), with both labels."""
    images = np.asarray(images)
    return image_grid(
        images.reshape(-1, *images.shape[2:]),
        columns=images.shape[1],
        value_range=value_range_of(model, value_range),
        row_labels=row_labels,
        column_labels=column_labels,
    )


def samples(
    model: Any,
    num_samples: int = 64,
    mean: bool = True,
    seed: int = 0,
    value_range: Sequence[float] | None = None,
    labels: TensorLike | None = None,
) -> Plot:
    """Images that the model makes from draws of its prior.

    Args:
        model: model with `sample`.
        num_samples: int, images.
        mean: bool, True for the means E[x|z], False for pixels drawn from p(x|z).
        seed: int, gives the same images again.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1).
        labels: int or ints of shape (num_samples,), for models whose `sample` takes them.

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if the samples are no images, see `image_grid`.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> fig, axes = samples(model, num_samples=16)
        >>> axes.get_title()
        '16 samples, E[x|z]'
    """
    # Means are every model's default; a generator without p(x|z) has no such argument.
    kwargs = {**({} if mean else {"mean": False}), **_labels(labels)}
    images = model.sample(num_samples, seed=seed, **kwargs)
    fig, axes = image_grid(images, value_range=value_range_of(model, value_range))
    axes.set_title(f"{num_samples} samples, {'E[x|z]' if mean else 'x ~ p(x|z)'}")
    return fig, axes


def reconstructions(
    model: Any,
    x: TensorLike,
    value_range: Sequence[float] | None = None,
    labels: TensorLike | None = None,
) -> Plot:
    """A row of images above the row of their reconstructions.

    Args:
        model: model with `reconstruct`.
        x: array or tensor, shape (n, h, w, c), n at most 20.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1).
        labels: int or ints of shape (n,), for models whose `reconstruct` takes them.

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if there are more than 20 images, or `x` are no images, see `image_grid`.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> fig, axes = reconstructions(model, np.zeros((10, *shape)))
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['original', 'reconstruction']
    """
    x = check_images(x)
    if len(x) > MAX_RECONSTRUCTIONS:
        raise ValueError(
            f"reconstructions shows at most {MAX_RECONSTRUCTIONS} images, one a column. "
            f"Received: {len(x)} images. Pass x[:10]."
        )
    rows = np.stack([x, np.asarray(model.reconstruct(x, **_labels(labels)))])
    fig, axes = _table_of_images(model, rows, ["original", "reconstruction"], None, value_range)
    axes.set_title("Reconstructions, E[x|z]")
    return fig, axes


def _traversed_dims(latent_dim, dims, kl):
    """The dimensions to show, those of highest KL first where it is known."""
    dims = list(range(latent_dim)) if dims is None else [int(dim) for dim in dims]
    if not dims or min(dims) < 0 or max(dims) >= latent_dim:
        raise ValueError(
            f"dims must be dimensions of a latent space of {latent_dim}, counted from 0. "
            f"Received: dims={dims}. Use None for all."
        )
    if kl is None:
        return dims
    if np.shape(kl) != (latent_dim,):
        raise ValueError(
            f"kl must hold one value for each of {latent_dim} latent dimensions. "
            f"Received: shape {np.shape(kl)}. Average the KL over examples, not over dimensions."
        )
    return sorted(dims, key=lambda dim: -float(kl[dim]))


def _dim_label(dim, kl):
    """z_3, with its KL where it is known."""
    return f"$z_{{{dim}}}$" if kl is None else f"$z_{{{dim}}}$ ({float(kl[dim]):.2f} nats)"


def traversals(
    model: Any,
    x: TensorLike | None = None,
    dims: Sequence[int] | None = None,
    values: Sequence[float] | None = None,
    kl: Sequence[float] | np.ndarray | None = None,
    value_range: Sequence[float] | None = None,
) -> Plot:
    """Images as one latent dimension moves and the others stay: rows dimensions, columns values.

    Args:
        model: model with `latent_shape` (k,) and `traverse`.
        x: array or tensor of shape (h, w, c), whose code the others keep; None for the origin.
        dims: sequence of int or None, dimensions to move; None for all.
        values: sequence of float or None, the dimension's values, in units of z; None for
            -3, -2, ... 3.
        kl: array of shape (k,) or None, KL of each dimension in nats: sorts the rows, highest
            first, and stands beside their labels.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1).

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if the latent space is not flat, a dimension is outside it, or `kl` has not k
            values.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 3), networks.mlp_decoder(shape, 3))
        >>> fig, axes = traversals(model, kl=[0.1, 2.0, 0.0])
        >>> axes.get_yticklabels()[0].get_text()
        '$z_{1}$ (2.00 nats)'
    """
    steps = np.linspace(-3.0, 3.0, 7) if values is None else np.asarray(values, "float32")
    dims = _traversed_dims(flat_latent_dim(model, "traversals"), dims, kl)
    images = model.traverse(x, dims=dims, values=steps)
    row_labels = [_dim_label(dim, kl) for dim in dims]
    column_labels = [f"{value:.3g}" for value in steps]
    fig, axes = _table_of_images(model, images, row_labels, column_labels, value_range)
    axes.set(title="Latent traversals, E[x|z]", xlabel="value of the row's dimension")
    return fig, axes


def interpolations(
    model: Any,
    start: TensorLike,
    end: TensorLike,
    num_steps: int = 7,
    value_range: Sequence[float] | None = None,
) -> Plot:
    """Images on the line between two latent codes: one pair a row.

    Args:
        model: model with `interpolate`.
        start: array or tensor, shape (pairs, h, w, c), the images at the left.
        end: array or tensor of the same shape, the images at the right.
        num_steps: int >= 2, images in a row, both ends included.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1).

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if the two differ in shape, are no images, or `num_steps` is under 2.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> black, white = np.zeros((4, *shape)), np.ones((4, *shape))
        >>> fig, axes = interpolations(model, black, white, num_steps=5)
        >>> [label.get_text() for label in axes.get_xticklabels()]
        ['0', '0.25', '0.5', '0.75', '1']
    """
    start, end = check_images(start), check_images(end)
    if start.shape != end.shape or num_steps < 2:
        raise ValueError(
            "interpolations expects start and end of one shape and num_steps >= 2. Received: "
            f"start {start.shape}, end {end.shape}, num_steps={num_steps}. Pair the images."
        )
    images = model.interpolate(start, end, num_steps)
    column_labels = [f"{position:.2g}" for position in np.linspace(0.0, 1.0, num_steps)]
    fig, axes = _table_of_images(model, images, None, column_labels, value_range)
    axes.set(title="Interpolations, E[x|z]", xlabel="position between start (0) and end (1)")
    return fig, axes
