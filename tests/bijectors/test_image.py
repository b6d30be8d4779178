"""Masks, squeeze and split: values by hand, and the battery of all bijectors."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal

from tfgen.bijectors.coupling import AffineCoupling
from tfgen.bijectors.glow import ActNorm, Invertible1x1Conv
from tfgen.bijectors.image import Split, Squeezed, channel_mask, checkerboard_mask
from tfgen.networks import flows


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def scaled(event_shape):
    """A bijector that tells channels apart."""
    norm = ActNorm(event_shape)
    norm.log_scale.assign(np.linspace(-1, 1, event_shape[-1]))
    norm.loc.assign(np.arange(event_shape[-1]))
    return norm


def test_masks():
    expected = [[0, 1, 0], [1, 0, 1]]
    assert_array_equal(checkerboard_mask((2, 3, 5))[..., 0], expected)
    assert_array_equal(checkerboard_mask((2, 3, 5), invert=True)[..., 0], 1 - np.array(expected))
    assert_array_equal(channel_mask(5).ravel(), [1, 1, 0, 0, 0])
    assert_array_equal(channel_mask(5, invert=True).ravel(), [0, 0, 1, 1, 1])
    assert checkerboard_mask((2, 3, 5)).shape == (2, 3, 1)


def test_squeeze_makes_squares_of_pixels_channels():
    x = images(2, 4, 6, 2)
    squeezed = Squeezed(ActNorm((2, 3, 8)))
    y = squeezed.take(x)
    for row in range(2):
        for column in range(3):
            square = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert_array_equal(y[:, row, column], square.reshape(2, 8))
    assert_array_equal(squeezed.put_back(y, x), x)


def test_squeezed_applies_the_inner_bijector_to_squares():
    """One log-scale for each place in a square: rows and columns alternate."""
    norm = ActNorm((2, 2, 4))
    norm.log_scale.assign(np.log([1.0, 2.0, 3.0, 4.0]))
    y, log_det = Squeezed(norm).forward(np.ones((1, 4, 4, 1), "float32"))
    np.testing.assert_allclose(y[0, ..., 0], np.tile([[1, 2], [3, 4]], (2, 2)), rtol=1e-6)
    np.testing.assert_allclose(log_det, [4 * np.log(24)], rtol=1e-6)


def test_split_passes_the_second_half():
    x = images(3, 2, 2, 4)
    split = Split(scaled((2, 2, 2)))
    y, log_det = split.forward(x)
    inner, inner_log_det = split.bijector.forward(x[..., :2])
    assert_array_equal(y[..., 2:], x[..., 2:])
    assert_array_equal(y[..., :2], inner)
    assert_array_equal(log_det, inner_log_det)


def test_initialization_reaches_the_inner_bijector():
    flow = Squeezed(Split(ActNorm((2, 2, 2))))
    z = flow.take(flow.initialize(3 + 2 * images(64, 4, 4, 1)))
    np.testing.assert_allclose(np.mean(z[..., :2], axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.var(z[..., :2], axis=(0, 1, 2)), 1, rtol=1e-4)
    assert abs(np.mean(z[..., 2:]) - 3) < 0.5


BUILDERS = {
    "squeezed": lambda: Squeezed(scaled((2, 2, 4))),
    "split": lambda: Split(Invertible1x1Conv((2, 2, 2), seed=0)),
    "coupling": lambda: Squeezed(flows.simple_flow((1, 2, 4), 1, width=2, num_layers=0)),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_bijector(name, check_bijector):
    bijector = BUILDERS[name]()
    check_bijector(bijector, images(3, *bijector.event_shape))


@pytest.mark.parametrize("graph", [False, True])
def test_contexts_of_more_rows(graph, perturb):
    """Images (n, 1, ...) and contexts (k, ...) give what copies give."""
    shape = (2, 1, 4)
    network = flows.gated_conv_net(shape, 8, width=2, num_layers=0, context_shape=(2, 1, 3))
    coupling = AffineCoupling(network, checkerboard_mask(shape))
    flow = perturb(Split(Squeezed(coupling), name="split"))
    x, context = images(2, 1, *flow.event_shape), images(3, 2, 1, 3)
    x_copies, context_copies = np.repeat(x[:, 0], 3, axis=0), np.tile(context, (2, 1, 1, 1))
    for map_ in (flow.forward, flow.inverse):
        y, log_det = map_(tf.constant(x_copies), tf.constant(context_copies))
        values, change = (tf.function(map_) if graph else map_)(tf.constant(x), context)
        np.testing.assert_allclose(values, np.reshape(y, (2, 3, *flow.event_shape)), atol=1e-5)
        np.testing.assert_allclose(change, np.reshape(log_det, (2, 3)), rtol=1e-5, atol=1e-5)
        assert np.ptp(change) > 0.1


def test_squeeze_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"multiple of 4 .*Received: event_shape=\(2, 2, 3\)"):
        Squeezed(ActNorm((2, 2, 3)))
