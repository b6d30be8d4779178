"""Events with dependent elements: densities by hand, errors by text."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers


def test_multivariate_normal_by_hand():
    # loc (1, 2); the triangle's numbers a, b, c fill [[c, 0], [b, a]] in TFP's order.
    distribution = layers.MultivariateNormalTriL(2)(tf.constant([[1.0, 2.0, 0.5, -0.7, 0.1]]))
    scale = np.array([[np.log1p(np.exp(0.1)) + 1e-5, 0.0], [-0.7, np.log1p(np.exp(0.5)) + 1e-5]])
    covariance = scale @ scale.T
    deviation = np.array([0.3, -1.2]) - [1.0, 2.0]
    expected = -0.5 * (
        deviation @ np.linalg.inv(covariance) @ deviation
        + np.log(np.linalg.det(covariance))
        + 2 * np.log(2 * np.pi)
    )
    np.testing.assert_allclose(distribution.log_prob([0.3, -1.2]), [expected], rtol=1e-5)
    np.testing.assert_allclose(distribution.covariance()[0], covariance, rtol=1e-5)


def test_multivariate_normal_draws_have_its_covariance():
    n = 20_000
    layer = layers.MultivariateNormalTriL(2, seed=0)
    distribution = layer(tf.tile([[1.0, 2.0, 0.5, -0.7, 0.1]], (n, 1)))
    covariance = distribution.covariance()[0].numpy()
    variances = np.diag(covariance)
    # Variance of a sample covariance of normals: (s_ii s_jj + s_ij**2) / n; five standard errors.
    tolerance = 5 * np.sqrt((np.outer(variances, variances) + covariance**2) / n)
    assert np.all(np.abs(np.cov(distribution.numpy().T) - covariance) < tolerance)


def test_one_hot_categorical_by_hand():
    logits = np.array([[0.0, 1.0, -2.0]], "float32")
    distribution = layers.OneHotCategorical(3, seed=0)(logits)
    probabilities = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(distribution.mean(), probabilities, rtol=1e-6)
    np.testing.assert_allclose(distribution.prob(np.eye(3)), probabilities[0], rtol=1e-6)
    np.testing.assert_array_equal(distribution.numpy().sum(axis=-1), [1.0])


@pytest.mark.parametrize(
    "layer, size",
    [
        (layers.MultivariateNormalTriL(2), 5),
        (layers.OneHotCategorical(4), 4),
        (layers.MixtureNormal(3, 2), 15),
        (layers.CategoricalMixtureOfOneHotCategorical(4, 3), 15),
    ],
    ids=lambda value: type(value).__name__,
)
def test_wrong_number_of_parameters(layer, size):
    message = (
        rf"{type(layer).__name__}.* expects parameters of shape \(..., {size}\). "
        rf"Received: shape \(2, {size + 1}\). End the network with Dense\({size}\)"
    )
    with pytest.raises(ValueError, match=message):
        layer.make_distribution_fn(tf.zeros((2, size + 1)))
