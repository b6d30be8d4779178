"""What the command knows of models and data sets before TensorFlow is loaded."""

import gzip
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = [
    "EMBEDDED",
    "FETCHED",
    "MODELS",
    "OBJECTIVES",
    "Model",
    "Source",
    "epochs_of",
    "is_folder",
    "is_table",
    "size_of",
    "smoke_splits",
    "source_of",
]


class Model(NamedTuple):
    """How a model is built by its name.

    Attributes:
        cls: name in `tfgen.models`.
        networks: names of what its constructor is given first.
        options: further arguments of its constructor.
        points: whether encoder and decoder return points in place of distributions.
        latent_dim: default of its latent size.
        optimizer: code of its optimizer, with a place for the learning rate.
        learning_rate: float.
        weight: name of the weight that a search varies beside the latent size, None for none.
        weights: values of that weight, of Locatello et al., arXiv:1811.12359v4, Table 2.
        mask: whether it is trained on (x, mask), rows of a table and which values are there.
    """

    cls: str
    networks: tuple[str, ...] = ("encoder", "decoder")
    options: Mapping[str, Any] = MappingProxyType({})
    points: tuple[str, ...] = ()
    latent_dim: int = 10
    optimizer: str = "keras.optimizers.Adam({})"
    learning_rate: float = 1e-3
    weight: str | None = None
    weights: tuple[float, ...] = ()
    mask: bool = False

    @property
    def has_likelihood(self) -> bool:
        """Whether its decoder ends in a distribution of pixels."""
        return "decoder" in self.networks and "decoder" not in self.points


_POINTS = ("encoder", "decoder")
_JUDGED_CODES = ("encoder", "decoder", "code_discriminator")
_GAN = Model(
    "GAN",
    ("generator", "discriminator"),
    latent_dim=32,
    optimizer="keras.optimizers.Adam({}, beta_1=0.5)",
    learning_rate=2e-4,
)
MODELS = {
    "ae": Model("AE", points=_POINTS),
    "wae": Model("WAE", points=_POINTS),
    "vae": Model("VAE"),
    "beta-vae": Model(
        "BetaVAE", options={"beta": 4.0}, weight="beta", weights=(1.0, 2.0, 4.0, 6.0, 8.0, 16.0)
    ),
    "beta-tcvae": Model(
        "BetaTCVAE", options={"beta": 4.0}, weight="beta", weights=(1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    ),
    "factor-vae": Model(
        "FactorVAE", _JUDGED_CODES, weight="gamma", weights=(10.0, 20.0, 30.0, 40.0, 50.0, 100.0)
    ),
    "dip-vae": Model("DIPVAE", weight="lambda_od", weights=(1.0, 2.0, 5.0, 10.0, 20.0, 50.0)),
    "info-vae": Model("InfoVAE"),
    "iwae": Model("IWAE"),
    "missing-data-vae": Model("MissingDataVAE", mask=True),
    "aae": Model("AAE", _JUDGED_CODES, points=("encoder",)),
    "gan": _GAN,
    "wgan-gp": _GAN._replace(cls="WGANGP"),
}


class Source(NamedTuple):
    """What suits a data set.

    Attributes:
        epochs: of training.
        train: split to train on.
        test: split to validate and evaluate on.
        binarize: argument of `datasets.load` for a Bernoulli likelihood.
        likelihood: "bernoulli", "normal", or "columns" of a table.
    """

    epochs: int = 10
    train: str = "train"
    test: str = "test"
    binarize: str | None = None
    likelihood: str = "normal"


_GREY = Source(5, binarize="stochastic", likelihood="bernoulli")
_UNSPLIT = Source(train="train[:90%]", test="train[90%:]")
_SORTED = Source(train="train_shuffled[:90%]", test="train_shuffled[90%:]")  # Perhaps, by class.
# What is read from files as their authors publish them, in --data-dir.
_PUBLISHED = {
    "3dshapes": Source(1),
    "cars3d": Source(),
    **dict.fromkeys(
        ("mpi3d_toy", "mpi3d_realistic", "mpi3d_real", "mpi3d_real_complex"), Source(1)
    ),
}
_SOURCES = {
    "digits": _GREY._replace(epochs=150),
    "sprites": Source(1, test="test[:2000]", likelihood="bernoulli"),
    **dict.fromkeys(("mnist", "fashion_mnist", "kmnist", "emnist/letters"), _GREY),
    "binarized_mnist": Source(5, likelihood="bernoulli"),
    "celeb_a": Source(5),
    "cifar10": Source(20),
    "svhn_cropped": Source(20),
    "shapes3d": _UNSPLIT._replace(epochs=1),
    "dsprites": _UNSPLIT._replace(epochs=1, likelihood="bernoulli"),
    **_PUBLISHED,
}
# Images that a model sees in training, at least: few photos are seen more often.
FEWEST_IMAGES = 40_000
# Of a folder; with them 12 photos of 64 x 64 pixels take about five minutes on two cores.
MOST_EPOCHS = 400
# What a search can compare its trials by.
OBJECTIVES = (
    *("val_elbo", "val_bits_per_dim", "bits_per_dim", "val_reconstruction", "val_kl"),
    *("mig", "mmd"),
)
# Data sets that `tfgen data` lists: those that need no fetching, and those that do.
EMBEDDED = ("digits", "sprites")
FETCHED = tuple(name for name in _SOURCES if name not in (*EMBEDDED, *_PUBLISHED))
# Examples that the quickstart trains and evaluates on with --smoke.
_SMOKE_TRAIN, _SMOKE_TEST = 256, 128


def is_table(data: str) -> bool:
    """Whether data are the rows of a CSV file.

    Example:
        >>> is_table("iris.csv"), is_table("mnist")
        (True, False)
    """
    return data.endswith((".csv", ".csv.gz"))


def is_folder(data: str) -> bool:
    """Whether data are the images of a folder, and not a data set of the same name.

    Example:
        >>> is_folder("mnist")
        False
    """
    return data not in _SOURCES and pathlib.Path(data).is_dir()


def source_of(data: str) -> Source:
    """What suits a name of `datasets.load`, a folder of images or a CSV file.

    Example:
        >>> source_of("mnist").binarize, source_of("iris.csv").test
        ('stochastic', 'train_shuffled[90%:]')
    """
    if is_table(data):
        return _SORTED._replace(epochs=100, likelihood="columns")
    if is_folder(data):
        return _SORTED
    return _SOURCES.get(data, Source())


def epochs_of(data: str) -> int:
    """Epochs of training that suit data; of a folder more, that few images are seen often.

    Example:
        >>> epochs_of("digits")
        150
    """
    epochs = source_of(data).epochs
    if not is_folder(data):
        return epochs
    return min(MOST_EPOCHS, max(epochs, -(-FEWEST_IMAGES // max(size_of(data), 1))))


def smoke_splits(data: str) -> tuple[str, str]:
    """Splits of few examples, to train and to evaluate on.

    Of a folder and of a table, whose numbers of examples are known only when they are read, it is
    a share, by the number of files or lines.

    Example:
        >>> smoke_splits("mnist"), smoke_splits("dsprites")
        (('train[:256]', 'test[:128]'), ('train[:256]', 'train[-128:]'))
    """
    if not (is_table(data) or is_folder(data)):
        test = "test[:{}]" if source_of(data).test.startswith("test") else "train[-{}:]"
        return f"train[:{_SMOKE_TRAIN}]", test.format(_SMOKE_TEST)
    train = min(90, 100 * _SMOKE_TRAIN // max(size_of(data), 1) + 1)
    return f"train_shuffled[:{train}%]", f"train_shuffled[-{min(10, train)}%:]"


def size_of(data: str) -> int:
    """Examples of a folder or table at most: its files, or its lines after the head line."""
    return _num_files(data) if is_folder(data) else max(0, _num_lines(data) - 1)


def _num_files(folder):
    return sum(path.is_file() for path in pathlib.Path(folder).rglob("*"))


def _num_lines(table):
    opened = gzip.open if table.endswith(".gz") else open
    with opened(table, "rb") as lines:
        return sum(1 for _ in lines)
