"""Searches the weight of a VAE's KL term and its latent size, and reports what it found.

    python examples/tune_beta_latent.py
    python examples/tune_beta_latent.py --dataset sprites --model factor-vae --objective mig
    python examples/tune_beta_latent.py --dataset mnist --tuner bayesian --max-trials 20 --workers 2
    python examples/tune_beta_latent.py --smoke

Writes trials, the models of the three best and the worst, and report/report.html into --output-dir.
The same command again goes on where it was killed. The default data are the 1,797 digits that come
with scikit-learn, so nothing is downloaded.
"""

import argparse
import functools
import pathlib
import sys
from typing import NamedTuple

from tfgen import datasets, models, tuning

TRAIN_AND_VALIDATION = ("train[:90%]", "train[90%:]")
LATENT_DIMS = (2, 5, 10, 20)
NUM_PRINTED = 5


class Data(NamedTuple):
    """Defaults of a data set."""

    epochs: int
    splits: tuple = TRAIN_AND_VALIDATION
    binarize: str | None = "stochastic"
    metrics: tuple = ()


class Model(NamedTuple):
    """A class, its weight and the values of Locatello et al., arXiv:1811.12359v4, Table 2."""

    model_class: type
    weight: str | None = None
    values: tuple = ()


DATA = {
    "digits": Data(100),
    "mnist": Data(5),
    "fashion_mnist": Data(5),
    "sprites": Data(1, ("train", "test[:5000]"), None, ("mig",)),
}
MODELS = {
    "vae": Model(models.VAE),
    "beta-vae": Model(models.BetaVAE, "beta", (1, 2, 4, 6, 8, 16)),
    "beta-tcvae": Model(models.BetaTCVAE, "beta", (1, 2, 4, 6, 8, 10)),
    "factor-vae": Model(models.FactorVAE, "gamma", (10, 20, 30, 40, 50, 100)),
    "dip-vae": Model(models.DIPVAE, "lambda_od", (1, 2, 5, 10, 20, 50)),
}


def objective(text):
    """A name, or "mig=1,val_elbo=0.01" as a dict of weights."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    return {name: float(weight) for name, _, weight in pairs} if "=" in text else text


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add("--dataset", choices=list(DATA), default="digits")
    add("--model", choices=list(MODELS), default="beta-vae")
    add("--tuner", choices=["grid", "random", "bayesian", "hyperband"], default="grid")
    add("--betas", type=float, nargs="+", help="or the weight that the model has in its place")
    add("--latent-dims", type=int, nargs="+", help="default 2 5 10 20")
    add("--objective", type=objective, default="val_elbo", help="or mig=1,val_elbo=0.01")
    add("--epochs", type=int, help="default depends on the data set")
    add("--max-trials", type=int, help="default 20 for random and bayesian, all for grid")
    add("--workers", type=int, default=1, help="processes that train at the same time")
    add("--network", choices=["mlp", "conv", "conv64"], help="default by the height of the images")
    add("--width", type=int, help="of the networks; default that of each network")
    add("--mixed-precision", action="store_true", help="bfloat16, on a GPU")
    add("--jit", action="store_true", help="XLA; keeps the code of each trial in memory")
    add("--memory-growth", action=switch, default=True, help="take GPU memory as needed")
    add("--data-dir", help="TensorFlow Datasets folder; default TFDS_DATA_DIR")
    add("--seed", type=int, default=0)
    add("--output-dir", type=pathlib.Path, help="default depends on data, model and tuner")
    add("--smoke", action="store_true", help="seconds, on the digits: shows that it works")
    args = parser.parse_args(argv)
    if args.smoke:
        args.dataset, args.epochs = "digits", 1
        args.betas, args.latent_dims = args.betas or [1, 4], args.latent_dims or [2]
        args.width = args.width or 32
    if args.tuner in ("random", "bayesian"):
        args.max_trials = args.max_trials or (2 if args.smoke else 20)
    name = f"{'smoke' if args.smoke else args.dataset}-{args.model}-{args.tuner}"
    args.output_dir = args.output_dir or pathlib.Path("outputs/tune_beta_latent", name)
    return args


def build_hypermodel(args, data):
    """What is searched: the weight of the model, if it has one, and its latent size."""
    model = MODELS[args.model]
    weights = {"beta": 1.0}  # Of the KL term, which every VAE has.
    if model.weight:
        weights[model.weight] = tuple(map(float, args.betas or model.values))
    return tuning.BetaLatentHyperModel(
        data,
        model.model_class,
        latent_dim=tuple(args.latent_dims or LATENT_DIMS),
        network=args.network,
        width=args.width,
        splits=DATA[args.dataset].splits,
        jit_compile=args.jit,
        seed=args.seed,
        **weights,
    )


def print_result(result, weight, report):
    """The best trials, best first, and where everything is."""
    completed = [trial for trial in tuning.ranked(result.trials) if trial.objective]
    print(f"\n{len(completed)} of {len(result.trials)} trials completed. The best of them:")
    for trial in completed[:NUM_PRINTED]:
        values = {name: trial.hyperparameters.get(name) for name in (weight, "latent_dim") if name}
        found = "".join(f"  {name} {value:<5g}" for name, value in values.items())
        goal = trial.objective
        print(f"  {trial.trial_id}{found}  {goal['name']} {goal['value']:.4f}")
    print("\nWritten")
    print(f"  {report}\n  {report.with_name('trials.csv')}")
    if result.best:
        print(f"  {result.best.model_path}")


def main(argv=None):
    args = parse_args(argv)
    if args.workers > 1 and not tuning.is_worker():
        arguments = sys.argv[1:] if argv is None else argv
        tuning.run_workers([sys.executable, __file__, *arguments], args.workers)
    tuning.configure_devices(args.mixed_precision, args.memory_growth)
    # 1. What is searched, on which data.
    defaults = DATA[args.dataset]
    options = {"binarize": defaults.binarize, "data_dir": args.data_dir, "seed": args.seed}
    data = functools.partial(datasets.load, args.dataset, **options)
    hypermodel = build_hypermodel(args, data)
    # 2. The search. After one of workers this only reads what they found.
    result = tuning.search(
        hypermodel,
        args.output_dir,
        args.objective,
        args.tuner,
        epochs=args.epochs or defaults.epochs,
        max_trials=args.max_trials,
        metrics=defaults.metrics,
        seed=args.seed,
    )
    if tuning.is_worker():
        return
    # 3. The report; its traversals move the code of a validation image.
    validation_data, _ = data(defaults.splits[1], 500, shuffle=False)
    report = tuning.write_report(args.output_dir, next(iter(validation_data)))
    print_result(result, MODELS[args.model].weight, report)


if __name__ == "__main__":
    main()
