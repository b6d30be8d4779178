"""A page of what `benchmark.py` measured: sortable table, plots, pictures of every model

    python examples/benchmark_page.py outputs/benchmark/mnist-small --to docs/benchmark

Reads every `NAME/seed_N/result.json` of a folder and writes index.html, which needs no network,
summary.md, and the pictures they show. Numbers are means over seeds, with their standard deviation
where there are several; pictures are of the first. Times that are no measurements are left out.
"""

import argparse
import html
import json
import pathlib
import shutil

import numpy as np
import paper_script
from benchmark_rows import PEERS, ROWS

# Metric, heading, digits.
COLUMNS = (
    ("elbo", "ELBO", 1),
    ("rate", "rate", 1),
    ("distortion", "distortion", 1),
    ("nll_200", "NLL, k 200", 1),
    ("nll_5000", "NLL, k 5,000", 1),
    ("images_5000", "images", 0),
    ("classifier_frechet_distance", "Frechet", 2),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
    ("density", "density", 3),
    ("coverage", "coverage", 3),
    ("ms_ssim", "MS-SSIM", 3),
    ("class_entropy", "class entropy", 3),
    ("seconds_per_epoch", "s/epoch", 1),
    ("parameters", "parameters", 0),
    ("peak_memory_mib", "memory, MiB", 0),
)
SUMMARY = ("elbo", "nll_200", "classifier_frechet_distance", "coverage", "seconds_per_epoch")
PICTURES = ("samples.png", "reconstructions.png")

# Sorts by the column whose heading is clicked: numbers as numbers, what is missing last.
SCRIPT = """
document.querySelectorAll("th").forEach((th, i) => th.onclick = () => {
  const body = document.querySelector("tbody"), up = th.classList.toggle("up");
  const key = (row) => parseFloat(row.cells[i].textContent.replaceAll(",", ""));
  [...body.rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (i == 0) return (up ? 1 : -1) * a.cells[0].textContent.localeCompare(b.cells[0].textContent);
    return isNaN(x) ? 1 : isNaN(y) ? -1 : up ? x - y : y - x;
  }).forEach((row) => body.append(row));
});
"""
STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em }
table { border-collapse: collapse; font-size: 13px } th { cursor: pointer; text-align: left }
td, th { padding: 2px 8px; border-bottom: 1px solid #ddd } td + td { text-align: right }
.row { display: flex; flex-wrap: wrap; gap: 1em; align-items: flex-start }
figure { margin: 0 0 1.5em; width: 24em } img { max-width: 100% }
"""


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="one DATASET-BUDGET of benchmark.py")
    parser.add_argument("--to", type=pathlib.Path, help="where to write; the folder itself if none")
    args = parser.parse_args(argv)
    results = load(args.folder)
    if not results:
        parser.error(f"{args.folder} has no NAME/seed_N/result.json. Run benchmark.py first.")
    target = args.to or args.folder
    target.mkdir(parents=True, exist_ok=True)
    pictures = copy_pictures(results, args.folder, target)
    for name, draw in PLOTS.items():
        if (fig := draw(results)) is not None:
            paper_script.save_figure(fig, target / name)
    paper_script.write_text(target / "index.html", page(results, pictures, target))
    paper_script.write_text(target / "summary.md", "\n".join(summary(results)) + "\n")
    print(target / "index.html")


def load(folder):
    """Results by name, in the order of the rows, those of a row by seed."""
    found = {}
    for path in sorted(folder.glob("*/seed_*/result.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(result["name"], []).append(result)
    return {row.name: found[row.name] for row in ROWS if row.name in found}


def values_of(seeds, metric):
    """One value a seed; none of times that others disturbed."""
    if metric == "seconds_per_epoch":
        seeds = [s for s in seeds if s["metrics"]["timed"]]
    return [s["metrics"][metric] for s in seeds if metric in s["metrics"]]


def text(values, digits):
    """Mean ± standard deviation, or nothing."""
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):,.{digits}f}{spread}"


# Plots: functions of all results to a figure, or None where nothing has these metrics.


def scatter(results, x, y, labels, log=False):
    """Two metrics of every model that has both."""
    import matplotlib.pyplot as plt

    points = {n: [values_of(s, metric) for metric in (x, y)] for n, s in results.items()}
    points = {n: np.mean(pair, axis=1) for n, pair in points.items() if all(pair)}
    if not points:
        return None
    fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
    for name, (left, up) in points.items():
        ax.plot(left, up, "o", color="#0072b2", markersize=5)
        ax.annotate(name, (left, up), xytext=(4, 3), textcoords="offset points", fontsize=7)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    if log:
        ax.set_yscale("log")
    return fig


PLOTS = {
    "rate_distortion.png": lambda r: scatter(
        r, "rate", "distortion", ("rate, nats", "distortion, nats")
    ),
    "likelihood_samples.png": lambda r: scatter(
        r,
        "nll_200",
        "classifier_frechet_distance",
        ("NLL by 200 samples, nats", "classifier Frechet distance"),
        log=True,
    ),
    "cost_quality.png": lambda r: scatter(
        r,
        "seconds_per_epoch",
        "classifier_frechet_distance",
        ("seconds an epoch", "classifier Frechet distance"),
        log=True,
    ),
}


# The page.


def copy_pictures(results, folder, target):
    """Pictures of the first seed by name, relative to the page."""
    found = {}
    for name, (first, *_) in results.items():
        for picture in PICTURES:
            path = folder / name / f"seed_{first['seed']}" / picture
            if path.exists():
                copy = target / "pictures" / f"{name}-{picture}"
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, copy)
                found.setdefault(name, []).append(copy.relative_to(target).as_posix())
    return found


def page(results, pictures, target):
    first = next(iter(results.values()))[0]
    plots = [f'<img src="{name}" width="560">' for name in PLOTS if (target / name).exists()]
    return "\n".join(
        [
            "<!doctype html><meta charset=utf-8><title>tfgen: benchmark</title>",
            f"<style>{STYLE}</style><h1>Every model, {html.escape(first['dataset'])}</h1>",
            f"<p>{html.escape(first['hardware'])}; {html.escape(first['versions'])}. Nats an "
            "image; scores of 10,000 samples in a classifier's features. A click on a heading "
            "sorts.</p>",
            *html_table(results),
            f"<h2>Plots</h2><div class=row>{''.join(plots)}</div>",
            "<h2>Samples and reconstructions</h2><div class=row>",
            *(figure(name, results[name][0], files) for name, files in pictures.items()),
            f"</div><script>{SCRIPT}</script>",
        ]
    )


def html_table(results):
    """One row a model, one for the training images in the place of samples."""
    headings = ["model", "seeds", *(heading for _, heading, _ in COLUMNS)]
    yield "<table><thead><tr>" + "".join(f"<th>{h}</th>" for h in headings) + "</tr></thead><tbody>"
    for name, seeds in results.items():
        cells = [text(values_of(seeds, metric), digits) for metric, _, digits in COLUMNS]
        title = html.escape(seeds[0]["setup"])
        yield f'<tr><td title="{title}">{name}</td>' + "".join(
            f"<td>{cell}</td>" for cell in [str(len(seeds)), *cells]
        )
    everyone = [seed for seeds in results.values() for seed in seeds]
    real = [text(values_of(everyone[:1], f"real_{metric}"), d) for metric, _, d in COLUMNS]
    yield "<tr><td>training images</td><td></td>" + "".join(f"<td>{cell}</td>" for cell in real)
    yield "</tbody></table>"


def figure(name, result, files):
    images = "".join(f'<img src="{file}" alt="{name}">' for file in files)
    return (
        f"<figure><figcaption><b>{name}</b>: {html.escape(result['setup'])}</figcaption>"
        f"{images}</figure>"
    )


def summary(results):
    """A Markdown table of few columns, with pythae's values beside ours."""
    chosen = [column for column in COLUMNS if column[0] in SUMMARY]
    headings = ["model", *(heading for _, heading, _ in chosen), "pythae: ELBO, NLL, s/epoch"]
    yield "| " + " | ".join(headings) + " |"
    yield "| " + " | ".join("---" for _ in headings) + " |"
    mnist = next(iter(results.values()))[0]["dataset"] == "mnist"
    for name, seeds in results.items():
        cells = [text(values_of(seeds, metric), digits) for metric, _, digits in chosen]
        peer = ", ".join(map(str, PEERS[name])) if mnist and name in PEERS else ""
        yield "| " + " | ".join([name, *cells, peer]) + " |"


if __name__ == "__main__":
    main()
