"""Networks whose formulas could overflow, at weights of hundreds: outputs stay finite."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import networks
from tfgen.layers import IndependentNormal, StandardNormal

SHAPE = (8, 8, 1)


def extreme(network, seed=0):
    """The network with weights of some hundreds, a thousand times what training gives."""
    rng = np.random.default_rng(seed)
    for weight in network.trainable_variables:
        weight.assign(weight + 300 * rng.normal(size=weight.shape))
    return network


@pytest.mark.parametrize("write_size", [None, 2])
def test_canvases_of_draw(write_size):
    decoder = extreme(networks.DRAWDecoder(SHAPE, 2, 3, width=4, write_size=write_size))
    canvases = decoder.canvases(tf.constant([[[1e4, -1e4]] * 3]))
    assert all(np.all(np.isfinite(canvas)) for canvas in canvases)


@pytest.mark.parametrize("seed", range(3))
def test_warped_posterior_of_any_kernel(seed):
    mapping = extreme(networks.GaussianProcessMapping(2, (4,), 2, num_points=3, width=4), seed)
    q = IndependentNormal(2)(tf.zeros((5, 4)))
    z, kl, log_ratio = mapping.draw(
        q, StandardNormal(2).as_distribution(), tf.ones((5, 4)), seed=[0, seed]
    )
    assert np.all(np.isfinite(z))


@pytest.mark.parametrize("name", ["mlp_encoder", "conv_encoder", "mlp_decoder", "conv_decoder"])
def test_means_of_encoders_and_decoders(name):
    network = extreme(getattr(networks, name)(SHAPE, latent_dim=2, width=4))
    x = 1e4 * tf.ones((3, *network.input_shape[1:]))
    assert np.all(np.isfinite(network(x).mean()))
