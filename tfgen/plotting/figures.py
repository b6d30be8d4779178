"""What the figures share: matplotlib on first use, colours, checks of what they are given."""

import inspect
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tensorflow_probability as tfp

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers, as_pair, check_ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

tfd = tfp.distributions

__all__ = [
    "COLORS",
    "MARKERS",
    "Plot",
    "Plots",
    "as_finite",
    "as_labels",
    "as_points",
    "check_drawable",
    "check_methods",
    "check_text",
    "check_unused",
    "flat_latent_dim",
    "keywords_for",
    "legend_above",
    "name_of_mean",
    "shortened",
    "subplots",
    "takes",
    "value_range_of",
]

Plot: TypeAlias = "tuple[Figure, Axes]"
"""A figure and its only axes."""
Plots: TypeAlias = "tuple[Figure, Any]"
"""A figure and its axes, one or an array of them."""

# Ten colours that stay apart in three kinds of colour blindness: Petroff, arXiv:2107.02270v3.
COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
MEAN = "E[x|z]"
LIKELIEST = "likeliest x"


def subplots(rows: int = 1, columns: int = 1, **kwargs: Any) -> Plots:
    """`matplotlib.pyplot.subplots`, imported on first use so that `import tfgen` stays fast.

    Args:
        rows: int, rows of axes.
        columns: int, columns of axes.
        **kwargs: further arguments of `matplotlib.pyplot.subplots`, such as `figsize` in inches.

    Returns:
        `(fig, axes)` as matplotlib gives them.

    Raises:
        ImportError: if matplotlib is missing.

    Example:
        >>> fig, axes = subplots(1, 2, figsize=(4, 2))
        >>> axes.shape
        (2,)
    """
    return extras.require("matplotlib.pyplot", extra="plot").subplots(rows, columns, **kwargs)


def legend_above(fig: "Figure", ax: "Axes") -> None:
    """One legend for all axes of a figure with a constrained layout, of what is labelled in `ax`.

    Example:
        >>> fig, ax = subplots(layout="constrained")
        >>> line = ax.plot([0, 1], label="data")
        >>> legend_above(fig, ax)
        >>> len(fig.legends)
        1
    """
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=8)


def shortened(text: str, length: int = 24) -> str:
    """The text, or its first characters and three dots: a long name leaves no room for a panel.

    Example:
        >>> shortened("a name of forty-two characters or even more", 9)
        'a name...'
    """
    return text if len(text) <= length else f"{text[: length - 3]}..."


def name_of_mean(model: Any) -> str:
    """What a model shows for E[x|z]: classes have no mean, and the likeliest are shown.

    Example:
        >>> from tfgen import layers, models, networks
        >>> encoder = networks.mlp_encoder((2, 2, 1), 2)
        >>> decoder = networks.mlp_decoder((2, 2, 1), 2, head=layers.IndependentCategorical)
        >>> name_of_mean(models.VAE(encoder, decoder))
        'likeliest x'
    """
    if not all(hasattr(model, name) for name in ("decode", "latent_shape")):
        return MEAN
    takes_condition = getattr(model, "conditions", None) and model.samples_are_conditional
    z = np.zeros((1, *model.latent_shape), "float32")
    output = model.decode(z, *([model.conditions.zeros(1)] if takes_condition else []))
    single = getattr(output, "distribution", output)
    return LIKELIEST if isinstance(single, tfd.Categorical) else MEAN


def check_text(**values: str | None) -> None:
    """Raises ValueError unless every value is a string or None.

    Example:
        >>> check_text(title="Scores")
    """
    for name, value in values.items():
        if not isinstance(value, str | None):
            raise ValueError(f"{name} must be a string. Received: {name}={value!r}.")


def check_unused(kind: str, **values: Any) -> None:
    """Raises ValueError if an argument is given that only figures of data of a kind have.

    Example:
        >>> check_unused("images", value_range=None)
    """
    for name, value in values.items():
        if value is not None:
            raise ValueError(
                f"{name} is for {kind}. Received: {name}={value!r} for other data. Leave it out."
            )


def check_drawable(maximum: int, minimum: int = 1, /, **values: int) -> None:
    """Raises ValueError unless every value is an int, and no more than a figure can show.

    Example:
        >>> check_drawable(100, num=20)
    """
    check_ints(minimum, **values)
    for name, value in values.items():
        if value > maximum:
            raise ValueError(
                f"{name} must be at most {maximum}: a figure has pixels for no more. "
                f"Received: {name}={value}."
            )


def as_labels(num: int | None = None, /, **values: Iterable[Any] | None) -> list[str] | None:
    """The one value, labels of `num` things, as strings; None if it is None.

    Raises:
        ValueError: unless it is a sequence of strings or numbers, `num` of them if that is given.

    Example:
        >>> as_labels(2, row_labels=["original", 3])
        ['original', '3']
    """
    ((name, value),) = values.items()
    if value is None:
        return None
    is_sequence = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    labels = list(value) if is_sequence and getattr(value, "ndim", 1) == 1 else [None]
    if not all(isinstance(label, str | numbers.Number) for label in labels):
        raise ValueError(
            f"{name} must be a sequence of strings or numbers. Received: {name}={value!r}."
        )
    if num is not None and len(labels) != num:
        raise ValueError(
            f"{name} must hold one label for each of {num}. Received: {len(labels)} labels."
        )
    return [str(label) for label in labels]


def as_finite(rank: int, /, **values: Any) -> np.ndarray:
    """The one value as an array of that rank, of at least one number; truth values as 0 and 1.

    Raises:
        ValueError: if it is of another rank, empty, or has a value that is NaN or infinite.

    Example:
        >>> as_finite(1, values=[-3, 0, 3])
        array([-3,  0,  3])
    """
    ((name, value),) = values.items()
    array = as_numbers(**values)
    if array.ndim != rank or not array.size:
        raise ValueError(
            f"{name} must have {rank} axes and at least one value. Received: {name} of shape "
            f"{array.shape}."
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(
            f"{name} must be finite. Received: {name} with {np.sum(~np.isfinite(array))} of "
            f"{array.size} values NaN or infinite. Leave them out."
        )
    return array if array.dtype.kind in "iuf" else array.astype("float64")


def as_points(**points: Any) -> np.ndarray:
    """The one value, points of the plane, as an array of shape (n, 2), n >= 1.

    Raises:
        ValueError: if the shape is another, or a value is NaN or infinite.

    Example:
        >>> as_points(x=[[0.0, 1.0]]).shape
        (1, 2)
    """
    ((name, value),) = points.items()
    array = as_finite(2, **points)
    if array.shape[1] != 2:
        raise ValueError(
            f"{name} must be points of the plane, shape (n, 2). Received: {name} of shape "
            f"{array.shape}. Take two columns of the data, and a model of these two."
        )
    return array


def check_methods(model: Any, *names: str) -> None:
    """Raises ValueError if the model lacks one of these methods or attributes, or is a class.

    Example:
        >>> import types
        >>> check_methods(types.SimpleNamespace(latent_shape=(2,)), "latent_shape")
    """
    if isinstance(model, type):
        raise ValueError(
            f"model must be an object. Received: model={model.__name__}, a class. Make one of it."
        )
    missing = [name for name in names if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"model must have {', '.join(names)}. Received: model of type {type(model).__name__}, "
            f"which has no {missing[0]}."
        )


def keywords_for(method: Callable, **values: Any) -> dict[str, Any]:
    """The arguments to call a model's method with: those that are not None.

    Raises:
        ValueError: if the method does not take one of them.

    Example:
        >>> keywords_for(lambda x, condition=None: x, condition=[1, 2])
        {'condition': [1, 2]}
    """
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if not takes(method, name):
            raise ValueError(
                f"{name} is for models whose `{method.__name__}` takes it. Received: "
                f"{name}={value!r}, and a model whose `{method.__name__}` does not. Leave it out."
            )
    return given


def takes(method: Callable, name: str) -> bool:
    """Whether a method has an argument of that name.

    Example:
        >>> takes(lambda x, condition=None: x, "condition")
        True
    """
    parameters = inspect.signature(method).parameters
    anything = (parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values())
    return name in parameters or any(anything)


def flat_latent_dim(model: Any, caller: str) -> int:
    """Size k of a latent space of shape (k,).

    Args:
        model: model with a `latent_shape`.
        caller: str, the function that asks, for the error message.

    Returns:
        int, k.

    Raises:
        ValueError: if there is no latent space, or its rank is not one.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 20), networks.mlp_decoder(shape, 20))
        >>> flat_latent_dim(model, "traversals")
        20
    """
    check_methods(model, "latent_shape")
    shape = tuple(model.latent_shape)
    if len(shape) != 1:
        raise ValueError(
            f"{caller} expects a model whose latent_shape is (k,). Received: latent_shape={shape}. "
            "It shows latent vectors; feature maps have no dimensions to name."
        )
    return shape[0]


def value_range_of(model: Any, value_range: Sequence[float] | None) -> tuple[float, float]:
    """The values shown black and white: those given, or the model's, or 0 and 1.

    Args:
        model: any; its attribute `value_range`, if it has one, is (low, high) or None.
        value_range: (low, high) or None.

    Raises:
        ValueError: if `value_range` is not a pair of finite numbers, low < high.

    Example:
        >>> import types
        >>> value_range_of(types.SimpleNamespace(value_range=(-1, 1)), None)
        (-1.0, 1.0)
    """
    if value_range is None:
        value_range = getattr(model, "value_range", None)
    return as_pair(value_range=(0.0, 1.0) if value_range is None else value_range)
