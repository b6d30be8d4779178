"""ActNorm and the invertible 1x1 convolution: closed forms, TFP, and the battery."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.bijectors.bijector import Chain
from tfgen.bijectors.glow import ActNorm, Invertible1x1Conv

tfb = tfp.bijectors

SHAPE = (2, 3, 4)


def images(num=5):
    return np.random.default_rng(0).normal(1.0, 2.0, (num, *SHAPE)).astype("float32")


def perturbed(bijector):
    rng = np.random.default_rng(1)
    for weight in bijector.trainable_variables:
        weight.assign_add(0.3 * rng.normal(size=weight.shape))
    return bijector


BUILDERS = {
    "act_norm": lambda: perturbed(ActNorm(SHAPE)),
    "conv": lambda: perturbed(Invertible1x1Conv(SHAPE, seed=0)),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_bijector(name, check_bijector):
    check_bijector(BUILDERS[name](), images())


# ActNorm.


def test_act_norm_is_an_affine_map():
    norm = BUILDERS["act_norm"]()
    loc, scale = norm.loc.numpy(), np.exp(norm.log_scale.numpy())
    y, log_det = norm.forward(images())
    assert_allclose(y, loc + scale * images(), rtol=1e-5, atol=1e-5)
    assert_allclose(log_det, np.full(5, 6 * np.log(scale).sum()), rtol=1e-5)


def test_initialization_standardizes_each_channel():
    norm, y = ActNorm(SHAPE), images(64)
    z = norm.initialize(y)
    assert_allclose(norm.loc, y.mean(axis=(0, 1, 2)), rtol=1e-5)
    assert_allclose(np.exp(norm.log_scale), y.std(axis=(0, 1, 2)), rtol=1e-5)
    assert_allclose(np.var(z, axis=(0, 1, 2)), 1, rtol=1e-4)
    assert_allclose(norm.forward(z)[0], y, rtol=1e-4, atol=1e-5)


def test_initialization_of_a_constant_channel():
    norm = ActNorm(1)
    assert_array_equal(norm.initialize(np.full((8, 1), 3.0, "float32")), np.zeros((8, 1)))
    assert_allclose(np.exp(norm.log_scale), 1e-3, rtol=1e-5)


def test_chain_initializes_from_the_data_backwards():
    """The norm at the data has their moments, the one before it those of a normalized batch."""
    flow = Chain([ActNorm(SHAPE), ActNorm(SHAPE)])
    flow.initialize(images(64))
    assert_allclose(flow.bijectors[1].loc, images(64).mean(axis=(0, 1, 2)), rtol=1e-5)
    assert_allclose(flow.bijectors[0].loc, np.zeros(4), atol=1e-5)


# Invertible 1x1 convolution.


def matrix_of(conv):
    """The matrix that `inverse` applies to each pixel, from its columns."""
    unit_vectors = np.tile(np.eye(4, dtype="float32")[:, None, None], (1, 2, 3, 1))
    return conv.inverse(unit_vectors)[0].numpy()[:, 0, 0].T


def test_convolution_begins_as_a_rotation():
    conv = Invertible1x1Conv(SHAPE, seed=3)
    matrix = matrix_of(conv)
    assert_allclose(matrix @ matrix.T, np.eye(4), atol=1e-5)
    assert_allclose(conv.inverse(images())[1], np.zeros(5), atol=1e-4)
    # The LU decomposition gives back the rotation that the seed stands for.
    assert_allclose(matrix, keras.initializers.Orthogonal(seed=3)((4, 4)), atol=1e-5)


def test_convolution_against_tfp():
    """`ScaleMatvecLU` computes P L U x from one matrix of both factors."""
    conv = BUILDERS["conv"]()
    upper = np.triu(conv.upper.numpy(), 1)
    diagonal = conv.signs.numpy() * np.exp(conv.log_diagonal.numpy())
    lower_upper = np.tril(conv.lower.numpy(), -1) + upper + np.diag(diagonal)
    permutation = np.argmax(conv.permutation.numpy(), axis=0)
    reference = tfb.ScaleMatvecLU(lower_upper, np.argsort(permutation))
    y = images()
    x, log_det = conv.inverse(y)
    assert_allclose(x, reference.forward(y), rtol=1e-4, atol=1e-4)
    assert_allclose(log_det, reference.forward_log_det_jacobian(y, 3), rtol=1e-4)
    assert_allclose(conv.forward(y)[0], reference.inverse(y), rtol=1e-3, atol=1e-3)


def test_every_pixel_is_mixed_alike():
    conv, y = BUILDERS["conv"](), images()
    assert_allclose(conv.inverse(y)[0], y @ matrix_of(conv).T, rtol=1e-4, atol=1e-4)


def test_seeds_of_the_rotation():
    first, second, other = (Invertible1x1Conv(SHAPE, seed=seed) for seed in (0, 0, 1))
    assert_array_equal(matrix_of(first), matrix_of(second))
    assert np.abs(matrix_of(first) - matrix_of(other)).max() > 0.1
    # Permutation and signs are weights: they come with a saved model, whatever its seed.
    other.set_weights(first.get_weights())
    assert_array_equal(matrix_of(first), matrix_of(other))


def test_weights_beyond_the_triangles_have_no_effect_and_no_gradient():
    conv = BUILDERS["conv"]()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(conv.inverse(images())[0] ** 2)
    gradients = tape.gradient(loss, [conv.lower.value, conv.upper.value])
    assert_array_equal(np.triu(gradients[0]), np.zeros((4, 4)))
    assert_array_equal(np.tril(gradients[1]), np.zeros((4, 4)))
