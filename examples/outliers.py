"""Outliers found by VAEs: images of another data set, a class left out, rows of tables

    python examples/outliers.py --list
    python examples/outliers.py --data-dir ~/tensorflow_datasets --scale cpu
    python examples/outliers.py --run fashion-then-mnist mnist-then-fashion --scale cpu --seeds 3
    python examples/outliers.py --smoke

A VAE is trained on data without outliers, and each kind of `metrics.outlier_scores` is asked which
test examples are none of these. Reported is the area under the ROC curve (AUROC), the probability
that an outlier has the higher score: 0.5 is chance, and below it the score prefers outliers. Images
are 8-bit, p(x|z) a discretized logistic; columns of tables are standardized, p(x|z) is normal.
`isolation forest` and `PCA` (the squared error of 40 components at most) are scikit-learn's, on the
same training data. Of images 2,000 test examples of each kind are scored (at cpu scale 1,000, of
digits left out 400, by 10 draws in the place of 100, and without the regret), of tables all.

Runs whose name ends in `-pyod` train the VAE of pyod on the same examples, of the same sizes, for
as many epochs of batches of 100; they are there where pyod and torch are installed
(tests/benchmarks/requirements.txt).
"""

import importlib.util

import keras
import numpy as np
import paper_script
from paper_script import Experiment
from sklearn import datasets as sklearn_datasets
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from tfgen import datasets, layers, metrics, models, networks

KINDS = (
    *("nll", "elbo", "reconstruction", "reconstruction_error"),
    *("regret", "typicality", "latent"),
)
NUM_TEST = {"paper": 2000, "cpu": 1000, "smoke": 20}
NUM_TEST_OF_DIGITS = {**NUM_TEST, "cpu": 400}
EPOCHS = {"paper": 50, "cpu": 10, "smoke": 1}
TABLE_EPOCHS = {"paper": 200, "cpu": 200, "smoke": 2}
NUM_DRAWS = {"paper": 100, "cpu": 10, "smoke": 2}


def images(run, name, split):
    """All images of a split, of 256 values in [0, 1], and their labels."""
    name = "digits" if run.args.smoke else name
    data, _ = datasets.load(
        name, split, 1000, labels=True, shuffle=False, data_dir=run.args.data_dir
    )
    x, y = zip(*data.as_numpy_iterator(), strict=True)
    return np.round(255 * np.concatenate(x)) / np.float32(255), np.concatenate(y)


# What is trained on and tested: folder, training examples, test examples inside and outside.


def another_data_set(inside, outside):
    """One data set, tested with the other."""

    def splits(run):
        num = run.pick(**NUM_TEST)
        tests = [images(run, name, "test")[0][:num] for name in (inside, outside)]
        yield ".", images(run, inside, "train")[0], *tests

    return splits


def left_out_digits(run):
    """Nine digits, tested with the tenth, ten times."""
    num = run.pick(**NUM_TEST_OF_DIGITS)
    for folder, train, *tests in without_each_class(
        run, *(images(run, run.args.dataset, split) for split in ("train", "test"))
    ):
        yield folder, train, *(x[:num] for x in tests)


def digits_table(run):
    """The same of scikit-learn's digits as rows of 64 numbers, three in ten to test."""
    table = sklearn_datasets.load_digits()
    yield from without_each_class(run, *split_rows(standardized(table.data), table.target))


def breast_cancer(run):
    """Benign tumours are what is trained on, malignant ones the outliers."""
    table = sklearn_datasets.load_breast_cancer()
    (x, y), (test, truth) = split_rows(table.data, table.target)
    center, scale = x[y == 1].mean(axis=0), x[y == 1].std(axis=0)
    x, test = (((rows - center) / scale).astype("float32") for rows in (x, test))
    yield ".", x[y == 1], test[truth == 1], test[truth == 0]


def without_each_class(run, training, testing):
    (x, y), (test, truth) = training, testing
    for left_out in range(2 if run.args.smoke else 10):
        tests = test[truth != left_out], test[truth == left_out]
        yield f"without_{left_out}", x[y != left_out], *tests


def split_rows(x, y):
    """Pairs of rows and classes, to train and to test."""
    chosen = np.random.default_rng(0).random(len(x)) < 0.7
    return (x[chosen], y[chosen]), (x[~chosen], y[~chosen])


def standardized(x):
    return ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)).astype("float32")


# What measures them.


def mean_over(splits, measure):
    """The experiment that takes means over splits; what is measured is not measured again."""

    def experiment(run):
        found = []
        for name, *split in splits(run):
            folder = run.folder / name
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "auroc.json").exists():
                values = measure(run._replace(folder=folder), *split)
                paper_script.write_json(folder / "auroc.json", values)
            found.append(paper_script.read_json(folder / "auroc.json"))
        return {name: float(np.mean([values[name] for values in found])) for name in found[0]}

    return experiment


def of_images(run, train, inside, outside):
    model = fitted(image_vae(run, train.shape[1:]), train, run, run.pick(**EPOCHS))
    kinds = [kind for kind in KINDS if kind != "regret" or run.args.scale == "paper"]
    return aurocs(model, train, inside, outside, run, kinds)


def of_two_data_sets(run, train, inside, outside):
    model = fitted(image_vae(run, train.shape[1:]), train, run, run.pick(**EPOCHS))
    found = aurocs(model, train, inside, outside, run, (*KINDS, "complexity"))
    save_histogram(model, (inside, outside), run)
    return found


def of_rows(run, train, inside, outside):
    model = fitted(table_vae(run, train.shape[1]), train, run, run.pick(**TABLE_EPOCHS))
    return aurocs(model, train, inside, outside, run)


def of_pyod(hidden, latent_dim, epochs):
    """pyod's VAE of the same sizes and budget; all else as it is by default."""

    def measure(run, train, inside, outside):
        from pyod.models.vae import VAE

        rows = [x.reshape(len(x), -1) for x in (train, inside, outside)]
        keras.utils.set_random_seed(run.seed)
        detector = VAE(
            preprocessing=False,
            lr=1e-3,
            epoch_num=run.pick(**epochs),
            batch_size=100,
            random_state=run.seed,
            verbose=0,
            encoder_neuron_list=hidden,
            decoder_neuron_list=hidden,
            latent_dim=min(latent_dim, rows[0].shape[1]),
        ).fit(rows[0])
        return {"pyod VAE: auroc": auroc(*map(detector.decision_function, rows[1:]))}

    return measure


def image_vae(run, shape):
    sizes = dict(latent_dim=run.pick(20, 20, 4), width=run.pick(400, 400, 16), depth=1)
    decoder = networks.mlp_decoder(shape, head=layers.IndependentDiscretizedLogistic, **sizes)
    return models.VAE(networks.mlp_encoder(shape, **sizes), decoder, seed=run.seed)


def table_vae(run, num_columns):
    sizes = dict(latent_dim=min(8, num_columns), width=64)
    decoder = networks.mlp_decoder((num_columns,), head=layers.IndependentNormal, **sizes)
    return models.VAE(networks.mlp_encoder((num_columns,), **sizes), decoder, seed=run.seed)


def fitted(model, x, run, epochs):
    model.compile(keras.optimizers.Adam(1e-3))
    paper_script.fit_resumable(model, x, run, epochs, batch_size=100)
    return model


def aurocs(model, train, inside, outside, run, kinds=KINDS):
    """The AUROC of every kind of score, and of what scikit-learn has."""
    found, reference = {}, train[: run.pick(10_000, 10_000, 100)]
    for kind in kinds:
        options = dict(reference=reference) if kind in ("typicality", "latent") else {}
        if kind not in ("latent", "reconstruction_error"):
            options["num_samples"] = run.pick(**NUM_DRAWS)
        scores = metrics.outlier_scores(
            model,
            np.concatenate([inside, outside]),
            kind,
            seed=run.seed,
            verbose=False,
            **options,
        )
        found[f"{kind}: auroc"] = auroc(*np.split(scores, [len(inside)]))
    return found | of_scikit_learn(reference, inside, outside, seed=run.seed)


def of_scikit_learn(train, *tests, seed):
    rows = [x.reshape(len(x), -1) for x in (train, *tests)]
    forest = IsolationForest(random_state=seed).fit(rows[0])
    pca = PCA(min(40, rows[0].shape[1] // 2), random_state=seed).fit(rows[0])

    def error(x):
        return np.sum(np.square(x - pca.inverse_transform(pca.transform(x))), axis=1)

    return {
        "isolation forest: auroc": auroc(*(-forest.score_samples(x) for x in rows[1:])),
        "PCA: auroc": auroc(*map(error, rows[1:])),
    }


def auroc(inside, outside):
    truth = np.arange(len(inside) + len(outside)) >= len(inside)
    return float(roc_auc_score(truth, np.concatenate([inside, outside])))


def save_histogram(model, tests, run):
    """What the likelihood says of both data sets, and the same less the size of a file."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(10.5, 3), layout="constrained")
    titles = {
        "nll": "-log p(x), nats",
        "complexity": "bits of -log p(x), less those of a PNG file",
        "regret": "likelihood regret, nats",
    }
    draws = run.pick(**NUM_DRAWS)
    for axis, (kind, title) in zip(axes, titles.items(), strict=True):
        for x, name, colour in zip(
            tests, ("inside", "outside"), ("#0072B2", "#D55E00"), strict=True
        ):
            values = metrics.outlier_scores(model, x, kind, num_samples=draws, verbose=False)
            axis.hist(values, 60, density=True, histtype="step", color=colour, label=name)
        axis.set(xlabel=title, yticks=[])
    axes[0].set_ylabel("density of test images")
    axes[0].legend(frameon=False)
    paper_script.save_figure(fig, run.folder / "scores.png")


MLP = (
    "VAE of 8-bit pixels, one layer of 400 units each way, z 20, Adam 1e-3; at cpu scale 10 epochs"
)
TABLE = "VAE of two layers of 64 units each way, z 8, Adam 1e-3, 200 epochs"
TASKS = {
    "fashion-then-mnist": (
        "Fashion-MNIST, outliers of MNIST",
        another_data_set("fashion_mnist", "mnist"),
        of_two_data_sets,
        MLP,
    ),
    "mnist-then-fashion": (
        "MNIST, outliers of Fashion-MNIST",
        another_data_set("mnist", "fashion_mnist"),
        of_two_data_sets,
        MLP,
    ),
    "left-out-digits": (
        "nine digits of MNIST, outliers of the tenth",
        left_out_digits,
        of_images,
        f"ten times a {MLP}, at cpu scale 400 test images of each kind",
    ),
    "breast-cancer": (
        "benign tumours, outliers malignant",
        breast_cancer,
        of_rows,
        f"{TABLE}; 30 columns of scikit-learn's breast_cancer",
    ),
    "digits-table": (
        "nine digits, outliers of the tenth",
        digits_table,
        of_rows,
        f"ten times a {TABLE}; 64 columns of scikit-learn's digits",
    ),
}


def experiment_of(name, stands_for, splits, measure, setup):
    figures = ("scores.png",) if measure is of_two_data_sets else ()
    return Experiment(name, stands_for, mean_over(splits, measure), {}, setup, {}, figures)


def with_pyod(name, stands_for, splits, measure, setup):
    """The same task, of pyod's VAE."""
    sizes = ([64, 64], 8, TABLE_EPOCHS) if measure is of_rows else ([400], 20, EPOCHS)
    setup = setup.replace("VAE", "VAE of pyod").replace(" of 8-bit pixels", "")
    return Experiment(f"{name}-pyod", stands_for, mean_over(splits, of_pyod(*sizes)), {}, setup, {})


EXPERIMENTS = [experiment_of(name, *task) for name, task in TASKS.items()]
HAS_PYOD = importlib.util.find_spec("pyod") and importlib.util.find_spec("torch")
if HAS_PYOD:
    EXPERIMENTS += [with_pyod(name, *task) for name, task in TASKS.items()]


def main(argv=None):
    if not HAS_PYOD:
        print("Without pyod's VAE, which needs pyod and torch: pip install pyod torch")
    paper_script.main(__doc__, EXPERIMENTS, 0, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
