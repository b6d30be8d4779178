"""The report of a search: table, heat maps, rate-distortion curve, traversals, one HTML page."""

import os
import pathlib

import numpy as np

from tfgen._utils.arguments import as_pair, check_one_of
from tfgen._utils.files import as_path, written_aside
from tfgen.tuning.report_figures import heat_maps, model_figures, rate_distortion_figure
from tfgen.tuning.report_page import html_page
from tfgen.tuning.report_table import csv_table, markdown_table
from tfgen.tuning.trials import load_search, load_trials, ranked

__all__ = ["write_report"]


def write_report(
    output_dir: str | os.PathLike,
    x: np.ndarray | None = None,
    rows: str | None = None,
    columns: str = "latent_dim",
    value_range: tuple[float, float] = (0.0, 1.0),
) -> pathlib.Path:
    """Writes what a search has found so far into `<output_dir>/report/`.

    - trials.csv, trials.md: all trials that have ended, the best one first, those that did not
      complete last, with the reason.
    - elbo.png, rate.png, distortion.png, mig.png, where the trials have them, and objective.png,
      where that is another: heat maps over two hyperparameters. A cell is the mean of its trials,
      where seeds or further hyperparameters vary; without a completed trial it stays empty.
    - rate_distortion.png: see `tfgen.plotting.rate_distortion`.
    - best.png, second_best.png, third_best.png, worst.png: traversals by the models of these
      trials, if the search kept them; samples of a model without traversals.
    - report.html: all of these in one file that needs no other and no network, with the settings in
      words and a table that a click on a heading sorts.

    Args:
        output_dir: path of the search, also while it runs.
        x: array of shape (n, h, w, c) or None. Traversals keep the code of the first image, in the
            ten dimensions whose means vary most over all n; None for the first ten at the origin.
        rows: string, the hyperparameter down the heat maps; None for "beta", or else the first
            other than `columns` whose values differ.
        columns: string, the hyperparameter across.
        value_range: (low, high), what black and white are in the data.

    Returns:
        `pathlib.Path` of report.html.

    Raises:
        ValueError: if no trial has ended, none has such a hyperparameter, or x are no images.
        FileNotFoundError: if the folder holds no search.
    """
    output_dir = as_path(output_dir=output_dir)
    _check_images(x)
    value_range = as_pair(value_range=value_range)
    search, trials = load_search(output_dir), ranked(load_trials(output_dir))
    if not trials:
        raise ValueError(
            "write_report expects the folder of a search of which a trial has ended. Received: "
            f"{str(output_dir)!r}, without any. Run the search on, or pass its output_dir."
        )
    names = sorted({name for trial in trials for name in trial.hyperparameters})
    check_one_of({*names, "latent_dim"}, columns=columns)
    if rows is None:
        rows = _rows(trials, columns)
    check_one_of({*names, "beta"}, rows=rows)
    figures = {
        **heat_maps(trials, rows, columns),
        **rate_distortion_figure(trials, rows),
        **model_figures(trials, x, value_range),
    }
    folder = output_dir / "report"
    folder.mkdir(exist_ok=True)
    files = {f"{name}.png": figure.png for name, figure in figures.items()}
    files["trials.csv"] = csv_table(trials).encode()
    files["trials.md"] = markdown_table(trials).encode()
    files["report.html"] = html_page(search, trials, figures).encode()
    for name, content in files.items():
        with written_aside(folder / name) as aside:
            aside.write_bytes(content)
    return folder / "report.html"


def _check_images(x):
    if x is not None and (np.ndim(x) != 4 or len(x) == 0 or np.asarray(x).dtype.kind not in "biuf"):
        raise ValueError(
            "x must be an array of images, shape (n, height, width, channels). Received: "
            f"x of shape {np.shape(x)}. Use None to start from the origin."
        )


def _rows(trials, columns):
    """beta, or else the first hyperparameter other than `columns` whose values differ."""
    values: dict[str, set] = {}
    for trial in trials:
        for name, value in trial.hyperparameters.items():
            values.setdefault(name, set()).add(value)
    varied = [name for name in values if name != columns and len(values[name]) > 1]
    return "beta" if "beta" in varied or not varied else varied[0]
