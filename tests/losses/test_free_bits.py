"""The KL divergence by dimensions, and its free bits."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose

from tfgen import layers, losses

tfd = tfp.distributions


def normals(seed, shape):
    rng = np.random.default_rng(seed)
    loc, scale = rng.normal(size=shape), np.exp(rng.normal(size=shape))
    rank = len(shape) - 1
    return tfd.Independent(tfd.Normal(loc.astype("float32"), scale.astype("float32")), rank)


def test_dimensions_against_the_closed_form_and_sum():
    q, p = normals(0, (5, 3)), layers.StandardNormal(3).as_distribution()
    kl = losses.kl_of_dimensions(q, p).numpy()
    loc, scale = q.distribution.loc.numpy(), q.distribution.scale.numpy()
    # Kingma & Welling, arXiv:1312.6114v10, App. B.
    assert_allclose(kl, (loc**2 + scale**2 - 1) / 2 - np.log(scale), rtol=1e-5, atol=1e-5)
    assert_allclose(kl.sum(1), losses.kl_divergence(q, p), rtol=1e-5)


def test_latents_of_any_shape():
    q, p = normals(1, (4, 3, 2)), layers.StandardNormal((3, 2)).as_distribution()
    kl = losses.kl_of_dimensions(q, p)
    assert kl.shape == (4, 6)
    assert_allclose(tf.reduce_sum(kl, 1), losses.kl_divergence(q, p), rtol=1e-5)


def test_none_where_dimensions_are_not_independent():
    prior = layers.MixtureOfNormals(3, 2, seed=0).as_distribution()
    assert losses.kl_of_dimensions(normals(0, (5, 3)), prior) is None
    assert losses.kl_of_dimensions(prior, normals(0, (5, 3))) is None


def test_free_bits_by_hand():
    groups = tf.constant([[0.1, 2.0, 0.5], [0.3, 4.0, 0.5]])
    assert_allclose(losses.free_bits_kl(groups, 0.5), 0.5 + 3.0 + 0.5)
    assert_allclose(losses.free_bits_kl(groups, 0.0), tf.reduce_sum(groups) / 2)


def test_gradient_reaches_the_parts_above_the_minimum_alone():
    groups = tf.constant([[0.1, 2.0], [0.3, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(groups)
        loss = losses.free_bits_kl(groups, 0.5)
    assert_allclose(tape.gradient(loss, groups), [[0.0, 0.5], [0.0, 0.5]])
