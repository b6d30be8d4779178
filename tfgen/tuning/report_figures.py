"""The pictures of a search: heat maps, rate-distortion curve, what the best and the worst make."""

import io
import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfgen import plotting
from tfgen._utils.extras import require
from tfgen.models import load_model
from tfgen.tuning.trials import TrialRecord, extreme_trials

__all__ = ["Figure", "describe", "heat_maps", "model_figures", "rate_distortion_figure"]

NATS = "nats per example"
# File name, metric, title, unit.
HEAT_MAPS = (
    ("elbo", "val_elbo", "ELBO", NATS),
    ("rate", "val_kl", "Rate, KL(q(z|x) || p(z))", NATS),
    ("distortion", "val_reconstruction", "Distortion, -log p(x|z)", NATS),
    ("mig", "mig", "Mutual information gap (MIG)", "from 0 to 1"),
)
MAX_DECIMALS = 6
# More rows or columns than this, as random values make, would be mostly empty.
MAX_VALUES = 12
MAX_TRAVERSED_DIMS = 10


class Figure(NamedTuple):
    """A picture of the report.

    Attributes:
        png: bytes.
        alt: string, what it shows, for those who cannot see it.
        caption: string, how to read it.
    """

    png: bytes
    alt: str
    caption: str


def _figure(fig, alt, caption):
    """Takes the picture of a matplotlib figure, and closes it."""
    plt = require("matplotlib.pyplot", extra="plot")
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=110)
    plt.close(fig)
    return Figure(file.getvalue(), alt, caption)


def _values(trials, name):
    """A metric of each trial, NaN where it has none or did not complete."""
    return np.array(
        [t.metrics.get(name, math.nan) if t.status == "COMPLETED" else math.nan for t in trials]
    )


# Heat maps.


def _axis(trials, name):
    """The label of a hyperparameter, and its value in each trial, rounded where these are many."""
    values = [trial.hyperparameters.get(name, "") for trial in trials]
    if set(values) == {""}:
        return "", values
    if len(set(values)) <= MAX_VALUES or any(isinstance(value, str) for value in values):
        return name, values
    return f"{name}, rounded to one digit", [float(f"{value:.1g}") for value in values]


def _labels(values):
    """Each value once: numbers in order, then texts."""
    return sorted(set(values), key=lambda value: (isinstance(value, str), value))


def _texts(values):
    return [value if isinstance(value, str) else f"{value:g}" for value in values]


def _cell_numbers(row_values, column_values, numbers):
    """The finite numbers of each cell."""
    cells: dict[tuple[Any, Any], list[float]] = {}
    for row, column, number in zip(row_values, column_values, numbers, strict=True):
        if math.isfinite(number):
            cells.setdefault((row, column), []).append(number)
    return cells


def _captioned(title, unit, cells):
    """Title, unit, and how many trials a cell stands for."""
    most = max(map(len, cells.values()))
    repeats = f" A cell is the mean of its trials, at most {most}." if most > 1 else ""
    return f"{title}, {unit}. Framed: the best trial; n/a: no completed trial.{repeats}"


def decimals_of(values: Any) -> int:
    """How many decimals tell numbers of one picture apart.

    Three digits of their spread, and more where two of them would still read the same.

    Args:
        values: numbers, NaN where one is missing.

    Returns:
        int from 0 to 6.

    Example:
        >>> decimals_of([[-99.8, -105.2], [-250.0, -99.9]]), decimals_of([0.51, 0.5104])
        (1, 6)
    """
    numbers = np.unique(np.asarray(values)[np.isfinite(values)])
    spread = np.ptp(numbers)
    if not spread:
        return 2
    least = int(np.clip(2 - math.floor(math.log10(spread)), 0, MAX_DECIMALS))
    texts = [{f"{x:.{n}f}" for x in numbers} for n in range(least, MAX_DECIMALS)]
    return least + next((i for i, t in enumerate(texts) if len(t) == len(numbers)), len(texts))


def _heat_map(trials, numbers, text, rows, columns):
    """The mean of each cell; that of the first trial, which is the best one, is framed."""
    title, unit = text
    row_name, row_values = _axis(trials, rows)
    column_name, column_values = _axis(trials, columns)
    row_labels, column_labels = _labels(row_values), _labels(column_values)
    cells = _cell_numbers(row_values, column_values, numbers)
    means = [[np.mean(cells.get((r, c), math.nan)) for c in column_labels] for r in row_labels]
    best = (row_labels.index(row_values[0]), column_labels.index(column_values[0]))
    labels = _texts(row_labels), _texts(column_labels)
    decimals = f".{decimals_of(means)}f"
    fig, axes = plotting.heat_map(means, *labels, title, unit, decimals, highlight=[best])
    axes.set(xlabel=column_name, ylabel=row_name)
    span = f"from {np.nanmin(means):.4g} to {np.nanmax(means):.4g}"
    alt = f"Heat map of {title} over {row_name} (down) and {column_name} (across), {span}."
    return _figure(fig, alt, _captioned(title, unit, cells))


def _objective_map(trials):
    """The objective as a further heat map, unless it is one of them."""
    objective = trials[0].objective
    if objective is None or any(objective["name"] in names for _, *names in HEAT_MAPS):
        return {}
    values = [trial.objective["value"] if trial.objective else math.nan for trial in trials]
    return {"objective": (np.array(values), "Objective", objective["name"])}


def heat_maps(
    trials: Sequence[TrialRecord], rows: str = "beta", columns: str = "latent_dim"
) -> dict[str, Figure]:
    """A heat map over two hyperparameters of each metric that the trials have.

    Args:
        trials: list of `TrialRecord`, the best one first; one that did not complete may leave a
            cell empty.
        rows: string, the hyperparameter down the map; more than 12 values of one are rounded.
        columns: string, the hyperparameter across.

    Returns:
        Dict from file name, without its ending, to `Figure`.
    """
    maps: dict[str, tuple] = {
        stem: (_values(trials, metric), *text) for stem, metric, *text in HEAT_MAPS
    }
    maps |= _objective_map(trials)
    return {
        stem: _heat_map(trials, values, text, rows, columns)
        for stem, (values, *text) in maps.items()
        if np.isfinite(values).any()
    }


# Rate and distortion.


def _numbers(trials, name):
    """A hyperparameter of each trial, or None if it is not a number in all of them."""
    values = [trial.hyperparameters.get(name) for trial in trials]
    return values if all(isinstance(value, int | float) for value in values) else None


def rate_distortion_figure(
    trials: Sequence[TrialRecord], color_by: str = "beta"
) -> dict[str, Figure]:
    """The trials in the plane of rate and distortion.

    Args:
        trials: list of `TrialRecord`.
        color_by: string, the hyperparameter that gives the colour, where it is a number.

    Returns:
        Dict with one `Figure`, "rate_distortion"; empty if no trial has both.
    """
    both = _values(trials, "val_kl") + _values(trials, "val_reconstruction")
    trials = [trial for trial, value in zip(trials, both, strict=True) if math.isfinite(value)]
    if not trials:
        return {}
    rate, distortion = _values(trials, "val_kl"), _values(trials, "val_reconstruction")
    colors, sizes = _numbers(trials, color_by), _numbers(trials, "latent_dim")
    fig, _ = plotting.rate_distortion(rate, distortion, colors, sizes, beta_label=color_by)
    alt = (
        f"Rate and distortion of {len(trials)} trials: rate {rate.min():.4g} to {rate.max():.4g}, "
        f"distortion {distortion.min():.4g} to {distortion.max():.4g} nats."
    )
    caption = (
        f"Rate and distortion, one point a trial, the line through the means of each {color_by}."
    )
    return {"rate_distortion": _figure(fig, alt, caption)}


# Models.


def _widest_dims(model, x):
    """The dimensions whose means vary most over the images, most first."""
    if x is None or len(x) < 2:
        return list(range(model.latent_shape[0]))[:MAX_TRAVERSED_DIMS]
    return np.argsort(-model.embed(x).var(axis=0), kind="stable")[:MAX_TRAVERSED_DIMS]


def _picture(model, x, value_range):
    """Traversals, or samples of a model that has no code to move; and what to say of them."""
    if not hasattr(model, "traverse") or len(model.latent_shape) != 1:
        return *plotting.samples(model, value_range=value_range), "samples"
    dims = _widest_dims(model, x)
    start = None if x is None else x[0]
    figure = plotting.traversals(model, start, dims=dims, value_range=value_range)
    return *figure, f"traversals of {len(dims)} of {model.latent_shape[0]} latent dimensions"


def _model(trial):
    """The model of a trial, or None if it was not kept or cannot be read."""
    try:
        return None if trial.model_path is None else load_model(trial.model_path)
    except (OSError, ValueError) as error:
        warnings.warn(f"The report has no picture of trial {trial.trial_id}. {error}", stacklevel=4)
        return None


def describe(trial: TrialRecord) -> str:
    """Hyperparameters and objective of a completed trial, in words."""
    names, values = trial.hyperparameters, _texts(trial.hyperparameters.values())
    found = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    goal: Any = trial.objective
    return f"{goal['name']} {goal['value']:.5g} with {found}"


def model_figures(
    trials: Sequence[TrialRecord],
    x: np.ndarray | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> dict[str, Figure]:
    """What the models of the three best trials and the worst one make, where they were kept.

    Args:
        trials: list of `TrialRecord`.
        x: array of shape (n, h, w, c) or None, see `write_report`.
        value_range: (low, high), the values shown black and white.

    Returns:
        Dict from "best", "second_best", "third_best" and "worst" to `Figure`; without those that
        have no model, and, with a warning, without those whose model cannot be read.
    """
    figures = {}
    for name, trial in _extremes(trials).items():
        if (model := _model(trial)) is not None:
            fig, _, shown = _picture(model, x, value_range)
            words = f"The {name} trial, {trial.trial_id}: {shown}"
            picture = _figure(fig, f"{words}.", f"{words}; {describe(trial)}.")
            figures[name.replace(" ", "_")] = picture
    return figures


def _extremes(trials):
    """The best few completed trials, and the worst one, by what they are called."""
    chosen = extreme_trials(trials)
    names = ["best", "second best", "third best"][: max(len(chosen) - 1, 1)]
    return dict(zip([*names, "worst"], chosen, strict=False))
