"""Mixtures: densities by hand, moments of draws, errors by text."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers
from tfgen.losses import NegativeLogLikelihood

LOGITS = np.array([0.0, 1.0])
WEIGHTS = np.exp(LOGITS) / np.exp(LOGITS).sum()
LOC = np.array([-1.0, 2.0])
RAW_SCALE = np.array([0.2, -0.5])
SCALE = np.log1p(np.exp(RAW_SCALE))
# Logits, then (loc, raw scale) of each component.
PARAMS = np.float32([[*LOGITS, LOC[0], RAW_SCALE[0], LOC[1], RAW_SCALE[1]]])


def normal_density(x, loc, scale):
    return np.exp(-0.5 * ((x - loc) / scale) ** 2) / (scale * np.sqrt(2 * np.pi))


def logistic_density(x, loc, scale):
    e = np.exp(-(x - loc) / scale)
    return e / (scale * (1 + e) ** 2)


@pytest.mark.parametrize(
    "layer, density",
    [
        (layers.MixtureNormal(2), normal_density),
        (layers.MixtureLogistic(2), logistic_density),
        (layers.MixtureSameFamily(2, layers.IndependentNormal()), normal_density),
    ],
    ids=lambda value: type(value).__name__,
)
def test_density_by_hand(layer, density):
    expected = (WEIGHTS * density(0.5, LOC, SCALE)).sum()
    np.testing.assert_allclose(layer(PARAMS).prob(0.5), [expected], rtol=1e-5)


def test_draws_have_the_mixtures_mean():
    n = 20_000
    draws = layers.MixtureNormal(2, seed=0)(tf.tile(PARAMS, (n, 1))).numpy()
    mean = WEIGHTS @ LOC
    stddev = np.sqrt(WEIGHTS @ (SCALE**2 + LOC**2) - mean**2)
    np.testing.assert_allclose(draws.mean(), mean, atol=5 * stddev / np.sqrt(n))


def one_hot_mixture(component_logits):
    params = np.concatenate([LOGITS, np.ravel(component_logits)]).astype("float32")
    return layers.CategoricalMixtureOfOneHotCategorical(2, num_components=2)(params[None])


def test_mean_of_one_hot_mixture_by_hand():
    component_logits = np.array([[0.3, -0.3], [2.0, 0.0]])
    probabilities = np.exp(component_logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    mixture = one_hot_mixture(component_logits)
    np.testing.assert_allclose(mixture.mean(), [WEIGHTS @ probabilities], rtol=1e-6)
    np.testing.assert_allclose(mixture.prob(np.eye(2)), WEIGHTS @ probabilities, rtol=1e-6)
    np.testing.assert_allclose(mixture.log_mean(), np.log([WEIGHTS @ probabilities]), rtol=1e-5)


def test_log_mean_is_finite_where_the_mean_underflows():
    mixture = one_hot_mixture([[500.0, 0.0], [500.0, 0.0]])
    np.testing.assert_allclose(mixture.log_mean(), [[0.0, -500.0]], atol=1e-4)


def test_mixture_density_network_finds_both_modes():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(6), layers.MixtureNormal(2)])
    model.layers[0].set_weights([np.zeros((1, 6)), np.array([0, 0, -0.5, 0, 0.5, 0])])
    model.compile(keras.optimizers.Adam(0.1), NegativeLogLikelihood())
    y = np.tile([-2.0, 2.0], 320).astype("float32")
    model.fit(np.ones((640, 1)), y, batch_size=16, shuffle=False, verbose=0)
    means = model(np.ones((1, 1))).components_distribution.mean()[0]
    np.testing.assert_allclose(means, [-2.0, 2.0], atol=0.5)


@pytest.mark.parametrize("size", [14, 3])
def test_mixture_same_family_refuses_wrong_sizes(size):
    layer = layers.MixtureSameFamily(3, layers.IndependentNormal(2))
    with pytest.raises(ValueError, match=rf"3 components needs 3 \* \(1 \+ n\).*\(1, {size}\)"):
        layer.make_distribution_fn(tf.zeros((1, size)))


def test_mixture_same_family_leaves_the_size_of_components_to_them():
    layer = layers.MixtureSameFamily(3, layers.IndependentNormal(2))
    with pytest.raises(ValueError, match=r"flat shape \(..., 4\).*Received: shape \(1, 3, 5\)"):
        layer.make_distribution_fn(tf.zeros((1, 18)))
