"""The lines of Python that each subcommand stands for.

A recipe is a list of parts. A part is a function of the arguments and of the names that the parts
before it have made, such as `info`, and returns code: what `--show-code` prints is what is run.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tfgen.command import runs
from tfgen.command.code import Name, call
from tfgen.command.tables import FETCHED, MODELS, is_table

__all__ = ["RECIPES", "Part", "figures", "judged_by_samples", "shown_images", "train_and_test"]

Part: TypeAlias = Callable[[argparse.Namespace, dict[str, Any]], str]

_SAMPLES_OF_BENCH = 1000
# Samples that are scored of a model that has no other score, and the fewest that can be.
_SCORED, _FEWEST_SCORED = 1000, 10
# What a picture of samples has of images, and of the rows of a table.
_IMAGES_DRAWN, _ROWS_DRAWN = 64, 1000
_REPEATS_OF_BENCH = 3
# Of a table, in its own units.
_REAL_ROWS = ("real = info.decode(next(iter(train.unbatch().batch(10_000))))",)
_WHOLE_ROWS = (  # Those that miss no value, if there are any.
    "rows, mask = next(iter(train.unbatch().batch(10_000)))",
    "whole = mask.numpy().all(axis=1)",
    "real = info.decode(rows[whole]) if whole.any() else None",
)


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _imports(*modules: str, areas: Sequence[str] = (), keras: bool = False) -> str:
    """Modules of Python, areas of tfgen, Keras; tfgen first, which quietens TensorFlow."""
    lines = [*(f"import {module}" for module in modules), *[""] * bool(modules)]
    ours = f"from tfgen import {', '.join(sorted(areas))}"
    return _lines(*lines, ours, *["import keras"] * keras, "")


def _given(**options: Any) -> dict[str, Any]:
    """Those options that are not None or False."""
    return {k: v for k, v in options.items() if v is not None and v is not False}


# Data.


def _options(args, **extra):
    """Arguments of `datasets.load` besides name and split."""
    batch_size = None if args.batch_size == 128 else args.batch_size
    if is_table(args.data):
        # What a second split is like has its kinds.
        kinds = None if "like" in extra else args.kinds
        return _given(batch_size=batch_size, kinds=kinds, seed=args.seed or None, mask=args.mask)
    return _given(
        batch_size=batch_size,
        binarize=args.binarize,
        value_range=args.value_range,
        image_size=args.image_size,
        data_dir=args.data_dir,
        cache_dir=args.cache_dir,
        seed=args.seed or None,
        download=args.download,
    )


def _load(args, split, **extra):
    function = "datasets.load_table" if is_table(args.data) else "datasets.load"
    return call(function, args.data, split, **_options(args, **extra), **extra)


def _load_test(args, **extra):
    """The test split in one order at each pass: batches decide the draws that scores depend on."""
    order = {"shuffle": False} if args.test_split.startswith("train") else {}
    return _load(args, args.test_split, **order, **extra)


def _like(args):
    """A second split of a table is scaled as the first."""
    return {"like": Name("info")} if is_table(args.data) else {}


def train_and_test(args: argparse.Namespace, names: dict[str, Any]) -> str:
    """Imports, and the data to train and to evaluate on."""
    test = f"test, _ = {_load_test(args, **_like(args))}"
    return _train_data(args, "callbacks") + _lines(test)


def _train_data(args, *areas, modules=()):
    """Imports, and the data to train on."""
    normal = args.likelihood == "normal"
    used = ["datasets", "models", "networks", *["layers"] * normal, *areas]
    return _imports(*["functools"] * normal, *modules, areas=used, keras=True) + _lines(
        f"keras.utils.set_random_seed({args.seed})",
        f"train, info = {_load(args, args.train_split)}",
    )


def _data_of_bench(args: argparse.Namespace, names: dict[str, Any]) -> str:
    return _train_data(args, modules=["timeit"])


# Models.


def _kind(args, names):
    """Prefix of the networks: "mlp", "conv" or "conv64"."""
    if args.network or is_table(args.data):
        return args.network or "mlp"
    height = names["info"].image_shape[0]
    return "conv64" if height >= 64 else "conv" if height >= 28 else "mlp"


def _head(args, network):
    """What an encoder or decoder is told of its last layer."""
    if network in MODELS[args.model].points:
        return {"head": Name("None")}
    if network == "encoder" or args.likelihood == "bernoulli":
        return {}
    if args.likelihood == "columns":
        return {"head": call("networks.table_head", Name("info.columns"))}
    return {"head": call("functools.partial", Name("layers.FixedScaleNormal"), scale=0.1)}


def _network(args, network, kind):
    """Code that builds one network."""
    shape = Name("info.data_shape" if is_table(args.data) else "info.image_shape")
    if network == "code_discriminator":
        return call("networks.mlp_code_discriminator", args.latent_dim)
    if network in ("encoder", "decoder"):
        function = f"networks.{kind}_{network}"
        sees = {"condition_shape": shape} if args.mask and network == "encoder" else {}
        return call(function, shape, args.latent_dim, **_head(args, network), **sees)
    function = f"networks.{'mlp' if kind == 'mlp' else 'dcgan'}_{network}"
    if network == "generator":
        return call(function, shape, args.latent_dim)
    batch_norm = {"batch_norm": False} if args.model == "wgan-gp" and kind != "mlp" else {}
    return call(function, shape, **batch_norm)


def _build(args: argparse.Namespace, names: dict[str, Any]) -> str:
    """Networks, model and optimizer."""
    model, kind = MODELS[args.model], _kind(args, names)
    built = [f"{name} = {_network(args, name, kind)}" for name in model.networks]
    options = {**model.options, **args.set}
    if model.cls == "BetaTCVAE":
        options["dataset_size"] = Name("info.num_examples")
    networks = map(Name, model.networks)
    optimizer = Name(model.optimizer.format(args.learning_rate))
    return _lines(
        *built,
        f"model = {call(f'models.{model.cls}', *networks, **options, seed=args.seed)}",
        call("model.compile", optimizer),
    )


def _fit(args: argparse.Namespace, names: dict[str, Any]) -> str:
    """Training that goes on where it was killed, and what it reached."""
    folder = args.output_dir / "backup"
    backup = call("keras.callbacks.BackupAndRestore", folder, delete_checkpoint=False)
    fit = call(
        "model.fit",
        Name("train"),
        epochs=args.epochs,
        validation_data=Name("test"),
        callbacks=[Name("backup"), Name("callbacks.EpochLines()")],
        verbose=0,
    )
    return _lines(
        f"backup = {backup}",
        f"history = {fit}",
        call("model.save", args.output_dir / "model.keras"),
        "metrics = model.evaluate(test, verbose=0, return_dict=True)",
    )


def _bench(args: argparse.Namespace, names: dict[str, Any]) -> str:
    """The time of an epoch and of samples, after one epoch that compiles."""
    once = "model.fit(train, epochs=1, verbose=0)"
    sample = f"model.sample({_SAMPLES_OF_BENCH}, seed=0)"
    repeats = _REPEATS_OF_BENCH
    return _lines(
        'print("An epoch, which compiles ...", flush=True)',
        once,
        f'print("{repeats} epochs ...", flush=True)',
        f"epoch = min(timeit.repeat(lambda: {once}, number=1, repeat={repeats}))",
        f'print("{_SAMPLES_OF_BENCH} samples, {repeats + 1} times ...", flush=True)',
        f"{sample}  # Compiles.",
        f"sampling = min(timeit.repeat(lambda: {sample}, number=1, repeat={repeats}))",
        "found = {",
        '    "training_examples_per_second": info.num_examples / epoch,',
        '    "seconds_per_step": epoch / len(train),',
        f'    "samples_per_second": {_SAMPLES_OF_BENCH} / sampling,',
        "}",
    )


# Saved models.


def _loaded(args, *areas):
    return _imports(areas=["models", *areas]) + _lines(
        f"model = {call('models.load_model', args.path)}"
    )


def _model_and_test(args: argparse.Namespace, names: dict[str, Any]) -> str:
    if not is_table(args.data):
        return _loaded(args, "datasets") + _lines(f"test, info = {_load_test(args)}")
    return _loaded(args, "datasets") + _lines(  # Numbers scaled as those that it has seen.
        f"_, info = {_load(args, args.train_split)}",
        f"test, _ = {_load_test(args, **_like(args))}",
    )


def _train_to_compare(args: argparse.Namespace, names: dict[str, Any]) -> str:
    """Images that the classifier learns from, and that are scored in the place of samples."""
    number = names["info"].num_examples
    if args.num_samples and args.num_samples > number:
        raise ValueError(
            "The samples are scored beside as many test images. Received: --num-samples "
            f"{args.num_samples}, and {number} images in {args.test_split} of {args.data}. "
            + _remedy_of_few(number)
        )
    if number < _FEWEST_SCORED or not (args.num_samples or judged_by_samples(names["model"])):
        return ""
    functions, labels = ["evaluate_samples"], {}
    if names["info"].class_names:
        functions, labels = ["classifier", "evaluate_samples"], {"labels": True}
    return _lines(
        f"from tfgen.metrics import {', '.join(functions)}",
        "",
        f"train, train_info = {_load(args, args.train_split, **labels)}",
    )


def _remedy_of_few(number):
    larger = "a --test-split of more images"
    return f"Give {number} or less, or {larger}." if number >= _FEWEST_SCORED else f"Give {larger}."


def judged_by_samples(model: Any) -> bool:
    """Whether nothing but its samples says how good a model is: it has no density, and no codes."""
    return not (hasattr(model, "log_prob") or hasattr(model, "reconstruct"))


def _evaluate(args: argparse.Namespace, names: dict[str, Any]) -> str:
    evaluated = _lines("metrics = model.evaluate(test, verbose=0, return_dict=True)")
    if "train" not in names:
        return evaluated
    sizes = (names[name].num_examples for name in ("info", "train_info"))
    number = args.num_samples or min(_SCORED, *sizes)
    if number < _FEWEST_SCORED:
        return evaluated
    return evaluated + _scores(args, number, bool(names["info"].class_names))


def _scores(args, number, labelled):
    """Scores of samples and of real images; with those of a classifier where there are classes."""
    value_range = _given(value_range=args.value_range)
    judge, used = [], {}
    if labelled:
        judge = [f"judge = {call('classifier', Name('train'), **value_range, verbose=False)}"]
        used = {"classifier": Name("judge")}
    options = {**used, **value_range, "clip": True, **_given(seed=args.seed or None)}
    inputs = map(Name, ("model", "train", "test"))
    return _lines(
        *judge,
        f'print("Scores of {number} samples ...", flush=True)',
        f"scores = {call('evaluate_samples', *inputs, number, **options)}",
    )


def _save_figure(args):
    return f"fig.savefig({call('', args.output, dpi=args.dpi)[1:-1]})"


def _sample(args: argparse.Namespace, names: dict[str, Any]) -> str:
    if args.data is not None:
        return _sample_rows(args)
    options = {"mean": False} if args.draw_pixels else {}
    number = args.number or _IMAGES_DRAWN
    drawn = call("plotting.samples", Name("model"), number, seed=args.seed, **options)
    return _loaded(args, "plotting") + _lines(f"fig, axes = {drawn}", _save_figure(args))


def _sample_rows(args):
    """Drawn rows in the units of the table, beside its own."""
    return _loaded(args, "datasets", "plotting") + _lines(
        f"train, info = {_load(args, args.train_split)}",
        *_real_rows(args),
        f"fig, axes = {_marginals(args.number or _ROWS_DRAWN, args.seed)}",
        _save_figure(args),
    )


def _real_rows(args):
    return _WHOLE_ROWS if args.mask else _REAL_ROWS


def _marginals(number, seed):
    """Drawn rows beside real ones."""
    rows = call("model.sample", number, seed=seed, mean=False)
    return f"plotting.marginals(real, info.decode({rows}))"


def _traversed(args: argparse.Namespace, names: dict[str, Any]) -> str:
    """The model, and the data whose image is traversed, if they are known."""
    if args.data is None:
        return _loaded(args, "plotting")
    return _loaded(args, "datasets", "plotting") + _lines(f"test, info = {_load_test(args)}")


def _traverse(args: argparse.Namespace, names: dict[str, Any]) -> str:
    runs.check_traversed(args, names["model"], names.get("info"))
    known = args.data is not None
    image = [Name("image")] if known else []
    dims = {"dims": args.dims} if args.dims else {}
    return _lines(
        *[f"image = next(iter(test.unbatch().skip({args.image})))"] * known,
        f"fig, axes = {call('plotting.traversals', Name('model'), *image, **dims)}",
        _save_figure(args),
    )


def _export(args: argparse.Namespace, names: dict[str, Any]) -> str:
    options = _given(endpoints=args.endpoints, batch_size=args.batch_size)
    exported = call("model.export", args.output, args.format, **options)
    return _loaded(args) + _lines(f"endpoints = {exported}")


# Searches and data sets.


def _search(args: argparse.Namespace, names: dict[str, Any]) -> str:
    model = MODELS[args.model]
    weight = {model.weight: tuple(args.weights or model.weights)} if model.weight else {}
    likelihood = {"likelihood": "fixed_normal"} if args.likelihood == "normal" else {}
    batch_size = {} if args.batch_size == 128 else {"batch_size": args.batch_size}
    sizes = {"latent_dim": tuple(args.latent_dims), **batch_size}
    space = {**weight, **sizes, **likelihood, **args.set}
    splits = (args.train_split, args.test_split)
    hypermodel = call(
        "tuning.BetaLatentHyperModel",
        Name("data"),
        Name(f"models.{model.cls}"),
        **space,
        splits=splits,
        seed=args.seed,
    )
    search = call(
        "tuning.search",
        Name("hypermodel"),
        args.output_dir,
        args.objective,
        args.tuner,
        epochs=args.epochs,
        **_given(max_trials=args.max_trials, seed=args.seed or None),
    )
    options = {k: v for k, v in _options(args).items() if k != "batch_size"}
    return _imports("functools", areas=["datasets", "models", "tuning"]) + _lines(
        f"data = {call('functools.partial', Name('datasets.load'), args.data, **options)}",
        f"hypermodel = {hypermodel}",
        f"result = {search}",
        f'validation, _ = data("{splits[1]}", 500, shuffle=False)',
        f"report = {call('tuning.write_report', args.output_dir, Name('next(iter(validation))'))}",
    )


def _builder(name, args):
    return call("tfds.builder", name, **_given(data_dir=args.data_dir))


def _data_list(args: argparse.Namespace, names: dict[str, Any]) -> str:
    return _lines(
        "import tensorflow_datasets as tfds",
        "",
        f"names = {call('', list(FETCHED))[1:-1].strip().removesuffix(',')}",
        f"builders = {{name: {_builder(Name('name'), args)} for name in names}}",
        "prepared = {name: builder.is_prepared() for name, builder in builders.items()}",
    )


def _data_prepare(args: argparse.Namespace, names: dict[str, Any]) -> str:
    return _lines(
        "import tensorflow_datasets as tfds",
        "",
        f"builder = {_builder(args.name, args)}",
        "builder.download_and_prepare()",
    )


# Pictures of what was trained.


def shown_images(args: argparse.Namespace, names: dict[str, Any]) -> str:
    """The images, or rows of a table, that pictures are drawn of."""
    of_data = _lines(*_real_rows(args)) if is_table(args.data) else _images(args, names["info"])
    return _lines("from tfgen import plotting", "") + of_data


def figures(args: argparse.Namespace, names: dict[str, Any]) -> dict[str, str]:
    """Code that draws the figure `fig`, for each picture that suits the model and its data."""
    drawn = {}
    if names["history"].epoch:  # Else all epochs were those of an earlier call.
        drawn["curves"] = call("plotting.training_curves", Name("history"))
    drawn["samples"] = call("plotting.samples", Name("model"))
    if is_table(args.data):
        drawn["samples"] = _marginals(_ROWS_DRAWN, args.seed)
    else:
        drawn |= _figures_of_images(names["model"], names["info"], len(names["images"]))
    codes = {name: f"fig, axes = {code}" for name, code in drawn.items()}
    if "latents" in codes and not names["info"].class_names:
        codes["latents"] += "\nfig.legends[0].set_title(info.factor_names[0])"
    return codes


def _has_labels(info):
    return bool(info.class_names or info.factor_names)


def _images(args, info):
    """Up to 1000 images of the test split, and their classes, or values of their first factor."""
    if not _has_labels(info):
        return _lines("images = next(iter(test.unbatch().batch(1000)))")
    return _lines(
        f"labelled, _ = {_load_test(args, labels=True)}",
        "images, labels = next(iter(labelled.unbatch().batch(1000)))",
        *["labels = labels[:, 0]"] * bool(info.factor_names),
    )


def _figures_of_images(model, info, number):
    """Calls that draw what the model has a method for, by the names of the pictures."""
    drawn, name = {}, Name("model")
    if hasattr(model, "reconstruct"):
        drawn["reconstructions"] = call("plotting.reconstructions", name, Name("images[:10]"))
    if hasattr(model, "traverse"):
        drawn["traversals"] = call("plotting.traversals", name, Name("images[0]"))
    if hasattr(model, "interpolate"):
        ends = Name("images[:5]"), Name("images[::-1][:5]")  # As many of each, if there are few.
        drawn["interpolations"] = call("plotting.interpolations", name, *ends)
    can_embed = hasattr(model, "embed") and model.latent_shape[0] > 1
    if can_embed and _has_labels(info) and number > 1:
        names = [Name("info.class_names")] if info.class_names else []
        drawn["latents"] = call(
            "plotting.latent_scatter", name, Name("images"), Name("labels"), *names
        )
    if model.latent_shape == (2,):
        drawn["manifold"] = call("plotting.manifold", name)
    return drawn


RECIPES: dict[str, tuple[Part, ...]] = {
    "train": (train_and_test, _build, _fit),
    "bench": (_data_of_bench, _build, _bench),
    "evaluate": (_model_and_test, _train_to_compare, _evaluate),
    "sample": (_sample,),
    "traverse": (_traversed, _traverse),
    "export": (_export,),
    "search": (_search,),
    "data list": (_data_list,),
    "data prepare": (_data_prepare,),
}
