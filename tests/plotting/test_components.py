"""Order and weights of components, mean images, and ellipses."""

import numpy as np
import pytest

from tfgen.models.mixture_em import MixtureEM
from tfgen.plotting.components import mixture_components


def test_images_by_weight():
    means = np.random.default_rng(0).uniform(0.1, 0.9, size=(3, 4, 5, 1))
    model = MixtureEM(3, (4, 5, 1), "bernoulli")
    model.set_parameters(means, weights=[0.2, 0.5, 0.3])
    _, axes = mixture_components(model)
    shown = [ax for ax in axes.flat if ax.images]
    assert [ax.get_title() for ax in shown] == ["50.0%", "30.0%", "20.0%"]
    for ax, k in zip(shown, [1, 2, 0], strict=True):
        pixels = np.asarray(ax.images[0].get_array())
        np.testing.assert_allclose(pixels, means[k, ..., 0], rtol=1e-6)


@pytest.mark.parametrize(
    "components, covariance, matrix",
    [
        ("full", [[2.0, 0.5], [0.5, 1.0]], [[2.0, 0.5], [0.5, 1.0]]),
        ("diagonal", [4.0, 1.0], [[4.0, 0.0], [0.0, 1.0]]),
        ("spherical", 4.0, [[4.0, 0.0], [0.0, 4.0]]),
    ],
)
def test_ellipses_are_two_standard_deviations_from_the_mean(components, covariance, matrix):
    model = MixtureEM(1, (2,), components)
    model.set_parameters([[1.0, 3.0]], [covariance])
    x = np.random.default_rng(0).normal(size=(20, 2))
    _, axes = mixture_components(model, x=x)
    points, ellipse, centre = (np.transpose(line.get_data()) for line in axes.lines)
    np.testing.assert_array_equal(points, x)
    np.testing.assert_array_equal(centre, [[1.0, 3.0]])
    offsets = ellipse - centre
    squared = np.einsum("nd,de,ne->n", offsets, np.linalg.inv(matrix), offsets)
    np.testing.assert_allclose(squared, 4.0, rtol=1e-10)


def test_other_data_are_refused():
    model = MixtureEM(2, (3,), "spherical")
    with pytest.raises(ValueError, match=r"Received: a mixture of data of shape \(3,\)"):
        mixture_components(model)


@pytest.mark.parametrize(
    "shape, argument, value", [((2,), "value_range", (0, 1)), ((4, 5, 1), "x", np.zeros((3, 2)))]
)
def test_arguments_of_the_other_kind_are_refused(shape, argument, value):
    model = MixtureEM(2, shape, "spherical")
    model.set_parameters(np.arange(2.0 * np.prod(shape)).reshape(2, *shape), [1.0, 1.0])
    with pytest.raises(ValueError, match=f"{argument} is for a mixture of .*Received: {argument}="):
        mixture_components(model, **{argument: value})
