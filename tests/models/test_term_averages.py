"""Averages over examples, and the count of steps that were finite."""

import numpy as np
import tensorflow as tf

from tfgen.models.term_averages import TermAverages


def test_averages_are_over_examples_not_batches():
    averages = TermAverages(["loss", "kl"])
    averages.update_state({"loss": tf.constant([1.0, 2.0]), "kl": tf.constant([5.0])})
    averages.update_state({"loss": tf.constant([6.0])})
    logs = averages.result()
    assert (float(logs["loss"]), float(logs["kl"])) == (3.0, 5.0)
    averages.reset_state()
    averages.update_state({"loss": tf.constant([4.0])})
    assert float(averages.result()["loss"]) == 4.0
    assert float(averages.result()["kl"]) == 0.0


def test_half_precision_is_summed_in_float32():
    averages = TermAverages(["loss"])
    averages.update_state({"loss": tf.fill((4096,), tf.constant(60.0, tf.float16))})
    assert float(averages.result()["loss"]) == 60.0


def test_steps_are_counted_until_the_first_that_is_not_finite():
    averages = TermAverages(["loss", "kl"])
    for loss in (1.0, 2.0, np.nan, 3.0):
        averages.update_state({"loss": tf.constant([loss]), "kl": tf.constant([0.0])})
        averages.end_step()
    assert averages.finite_steps.numpy().tolist() == [2.0, 4.0]
