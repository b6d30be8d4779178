"""Classifiers of digits from 100 labels, after Kingma et al. (arXiv:1406.5298), models M1 and M2

    python examples/kingma_2014_semi_supervised.py --list
    python examples/kingma_2014_semi_supervised.py --data-dir ~/tensorflow_datasets
    python examples/kingma_2014_semi_supervised.py --run supervised m1-m2 --seeds 5
    python examples/kingma_2014_semi_supervised.py --smoke

Of the training images ten of each class, at random, keep their labels. `supervised` trains a dense
network on these alone. `m1` trains a VAE on all images, without labels, and the network on the
codes of the labelled ones; `m1-m2` a SemiSupervisedVAE on the codes of all, and `m2` one on the
images, of which the network is the classifier. Codes are the means of q(z|x). Labelled examples are
repeated, so that each batch has some. All are scored on the test set. Pixels are 1 where the
intensity exceeds 0.5.
"""

import _start  # noqa: F401
import keras
import numpy as np
import paper_script
from paper_script import Experiment

from tfgen import layers, models, networks, plotting

LATENT_DIM, WIDTH, BATCH_SIZE = 50, 500, 100
M1_EPOCHS = {"paper": 50, "cpu": 20, "smoke": 30}
EPOCHS = {"paper": 100, "cpu": 20, "smoke": 30}
LABELS_PER_CLASS = {"paper": 10, "cpu": 10, "smoke": 3}
# How often a labelled example is in an epoch. Of 60,000 examples a thirtieth are then labelled.
COPIES = {"paper": 20, "cpu": 20, "smoke": 10}
CLASSIFIER_WEIGHT = 5.0


def load_arrays(run, split):
    """All images of a split, binary, and their labels."""
    data, _ = run.load(split, 1000, binarize="threshold", labels=True, shuffle=False)
    x, y = zip(*data.as_numpy_iterator(), strict=True)
    return np.concatenate(x), np.concatenate(y).astype("int32")


def choose_labelled(y, per_class, seed):
    """Rows of as many examples of each class."""
    order = np.random.default_rng(seed).permutation(len(y))
    return np.concatenate([order[y[order] == k][:per_class] for k in np.unique(y)])


def supervised(run):
    x, y, rows, test, truth = labelled_and_test(run)
    return {"accuracy": accuracy_of_labelled(x[rows], y[rows], test, truth, run)}


def labelled_and_test(run):
    """All training images, labels, rows of those that keep theirs, and the test set."""
    x, y = load_arrays(run, "train")
    rows = choose_labelled(y, run.pick(**LABELS_PER_CLASS), run.seed)
    return x, y, rows, *load_arrays(run, "test")


def accuracy_of_labelled(x, y, test, truth, run):
    """Share of the test set that a network is right on which saw the labelled examples alone."""
    keras.utils.set_random_seed(run.seed)
    model = mlp_classifier(run, x.shape[1:])
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(x, y, batch_size=20, epochs=run.pick(200, 200, 50), verbose=0)
    return right(model.predict(test, verbose=0), truth)


def right(scores, truth):
    """The share of rows whose largest score is that of the true class."""
    return float(np.mean(scores.argmax(axis=1) == truth))


def mlp_classifier(run, shape):
    return networks.mlp_encoder(shape, 10, head=None, width=run.pick(WIDTH, WIDTH, 32))


def m1(run):
    x, y, rows, test, truth = labelled_and_test(run)
    codes, test_codes = codes_of(x, test, run)
    return {"accuracy": accuracy_of_labelled(codes[rows], y[rows], test_codes, truth, run)}


def codes_of(x, test, run):
    """Means of the codes of all images, by a VAE that is trained on those of training.

    It is trained once for all experiments of a seed.
    """
    sizes = sizes_of(run)
    vae = models.VAE(
        networks.mlp_encoder(x.shape[1:], **sizes),
        networks.mlp_decoder(x.shape[1:], **sizes),
        seed=run.seed,
    )
    vae.compile(keras.optimizers.Adam(1e-3))
    shared, epochs = run.of("vae"), run.pick(**M1_EPOCHS)
    shared.folder.mkdir(parents=True, exist_ok=True)
    paper_script.fit_in_lines(vae, x, shared, epochs, batch_size=BATCH_SIZE)
    return [vae.embed(images) for images in (x, test)]


def sizes_of(run):
    return {
        "latent_dim": run.pick(LATENT_DIM, LATENT_DIM, 4),
        "width": run.pick(WIDTH, WIDTH, 32),
    }


def m1_m2(run):
    x, y, rows, test, truth = labelled_and_test(run)
    codes, test_codes = codes_of(x, test, run)
    model = fitted_m2(codes, y, rows, layers.IndependentNormal, run)
    return {"accuracy": right(model.classify(test_codes), truth)}


def m2(run):
    x, y, rows, test, truth = labelled_and_test(run)
    model = fitted_m2(x, y, rows, layers.IndependentBernoulli, run)
    rows_of_classes = model.sample(100, seed=run.seed)  # Each row of ten has all classes in turn.
    run.draw("samples", plotting.image_grid(rows_of_classes, 10))
    terms = model.evaluate(test, np.full(len(test), -1), verbose=0, return_dict=True)
    return {"accuracy": right(model.classify(test), truth), "elbo": terms["elbo"]}


def fitted_m2(x, y, rows, head, run):
    """M2 of all examples, in which the labelled ones are repeated and no other shows its label."""
    shape, sizes = x.shape[1:], {**sizes_of(run), "num_classes": 10}
    model = models.SemiSupervisedVAE(
        networks.mlp_encoder(shape, **sizes),
        networks.mlp_decoder(shape, head=head, **sizes),
        mlp_classifier(run, shape),
        classifier_weight=CLASSIFIER_WEIGHT,
        seed=run.seed,
    )
    model.compile(keras.optimizers.Adam(1e-3))
    shown = np.full(len(y), -1, "int32")
    shown[rows] = y[rows]
    repeated = np.concatenate([np.arange(len(y)), np.repeat(rows, run.pick(**COPIES) - 1)])
    options = {"y": shown[repeated], "batch_size": BATCH_SIZE}
    paper_script.fit_in_lines(model, x[repeated], run, run.pick(**EPOCHS), **options)
    return model


MLP = "two layers of 500 units, ten labels of each class"
EXPERIMENTS = [
    Experiment("supervised", "100 labels alone", supervised, {}, f"dense network, {MLP}"),
    Experiment(
        "m1",
        "codes of 100 labels",
        m1,
        {},
        f"dense network, {MLP}, on 50 codes of a VAE of all images; at cpu scale 20 epochs",
    ),
    Experiment(
        "m1-m2",
        "100 labels among the codes of all images",
        m1_m2,
        {},
        f"M2 on the codes of m1, all networks of {MLP}, z 50, Adam 1e-3; at cpu scale 20 epochs",
    ),
    Experiment(
        "m2",
        "100 labels among all images",
        m2,
        {},
        f"M2, all networks of {MLP}, z 50, Adam 1e-3; at cpu scale 20 epochs",
        figures=("samples.png",),
    ),
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 0, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
