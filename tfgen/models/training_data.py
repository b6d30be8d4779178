"""What `fit` and `evaluate` do with data before the first batch: checks, and pipelines."""

import itertools
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils.pipeline import last_batch, resumable_dataset, row_reader

__all__ = [
    "Conditioned",
    "InputsAndTargets",
    "as_dataset",
    "as_given",
    "check",
    "check_batch_size_belongs",
    "check_explained",
    "check_goes_with",
    "examples_of",
    "first_pair",
    "inputs_of",
    "is_array",
    "num_batches",
    "parted",
    "prepared_for_validation",
    "refuse_weights",
    "split",
    "targets",
    "targets_of",
    "targets_of_batch",
    "unpack",
    "with_condition",
]

# Keras' own, for arrays.
BATCH_SIZE = 32
# Bytes of an array that are checked at a time.
CHUNK = 2**26
_DATA_SETS = (tf.data.Dataset, tf.distribute.DistributedDataset, keras.utils.PyDataset)
# Methods that make arrays of a sparse, ragged or masked one.
_TO_ARRAYS = ("toarray", "to_tensor", "filled")
# What data sets may give instead of one tensor.
_STRUCTURES = (Mapping, tuple, list, tf.SparseTensor, tf.RaggedTensor)


class InputsAndTargets(NamedTuple):
    """A batch of which a model sees one part and explains the other, both of the data's shape."""

    inputs: Any
    targets: Any


class Conditioned(NamedTuple):
    """A batch of examples, each with a condition."""

    x: Any
    condition: Any


def parted(x: Any) -> tuple[Any, Any]:
    """A batch without its conditions, and these, or None."""
    return tuple(x) if isinstance(x, Conditioned) else (x, None)


def with_condition(x: Any, condition: Any) -> Any:
    """A batch with its conditions, if there are any."""
    return x if condition is None else Conditioned(x, condition)


def inputs_of(x: Any) -> Any:
    """What a model sees of a batch."""
    return x.inputs if isinstance(x, InputsAndTargets) else x


def targets_of(x: Any) -> Any:
    """What a model explains of a batch."""
    return x.targets if isinstance(x, InputsAndTargets) else x


def refuse_weights(sample_weight: Any = None, class_weight: Any = None) -> None:
    """Raises ValueError if examples or classes are given weights."""
    given = {"sample_weight": sample_weight, "class_weight": class_weight}
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ValueError(
            "The models' losses are averages over examples and take no sample_weight or "
            f"class_weight. Received: {names[0]}. Resample the data instead, for example with "
            "tf.data.Dataset.sample_from_datasets."
        )


def unpack(data: Any) -> Any:
    """The examples of a batch, without labels or targets."""
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    refuse_weights(sample_weight)
    return x


def examples_of(data: Any, shape: tuple[int, ...]) -> Any:
    """As `unpack`, with the shape of an example also where a pipeline does not say it."""
    x = unpack(data)
    is_known = tf.TensorShape(x.shape)[1:].is_fully_defined()
    return x if is_known else tf.ensure_shape(x, (None, *shape))


# Kinds of data.


def as_given(x: Any, name: str = "x") -> Any:
    """Data of any kind that `fit` takes; lists and data frames as arrays.

    Raises:
        ValueError: if they are of another kind, or hold something else than numbers, or masks.
    """
    if x is None:
        raise ValueError(
            f"Expected training data. Received: {name}=None. Pass an array or a data set."
        )
    if isinstance(x, (*_DATA_SETS, types.GeneratorType)) or _is_iterable_of_batches(x):
        return x
    array = x if _has_rows(x) else _as_array(x, name)
    if not _are_numbers(_numpy_dtype(array)) or not len(array.shape) or np.ma.is_masked(array):
        raise ValueError(
            f"Expected numbers, with one row for each example. Received: {name} of dtype "
            f"{array.dtype} and shape {tuple(array.shape)}, of type {type(x).__name__}. Give one "
            f"array or data set, for example {_conversion(x, name)}."
        )
    return array


def _are_numbers(dtype):
    """Whether TensorFlow makes tensors of them: not of float128."""
    kind = np.dtype(dtype).kind
    return kind in "biu" or (kind == "f" and np.dtype(dtype).itemsize <= 8)


def _conversion(x, name):
    """What makes an array of something else."""
    if isinstance(x, tf.SparseTensor):
        return f"tf.sparse.to_dense({name})"
    methods = [f"{name}.{method}()" for method in _TO_ARRAYS if hasattr(x, method)]
    return methods[0] if methods else f"np.asarray({name}, 'float32')"


def _is_iterable_of_batches(x):
    """Whether it is what Keras makes batches of: a loader of PyTorch, for example."""
    return type(x).__module__.startswith("torch.utils.data")


def _has_rows(x):
    """Whether it is an array, in memory or on disk; not a data frame or a sparse matrix."""
    return all(hasattr(x, name) for name in ("shape", "dtype", "__getitem__", "__len__")) and not (
        hasattr(x, "to_numpy") or hasattr(x, "toarray") or type(x).__module__ == "torch"
    )


def _as_array(x, name):
    try:
        # Rows together in memory, so that sums are rounded as those of an array.
        return np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x, order="C")
    except (TypeError, ValueError):
        raise ValueError(
            f"Expected an array, or a list of examples of one shape. Received: {name} of type "
            f"{type(x).__name__}, of which NumPy makes no array. Stack the examples, and give "
            "labels or targets apart, as fit(x, y)."
        ) from None


def is_array(x: Any) -> bool:
    """Whether data are rows that can be taken in any order."""
    return not isinstance(x, _DATA_SETS) and _has_rows(x)


def check_batch_size_belongs(x: Any, batch_size: int | None, name: str = "batch_size") -> None:
    """Raises ValueError if data that come in batches are given a number of examples in one."""
    if batch_size is not None and not is_array(x):
        raise ValueError(
            f"Only arrays are cut into batches. Received: {name}={batch_size} with data of type "
            f"{type(x).__name__}, which have batches of their own. Leave it out, or set it where "
            "the data are made."
        )


def one_batch(x: Any) -> Any:
    """The examples of `train_on_batch` and `test_on_batch`.

    Raises:
        ValueError: if they are not one batch.
    """
    x = as_given(x)
    if not is_array(x):
        raise ValueError(
            f"Expected one batch, an array. Received: x of type {type(x).__name__}. Use fit or "
            "evaluate for several batches."
        )
    return x


def inputs_of_predict(x: Any) -> Any:
    """What `predict` was given, an array, a pair of arrays, or batches, as Keras takes it."""
    is_pair = isinstance(x, list | tuple) and x and all(hasattr(part, "shape") for part in x)
    return type(x)(map(as_given, x)) if is_pair else as_given(x)


def _peeked(x: Any) -> tuple[tuple[Any, Any], Any]:
    """The `first_pair` of batches, also of a generator, and the data that still have it."""
    if not isinstance(x, types.GeneratorType):
        return (None, None) if is_array(x) else first_pair(x), x
    first = next(x, None)
    rest = (_as_tuple(batch) for batch in itertools.chain([first] * (first is not None), x))
    return _pair(first), rest


def _as_tuple(batch):
    """(x,) of x, and of (x, None), of which Keras 3.8 makes no tensors."""
    batch = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    return batch[:1] if all(part is None for part in batch[1:]) else batch


def _examples(batch):
    """The examples of a data set's batch, a NumPy array of numbers."""
    x = unpack(batch)
    array = np.asarray(None if isinstance(x, _STRUCTURES) else x)
    if not _are_numbers(array.dtype) and array.dtype.name != "bfloat16":
        raise ValueError(
            "Expected batches of one array of numbers, or pairs (x, y) of arrays. Received: a "
            f"batch whose x is of type {type(x).__name__} and dtype {array.dtype}. Let the data "
            "give one array or dense tensor, for example with Dataset.map."
        )
    return array


def first_pair(x: Any, y: Any = None) -> tuple[np.ndarray | None, Any]:
    """A NumPy batch to look at (all of an array) and its y; None where that would consume it."""
    if isinstance(x, tf.data.Dataset):
        batch = next(iter(x), None)
    elif isinstance(x, keras.utils.PyDataset):
        batch = x[0] if len(x) else None
    else:
        return (np.asarray(x) if is_array(x) else None), y
    return _pair(batch)


def _pair(batch):
    """Examples and y of a batch; no examples of None."""
    if batch is None:
        return np.empty((0,)), None
    return _examples(batch), keras.utils.unpack_x_y_sample_weight(batch)[1]


# Checks.


def _smallest_batch(x, batch_size):
    """Examples in the smallest batch, where that is known without looking at them all."""
    if is_array(x):
        return last_batch(len(x), batch_size or BATCH_SIZE)
    return getattr(x, "smallest_batch", None)


def _chunks(x) -> Iterator[np.ndarray]:
    """An array in parts."""
    size = max(1, int(np.prod(x.shape[1:])) * np.dtype(_numpy_dtype(x)).itemsize)
    rows = max(1, CHUNK // size)
    return (np.asarray(x[i : i + rows]) for i in range(0, max(len(x), 1), rows))


def _numpy_dtype(x):
    return getattr(x.dtype, "as_numpy_dtype", x.dtype)


def check(x: Any, model: keras.Model, batch_size: int | None = None) -> Any:
    """Raises ValueError if training data are empty, misshapen, not finite, or not for this model.

    Arrays are checked whole, in parts, pipelines by their first batch.

    Returns:
        The data, of which a generator is another one, since its first batch was taken.
    """
    if is_array(x):
        _check_shape(x.shape, model)
    (first, y), x = _peeked(x)
    _check_values(_chunks(x) if is_array(x) else [] if first is None else [first], model)
    if _are_targets(y, model):
        _check_values([np.asarray(y)], model)
        _warn_of_mask(first, np.asarray(y), model)
    smallest = _smallest_batch(x, batch_size)
    if smallest is not None:
        model.check_batch_size(smallest)
    return x


def _check_shape(shape, model):
    if not all(shape):
        raise ValueError("Expected data with examples. Received: an empty data set.")
    if tuple(shape[1:]) != model.data_shape:
        raise ValueError(
            f"{type(model).__name__} was built for data of shape (batch, "
            f"{', '.join(map(str, model.data_shape))}). Received: x of shape {tuple(shape)}. Build "
            "the networks for this shape, or reshape or resize the data."
        )


def _check_values(chunks, model):
    num_bad = size = 0
    for chunk in chunks:
        _check_shape(chunk.shape, model)
        bad = int(np.count_nonzero(~_is_finite(chunk)))
        num_bad, size = num_bad + bad, size + chunk.size
        if not num_bad:
            model.check_batch(chunk)
    if num_bad:
        raise ValueError(
            f"Expected finite data. Received: {num_bad} values that are NaN or infinite, "
            f"of {size}. Clean the data first."
        )


def _is_finite(x):
    """Whether numbers are finite in float32, in which models compute."""
    return np.abs(x) <= np.finfo("float32").max if x.dtype == "float64" else np.isfinite(x)


def check_explained(x: Any, model: keras.Model) -> None:
    """Raises ValueError unless what a model explains of a batch is finite and in its support."""
    _check_values([np.asarray(targets_of(x))], model)


# Targets and labels.


def check_goes_with(x: Any, y: Any) -> None:
    """Raises ValueError unless `x` and `y` are arrays."""
    if not is_array(x) or isinstance(y, (*_DATA_SETS, types.GeneratorType)):
        raise ValueError(
            "y goes with arrays, and is one. Received: y of type "
            f"{type(y).__name__} beside data of type {type(x).__name__}. Let one data set give "
            "pairs (x, y)."
        )


def targets(x: Any, y: Any, model: keras.Model) -> Any:
    """What the model explains instead of `x`: `y` if it has the data's shape; None of labels.

    Raises:
        ValueError: if `y` belongs to another number of examples, or is neither.
    """
    if y is None:
        return None
    check_goes_with(x, y)
    if _is_one(y) and _are_numbers(np.asarray(y).dtype):
        return _target(y, np.shape(y), np.asarray(y).dtype, model)
    y = as_given(y, "y")
    if len(y) != len(x):
        raise ValueError(
            f"Each example has one y. Received: {len(x)} examples and a y of {len(y)}. Give as "
            "many of both."
        )
    y = _target(y, tuple(y.shape), _numpy_dtype(y), model)
    if y is not None:
        _check_values(_chunks(y), model)
        _warn_of_mask(next(_chunks(x)), next(_chunks(y)), model)
    return y


def _are_targets(y, model):
    """Whether the y of a batch is what the model explains; a condition is not."""
    is_condition = getattr(model, "conditions", None) is not None
    if y is None or is_condition or isinstance(y, _STRUCTURES):
        return False
    return _is_of_targets(tuple(y.shape), model) and _are_numbers(_numpy_dtype(y))


def _is_of_targets(shape, model):
    return model.takes_targets and len(shape) > 1 and shape[1:] == model.data_shape


def _warn_of_mask(x, y, model):
    """Warns if targets look like a mask of what is observed."""
    is_in_range = 0 <= x.min() and x.max() <= 1
    if not is_in_range and y.min() == 0 and y.max() == 1 and np.all((y == 0) | (y == 1)):
        warnings.warn(
            f"{type(model).__name__} explains y in the place of x. Received: y of zeros and ones "
            f"beside data from {x.min():g} to {x.max():g}. Should y be a mask of what is observed, "
            "use MissingDataVAE or MIWAE, whose encoders are given it.",
            stacklevel=4,
        )


def targets_of_batch(y: Any, model: keras.Model) -> Any:
    """As `targets`, for the y of a batch, a tensor."""
    if y is None:
        return None
    if isinstance(y, _STRUCTURES):
        raise ValueError(
            "A batch has one y, an array or dense tensor. Received: y of type "
            f"{type(y).__name__}. Let the data give pairs (x, y) or x alone, for example with "
            "Dataset.map."
        )
    shape = tf.TensorShape(y.shape)
    if shape.rank is None:
        raise ValueError(
            f"Expected data of known rank. Received: y of unknown rank for {type(model).__name__}. "
            "Use Dataset.map(lambda x, y: (x, tf.ensure_shape(y, shape)))."
        )
    return _target(y, tuple(shape), _numpy_dtype(y), model)


def _target(y, shape, dtype, model):
    if _is_of_targets(shape, model):
        return y
    one_each = len(shape) < 2 or shape[1:] == (1,)
    of_images = len(shape) == 2 <= len(model.data_shape)  # Several labels or factors of each.
    if np.dtype(dtype).kind in "biu" and (one_each or of_images):
        warnings.warn(
            f"{type(model).__name__} takes no labels: y of shape {shape} is ignored.", stacklevel=4
        )
        return None
    taken = f"targets of shape (batch, {', '.join(map(str, model.data_shape))}) instead of the "
    raise ValueError(
        f"{type(model).__name__} takes "
        + (taken + "data" if model.takes_targets else "no targets")
        + f", and ignores labels that are ints. Received: y of dtype {np.dtype(dtype)} and shape "
        f"{shape}. Leave y out, or give the networks num_classes for labels."
    )


# Pipelines.


def prepared_for_validation(
    data: Any,
    model: keras.Model,
    batch_size: int | None,
    given_batch_size: int | None = None,
    num_batches: int | None = None,
) -> Any:
    """Validation data, which may come with labels, checked and as the model takes them.

    Args:
        data: what `fit` was given.
        model: the model.
        batch_size: int or None, for arrays.
        given_batch_size: int, if it was meant for validation, or None.
        num_batches: int or None, batches that are kept of a generator, and begin anew each epoch.
    """
    if data is None:
        return None
    if isinstance(data, tuple | list) and not 1 <= len(data) <= 3:
        raise ValueError(
            "validation_data are x, or a pair (x, y). Received: a "
            f"{type(data).__name__} of {len(data)} parts. Stack examples by np.stack."
        )
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    refuse_weights(sample_weight)
    x = as_given(x, "validation_data")
    check_batch_size_belongs(x, given_batch_size, "validation_batch_size")
    x = check(x, model, batch_size)
    prepared = keras.utils.pack_x_y_sample_weight(*model.prepare(x, y, training=False))
    if num_batches and isinstance(prepared, types.GeneratorType):
        return _Kept(list(itertools.islice(prepared, num_batches)))
    return prepared


class _Kept(keras.utils.PyDataset):
    """Batches in memory."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def _is_one(y):
    """Whether it is a scalar; of lists NumPy would first make an array, if it can."""
    return np.isscalar(y) or getattr(y, "ndim", None) == 0


def split(x: Any, y: Any, fraction: float) -> tuple[Any, Any, tuple[Any, Any]]:
    """Arrays without their last `fraction`, and a pair of only that, as Keras splits them."""
    cut = int(len(x) * (1 - fraction)) if is_array(x) and 0 < fraction < 1 else 0
    if not 0 < cut:
        raise ValueError(
            "validation_split needs an array, must be in (0, 1) and must leave some of it for "
            f"training. Received: x of type {type(x).__name__}, validation_split={fraction}. Pass "
            "validation_data instead."
        )
    one_for_all = y is None or _is_one(y)
    y = y if one_for_all else as_given(y, "y")
    first, last = (y, y) if one_for_all else (y[:cut], y[cut:])
    return x[:cut], first, (x[cut:], last)


def as_dataset(x: Any, batch_size: int | None, shuffle: bool, seed: int | None) -> Any:
    """An array, or a tuple of them, as a pipeline that can resume; anything else unchanged.

    The data stay where they are: in the memory of the host, or on disk.
    """
    parts = tf.nest.flatten(x)
    if not all(map(is_array, parts)):
        return x
    takes = [row_reader(part) for part in parts]
    return resumable_dataset(
        lambda _, rows: tf.nest.pack_sequence_as(x, [take(rows) for take in takes]),
        len(parts[0]),
        batch_size or BATCH_SIZE,
        seed=seed or 0,
        shuffle=shuffle,
    )


def num_batches(dataset: Any) -> int | None:
    """Batches of a data set that knows them."""
    known = isinstance(dataset, tf.data.Dataset) and int(dataset.cardinality()) > 0
    return int(dataset.cardinality()) if known else None
