"""Scores of samples of tables: as training data, by their correlations, and as copies."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from tfgen._utils import extras
from tfgen._utils.arguments import as_numbers
from tfgen._utils.typing import TensorLike
from tfgen.metrics._samples import flat_sets

__all__ = [
    "ClosestRecords",
    "TrainingAccuracy",
    "closest_records",
    "correlation_matrix",
    "train_on_samples",
]


# Samples as training data.


class TrainingAccuracy(NamedTuple):
    """Accuracy on real test rows, of a classifier trained on samples and of one on real rows."""

    generated: float
    real: float


def _as_labels(num_rows, **values):
    """The one value as an array of ints or texts, one for each row."""
    ((name, value),) = values.items()
    labels = np.array(value, dtype=object) if isinstance(value, list) else np.asarray(value)
    kinds = {type(label) for label in labels.ravel().tolist()}
    if labels.shape != (num_rows,) or not (kinds <= {int, bool} or kinds == {str}):
        raise ValueError(
            f"{name} must be one int or one text for each of {num_rows} rows. Received: {name} of "
            f"shape {labels.shape} with values of {sorted(kind.__name__ for kind in kinds)}."
        )
    return np.array(labels.tolist())


def _check_classes(generated, real, test):
    """Raises ValueError unless every class of real rows has samples, and tests have no other."""
    for name, labels, others in (
        ("generated_labels must have every class of real_labels", real, generated),
        ("real_labels must have every class of test_labels", test, real),
    ):
        missing = sorted(set(labels.tolist()) - set(others.tolist()), key=str)
        if missing:
            raise ValueError(f"{name}. Received: none of {missing[:3]}. Draw more rows.")


def train_on_samples(
    generated: TensorLike,
    generated_labels: TensorLike,
    real: TensorLike,
    real_labels: TensorLike,
    test: TensorLike,
    test_labels: TensorLike,
    classifier: Any = None,
) -> TrainingAccuracy:
    """Accuracy on real test rows of a classifier trained on samples, and of one trained on data.

    Samples that are as good as data for this classifier make the two equal. It says nothing of
    copies: a model that returns its training rows is perfect here. See `closest_records`.

    Source: "train on synthetic, test on real" of Esteban, Hyland & Raetsch, arXiv:1706.02633
    (text not checked).

    Args:
        generated: array or tensor, samples, shape (n, d), such as those of a model that was trained
            with labels; rows of more axes, such as series, are flattened, here and below.
        generated_labels: array of n labels, the classes that were asked for.
        real: array or tensor, the rows that the model was trained on, shape (m, d).
        real_labels: array of m labels.
        test: array or tensor, other real rows, shape (k, d).
        test_labels: array of k labels.
        classifier: a classifier of scikit-learn, which is copied and fitted twice; None for
            `RandomForestClassifier(random_state=0)`.

    Returns:
        `TrainingAccuracy` of floats in [0, 1].

    Raises:
        ValueError: if rows are not finite or of different shapes, labels are not one int or
            text for each row, a class of `real_labels` has no samples or one of `test_labels` no
            real rows, or `classifier` is none.

    Example:
        >>> from sklearn.datasets import load_wine
        >>> x, y = load_wine(return_X_y=True)
        >>> half = np.arange(len(x)) % 2 == 0
        >>> real = x[half], y[half]
        >>> accuracy = train_on_samples(*real, *real, x[~half], y[~half])  # Copies are as good.
        >>> accuracy.generated == accuracy.real
        True
    """
    generated, real, test = flat_sets(generated=generated, real=real, test=test)
    generated_labels = _as_labels(len(generated), generated_labels=generated_labels)
    real_labels = _as_labels(len(real), real_labels=real_labels)
    test_labels = _as_labels(len(test), test_labels=test_labels)
    _check_classes(generated_labels, real_labels, test_labels)
    estimator = _estimator(classifier)
    clone = extras.require("sklearn.base", extra="metrics").clone
    pairs = ((generated, generated_labels), (real, real_labels))
    fitted = [clone(estimator).fit(*pair) for pair in pairs]
    return TrainingAccuracy(*(float(np.mean(f.predict(test) == test_labels)) for f in fitted))


def _estimator(classifier):
    """The classifier, or the forest that takes its place."""
    if classifier is None:
        ensemble = extras.require("sklearn.ensemble", extra="metrics")
        return ensemble.RandomForestClassifier(random_state=0)
    methods = ("fit", "predict", "get_params")
    is_estimator = all(hasattr(classifier, name) for name in methods)
    if isinstance(classifier, type) or not is_estimator or not _is_classifier(classifier):
        raise ValueError(
            "classifier must be a classifier of scikit-learn, with fit, predict and get_params. "
            f"Received: classifier={classifier!r}. Pass an object, such as LogisticRegression(), "
            "and no regressor."
        )
    return classifier


def _is_classifier(estimator):
    """As scikit-learn says, which looks for tags from 1.6 on and raises where there are none."""
    try:
        return extras.require("sklearn.base", extra="metrics").is_classifier(estimator)
    except (AttributeError, TypeError):
        return getattr(estimator, "_estimator_type", None) == "classifier"


# Correlations.


def correlation_matrix(rows: Any, classes: Sequence[Any] | None = None) -> np.ndarray:
    """How strongly each pair of columns of a table depends on each other.

    Of two columns of numbers Pearson's correlation, in [-1, 1]; of two columns of classes Cramer's
    V, sqrt(chi^2 / (n (min(r, c) - 1))) of their r x c table of counts, in [0, 1]; of one of each
    the correlation ratio, sqrt(variance of the means of the classes / variance), in [0, 1]. Compare
    the matrix of samples with that of as many real rows: V and the ratio are biased upwards for few
    rows.

    Args:
        rows: data frame, with columns of different names, or array of shape (n, d); n >= 2, without
            missing values.
        classes: names of the columns of a data frame, or numbers of the columns of an array, that
            hold classes; None for those that hold neither numbers nor dates, which are numbers too.
            Truth values and the categories of a data frame are classes, whatever their values.

    Returns:
        float64 array, shape (d, d), symmetric, with 1 on the diagonal; NaN in rows and columns
        of a single value, or of classes that are all different, of which there is no correlation.

    Raises:
        ValueError: if there are fewer than 2 rows, values are missing or infinite, a column of
            numbers holds something else, two have one name, or one of `classes` is no column.

    Example:
        >>> rows = [[0.0, 1.0, 0], [1.0, 0.0, 0], [2.0, -1.0, 1], [3.0, -2.0, 1]]
        >>> correlation_matrix(rows, classes=[2]).round(2)
        array([[ 1.  , -1.  ,  0.89],
               [-1.  ,  1.  ,  0.89],
               [ 0.89,  0.89,  1.  ]])
    """
    names, columns = _columns(rows)
    if classes is None:
        classes = [n for n, column in zip(names, columns, strict=True) if not _is_number(column)]
    _check_names(classes, names)
    is_class = [name in classes for name in names]
    encoded = [_encoded(*triple) for triple in zip(names, columns, is_class, strict=True)]
    matrix = np.eye(len(names))
    for i, j in zip(*np.triu_indices(len(names)), strict=True):
        matrix[i, j] = matrix[j, i] = _correlation(encoded[i], encoded[j], is_class[i], is_class[j])
    return matrix


def _columns(rows):
    """Names and columns of a data frame, or numbers and columns of an array."""
    if hasattr(rows, "columns") and hasattr(rows, "dtypes"):
        names = list(rows.columns)
        _check_different(names)
        columns = [_values_of(rows[key]) for key in names]
    else:
        array = np.atleast_2d(as_numbers(rows=rows))
        names, columns = list(range(array.shape[1])), list(array.T)
    if np.ndim(rows) != 2 or not names or len(columns[0]) < 2:
        raise ValueError(
            "rows must be a data frame or an array of shape (n, d), n >= 2 and d >= 1. Received: "
            f"shape {np.shape(rows)}."
        )
    return names, columns


def _check_different(names):
    """Raises ValueError if two columns have one name."""
    if len(set(names)) < len(names):
        raise ValueError(
            f"rows must have columns of different names. Received: columns {names}. Rename them, "
            "or give an array of numbers."
        )


def _values_of(column):
    """A column of a data frame as an array: categories as objects, dates as seconds."""
    dtype = column.dtype
    if getattr(dtype, "name", "") == "category":
        return column.astype(object).to_numpy()
    if getattr(dtype, "kind", "") not in ("m", "M"):
        return column.to_numpy()
    times = column.to_numpy(f"{'datetime' if dtype.kind == 'M' else 'timedelta'}64[us]")
    return np.where(np.isnat(times), np.nan, times.astype("int64") / 1e6)


def _check_names(classes, names):
    """Raises ValueError unless `classes` are some of the names of columns."""
    is_sequence = isinstance(classes, Sequence | np.ndarray) and not isinstance(classes, str)
    if not is_sequence or any(name not in names for name in classes):
        raise ValueError(
            f"classes must be a sequence of columns, some of {names}. Received: {classes!r}."
        )


def _is_number(column):
    return column.dtype.kind in "iuf"


def _encoded(name, column, is_class):
    """A column of numbers as floats, one of classes as their numbers."""
    if is_class:
        missing = sum(value is None or value != value for value in column.tolist())
        values = np.unique(column.astype(str), return_inverse=True)[1]
    else:
        values = as_numbers(**{f"column {name!r} of rows": column}).astype("float64")
        missing = int(np.sum(~np.isfinite(values)))
    if missing:
        raise ValueError(
            f"Column {name!r} of rows must have no missing or infinite values. Received: {missing} "
            f"of {len(column)}. Leave these rows out, or impute them."
        )
    return values


def _correlation(x, y, x_is_class, y_is_class):
    """Of two columns; NaN where one has a single value, or classes of one row each."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    if (x_is_class and np.ptp(x) == len(x) - 1) or (y_is_class and np.ptp(y) == len(y) - 1):
        return np.nan
    if x_is_class and y_is_class:
        table = scipy.stats.contingency.crosstab(x, y).count
        return scipy.stats.contingency.association(table, method="cramer")
    if x_is_class or y_is_class:
        return _correlation_ratio(*((x, y) if x_is_class else (y, x)))
    return np.corrcoef(x, y)[0, 1]


def _correlation_ratio(classes, values):
    """sqrt(variance between classes / variance)."""
    counts = np.bincount(classes)
    centred = values - values.mean()
    sums = np.bincount(classes, centred)
    return np.sqrt(np.sum(sums**2 / counts) / np.sum(centred**2))


# Copies of training rows.


class ClosestRecords(NamedTuple):
    """Distances to the closest training rows, and what they say of copying.

    Attributes:
        generated: float64 array, shape (m,), distance of each sample to the closest training row.
        held_out: float64 array, shape (h,), the same of real rows that were held out.
        share: float in [0, 1], samples that lie nearer to a training row than to any held-out row;
            ties count half.
        expected: float, n / (n + h), what `share` is on average without copying: the closest of
            n + h real rows is any of them.
    """

    generated: np.ndarray
    held_out: np.ndarray
    share: float
    expected: float


def closest_records(
    generated: TensorLike, train: TensorLike, held_out: TensorLike
) -> ClosestRecords:
    """Whether samples lie nearer to the rows a model was trained on than to other real rows.

    A model that copies its training rows has a `share` of 1, one that generalizes that of
    `expected`, which is 0.5 for as many held-out rows as training rows. The standard error of
    `share` is about sqrt(expected (1 - expected) / m), and greater where samples share neighbours.

    Args:
        generated: array or tensor, samples, shape (m, d), in units in which distances mean
            something: numbers standardized and classes one-hot, as `datasets.load_table` has them.
            Samples of more axes, such as series, are flattened, here and below.
        train: array or tensor, the rows that the model was trained on, shape (n, d).
        held_out: array or tensor, real rows that it was not trained on, shape (h, d).

    Returns:
        `ClosestRecords`, of Euclidean distances.

    Raises:
        ValueError: for fewer than 2 rows, rows of different shapes, or values that are not finite.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(3, 1000, 4))
        >>> honest, copied = closest_records(*rows), closest_records(rows[1], *rows[1:])
        >>> copied.share, honest.expected, abs(honest.share - 0.5) < 0.1
        (1.0, 0.5, True)
    """
    generated, train, held_out = flat_sets(generated=generated, train=train, held_out=held_out)
    neighbors = extras.require("sklearn.neighbors", extra="metrics")
    trees = [neighbors.NearestNeighbors(n_neighbors=1).fit(rows) for rows in (train, held_out)]
    to_train, to_held_out = (tree.kneighbors(generated)[0][:, 0] for tree in trees)
    nearer = np.mean(to_train < to_held_out) + np.mean(to_train == to_held_out) / 2
    return ClosestRecords(
        generated=to_train.astype("float64"),
        held_out=trees[0].kneighbors(held_out)[0][:, 0].astype("float64"),
        share=float(nearer),
        expected=len(train) / (len(train) + len(held_out)),
    )
