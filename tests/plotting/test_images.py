import types
import warnings

import numpy as np
import pytest
import tensorflow as tf

from tfgen.plotting import image_grid, samples


def grid_of(axes):
    return np.asarray(axes.images[0].get_array())


def numbered(num, channels=1):
    """Images of 3 x 4 pixels, each of one value: its number divided by `num`."""
    values = np.arange(num, dtype="float32") / num
    return np.broadcast_to(values[:, None, None, None], (num, 3, 4, channels))


def test_images_lie_row_by_row_with_white_gaps(tile):
    _, axes = image_grid(numbered(6), columns=3)
    assert grid_of(axes).shape == (3 + 1 + 3, 4 + 1 + 4 + 1 + 4)
    for i in range(6):
        np.testing.assert_array_equal(tile(axes, i // 3, i % 3), np.float32(i / 6))
    np.testing.assert_array_equal(grid_of(axes)[3], 1.0)
    np.testing.assert_array_equal(grid_of(axes)[:, [4, 9]], 1.0)


def test_missing_images_of_the_last_row_are_white(tile):
    _, axes = image_grid(numbered(5), columns=3)
    np.testing.assert_array_equal(tile(axes, 1, 2), 1.0)
    assert tile(axes, 1, 1).max() == np.float32(0.8)


@pytest.mark.parametrize("num, expected_columns", [(1, 1), (2, 2), (9, 3), (10, 4), (64, 8)])
def test_columns_default_to_the_squarest_grid(num, expected_columns):
    _, axes = image_grid(numbered(num))
    assert grid_of(axes).shape[1] == expected_columns * 5 - 1


def test_no_more_columns_than_images():
    _, axes = image_grid(numbered(2), columns=10)
    assert grid_of(axes).shape == (3, 9)


def test_colours_stay():
    red = np.zeros((1, 3, 4, 3))
    red[..., 0] = 1.0
    _, axes = image_grid(tf.constant(red))
    np.testing.assert_array_equal(grid_of(axes), red[0])


def test_single_channel_is_shown_black_to_white():
    _, axes = image_grid(numbered(4))
    image = axes.images[0]
    assert image.get_clim() == (0.0, 1.0)
    assert image.get_cmap().name == "gray"


@pytest.mark.parametrize(
    "value_range, pixel, shown",
    [((-1, 1), 0.0, 0.5), ((0, 255), 51.0, 0.2), ((0, 1), 1.5, 1.0), ((0, 1), -0.5, 0.0)],
)
def test_value_range_is_mapped_and_clipped(value_range, pixel, shown):
    _, axes = image_grid(np.full((1, 3, 4, 1), pixel), value_range=value_range)
    # float32 rounding of one subtraction and one division.
    np.testing.assert_allclose(grid_of(axes), shown, rtol=1e-6)


def test_eight_bit_images_with_their_range():
    _, axes = image_grid(np.full((1, 3, 4, 1), 255, "uint8"), value_range=(0, 255))
    assert grid_of(axes).min() == 1.0


def test_titles_make_one_axes_each():
    _, axes = image_grid(numbered(5), columns=3, titles=list("abcde"))
    assert axes.shape == (2, 3)
    assert [ax.get_title() for ax in axes.flat] == ["a", "b", "c", "d", "e", ""]
    assert len(axes[1, 2].images) == 0
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array().squeeze(), np.float32(3 / 5))


def test_labels_stand_at_the_images_centres(texts):
    _, axes = image_grid(
        numbered(6), columns=3, row_labels=["top", "bottom"], column_labels=list("abc")
    )
    assert texts(axes.get_yticklabels()) == ["top", "bottom"]
    assert texts(axes.get_xticklabels()) == ["a", "b", "c"]
    # Pixel centres are integers: a 3 x 4 image spans rows 0 to 2 and columns 0 to 3.
    np.testing.assert_array_equal(axes.get_yticks(), [1, 5])
    np.testing.assert_array_equal(axes.get_xticks(), [1.5, 6.5, 11.5])


def test_labels_that_would_overlap_are_thinned(texts):
    labels = [f"{i:.4f}" for i in range(40)]
    _, axes = image_grid(numbered(40), columns=40, column_labels=labels)
    shown = texts(axes.get_xticklabels())
    # 40 labels of 6 characters in 10 inches: every second or third fits.
    assert shown in (labels[::2], labels[::3])


def test_drawn_labels_do_not_overlap():
    labels = [f"{i:.2f}" for i in range(30)]
    fig, axes = image_grid(numbered(30), columns=30, column_labels=labels)
    fig.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


@pytest.mark.parametrize("shape", [(400, 8, 8, 1), (64, 256, 256, 3), (1, 5, 5, 1)])
def test_figure_is_bounded(shape):
    fig, _ = image_grid(np.zeros(shape, "float32"))
    width, height = fig.get_size_inches()
    assert 3 <= width <= 10 and 0.6 <= height <= 11


def test_tall_grid_is_bounded():
    fig, _ = image_grid(numbered(500), columns=1)
    assert fig.get_size_inches()[1] < 21


@pytest.mark.parametrize(
    "shape", [(28, 28), (5, 28, 28), (0, 28, 28, 1), (5, 28, 28, 2), (5, 28, 28, 4), (5, 784)]
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"1 or 3 channels.*Received: shape \("):
        image_grid(np.zeros(shape))


def test_nan_is_refused():
    images = np.zeros((2, 3, 4, 1))
    images[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Received: 1 of 24 values NaN or infinite"):
        image_grid(images)


def test_eight_bit_images_without_their_range_are_refused():
    with pytest.raises(ValueError, match=r"Received: a pixel of 200. Pass value_range=\(0, 255\)"):
        image_grid(np.full((1, 3, 4, 1), 200, "uint8"))


def test_empty_value_range_is_refused():
    with pytest.raises(ValueError, match=r"low < high. Received: value_range=\(1, 0\)"):
        image_grid(numbered(1), value_range=(1, 0))


def test_columns_below_one_are_refused():
    with pytest.raises(ValueError, match="Received: columns=0"):
        image_grid(numbered(4), columns=0)


@pytest.mark.parametrize("name, expected", [("titles", 6), ("row_labels", 2), ("column_labels", 3)])
def test_wrong_number_of_labels_is_refused(name, expected):
    with pytest.raises(ValueError, match=f"{name} must .* each of {expected}. Received: 7 labels"):
        image_grid(numbered(6), columns=3, **{name: ["x"] * 7})


@pytest.mark.parametrize("low, high, share", [(-1.0, 1.0, "4.%"), (0.0, 255.0, "9.%")])
def test_warns_of_many_clipped_pixels(low, high, share):
    images = np.random.default_rng(0).uniform(low, high, (4, 3, 4, 1))
    with pytest.warns(UserWarning, match=rf"{share} of the values lie outside of value_range=\(0"):
        image_grid(images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image_grid(images, value_range=(low, high))
        draws = np.random.default_rng(0).normal(0.5, 0.2, (100, 3, 4, 1))
        image_grid(draws)  # 0.6 % lie beyond the margin of 5 %.


@pytest.mark.parametrize("plot", [lambda model: image_grid(model.sample(4)), samples])
def test_the_warning_names_the_line_of_the_user(plot):
    model = types.SimpleNamespace(sample=lambda num, seed=None: np.full((num, 3, 4, 1), 2.0))
    with pytest.warns(UserWarning, match="100% of the values") as caught:
        plot(model)
    assert [warning.filename for warning in caught] == [__file__]
