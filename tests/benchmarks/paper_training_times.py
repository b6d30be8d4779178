"""How long the paper scripts train at both scales, for their `--list`

    python tests/benchmarks/paper_training_times.py --data-dir ~/tensorflow_datasets

Each training is begun, and ended after its first batches. Its time is their median processor time,
without the first of all, in which the model is compiled, times the batches of all epochs. Processor
time is that of one core, also where others use the machine: two idle cores take half of it at best.
Scores, figures and data are not in it. Experiments that train the same networks on as much data are
measured once; of those of which docs/results has whole runs of today's sizes, that is the time.
Results that are in docs/results/paper_times.json are kept. `ct` of Sagar needs TFGEN_CT_DIR; at the
paper's scale its batches need more than 22 GB: its time is eight times that of an eighth of each.
"""

import argparse
import contextlib
import datetime
import importlib
import os
import pathlib
import sys
import tempfile
import time
import unittest.mock

import keras
import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))

import paper_script  # noqa: E402
from paper_times import SCALES, TIMES, known_times  # noqa: E402

NUM_CALLS, SECONDS = 12, 20.0
WHAT = (
    "Training alone: processor time of one core, extrapolated from the first batches, of which two "
    "idle cores take half at best; or wall time of published runs beside other work."
)
# Experiments that train nothing of their own, or what another one does as well.
NONE = {
    *("interpolations", "flow-gap", "real", "comparison", "figure-4", "networks", "pixel-means"),
    *("traversals", "samples", "betas", "scores", "supervised"),
}
LIKE = {
    "soons_2020_vae_gan_flow": dict.fromkeys(("manifold", "beta-vae", "beta-tcvae"), "vae-mlp"),
    "mi_2018_gan_vae_probe": {
        "gan-minimax": "gan",
        **dict.fromkeys(("vae-gan-weight-1", "vae-gan-weight-5"), "vae-gan"),
        **dict.fromkeys(
            ("constrained-d4-lambda1", "constrained-d2-lambda5", "constrained-dual"), "vae-gan"
        ),
    },
    "sagar_2020_gvae": dict.fromkeys(("z-100", "z-500", "z-1000", "z-2000", "gvae-binary"), "gvae"),
    "schik_2021_vae_overview": {
        **dict.fromkeys(("beta-vae", "beta-tcvae", "beta-tcvae-5"), "vae"),
        **dict.fromkeys(("sprites-beta-vae", "sprites-dip-vae"), "sprites-vae"),
    },
    "su_2018_variational_view": {
        "proximity-harsh": "proximity",
        **dict.fromkeys(("ali-minimax", "ali-non-saturating", "ali-whole"), "ali-variational"),
    },
    "kingma_2014_semi_supervised": {},
    "mattei_2019_missing_data": {"whole-images": "missing-data-vae"},
}
# Trainings of one experiment: without and with a term; EM, stepwise EM, scikit-learn's.
TRAININGS = {"proximity": 2, "proximity-harsh": 2, "proximity-no-bn": 2}
TRAININGS |= {"em-gaussian": 3, "em-bernoulli": 2, "em-digits": 3, "m1-m2": 2}

# Where the time of one example in so many is measured.
ONE_IN = {("ct", "paper"): 8}


def of_runs():
    """Script, experiment, scale and seconds of published runs, or in proportion to them."""
    for script in LIKE:
        for name in NONE & {e.name for e in importlib.import_module(script).EXPERIMENTS}:
            yield script, name, "cpu", 0.0
            yield script, name, "paper", 0.0
    for script, name, metrics in published("mi_2018_gan_vae_probe", "mi_2018_cpu"):
        if "seconds" in metrics:
            ratio = {"gan": 534 / 10, "wgan": 2667 / 16, "vae": 100 / 10}
            ratio = ratio.get(name.removesuffix("-minimax"), 100 / 6)
            yield script, name, "cpu", metrics["seconds"]
            yield script, name, "paper", metrics["seconds"] * ratio
    for script, name, metrics in published("sagar_2020_gvae", "sagar_2020_cpu"):
        if "epochs" in metrics:
            yield script, name, "cpu", metrics["seconds_per_epoch"] * metrics["epochs"]
    for script, name, metrics in published("su_2018_variational_view", "su_2018_em"):
        seconds = 20 * sum(v for k, v in metrics.items() if k.endswith("seconds_per_epoch"))
        images = 1 if name == "em-digits" else 60_000 / 20_000
        yield script, name, "cpu", seconds
        yield script, name, "paper", seconds * images * 100 / 20


def published(script, file):
    """Script, experiment and metrics of the first seed of each experiment in a file."""
    results = paper_script.read_json(TIMES.with_name(f"{file}.json"))
    for name, seeds in results.items():
        yield script, name, seeds[0]["metrics"]


class Measured(Exception):
    """Ends an experiment once its training is timed; holds the seconds of all its epochs."""


class Steps(keras.callbacks.Callback):
    """Times the first batches, of which several may be one call, and ends training."""

    def __init__(self):
        super().__init__()
        self.begun, self.done, self.seconds = time.perf_counter(), 0, []

    def on_train_batch_begin(self, batch, logs=None):
        self._start = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        num, self.done = batch + 1 - self.done, batch + 1
        self.seconds.append((time.process_time() - self._start) / num)
        late = time.perf_counter() - self.begun > SECONDS
        if len(self.seconds) == NUM_CALLS or (late and len(self.seconds) > 1):
            raise Stopped


class Stopped(Exception):
    """Ends training."""


def timed(model, dataset, run, epochs, validation_data=None, callbacks=(), **arrays):
    """In the place of `paper_script.fit_in_lines`."""
    steps, size = Steps(), arrays.get("batch_size")
    num_steps = -(-len(dataset) // size) if size else int(dataset.cardinality())
    one_in = ONE_IN.get((run.folder.parent.name, run.args.scale), 1)
    if one_in > 1:
        dataset = dataset.map(lambda x: x[::one_in])
    with contextlib.suppress(Stopped):
        model.fit(dataset, epochs=1, verbose=0, callbacks=[steps], **arrays)
    seconds = float(np.median(steps.seconds[1:] or steps.seconds))
    raise Measured(epochs * num_steps * one_in * seconds)


def measure(experiment, args):
    """Seconds of one seed of an experiment; none of its classifier is trained."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for judge in ("su_proximity.Judge", "tfgen.metrics.classifier"):
            stack.enter_context(unittest.mock.patch(judge))
        run = paper_script.Run(args, pathlib.Path(folder, experiment.name, "seed_0"), 0)
        run.folder.mkdir(parents=True)
        keras.utils.set_random_seed(0)
        try:
            experiment.run(run)
        except Measured as measured:
            return TRAININGS.get(experiment.name, 1) * measured.args[0]
        finally:
            keras.backend.clear_session()
    raise ValueError(f"{experiment.name} trains nothing. Put it into NONE.")


def arguments(module, scale, data_dir):
    """The flags of a script, those of it alone included."""
    flags = ["--scale", scale, *(["--data-dir", data_dir] if data_dir else [])]
    options = argparse.Namespace()
    if hasattr(module, "parse_options"):
        options, flags = module.parse_options(flags)
    data_sets = module.data_sets() if hasattr(module, "data_sets") else ["mnist", "fashion_mnist"]
    args = paper_script.parse_args("", module.EXPERIMENTS, data_sets, flags)
    return argparse.Namespace(**vars(args), **vars(options))


def times_of(script, known, data_dir):
    """Names, scales and seconds of what is not known yet; the first of alike ones first."""
    module = importlib.import_module(script)
    for scale in SCALES:
        args = arguments(module, scale, data_dir)
        for e in module.EXPERIMENTS:
            if scale in known.get(e.name, {}) or e.name in LIKE[script]:
                continue
            yield e.name, scale, 0.0 if e.name in NONE else measure(e, args)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", default=os.environ.get("TFDS_DATA_DIR"))
    parser.add_argument("--scripts", nargs="*", default=list(LIKE), choices=list(LIKE))
    args = parser.parse_args(argv)
    paper_script.fit_in_lines = timed
    found = dict(known_times())
    for script, name, scale, seconds in of_runs():
        found.setdefault(script, {}).setdefault(name, {}).setdefault(scale, round(seconds, 1))
    paper_script.write_json(TIMES, {**found, **facts()})
    for script in args.scripts:
        like, times = LIKE[script], found.setdefault(script, {})
        for name, scale, seconds in times_of(script, times, args.data_dir):
            for other in (name, *(k for k, v in like.items() if v == name)):
                times.setdefault(other, {})[scale] = round(seconds, 1)
            print(f"{script}, {name}, {scale}: {seconds:.0f} s", flush=True)
            paper_script.write_json(TIMES, {**found, **facts()})


def facts():
    """What was measured, when and on what."""
    return {
        "what": WHAT,
        "command": " ".join(["python", *sys.argv]),
        "commit": paper_script.commit(),
        "date": datetime.date.today().isoformat(),
        **paper_script.machine(),
    }


if __name__ == "__main__":
    main()
