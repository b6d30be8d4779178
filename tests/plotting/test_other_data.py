"""Figures of what are no images: volumes, series and rows of tables."""

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
    with pytest.raises(ValueError, match=r"generated must be a square matrix. Received: shape"):
        plotting.correlations(real, real[:1])
    with pytest.raises(ValueError, match=r"must be of the same columns. Received: shapes"):
        plotting.correlations(real, np.eye(3))
    with pytest.raises(ValueError, match="names must be at most 40"):
        plotting.correlations(np.eye(41), np.eye(41), names=range(41))
