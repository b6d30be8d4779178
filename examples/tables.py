"""Samples of tables: trained on in the place of data, correlated as data, and no copies of them

    python examples/tables.py --list
    python examples/tables.py --scale cpu --seeds 5
    python examples/tables.py --smoke

A VAE is trained on seven in ten rows of a table of scikit-learn, with their classes, and eight
times as many rows of each class are drawn. Seeds split the rows anew. Reported are:

- `forest`, `logistic`: accuracy on the other three in ten rows of a classifier trained on samples,
  and of one trained on the real rows.
- `correlation`: mean absolute difference of the correlations of samples and of training rows, and,
  for comparison, of test rows and of training rows.
- `nearer to training`: share of samples nearer to a training row than to any test row, which is
  0.7 on average of rows drawn anew, and 1 of copies.
"""

import keras
import numpy as np
import paper_script
from paper_script import Experiment
from sklearn import datasets as sklearn_datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from tfgen import datasets, metrics, models, networks, plotting, samplers

EPOCHS = {"paper": 300, "cpu": 300, "smoke": 2}
BATCH_SIZE = 64
SAMPLES_PER_ROW = 8
CLASSIFIERS = {"forest": None, "logistic": LogisticRegression(max_iter=2000)}


def experiment(load):
    """The experiment of one table of scikit-learn."""

    def run(run):
        train, test, info = rows_of(load(as_frame=True).frame, run.seed)
        model = fitted(*train, info, run)
        generated = samples_of(model, *train, run.seed)
        save_figures(train[0], generated[0], info, run.folder)
        return scores(generated, train, test)

    return run


def rows_of(frame, seed):
    """Pairs of rows and classes, to train and to test, and what the columns are."""
    parts = train_test_split(frame, test_size=0.3, stratify=frame["target"], random_state=seed)
    _, info = datasets.load_table(parts[0], label="target")
    pairs = [
        (
            np.concatenate([c.encode(part[c.name].to_numpy()) for c in info.columns], axis=1),
            part["target"].to_numpy(),
        )
        for part in parts
    ]
    return *pairs, info


def fitted(x, y, info, run):
    sizes = dict(latent_dim=8, width=run.pick(128, 128, 8), num_classes=int(y.max()) + 1)
    model = models.VAE(
        networks.mlp_encoder(info.data_shape, **sizes),
        networks.mlp_decoder(info.data_shape, head=networks.table_head(info.columns), **sizes),
        seed=run.seed,
    )
    epochs = run.pick(**EPOCHS)
    steps = epochs * -(-len(x) // BATCH_SIZE)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
    paper_script.fit_resumable(model, x, run, epochs, y=y, batch_size=BATCH_SIZE)
    return model


def samples_of(model, x, y, seed):
    """Rows and their classes, from mixtures that are fitted to the codes of each class."""
    mixture = samplers.ByClass(samplers.GaussianMixture(3), num_classes=int(y.max()) + 1)
    prior = mixture.fit(model, x, condition=y, verbose=False)
    classes = np.repeat(y, SAMPLES_PER_ROW)
    drawn = model.sample(len(classes), condition=classes, prior=prior, mean=False, seed=seed)
    return drawn.numpy(), classes


def scores(generated, train, test):
    found = {}
    for name, classifier in CLASSIFIERS.items():
        accuracy = metrics.train_on_samples(*generated, *train, *test, classifier)
        found[f"{name}: on samples"] = accuracy.generated
        found[f"{name}: on data"] = accuracy.real
    real, drawn, held_out = map(metrics.correlation_matrix, (train[0], generated[0], test[0]))
    found["correlation: of samples"] = float(np.mean(np.abs(drawn - real)))
    found["correlation: of test rows"] = float(np.mean(np.abs(held_out - real)))
    found["nearer to training"] = metrics.closest_records(generated[0], train[0], test[0]).share
    return found


def save_figures(real, generated, info, folder):
    names = [column.name for column in info.columns]
    matrices = map(metrics.correlation_matrix, (real, generated))
    paper_script.save_figure(
        plotting.correlations(*matrices, names)[0], folder / "correlations.png"
    )
    decoded = [info.decode(rows) for rows in (real, generated)]
    paper_script.save_figure(plotting.marginals(*decoded, 6)[0], folder / "marginals.png")


SETUP = (
    "VAE given the class, two layers of 128 units each way, z 8, Adam from 2e-3 to 0, 300 epochs; "
    "a mixture of 3 normals on the codes of each class; 8 samples for each training row"
)
TABLES = {
    "breast-cancer": ("569 rows of 30 numbers, 2 classes", sklearn_datasets.load_breast_cancer),
    "wine": ("178 rows of 13 numbers, 3 classes", sklearn_datasets.load_wine),
}
EXPERIMENTS = [
    Experiment(name, what, experiment(load), {}, SETUP, {}, ("correlations.png", "marginals.png"))
    for name, (what, load) in TABLES.items()
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 0, ["scikit-learn"], argv)


if __name__ == "__main__":
    main()
