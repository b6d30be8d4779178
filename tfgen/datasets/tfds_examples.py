"""Data sets that tensorflow_datasets prepares, read into memory once."""

import dataclasses
import difflib
import functools
import os
from collections.abc import Collection

import numpy as np
import tensorflow as tf

from tfgen._utils import extras
from tfgen._utils.progress import with_progress
from tfgen.datasets.examples import Examples
from tfgen.datasets.images import crop, resize

__all__ = ["close_names", "is_tfds", "read_tfds"]

# Schik's crop of the aligned faces: (left, top, right, bottom).
_CROP_BOXES = {"celeb_a": (30, 50, 148, 168)}
_DEFAULT_SIZES = {"celeb_a": (64, 64)}
_CHUNK_SIZE = 256
# Letters of a name from which on it may be the beginning of another one.
_LEAST_PREFIX = 3


def read_tfds(
    name: str,
    split: str,
    *,
    image_size: tuple[int, ...] | None = None,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> Examples:
    """Images and labels of one split, from files that tensorflow_datasets prepared.

    Labels are the classes of a feature "label", the attributes of a feature "attributes", as
    factors of two values, or the factors of features "label_shape" and the like. What is neither,
    or varies in length, is not read: of smallnorb the second image and the instance of each
    category, which is no factor to disentanglement_lib either.

    Faces of celeb_a are cropped to the box (30, 50, 148, 168) and resized to 64 x 64 unless
    `image_size` says otherwise.

    Args:
        name: str, of a data set with a feature "image", such as "cifar10" or "emnist/letters".
        split: str, split or slice of tensorflow_datasets, such as "train[:90%]".
        image_size: (height, width) or None.
        data_dir: path of the folder of all prepared data sets; None for the environment variable
            TFDS_DATA_DIR, or else tensorflow_datasets' own default.
        download: bool, fetch and prepare the data set if it is missing.

    Returns:
        `Examples` with uint8 pixels and int32 labels, or none.

    Raises:
        FileNotFoundError: if the data set is not prepared and `download` is False.
        ValueError: if there is no such split, or the data set has no images, or some of many sizes
            and there is no `image_size`.

    Example:
        >>> import tensorflow_datasets as tfds
        >>> with tfds.testing.mock_data(num_examples=3):  # Random images, for the example.
        ...     read_tfds("mnist", "train", data_dir="unused").rows.shape
        (3, 28, 28, 1)
    """
    tfds = extras.require("tensorflow_datasets", extra="data")
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR")
    builder = tfds.builder(name, data_dir=data_dir)
    features = builder.info.features
    _check_features(name, features, image_size)
    if download:
        builder.download_and_prepare()
    # Read once, so a cache would only hold the images a second time.
    records = _records(builder, split, data_dir, tfds.ReadConfig(try_autocache=False))
    size = image_size or _DEFAULT_SIZES.get(name)
    target = _target_of(features)
    images, labels = _read(records, _preparation(_CROP_BOXES.get(name), size, target))
    images = 255 * images if name == "binarized_mnist" else images  # Its pixels are 0 and 1.
    return Examples(
        name,
        images,
        images.shape[1:],
        labels,
        why_no_labels="" if target.paths else _why_no_labels(features),
        **target.names,
    )


def is_tfds(name: str) -> bool:
    """Whether tensorflow_datasets knows a data set of this name.

    Example:
        >>> is_tfds("cifar10"), is_tfds("emnist/letters"), is_tfds("cifar11")
        (True, True, False)
    """
    return name.partition("/")[0] in _names()


def close_names(name: str, others: Collection[str] = ()) -> list[str]:
    """Up to three names of data sets that look like this one, or begin with it.

    Example:
        >>> close_names("Fashion-MNIST")[0], close_names("svhn")
        ('fashion_mnist', ['svhn_cropped'])
    """
    names = {_plain(other): other for other in (*_names(), *others)}
    plain = _plain(name)
    close = difflib.get_close_matches(plain, names, cutoff=0.7)
    longer = [other for other in names if other.startswith(plain) and len(plain) >= _LEAST_PREFIX]
    return [names[other] for other in dict.fromkeys([*close, *sorted(longer, key=len)])][:3]


def _plain(name):
    """A name without what people write in several ways: capitals, hyphens and underscores."""
    return name.lower().replace("-", "").replace("_", "")


def _names():
    tfds = extras.require("tensorflow_datasets", extra="data")
    return tfds.list_builders(with_community_datasets=False)


def _check_features(name, features, image_size):
    """Raises ValueError unless these are images of one size."""
    if "image" not in features or isinstance(features["image"].shape, dict):
        raise ValueError(
            f"load reads images. Received: source={name!r}, whose features are {list(features)}. "
            "Read others with tensorflow_datasets, and give their arrays to fit."
        )
    if None in features["image"].shape and image_size is None:
        raise ValueError(
            f"The images of {name!r} have many sizes. Received: image_size=None. Give the one that "
            "they are resized to, such as image_size=64."
        )


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


@dataclasses.dataclass(frozen=True)
class _Target:
    """What the labels of a data set are.

    Args:
        paths: keys of the features that they are made of, each a tuple; one for classes.
        names: dict of what `Examples` are told of them.
    """

    paths: tuple[tuple[str, ...], ...] = ()
    names: dict[str, tuple] = dataclasses.field(default_factory=dict)

    def of(self, records):
        """Classes, shape (...), or factors, shape (..., number), of one record or many; int32."""
        columns = [
            tf.cast(functools.reduce(lambda part, key: part[key], path, records), tf.int32)
            for path in self.paths
        ]
        return columns[0] if "class_names" in self.names else tf.stack(columns, axis=-1)


def _target_of(features):
    """The classes, else the attributes, else the factors, else nothing."""
    if "label" in features and _is_whole(features["label"]):
        names = getattr(features["label"], "names", None)
        return _Target((("label",),), {"class_names": tuple(names or ())})
    if "attributes" in features:
        names = tuple(sorted(features["attributes"]))
        sizes = {"factor_names": names, "factor_sizes": (2,) * len(names)}
        return _Target(tuple(("attributes", name) for name in names), sizes)
    keys = [key for key in features if key.startswith("label_") and _is_class(features[key])]
    names = tuple(key.removeprefix("label_") for key in keys)
    sizes = {"factor_names": names, "factor_sizes": tuple(features[k].num_classes for k in keys)}
    return _Target(tuple((key,) for key in keys), sizes if keys else {})


def _is_whole(feature):
    """Whether it holds whole numbers, as many in each example."""
    is_int = not isinstance(feature.dtype, dict) and tf.as_dtype(feature.dtype).is_integer
    return is_int and None not in feature.shape


def _is_class(feature):
    return _is_whole(feature) and getattr(feature, "num_classes", None) is not None


def _why_no_labels(features):
    """What there is in place of labels."""
    keys = [key for key in features if "label" in key and hasattr(features[key], "shape")]
    kinds = [
        f"{key!r} varies in length" if None in features[key].shape else f"{key!r} is no class"
        for key in keys
    ]
    return f"whose labels are not delivered: {', '.join(kinds)}" if kinds else ""


def _preparation(box, size, target):
    """Function from records to uint8 images, and int32 labels if there are any."""

    def prepare(records):
        images = records["image"]
        images = resize(images if box is None else crop(images, box), size)
        return (images, target.of(records)) if target.paths else (images,)

    return prepare


def _of_one_length(records):
    """Records without what varies in length, of which there are no batches."""
    varying = {
        key
        for key, spec in records.element_spec.items()
        if key != "image" and not all(map(_has_one_shape, tf.nest.flatten(spec)))
    }
    if not varying:
        return records
    return records.map(lambda record: {k: v for k, v in record.items() if k not in varying})


def _has_one_shape(spec):
    return isinstance(spec, tf.TensorSpec) and spec.shape.is_fully_defined()


def _read(records, prepare):
    """Images, and labels or None, of all records, as arrays."""
    are_alike = records.element_spec["image"].shape.is_fully_defined()
    records = _of_one_length(records)
    chunks = records.batch(_CHUNK_SIZE) if are_alike else records
    chunks = chunks.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    chunks = chunks if are_alike else chunks.batch(_CHUNK_SIZE)
    num_examples = int(records.cardinality())
    arrays = [
        np.empty((num_examples, *spec.shape[1:]), spec.dtype.name) for spec in chunks.element_spec
    ]
    for index, chunk in enumerate(with_progress(chunks.as_numpy_iterator(), len(chunks))):
        rows = slice(index * _CHUNK_SIZE, (index + 1) * _CHUNK_SIZE)
        for array, part in zip(arrays, chunk, strict=True):
            array[rows] = part
    return arrays[0], arrays[1] if arrays[1:] else None
