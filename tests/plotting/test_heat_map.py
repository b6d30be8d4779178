"""Cells, numbers, contrast and missing values of a heat map."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tfgen.plotting.heat_map import heat_map

VALUES = np.array([[0.0, 0.25, 0.5], [0.75, np.nan, 1.0]])


def luminance(color):
    """Relative luminance of an sRGB colour, channel by channel."""
    weights = (0.2126, 0.7152, 0.0722)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(weight * c for weight, c in zip(weights, linear, strict=True))


def test_cells_hold_the_values_and_their_numbers(texts):
    _, axes = heat_map(VALUES, row_labels=[1, 4], column_labels=["a", "b", "c"])
    np.testing.assert_array_equal(np.ma.filled(axes.images[0].get_array(), np.nan), VALUES)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {
        (0, 0): "0.00",
        (1, 0): "0.25",
        (2, 0): "0.50",
        (0, 1): "0.75",
        (1, 1): "n/a",
        (2, 1): "1.00",
    }
    assert texts(axes.get_yticklabels()) == ["1", "4"]
    assert texts(axes.get_xticklabels()) == ["a", "b", "c"]


def test_numbers_are_legible_on_every_colour():
    values = np.linspace(0, 1, 256)[None]
    _, axes = heat_map(values)
    image = axes.images[0]
    for value, text in zip(values[0], axes.texts, strict=True):
        dark, light = sorted([luminance(image.to_rgba(value)[:3]), luminance(text.get_color())])
        assert (light + 0.05) / (dark + 0.05) > 4.5  # WCAG 2.1, level AA
    assert len({text.get_color() for text in axes.texts}) == 2


def test_colour_is_ordered_by_lightness():
    _, axes = heat_map(np.linspace(0, 1, 50)[None])
    colors = axes.images[0].to_rgba(np.linspace(0, 1, 50))
    assert np.all(np.diff([luminance(color[:3]) for color in colors]) > 0)


def test_missing_cells_are_transparent():
    _, axes = heat_map(VALUES)
    alphas = axes.images[0].to_rgba(axes.images[0].get_array())[..., 3]
    np.testing.assert_array_equal(alphas, ~np.isnan(VALUES))


def test_range_format_and_labels():
    fig, axes = heat_map(
        VALUES, title="Scores", value_label="nats", value_format=".0%", value_range=(-1, 2)
    )
    assert axes.images[0].get_clim() == (-1, 2)
    assert axes.texts[1].get_text() == "25%"
    assert (axes.get_title(), fig.axes[1].get_ylabel()) == ("Scores", "nats")
    assert heat_map(VALUES)[1].images[0].get_clim() == (0.0, 1.0)


def test_framed_cells():
    _, axes = heat_map(VALUES, highlight=[(1, 2)])
    assert len(axes.patches) == 2
    for patch in axes.patches:
        center = np.add(patch.get_xy(), (patch.get_width() / 2, patch.get_height() / 2))
        np.testing.assert_allclose(center, (2, 1))
    assert len(heat_map(VALUES)[1].patches) == 0
    assert len(heat_map(VALUES, highlight=iter([(1, 2)]))[1].patches) == 2


@pytest.mark.parametrize("values", [[[0.5, 0.5]], [[0.0]], [[-3.0, np.nan]]])
def test_equal_values_can_be_drawn(values):
    fig, axes = heat_map(values)
    fig.canvas.draw()
    assert axes.texts[0].get_text() == f"{values[0][0]:.2f}"


def test_no_text_leaves_its_cell():
    fig, axes = heat_map(np.full((2, 3), -1234.5678), column_labels=["orientation", "b", "c"])
    fig.canvas.draw()
    cell = axes.get_window_extent().width / 3
    texts = [*axes.texts, *axes.get_xticklabels()]
    assert all(text.get_window_extent().width < cell for text in texts)
    plt.close(fig)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"values": [1.0, 2.0]}, r"Received: shape \(2,\), 2 finite"),
        ({"values": [[1.0, np.inf]]}, r"Received: shape \(1, 2\), 1 finite, 1 infinite"),
        ({"values": [[np.nan]]}, "at least one that is not. Received: .*, 0 finite"),
        ({"values": np.zeros((2, 0))}, r"Received: shape \(2, 0\), 0 finite"),
        ({"row_labels": [1, 2, 3]}, "row_labels must hold one label for each of 2. Received: 3"),
        ({"column_labels": []}, "column_labels must .* each of 3. Received: 0"),
        ({"value_range": (1, 0)}, r"low < high. Received: value_range=\(1, 0\). Use None"),
        ({"highlight": [(2, 0)]}, r"matrix of shape \(2, 3\). Received: \(2, 0\)"),
    ],
)
def test_unusable_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        heat_map(**{"values": VALUES, **arguments})
