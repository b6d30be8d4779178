"""Tables: CSV files, data frames and arrays, as numbers that a network takes, and back again."""

import dataclasses
import math
import numbers
import os
import sys
from collections.abc import Hashable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers, check_one_of
from tfgen._utils.typing import TensorLike
from tfgen.datasets.examples import Examples
from tfgen.datasets.load import check_delivery, check_flags, deliver
from tfgen.datasets.splits import select, unsplit

__all__ = ["Column", "TableInfo", "load_table"]

Kind: TypeAlias = Literal["number", "class", "count"]
_KINDS = ("number", "class", "count")
LARGEST_COUNT = 2**24  # Up to here float32 holds every whole number.
MANY = 50  # So many texts of which none is there twice are names, not classes.


@dataclasses.dataclass(frozen=True)
class Column:
    """How one column of a table is encoded.

    Args:
        name: str.
        kind: "number", standardized: (value - loc) / scale; "class", one-hot; "count", as it is.
        classes: tuple, the values of a class, in the order of the one-hot vector.
        loc: float, mean of a number.
        scale: float, standard deviation of a number; 1 of one that is constant.

    Example:
        >>> Column("colour", "class", ("blue", "red")).width
        2
    """

    name: str
    kind: Kind
    classes: tuple = ()
    loc: float = 0.0
    scale: float = 1.0

    @property
    def width(self) -> int:
        """How many numbers it takes."""
        return len(self.classes) if self.kind == "class" else 1

    def encode(self, values: np.ndarray) -> np.ndarray:
        """float32 array, shape (n, width); where a value is missing 0, or the first class."""
        if self.kind != "class":
            encoded = (np.asarray(values, "float64") - self.loc) / self.scale
            return np.nan_to_num(encoded)[:, None].astype("float32")
        numbers = {value: i for i, value in enumerate(self.classes)}
        rows = [numbers.get(value, 0) for value in values]
        return np.eye(self.width, dtype="float32")[rows]

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Array of n values, of whole counts, and of the likeliest class."""
        if self.kind == "class":
            return np.array(self.classes, object)[encoded.argmax(axis=1)]
        values = self.loc + self.scale * encoded[:, 0].astype("float64")
        return np.round(values) if self.kind == "count" else values


@dataclasses.dataclass(frozen=True)
class TableInfo:
    """What a model must know of a table, and the way back from its numbers.

    Args:
        name: str, "array", "frame" or the path of a file.
        split: str, the split or slice.
        columns: tuple of `Column`, without that of the label.
        num_examples: int, rows.
        label: `Column` of the label, or None.

    Example:
        >>> _, info = load_table(np.arange(12.0).reshape(6, 2), batch_size=3)
        >>> info.data_shape, [column.name for column in info.columns]
        ((2,), ['0', '1'])
    """

    name: str
    split: str
    columns: tuple[Column, ...]
    num_examples: int
    label: Column | None = None

    @property
    def data_shape(self) -> tuple[int]:
        """Shape of one row as the pipeline delivers it."""
        return (sum(column.width for column in self.columns),)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the numbers of labels stand for."""
        return () if self.label is None else tuple(map(str, self.label.classes))

    def decode(self, x: TensorLike) -> Any:
        """The rows that numbers of the pipeline, or samples of a model, stand for.

        Args:
            x: shape (n, *data_shape).

        Returns:
            `pandas.DataFrame` with n rows: numbers in their own units, counts rounded, the class of
            the greatest number.

        Raises:
            ValueError: if `x` has another shape, or is not finite.
        """
        x = as_numbers(x=x)
        if x.shape[1:] != self.data_shape:
            raise ValueError(
                f"x must be rows of {self.data_shape[0]} numbers, as the pipeline delivers them. "
                f"Received: shape {x.shape}."
            )
        if not np.isfinite(x).all():
            raise ValueError("x must be finite. Received: values that are NaN or infinite.")
        ends = np.cumsum([column.width for column in self.columns])
        blocks = np.split(x, ends[:-1], axis=1)
        values = {c.name: c.decode(block) for c, block in zip(self.columns, blocks, strict=True)}
        return extras.require("pandas", "table").DataFrame(values)


def load_table(
    source: Any,
    split: str = "train",
    batch_size: int = 128,
    *,
    kinds: Mapping[Any, Kind] | None = None,
    label: Hashable | None = None,
    mask: bool = False,
    like: TableInfo | None = None,
    seed: int = 0,
    shuffle: bool | None = None,
    drop_remainder: bool = False,
) -> tuple[tf.data.Dataset, TableInfo]:
    """The rows of a table as a `tf.data.Dataset` of batches of numbers.

    Numbers are standardized by the mean and the standard deviation of the split, classes become
    one-hot vectors, counts stay as they are. Texts, categories and truth values are classes, all
    else is a number, unless `kinds` says otherwise. The classes of a column of categories are all
    that it declares, in their order, whether a row has them or not; those of another one are its
    values, sorted. Test data are encoded as training data were: `load_table(path, "train[80%:]",
    like=info)`.

    The order, `seek` and resuming are those of `load`. The head of a decoder that fits is
    `networks.table_head(info.columns)`.

    Args:
        source: `pandas.DataFrame`, path of a CSV file with a head line, or array of numbers of
            shape (rows, columns), whose columns are named "0", "1" and so on.
        split: str, "train" or "all" for every row, "train_shuffled" for every row in a random
            order, always the same, or a slice such as "train_shuffled[:80%]".
        batch_size: int >= 1.
        kinds: dict from names of columns, as the table has them or as texts, to "number", "class"
            or "count".
        label: such a name, of a column that is delivered as the number of its class, beside x.
        mask: bool, deliver (x, mask), for `models.MissingDataVAE`: the mask is 0 where a value is
            missing, 1 elsewhere. Without it a missing value is an error.
        like: `TableInfo` of another split, whose columns, scales and classes are taken.
        seed: int >= 0, of the order.
        shuffle: bool; None shuffles splits whose name starts with "train".
        drop_remainder: bool, leave out a last batch that is smaller than the others.

    Returns:
        A tuple (dataset, info). dataset: `tf.data.Dataset` of float32 batches of shape (batch,
        *info.data_shape), with a mask of the same shape or int32 labels if there are any. info:
        `TableInfo`.

    Raises:
        ValueError: if an argument or the file is unusable, a value is missing without `mask`, a
            class is not among those of `like`, or a column is too large for float32, of values
            that are neither numbers nor texts, or, without a kind, of texts that are all different.
        FileNotFoundError: if there is no such file.
        ImportError: without pandas, unless the source is an array.

    Example:
        >>> import pandas
        >>> frame = pandas.DataFrame({"size": [1.0, 2.0, 3.0], "colour": ["red", "blue", "red"]})
        >>> data, info = load_table(frame, "all", batch_size=2)
        >>> next(iter(data)).numpy().round(2)
        array([[-1.22,  0.  ,  1.  ],
               [ 0.  ,  1.  ,  0.  ]], dtype=float32)
        >>> info.decode([[1.22, 0.9, 0.1]]).round(1).to_dict("records")
        [{'size': 3.0, 'colour': 'blue'}]
    """
    check_delivery(split, batch_size, seed, shuffle, drop_remainder)
    check_flags(mask=mask)
    name, values, declared = _read(source)
    chosen = select(unsplit(len(next(iter(values.values())))), split)
    values = {key: column[chosen] for key, column in values.items()}
    label = None if label is None else str(label)
    columns, target = _columns(values, declared, kinds, label, like)
    values = _checked_values(values, columns, target, mask)
    x = np.concatenate([c.encode(values[c.name]) for c in columns], axis=1)
    second = _second(values, columns, target, mask)
    examples = Examples(name, x, x.shape[1:], second)
    info = TableInfo(name, split, columns, len(x), target)
    fetch = examples.batches()
    dataset = deliver(
        lambda _, rows: fetch(rows) if second is not None else fetch(rows)[0],
        examples,
        split,
        batch_size,
        seed,
        shuffle,
        drop_remainder,
    )
    return dataset, info


# Reading.


def _read(source):
    """Name of a source, its columns by name, and the classes that some of them declare."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source), *_of_frame(_read_csv(source))
    if hasattr(source, "columns") and hasattr(source, "dtypes"):
        return "frame", *_of_frame(source)
    array = as_numbers(source=source)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            "source must be a data frame, the path of a CSV file, or an array of shape (rows, "
            f"columns). Received: shape {array.shape}. Images are read by datasets.load."
        )
    return "array", {str(i): column for i, column in enumerate(array.T)}, {}


def _read_csv(path):
    """The data frame in a file; an error names it."""
    pandas = extras.require("pandas", "table")
    try:
        return pandas.read_csv(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"There is no such file. Received: source={os.fspath(path)!r}. Give the path of a CSV "
            "file, or a data frame."
        ) from error
    except (IsADirectoryError, ValueError) as error:  # Those of pandas are of the latter.
        raise ValueError(
            "source must be the path of a CSV file in UTF-8, with a head line. Received: "
            f"source={os.fspath(path)!r} ({str(error).strip()}). Read others by pandas, such as "
            "pandas.read_csv(path, encoding='latin-1'), and pass the data frame; images are read "
            "by datasets.load."
        ) from error


def _of_frame(frame):
    """Columns by name, and the classes of those that hold categories."""
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names) or not len(frame) or not names:
        raise ValueError(
            "source must have at least one row, and columns of different names. Received: "
            f"{len(frame)} rows and columns {names}."
        )
    columns = dict(zip(names, (frame[key] for key in frame.columns), strict=True))
    of_categories = [name for name in names if _has_categories(columns[name])]
    declared = {name: columns[name].dtype.categories.to_numpy(object) for name in of_categories}
    return {name: _values_of(column) for name, column in columns.items()}, declared


def _has_categories(column):
    return hasattr(column.dtype, "categories") and hasattr(column.dtype, "ordered")


def _values_of(column):
    """The values of a column; NaN in the place of `pandas.NA` among numbers."""
    dtype = column.dtype
    if _has_categories(column):  # As objects, which are no numbers.
        return column.astype(object).to_numpy()
    if not isinstance(dtype, np.dtype) and getattr(dtype, "kind", "O") in "iuf":
        return column.to_numpy("float64", na_value=np.nan)
    return column.to_numpy()


def _is_missing(values):
    """Which values are NaN, None or `pandas.NA`, of which neither equals itself."""
    if values.dtype.kind in "biu":
        return np.zeros(len(values), bool)
    if values.dtype.kind == "f":
        return np.isnan(values)
    return np.array([not _equals_itself(value) for value in values])


def _equals_itself(value):
    same = value == value
    return value is not None and isinstance(same, bool | np.bool_) and bool(same)


# Columns.


def _columns(values, declared, kinds, label, like):
    """Columns of x, and that of the label or None."""
    if like is not None:
        return _columns_like(values, kinds, label, like)
    kinds = _checked_kinds(values, kinds, label)
    columns = {
        name: _column(name, values[name], kinds.get(name), declared.get(name)) for name in values
    }
    target = columns.pop(label, None)
    if not columns:
        raise ValueError(
            f"There must be a column beside that of the label. Received: columns {list(values)} "
            f"and label={label!r}."
        )
    return tuple(columns.values()), target


def _columns_like(values, kinds, label, like):
    if not isinstance(like, TableInfo) or kinds is not None:
        raise ValueError(
            "like is the info of another split, which says what kinds the columns are. Received: "
            f"like={type(like).__name__} and kinds={kinds!r}. Give one of them."
        )
    of_label = None if like.label is None else like.label.name
    expected = [c.name for c in like.columns]
    if label != of_label or any(name not in values for name in expected):
        raise ValueError(
            f"The table must have the columns {expected} of like, and its label={of_label!r}. "
            f"Received: columns {list(values)} and label={label!r}."
        )
    return like.columns, like.label


def _checked_kinds(values, kinds, label):
    if not isinstance(kinds, Mapping | None):
        raise ValueError(
            f"kinds is a dict from names of columns to kinds. Received: kinds={kinds!r}. Write it "
            f"as kinds={{{next(iter(values))!r}: 'count'}}."
        )
    kinds = {str(name): kind for name, kind in (kinds or {}).items()}
    unknown = [name for name in [*kinds, *([] if label is None else [label])] if name not in values]
    if unknown:
        raise ValueError(
            f"kinds and label name columns. Received: {unknown}, of a table with the columns "
            f"{list(values)}."
        )
    for name, kind in kinds.items():
        check_one_of(_KINDS, **{f"kinds[{name!r}]": kind})
    if kinds.get(label, "class") != "class":
        raise ValueError(f"A label is a class. Received: label={label!r} of kind {kinds[label]!r}.")
    return kinds | ({} if label is None else {label: "class"})


def _column(name, values, kind, declared):
    """The encoding of one column, of a kind or as its values are."""
    present = values[~_is_missing(values)]
    if not len(present):
        raise ValueError(f"Column {name!r} has no values. Leave it out.")
    if kind is None and values.dtype.kind not in "iuf":
        if declared is None:
            _check_repeats(name, present)
        kind = "class"
    kind = kind or "number"
    if kind == "class":
        return Column(name, kind, _classes(name, present, declared))
    if kind == "count":
        return Column(name, kind)
    present = _numbers(name, present, kind).astype("float64")
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(present.mean()), float(present.std())
    if np.isfinite(present).all() and not np.isfinite([mean, scale]).all():
        raise ValueError(
            f"Column {name!r} has too large numbers to be scaled. Received: values up to "
            f"{np.abs(present).max():g}. Take their logarithms."
        )
    return Column(name, kind, (), mean, scale or 1.0)


def _numbers(name, values, kind):
    """The values of a column of numbers, float64 with NaN where objects are missing."""
    if values.dtype.kind in "biuf":
        return values
    missing = _is_missing(values)
    wrong = [value for value in values[~missing] if not _fits_float(value)]
    if wrong or values.dtype != object:
        raise ValueError(
            f"Column {name!r} holds {values.dtype}, such as {(wrong or values)[0]!r}. Received: "
            f"kind={kind!r}. Convert it to numbers, or call it a 'class'."
        )
    return np.where(missing, np.nan, values).astype("float64")


def _fits_float(value):
    """Whether it is a number, which spans of time are to NumPy, and float64 holds it."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, np.timedelta64)
    return is_number and (abs(value) <= sys.float_info.max or abs(value) == math.inf)


def _classes(name, present, declared=None):
    """The classes of a column, in order: those that it declares, else its values."""
    values = (present if declared is None else declared).tolist()
    found = set(map(type, values))
    if not found <= {bool, int, float, str}:
        raise ValueError(
            f"Classes are texts, whole numbers or truth values. Received: column {name!r} with "
            f"values of type {sorted(kind.__name__ for kind in found)}. Convert them, or leave "
            "the column out."
        )
    return tuple(sorted(set(values), key=_order) if declared is None else values)


def _check_repeats(name, present):
    """Raises ValueError for texts that are no classes, since none of many is there twice."""
    texts = present.tolist()
    if all(isinstance(text, str) for text in texts) and len(set(texts)) == len(texts) >= MANY:
        raise ValueError(
            f"Column {name!r} has another text in each of {len(texts)} rows, such as {texts[0]!r}. "
            "Received: no kind for it. Leave the column out, or name it in kinds as a 'class'."
        )


def _order(value):
    """Numbers by size, before texts."""
    return (isinstance(value, str), value)


def _checked_values(values, columns, target, mask):
    """Values by name, of numbers as such; ValueError for those that a column cannot encode."""
    checked = {}
    for column in [*columns, *([] if target is None else [target])]:
        found = values[column.name]
        missing = _is_missing(found)
        if missing.any() and (not mask or column is target):
            raise ValueError(
                f"Values are missing in {missing.sum()} rows of column {column.name!r}. Received: "
                f"mask={mask}. Leave these rows out, or pass mask=True and train a "
                "models.MissingDataVAE; a label cannot be missing."
            )
        if column.kind == "class":
            _check_classes(column, found[~missing])
        else:
            found = _numbers(column.name, found, column.kind)
            _check_numbers(column, found[~missing])
        checked[column.name] = found
    return checked


def _check_classes(column, present):
    unknown = set(_classes(column.name, present)) - set(column.classes)
    if unknown:
        raise ValueError(
            f"Column {column.name!r} has classes {column.classes}. Received: "
            f"{sorted(unknown, key=_order)[:3]}. Load the training data with all of them."
        )


def _check_numbers(column, present):
    """Raises ValueError for infinite and too large values, and counts that are none."""
    if not np.isfinite(present.astype("float64")).all():
        raise ValueError(f"Column {column.name!r} must be finite. Received: infinite values.")
    if column.kind == "count" and ((present < 0) | (present % 1 != 0)).any():
        raise ValueError(
            f"Column {column.name!r} is of counts 0, 1, ... Received: values from "
            f"{present.min():g} to {present.max():g}. Call it a 'number'."
        )
    if column.kind == "count" and present.max(initial=0) > LARGEST_COUNT:
        raise ValueError(
            f"Column {column.name!r} has counts that float32 does not hold exactly. Received: "
            f"{present.max():g}, more than {LARGEST_COUNT}. Call it a 'number'."
        )
    with np.errstate(over="ignore"):
        encoded = column.encode(present)
    if not np.isfinite(encoded).all():
        raise ValueError(
            f"Column {column.name!r} is too large for float32 when it is scaled by its mean "
            f"{column.loc:g} and standard deviation {column.scale:g}. Received: values from "
            f"{present.min():g} to {present.max():g}. Leave these rows out, or take the logarithms "
            "of this column in all tables."
        )


def _second(values, columns, target, mask):
    """What is delivered beside x: labels, a mask, or nothing."""
    if mask and target is not None:
        raise ValueError(
            f"Only one of labels and a mask is delivered. Received: label={target.name!r} and "
            "mask=True. Leave one out."
        )
    if target is not None:
        return target.encode(values[target.name]).argmax(axis=1).astype("int32")
    if not mask:
        return None
    observed = [np.repeat(~_is_missing(values[c.name])[:, None], c.width, axis=1) for c in columns]
    return np.concatenate(observed, axis=1).astype("float32")
