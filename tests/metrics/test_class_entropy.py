"""Entropies of predicted classes: against SciPy and TFP, and at their extremes."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.metrics.class_entropy import class_entropy, image_entropies, mode_count

tfd = tfp.distributions

PROBABILITIES = np.random.default_rng(0).dirichlet(np.full(10, 0.3), size=200)


def one_hot(classes, num_classes):
    return np.eye(num_classes)[classes]


def test_class_entropy_is_that_of_the_counts():
    counts = np.unique(PROBABILITIES.argmax(axis=1), return_counts=True)[1]
    assert class_entropy(PROBABILITIES) == pytest.approx(scipy.stats.entropy(counts), rel=1e-12)
    categorical = tfd.Categorical(probs=counts / 200)
    assert class_entropy(PROBABILITIES) == pytest.approx(float(categorical.entropy()), rel=1e-6)


def test_class_entropy_by_hand():
    """Three samples of class 1, one of class 2, none of class 0, however sure they are."""
    samples = [[0.1, 0.9, 0.0], [0.3, 0.4, 0.3], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    expected = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert class_entropy(samples) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("num_classes", [2, 10])
def test_class_entropy_at_its_extremes(num_classes):
    balanced = one_hot(np.arange(5 * num_classes) % num_classes, num_classes)
    assert class_entropy(balanced) == pytest.approx(np.log(num_classes), rel=1e-12)
    collapsed = one_hot(np.ones(50, int), num_classes)
    assert str(class_entropy(collapsed)) == "0.0"  # And not -0.0.


def test_class_entropy_of_few_samples_is_low_by_the_known_bias():
    num_sets, n, num_classes = 2000, 200, 10
    rng = np.random.default_rng(1)
    sets = rng.integers(num_classes, size=(num_sets, n))
    values = [class_entropy(one_hot(classes, num_classes)) for classes in sets]
    # Next term of the bias, for equal classes: (1 - K^2) / (12 n^2), Harris, 1975.
    expected = np.log(num_classes) - 9 / (2 * n) + (1 - num_classes**2) / (12 * n**2)
    tolerance = 5 * np.std(values) / np.sqrt(num_sets)
    assert tolerance < 0.3 * 9 / (2 * n)
    assert np.mean(values) == pytest.approx(expected, abs=tolerance)


def test_image_entropies_against_two_libraries():
    values = image_entropies(tf.constant(PROBABILITIES))
    assert values.shape == (200,)
    np.testing.assert_allclose(values, scipy.stats.entropy(PROBABILITIES, axis=1), rtol=1e-12)
    categorical = tfd.Categorical(probs=PROBABILITIES)
    np.testing.assert_allclose(values, categorical.entropy(), rtol=1e-6)


def test_image_entropies_at_their_extremes():
    values = image_entropies([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(values, [0.0, np.log(4)], rtol=1e-12)


@pytest.mark.parametrize(
    "threshold, expected", [(0.01, 3), (0.05, 3), (0.051, 2), (0.35, 2), (0.36, 1), (1.0, 0)]
)
def test_mode_count(threshold, expected):
    """20 samples: 12 of class 0, 7 of class 1, 1 of class 2 and none of class 3."""
    samples = one_hot(np.repeat([0, 1, 2], [12, 7, 1]), 4)
    assert mode_count(samples, threshold) == expected


def test_mode_count_of_a_collapsed_generator():
    assert mode_count(one_hot(np.full(100, 3), 10)) == 1
    assert mode_count(one_hot(np.full(100, 3), 10), threshold=1.0) == 1


@pytest.mark.parametrize("metric", [class_entropy, image_entropies, mode_count])
def test_rows_must_be_probabilities(metric):
    for values in ([[2.0, -1.0]], [[0.2, 0.2]], [[5.0, 3.0]], [[np.nan, 1.0]]):
        with pytest.raises(ValueError, match="sum to 1; end the classifier in a softmax.*Received"):
            metric(values)
    for values in ([0.5, 0.5], np.ones((3, 1)), np.ones((0, 2)), np.ones((2, 2, 2)) / 2):
        with pytest.raises(ValueError, match=r"num_samples, num_classes.*Received: shape"):
            metric(values)


def test_half_precision_softmax_passes():
    half = tf.nn.softmax(tf.random.stateless_normal((20, 10), seed=(0, 1), dtype=tf.float16))
    assert 0.0 < class_entropy(half) <= np.log(10)


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.5, float("nan")])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"in \(0, 1\]. Received"):
        mode_count(PROBABILITIES, threshold)
