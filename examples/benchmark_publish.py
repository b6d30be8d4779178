"""Puts what `benchmark.py` measured into the repository: records, pictures, weights, model cards

    python examples/benchmark_publish.py outputs/benchmark
    python examples/benchmark_publish.py outputs/benchmark --weights vae gan

Every result.json goes to `docs/results/benchmark/DATASET-BUDGET/NAME/seed_N`, where `benchmark.py`
finds the row done, with the NLL of each image and, of the first seed, small pictures. Weights of
the rows of `PRETRAINED`, first seed on MNIST, go to `examples/pretrained/mnist/NAME.keras` without
optimizers, and are listed in `tfgen/models/pretrained.json` with a checksum. They are stored in
float16 if the number printed of the model is then the same to its last digit, in float32 if not;
which number that is, and how to make the file again, its card says beside it.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import tempfile
import zipfile

import benchmark
import benchmark_run
import h5py
import numpy as np
import paper_script
from benchmark_rows import BOUND
from paper_files import save_in_few_colours
from PIL import Image

from tfgen import models

REPOSITORY = pathlib.Path(__file__).parents[1]
FOLDER = REPOSITORY / "examples" / "pretrained"
INDEX = pathlib.Path(models.__file__).with_name("pretrained.json")
# One of each kind, 40 MB in all.
PRETRAINED = (
    *("vae", "ae", "beta-tcvae", "iwae-5", "vamp-prior", "iaf", "planar-10", "info-vae", "wae"),
    *("dip-vae-ii", "vq-vae", "mixture", "gan", "wgan-gp", "ali", "vae-gan", "alpha-gan", "gvae"),
    *("conv-vae", "ladder", "flow-prior", "hvi-4", "draw-attention", "image-flow"),
)
WIDTH = 400  # Pixels of a picture in the docs.
PICTURES = ("samples.png", "reconstructions.png")
# Metric and digits of the number printed of a model: the first that it has.
PRINTED = (("elbo", 1), ("bits_per_dim", 3), ("classifier_frechet_distance", 2))
UNSHOWN = {"terms", "timed", "seconds_per_epoch", "training_seconds"}
# Arguments of layers that are newer than Keras 3.8, with their defaults.
NEWER = {
    **dict.fromkeys(("quantization_config", "input_axes", "output_axes", "renorm_clipping")),
    "renorm": False,
    "renorm_momentum": 0.99,
}
LICENCE = "Weights: Apache-2.0, as tfgen. Data: MNIST, of LeCun, Cortes & Burges."


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="--output-dir of benchmark.py")
    parser.add_argument("--records", type=pathlib.Path, default=benchmark.RECORDS)
    parser.add_argument(
        "--weights",
        nargs="*",
        default=PRETRAINED,
        metavar="NAME",
        choices=PRETRAINED,
        help="rows whose weights are written where they are missing or of another run; all",
    )
    parser.add_argument("--data-dir", default=os.environ.get("TFDS_DATA_DIR"))
    args = parser.parse_args(argv)
    folders = [path.parent for path in sorted(args.folder.glob(benchmark.RESULTS))]
    if not folders:
        parser.error(f"{args.folder} has no DATASET-BUDGET/NAME/seed_N. Run benchmark.py first.")
    for folder in filter(is_publishable, folders):
        place = folder.relative_to(args.folder)
        record(folder, args.records / place)
        if place.parts[0] == "mnist-small" and place.parts[2] == "seed_0":
            if (name := place.parts[1]) in args.weights:
                publish(folder, f"mnist/{name}", args.data_dir)


def is_publishable(folder):
    """Whether a folder holds the result of a run, no smoke run, by today's code."""
    result = paper_script.read_json(folder / "result.json")
    stale = result["fingerprint"] != benchmark.fingerprint_of(result["name"])
    if stale and result["budget"] != "smoke":
        print(f"{folder}: left out, made by other code")
    return not stale and result["budget"] != "smoke"


# Records.


def record(folder, target):
    """Copies what the page needs of one run; seconds that were measured before are kept."""
    target.mkdir(parents=True, exist_ok=True)
    result, path = paper_script.read_json(folder / "result.json"), target / "result.json"
    before = paper_script.read_json(path) if path.exists() else result
    if before["fingerprint"] == result["fingerprint"] and not result["metrics"]["timed"]:
        result["metrics"] |= {k: before["metrics"][k] for k in ("seconds_per_epoch", "timed")}
        result |= {k: before[k] for k in ["timed_apart"] if k in before}
    paper_script.write_json(path, result)
    if (folder / "nlls_200.npy").exists():
        np.save(target / "nlls_200.npy", np.load(folder / "nlls_200.npy").astype("float32"))
    for name in PICTURES:
        if folder.name == "seed_0" and (folder / name).exists():
            with Image.open(folder / name) as image:
                image.thumbnail((WIDTH, WIDTH))
                save_in_few_colours(image, target / name)


# Weights.


def publish(folder, name, data_dir):
    """Writes the weights of one run, unless they are there, and what is said of them."""
    result, target = paper_script.read_json(folder / "result.json"), FOLDER / f"{name}.keras"
    known = models.pretrained_models()
    source = sha256(folder / "model.keras")
    printed = text_of(result["metrics"])
    made = {"source": source, "printed": printed}
    if not (target.exists() and known.get(name, {}).items() >= made.items()):
        dtype = write_weights(folder / "model.keras", target, result, data_dir)
        known[name] = {**made, "dtype": dtype, **of_file(target)}
        print(f"{name}: {printed}, {dtype}, {target.stat().st_size:,} bytes", flush=True)
    known[name] |= of_run(result)
    paper_script.write_json(INDEX, dict(sorted(known.items())))
    paper_script.write_text(target.with_suffix(".md"), card(name, result, known[name]))


def write_weights(source, target, result, data_dir):
    """Writes the file; returns the type of its weights."""
    target.parent.mkdir(parents=True, exist_ok=True)
    model, dtype = models.load_model(source, compile=False), "float16"
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        saved, aside = pathlib.Path(folder, "saved.keras"), pathlib.Path(folder, "aside.keras")
        model.save(saved)
        rewrite(saved, aside, in_half)
        metric, _ = printed_of(result["metrics"])
        if text_of({metric: measured(aside, result, metric, data_dir)}) != text_of(
            result["metrics"]
        ):
            rewrite(saved, aside, as_it_is)
            dtype = "float32"
        os.replace(aside, target)
    return dtype


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def text_of(metrics):
    """The number printed of a model, such as "elbo -99.8"."""
    metric, digits = printed_of(metrics)
    return f"{metric} {metrics[metric]:.{digits}f}"


def printed_of(metrics):
    return next((metric, digits) for metric, digits in PRINTED if metric in metrics)


def rewrite(source, target, convert):
    """A `.keras` file that lower versions of Keras read too, its arrays converted and packed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()}
        config = without_newer(json.loads(contents["config.json"]))
        contents["config.json"] = json.dumps(config).encode()
        contents["model.weights.h5"] = packed(contents["model.weights.h5"], convert)
        for name, content in contents.items():
            new.writestr(name, content)


def without_newer(config):
    """A configuration without what Keras 3.8 does not know, where it says what is so anyway."""
    if isinstance(config, list):
        return [without_newer(item) for item in config]
    if not isinstance(config, dict):
        return config
    kept = {k: without_newer(v) for k, v in config.items() if k not in NEWER or v != NEWER[k]}
    if str(kept.get("module")).startswith("keras.src.ops"):
        kept["config"].pop("name", None)  # Operations are found by the name beside.
    return kept


def packed(content, convert):
    """The bytes of an HDF5 file with its arrays converted and compressed."""
    before, after = io.BytesIO(content), io.BytesIO()
    with h5py.File(before) as old, h5py.File(after, "w") as new:
        new.attrs.update(old.attrs)
        old.visititems(lambda name, node: copy_node(name, node, new, convert))
    return after.getvalue()


def copy_node(name, node, target, convert):
    if isinstance(node, h5py.Dataset):
        how = {"compression": "gzip", "shuffle": True} if node.ndim else {}
        made = target.create_dataset(name, data=convert(node[()]), **how)
    else:
        made = target.require_group(name)
    made.attrs.update(node.attrs)


def in_half(value):
    return value.astype("float16") if value.dtype == np.float32 else value


def as_it_is(value):
    return value


def measured(path, result, metric, data_dir):
    """The printed metric of a file, measured as in the benchmark."""
    row = benchmark.row_of(result["name"])
    flags = ["--output-dir", str(path.parent)]
    flags += ["--data-dir", str(data_dir)] if data_dir else []
    args = benchmark.parse_args(flags + ["--smoke"] * (result["dataset"] == "digits"))
    job = benchmark.job_of(row, result["dataset"], result["seed"], args)
    model = models.load_model(path)
    model.compile(benchmark_run.optimizer(row, 1)) if row.optimizer else model.compile()
    part = benchmark_run.terms if BOUND in row.measures else benchmark_run.samples
    return part(row, benchmark.run_of(job, args), model)[metric]


def of_file(path):
    """What `models.pretrained_models()` says of a file."""
    images = models.load_model(path).sample(64, seed=0, mean=True)
    return {
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "sample_mean": float(np.mean(images)),
    }


def of_run(result):
    """What it says of the run that made the file."""
    shown = {"elbo", "bits_per_dim", "nll_200", "classifier_frechet_distance", "coverage"}
    metrics = {k: v for k, v in result["metrics"].items() if k in shown}
    return {"model": result["model"], "setup": result["setup"], "metrics": metrics}


def optimizer_text(optimizer):
    if optimizer is None:
        return ""
    name, options = optimizer
    return f"{name} with {', '.join(f'{k} {v}' for k, v in options.items())}, "


def shown(value):
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def card(name, result, known):
    """What a reader must know of a file."""
    settings = result["configuration"]
    lines = [f"- {k}: {shown(v)}" for k, v in result["metrics"].items() if k not in UNSHOWN]
    return "\n".join(
        [
            f"# {name}\n",
            f'`models.load_pretrained("{name}")`: a `models.{result["model"]}`.\n',
            f"- What: {result['setup']}.",
            f"- Data: {result['dataset']}, {settings['training_images']}, "
            f"{settings['pixels']} pixels.",
            f"- Training: {settings['epochs']} epochs in batches of {settings['batch_size']}, "
            f"{optimizer_text(settings['optimizer'])}seed {result['seed']}.",
            f"- Weights in {known['dtype']}, {known['bytes']:,} bytes, without optimizer.",
            f"- Made by `{result['command']}`, commit {result['commit']}, {result['date']}, "
            f"{result['hardware']}, {result['versions']}.",
            f"- {LICENCE}\n",
            "## Measured on the test set, in float32\n",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
