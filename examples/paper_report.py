"""The report of a paper script: one HTML page with all numbers and figures, and an index of pages.

Both need no network; the index lists what every script of a paper has left in a folder.
"""

import ast
import os
import pathlib

import numpy as np
from paper_files import read_json, write_json, write_text

from tfgen import plotting

SCRIPTS = pathlib.Path(__file__).parent
SMOKE = "SMOKE: tiny data, tiny networks, seconds. It shows that the script runs, and no more."
OF_NUMBERS = (
    "Mean and standard deviation over seeds. `elbo`, `reconstruction` and `kl` in nats per "
    "example, `bits_per_dim` in bits, times in seconds; test set unless named otherwise."
)
HEADINGS = ["experiment", "seed", "command", "scale", "data", "hardware", "versions", "date"]


def load_results(output_dir):
    """All results of an output folder, by experiment."""
    results = {}
    for path in sorted(output_dir.glob("*/seed_*/result.json")):
        result = read_json(path)
        results.setdefault(result["experiment"], []).append(result)
    return results


def write_report(title, experiments, args):
    """Writes results.json, report.html and summary.json from all results that are there.

    Beside the numbers of --smoke, which mean nothing, none of the paper's are put.
    """
    folder, results = args.output_dir, load_results(args.output_dir)
    done = [e for e in experiments if e.name in results]
    if args.smoke:
        done = [e._replace(paper={}) for e in done]
    heading = title.splitlines()[0]
    parts = {
        "": [SMOKE if args.smoke else OF_NUMBERS, *missing(experiments, done)],
        **compared(done, results),
        **{f"{e.name} ({e.stands_for})": section(e, results[e.name], folder) for e in done},
        "Runs": [runs(done, results)],
    }
    page = plotting.html_page(f"SMOKE: {heading}" if args.smoke else heading, parts)
    write_json(folder / "results.json", results)
    write_text(folder / "report.html", page)
    of = {"done": len(done), "of": len(experiments), "date": results[done[-1].name][-1]["date"]}
    write_json(folder / "summary.json", of)


def missing(experiments, done):
    """Which experiments have no result yet."""
    names = {e.name for e in experiments} - {e.name for e in done}
    if names:
        yield f"Not run: {', '.join(e.name for e in experiments if e.name in names)}."


def compared(experiments, results):
    """A section of all numbers that the paper prints too."""
    rows = [
        [e.name, metric, number, measured_text(values_of(results[e.name], metric))]
        for e in experiments
        for metric, number in e.paper.items()
        if metric in results[e.name][0]["metrics"]
    ]
    return (
        {"Beside the paper": [[["experiment", "metric", "paper", "measured"], *rows]]}
        if rows
        else {}
    )


def section(experiment, results, folder):
    """Setup, figures of the first seed, and all numbers of one experiment."""
    parts = [f"{experiment.setup}."]
    seed = results[0]["seed"]
    paths = [folder / experiment.name / f"seed_{seed}" / figure for figure in experiment.figures]
    pictures = {p: p.read_bytes() for p in paths if p.exists()}
    if pictures:
        parts.append(
            {
                caption(p, seed): (png, f"{experiment.name}, {caption(p, seed)}")
                for p, png in pictures.items()
            }
        )
    metrics = results[0]["metrics"]
    rows = [[m, experiment.paper.get(m), measured_text(values_of(results, m))] for m in metrics]
    if not any(number is not None for _, number, _ in rows):
        rows = [[metric, measured] for metric, _, measured in rows]
    if rows:
        parts.append(
            [
                ["metric", "paper", "measured"] if len(rows[0]) == 3 else ["metric", "measured"],
                *rows,
            ]
        )
    return parts


def caption(path, seed):
    """What a figure is called: its file's name, and of which seed it is."""
    return f"{path.stem.replace('_', ' ')}, seed {seed}"


def values_of(results, metric):
    return [r["metrics"][metric] for r in results if metric in r["metrics"]]


def measured_text(values):
    """Mean and spread."""
    text = f"{np.mean(values):.4g}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.2g} ({len(values)} seeds)"
    return text


def runs(experiments, results):
    """A table of what was run, when and where."""
    keys = ["experiment", "seed", "command", "scale", "dataset", "hardware", "versions", "date"]
    return [HEADINGS, *([r[key] for key in keys] for e in experiments for r in results[e.name])]


# The index.


def write_index(root):
    """Writes index.html over the reports of all papers in a folder, and returns its path."""
    rows = [row for script in sorted(SCRIPTS.glob("*_20*.py")) for row in index_rows(script, root)]
    headings = ["paper", "data and scale", "experiments", "last run", "command"]
    page = plotting.html_page("Papers, reproduced", {"": [[headings, *rows]]})
    write_text(root / "index.html", page)
    return root / "index.html"


def index_rows(script, root):
    """A row for each report of a script, or one that says how to get the first."""
    title = first_line(script)
    reports = sorted((root / script.stem).glob("*/report.html"))
    command = f"python examples/{script.name}"
    if not reports:
        yield [title, "not run yet", None, None, command]
    for path in reports:
        of = read_json(path.with_name("summary.json"))
        link = (title, pathlib.Path(os.path.relpath(path, root)).as_posix())
        yield [link, path.parent.name, f"{of['done']} of {of['of']}", of["date"], command]


def first_line(script):
    """What a script is of."""
    return ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).splitlines()[0]
