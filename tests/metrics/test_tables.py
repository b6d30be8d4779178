"""Scores of samples of tables: closed forms, reference libraries, extremes."""

import warnings

import numpy as np
import pandas
import pytest
import scipy.stats
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfgen.metrics import closest_records, correlation_matrix, train_on_samples

# Samples as training data.


def wine():
    x, y = load_wine(return_X_y=True)
    half = np.random.default_rng(0).permutation(len(x)) % 2 == 0
    return x[half], y[half], x[~half], y[~half]


def test_copies_are_as_good_as_data_and_permuted_labels_are_not():
    x, y, test, truth = wine()
    copied = train_on_samples(x, y, x, y, test, truth)
    assert copied.generated == copied.real > 0.9
    permuted = np.random.default_rng(1).permutation(y)
    bad = train_on_samples(x, permuted, x, y, test, truth)
    # Three classes, the greatest of two fifths: far below what the data teach.
    assert bad.real == copied.real and bad.generated < 0.7


def test_the_classifier_that_is_given_is_copied_and_fitted():
    x, y, test, truth = wine()
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    found = train_on_samples(x[::2], y[::2], x, y, test, truth, classifier)
    expected = [
        make_pipeline(StandardScaler(), LogisticRegression()).fit(x[::n], y[::n]).score(test, truth)
        for n in (2, 1)
    ]
    assert list(found) == expected
    assert not hasattr(classifier[-1], "coef_")  # What was given is not fitted itself.


def test_labels_may_be_texts():
    x, y, test, truth = wine()
    names = np.array(["a", "b", "c"])
    texts = train_on_samples(x, names[y], x, names[y], test, names[truth])
    assert texts == train_on_samples(x, y, x, y, test, truth)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(generated_labels=[0, 1]), r"generated_labels must be one int or one text .* 89 rows"),
        (dict(generated_labels=[0] * 89), r"every class of real_labels. Received: none of \[1, 2"),
        (dict(test_labels=["a"] * 89), r"every class of test_labels. Received: none of \['a'\]"),
        (dict(real_labels=np.full(89, np.nan)), r"real_labels must be .*values of \['float'\]"),
        (dict(test=np.zeros((89, 3))), "real and test must hold samples of one shape"),
        (dict(classifier=LogisticRegression), "classifier must be a classifier of scikit-learn"),
        *[
            (dict(classifier=other), "(?s)classifier must be a classifier of .*and no regressor")
            for other in (
                LinearRegression(),
                make_pipeline(StandardScaler(), LinearRegression()),
                KMeans(),
                StandardScaler(),
                "forest",
            )
        ],
    ],
)
def test_what_training_refuses(change, message):
    x, y, test, truth = wine()
    arguments = dict(
        generated=x, generated_labels=y, real=x, real_labels=y, test=test, test_labels=truth
    )
    with pytest.raises(ValueError, match=message):
        train_on_samples(**{**arguments, **change})


class Majority:
    """A classifier that knows nothing of scikit-learn's classes but their protocol."""

    _estimator_type = "classifier"

    def get_params(self, deep=True):
        return {}

    def fit(self, x, y):
        values, counts = np.unique(y, return_counts=True)
        self.value = values[np.argmax(counts)]
        return self

    def predict(self, x):
        return np.full(len(x), self.value)


def test_a_classifier_of_ones_own():
    x, y, test, truth = wine()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn 1.6 of objects without tags.
        found = train_on_samples(x, y, x, y, test, truth, Majority())
    assert found.real == np.mean(truth == Majority().fit(x, y).value)


@pytest.mark.parametrize("shape", [(4,), (2, 2), (2, 1, 2, 1)], ids=str)
def test_rows_of_more_axes_are_flattened(shape):
    """Also where the first two sets are right and the third has another shape."""
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 30, 4))
    y = np.arange(30) % 2
    shaped = [rows.reshape(30, *shape) for rows in (a, b, c)]
    for found, expected in zip(closest_records(*shaped), closest_records(a, b, c), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert train_on_samples(shaped[0], y, shaped[1], y, shaped[2], y) == train_on_samples(
        a, y, b, y, c, y
    )
    shaped[2] = np.zeros((30, *shape[:-1], 7))
    with pytest.raises(ValueError, match="train and held_out must.*(2, 7|1, 7|7,)"):
        closest_records(*shaped)
    with pytest.raises(ValueError, match="real and test must hold samples of one shape"):
        train_on_samples(shaped[0], y, shaped[1], y, shaped[2], y)


# Correlations.


def mixed(num=200):
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], num)
    size = rng.normal(size=num) + (kind == "b")
    colour = np.where(rng.random(num) < 0.8, kind == "c", kind == "a")
    return pandas.DataFrame({"size": size, "kind": kind, "price": 2 * size + 1, "red": colour})


def test_each_pair_against_its_formula():
    frame = mixed()
    matrix = correlation_matrix(frame)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    assert matrix[0, 2] == pytest.approx(1.0)
    # The squared correlation ratio and the F statistic of an analysis of variance say the same.
    groups = [frame["size"][frame["kind"] == kind] for kind in "abc"]
    ratio = scipy.stats.f_oneway(*groups).statistic * (3 - 1) / (len(frame) - 3)
    assert matrix[0, 1] == pytest.approx(np.sqrt(ratio / (1 + ratio)))
    chi2 = scipy.stats.chi2_contingency(
        pandas.crosstab(frame["kind"], frame["red"]), correction=False
    ).statistic
    assert matrix[1, 3] == pytest.approx(np.sqrt(chi2 / len(frame)))


def test_numbers_may_be_classes():
    """As numbers the two are not correlated, as classes one follows from the other."""
    x = np.tile([-1, 0, 1], 20)
    rows = np.stack([x, x**2], axis=1)
    assert correlation_matrix(rows)[0, 1] == pytest.approx(0.0)
    assert correlation_matrix(rows, classes=[0])[0, 1] == pytest.approx(1.0)
    assert correlation_matrix(rows, classes=[0, 1])[0, 1] == pytest.approx(1.0)


def test_what_is_independent_has_correlations_near_zero():
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"x": rng.normal(size=5000), "a": rng.choice(list("pq"), 5000), "b": rng.choice(3, 5000)}
    )
    matrix = correlation_matrix(frame, classes=["a", "b"])
    # n V^2 and n eta^2 are chi-squared with at most 2 degrees of freedom: one in 10^6 above 28.
    assert np.all(5000 * matrix[~np.eye(3, dtype=bool)] ** 2 < 28)


@pytest.mark.parametrize(
    "values", [[-1, 0, 1], [-1.0, 0.0, 1.0], ["a", "b", "c"], [False, True, False]], ids=str
)
def test_categories_are_classes(values):
    """As numbers the two are not correlated, as classes one follows from the other."""
    x = np.tile([0, 1, 2], 20)
    frame = pandas.DataFrame({"a": pandas.Categorical(np.array(values)[x]), "b": x % 2})
    matrix = correlation_matrix(frame)
    assert matrix[0, 1] == pytest.approx(1.0)
    np.testing.assert_array_equal(matrix, correlation_matrix(frame, classes=["a"]))
    frame.loc[3, "a"] = None
    with pytest.raises(ValueError, match="Column 'a' of rows must have no missing.*: 1 of 60"):
        correlation_matrix(frame)


@pytest.mark.parametrize("kind", ["dates", "dates of a zone", "dates of long ago", "spans"])
def test_dates_are_numbers(kind):
    dates = pandas.Series(pandas.date_range("2020-01-01", periods=50, freq="h"))
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"late": np.arange(50.0), "noise": rng.normal(size=50)})
    frame["when"] = {
        "dates": dates,
        "dates of a zone": dates.dt.tz_localize("Europe/Berlin"),
        "dates of long ago": dates.astype("datetime64[s]") - pandas.DateOffset(years=900),
        "spans": dates - dates[0],
    }[kind]
    expected = np.corrcoef([np.arange(50), frame["noise"], np.arange(50)])
    np.testing.assert_allclose(correlation_matrix(frame), expected, atol=1e-9)
    frame.loc[3, "when"] = pandas.NaT
    with pytest.raises(ValueError, match="Column 'when' of rows must have no missing.*: 1 of 50"):
        correlation_matrix(frame)


def test_classes_of_one_row_each_have_no_correlation():
    """Names of rows: all else would follow from them."""
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "x": rng.normal(size=50),
            "a": rng.choice(list("pq"), 50),
            "id": [f"{i}" for i in range(50)],
        }
    )
    matrix = correlation_matrix(frame)
    assert np.isnan(matrix[2]).all() and np.isfinite(matrix[0, 1])
    frame.loc[1, "id"] = "0"
    assert np.isfinite(correlation_matrix(frame)).all()


def test_a_column_of_one_value_has_no_correlation():
    matrix = correlation_matrix([[1.0, 0.0], [1.0, 2.0]])
    np.testing.assert_allclose(matrix, [[np.nan, np.nan], [np.nan, 1.0]])


@pytest.mark.parametrize(
    "rows, classes, message",
    [
        ([[1.0, 2.0]], None, r"n >= 2 and d >= 1. Received: shape \(1, 2\)"),
        ([1.0, 2.0], None, "shape .n, d."),
        ([[1.0], [np.nan]], None, "Column 0 of rows must have no missing or infinite values"),
        ([[1.0], [2.0]], ["kind"], r"some of \[0\]. Received: \['kind'\]"),
        (pandas.DataFrame({"a": ["x", None]}), None, "Column 'a' of rows must have no missing"),
        (
            pandas.DataFrame(np.eye(2), columns=["a", "a"]),
            None,
            "columns of different names.*'a', 'a'.*Rename them",
        ),
        (pandas.DataFrame({"a": ["x", "y"]}), [], "column 'a' of rows must be an array of numbers"),
    ],
)
def test_what_correlations_refuse(rows, classes, message):
    with pytest.raises(ValueError, match=message):
        correlation_matrix(rows, classes)


# Copies.


def test_closest_records_against_brute_force():
    rng = np.random.default_rng(0)
    generated, train, held_out = (rng.normal(size=(n, 3)) for n in (20, 30, 10))

    def closest(rows, others):
        return np.linalg.norm(rows[:, None] - others, axis=2).min(axis=1)

    found = closest_records(generated, train, held_out)
    np.testing.assert_allclose(found.generated, closest(generated, train))
    np.testing.assert_allclose(found.held_out, closest(held_out, train))
    nearer = closest(generated, train) < closest(generated, held_out)
    assert (found.share, found.expected) == (nearer.mean(), 0.75)


@pytest.mark.parametrize("num_train, num_held_out", [(100, 100), (150, 50)])
def test_the_share_of_other_rows_is_expected_and_that_of_copies_is_one(num_train, num_held_out):
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(100):
        train, held_out = rng.normal(size=(num_train, 2)), rng.normal(size=(num_held_out, 2))
        found = closest_records(rng.normal(size=(20, 2)), train, held_out)
        shares.append(found.share)
    error = np.std(shares) / 10
    assert abs(np.mean(shares) - found.expected) < 5 * error < 0.1
    assert closest_records(train, train, held_out).share == 1.0


def test_ties_count_half():
    rows = np.zeros((4, 2))
    found = closest_records(rows, rows, rows)
    assert found.share == 0.5 and not found.generated.any()


def test_what_closest_records_refuse():
    rows = np.zeros((4, 2))
    with pytest.raises(ValueError, match="train and held_out must hold samples of one shape"):
        closest_records(rows, rows, np.zeros((4, 3)))
    with pytest.raises(ValueError, match="generated must be finite"):
        closest_records(np.full((4, 2), np.nan), rows, rows)
    with pytest.raises(ValueError, match="held_out must hold at least 2 samples"):
        closest_records(rows, rows, rows[:1])
