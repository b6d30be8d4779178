"""Classifiers of digits from 100 labels, after Kingma et al. (arXiv:1406.5298), model M2

    python examples/kingma_2014_semi_supervised.py --list
    python examples/kingma_2014_semi_supervised.py --data-dir ~/tensorflow_datasets --scale cpu
    python examples/kingma_2014_semi_supervised.py --run m2 --seeds 3
    python examples/kingma_2014_semi_supervised.py --smoke

Of the training images ten of each class, at random, keep their labels. `supervised` trains a dense
network on these alone; `m2` trains the same network as the classifier of a SemiSupervisedVAE on all
images, in which the labelled ones are repeated, so that each batch has some. Both are scored on the
test set. Pixels are 1 where the intensity exceeds 0.5.
"""

import keras
import numpy as np
import paper_script
from paper_script import Experiment

from tfgen import datasets, models, networks, plotting

LATENT_DIM, WIDTH, BATCH_SIZE = 50, 500, 100
EPOCHS = {"paper": 100, "cpu": 20, "smoke": 30}
LABELS_PER_CLASS = {"paper": 10, "cpu": 10, "smoke": 3}
# A seventh of the images of an epoch of MNIST are labelled, so that the cross-entropy counts about
# 50 times in the mean over the batch.
COPIES = {"paper": 100, "cpu": 100, "smoke": 10}
CLASSIFIER_WEIGHT = 350.0


def load_arrays(run, split):
    """All images of a split, binary, and their labels."""
    data, _ = datasets.load(
        run.args.dataset,
        split,
        1000,
        binarize="threshold",
        labels=True,
        shuffle=False,
        data_dir=run.args.data_dir,
    )
    x, y = zip(*data.as_numpy_iterator(), strict=True)
    return np.concatenate(x), np.concatenate(y).astype("int32")


def choose_labelled(y, per_class, seed):
    """Rows of as many examples of each class."""
    order = np.random.default_rng(seed).permutation(len(y))
    return np.concatenate([order[y[order] == k][:per_class] for k in np.unique(y)])


def mlp_classifier(run, shape):
    width = run.pick(WIDTH, WIDTH, 32)
    return networks.mlp_encoder(shape, 10, head=None, width=width)


def labelled_and_test(run):
    """All training images, labels, rows of those that keep theirs, and the test set."""
    x, y = load_arrays(run, "train")
    rows = choose_labelled(y, run.pick(**LABELS_PER_CLASS), run.seed)
    return x, y, rows, *load_arrays(run, "test")


def supervised(run):
    x, y, rows, test, truth = labelled_and_test(run)
    model = mlp_classifier(run, x.shape[1:])
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(x[rows], y[rows], batch_size=20, epochs=run.pick(200, 200, 50), verbose=0)
    logits = model.predict(test, verbose=0)
    return {"accuracy": float(np.mean(logits.argmax(axis=1) == truth))}


def m2(run):
    x, y, rows, test, truth = labelled_and_test(run)
    model = build_m2(run, x.shape[1:])
    model.compile(keras.optimizers.Adam(1e-3))
    shown = np.full(len(y), -1, "int32")
    shown[rows] = y[rows]
    repeated = np.concatenate([np.arange(len(y)), np.repeat(rows, run.pick(**COPIES) - 1)])
    data, _ = datasets.load(
        (x[repeated, ..., 0], shown[repeated]), "all", BATCH_SIZE, labels=True, seed=run.seed
    )
    paper_script.fit_resumable(model, data, run, run.pick(**EPOCHS))
    rows_of_classes = model.sample(100, seed=run.seed)  # Each row of ten has all classes in turn.
    fig, _ = plotting.image_grid(rows_of_classes, 10)
    paper_script.save_figure(fig, run.folder / "samples.png")
    terms = model.evaluate(test, np.full(len(test), -1), verbose=0, return_dict=True)
    accuracy = np.mean(model.classify(test).argmax(axis=1) == truth)
    return {"accuracy": float(accuracy), "elbo": terms["elbo"]}


def build_m2(run, shape):
    sizes = {
        "latent_dim": run.pick(LATENT_DIM, LATENT_DIM, 4),
        "width": run.pick(WIDTH, WIDTH, 32),
        "num_classes": 10,
    }
    return models.SemiSupervisedVAE(
        networks.mlp_encoder(shape, **sizes),
        networks.mlp_decoder(shape, **sizes),
        mlp_classifier(run, shape),
        classifier_weight=CLASSIFIER_WEIGHT,
        seed=run.seed,
    )


MLP = "two layers of 500 units, ten labels of each class"
EXPERIMENTS = [
    Experiment("supervised", "100 labels alone", supervised, {}, f"dense network, {MLP}", {}),
    Experiment(
        "m2",
        "100 labels among all images",
        m2,
        {},
        f"M2, all networks of {MLP}, z 50, Adam 1e-3; 100 epochs, at cpu scale 20",
        {},
        ("samples.png",),
    ),
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 0, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
