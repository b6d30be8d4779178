"""A page of what `benchmark.py` measured: sortable table, plots, pictures of every model

    python examples/benchmark_page.py outputs/benchmark/mnist-small
    python examples/benchmark_page.py docs/results/benchmark/mnist-small --to docs/comparison/mnist

Reads every `NAME/seed_N/result.json` of a folder and writes index.html, which needs no network,
summary.md, gallery.png, and the pictures they show. Numbers are means over seeds, with their
standard deviation where there are several; pictures are of the first. NLLs are compared with the
VAE's on the same images, by the mean difference with a 95 % interval over images, which says
nothing of other seeds. Times that are no measurements are left out.
"""

import argparse
import html
import os
import pathlib

import numpy as np
import paper_script
from benchmark_rows import PEERS, ROWS
from paper_files import save_in_few_colours
from PIL import Image

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
DIFFERENCE, PYTHAE = "NLL minus the VAE's", "pythae, or as it says: ELBO, NLL, s/epoch"
PICTURES = ("samples.png", "reconstructions.png")

# Where a name may stand, in points from its model: on rings, the nearest first.
PLACES = [(4.0, 3.0)] + [
    (radius * np.cos(angle), radius * np.sin(angle))
    for radius in range(8, 160, 6)
    for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False)
]

# Models of the picture of samples.
SHOWN = (
    *("vae", "flow-prior", "conditional-vae", "draw", "vq-vae", "wae", "gan", "ac-gan", "wgan-gp"),
    *("vae-gan", "ali", "glow"),
)

# Sorts by the column whose heading is clicked: numbers as numbers, what is missing last.
SORTED = """<script>
document.querySelectorAll("table.benchmark th").forEach((th) => th.onclick = () => {
  const body = th.closest("table").tBodies[0], i = th.cellIndex, up = th.classList.toggle("up");
  const key = (row) => parseFloat(row.cells[i].textContent.replaceAll(",", ""));
  [...body.rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (i == 0) return (up ? 1 : -1) * a.cells[0].textContent.localeCompare(b.cells[0].textContent);
    return isNaN(x) ? 1 : isNaN(y) ? -1 : up ? x - y : y - x;
  }).forEach((row) => body.append(row));
});
</script>"""
STYLE = """
table.benchmark { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto }
.benchmark th { cursor: pointer; text-align: left; vertical-align: bottom }
.benchmark td, .benchmark th { padding: 2px 8px; border-bottom: 1px solid #ddd; }
.benchmark td + td { text-align: right } .benchmark td:first-child { white-space: nowrap }
"""
PAGE_STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em }
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
    pictures = pictures_of(results, args.folder)
    compared = differences(results, args.folder)
    for name, draw in PLOTS.items():
        save(draw(results), target / name)
    save(gallery(pictures), target / "gallery.png")
    shrink(target / "gallery.png")
    links = {n: [relative(p, target) for p in paths] for n, paths in pictures.items()}
    table = "\n".join(html_tables(results, compared))
    paper_script.write_text(target / "index.html", page(results, table, links, target))
    paper_script.write_text(target / "table.html", f"<style>{STYLE}</style>{table}{SORTED}")
    paper_script.write_text(target / "gallery.md", "\n".join(markdown(results, links)))
    paper_script.write_text(target / "summary.md", "\n".join(summary(results, compared)) + "\n")
    print(target / "index.html")


def save(fig, path):
    """Writes a figure, if there is one."""
    if fig is not None:
        paper_script.save_figure(fig, path)


def shrink(path):
    """Stores a picture of grey images, if there is one, in few colours."""
    if path.exists():
        with Image.open(path) as image:
            save_in_few_colours(image, path)


def relative(path, target):
    return pathlib.Path(os.path.relpath(path, target)).as_posix()


def load(folder):
    """Results by name, in the order of the rows, those of a row by seed."""
    found = {}
    for path in sorted(folder.glob("*/seed_*/result.json")):
        result = paper_script.read_json(path)
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
    several = digits > 0 and len(values) > 1  # Counts and sizes are those of any seed.
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if several else ""
    return f"{np.mean(values):,.{digits}f}{spread}"


# Plots: functions of all results to a figure, or None where nothing has these metrics.


def scatter(results, x, y, labels, **scales):
    """Two metrics of every model that has both, unless few of those with the second have them.

    `scales` are `xscale` and `yscale`.
    """
    import matplotlib.pyplot as plt

    found = {n: [values_of(s, metric) for metric in (x, y)] for n, s in results.items()}
    points = {n: [np.mean(v) for v in pair] for n, pair in found.items() if all(pair)}
    if not points or 4 * len(points) < sum(bool(pair[1]) for pair in found.values()):
        return None
    fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
    ax.plot(*zip(*points.values(), strict=True), "o", color="#0072b2", markersize=5)
    ax.set(xlabel=labels[0], ylabel=labels[1], **scales)
    ax.margins(0.12)
    write_names(ax, points)
    return fig


def write_names(ax, points):
    """Writes each name at the free place that is nearest to its point, with a line between."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    ax.figure.canvas.draw()  # Lays the figure out, so that places are known.
    at = ax.transData.transform
    taken = [Bbox.from_bounds(*(at(point) - 4), 8, 8) for point in points.values()]
    for name, point in points.items():
        line = dict(arrowstyle="-", color="grey", linewidth=0.5, shrinkA=0, shrinkB=3)
        text = ax.annotate(
            name, point, (0, 0), textcoords="offset points", fontsize=7, arrowprops=line
        )
        for offset in PLACES:
            text.set_position(offset)
            text.update_positions(ax.figure.canvas.get_renderer())
            box = Text.get_window_extent(text)  # Without the line.
            inside = ax.bbox.containsx(box.x1) and ax.bbox.containsy(box.y1)
            if inside and not box.count_overlaps(taken):
                break
        taken.append(box)


PLOTS = {
    "rate_distortion.png": lambda r: scatter(
        r, "rate", "distortion", ("rate, nats", "distortion, nats"), xscale="log"
    ),
    "likelihood_samples.png": lambda r: scatter(
        r,
        "nll_200",
        "classifier_frechet_distance",
        ("NLL by 200 samples, nats", "classifier Frechet distance"),
        yscale="log",
    ),
    "cost_quality.png": lambda r: scatter(
        r,
        "seconds_per_epoch",
        "classifier_frechet_distance",
        ("seconds an epoch", "classifier Frechet distance"),
        yscale="log",
    ),
}


def gallery(pictures):
    """Samples of `SHOWN`, those that there are, in one figure."""
    import matplotlib.pyplot as plt

    names = [n for n in SHOWN if n in pictures and pictures[n][0].name == "samples.png"]
    if not names:
        return None
    columns = min((4, 5, 3), key=lambda n: -len(names) % n)  # The fewest empty places.
    rows = -(-len(names) // columns)
    size = (2.5 * columns, 2.7 * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, name in zip(axes.flat, names, strict=False):
        ax.imshow(plt.imread(pictures[name][0]))
        ax.set_title(name, fontsize=11)
    return fig


# Comparisons on the same images.


def differences(results, folder):
    """NLL of each model minus the VAE's: mean over images, with a 95 % interval."""
    return minus_the_vaes({name: nlls(seeds, folder) for name, seeds in results.items()})


def minus_the_vaes(values):
    """Of the NLLs of images by model, None where they are unknown."""
    return {name: interval(gap) for name, gap in gaps(values).items()}


def gaps(values):
    """NLL of each image minus the VAE's, by model; none if the VAE's are unknown."""
    base = values.get("vae")
    others = {n: v for n, v in values.items() if v is not None and n != "vae"}
    return {} if base is None else {name: v - base for name, v in others.items()}


def nlls(seeds, folder):
    """NLL of each test image, averaged over seeds; None where it is unknown."""
    paths = [folder / s["name"] / f"seed_{s['seed']}" / "nlls_200.npy" for s in seeds]
    found = [np.load(path).astype("float64") for path in paths if path.exists()]
    return np.mean(found, axis=0) if found else None


def mean_and_half(values):
    """Mean over images, and half of its 95 % interval."""
    return values.mean(), 1.96 * values.std(ddof=1) / np.sqrt(len(values))


def interval(values):
    mean, half = mean_and_half(values)
    return f"{mean:+.2f} ± {half:.2f}"


# The page.


def pictures_of(results, folder):
    """Paths of the pictures of the first seed, by name."""
    folders = {n: folder / n / f"seed_{seeds[0]['seed']}" for n, seeds in results.items()}
    found = {n: [f / p for p in PICTURES if (f / p).exists()] for n, f in folders.items()}
    return {name: paths for name, paths in found.items() if paths}


def page(results, table, links, target):
    first = next(iter(results.values()))[0]
    plots = [f'<img src="{name}" width="560">' for name in PLOTS if (target / name).exists()]
    return "\n".join(
        [
            "<!doctype html><meta charset=utf-8><title>tfgen: benchmark</title>",
            f"<style>{PAGE_STYLE}{STYLE}</style>",
            f"<h1>Every model, {html.escape(first['dataset'])}</h1>",
            f"<p>{html.escape(first['hardware'])}; {html.escape(first['versions'])}. Nats an "
            "image; scores of 10,000 samples in a classifier's features. A click on a heading "
            "sorts.</p>",
            table,
            f"<h2>Plots</h2><div class=row>{''.join(plots)}</div>",
            "<h2>Samples and reconstructions</h2><div class=row>",
            *(figure(name, results[name][0], files) for name, files in links.items()),
            f"</div>{SORTED}",
        ]
    )


def markdown(results, links):
    """The pictures of all models, for a page of the docs."""
    for name, files in links.items():
        yield f"\n**{name}**: {results[name][0]['setup']}.\n"
        for file in files:
            yield f"![{pathlib.Path(file).stem} of {name}]({file})"


def by_epochs(results):
    """Those of equally many epochs, which alone can be compared; the most first."""
    epochs = {name: seeds[0]["configuration"]["epochs"] for name, seeds in results.items()}
    return {
        number: {name: seeds for name, seeds in results.items() if epochs[name] == number}
        for number in sorted(set(epochs.values()), reverse=True)
    }


def html_tables(results, compared):
    """One for each number of epochs."""
    for epochs, part in by_epochs(results).items():
        yield f"<p><b>{epochs} epochs</b></p>"
        yield from html_table(part, compared)


def html_table(results, compared):
    """One row a model, one for the training images in the place of samples."""
    headings = ["model", "seeds", *(heading for _, heading, _ in COLUMNS), DIFFERENCE]
    yield "<table class=benchmark><thead><tr>"
    yield "".join(f"<th>{h}</th>" for h in headings) + "</tr></thead><tbody>"
    for name, seeds in results.items():
        cells = [text(values_of(seeds, metric), digits) for metric, _, digits in COLUMNS]
        title = html.escape(seeds[0]["setup"])
        yield f'<tr><td title="{title}">{name}</td>' + "".join(
            f"<td>{cell}</td>" for cell in [str(len(seeds)), *cells, compared.get(name, "")]
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


def summary(results, compared):
    """Markdown tables of few columns, with the peers' values beside ours."""
    peers = PEERS if next(iter(results.values()))[0]["dataset"] == "mnist" else {}
    for i, (epochs, part) in enumerate(by_epochs(results).items()):
        yield from ("", f"{epochs} epochs:", "")
        missing = {name: [] for name in peers if name not in results and i == 0}
        yield from markdown_table({**part, **missing}, compared, peers)


def markdown_table(results, compared, peers):
    """A line a model; columns that would be empty are left out."""
    columns = {
        heading: {name: text(values_of(seeds, metric), digits) for name, seeds in results.items()}
        for metric, heading, digits in COLUMNS
        if metric in SUMMARY
    }
    columns |= {DIFFERENCE: compared}
    columns |= {PYTHAE: {name: ", ".join(map(str, values)) for name, values in peers.items()}}
    columns = {h: cells for h, cells in columns.items() if any(map(cells.get, results))}
    yield "| " + " | ".join(["model", *columns]) + " |"
    yield "| " + " | ".join("---" for _ in ["model", *columns]) + " |"
    for name in results:
        yield "| " + " | ".join([name, *(c.get(name, "") for c in columns.values())]) + " |"


if __name__ == "__main__":
    main()
