"""What the command prints, and the files it writes beside the model."""

import argparse
import importlib
import json
import os
import pathlib
import platform
from collections.abc import Iterable
from typing import Any

import tfgen
from tfgen.command import runs
from tfgen.command.recipes import judged_by_samples
from tfgen.command.tables import EMBEDDED

__all__ = [
    "machine",
    "of_bench",
    "of_data_list",
    "of_data_prepare",
    "of_evaluation",
    "of_export",
    "of_search",
    "of_training",
    "save_figure",
    "write_json",
    "written_aside",
]

_BEST = 5
_PACKAGES = {"TensorFlow": "tensorflow", "Keras": "keras", "TFP": "tensorflow_probability"}


def written_aside(path: pathlib.Path) -> Any:
    """`tfgen._utils.files.written_aside`, in a folder that is made."""
    from tfgen._utils import files  # With NumPy, which --help need not wait for.

    path.parent.mkdir(parents=True, exist_ok=True)
    return files.written_aside(path)


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes a JSON file aside and renames it."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def save_figure(fig: Any, path: pathlib.Path) -> None:
    """Writes a figure aside, renames it and forgets it."""
    with written_aside(path) as aside:
        fig.savefig(aside, dpi=150)
    importlib.import_module("matplotlib.pyplot").close(fig)


def machine() -> dict[str, str]:
    """What runs: the processor, GPUs if there are any, and versions."""
    import tensorflow as tf

    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    found = {name: importlib.import_module(module) for name, module in _PACKAGES.items()}
    versions = {"tfgen": tfgen, **found}
    listed = ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
    return {
        "hardware": ", ".join([f"{os.cpu_count()} cores of {_processor()}", *gpus]),
        "versions": f"{listed}, Python {platform.python_version()}",
    }


def _processor():
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _print_metrics(args, metrics):
    """A line for each number, and what they are."""
    units = " (nats; bits_per_dim in bits)" if "elbo" in metrics else ""
    print(f"\n{args.data}, {args.test_split}: mean over examples{units}")
    for name, value in metrics.items():
        print(f"  {name:<28} {value:12.4f}")


def _print_paths(*paths: Any) -> None:
    print("\nWritten")
    for path in paths:
        print(f"  {path}")


def of_training(
    args: argparse.Namespace,
    names: dict[str, Any],
    seconds: float,
    figures: Iterable[pathlib.Path] = (),
) -> None:
    """What training reached, in which time and with what; also writes it to metrics.json."""
    metrics = {name: float(value) for name, value in names["metrics"].items()}
    path = args.output_dir / runs.METRICS
    facts = {"epochs": args.epochs, "seconds": round(seconds, 1), **machine()}
    write_json(path, {"metrics": metrics, **facts, "arguments": runs.describe(args)})
    _print_metrics(args, metrics)
    print(f"\n{seconds:.0f} s on {facts['hardware']}\n{facts['versions']}")
    _print_paths(*figures, path, args.output_dir / runs.MODEL)


def of_evaluation(args: argparse.Namespace, names: dict[str, Any]) -> None:
    metrics = {name: float(value) for name, value in names["metrics"].items()}
    _print_metrics(args, metrics)
    if scores := names.get("scores"):
        _print_scores(scores)
        metrics["samples"] = scores._asdict()
    elif judged_by_samples(names["model"]):
        print("\nNo scores of samples: they need at least 10 test images, and 10 to train on.")
    if args.json:
        write_json(args.json, metrics)
        _print_paths(args.json)


def _print_scores(scores):
    number, heads = scores.settings["num_samples"], ("samples", "real images")
    print(f"\n{number} samples, and {number} training images in their place\n")
    print(f"  {'':<28} {heads[0]:>12} {heads[1]:>12}")
    for name, value in scores.generated.items():
        print(f"  {name:<28} {value:12.4g} {scores.real[name]:12.4g}")


def of_bench(args: argparse.Namespace, names: dict[str, Any]) -> None:
    for name, value in names["found"].items():
        print(f"  {name:<28} {value:12.4g}")
    print(", ".join(machine().values()))


def of_export(args: argparse.Namespace, names: dict[str, Any]) -> None:
    print(f"{args.output}: {', '.join(names['endpoints'])}")


def of_search(args: argparse.Namespace, names: dict[str, Any]) -> None:
    """The best trials, best first, and where everything is."""
    ranked = names["tuning"].ranked(names["result"].trials)
    completed = [trial for trial in ranked if trial.objective]
    print(f"\n{len(completed)} of {len(ranked)} trials completed. The best of them:")
    for trial in completed[:_BEST]:
        varied = {k: v for k, v in trial.hyperparameters.items() if k in names["hypermodel"].space}
        values = ", ".join(f"{name} {value}" for name, value in varied.items())
        print(f"  {trial.objective['name']} {trial.objective['value']:.4f}: {values}")
    best = names["result"].best
    _print_paths(names["report"], *[best.model_path] * bool(best))


def of_data_list(args: argparse.Namespace, names: dict[str, Any]) -> None:
    from tfgen.datasets.factor_images import FACTOR_IMAGES

    for name in EMBEDDED:
        print(f"{name:<18} in the package")
    for name, file in FACTOR_IMAGES.items():
        print(f"{name:<18} --data-dir DIR, which holds {file} as its authors publish it")
    for name, prepared in names["prepared"].items():
        where = names["builders"][name].data_dir if prepared else f"tfgen data prepare {name}"
        print(f"{name:<18} {'prepared in' if prepared else 'to fetch:'} {where}")
    print("More: any data set of images of TensorFlow Datasets, folders of images, CSV files.")


def of_data_prepare(args: argparse.Namespace, names: dict[str, Any]) -> None:
    print(f"{args.name}: prepared in {names['builder'].data_dir}")
