"""`load`: data by name as a fast pipeline, with what a model must know of it."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from tfgen._utils.arguments import as_pair, check_ints, check_one_of
from tfgen._utils.files import as_path
from tfgen._utils.pipeline import resumable_dataset
from tfgen.datasets import arrays, folders, images, sprites, tfds_examples
from tfgen.datasets.examples import Examples, binarize_once
from tfgen.datasets.factor_images import FACTOR_IMAGES, read_factor_images
from tfgen.datasets.splits import check_split

__all__ = ["DatasetInfo", "load"]

_NAMES = ("digits", "sprites", *FACTOR_IMAGES)
_BINARIZE_MODES = (None, "threshold", "stochastic", "fixed")
_CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".csv.bz2", ".csv.xz", ".csv.zst")
# Of arguments of `load` that have no part in a table.
_DEFAULTS = {
    "binarize": None,
    "value_range": (0.0, 1.0),
    "image_size": None,
    "data_dir": None,
    "labels": False,
    "download": False,
    "cache_dir": None,
}
_BINARIZE_REMEDY = "Use 'stochastic' for dynamic binarization and None for grey images."

Binarize: TypeAlias = Literal["threshold", "stochastic", "fixed"]


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What a model must know of its data.

    Args:
        name: str, of the data set.
        split: str, the split or slice.
        image_shape: (height, width, channels), or the shape of what else one example is.
        value_range: (low, high), what black and white are mapped to; None for values as they were.
        num_examples: int.
        class_names: tuple of str, what integer labels stand for; () if unknown.
        factor_names: tuple of str, what the columns of the labels stand for; () if there are none.
        factor_sizes: tuple of int, how many values each factor has.
        binarize: None, "threshold", "stochastic" or "fixed".
        skipped: tuple of str, of a folder, the paths in it that could be images and were passed
            over: hidden files (`._x.png`), folders, pipes and devices of such names, formats that
            are not read (`x.heic`), folders that cannot be read, and links to nothing or to a
            folder that they lie in. Not printed.

    Example:
        >>> _, info = load("digits", "test")
        >>> info.image_shape, info.num_examples, len(info.class_names)
        ((8, 8, 1), 360, 10)
    """

    name: str
    split: str
    image_shape: tuple[int, ...]
    value_range: tuple[float, float] | None
    num_examples: int
    class_names: tuple[str, ...] = ()
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    binarize: Binarize | None = None
    skipped: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    @property
    def data_shape(self) -> tuple[int, ...]:
        """`image_shape`, by the name that it has of a table."""
        return self.image_shape


def load(
    source: Any,
    split: str = "train",
    batch_size: int = 128,
    *,
    binarize: Binarize | None = None,
    value_range: Sequence[float] | None = (0.0, 1.0),
    image_size: int | Sequence[int] | None = None,
    data_dir: str | os.PathLike | None = None,
    seed: int = 0,
    shuffle: bool | None = None,
    labels: bool = False,
    drop_remainder: bool = False,
    download: bool = False,
    cache_dir: str | os.PathLike | None = None,
) -> tuple[tf.data.Dataset, DatasetInfo | Any]:
    """Data as a `tf.data.Dataset` of batches: by name, from arrays, a folder of images or a table.

    Named sources:

    - "digits": 1797 handwritten digits, 8 x 8 x 1, part of scikit-learn; 1437 to train, 360 to
      test.
    - "sprites": the 737,280 binary images, 64 x 64 x 1, of five known factors of dSprites, drawn
      in code; a fixed random tenth of them is the test split. See `tfgen.datasets.sprites`.
    - "3dshapes", "cars3d", "mpi3d_toy", "mpi3d_realistic", "mpi3d_real", "mpi3d_real_complex":
      images of known factors, 64 x 64 x 3, from the files in `data_dir` that their authors
      publish; a fixed random tenth of them is the test split. See `docs/data.md`.
    - "mnist", "fashion_mnist": 28 x 28 x 1; 60,000 to train, 10,000 to test.
    - "celeb_a": faces, cropped to the box (30, 50, 148, 168) and resized to 64 x 64 x 3; splits
      "train", "validation" and "test".
    - any other data set of images of tensorflow_datasets: "cifar10", "svhn_cropped", "omniglot",
      "kmnist", "emnist/letters", "binarized_mnist", "dsprites", "shapes3d", "smallnorb", ...

    "mnist" and the names after it are read by tensorflow_datasets, and never downloaded unless
    `download` is True.

    The order of a shuffled pipeline depends on the seed and the epoch, its noise on the seed, the
    epoch and the batch, and on nothing else. Each iteration over the dataset is one epoch, and
    `dataset.seek(epoch, step=0)` lets the next one deliver the rest of `epoch` from batch `step`
    on, so that an interrupted run continues bit for bit. A pipeline that is not shuffled delivers
    the same data, noise included, in each epoch.

    Args:
        source: str, a name from the list above, where "./mnist" would be a folder; or an array of
            n examples, uint8 or float in [0, 1], of images if its shape is (n, height, width),
            which get a channel, or (n, height, width, channels), else delivered in its own shape,
            such as rows (n, features) or volumes (n, depth, height, width, channels), and (n, 1)
            if it is (n,); or a tuple of such an array and of labels with n rows; or the path of a
            folder of images, whose subfolders, if any, are classes; or a `pandas.DataFrame` or
            the path of a CSV file (`.csv`), for `load_table` with its defaults. Arrays of series
            (n, length, channels) and of any other numbers need value_range=None.
        split: str, "train", "test", "all", or slices in the syntax of tensorflow_datasets, such
            as "train[:55000]" and "train[90%:]". Arrays and folders have no "test".
        batch_size: int >= 1.
        binarize: None; "threshold" for 1 where the intensity exceeds 0.5; "stochastic" for a
            Bernoulli draw with the intensity as probability, drawn anew in each epoch of a
            shuffled pipeline; "fixed" for one such draw, the same in all epochs. Test
            log-likelihoods of the three differ: name the mode beside a number.
        value_range: (low, high), what the intensities 0 and 1 are mapped to, after binarization.
            None for an array of finite numbers of any type and size, which is delivered as it is:
            an array of three axes is then one of series, and gets no channel.
        image_size: int or (height, width). Images are resized by interpolation, never padded;
            pad 28 x 28 images to 32 x 32 with `keras.layers.ZeroPadding2D(2)`.
        data_dir: path of the folder of data sets prepared by tensorflow_datasets; None for the
            environment variable TFDS_DATA_DIR, or else `~/tensorflow_datasets`. For "3dshapes",
            "cars3d" and the like, which need it, the folder that holds their files. The names
            "digits" and "sprites" are found without.
        seed: int >= 0, of order and noise. Splits do not depend on it.
        shuffle: bool; None shuffles splits whose name starts with "train".
        labels: bool, deliver (images, labels) instead of images. The labels of "sprites",
            "dsprites", "shapes3d", "smallnorb" (without its instances, and the second image of a
            pair) and of the files in `data_dir` are factors, those of "celeb_a" its 40 attributes,
            int32 of shape (batch, number); `info.factor_names` names them. Labels that vary in
            length, such as those of "bigearthnet", are not delivered.
        drop_remainder: bool, leave out a last batch that is smaller than the others.
        download: bool, let tensorflow_datasets fetch and prepare data that is missing; of
            "digits" and "sprites" nothing is.
        cache_dir: path of a folder, which is made, in which the images of a folder are kept
            decoded, for this run and the next ones: they are then read from there, batch by
            batch. Other sizes or times of files, another folder, `split` or `image_size`, and
            another `seed` of binarize="fixed", make a new file; the old ones stay until you delete
            them. None holds up to 64 MiB of pixels of a folder in memory; of more, each image is
            decoded when a batch needs it, in every epoch anew. The batches are the same. The
            files of "3dshapes", "cars3d" and the like are unpacked there too; None maps what is
            not compressed, and holds the rest in memory.

    Returns:
        A tuple (dataset, info). dataset: `tf.data.Dataset` of float32 batches of shape
        (batch, height, width, channels), or (batch, *info.data_shape), with known cardinality and
        the method `seek(epoch, step=0)`. info: `DatasetInfo`, of a table `TableInfo`.

    Raises:
        ValueError: if an argument or the data is unusable.
        FileNotFoundError: if a data set is not prepared, where the message has the command to
            fetch it, or there is no such CSV file.
        tf.errors.InvalidArgumentError: while batches are read, if an image of a large folder turns
            out to be damaged; the message names its file.

    Example:
        >>> dataset, info = load("digits", batch_size=32)
        >>> next(iter(dataset)).shape, info.num_examples
        (TensorShape([32, 8, 8, 1]), 1437)
        >>> series = np.random.default_rng(0).normal(size=(100, 64, 2))
        >>> load(series, value_range=None)[1].data_shape
        (64, 2)
    """
    check_delivery(split, batch_size, seed, shuffle, drop_remainder)
    check_flags(labels=labels, download=download)
    data_dir = None if data_dir is None else str(as_path(data_dir=data_dir))
    check_one_of(_BINARIZE_MODES, _BINARIZE_REMEDY, binarize=binarize)
    cache_dir = None if cache_dir is None else as_path(cache_dir=cache_dir)
    bounds = None if value_range is None else as_value_range(value_range)
    size = images.as_image_sizes(
        2, "Use None to keep the size of the images.", image_size=image_size
    )
    if _is_table(source):
        _refuse_with_table(
            binarize=binarize,
            value_range=bounds,
            image_size=size,
            data_dir=data_dir,
            labels=labels,
            download=download,
            cache_dir=cache_dir,
        )
        return _load_table(source, split, batch_size, seed, shuffle, drop_remainder)
    _check_value_range(source, bounds, binarize)
    examples = _read(source, split, size, data_dir, download, cache_dir, bounds is None)
    _check_labels(examples, labels)
    info = _describe(examples, split, bounds, binarize)
    if binarize == "fixed":
        examples = binarize_once(examples, seed)
    load_batch = _batch_loader(examples, info, labels)
    dataset = deliver(load_batch, examples, split, batch_size, seed, shuffle, drop_remainder)
    return dataset, info


def deliver(
    load_batch: Callable[[tf.Tensor, tf.Tensor], Any],
    examples: Examples,
    split: str,
    batch_size: int,
    seed: int,
    shuffle: bool | None,
    drop_remainder: bool,
) -> tf.data.Dataset:
    """The pipeline of a split, shuffled by default where the split is one to train on.

    Args:
        load_batch: as that of `resumable_dataset`.
        examples: `Examples` of the split.
        split: name or slice.
        batch_size: examples in a batch.
        seed: of order and noise.
        shuffle: None shuffles splits whose name starts with "train".
        drop_remainder: leave out a last batch that is smaller than the others.

    Returns:
        That of `resumable_dataset`.

    Raises:
        ValueError: if there are too few examples for a batch, or the seed is negative.
    """
    _check_not_empty(examples, split, batch_size, drop_remainder)
    return resumable_dataset(
        load_batch,
        len(examples.rows),
        min(batch_size, len(examples.rows)),
        seed=seed,
        shuffle=split.startswith("train") if shuffle is None else shuffle,
        drop_remainder=drop_remainder,
    )


# Tables.


def _is_table(source):
    """Whether it is a data frame, or the path of a CSV file."""
    if hasattr(source, "columns") and hasattr(source, "dtypes"):
        return True
    is_path = isinstance(source, str | os.PathLike) and not _is_folder(source)
    return is_path and str(source).lower().endswith(_CSV_SUFFIXES)


def _refuse_with_table(**of_images):
    """Raises ValueError unless arguments have their defaults."""
    given = {name: value for name, value in of_images.items() if value != _DEFAULTS[name]}
    if given:
        raise ValueError(
            "A table has a size, a range and labels of its own. Received: "
            f"{', '.join(f'{name}={value!r}' for name, value in given.items())} with a table. Call "
            "datasets.load_table, where label='...' names a column of labels and kinds says what "
            "others are."
        )


def _load_table(source, split, batch_size, seed, shuffle, drop_remainder):
    from tfgen.datasets.table import load_table  # Which takes `deliver` from here.

    return load_table(
        source, split, batch_size, seed=seed, shuffle=shuffle, drop_remainder=drop_remainder
    )


# Images, and arrays of other shapes.


def _check_value_range(source, bounds, binarize):
    """Raises ValueError where values as they are would be of something else than an array."""
    if bounds is None and (binarize is not None or isinstance(source, str | os.PathLike)):
        raise ValueError(
            "value_range=None delivers the values of an array as they are. Received: "
            f"value_range=None with source of type {type(source).__name__} and "
            f"binarize={binarize!r}. Use (0, 1) or (-1, 1)."
        )


def _read(source, split, image_size, data_dir, download, cache_dir, as_it_is):
    """`Examples` of one split of any source."""
    is_folder = _is_folder(source)
    if is_folder or not isinstance(source, str | os.PathLike):
        _refuse_place(data_dir, download)
    if is_folder:
        return folders.read_folder(source, split, image_size=image_size, cache_dir=cache_dir)
    if isinstance(source, str) and source in FACTOR_IMAGES:
        _refuse_download(source, download)
        return read_factor_images(
            source, split, image_size=image_size, data_dir=data_dir, cache_dir=cache_dir
        )
    _refuse_file(source)
    if cache_dir is not None:
        raise ValueError(
            f"Only the images of a folder, and {', '.join(FACTOR_IMAGES)}, are kept in a "
            f"cache_dir. Received: cache_dir={str(cache_dir)!r} with source of type "
            f"{type(source).__name__}, which is the path of no folder. Leave cache_dir out."
        )
    if not isinstance(source, str | os.PathLike):
        return arrays.read_array(source, split, image_size=image_size, as_it_is=as_it_is)
    if source == "digits":
        return arrays.read_digits(split, image_size=image_size)
    if source == "sprites":
        return sprites.read_sprites(split, image_size=image_size)
    if isinstance(source, str) and tfds_examples.is_tfds(source):
        return tfds_examples.read_tfds(
            source, split, image_size=image_size, data_dir=data_dir, download=download
        )
    alike = tfds_examples.close_names(str(source), _NAMES)
    raise ValueError(
        f"No data set and no folder has this name. Received: source={str(source)!r}. "
        + f"Did you mean one of {alike}? " * bool(alike)
        + f"Expected one of {list(_NAMES)}, a data set of tensorflow_datasets such as 'mnist', the "
        "path of a folder of images or of a CSV file, a data frame, or an array."
    )


def _refuse_file(source):
    """Raises ValueError for the path of a file: CSV files are none of those that get here."""
    is_path = isinstance(source, str | os.PathLike) and not _is_name(source)
    if is_path and os.path.isfile(source):
        raise ValueError(
            "source must be the path of a folder of images, or of a CSV file whose name ends in "
            f"'.csv'. Received: source={os.fspath(source)!r}, another file. Pass the folder of an "
            "image; read other tables by pandas, and arrays by np.load, and pass what they return."
        )


def _refuse_place(data_dir, download):
    """Raises ValueError where the images themselves, or their folder, are given."""
    if data_dir is not None or download:
        raise ValueError(
            "data_dir and download are of data sets that are given by name. Received: "
            f"data_dir={data_dir!r} and download={download} with images or the path of their "
            "folder. Leave them out."
        )


def _refuse_download(name, download):
    if download:
        raise ValueError(
            f"{name!r} is not downloaded. Received: download=True. Get the files from its authors, "
            "and pass their folder as data_dir."
        )


def _is_folder(source):
    """Whether it is the path of a folder, and not the name of a data set."""
    is_path = isinstance(source, str | os.PathLike) and bool(os.fspath(source))
    return is_path and pathlib.Path(source).is_dir() and not _is_name(source)


def _is_name(source):
    return isinstance(source, str) and (source in _NAMES or tfds_examples.is_tfds(source))


def _batch_loader(examples, info, labels):
    """Function from a stateless seed and positions of examples to one batch."""
    fetch = examples.batches()

    def load_batch(seed, positions):
        intensities, batch_labels = fetch(positions)
        intensities = images.binarize(intensities, info.binarize, seed)
        batch = images.rescale(intensities, info.value_range or (0, 1))
        return (batch, batch_labels) if labels else batch

    return load_batch


def _describe(examples, split, value_range, binarize):
    return DatasetInfo(
        name=examples.name,
        split=split,
        image_shape=tuple(examples.image_shape),
        value_range=value_range,
        num_examples=len(examples.rows),
        class_names=examples.class_names,
        factor_names=examples.factor_names,
        factor_sizes=examples.factor_sizes,
        binarize=binarize,
        skipped=examples.skipped,
    )


def as_value_range(value_range: Sequence[float]) -> tuple[float, float]:
    """(low, high), checked."""
    return as_pair("Use (0, 1) or (-1, 1).", value_range=value_range)


def check_delivery(
    split: str, batch_size: int, seed: int, shuffle: bool | None, drop_remainder: bool
) -> None:
    """Raises ValueError unless these are a text, a size, a seed, and True or False."""
    check_split(split)
    check_ints(1, "Use the number of images for a single batch.", batch_size=batch_size)
    check_ints(0, "Any such number will do.", seed=seed)
    check_flags(drop_remainder=drop_remainder)
    if shuffle is not None:
        check_flags(shuffle=shuffle)


def check_flags(**values: bool) -> None:
    """Raises ValueError unless every value is True or False."""
    for name, value in values.items():
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} must be True or False. Received: {name}={value!r}.")


def _check_not_empty(examples, split, batch_size, drop_remainder):
    num_examples = len(examples.rows)
    if num_examples < (batch_size if drop_remainder else 1):
        raise ValueError(
            f"The pipeline would deliver no batch. Received: {num_examples} images in "
            f"split={split!r} of {examples.name!r}, batch_size={batch_size}, "
            f"drop_remainder={drop_remainder}. Choose a larger split or smaller batches."
        )


def _check_labels(examples, labels):
    if labels and examples.labels is None:
        raise ValueError(
            f"labels=True needs labels. Received: {examples.name!r}, "
            f"{examples.why_no_labels or 'which has none'}. Pass arrays as (images, labels), and "
            "sort the images of a folder into one subfolder a class."
        )
