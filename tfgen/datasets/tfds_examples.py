"""Data sets that tensorflow_datasets prepares, read into memory once."""

import os

import numpy as np
import tensorflow as tf

from tfgen._utils import extras
from tfgen._utils.progress import with_progress
from tfgen.datasets.examples import Examples
from tfgen.datasets.images import crop, resize

__all__ = ["NAMES", "read_tfds"]

NAMES = ("mnist", "fashion_mnist", "celeb_a")

# Schik's crop of the aligned faces: (left, top, right, bottom).
_CROP_BOXES = {"celeb_a": (30, 50, 148, 168)}
_DEFAULT_SIZES = {"celeb_a": (64, 64)}
_CHUNK_SIZE = 256


def read_tfds(
    name: str,
    split: str,
    *,
    image_size: tuple[int, ...] | None = None,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> Examples:
    """Images and labels of one split, from files that tensorflow_datasets prepared.

    Faces of celeb_a are cropped to the box (30, 50, 148, 168) and resized to 64 x 64 unless
    `image_size` says otherwise; their labels are the 40 attributes, as factors of two values.

    Args:
        name: str, one of `NAMES`.
        split: str, split or slice of tensorflow_datasets, such as "train[:90%]".
        image_size: (height, width) or None.
        data_dir: path of the folder of all prepared data sets; None for the environment variable
            TFDS_DATA_DIR, or else tensorflow_datasets' own default.
        download: bool, fetch and prepare the data set if it is missing.

    Returns:
        `Examples` with uint8 pixels and int32 labels.

    Raises:
        FileNotFoundError: if the data set is not prepared and `download` is False.
        ValueError: if there is no such split.

    Example:
        >>> import tensorflow_datasets as tfds
        >>> with tfds.testing.mock_data(num_examples=3):  # Random images, for the example.
        ...     read_tfds("mnist", "train", data_dir="unused").rows.shape
        (3, 28, 28, 1)
    """
    tfds = extras.require("tensorflow_datasets", extra="data")
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR")
    builder = tfds.builder(name, data_dir=data_dir)
    if download:
        builder.download_and_prepare()
    # Read once, so a cache would only hold the images a second time.
    records = _records(builder, split, data_dir, tfds.ReadConfig(try_autocache=False))
    size = image_size or _DEFAULT_SIZES.get(name)
    images, labels = _read(records, _preparation(_CROP_BOXES.get(name), size))
    return Examples(name, images, images.shape[1:], labels, **_label_names(builder.info.features))


def _records(builder, split, data_dir, read_config):
    """Dataset of decoded records, in the order in which they are stored."""
    try:
        return builder.as_dataset(split=split, read_config=read_config)
    except AssertionError as error:
        raise FileNotFoundError(_missing_message(builder.name, data_dir)) from error
    except ValueError as error:
        raise ValueError(
            f"No such split of {builder.name!r}. Received: split={split!r} ({error}). "
            "Use one of its splits, 'all', or slices such as 'train[:90%]'."
        ) from error


def _missing_message(name, data_dir):
    argument = "" if data_dir is None else f", data_dir={os.fspath(data_dir)!r}"
    return (
        f"The data set {name!r} is not prepared. Received: data_dir={data_dir!r}. Fetch it once:\n"
        f'    python -c "import tensorflow_datasets as tfds; tfds.load({name!r}{argument})"\n'
        "or pass download=True. data_dir is the folder that holds all data sets prepared by "
        "tensorflow_datasets; without it the environment variable TFDS_DATA_DIR counts, and then "
        "~/tensorflow_datasets."
    )


def _label_names(features):
    """Names of the classes, or of the attributes and how many values each has."""
    if "label" in features:
        return {"class_names": tuple(features["label"].names)}
    names = tuple(sorted(features["attributes"]))
    return {"factor_names": names, "factor_sizes": (2,) * len(names)}


def _preparation(box, size):
    """Function from a batch of records to uint8 images and int32 labels."""

    def prepare(records):
        images = records["image"]
        return resize(images if box is None else crop(images, box), size), _labels(records)

    return prepare


def _labels(records):
    """Class, shape (batch,), or attributes in alphabetical order, shape (batch, 40)."""
    if "label" in records:
        return tf.cast(records["label"], tf.int32)
    attributes = records["attributes"]
    return tf.cast(tf.stack([attributes[name] for name in sorted(attributes)], -1), tf.int32)


def _read(records, prepare):
    """Images and labels of all records, as arrays."""
    chunks = records.batch(_CHUNK_SIZE).map(
        prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    image_spec, label_spec = chunks.element_spec
    num_examples = int(records.cardinality())
    images = np.empty((num_examples, *image_spec.shape[1:]), "uint8")
    labels = np.empty((num_examples, *label_spec.shape[1:]), "int32")
    for index, chunk in enumerate(with_progress(chunks.as_numpy_iterator(), len(chunks))):
        rows = slice(index * _CHUNK_SIZE, (index + 1) * _CHUNK_SIZE)
        images[rows], labels[rows] = chunk
    return images, labels
