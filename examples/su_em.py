"""Eq. 8 and 11 of Su (2018): mixtures by EM, on whole epochs and stepwise, and scikit-learn's."""

import time
import warnings

import numpy as np
import paper_script
from paper_script import Experiment
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from tfgen import datasets, models, plotting

EM_EPOCHS = {"paper": 100, "cpu": 20, "smoke": 3}
EM_KINDS = {"EM": None, "stepwise EM": 0.7}
SKLEARN_COVARIANCES = {"full": "full", "diagonal": "diag"}
NUM_COMPONENTS = {"full": 5, "diagonal": 20, "bernoulli": 20}
EM_SPLITS = {"paper": "train", "cpu": "train[:20000]", "smoke": "train"}
# Width of the noise on intensities, with which no pixel is constant: `reg_covar` can be 0.
NOISE = 0.25


def em_data(run, split, components):
    """Batches of images in [0, 1], the same ones in each epoch, binarized or with noise."""
    dataset = "digits" if components == "full" else run.args.dataset
    if dataset != "digits" and split == "train":
        split = run.pick(**EM_SPLITS)
    options = {"batch_size": 100 if dataset == "digits" else 500, "seed": run.seed}
    source = {"split": split, "data_dir": run.args.data_dir, **options}
    if components == "bernoulli":
        return datasets.load(dataset, binarize="fixed", **source)
    batches = datasets.load(dataset, shuffle=False, **source)[0]
    return datasets.load(noisy(np.concatenate(list(batches)), split), **options)


def noisy(images, split):
    """Intensities with uniform noise, drawn once, mapped to [0, 1] again."""
    noise = np.random.default_rng(split == "test").uniform(size=images.shape)
    return ((images + NOISE * noise) / (1 + NOISE)).astype("float32")


def em_mixture(run, components, shape, kappa=None):
    return models.MixtureEM(
        NUM_COMPONENTS[components],
        shape,
        components,
        reg_covar=0.0,
        min_probability=0.001,
        kappa=kappa,
        seed=run.seed,
    )


def em_start(model, train):
    """Parameters by k-means of 10,000 images."""
    model.initialize(train)
    weights, means = model.mixture_weights.numpy(), model.means.numpy()
    return {"weights": weights, "means": means, "covariances": model.covariances}


def em_experiment(components):
    """EM on whole epochs and stepwise, and scikit-learn's, all from the same start."""

    def experiment(run):
        (train, info), (test, _) = (em_data(run, split, components) for split in ("train", "test"))
        start = em_start(em_mixture(run, components, info.image_shape), train)
        epochs = run.pick(**EM_EPOCHS)
        values, curves = {}, {}
        for kind, kappa in EM_KINDS.items():
            part = run._replace(folder=run.folder / kind.replace(" ", "_"))
            part.folder.mkdir(exist_ok=True)
            model = em_mixture(run, components, info.image_shape, kappa)
            model.set_parameters(**start)
            curves[kind] = paper_script.fit_in_lines(model, train, part, epochs, test)
            model.save(part.folder / "model.keras")
            part.draw("components", plotting.mixture_components(model))
            values |= em_values(kind.replace(" ", "_"), model, curves[kind], train, test)
        if components in SKLEARN_COVARIANCES:
            curves["scikit-learn"], facts = sklearn_curve(train, components, start, epochs)
            ours = np.array(curves["EM"]["log_likelihood"])
            gap = np.abs(ours - curves["scikit-learn"]["log_likelihood"])
            values |= {**facts, "largest_difference_to_scikit_learn": float(np.max(gap))}
        paper_script.write_json(run.folder / "curves.json", curves)
        run.draw("likelihood", figure_of_em(curves))
        return values

    return experiment


def em_values(kind, model, curve, train, test):
    """Log-likelihoods of the last parameters, and what the curve shows."""
    rises = np.diff(curve["log_likelihood"])
    return {
        f"{kind}_train_log_likelihood": model.evaluate(train, verbose=0, return_dict=True)[
            "log_likelihood"
        ],
        f"{kind}_test_log_likelihood": curve["val_log_likelihood"][-1],
        f"{kind}_largest_fall": float(max(0.0, -np.min(rises))),
        f"{kind}_least_weight": float(np.min(model.mixture_weights)),
        f"{kind}_seconds_per_epoch": float(np.mean(curve["seconds"])),
    }


def sklearn_curve(train, components, start, num_epochs):
    """Mean log p(x) before each M step of scikit-learn's `GaussianMixture`."""
    x = np.concatenate([np.reshape(batch, (len(batch), -1)) for batch in train.as_numpy_iterator()])
    means, covariances = start["means"], start["covariances"]
    mixture = GaussianMixture(
        len(means),
        covariance_type=SKLEARN_COVARIANCES[components],
        reg_covar=0.0,
        weights_init=start["weights"],
        means_init=means.reshape(len(means), -1),
        precisions_init=np.linalg.inv(covariances) if components == "full" else 1 / covariances,
        tol=0,
        max_iter=1,
        warm_start=True,
    )
    curve, begin = [], time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # Of each single step.
        for _ in range(num_epochs):
            curve.append(float(mixture.fit(x.astype("float64")).lower_bound_))
    seconds = (time.perf_counter() - begin) / num_epochs
    largest_fall = float(max(0.0, -np.min(np.diff(curve))))
    facts = {"largest_fall": largest_fall, "seconds_per_epoch": seconds}
    facts = {f"scikit_learn_{name}": value for name, value in facts.items()}
    return {"log_likelihood": curve}, facts


def figure_of_em(curves):
    """Log-likelihood of training and test images over the epochs."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    titles = {"log_likelihood": "training images", "val_log_likelihood": "test images"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for kind, curve in curves.items():
            epochs = 1 + np.arange(len(curve["log_likelihood"]))
            style = "k:" if kind == "scikit-learn" else "-"
            if name in curve:
                ax.plot(epochs, curve[name], style, label=kind, zorder=3 if style == "k:" else 2)
        ax.set(xlabel="epoch", title=title)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("log-likelihood, nats per image")
    axes[0].legend(fontsize=8)
    return fig


EM_FIGURES = ("EM/components.png", "stepwise_EM/components.png", "likelihood.png")

MIXTURES = [
    *(
        Experiment(
            f"em-{name}",
            "Eq. 8 and 11",
            em_experiment(components),
            {},
            f"{what}; stepwise EM with kappa 0.7",
            figures=EM_FIGURES,
        )
        for name, components, what in (
            ("gaussian", "diagonal", "20 Gaussians, diagonal covariances, on pixels with noise"),
            (
                "bernoulli",
                "bernoulli",
                "20 Bernoullis, probabilities 0.001 to 0.999, pixels drawn once",
            ),
            (
                "digits",
                "full",
                "digits with noise, 5 Gaussians, full covariances",
            ),
        )
    ),
]
