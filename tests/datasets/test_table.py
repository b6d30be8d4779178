"""Tables: encoded and decoded, split by split, with labels, masks and errors."""

import functools

import keras
import numpy as np
import pandas
import pytest

from tfgen import datasets, layers, models, networks
from tfgen.datasets import load_table


def frame(num=60, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=num)
    return pandas.DataFrame(
        {
            "size": 5.0 + 2.0 * rng.normal(size=num) * (kind + 1),
            "colour": np.array(["red", "green", "blue"])[kind],
            "visits": rng.poisson(3.0 * kind),
            "new": rng.random(num) < 0.5,
            "weight": np.arange(num) % 7,
        }
    )


KINDS = {"visits": "count"}


def rows_of(data, part=None):
    return np.concatenate([b if part is None else b[part] for b in data.as_numpy_iterator()])


# Encoding.


def test_columns_are_encoded_by_their_kinds():
    table = frame()
    data, info = load_table(table, "all", kinds=KINDS, shuffle=False)
    x = rows_of(data)
    assert [c.kind for c in info.columns] == ["number", "class", "count", "class", "number"]
    assert info.data_shape == (8,) and x.shape == (60, 8) and x.dtype == np.float32
    assert info.columns[1].classes == ("blue", "green", "red")
    assert info.columns[3].classes == (False, True)
    expected = (table["size"] - table["size"].mean()) / table["size"].std(ddof=0)
    np.testing.assert_allclose(x[:, 0], expected, rtol=1e-5, atol=1e-6)
    one_hot = np.stack([table["colour"] == c for c in ("blue", "green", "red")], axis=1)
    np.testing.assert_array_equal(x[:, 1:4], one_hot)
    np.testing.assert_array_equal(x[:, 4], table["visits"])
    np.testing.assert_allclose(x[:, 7].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(x[:, 7].std(), 1, rtol=1e-6)


def test_decoding_is_the_way_back():
    table = frame()
    data, info = load_table(table, "all", kinds=KINDS, shuffle=False)
    back = info.decode(rows_of(data))
    assert list(back.columns) == list(table.columns)
    for name in ("colour", "visits", "new"):
        assert (back[name] == table[name]).all()
    np.testing.assert_allclose(
        back[["size", "weight"]], table[["size", "weight"]], rtol=1e-5, atol=1e-6
    )
    # What a model returns is never exact: the likeliest class, the nearest count.
    soft = info.decode([[0, 0.2, 0.3, 0.5, 3.4, 0.9, 0.1, 0]])
    assert soft.loc[0, "colour"] == "red" and soft.loc[0, "visits"] == 3 and not soft.loc[0, "new"]
    with pytest.raises(ValueError, match=r"rows of 8 numbers.*Received: shape \(1, 7\)"):
        info.decode(np.zeros((1, 7)))


def test_test_data_are_encoded_as_training_data_were():
    table = frame()
    _, info = load_table(table, "train[:50%]", kinds=KINDS)
    data, other = load_table(table, "train[50%:]", like=info, shuffle=False)
    assert other.columns == info.columns and other.num_examples == 30
    half = table["size"][:30]
    expected = (table["size"][30:] - half.mean()) / half.std(ddof=0)
    np.testing.assert_allclose(rows_of(data)[:, 0], expected, rtol=1e-5)


def test_files_arrays_and_frames_are_alike(tmp_path):
    table = frame()[["size", "weight"]]
    table.to_csv(tmp_path / "table.csv", index=False)
    of_file, info = load_table(tmp_path / "table.csv", "all", shuffle=False)
    assert info.name == str(tmp_path / "table.csv")
    of_frame, of_array = (load_table(x, "all", shuffle=False)[0] for x in (table, table.to_numpy()))
    np.testing.assert_allclose(rows_of(of_file), rows_of(of_frame), rtol=1e-6)
    np.testing.assert_array_equal(rows_of(of_array), rows_of(of_frame))


def test_a_constant_column_stays_finite():
    data, info = load_table(np.ones((5, 2)), "all")
    assert (rows_of(data) == 0).all() and info.columns[0].scale == 1.0


def test_labels_are_numbers_of_classes():
    table = frame()
    data, info = load_table(table, "all", label="colour", kinds=KINDS, shuffle=False)
    assert info.class_names == ("blue", "green", "red") and info.data_shape == (5,)
    names = np.array(info.class_names)[rows_of(data, 1)]
    assert (names == table["colour"]).all() and rows_of(data, 1).dtype == np.int32


def test_a_mask_says_what_is_missing():
    table = frame()
    table.loc[3, "size"], table.loc[4, "colour"], table.loc[5, "visits"] = np.nan, None, np.nan
    data, info = load_table(table, "all", kinds=KINDS, mask=True, shuffle=False)
    x, mask = rows_of(data, 0), rows_of(data, 1)
    assert x.shape == mask.shape == (60, 8) and np.isfinite(x).all()
    missing = np.argwhere(mask == 0).tolist()
    assert missing == [[3, 0], [4, 1], [4, 2], [4, 3], [5, 4]]
    assert info.columns[0].loc == pytest.approx(table["size"].mean())
    # A class of which nothing is known is a possible one.
    np.testing.assert_array_equal(x[4, 1:4], [1, 0, 0])


def test_order_and_position_are_those_of_other_pipelines():
    data, _ = load_table(frame(), "train", 16, kinds=KINDS, seed=3)
    first, second = (list(data.as_numpy_iterator()) for _ in range(2))
    assert not np.array_equal(first[0], second[0])
    data.seek(epoch=1, step=2)
    np.testing.assert_array_equal(next(iter(data)), second[2])


# Errors.

WRONG = [
    (dict(source=np.zeros((2, 3, 4))), r"shape \(2, 3, 4\).*datasets.load"),
    (dict(source=frame()[:0]), "at least one row"),
    (dict(source=pandas.DataFrame([[1, 2]], columns=["a", "a"])), "different names"),
    (dict(kinds={"siz": "number"}), r"kinds and label name columns. Received: \['siz'\]"),
    (dict(kinds={"size": "float"}), r"kinds\['size'\] must be"),
    (dict(kinds={"size": "count"}), "'size' is of counts 0, 1, .*Call it a 'number'"),
    (dict(kinds={"colour": "number"}), "Column 'colour' holds object, such as '.*'class'"),
    (dict(label="price"), r"Received: \['price'\]"),
    (dict(label="size", kinds={"size": "number"}), "A label is a class"),
    (dict(label="colour", mask=True), "Only one of labels and a mask"),
    (dict(mask=1), "mask must be True or False"),
    (dict(split="test"), "No such split"),
    (dict(like=3), "like is the info of another split"),
    (dict(like=load_table(frame())[1], kinds=KINDS), "Give one of them"),
    (dict(like=load_table(frame().rename(columns={"size": "s"}))[1]), "must have the columns"),
]


@pytest.mark.parametrize("change, message", WRONG, ids=lambda case: str(case)[:40])
def test_what_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        load_table(**{"source": frame(), **change})


def test_missing_values_and_new_classes_are_refused():
    table = frame()
    _, info = load_table(table[table["colour"] != "red"], "all")
    with pytest.raises(ValueError, match="'colour' has classes .*Received: .'red'.*training data"):
        load_table(table, "all", like=info)
    table.loc[3, "size"] = np.nan
    with pytest.raises(ValueError, match="missing in 1 rows of column 'size'.*MissingDataVAE"):
        load_table(table)
    table.loc[3, "size"] = np.inf
    with pytest.raises(ValueError, match="'size' must be finite"):
        load_table(table)
    with pytest.raises(ValueError, match="no values"):
        load_table(table.assign(size=np.nan), mask=True)


# From a table to samples of it.


@pytest.mark.slow
def test_a_vae_learns_a_table_with_classes_counts_and_missing_values():
    """The share of each class, and the mean count in each, come back in samples."""
    table = frame(600)
    table.loc[::10, "size"], table.loc[1::10, "colour"] = np.nan, None
    data, info = load_table(table, kinds=KINDS, mask=True)
    sizes = dict(latent_dim=4, width=64)
    keras.utils.set_random_seed(0)
    model = models.MissingDataVAE(
        networks.mlp_encoder(info.data_shape, condition_shape=info.data_shape, **sizes),
        networks.mlp_decoder(info.data_shape, head=networks.table_head(info.columns), **sizes),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(data, epochs=60, verbose=0)
    drawn = info.decode(model.sample(5000, seed=0, mean=False))
    shares = drawn["colour"].value_counts(normalize=True)
    # Five standard errors of a share in 600 rows, of which a tenth is missing: 5 sqrt(2 / 9 / 540).
    assert abs(shares - 1 / 3).max() < 0.1
    by_class = drawn.groupby("colour")["visits"].mean()
    assert by_class["red"] < by_class["green"] < by_class["blue"]
    x, mask = next(data.as_numpy_iterator())
    completed = model.impute(x, mask, num_samples=50, seed=0).numpy()
    np.testing.assert_array_equal(completed[mask == 1], x[mask == 1])


def test_heads_of_columns():
    columns = load_table(frame(), kinds=KINDS)[1].columns
    (head,) = [networks.table_head(columns)((8,))]
    names = [type(part).__name__ for part in head.parts]
    assert names == [
        *("IndependentNormal", "OneHotCategorical", "IndependentNegativeBinomial"),
        *("OneHotCategorical", "IndependentNormal"),
    ]
    two_numbers = [c for c in columns if c.kind == "number"]
    mixtures = networks.table_head(two_numbers, functools.partial(layers.MixtureNormal, 5))(2)
    assert len(mixtures.parts) == 2  # Each has modes of its own.
    assert len(networks.table_head(two_numbers)(2).parts) == 1
    with pytest.raises(ValueError, match="columns must be those of a table, .*Received: columns="):
        networks.table_head([3])


def test_columns_and_infos_are_public():
    assert datasets.Column("a", "class", ("x", "y")).width == 2


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        ([[1], [2], [1]], None, "values of type .'list'"),
        ([1j, 2j, 1j], None, "values of type .'complex'"),
        ([1e300, -1e300, 1.0], None, "too large numbers"),
        ([1.0, 2.0, 2**24 + 2.0], "count", "float32 does not hold"),
    ],
)
def test_columns_that_have_no_encoding_are_refused(column, kind, message):
    frame = pandas.DataFrame({"a": pandas.Series(column), "b": [1.0, 2.0, 4.0]})
    with pytest.raises(ValueError, match=message):
        datasets.load_table(frame, kinds={"a": kind} if kind else None)


def test_texts_that_are_all_different_are_no_classes_unless_they_are_said_to_be():
    frame = pandas.DataFrame({"id": [f"row {i}" for i in range(60)], "b": np.arange(60.0)})
    with pytest.raises(ValueError, match="another text in each of 60 rows"):
        datasets.load_table(frame)
    _, info = datasets.load_table(frame, kinds={"id": "class"})
    assert info.data_shape == (61,)
    _, info = datasets.load_table(frame[:20])
    assert info.data_shape == (21,)


@pytest.mark.parametrize("dtype", ["boolean", "string", "Int64", "Float32"])
def test_missing_values_of_pandas_own_types(dtype):
    values = {"boolean": [True, None, False], "string": ["x", None, "y"]}.get(dtype, [5, None, 3])
    frame = pandas.DataFrame({"a": pandas.array(values, dtype=dtype), "b": [1.0, 2.0, 4.0]})
    with pytest.raises(ValueError, match="Values are missing in 1 rows of column 'a'"):
        datasets.load_table(frame)
    data, info = datasets.load_table(frame, mask=True, shuffle=False)
    x, mask = next(iter(data))
    assert mask.numpy()[:, 0].tolist() == [1, 0, 1]
    assert info.columns[0].kind == ("class" if dtype in ("boolean", "string") else "number")
    assert info.decode(x)["a"][0] == frame["a"][0]


def test_kinds_of_columns_with_numbers_as_names():
    frame = pandas.DataFrame({1: [1.0, 2.0, 4.0], 2: [3.0, 1.0, 2.0]})
    _, info = datasets.load_table(frame, kinds={1: "count"})
    assert [column.kind for column in info.columns] == ["count", "number"]


def test_decoding_what_is_not_finite_is_refused():
    frame = pandas.DataFrame({"a": ["x", "y", "x"]})
    _, info = datasets.load_table(frame)
    with pytest.raises(ValueError, match="finite"):
        info.decode(np.full((2, 2), np.nan))


# Categories.

CATEGORIES = {
    "texts": ["low", "mid", "high"],
    "whole numbers": [3, 1, 2],
    "fractions": [0.5, 0.25, 2.0],
    "truth values": [True, False],
    "numbers of pandas": pandas.array([3, 1, 2], dtype="Int64"),
}


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("categories", CATEGORIES.values(), ids=CATEGORIES)
def test_categories_are_classes_in_their_order_present_or_not(categories, ordered, missing):
    dtype = pandas.CategoricalDtype(categories, ordered)
    declared = list(categories)
    values = [declared[1], declared[0], declared[1], None if missing else declared[1]]
    table = pandas.DataFrame({"a": np.arange(4.0), "c": pandas.Series(values, dtype=dtype)})
    _, info = load_table(table, "train[:1]")
    assert info.columns[1] == datasets.Column("c", "class", tuple(declared))
    data, other = load_table(table, "all", like=info, mask=missing, shuffle=False)
    x = next(iter(data))
    x = x[0].numpy() if missing else x.numpy()
    np.testing.assert_array_equal(x[:2, 1:], np.eye(len(declared))[[1, 0]])
    assert other.decode(x)["c"][:3].tolist() == values[:3]
    if not missing:
        labels = rows_of(load_table(table, "all", label="c", shuffle=False)[0], 1)
        assert labels.tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("kind", ["number", "count"])
def test_categories_of_numbers_may_be_called_numbers(kind):
    table = pandas.DataFrame({"c": pandas.Categorical([3, 1, None]), "b": [1.0, 2.0, 4.0]})
    data, info = load_table(table, "all", kinds={"c": kind}, mask=True, shuffle=False)
    x, mask = next(iter(data))
    assert info.columns[0].kind == kind and mask.numpy()[:, 0].tolist() == [1, 1, 0]
    assert info.decode(x)["c"][:2].tolist() == [3, 1]


def test_categories_that_are_all_different_are_classes():
    names = pandas.Categorical([f"row {i}" for i in range(60)])
    assert load_table(pandas.DataFrame({"id": names}))[1].data_shape == (60,)


# Columns that do not fit those of `like`, or a kind.

UNFIT = {
    "dates": pandas.date_range("2020", periods=6),
    "spans": pandas.to_timedelta(np.arange(6), unit="s"),
    "zoned dates": pandas.date_range("2020", periods=6, tz="UTC"),
    "complex": np.arange(6) * 1j,
    "texts": ["w"] * 6,
    "digits": ["1"] * 6,
    "mixed": np.array([1, 2, 3, 4, 5, "x"], object),
    "lists": pandas.Series([[1]] * 6),
    "a huge int": pandas.Series([10**400] * 6, dtype=object),
    "infinite": [np.inf] * 6,
    "too large": np.arange(6) * 1e300,
    "intervals": pandas.cut(np.arange(6.0), 3),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("how", ["like", "kinds"])
@pytest.mark.parametrize("kind", ["number", "count", "class"])
@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
def test_columns_that_do_not_fit_are_refused_by_their_name(unfit, kind, how):
    base = pandas.DataFrame({"good": np.arange(6.0), "bad": [0, 1, 2] * 2})
    kinds = {"bad": kind}
    options = {"like": load_table(base, kinds=kinds)[1]} if how == "like" else {"kinds": kinds}
    try:
        data, _ = load_table(base.assign(bad=unfit), "all", **options)
    except ValueError as error:
        assert "'bad'" in str(error) and "Received" in str(error)
    else:  # Texts and fractions are classes unless others are known; large numbers have a scale.
        assert how == "kinds" and kind != "count" and np.isfinite(next(iter(data))).all()


@pytest.mark.parametrize(
    "numbers", [[1, None, 2], [1.5, np.nan, 2], [True, None, False]], ids=["ints", "floats", "bool"]
)
def test_numbers_among_objects_are_numbers_of_like(numbers):
    base = pandas.DataFrame({"a": [0.0, 1.0, 5.0], "b": [1.0, 2.0, 4.0]})
    table = base.assign(a=pandas.Series(numbers, dtype=object))
    info = load_table(base)[1]
    x, mask = next(iter(load_table(table, "all", like=info, mask=True, shuffle=False)[0]))
    assert mask.numpy()[:, 0].tolist() == [1, 0, 1]
    expected = np.float64([numbers[0], numbers[2]])
    np.testing.assert_allclose(info.decode(x)["a"][[0, 2]], expected, rtol=1e-6, atol=1e-6)


# Names and files.


@pytest.mark.parametrize("names", [("a", "b"), (1, 2), (1.5, 2.5), ((1, "x"), (2, "y"))], ids=str)
def test_names_of_columns_are_taken_as_they_are_or_as_texts(names):
    frame = pandas.DataFrame([[1, 0], [2, 1], [5, 0]])
    frame.columns = pandas.Index(names, tupleize_cols=False)
    for first, second in (names, map(str, names)):
        info = load_table(frame, kinds={first: "count"}, label=second)[1]
        assert info.columns[0].kind == "count" and info.label.name == str(names[1])
        assert load_table(frame, label=second, like=info)[1].label == info.label


@pytest.mark.parametrize("kinds", [["a"], "count", 3, [("size", "count")], {"size"}], ids=str)
def test_kinds_that_are_no_dict_are_refused(kinds):
    with pytest.raises(ValueError, match="kinds is a dict .*Received: kinds=.*'size': 'count'"):
        load_table(frame(), kinds=kinds)


BROKEN = {
    "latin": "size,colour\n1,gr\xfcn\n".encode("latin-1"),
    "empty": b"",
    "ragged": b"a,b\n1,2\n1,2,3,4\n",
    "bytes": bytes(range(256)) * 4,
    "unclosed": b'a,b\n1,"2\n',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_files_that_are_no_tables_are_named(tmp_path, content):
    (tmp_path / "broken.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"Received: source='.*broken\.csv' .*pandas.read_csv"):
        load_table(tmp_path / "broken.csv")


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: source='.*gone\.csv'"):
        load_table(tmp_path / "gone.csv")
    with pytest.raises(ValueError, match="path of a CSV file.*images are read by datasets.load"):
        load_table(tmp_path)
