"""Digits of which half the pixels are missing, after Mattei & Frellsen (arXiv:1812.02633)

    python examples/mattei_2019_missing_data.py --list
    python examples/mattei_2019_missing_data.py --data-dir ~/tensorflow_datasets --scale cpu
    python examples/mattei_2019_missing_data.py --run miwae missing-data-vae --seeds 5
    python examples/mattei_2019_missing_data.py --smoke

Each pixel of each image, of training and of test, is missing with probability 1/2, whatever its
value, and is never seen by a model. It is imputed in 1,000 test images: by the mean of that pixel
where it is observed, by a MissingDataVAE, by a MIWAE of several draws, and by a MissingDataVAE that
was trained on whole images, which shows what missing pixels cost. Scores are of missing pixels
alone: `cross_entropy` in nats a pixel, `error` the share that is wrong if the likelier value is
taken. Pixels are 1 where the intensity exceeds 0.5.
"""

import _start  # noqa: F401
import keras
import numpy as np
import paper_script
from paper_script import Experiment

from tfgen import datasets, models, networks, plotting

MISSING, BATCH_SIZE = 0.5, 100
SIZES = {"latent_dim": 40, "width": 400}
EPOCHS = {"paper": 100, "cpu": 20, "smoke": 2}
DRAWS = {"paper": 50, "cpu": 5, "smoke": 2}  # Of the MIWAE's bound.
IMPUTED = {"paper": 1000, "cpu": 1000, "smoke": 20}  # Test images, and draws for each.
FLOOR = 1e-4  # Least probability of a pixel: one never seen to be 1 has none by its mean.


def load_arrays(run, split):
    """Images of a split, binary, and masks that are 1 where a pixel is observed."""
    data, _ = datasets.load(
        run.args.dataset,
        split,
        1000,
        binarize="threshold",
        shuffle=False,
        data_dir=run.args.data_dir,
    )
    x = np.concatenate(list(data.as_numpy_iterator()))
    seed = [run.seed, split == "test"]
    return x, (np.random.default_rng(seed).random(x.shape) >= MISSING).astype("float32")


def pixel_means(run):
    x, observed = load_arrays(run, "train")
    means = (x * observed).sum(0) / observed.sum(0)
    return scores(run, lambda test, mask: np.where(mask > 0, test, means))


def missing_data_vae(run):
    return trained(run, models.MissingDataVAE)


def miwae(run):
    return trained(run, models.MIWAE, num_samples=run.pick(**DRAWS))


def whole_images(run):
    return trained(run, models.MissingDataVAE, whole=True)


def trained(run, model_class, whole=False, **options):
    """Scores of a model after training on what is observed, or on whole images."""
    x, observed = load_arrays(run, "train")
    shape = x.shape[1:]
    model = model_class(
        networks.mlp_encoder(shape, **SIZES, condition_shape=shape),
        networks.mlp_decoder(shape, **SIZES),
        seed=run.seed,
        **options,
    )
    model.compile(keras.optimizers.Adam(1e-3))
    mask = np.ones_like(observed) if whole else observed
    x = x * mask  # So that nothing of what is missing is there to be seen.
    epochs = run.pick(**EPOCHS)
    paper_script.fit_in_lines(model, x, run, epochs, y=mask, batch_size=BATCH_SIZE)
    num_samples = run.pick(**IMPUTED)
    return scores(run, lambda x, m: model.impute(x * m, m, num_samples, seed=run.seed).numpy())


def scores(run, impute):
    """How probable an imputation makes what was missing; writes a picture."""
    x, observed = (part[: run.pick(**IMPUTED)] for part in load_arrays(run, "test"))
    imputed = np.clip(impute(x, observed), FLOOR, 1 - FLOOR)
    draw(run, x[:10], observed[:10], imputed[:10])
    truth, p = x[observed == 0], imputed[observed == 0]
    return {
        "cross_entropy": float(-np.mean(np.log(np.where(truth == 1, p, 1 - p)))),
        "error": float(np.mean((p > 0.5) != truth)),
    }


def draw(run, x, observed, imputed):
    """Rows of what is observed, with grey where it is not, of imputed and of whole images."""
    rows = np.concatenate([np.where(observed > 0, x, 0.5), imputed, x])
    labels = ["observed", "imputed", "whole"]
    run.draw("imputed", plotting.image_grid(rows, len(x), row_labels=labels))


MLP = "a layer of 400 ReLU units each way, z 40, Adam 1e-3; at cpu scale 20 epochs"
FIGURES = ("imputed.png",)
EXPERIMENTS = [
    Experiment("pixel-means", "baseline", pixel_means, {}, "mean of observed pixels", {}, FIGURES),
    Experiment("missing-data-vae", "one draw", missing_data_vae, {}, MLP, {}, FIGURES),
    Experiment(
        "miwae", "bound of several draws", miwae, {}, f"{MLP} and 5 draws, 50 else", {}, FIGURES
    ),
    Experiment("whole-images", "nothing missing in training", whole_images, {}, MLP, {}, FIGURES),
]


def main(argv=None):
    paper_script.main(__doc__, EXPERIMENTS, 0, ["mnist", "fashion_mnist", "digits"], argv)


if __name__ == "__main__":
    main()
