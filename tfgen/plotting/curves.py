"""Curves of what training logged, one axes for each unit."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tfgen._utils.arguments import as_numbers
from tfgen.plotting.figures import COLORS, Plots, check_text, subplots

__all__ = ["training_curves"]

# More of them would hide which line is dashed.
MAX_MARKED_EPOCHS = 20
VALIDATION_PREFIX = "val_"
NATS = "nats per example"
UNITS = {
    "elbo": NATS,
    "kl": NATS,
    "mutual_information": NATS,
    "total_correlation": NATS,
    "dimension_wise_kl": NATS,
    "bits_per_dim": "bits per dimension",
    "discriminator_loss": "adversarial loss",
    "generator_loss": "adversarial loss",
}


def _logs_and_epochs(history):
    """What was logged, by name, and the epochs, counted from 1."""
    logs = getattr(history, "history", history)
    if not isinstance(logs, Mapping) or not all(isinstance(name, str) for name in logs):
        raise ValueError(
            "history must be what model.fit returned, or a dict from name to one value an epoch. "
            f"Received: history of type {type(history).__name__}."
        )
    if not logs:
        raise ValueError(
            "training_curves expects at least one logged epoch. Received: an empty history. "
            "Pass what model.fit returned."
        )
    logs = {name: _values(name, values) for name, values in logs.items()}
    longest = max(len(values) for values in logs.values())
    epochs = getattr(history, "epoch", None) or range(longest)
    return logs, np.asarray(epochs) + 1


def _values(name, values):
    """What was logged under a name, as an array of one number an epoch."""
    array = as_numbers(**{f"history[{name!r}]": values})
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f"history[{name!r}] must hold one number for each epoch. Received: values of shape "
            f"{array.shape}. Log scalars."
        )
    return array


def _check_units(units):
    """Units as a dict; raises where a name or a unit is not a string."""
    if not isinstance(units, Mapping | None):
        raise ValueError(f"units must be a dict from name to unit. Received: units={units!r}.")
    for name, unit in (units or {}).items():
        check_text(**{f"units[{name!r}]": unit})
    return units or {}


def _check_lengths(logs, epochs):
    """Raises where a value's epoch is unknown."""
    for name, values in logs.items():
        if len(values) != len(epochs):
            raise ValueError(
                f"training_curves expects a value of {name!r} for each of {len(epochs)} epochs. "
                f"Received: {len(values)}. Fill the epochs without one with NaN in a dict."
            )


def _metric(name):
    """The name without the prefix of validation."""
    return name.removeprefix(VALIDATION_PREFIX)


def _units_of(logs, units):
    """Unit of each metric: `units` first, then the package's meaning, else its own name."""
    # Beside an ELBO these are nats; an autoencoder's are squared errors.
    loss_unit = NATS if "elbo" in logs else "loss"
    known = {"loss": loss_unit, "reconstruction": loss_unit, **UNITS, **_check_units(units)}
    return {_metric(name): known.get(_metric(name), _metric(name)) for name in logs}


def _plot_metric(axes, epochs, logs, metric, color):
    """Training solid, validation dashed, in one colour; few epochs as points too."""
    marker = "." if len(epochs) <= MAX_MARKED_EPOCHS else None
    for name, style in ((metric, "-"), (VALIDATION_PREFIX + metric, "--")):
        if name in logs:
            axes.plot(epochs, logs[name], style, marker=marker, color=color, label=name)


def _plot_unit(axes, epochs, logs, metrics):
    """All metrics of one unit."""
    for i, metric in enumerate(metrics):
        _plot_metric(axes, epochs, logs, metric, COLORS[i % len(COLORS)])
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    axes.grid(alpha=0.3)


def _title(logs):
    """Says what the line styles mean, where there are two."""
    has_validation = any(name.startswith(VALIDATION_PREFIX) for name in logs)
    return "Training (solid) and validation (dashed)" if has_validation else "Training"


def training_curves(
    history: keras.callbacks.History | Mapping[str, Sequence[float]],
    units: Mapping[str, str] | None = None,
) -> Plots:
    """Every logged value over the epochs, one axes for each unit.

    Validation is dashed and has the colour of training.

    Args:
        history: the `keras.callbacks.History` that `fit` returns, or a dict from name to one value
            an epoch.
        units: dict from name (without "val_") to unit or None, for names that the package does not
            log, or means otherwise. A name without a known unit has axes of its own.

    Returns:
        `(fig, axes)`, an array of matplotlib Axes, shape (number of units,).

    Raises:
        ValueError: if the history is empty or not a dict, or a name lacks a number for some
            epoch, or a unit is not a string.

    Example:
        >>> fig, axes = training_curves({"elbo": [-200.0, -110.0], "bits_per_dim": [0.4, 0.2]})
        >>> [ax.get_ylabel() for ax in axes]
        ['nats per example', 'bits per dimension']
    """
    logs, epochs = _logs_and_epochs(history)
    _check_lengths(logs, epochs)
    metrics_by_unit: dict[str, list[str]] = {}
    for metric, unit in _units_of(logs, units).items():
        metrics_by_unit.setdefault(unit, []).append(metric)
    num_units = len(metrics_by_unit)
    size = (7.0, 1.0 + 2.4 * num_units)
    fig, axes = subplots(num_units, sharex=True, squeeze=False, figsize=size, layout="constrained")
    for ax, (unit, metrics) in zip(axes[:, 0], metrics_by_unit.items(), strict=True):
        _plot_unit(ax, epochs, logs, metrics)
        ax.set_ylabel(unit)
    axes[-1, 0].set_xlabel("epoch")
    axes[-1, 0].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes[0, 0].set_title(_title(logs))
    return fig, axes[:, 0]
