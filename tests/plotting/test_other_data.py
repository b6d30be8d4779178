"""Figures of what are no images: volumes, series and rows of tables."""

import matplotlib.dates
import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest

from tfgen import callbacks, layers, models, networks, plotting


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def table(seed, num=400):
    rng = np.random.default_rng(seed)
    return pandas.DataFrame(
        {
            "size": rng.normal(size=num),
            "colour": rng.choice(["red", "green"], num, p=[0.75, 0.25]),
            "visits": rng.poisson(20.0, num),
        }
    )


# Volumes.


def test_the_middle_slice_of_volumes_is_shown():
    volumes = np.zeros((4, 5, 3, 3, 1))
    volumes[:, 2] = np.linspace(0.1, 0.9, 4)[:, None, None, None]
    _, axes = plotting.image_grid(volumes, columns=4)
    pixels = axes.images[0].get_array()
    np.testing.assert_allclose(pixels[1, 1::4], np.linspace(0.1, 0.9, 4), rtol=1e-5)


def test_one_slice_is_the_middle_one():
    volumes = np.linspace(0, 1, 5)[:, None, None, None] * np.ones((1, 5, 4, 4, 1))
    _, axes = plotting.volume_slices(volumes, 1)
    assert axes.get_title() == "slice 2"
    np.testing.assert_array_equal(axes.images[0].get_array(), 0.5)


def test_slices_go_from_the_first_to_the_last():
    volumes = np.broadcast_to(np.arange(9.0)[None, :, None, None, None] / 8, (2, 9, 3, 3, 1))
    _, axes = plotting.volume_slices(volumes, num_slices=5, row_labels=["a", "b"])
    pixels = axes.images[0].get_array()
    np.testing.assert_allclose(pixels[1, 1::4], [0, 0.25, 0.5, 0.75, 1])
    assert axes.get_title() == "slices 0 to 8"
    _, axes = plotting.volume_slices(volumes[:, :3], num_slices=5)
    assert axes.images[0].get_array().shape[1] == 3 * 3 + 2
    with pytest.raises(ValueError, match=r"volumes must have the shape .*Received: shape \(9, 3"):
        plotting.volume_slices(volumes[0])


def vae_of(shape, network):
    encoder, decoder = network
    sizes = dict(latent_dim=2, width=2)
    return models.VAE(
        encoder(shape, **sizes), decoder(shape, head=layers.FixedScaleNormal, **sizes), seed=0
    )


CONV = networks.conv_encoder, networks.conv_decoder


def test_all_figures_of_a_model_take_volumes():
    model = vae_of((5, 6, 7, 1), CONV)
    x = np.random.default_rng(0).random((3, 5, 6, 7, 1)).astype("float32")
    figures = [
        plotting.samples(model, 4, value_range=(-3, 3)),
        plotting.reconstructions(model, x, value_range=(-3, 3)),
        plotting.traversals(model, x[0], dims=[1], value_range=(-3, 3)),
        plotting.interpolations(model, x[:1], x[1:2], value_range=(-3, 3)),
    ]
    widths = [axes.images[0].get_array().shape[1] for _, axes in figures]
    assert widths == [2 * 7 + 1, 3 * 7 + 2, 7 * 7 + 6, 7 * 7 + 6]


# Series.


def test_lines_and_bands_of_series():
    rng = np.random.default_rng(0)
    x, reference = rng.normal(size=(8, 30, 2)), rng.normal(size=(500, 30, 2))
    _, axes = plotting.series(x, reference, num_lines=3, share=0.5, channel_names=["a", "b"])
    assert [ax.get_ylabel() for ax in axes] == ["a", "b"]
    for i, ax in enumerate(axes):
        median, *lines = (line.get_ydata() for line in ax.lines)
        np.testing.assert_allclose(median, np.median(reference[..., i], axis=0))
        np.testing.assert_array_equal(lines, x[:3, :, i])
        corners = ax.collections[0].get_paths()[0].get_extents()
        quartiles = np.quantile(reference[..., i], [0.25, 0.75], axis=0)
        np.testing.assert_allclose([corners.y0, corners.y1], [quartiles.min(), quartiles.max()])
    with pytest.raises(ValueError, match=r"reference must be series of shape \(30, 2\)"):
        plotting.series(x, reference[:, :5])


def test_samples_of_series_are_lines():
    model = vae_of((20, 3), CONV)
    _, axes = plotting.samples(model, 10)
    assert len(axes) == 3 and len(axes[0].get_lines()) == 6


# Tables.


def test_marginals_of_a_table():
    real, generated = table(0), table(1)
    _, axes = plotting.marginals(real, generated, columns=3)
    size, colour, visits = axes[0]
    assert [ax.get_xlabel() for ax in axes[0]] == ["size", "colour", "visits"]
    heights = np.array([bar.get_height() for bar in colour.patches]).reshape(2, 2)
    expected = [(t["colour"] == c).mean() for t in (real, generated) for c in ("green", "red")]
    np.testing.assert_allclose(heights.ravel(), expected)
    # Both outlines have the same edges, those of counts between whole numbers.
    edges = [patch.get_xy()[:, 0] for patch in size.patches]
    np.testing.assert_array_equal(*edges)
    assert set(np.unique(visits.patches[0].get_xy()[:, 0]) % 1) == {0.5}


def test_the_most_frequent_classes_have_bars():
    """Of 14 classes, of which two are seldom: the twelve others, and both together."""
    texts = [f"class {i:02}" for i in range(14) for _ in range(1 if i in (3, 9) else 5)]
    _, axes = plotting.marginals(pandas.DataFrame({"a": texts}))
    labels = [label.get_text() for label in axes[0, 0].get_xticklabels()]
    assert labels == [t for t in sorted(set(texts)) if t[-2:] not in ("03", "09")] + ["others"]
    heights = [bar.get_height() for bar in axes[0, 0].patches]
    np.testing.assert_allclose(heights, [5 / 62] * 12 + [2 / 62])


def test_classes_that_are_numbers_are_in_their_order():
    """As `TableInfo.decode` gives them, an array of objects, beside numbers of the data."""
    generated = pandas.DataFrame({"a": np.array([10, 9, 2], object)})
    _, axes = plotting.marginals(pandas.DataFrame({"a": [2, 9, 10]}), generated)
    assert [label.get_text() for label in axes[0, 0].get_xticklabels()] == ["2", "9", "10"]


def test_classes_that_differ_have_labels_that_do():
    values = [1000001.0, 1000002.0, 0.1]
    _, axes = plotting.marginals(np.float32(values)[:, None])
    labels = [label.get_text() for label in axes[0, 0].get_xticklabels()]
    assert labels == ["0.1", "1000001", "1000002"]


@pytest.mark.parametrize(
    "column, message",
    [
        ([1.0, np.nan, 2.0], "Column 'a' must be finite.*1 of 3 values"),
        (pandas.array([1, None, 2], dtype="Int64"), "Column 'a' must be finite.*1 of 3 values"),
        ([1.0, np.inf], "Column 'a' must be finite.*1 of 2 values"),
    ],
)
def test_missing_numbers_of_a_table_are_named(column, message):
    with pytest.raises(ValueError, match=message):
        plotting.marginals(pandas.DataFrame({"a": column}))


def test_figures_of_rows_and_series_have_a_size():
    with pytest.raises(ValueError, match="at most 40 columns.*Received: 41"):
        plotting.marginals(np.zeros((3, 41)))
    with pytest.raises(ValueError, match="at most 20 channels.*with 21 channels"):
        plotting.series(np.zeros((3, 4, 21)))
    mlp = (networks.mlp_encoder, networks.mlp_decoder)
    assert len(plotting.samples(vae_of((2, 30), mlp), 3)[1]) == 20
    assert plotting.samples(vae_of((50,), mlp), 3)[1].size == 40


@pytest.mark.parametrize("shape", [(3,), (4, 2)])
def test_rows_and_series_are_not_black_or_white(shape, tmp_path):
    model = vae_of(shape, (networks.mlp_encoder, networks.mlp_decoder))
    with pytest.raises(ValueError, match="value_range is for images.*(0, 1)"):
        plotting.samples(model, 3, value_range=(0, 1))
    model.compile("adam")
    grid = callbacks.SampleGrid(tmp_path, 3, value_range=(0, 1))
    with pytest.raises(ValueError, match="value_range is for images"):
        model.fit(np.zeros((4, *shape)), callbacks=[grid], verbose=0)


def test_truth_values_are_numbers():
    truths = np.random.default_rng(0).random((20, 2)) < 0.5
    for rows in (truths, truths.astype("float64")):
        _, axes = plotting.pair_plot(rows, rows)
        np.testing.assert_array_equal(axes[1, 0].get_xlim(), [-0.1, 1.1])
    _, axes = plotting.series(truths[:, :, None], num_lines=1)
    np.testing.assert_array_equal(axes[0].lines[1].get_ydata(), truths[0])


def test_series_of_one_step_are_points_on_a_band():
    _, axes = plotting.series(np.arange(6.0).reshape(3, 1, 2))
    for ax in axes:
        _, *points = ax.lines
        assert [line.get_marker() for line in points] == ["o"] * 3
        assert ax.collections[0].get_paths()[0].get_extents().width > 0.5


@pytest.mark.parametrize("shape", [(6, 6, 1), (5, 6, 6, 1), (9, 3), (1, 2), (6,)], ids=str)
def test_all_figures_of_a_model_take_its_data(shape):
    """Images and volumes in one Axes; series and rows as lines, with the model's numbers."""
    model = vae_of(shape, (networks.mlp_encoder, networks.mlp_decoder))
    x = np.random.default_rng(0).random((4, *shape)).astype("float32")
    _, axes = plotting.latent_scatter(model, x, [0, 1, 0, 1])
    assert axes.get_title() == f"Latent codes of 4 {'images' if len(shape) > 2 else 'examples'}"
    options = {"value_range": (-9, 9)} if len(shape) > 2 else {}
    figures = {
        "Reconstructions": plotting.reconstructions(model, x, **options),
        "Latent traversals": plotting.traversals(model, x[0], values=[-1, 2], **options),
        "Interpolations": plotting.interpolations(model, x[:1], x[1:2], 3, **options),
    }
    if len(shape) > 2:
        assert [axes.get_title() for _, axes in figures.values()] == [
            f"{name}, E[x|z]" for name in figures
        ]
        return
    assert [fig.get_suptitle() for fig, _ in figures.values()] == [
        f"{name}, E[x|z]" for name in figures
    ]
    rows, channels = (4, 2, 1), shape[1] if shape[1:] else 1
    assert [axes.shape for _, axes in figures.values()] == [(n, channels) for n in rows]
    expected = [
        np.stack([x, model.reconstruct(x)], axis=1),
        model.traverse(x[0], values=[-1, 2]),
        model.interpolate(x[:1], x[1:2], 3),
    ]
    for (_, axes), values in zip(figures.values(), expected, strict=True):
        values = np.reshape(values, (*np.shape(values)[:3], channels))
        for row, channel in np.ndindex(axes.shape):
            drawn = [line.get_ydata() for line in axes[row, channel].lines]
            np.testing.assert_allclose(drawn, values[row, :, :, channel], rtol=1e-5)


def draw(name, model, x, **options):
    arguments = {
        "reconstructions": (x,),
        "traversals": (x[0],),
        "interpolations": (x, x),
        "manifold": (),
    }
    return getattr(plotting, name)(model, *arguments[name], **options)


FIGURES = ["reconstructions", "traversals", "interpolations"]


@pytest.mark.parametrize("shape", [(3,), (4, 2)], ids=["rows", "series"])
def test_what_figures_of_rows_and_series_refuse(shape):
    model = vae_of(shape, (networks.mlp_encoder, networks.mlp_decoder))
    for name in FIGURES:
        with pytest.raises(ValueError, match="value_range is for images.*Leave it out"):
            draw(name, model, np.zeros((2, *shape)), value_range=(0, 1))
        with pytest.raises(ValueError, match=r"(x|start) must (be examples of shape|have \d axes)"):
            draw(name, model, np.zeros((2, *shape[:-1], 7)))
        with pytest.raises(ValueError, match="must be finite"):
            draw(name, model, np.full((2, *shape), np.nan))
    for name in ("reconstructions", "interpolations"):
        with pytest.raises(ValueError, match="at most 20 of series or rows.*Received: 21"):
            draw(name, model, np.zeros((21, *shape)))
    with pytest.raises(ValueError, match=r"shows images and volumes.*Take traversals for series"):
        draw("manifold", model, np.zeros((2, *shape)))
    with pytest.raises(ValueError, match=r"must be images.*series are for plotting.series, rows"):
        plotting.image_grid(np.zeros((2, *shape)))


def test_many_dimensions_of_series_are_refused():
    sizes = dict(latent_dim=21, width=2)
    encoder = networks.mlp_encoder((3,), **sizes)
    model = models.VAE(encoder, networks.mlp_decoder((3,), **sizes))
    with pytest.raises(ValueError, match="dims must be at most 20.*Received: 21. Pass some"):
        plotting.traversals(model)
    assert plotting.traversals(model, dims=range(3))[1].shape == (3, 1)


@pytest.mark.parametrize(
    "head, shown",
    [
        (lambda shape: layers.IndependentCategorical(shape, num_classes=4), "likeliest x"),
        (layers.IndependentBernoulli, "E[x|z]"),
    ],
    ids=["classes", "numbers"],
)
@pytest.mark.parametrize("num_classes", [None, 3])
def test_titles_say_what_stands_for_the_mean(head, shown, num_classes):
    """Classes have none."""
    shape, sizes = (4, 4, 1), dict(latent_dim=2, width=2, num_classes=num_classes)
    encoder = networks.mlp_encoder(shape, **sizes)
    model = models.VAE(encoder, networks.mlp_decoder(shape, head=head, **sizes), seed=0)
    options = {"value_range": (0, 3)}
    assert plotting.samples(model, 2, **options)[1].get_title() == f"2 samples, {shown}"
    drawn = plotting.samples(model, 2, mean=False, **options)[1].get_title()
    assert drawn == "2 samples, x ~ p(x|z)"
    if num_classes is None:
        x = np.zeros((2, *shape))
        titles = [draw(name, model, x, **options)[1].get_title() for name in FIGURES]
        titles.append(plotting.manifold(model, 2, **options)[1].get_title())
        assert all(title.endswith(f", {shown}") for title in titles)


@pytest.mark.parametrize(
    "classes",
    [[1, 2, 3, 1], [0.5, 1.5, 2.5, 0.5], ["a", "b", "c", "a"], [True, False, True, True]],
    ids=["ints", "floats", "texts", "truth values"],
)
def test_categories_are_classes(classes):
    column = pandas.Series(pandas.Categorical(classes * 10))
    frame = pandas.DataFrame({"a": column, "b": np.arange(40.0)})
    _, axes = plotting.marginals(frame, frame)
    labels = [label.get_text() for label in axes[0, 0].get_xticklabels()]
    assert labels == [str(value) for value in sorted(set(classes))]
    with pytest.raises(ValueError, match=r"real must hold numbers.*of categories \['a'\]"):
        plotting.pair_plot(frame, frame)


def test_many_categories_that_are_numbers_are_no_histogram():
    frame = pandas.DataFrame({"a": pandas.Categorical(np.arange(30))})
    _, axes = plotting.marginals(frame)
    assert [label.get_text() for label in axes[0, 0].get_xticklabels()][-1] == "others"


@pytest.mark.parametrize("kind", ["floats", "counts", "one value"])
@pytest.mark.parametrize("figure", ["marginals", "pair_plot"])
def test_rows_far_away_leave_the_shape_of_the_others(figure, kind):
    """Of 1,000 generated rows two lie beyond: all bins are among real rows, with their shares."""
    rng = np.random.default_rng(0)
    draw_column = {
        "floats": lambda: rng.normal(size=(1000, 2)),
        "counts": lambda: rng.poisson(20.0, (1000, 2)),
        "one value": lambda: np.ones((1000, 2)),
    }[kind]
    real, generated = draw_column(), draw_column()
    generated[:2] = 1e9
    if kind == "one value":  # Else few enough for bars.
        generated[2:] += 0.1 * rng.random((998, 2))
    _, axes = getattr(plotting, figure)(real, generated)
    panel = axes[0, 0]
    assert panel.get_title() == "2 of 1,000 beyond"
    outlines = [patch.get_xy().T for patch in panel.patches]
    for x, y in outlines:
        assert x.min() >= real[:, 0].min() - 5 and x.max() <= real[:, 0].max() + 5
        corners = np.unique(x)
        heights = [y[x == corner].max() for corner in corners]
        assert len(corners) > 10 and np.ptp(heights) > 0
    areas = [abs(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)) for x, y in outlines]
    np.testing.assert_allclose(areas, [1.0, 0.998], rtol=1e-6)


@pytest.mark.parametrize(
    "low, high",
    [
        (-(2**63), 2**63 - 1),
        (2**60, 2**60 + 100),
        (2**53, 2**63 - 1),
        (-(2**62), -(2**62) + 1),
        (0, 2**40),
    ],
)
def test_large_whole_numbers_have_bins(low, high):
    rng = np.random.default_rng(0)
    column = rng.integers(low, high, 500, dtype="int64", endpoint=True)
    column = np.concatenate([column, np.arange(20) + min(low, 2**62)])
    for real in (None, np.stack([column, column], axis=1)):
        _, axes = plotting.marginals(real, np.stack([column, column], axis=1))
        edges = axes[0, 0].patches[0].get_xy()[:, 0] if axes[0, 0].patches else [0]
        assert np.all(np.isfinite(edges)) and len(np.unique(edges)) > 1


def test_dates_have_histograms():
    dates = pandas.date_range("2020-01-01", periods=200, freq="D")
    for column in (dates, dates.tz_localize("Europe/Berlin"), dates.astype("datetime64[s]")):
        frame = pandas.DataFrame({"day": column, "wait": dates - dates[0]})
        fig, axes = plotting.marginals(frame, frame.iloc[::2])
        fig.canvas.draw()
        day, wait = axes[0]
        labels = [label.get_text() for label in day.get_xticklabels()]
        assert labels and max(map(len, labels)) <= 8 and "2020" in " ".join(labels)
        assert wait.patches[0].get_xy()[:, 0].max() == pytest.approx(199, abs=1)
    frame.loc[3, "day"] = pandas.NaT
    with pytest.raises(ValueError, match="Column 'day' must have no missing dates.*1 of 200"):
        plotting.marginals(frame)


def test_dates_of_long_ago():
    """Nanoseconds begin in 1677."""
    days = np.datetime64("1492-10-12", "s") + np.arange(40) * np.timedelta64(1, "D")
    _, axes = plotting.marginals(pandas.DataFrame({"day": days}))
    edges = matplotlib.dates.num2date(axes[0, 0].patches[0].get_xy()[:, 0])
    assert {edge.year for edge in edges} == {1492}


def test_dates_beside_texts_are_short_texts():
    real = pandas.DataFrame({"day": pandas.to_datetime(["2020-01-01", "2020-02-01"])})
    _, axes = plotting.marginals(real, pandas.DataFrame({"day": ["2020-01-01", "2020-01-01"]}))
    labels = [label.get_text() for label in axes[0, 0].get_xticklabels()]
    assert labels == ["2020-01-01", "2020-02-01"]


@pytest.mark.parametrize("where", ["class", "column"])
def test_a_long_name_leaves_the_panels_their_size(where):
    long = "x" * 300
    names = ["a", "b", "c", long if where == "column" else "d"]
    values = np.random.default_rng(0).choice(["u", long if where == "class" else "v"], (40, 4))
    fig, axes = plotting.marginals(pandas.DataFrame(values, columns=names))
    fig.canvas.draw()
    sides = [ax.get_window_extent() for ax in axes.flat]
    assert min(side.height for side in sides) > 60 and min(side.width for side in sides) > 100
    if where == "column":
        rows = np.random.default_rng(0).normal(size=(20, 4))
        for fig, axes in (
            plotting.pair_plot(rows, rows, names),
            plotting.correlations(np.eye(4), np.eye(4), names),
            plotting.series(rows[:, None], channel_names=names),
        ):
            fig.canvas.draw()
            assert min(ax.get_window_extent().height for ax in axes.flat) > 60
            assert np.all(fig.get_size_inches() < 15)


def test_marginals_of_samples_alone():
    model = vae_of((4,), (networks.mlp_encoder, networks.mlp_decoder))
    figure, axes = plotting.samples(model, 50)
    assert axes.shape == (1, 4) and not figure.legends
    with pytest.raises(ValueError, match="Give real or generated rows"):
        plotting.marginals()
    with pytest.raises(ValueError, match="must have the same columns"):
        plotting.marginals(table(0), table(0)[["size"]])
    twice = pandas.DataFrame(np.zeros((3, 2)), columns=["a", "a"])
    with pytest.raises(ValueError, match="columns of different names.*'a', 'a'"):
        plotting.marginals(twice)


def test_pairs_are_real_below_and_generated_above_the_diagonal():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(50, 3)), rng.normal(size=(60, 3))
    _, axes = plotting.pair_plot(real, generated, max_points=40)
    below, above = (axes[at].collections[0].get_offsets() for at in ((2, 0), (0, 2)))
    assert len(below) == len(above) == 40
    assert {tuple(p) for p in below} <= {tuple(p) for p in real[:, [0, 2]]}
    assert {tuple(p) for p in above} <= {tuple(p) for p in generated[:, [2, 0]]}
    assert axes[2, 0].get_ylim() == pytest.approx(axes[2, 1].get_ylim())
    _, axes = plotting.pair_plot(table(0)[["size", "visits"]], table(1)[["size", "visits"]])
    assert axes[1, 0].get_ylabel() == "visits"
    with pytest.raises(ValueError, match="the same 2 to 8 columns. Received: 3 and 2"):
        plotting.pair_plot(real, generated[:, :2])
    with pytest.raises(ValueError, match=r"in one order.*\['size', 'visits'\] and \['visits'"):
        plotting.pair_plot(table(0)[["size", "visits"]], table(1)[["visits", "size"]])


def test_correlations_and_their_difference():
    real, generated = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.5], [-0.5, np.nan]])
    _, axes = plotting.correlations(real, generated, names=["a", "b"])
    shown = [ax.images[0].get_array().filled(np.nan) for ax in axes]
    for found, expected in zip(shown, (real, generated, generated - real), strict=True):
        np.testing.assert_allclose(found, expected)
    assert {ax.images[0].get_clim() for ax in axes} == {(-1, 1)}
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match=r"from -1 to 1. Received: values from 1 to 2"):
        plotting.correlations(real, [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match=r"Received: values from 0 to 1.00000\d"):
        plotting.correlations(real, [[1.000002, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match=r"generated must be a square matrix. Received: shape"):
        plotting.correlations(real, real[:1])
    with pytest.raises(ValueError, match=r"must be of the same columns. Received: shapes"):
        plotting.correlations(real, np.eye(3))
    with pytest.raises(ValueError, match="names must be at most 40"):
        plotting.correlations(np.eye(41), np.eye(41), names=range(41))
