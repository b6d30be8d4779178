"""Posteriors of partly known classes, against SciPy and TFP."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

from tfgen.losses import class_posterior

LOGITS = np.random.default_rng(0).normal(scale=3.0, size=(6, 4)).astype("float32")
LABELS = np.array([-1, 2, -1, 0, 3, -1])


def test_missing_labels_follow_the_logits_and_known_ones_are_certain():
    probabilities, kl = class_posterior(LOGITS, LABELS)
    missing = LABELS < 0
    expected = special.softmax(LOGITS, axis=1)
    assert_allclose(probabilities[missing], expected[missing], rtol=1e-5)
    assert_array_equal(probabilities[~missing], np.eye(4)[LABELS[~missing]])
    assert_allclose(kl[missing], np.log(4) - stats.entropy(expected[missing], axis=1), rtol=1e-4)
    assert_allclose(kl[~missing], np.log(4), rtol=1e-6)


def test_kl_is_that_of_tfp():
    _, kl = class_posterior(LOGITS, np.full(6, -1))
    q = tfp.distributions.Categorical(logits=LOGITS)
    uniform = tfp.distributions.Categorical(logits=np.zeros(4, "float32"))
    assert_allclose(kl, q.kl_divergence(uniform), rtol=1e-5)


def test_extremes_and_their_gradients():
    logits = tf.constant([[0.0, 0.0], [1e4, 0.0], [1e4, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        probabilities, kl = class_posterior(logits, [-1, -1, 1])
    assert_allclose(kl, [0.0, np.log(2), np.log(2)], atol=1e-6)
    assert_allclose(probabilities, [[0.5, 0.5], [1, 0], [0, 1]])
    assert np.isfinite(tape.gradient(kl, logits)).all()


def test_known_labels_have_no_gradient():
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        probabilities, kl = class_posterior(logits, LABELS)
        total = tf.reduce_sum(tf.square(probabilities)) + tf.reduce_sum(kl)
    moved = np.abs(tape.gradient(total, logits)).sum(axis=1) > 0
    assert_array_equal(moved, LABELS < 0)


@pytest.mark.parametrize(
    "logits, labels, message",
    [
        (LOGITS, LABELS[:5], r"one for each row. Received: .* \(6, 4\) .* \(5,\)"),
        (LOGITS[None], LABELS, r"must have shape \(batch, classes\)"),
        (LOGITS, LABELS + 2, "ints from 0 to 3"),
        (LOGITS, LABELS + 0.5, "labels"),
    ],
)
def test_what_is_none(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        class_posterior(logits, labels)
