"""What a model makes: samples, reconstructions, latent traversals, interpolations."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers, check_flags, check_seed
from tfgen._utils.typing import TensorLike
from tfgen.plotting.figures import (
    COLORS,
    Plots,
    as_finite,
    check_methods,
    check_unused,
    flat_latent_dim,
    keywords_for,
    name_of_mean,
    takes,
    value_range_of,
)
from tfgen.plotting.images import check_images, check_num_images, image_grid
from tfgen.plotting.series import MAX_CHANNELS, MAX_PANEL_ROWS, line_panels, series
from tfgen.plotting.tables import MAX_PANELS, marginals

__all__ = [
    "check_samples_of",
    "interpolations",
    "is_of_lines",
    "reconstructions",
    "samples",
    "traversals",
]

MAX_RECONSTRUCTIONS = 20


def _condition(method, condition):
    """The argument of that name; a method may have none."""
    value = None if condition is None else as_numbers(condition=condition)
    return keywords_for(method, condition=value)


def _mean(method, mean):
    """The argument of that name; a generator without p(x|z) has none, and gives x itself."""
    check_flags(mean=mean)
    return {} if mean and not takes(method, "mean") else keywords_for(method, mean=mean)


def is_of_lines(model: Any) -> bool:
    """Whether a model says that its data are series or rows, which are drawn as lines.

    Example:
        >>> import types
        >>> is_of_lines(types.SimpleNamespace(data_shape=(20, 3)))
        True
    """
    return len(getattr(model, "data_shape", ())) in (1, 2)


def _check_examples(model, **x):
    """The one value as an array of images or volumes, or of what the model is of."""
    ((name, value),) = x.items()
    if not is_of_lines(model):
        return check_images(**x)
    array, shape = as_finite(len(model.data_shape) + 1, **x), tuple(model.data_shape)
    if array.shape[1:] != shape:
        raise ValueError(
            f"{name} must be examples of shape {shape}, as the model's data. Received: {name} of "
            f"shape {array.shape}."
        )
    return array


def _check_rows(name, rows, remedy):
    """Raises ValueError unless a figure has room for a row of panels of lines for each."""
    if len(rows) > MAX_PANEL_ROWS:
        raise ValueError(
            f"{name} must be at most {MAX_PANEL_ROWS} of series or rows, one row of panels each. "
            f"Received: {len(rows)}. {remedy}"
        )


def _sequence_of_colors(num):
    """From dark to light, legible on white."""
    colormaps = extras.require("matplotlib", extra="plot").colormaps
    return list(colormaps["viridis"](np.linspace(0.0, 0.9, num)))


def _table_of_lines(model, values, row_labels, labels, title, **options):
    """Panels of a model's series, or of rows over their columns, (rows, lines, *data_shape)."""
    of_rows = len(model.data_shape) == 1
    values = np.asarray(values)
    options.setdefault("colors", _sequence_of_colors(len(labels)))
    if of_rows:
        options.setdefault("markers", ["o-"] * len(labels))
    values = values[..., None] if of_rows else values
    fig, axes = line_panels(values, labels, row_labels, **options)
    fig.suptitle(title, fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("column" if of_rows else "step", fontsize=8)
    return fig, axes


def _table_of_images(images, row_labels, column_labels, value_range):
    """Grid of a model's images of shape (rows, columns, h, w, c), with both labels."""
    images = np.asarray(images)
    return image_grid(
        images.reshape(-1, *images.shape[2:]),
        columns=images.shape[1],
        value_range=value_range,
        row_labels=row_labels,
        column_labels=column_labels,
    )


def samples(
    model: Any,
    num_samples: int = 64,
    mean: bool = True,
    seed: int = 0,
    value_range: Sequence[float] | None = None,
    condition: TensorLike | None = None,
    decode: Callable[[np.ndarray], Any] | None = None,
    real: Any = None,
) -> Plots:
    """Images that the model makes from draws of its prior; of volumes the middle slices.

    Samples of a model of series are drawn by `series`, those of a model of rows by `marginals`, the
    first 20 channels or 40 columns of them.

    Args:
        model: model with `sample`.
        num_samples: int, images, at most 10,000.
        mean: bool, True for the means E[x|z], False for pixels drawn from p(x|z).
        seed: int >= 0, gives the same images again.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1). Of images and volumes only.
        condition: of a conditional model, one for all or one for each sample: classes, or vectors.
        decode: function from rows to what is drawn of them, such as `info.decode` of
            `datasets.load_table`; None for the rows as they are. Of rows only.
        real: data frame or array of rows to draw beside them, with the columns of what is drawn;
            None for none. Of rows only.

    Returns:
        `(fig, axes)`, one matplotlib Axes; of series and rows an array of them.

    Raises:
        ValueError: if an argument is out of range, `mean` is False or a `condition` is given for a
            model that takes none, a `value_range` for one of series or rows, `decode` or `real` for
            one of others, or the samples are not images, see `image_grid`, or the rows unlike
            `real`, see `marginals`.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> fig, axes = samples(model, num_samples=16)
        >>> axes.get_title()
        '16 samples, E[x|z]'
    """
    check_methods(model, "sample")
    check_num_images(num_samples=num_samples)
    check_seed(seed=seed)
    shown = value_range_of(model, value_range)
    check_samples_of(model, value_range, decode, real)
    kwargs = {**_mean(model.sample, mean), **_condition(model.sample, condition)}
    drawn = as_numbers(samples=model.sample(num_samples, seed=seed, **kwargs))
    _check_drawn(drawn.ndim - 1, value_range, decode, real)
    if drawn.ndim == 2:
        return _table(drawn, decode, real)
    if drawn.ndim == 3:
        return series(drawn[..., :MAX_CHANNELS])
    fig, axes = image_grid(drawn, value_range=shown)
    axes.set_title(f"{num_samples} samples, {name_of_mean(model) if mean else 'x ~ p(x|z)'}")
    return fig, axes


def _table(rows, decode, real):
    """Marginals of rows, or of what they stand for; of the first columns, if there is no choice."""
    if decode is not None:
        return marginals(real, decode(rows))
    return marginals(real, rows if real is not None else rows[:, :MAX_PANELS])


def _check_drawn(rank, value_range, decode, real):
    """Raises ValueError for an argument that figures of data of that rank have no use for."""
    if rank in (1, 2):
        check_unused("images", value_range=value_range)
    if rank != 1:
        check_unused("rows", decode=decode, real=real)


def check_samples_of(
    model: Any,
    value_range: Sequence[float] | None = None,
    decode: Callable[[np.ndarray], Any] | None = None,
    real: Any = None,
) -> None:
    """Raises ValueError if `samples` has no figure of a model's samples, before they are drawn.

    As far as the model says what its data are (`data_shape`). Arguments are those of `samples`.

    Example:
        >>> import types
        >>> check_samples_of(types.SimpleNamespace(data_shape=(28, 28, 1)))
    """
    shape = tuple(getattr(model, "data_shape", ()))
    if not shape:
        return
    if len(shape) > 4 or (len(shape) > 2 and shape[-1] not in (1, 3)):
        raise ValueError(
            "Samples are drawn of rows, series, and images and volumes with 1 or 3 channels. "
            f"Received: a model of data of shape {shape}. Choose channels of model.sample(16), and "
            "draw them by plotting.image_grid."
        )
    if decode is not None and not callable(decode):
        raise ValueError(
            "decode must be a function from rows to what they stand for, such as info.decode. "
            f"Received: decode={decode!r}."
        )
    _check_drawn(len(shape), value_range, decode, real)
    if decode is not None or real is not None:
        fig, _ = _table(np.zeros((2, *shape), "float32"), decode, real)
        extras.require("matplotlib.pyplot", extra="plot").close(fig)


def reconstructions(
    model: Any,
    x: TensorLike,
    value_range: Sequence[float] | None = None,
    condition: TensorLike | None = None,
) -> Plots:
    """A row of images above the row of their reconstructions; of volumes the middle slices.

    Of a model of series or rows each example has a row of panels, one for each of the first 6
    channels, with its reconstruction over it; rows are drawn over their columns.

    Args:
        model: model with `reconstruct`.
        x: array or tensor, shape (n, h, w, c), n at most 20; or n examples of the model's shape, if
            these are volumes, series or rows.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1). Of images and volumes only.
        condition: of a conditional model, one for all or one for each image.

    Returns:
        `(fig, axes)`, one matplotlib Axes; of series and rows an array, shape (n, channels).

    Raises:
        ValueError: if there are more than 20 examples, `x` are not what the model is of, see
            `image_grid` for images, a condition is given for a model that takes none, or a
            `value_range` for one of series or rows.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> fig, axes = reconstructions(model, np.zeros((10, *shape)))
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['original', 'reconstruction']
    """
    check_methods(model, "reconstruct")
    x = _check_examples(model, x=x)
    if is_of_lines(model):
        return _reconstructed_lines(model, x, value_range, condition)
    if len(x) > MAX_RECONSTRUCTIONS:
        raise ValueError(
            f"reconstructions shows at most {MAX_RECONSTRUCTIONS} images, one a column. "
            f"Received: {len(x)} images. Pass x[:10]."
        )
    shown = value_range_of(model, value_range)
    reconstructed = model.reconstruct(x, **_condition(model.reconstruct, condition))
    rows = np.stack([x, np.asarray(reconstructed)])
    fig, axes = _table_of_images(rows, ["original", "reconstruction"], None, shown)
    axes.set_title(f"Reconstructions, {name_of_mean(model)}")
    return fig, axes


def _reconstructed_lines(model, x, value_range, condition):
    check_unused("images", value_range=value_range)
    _check_rows("x", x, "Pass x[:10].")
    reconstructed = model.reconstruct(x, **_condition(model.reconstruct, condition))
    return _table_of_lines(
        model,
        np.stack([x, np.asarray(reconstructed)], axis=1),
        [f"x[{i}]" for i in range(len(x))],
        ["original", "reconstruction"],
        f"Reconstructions, {name_of_mean(model)}",
        colors=COLORS[:2],
        markers=["o", "x"] if x.ndim == 2 else None,
    )


def _check_dims(latent_dim, dims):
    """Dimensions as a list of int; raises where they are something else."""
    if dims is None:
        return list(range(latent_dim))
    array = as_numbers(dims=dims)
    are_whole = array.ndim == 1 and array.size and array.dtype.kind in "iuf"
    if not are_whole or not np.isin(array, np.arange(latent_dim)).all():
        raise ValueError(
            f"dims must be dimensions of a latent space of {latent_dim}, counted from 0. "
            f"Received: dims={array.tolist()}. Use None for all."
        )
    return [int(dim) for dim in array]


def _check_kl(latent_dim, kl):
    """KL of each dimension as an array, or None."""
    if kl is None:
        return None
    array = as_numbers(kl=kl)
    if array.shape != (latent_dim,) or not np.all(np.isfinite(array)):
        raise ValueError(
            f"kl must hold one finite value for each of {latent_dim} latent dimensions. Received: "
            f"shape {array.shape}, {np.isfinite(array).sum()} finite values. Average the KL over "
            "examples, not over dimensions."
        )
    return array


def _check_example(model, x):
    """One image or volume, or series or row, as an array, or None."""
    return None if x is None else _check_examples(model, x=as_numbers(x=x)[None])[0]


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
) -> Plots:
    """Images as one latent dimension moves and the others stay: rows dimensions, columns values.

    Of volumes the middle slices. Series, or rows over their columns, are lines from dark to light:
    one row of panels for each of up to 20 dimensions, with one for each of the first 6 channels.

    Args:
        model: model with `latent_shape` (k,) and `traverse`.
        x: array or tensor of the shape of the model's data, such as (h, w, c), whose code the
            others keep; None for the origin.
        dims: sequence of int or None, dimensions to move; None for all.
        values: sequence of float or None, the dimension's values, in units of z; None for
            -3, -2, ... 3.
        kl: array of shape (k,) or None, KL of each dimension in nats: sorts the rows, highest
            first, and stands beside their labels.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1). Of images and volumes only.

    Returns:
        `(fig, axes)`, one matplotlib Axes; of series and rows an array, shape (dimensions,
        channels).

    Raises:
        ValueError: if the latent space is not flat, `x` is no example of the model's data, a
            dimension is outside the space, `values` are not finite, `kl` has not k values, or a
            model of series or rows is given a `value_range` or more than 20 dimensions.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 3), networks.mlp_decoder(shape, 3))
        >>> fig, axes = traversals(model, kl=[0.1, 2.0, 0.0])
        >>> axes.get_yticklabels()[0].get_text()
        '$z_{1}$ (2.00 nats)'
    """
    latent_dim = flat_latent_dim(model, "traversals")
    check_methods(model, "traverse")
    steps = as_finite(1, values=np.linspace(-3.0, 3.0, 7) if values is None else values)
    kl, rows = _check_kl(latent_dim, kl), _check_dims(latent_dim, dims)
    if kl is not None:
        rows.sort(key=lambda dim: -float(kl[dim]))
    shown, x = value_range_of(model, value_range), _check_example(model, x)
    if is_of_lines(model):
        check_unused("images", value_range=value_range)
        _check_rows("dims", rows, "Pass some of the dimensions, such as dims=range(10).")
    images = model.traverse(x, dims=rows, values=steps.astype("float32"))
    row_labels = [_dim_label(dim, kl) for dim in rows]
    labels = [f"{value:.3g}" for value in steps]
    title = f"Latent traversals, {name_of_mean(model)}"
    if is_of_lines(model):
        return _table_of_lines(model, images, row_labels, labels, title, legend_title="value")
    fig, axes = _table_of_images(images, row_labels, labels, shown)
    axes.set(title=title, xlabel="value of the row's dimension")
    return fig, axes


def interpolations(
    model: Any,
    start: TensorLike,
    end: TensorLike,
    num_steps: int = 7,
    value_range: Sequence[float] | None = None,
) -> Plots:
    """Images on the line between two latent codes: one pair a row.

    Of volumes the middle slices. Series, or rows over their columns, are lines from dark to light:
    one row of panels for each of up to 20 pairs, with one for each of the first 6 channels.

    Args:
        model: model with `interpolate`.
        start: array or tensor, shape (pairs, h, w, c), the images at the left; or as many examples
            of the model's shape, if these are volumes, series or rows.
        end: array or tensor of the same shape, the images at the right.
        num_steps: int >= 2, images in a row, both ends included.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1). Of images and volumes only.

    Returns:
        `(fig, axes)`, one matplotlib Axes; of series and rows an array, shape (pairs, channels).

    Raises:
        ValueError: if the two differ in shape, are not what the model is of, `num_steps` is under
            2, or a model of series or rows is given a `value_range` or more than 20 pairs.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> black, white = np.zeros((4, *shape)), np.ones((4, *shape))
        >>> fig, axes = interpolations(model, black, white, num_steps=5)
        >>> [label.get_text() for label in axes.get_xticklabels()]
        ['0', '0.25', '0.5', '0.75', '1']
    """
    check_methods(model, "interpolate")
    start, end = _check_examples(model, start=start), _check_examples(model, end=end)
    check_num_images(2, num_steps=num_steps)
    if start.shape != end.shape:
        raise ValueError(
            "interpolations expects start and end of one shape. Received: start "
            f"{start.shape}, end {end.shape}. Pair the images."
        )
    shown = value_range_of(model, value_range)
    if is_of_lines(model):
        check_unused("images", value_range=value_range)
        _check_rows("start", start, "Pass start[:10] and end[:10].")
    images = model.interpolate(start, end, num_steps)
    labels = [f"{position:.2g}" for position in np.linspace(0.0, 1.0, num_steps)]
    title = f"Interpolations, {name_of_mean(model)}"
    if is_of_lines(model):
        pairs = [f"pair {i}" for i in range(len(start))]
        return _table_of_lines(model, images, pairs, labels, title, legend_title="position")
    fig, axes = _table_of_images(images, None, labels, shown)
    axes.set(title=title, xlabel="position between start (0) and end (1)")
    return fig, axes
