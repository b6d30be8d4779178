"""Trains a model on real images, and shows what it has learnt.

    python -m tfgen.quickstart
    python -m tfgen.quickstart --dataset mnist --download --model beta-vae --beta 4
    python -m tfgen.quickstart --smoke

Writes pictures, metrics.json and model.keras into --output-dir. The default data are the 1,797
digits that come with scikit-learn, so nothing is downloaded; other sets are fetched with
--download. After a kill, the same command goes on where it stopped.
"""

import argparse
import pathlib
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from tfgen._utils import extras
from tfgen.command import process, recipes, reports, runs
from tfgen.command.arguments import Parser, at_least, positive
from tfgen.command.code import execute
from tfgen.command.tables import MODELS, epochs_of, smoke_splits

__all__ = ["main", "parse_args"]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments, with the names that those of `tfgen train` have."""
    parser = Parser(prog="quickstart", description=__doc__)
    add = parser.add_argument
    add("--dataset", dest="data", default="digits", help="or sprites, mnist, celeb_a, a folder ...")
    add("--model", choices=list(MODELS), default="vae", metavar="MODEL", help=", ".join(MODELS))
    add("--epochs", type=at_least(1), help="default depends on the data; 1 with --smoke")
    add("--latent-dim", type=at_least(1), help="default 10, of GANs 32")
    add("--beta", type=positive, help="for beta-vae and beta-tcvae; default 4")
    add("--image-size", type=at_least(1), metavar="PIXELS", help="resize images to this square")
    add("--data-dir", help="TensorFlow Datasets folder; default TFDS_DATA_DIR")
    add("--download", action="store_true", help="fetch a data set that is missing")
    add("--seed", type=at_least(0), default=0)
    add("--output-dir", type=pathlib.Path, default=pathlib.Path("outputs", "quickstart"))
    add("--smoke", action="store_true", help="few examples of any data: shows that it works")
    add("--show-code", action="store_true", help="print the Python lines of the training, and end")
    add("--traceback", action="store_true", help="show where in the code an error was raised")
    return parser.parse_args(argv)


def _complete(args):
    """Fills in what `tfgen train` has and this has not, and what model and data decide."""
    if args.beta and "beta" not in MODELS[args.model].options:
        raise ValueError(
            f"--beta is for beta-vae and beta-tcvae. Received: --beta {args.beta} for "
            f"{args.model}. Leave it out."
        )
    defaults: dict[str, Any] = dict.fromkeys(
        ("batch_size", "binarize", "cache_dir", "kinds", "learning_rate", "likelihood", "network")
    )
    values = {**defaults, "set": [("beta", args.beta)] * bool(args.beta)}
    args = argparse.Namespace(**vars(args), **values, command="quickstart")
    args.train_split, args.test_split = smoke_splits(args.data) if args.smoke else (None, None)
    args.epochs = args.epochs or (1 if args.smoke else epochs_of(args.data))
    runs.complete_training(args)
    return args


def _run(args):
    start, before = time.monotonic(), runs.seconds_before(args.output_dir)
    extras.require("matplotlib", extra="plot")  # Now, and not after the training.
    runs.check_folder(args)
    names = process.run_training(args, before)
    figures = _draw(args, names)
    reports.of_training(args, names, before + time.monotonic() - start, figures)
    shutil.rmtree(args.output_dir / runs.BACKUP)  # Until here an error costs no training.


def _draw(args, names):
    """Draws and writes one picture after the other; returns their paths."""
    execute(recipes.shown_images(args, names), names)
    paths = []
    for name, code in recipes.figures(args, names).items():
        execute(code, names)
        paths.append(args.output_dir / f"{name}.png")
        reports.save_figure(names["fig"], paths[-1])
    return paths


def main(argv: Sequence[str] | None = None) -> int:
    """The quickstart.

    Args:
        argv: list of str, `sys.argv[1:]` if None.

    Returns:
        Exit status, as that of `tfgen.command.main`.
    """
    args = parse_args(argv)
    with process.errors_in_one_line("quickstart", args) as status:
        args = _complete(args)
        process.load_tensorflow()
        if args.show_code:
            print(process.run_parts(recipes.RECIPES["train"], args, {}, dry=True), end="")
        else:
            _run(args)
    return status[0]


if __name__ == "__main__":
    sys.exit(main())
