"""Network of auxiliary variables: values against NumPy, sizes by hand, errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfgen import layers
from tfgen.networks.auxiliary import mlp_auxiliary

SHAPE = (2, 3, 1)


def test_is_one_dense_softplus_on_both_inputs():
    network = mlp_auxiliary(SHAPE, latent_dim=2, output_dim=3, head=None, width=5)
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(7, *SHAPE)), rng.normal(size=(7, 2))
    weights, bias, out_weights, out_bias = network.get_weights()
    hidden = np.logaddexp(0, np.c_[x.reshape(7, 6), z] @ weights + bias)
    # float32 sums of at most eight terms of order one.
    assert_allclose(network([x, z]), hidden @ out_weights + out_bias, atol=1e-5)


def test_begins_nearly_independent_of_its_inputs():
    kernel = mlp_auxiliary(SHAPE, latent_dim=50, width=100).layers[-2].get_weights()[0]
    assert kernel.shape == (100, 2 * 50)
    # 5 standard errors of the deviation of 10,000 normals.
    assert np.std(kernel) == pytest.approx(0.01, rel=5 / np.sqrt(2 * kernel.size))


@pytest.mark.parametrize(
    "arguments, sizes",
    [
        (dict(latent_dim=4), (6 + 4, 300, 2 * 4)),
        (dict(latent_dim=4, output_dim=1, width=20, depth=2), (6 + 4, 20, 20, 2)),
        (dict(latent_dim=1, width=(7, 5), head=layers.FixedScaleNormal), (6 + 1, 7, 5, 1)),
    ],
)
def test_parameter_counts(arguments, sizes):
    num_params = sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))
    assert mlp_auxiliary(SHAPE, **arguments).count_params() == num_params


def test_returns_a_density_over_the_auxiliary_variables():
    density = mlp_auxiliary((6,), latent_dim=2, output_dim=3, width=4)(
        [np.ones((5, 6)), np.ones((5, 2))]
    )
    assert density.batch_shape == (5,)
    assert density.event_shape == (3,)


@pytest.mark.parametrize("arguments", [dict(latent_dim=0), dict(latent_dim=2, output_dim=0)])
def test_sizes_out_of_range(arguments):
    with pytest.raises(ValueError, match="must be an int of at least 1. Received: .*=0"):
        mlp_auxiliary(SHAPE, **arguments)
