"""One row of `benchmark.py`: its training, its measures one by one, its pictures, its result.

Each group of measures is a part, a JSON file of its own, written aside and renamed. What is killed
goes on behind the parts that are there, training from its last epoch.
"""

import contextlib
import fcntl
import functools
import os
import pathlib
import resource
import shutil
import sys
import tempfile
import time

import keras
import numpy as np
import paper_script
from benchmark_fingerprint import fingerprint
from benchmark_models import NUM_IMAGES
from benchmark_rows import BATCH_SIZE, BOUND, NLL, NLL_IMAGES, PIXELS, SAMPLES

import tfgen
from tfgen import datasets, metrics, models, plotting

SMOKE_EPOCHS = 2
GREY = {"value_range": (0, 1), "binarize": None, "labels": True}  # What samples are held against.
QUIET = 0.5  # Cores that others may use while an epoch is timed.


# Data and training.


def load_data(row, run, split, **kwargs):
    """Pipeline and description of images as the row's model takes them."""
    options = {**PIXELS[row.pixels], "labels": row.labels, **kwargs}
    if row.pixels == "levels" and run.args.smoke and not kwargs:
        options["value_range"] = (0, 16)
    train = split.startswith("train")
    source, split = source_of(run.args, split, options["labels"])
    options |= {"shuffle": train, "drop_remainder": train}
    if isinstance(source, str):
        options["data_dir"] = run.args.data_dir
    return datasets.load(source, split, BATCH_SIZE, **options)


def source_of(args, split, labels):
    """What `datasets.load` takes: a name and its split, or images of a file and a slice of them.

    The files of static MNIST have no labels: those of MNIST stand in for them.
    """
    if args.dataset != "static_mnist" or labels:
        return args.dataset.removeprefix("static_"), split
    name = split.partition("[")[0]
    images = static_images(args.static_mnist / f"binarized_mnist_{name}.amat")
    return images, split.replace(name, "train")


@functools.cache
def static_images(path):
    """Images of 28 x 28 zeros and ones, from a text file of one image a line."""
    return np.loadtxt(path, np.uint8, encoding="utf-8").reshape(-1, 28, 28, 1) * np.uint8(255)


def train_split(run):
    if run.args.dataset == "static_mnist":
        return "train"
    return run.pick(f"train[:{NUM_IMAGES}]", f"train[:{NUM_IMAGES}]", "train")


def num_epochs(row, run):
    return run.pick(row.epochs, row.epochs, SMOKE_EPOCHS)


def optimizer(row, num_steps):
    """A new optimizer as the row declares it."""
    name, options = row.optimizer
    options = dict(options)
    if options.pop("decay", None) == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(options["learning_rate"], num_steps)
        options["learning_rate"] = rate
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    return kinds[name](**options)


def fitted(row, run, callbacks):
    """The trained model, and the history of all epochs."""
    keras.utils.set_random_seed(run.seed)
    data, info = load_data(row, run, train_split(run))
    model, epochs = row.build(run, info.image_shape), num_epochs(row, run)
    if row.optimizer:
        model.compile(optimizer(row, epochs * int(data.cardinality())))
    validation = load_data(row, run, run.pick("test[:1000]", "test[:1000]", "test[:100]"))[0]
    history = paper_script.fit_resumable(model, data, run, epochs, validation, callbacks)
    if hasattr(model, "fit_prior"):
        model.fit_prior(data)
    return model, history


RECIPE = (fitted,)  # What else is changed here makes no result stale.


def train(row, run, callbacks=()):
    """Trains and saves the model; returns what it cost."""
    model, history = fitted(row, run, [OthersLoad(), *callbacks])
    model.save(run.folder / "model.keras")
    seconds, others = history.pop("seconds"), history.pop("others_load")
    fig, _ = plotting.training_curves(history)
    paper_script.save_figure(fig, run.folder / "curves.png")
    return {
        "epochs": len(seconds),
        "parameters": sum(v.shape.num_elements() for v in model.trainable_variables),
        "peak_memory_mib": peak_memory(),
        "training_seconds": sum(seconds),
        **epoch_seconds(seconds, others),
    }


# Times that mean something.


class OthersLoad(keras.callbacks.Callback):
    """Adds to the logs of an epoch how many cores others used; infinite at a niceness above 0.

    A nice process is run when the machine likes: its times are no measurements.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self._start = busy_seconds()

    def on_epoch_end(self, epoch, logs=None):
        logs["others_load"] = others_load(self._start, busy_seconds())


def busy_seconds():
    """Time, seconds of all cores' work (NaN where that is unknown), and of this process's."""
    stat = pathlib.Path("/proc/stat")
    machine = float("nan")
    if stat.exists():
        user, nice, system, _, _, irq, soft, *_ = map(
            int, stat.read_text(encoding="utf-8").split()[1:9]
        )
        machine = (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), machine, sum(os.times()[:2])


def others_load(start, end):
    """Cores in use by other processes between two values of `busy_seconds`."""
    if os.nice(0) > 0:
        return float("inf")
    wall, machine, own = (b - a for a, b in zip(start, end, strict=True))
    return (machine - own) / wall


def epoch_seconds(seconds, others):
    """Median over the epochs in which others left the machine alone; over all if none was.

    Returns:
        Dict of `seconds_per_epoch` and of `timed`, whether it is a measurement.
    """
    quiet = [s for s, load in zip(seconds, others, strict=True) if load <= QUIET]
    return {"seconds_per_epoch": float(np.median(quiet or seconds)), "timed": bool(quiet)}


class SecondEpochIsLast(keras.callbacks.Callback):
    """The first one compiles."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch >= 1


def time_again(row, run, folders):
    """Puts the seconds of an epoch of a new model into results that have none.

    Args:
        row: `Row`.
        run: `paper_script.Run`.
        folders: where results of this run may be.

    Returns:
        Whether others left the machine alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        aside = run._replace(folder=pathlib.Path(folder))
        _, history = fitted(row, aside, [OthersLoad(), SecondEpochIsLast()])
    times = epoch_seconds(history["seconds"][-1:], history["others_load"][-1:])
    for path in (folder / "result.json" for folder in folders):
        if times["timed"] and path.exists():
            result = paper_script.read_json(path)
            result["metrics"] |= times
            result["timed_apart"] = {
                "commit": paper_script.commit(),
                "date": today(),
                **paper_script.machine(),
            }
            paper_script.write_json(path, result)
    return times["timed"]


def peak_memory():
    """The most memory that this process held so far, in MiB.

    `ru_maxrss` may be that of the process which started this one.
    """
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return (peaks or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0] / 1024


# Measures of a trained model.


def terms(row, run, model):
    """All that the model logs, on all test images; of a bound on log p(x) in nats its parts."""
    values = model.evaluate(load_data(row, run, "test")[0], verbose=0, return_dict=True)
    names = {"elbo": "elbo", "rate": "kl", "distortion": "reconstruction", "bits_per_dim": None}
    known = {name: values.get(key or name) for name, key in names.items()}
    chosen = {k: v for k, v in known.items() if v is not None} if BOUND in row.measures else {}
    return {**chosen, "terms": values}


def few_samples(row, run, model):
    """NLL by 200 importance samples; that of each image is kept, to compare models on them."""
    return likelihood(row, run, model, NLL_IMAGES, run.pick(200, 200, 10), "200")


def many_samples(row, run, model):
    """NLL by 5,000."""
    return likelihood(row, run, model, row.nll_images_5000, run.pick(5000, 5000, 20), "5000")


def likelihood(row, run, model, num_images, num_samples, name):
    num_images = run.pick(num_images, num_images, 10)
    data = load_data(row, run, f"test[:{num_images}]")[0]
    result = metrics.importance_sampled_nll(model, data, num_samples, at=(200,), verbose=False)
    np.save(run.folder / f"nlls_{name}.npy", result.nlls)
    return {
        f"nll_{name}": result.nll,
        f"nll_{name}_se": result.standard_error,
        f"images_{name}": num_images,
        f"effective_sample_size_{name}": result.effective_sample_size,
    }


class UnitSamples:
    """The means of a model's samples, as images in [0, 1]."""

    def __init__(self, model, value_range):
        self.model, (self.low, self.high) = model, value_range

    def sample(self, num_samples, seed=None):
        images = np.asarray(self.model.sample(num_samples, seed=seed, mean=True))
        return (images - self.low) / (self.high - self.low)


def unit_samples(row, run, model):
    return UnitSamples(model, load_data(row, run, "test")[1].value_range)


def samples(row, run, model):
    """Scores against grey test images, in `real_` those of training images in samples' place.

    One classifier of grey images, of two dense layers, judges the samples of all models.
    """
    train_data, test_data = (
        load_data(row, run, split, **GREY)[0] for split in (train_split(run), "test")
    )
    judge = metrics.classifier(train_data, steps=run.pick(2500, 2500, 100), verbose=False)
    scores = metrics.evaluate_samples(
        unit_samples(row, run, model),
        train_data,
        test_data,
        run.pick(10_000, 10_000, 200),
        classifier=judge,
        clip=True,
        seed=run.seed,
        verbose=False,
    )
    return {
        **scores.generated,
        **{f"real_{name}": value for name, value in scores.real.items()},
        "num_samples": scores.settings["num_samples"],
    }


def of_classes(row, run, model):
    """Accuracy on test images of classifiers trained on samples of given classes alone.

    Of a dense one and, in `_conv`, of a convolutional one; in `real_` of those trained on as many
    training images.
    """
    num_samples = run.pick(10_000, 10_000, 200)
    train, test = (grey_images(row, run, split) for split in (f"train[:{num_samples}]", "test"))
    options = {"steps": run.pick(2500, 2500, 100), "seed": run.seed}
    images = np.clip(unit_samples(row, run, model).sample(num_samples, seed=run.seed), 0, 1)
    drawn = images, np.arange(num_samples) % model.num_classes
    return {
        f"{name}classification_accuracy{suffix}": metrics.classification_accuracy_score(
            *source, *test, kind, **options
        ).mean
        for name, source in {"": drawn, "real_": train}.items()
        for suffix, kind in {"": "mlp", "_conv": "conv"}.items()
    }


def grey_images(row, run, split):
    """Images in [0, 1] and their labels, as arrays."""
    data = load_data(row, run, split, **GREY)[0]
    images, labels = zip(*data.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def pictures(row, run, model):
    """An 8 x 8 grid of samples; reconstructions where a model has them."""
    images = np.clip(unit_samples(row, run, model).sample(64, seed=run.seed), 0, 1)
    fig, _ = plotting.image_grid(images, 8)
    paper_script.save_figure(fig, run.folder / "samples.png")
    if not hasattr(model, "reconstruct"):
        return {}
    data, info = load_data(row, run, "test[:10]")
    x, *condition = next(iter(data)) if row.labels else (next(iter(data)),)
    options = {"condition": condition[0]} if condition else {}
    fig, _ = plotting.reconstructions(model, x, info.value_range, **options)
    paper_script.save_figure(fig, run.folder / "reconstructions.png")
    return {}


def parts_of(row):
    """Names and functions of what is measured after training, pictures first."""
    named = {
        SAMPLES: {"samples": samples},
        NLL: {"nll_200": few_samples, "nll_5000": many_samples},
    }
    chosen = [parts for measure, parts in named.items() if measure in row.measures]
    by_class = {"classes": of_classes} if row.labels else {}
    return {"pictures": pictures, "terms": terms, **by_class} | {
        k: f for group in chosen for k, f in group.items()
    }


def part(run, name, compute):
    """What `compute` returns, with its seconds; read from a file if it was computed before."""
    path = run.folder / "parts" / f"{name}.json"
    if not path.exists():
        start = time.perf_counter()
        values = compute()
        values[f"{name}_part_seconds"] = time.perf_counter() - start
        path.parent.mkdir(exist_ok=True)
        paper_script.write_json(path, values)
    return paper_script.read_json(path)


# One row, from nothing to its result.


def measure(row, run, callbacks=()):
    """Trains and measures a row, unless it is done or another process is at it.

    Args:
        row: `Row`.
        run: `paper_script.Run`; `run.args` has `smoke`, `scale`, `dataset`, `data_dir`, `command`.
        callbacks: further callbacks of training.

    Returns:
        Whether there is a result now.
    """
    print_of = fingerprint(row, RECIPE)
    if state(run.folder, print_of) == "done":
        return True
    with locked(run.folder) as ours:
        if not ours:
            return False
        begin(run.folder, print_of)
        values = part(run, "training", lambda: train(row, run, callbacks))
        model = models.load_model(run.folder / "model.keras")
        for name, compute in parts_of(row).items():
            values |= part(run, name, lambda compute=compute: compute(row, run, model))
        paper_script.write_json(run.folder / "result.json", result(row, run, print_of, values))
        shutil.rmtree(run.folder / "backup")
    return True


def result(row, run, print_of, values):
    """All that a reader must know of a row."""
    # Of the training all epochs, those before it was killed too.
    parts = {k: v for k, v in values.items() if k.endswith("_part_seconds")}
    seconds = sum(parts.values()) - parts["training_part_seconds"] + values["training_seconds"]
    return {
        "name": row.name,
        "model": row.model.__name__,
        "setup": row.setup,
        "dataset": run.args.dataset,
        "budget": "smoke" if run.args.smoke else row.budget,
        "seed": run.seed,
        "configuration": {
            "epochs": values["epochs"],
            "batch_size": BATCH_SIZE,
            "optimizer": row.optimizer,
            "pixels": row.pixels,
            "training_images": train_split(run),
            "labels": row.labels,
        },
        "metrics": {k: v for k, v in values.items() if k not in parts},
        "total_seconds": seconds,
        "fingerprint": print_of,
        "command": run.args.command,
        "commit": paper_script.commit(),
        "date": today(),
        **paper_script.machine(),
        "tfgen": tfgen.__version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
    }


def today():
    return time.strftime("%Y-%m-%d")


# States.


def state(folder, print_of):
    """ "done", "stale", "running" or "to do"."""
    if is_locked(folder):
        return "running"
    path = folder / "result.json"
    if not path.exists():
        return "to do"
    done = paper_script.read_json(path)["fingerprint"] == print_of
    return "done" if done else "stale"


def begin(folder, print_of):
    """Puts aside what was made by other code or another configuration, and notes today's."""
    path = folder / "fingerprint.txt"
    before = path.read_text(encoding="utf-8") if path.exists() else print_of
    if before != print_of:
        aside = folder / f"stale-{before[:8]}"
        aside.mkdir(exist_ok=True)
        items = [i for i in folder.iterdir() if i.name != "lock" and "stale-" not in i.name]
        # The fingerprint last: while it is here, so may be what it belongs to.
        for item in sorted(items, key=lambda item: item == path):
            os.replace(item, aside / item.name)
    paper_script.write_text(path, print_of)


@contextlib.contextmanager
def locked(folder):
    """Whether the folder is ours alone; the lock ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def is_locked(folder):
    if not (folder / "lock").exists():
        return False
    with locked(folder) as free:
        return not free
