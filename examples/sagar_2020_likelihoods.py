"""Sagar, "Generate High Fidelity Images With Generative Variational Autoencoder": Table 7, in nats

    python examples/sagar_2020_likelihoods.py --data-dir ~/tensorflow_datasets
    python examples/sagar_2020_likelihoods.py --done
    python examples/sagar_2020_likelihoods.py --run annealing
    python examples/sagar_2020_likelihoods.py --smoke

Table 7 lists bounds of log p(x) from eight papers, on different binarizations of MNIST. Here every
kind of model in it is a row of `benchmark.py`: one binarization, one budget. `table-7` runs the
rows that are not done, hours for all of them, and ranks them by the NLL of 200 importance samples
from the model's own posterior, on the first 2,000 test images; `--done` trains nothing, and ranks
those that are done. `--scale paper` has DRAW with 64 steps and the convolutional HVI with 16 beside
them. `annealing` asks what 5,000 draws still miss. All in nats, upper bounds of -log p(x). A killed
run goes on where it stopped.
"""

import argparse
import datetime
import sys

import _start  # noqa: F401
import benchmark
import benchmark_page
import benchmark_run
import numpy as np
import paper_script
from paper_script import Experiment

from tfgen import metrics, models

# Rows of the benchmark, with the bound that the paper prints of such a model.
SYSTEMS = {
    **dict.fromkeys(("vae", "iwae-5", "iwae-50", "vamp-prior", "ladder", "conv-vae")),
    "planar-10": None,
    "planar-80": -85.1,
    "hvi-4": None,
    "hvi-16": -88.3,
    "conv-hvi": -84.1,
    "vgp": None,
    "vgp-2hl": -81.3,
    "draw": None,
    "draw-attention": None,
    "draw-vgp": -79.9,
    "iaf": -80.8,
}
LONG = {"draw-64": None, "conv-hvi-16": -84.1}


def systems(run):
    """Rows and the paper's bounds at this scale."""
    return run.pick({**SYSTEMS, **LONG}, SYSTEMS, {"vae": None, "planar-10": None})


def jobs(run):
    """What `benchmark.py` is to run, and its arguments."""
    argv = ["--run", *systems(run), "--seeds", str(run.seed + 1)]
    argv += ["--output-dir", str(run.args.output_dir.parent.with_name("benchmark"))]
    argv += ["--smoke"] if run.args.smoke else ["--dataset", run.args.dataset]
    argv += ["--data-dir", run.args.data_dir] if run.args.data_dir else []
    chosen = benchmark.jobs(benchmark.parse_args(argv))
    return [job for job in chosen if job.seed == run.seed], argv


def folder_of(job):
    """Where the result of today's code is: this machine's, or one that was published, or None."""
    print_of = benchmark.fingerprint_of(job.row.name)
    folders = (job.folder, job.record)
    return next((f for f in folders if benchmark_run.state(f, print_of) == "done"), None)


def table_7(run):
    """Trains what is not done; ranks all by NLL beside what the paper prints."""
    chosen, argv = jobs(run)
    benchmark.main(argv)
    return ranked(run, chosen)


def ranked(run, chosen):
    """NLLs of those rows that are done; their table, its numbers and a picture in run's folder."""
    folders = {job.row.name: folder for job in chosen if (folder := folder_of(job))}
    rows = {n: paper_script.read_json(f / "result.json")["metrics"] for n, f in folders.items()}
    nlls = nlls_of(folders)
    compared = benchmark_page.minus_the_vaes(nlls)
    names = sorted(rows, key=lambda name: rows[name]["nll_200"])
    lines = [
        "| model | paper, log p(x) >= | NLL, k 200 | minus the VAE's, same images "
        "| k 5,000 (images) | ELBO | parameters |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(table_row(n, systems(run)[n], rows[n], compared.get(n, "")) for n in names),
    ]
    paper_script.write_text(run.folder / "table_7.md", "\n".join(lines) + "\n")
    paper_script.write_json(run.folder / "table_7.json", numbers_of(names, rows, nlls))
    run.draw("table_7", ranking(names, rows))
    return {f"nll_200_{name}": rows[name]["nll_200"] for name in names}


def numbers_of(names, rows, nlls):
    """What the table prints, and where that was computed."""
    kept = ("nll_200", "nll_200_se", "nll_5000", "nll_5000_se", "images_5000", "elbo", "parameters")
    numbers = {name: {key: rows[name][key] for key in kept} for name in names}
    for name, gap in benchmark_page.gaps(nlls).items():
        mean, half = benchmark_page.mean_and_half(gap)
        numbers[name] |= {"minus_the_vaes": float(mean), "half_interval": float(half)}
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": paper_script.commit(),
        "date": datetime.date.today().isoformat(),
        **paper_script.machine(),
        "rows": numbers,
    }


def nlls_of(folders):
    """NLL of each of the same images, by row."""
    return {name: np.load(f / "nlls_200.npy").astype("float64") for name, f in folders.items()}


def table_row(name, paper, row, difference):
    return (
        f"| {name} | {paper or ''} | {row['nll_200']:.2f} ± {row['nll_200_se']:.2f} | "
        f"{difference} | {row['nll_5000']:.2f} ± {row['nll_5000_se']:.2f} "
        f"({row['images_5000']:,}) | {row['elbo']:.2f} | {row['parameters']:,} |"
    )


def ranking(names, rows):
    """NLL and -ELBO of each model as two dots on a line."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 0.9 + 0.34 * len(names)), layout="constrained")
    positions = np.arange(len(names))[::-1]
    nlls = np.array([rows[name]["nll_200"] for name in names])
    elbos = np.array([-rows[name]["elbo"] for name in names])
    errors = [rows[name]["nll_200_se"] for name in names]
    ax.hlines(positions, nlls, elbos, color="0.75", zorder=1)
    ax.errorbar(
        nlls, positions, xerr=errors, fmt="o", color="#0072b2", label="NLL, 200 samples, ± s.e."
    )
    ax.plot(elbos, positions, "D", color="#d55e00", markersize=5, label="-ELBO")
    ax.set_yticks(positions, names)
    ax.set_xlabel("nats per test image, lower is better")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return fig


def annealing(run):
    """How much 5,000 draws from the encoder still miss, on few images."""
    model, data = trained_vae(run), few_images(run)
    sampled = metrics.importance_sampled_nll(model, data, run.pick(5000, 5000, 20), at=())
    values = {"nll_5000": sampled.nll, "nll_5000_se": sampled.standard_error}
    for num_steps in run.pick((250, 1000), (250, 1000), (4, 8)):
        annealed = metrics.annealed_importance_sampling(
            model, data, num_chains=8, num_steps=num_steps, seed=run.seed
        )
        values[f"annealed_{num_steps}"] = annealed.nll
        gains = sampled.nlls - annealed.nlls
        values[f"annealed_{num_steps}_gain"] = float(gains.mean())
        values[f"annealed_{num_steps}_gain_se"] = float(gains.std(ddof=1) / len(gains) ** 0.5)
    return values


def trained_vae(run):
    """The benchmark's VAE: the one trained here, or else the published weights."""
    path = jobs(run)[0][0].folder / "model.keras"
    return models.load_model(path) if path.exists() else models.load_pretrained("mnist/vae")


def few_images(run):
    split = f"test[:{run.pick(50, 50, 4)}]"
    return benchmark_run.load_data(benchmark.row_of("vae"), run, split)[0]


def time_of(names):
    """What the rows take on two idle cores, in words."""
    minutes = sum(benchmark.row_of(name).minutes for name in names)
    return f"{round(minutes / 60)} h, less what is done"


EXPERIMENTS = [
    Experiment(
        "table-7",
        "Table 7",
        table_7,
        {},
        "rows of benchmark.py: 30 epochs of 55,000 images binarized once, batch 100, Adam 1e-3",
        {"cpu": time_of(SYSTEMS), "paper": time_of({**SYSTEMS, **LONG})},
        ("table_7.png",),
    ),
    Experiment(
        "annealing",
        "beside Table 7",
        annealing,
        {},
        "the model of vae, first 50 test images: importance sampling, and annealed importance "
        "sampling by HMC from the prior, 8 chains, 10 leapfrog steps",
        {"cpu": "minutes", "paper": "minutes"},
    ),
]


def main(argv=None):
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--done", action="store_true")
    options, argv = parser.parse_known_args(argv)
    data_sets = ["mnist", "fashion_mnist", "digits"]
    if options.done:
        rank_what_is_done(paper_script.parse_args(__doc__, EXPERIMENTS, data_sets, argv))
        return
    paper_script.main(__doc__, EXPERIMENTS, 0, data_sets, argv)


def rank_what_is_done(args):
    """Table 7 of the rows that are done, of which no result is kept."""
    run = paper_script.Run(args, args.output_dir / "table-7-done", 0)
    run.folder.mkdir(parents=True, exist_ok=True)
    ranked(run, jobs(run)[0])
    print((run.folder / "table_7.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
