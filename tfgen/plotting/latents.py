"""Pictures of a latent space: the manifold it decodes to, where the classes lie."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers
from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import (
    COLORS,
    MARKERS,
    Plot,
    as_labels,
    check_drawable,
    check_methods,
    flat_latent_dim,
    name_of_mean,
    subplots,
    value_range_of,
)
from tfgen.plotting.grids import is_of_lines
from tfgen.plotting.images import MAX_IMAGES, image_grid

__all__ = ["latent_scatter", "manifold"]

MAX_LEGEND_ROWS = 16


def _normal_quantiles(num):
    """`num` quantiles of the standard normal, from the 5 % to the 95 % one."""
    inverse_cdf = statistics.NormalDist().inv_cdf
    return np.array([inverse_cdf(p) for p in np.linspace(0.05, 0.95, num)], "float32")


def _check_images_of(model):
    """Raises ValueError if the model says that its data are neither images nor volumes."""
    shape = tuple(getattr(model, "data_shape", (0, 0, 0)))
    if len(shape) not in (3, 4):
        raise ValueError(
            f"manifold shows images and volumes. Received: a model of data of shape {shape}. Take "
            "traversals for series and rows."
        )


def manifold(model: Any, num: int = 20, value_range: Sequence[float] | None = None) -> Plot:
    """Decoder means over a grid of latent values, equally likely under the prior.

    z_0 grows to the right and z_1 upward, both over the quantiles 0.05 to 0.95 of the standard
    normal, as in Kingma & Welling, arXiv:1312.6114v10, Fig. 4.

    Args:
        model: model with `latent_shape` (2,) and `generate`.
        num: int from 2 to 100, images on a side.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1).

    Returns:
        `(fig, axes)`, one matplotlib Axes whose ticks are values of z.

    Raises:
        ValueError: if the latent space is not two-dimensional, the data are neither images nor
            volumes, or `num` is out of range.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> fig, axes = manifold(model, num=3)
        >>> [label.get_text() for label in axes.get_xticklabels()]
        ['-1.64', '0.00', '1.64']
    """
    check_methods(model, "generate")
    if flat_latent_dim(model, "manifold") != 2:
        raise ValueError(
            f"manifold expects a model with latent_shape (2,). Received: latent_shape="
            f"{tuple(model.latent_shape)}. Train a model with two latent dimensions, or see "
            "traversals for more."
        )
    check_drawable(math.isqrt(MAX_IMAGES), 2, num=num)
    _check_images_of(model)
    shown = value_range_of(model, value_range)
    quantiles = _normal_quantiles(num)
    right, up = np.meshgrid(quantiles, quantiles[::-1])
    images = model.generate(np.stack([right.ravel(), up.ravel()], axis=-1))
    labels = [f"{round(float(value), 2) + 0.0:.2f}" for value in quantiles]  # No "-0.00".
    fig, axes = image_grid(images, num, shown, row_labels=labels[::-1], column_labels=labels)
    axes.set(title=f"Manifold, {name_of_mean(model)}", xlabel="$z_{0}$", ylabel="$z_{1}$")
    return fig, axes


def _as_texts(labels):
    """An array of str, from objects as pandas has them, or bytes as tensors have them."""
    texts = [label.decode() if isinstance(label, bytes) else label for label in labels.flat]
    return np.reshape(texts, labels.shape)


def _check_labels(labels):
    """Labels as an array of numbers or strings, of rank 1; raises where they are something else."""
    try:
        array = np.asarray(labels)
    except ValueError:  # Rows of several lengths.
        array = np.asarray(None)
    if array.dtype == object and all(isinstance(label, str | bytes) for label in array.flat):
        array = _as_texts(array)
    is_numeric = array.dtype.kind in "biuf" and np.all(np.isfinite(array))
    if array.ndim != 1 or not (is_numeric or array.dtype.kind in "US"):
        raise ValueError(
            "labels must be numbers or strings of shape (n,), one for each image, without NaN. "
            f"Received: labels of type {type(labels).__name__} and shape {array.shape}."
        )
    return array


def _check_classes(labels, class_names):
    """The number of each image's class; raises where one has no name."""
    if not np.isin(labels, np.arange(len(class_names))).all():
        raise ValueError(
            f"With {len(class_names)} class_names labels must be integers from 0 to "
            f"{len(class_names) - 1}. Received: labels {np.unique(labels)[:12]}. Name every class."
        )
    return labels.astype(int)


def _check_codes(codes, labels):
    _check_number(labels, len(codes))
    if len(codes) < 2 or not np.all(np.isfinite(codes)):
        raise ValueError(
            f"x must be at least 2 images whose codes are finite. Received: {len(codes)} images, "
            f"{np.sum(~np.isfinite(codes))} values of their codes NaN or infinite."
        )


def _check_number(labels, num_images):
    if num_images != len(labels):
        raise ValueError(
            "latent_scatter expects labels of shape (n,), one for each image. "
            f"Received: labels of shape {labels.shape} for {num_images} images."
        )


def _embed(model, x, labels):
    """Codes of images; a model of classes is told them too, if `x` has them not."""
    if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
        return np.asarray(model.embed(x))
    x = as_numbers(x=x)
    if x.ndim:
        _check_number(labels, len(x))
    num_classes = getattr(model, "num_classes", None)
    if not num_classes:
        return np.asarray(model.embed(x))
    if not np.isin(labels, np.arange(num_classes)).all():
        raise ValueError(
            f"labels of a model of {num_classes} classes must be integers from 0 to "
            f"{num_classes - 1}. Received: labels {np.unique(labels)[:12]}."
        )
    return np.asarray(model.embed(x, labels))


def _project(codes):
    """Codes in two dimensions, and what the two axes are."""
    if codes.shape[1] == 2:
        return codes, ["$z_{0}$", "$z_{1}$"]
    decomposition = extras.require("sklearn.decomposition", extra="plot")
    pca = decomposition.PCA(n_components=2, random_state=0).fit(codes)
    names = [
        f"principal component {i} of z ({ratio:.0%} of variance)"
        for i, ratio in enumerate(pca.explained_variance_ratio_, start=1)
    ]
    return pca.transform(codes), names


def _write_name(axes, position, name):
    """A class's name in the middle of its points, legible on any of them."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=3, foreground="white")]
    axes.text(*position, name, ha="center", va="center", weight="bold", path_effects=outline)


def _scatter_classes(axes, points, labels, class_names):
    """Points and name of each class; 70 classes differ in colour or marker."""
    for i, label in enumerate(np.unique(labels)):
        own = points[labels == label]
        name = str(label if class_names is None else class_names[label])
        style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
        axes.scatter(*own.T, s=12, alpha=0.7, linewidths=0, label=name, **style)
        _write_name(axes, np.median(own, axis=0), name)


def latent_scatter(
    model: Any,
    x: np.ndarray | tf.data.Dataset,
    labels: TensorLike,
    class_names: Sequence[str] | None = None,
) -> Plot:
    """Latent codes of images or other data (a VAE's posterior means), coloured by class.

    Two latent dimensions are drawn as they are; of more the first two principal components are,
    and the axes say so.

    Args:
        model: model with `latent_shape` (k,), k >= 2, and `embed`, which is given the labels too if
            they are the model's conditions (`num_classes`).
        x: array of shape (n, *data_shape), such as (n, h, w, c), or `tf.data.Dataset`, n >= 2.
        labels: array of shape (n,), the images' classes, in the order of `x`.
        class_names: sequence of str or None, name of each class 0, 1, ...

    Returns:
        `(fig, axes)`, one matplotlib Axes.

    Raises:
        ValueError: if the latent space is not flat or has one dimension, or if labels, images
            and names do not fit each other.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> x = np.random.default_rng(0).uniform(size=(20, *shape))
        >>> fig, axes = latent_scatter(model, x, labels=[0, 1] * 10)
        >>> axes.get_xlabel()
        '$z_{0}$'
    """
    names = as_labels(class_names=class_names)
    if flat_latent_dim(model, "latent_scatter") < 2:
        raise ValueError(
            "latent_scatter expects at least 2 latent dimensions. Received: "
            f"latent_shape={tuple(model.latent_shape)}. Draw a histogram of model.embed(x)."
        )
    check_methods(model, "embed")
    labels = _check_labels(labels)
    if names is not None:
        labels = _check_classes(labels, names)
    codes = _embed(model, x, labels)
    _check_codes(codes, labels)
    points, axis_names = _project(codes)
    legend_columns = math.ceil(len(np.unique(labels)) / MAX_LEGEND_ROWS)
    fig, axes = subplots(figsize=(5.5 + legend_columns, 5.0), layout="constrained")
    _scatter_classes(axes, points, labels, names)
    fig.legend(title="class", loc="outside right upper", ncols=legend_columns, markerscale=2.0)
    what = "examples" if is_of_lines(model) else "images"
    axes.set_title(f"Latent codes of {len(points)} {what}")
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    return fig, axes
