import types

import numpy as np
import pytest
import tensorflow_probability as tfp
from scipy import stats

from tfgen.plotting.density import density

tfd = tfp.distributions


def test_values_lie_where_the_axes_say():
    """Against SciPy, in a range that is wider than high and not around the origin."""
    normal = tfd.MultivariateNormalDiag([1.0, -2.0], [0.5, 0.25])
    _, axes = density(normal, [(-1, 3), (-3, -1.5)], num=8)
    image = axes.images[0]
    assert tuple(image.get_extent()) == (-1, 3, -3, -1.5)
    first = -1 + 0.5 * (np.arange(8) + 0.5)
    second = -3 + 0.1875 * (np.arange(8) + 0.5)
    expected = np.outer(stats.norm.pdf(second, -2, 0.25), stats.norm.pdf(first, 1, 0.5))
    assert image.origin == "lower"
    np.testing.assert_allclose(image.get_array(), expected, rtol=1e-4)


def test_title_tells_the_probability_inside():
    """A quadrant of a centered normal holds a quarter."""
    normal = tfd.MultivariateNormalDiag([0.0, 0.0])
    _, axes = density(normal, [(0, 5), (0, 5)], num=50)
    assert axes.get_title() == "p(x), 25 % of it inside"


def test_data_are_drawn():
    points = np.random.default_rng(0).normal(size=(30, 2))
    normal = tfd.MultivariateNormalDiag([0.0, 0.0])
    _, axes = density(normal, [(-3, 3), (-2, 2)], points, num=4)
    np.testing.assert_allclose(axes.collections[0].get_offsets(), points)
    assert axes.get_xlim() == (-3, 3) and axes.get_ylim() == (-2, 2)


@pytest.mark.parametrize("ranges", [(-3, 3), [(3, -3), (0, 1)]])
def test_other_ranges_are_refused(ranges):
    with pytest.raises(ValueError, match=r"low < high. Received: ranges=\["):
        density(tfd.MultivariateNormalDiag([0.0, 0.0]), ranges)


def test_other_points_are_refused():
    with pytest.raises(ValueError, match=r"data must .* Received: data of shape \(5, 3\)"):
        density(tfd.MultivariateNormalDiag([0.0, 0.0]), [(-3, 3), (-2, 2)], np.zeros((5, 3)))


@pytest.mark.parametrize(
    "model, received",
    [
        (tfd.MultivariateNormalDiag(np.zeros(3)), r"model with event_shape \(3,\)"),
        (tfd.Normal(0.0, 1.0), r"model with event_shape \(\)"),
        (
            types.SimpleNamespace(data_shape=(8, 8, 1), log_prob=len),
            r"model with data_shape \(8, 8, 1",
        ),
        (types.SimpleNamespace(log_prob=lambda x: x), r"values of shape \(16384, 2\)"),
        (tfd.Normal, "model=Normal, a class"),
    ],
)
def test_models_of_other_dimensions_are_refused(model, received):
    with pytest.raises(ValueError, match=f"model must .* Received: {received}"):
        density(model, [(-3, 3), (-2, 2)])


@pytest.mark.parametrize("bound", [np.nan, np.inf])
def test_unbounded_ranges_are_refused(bound):
    with pytest.raises(ValueError, match="ranges must be .*finite"):
        density(tfd.MultivariateNormalDiag([0.0, 0.0]), [(-3, 3), (-2, bound)])
