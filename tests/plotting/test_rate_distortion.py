import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.plotting.rate_distortion import rate_distortion

RATE = np.array([25.0, 15.0, 8.0, 26.0, 16.0, 9.0])
DISTORTION = np.array([80.0, 88.0, 99.0, 79.0, 86.0, 97.0])
BETA = np.array([1, 4, 16, 1, 4, 16])
LATENT_DIM = np.array([5, 5, 5, 20, 20, 20])


def points(axes):
    """Scattered points of each latent size; the legend's own are empty."""
    return [c for c in axes.collections if len(np.ma.compressed(c.get_offsets()))]


def curves(axes):
    return [line for line in axes.lines if line.get_linestyle() == "-"]


@pytest.fixture(scope="module")
def figure():
    return rate_distortion(RATE, DISTORTION, BETA, LATENT_DIM)


def test_each_latent_size_has_its_points_and_shape(figure):
    fig, axes = figure
    for drawn, size in zip(points(axes), (5, 20), strict=True):
        chosen = LATENT_DIM == size
        expected = np.stack([RATE[chosen], DISTORTION[chosen]], axis=1)
        assert_array_equal(drawn.get_offsets(), expected)
    outlines = {drawn.get_paths()[0].vertices.tobytes() for drawn in points(axes)}
    assert len(outlines) == 2
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["5", "20"]


def test_colours_are_logarithmic_in_beta_and_named(figure):
    fig, axes = figure
    # 4 is half way between 1 and 16 in the logarithm.
    expected = matplotlib.colormaps["viridis"]([0.0, 0.5, 1.0])
    for drawn in points(axes):
        assert_allclose(drawn.to_rgba(drawn.get_array()), expected, atol=0.01)
    bar = fig.axes[-1]
    assert [text.get_text() for text in bar.get_yticklabels()] == ["1", "4", "16"]
    assert bar.get_ylabel() == "beta"


def test_lines_are_of_the_elbo_that_they_name(figure):
    _, axes = figure
    lines = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert len(lines) >= 3
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for line, text in zip(lines, axes.texts, strict=True):
        elbo = float(text.get_text().removeprefix("ELBO "))
        x, y = line.get_data()
        assert_allclose(-(x + y), elbo)
        assert_allclose(-sum(text.get_position()), elbo)
        assert np.all((x > left - 1e-9) & (x < right + 1e-9))
        assert np.all((y > bottom - 1e-9) & (y < top + 1e-9))


def test_all_points_are_within_the_axes(figure):
    _, axes = figure
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < RATE.min() and RATE.max() < right
    assert bottom < DISTORTION.min() and DISTORTION.max() < top


def test_curve_runs_through_the_mean_of_each_beta_in_order():
    _, axes = rate_distortion([8, 25, 27, 15], [99, 80, 82, 88], beta=[16, 1, 1, 4])
    (curve,) = curves(axes)
    assert_array_equal(curve.get_xdata(), [26, 15, 8])
    assert_array_equal(curve.get_ydata(), [81, 88, 99])


def test_without_beta_there_is_neither_curve_nor_colour_bar():
    fig, axes = rate_distortion(RATE, DISTORTION)
    assert not curves(axes) and len(fig.axes) == 1 and not fig.legends
    assert_array_equal(points(axes)[0].get_offsets()[:, 0], RATE)


@pytest.mark.parametrize("beta", [[3.0], [0.0]])
def test_one_model(beta):
    fig, axes = rate_distortion([7.0], [110.0], beta, [2], beta_label="gamma")
    assert fig.axes[-1].get_ylabel() == "gamma"
    assert [text.get_text() for text in fig.axes[-1].get_yticklabels()] == [f"{beta[0]:g}"]


def test_beta_of_zero_is_drawn_in_a_linear_scale():
    _, axes = rate_distortion(RATE[:3], DISTORTION[:3], beta=[0.0, 1.0, 2.0])
    expected = matplotlib.colormaps["viridis"]([0.0, 0.5, 1.0])
    (drawn,) = points(axes)
    assert_allclose(drawn.to_rgba(drawn.get_array()), expected, atol=0.01)


@pytest.mark.parametrize("rate, beta", [([1.0, 2.0], None), ([1.0], [1.0, 2.0]), ([[1.0]], None)])
def test_lengths_that_differ_are_refused(rate, beta):
    with pytest.raises(ValueError, match=r"sequences of one length.*Received: {'rate': \("):
        rate_distortion(rate, [5.0], beta)


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        rate_distortion([], [])


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="Received: NaN or infinite distortion"):
        rate_distortion([1.0, 2.0], [np.nan, 3.0])
