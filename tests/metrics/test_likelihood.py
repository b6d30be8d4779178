"""What the measures of likelihood share: batches, labels, bits, compiling."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses, metrics
from tfgen.metrics._likelihood import bits_of, compiled_as, open_batches, seed_of


class Labelled:
    """A model that takes labels."""

    def unpack(self, data):
        examples, labels = data
        return examples, labels + 100


def read(model, data, batch_size):
    batches, num_batches = open_batches(model, data, batch_size)
    return [(tf.nest.map_structure(np.asarray, x), count) for x, count in batches], num_batches


def test_units_are_those_of_losses():
    assert metrics.bits_per_dim is losses.bits_per_dim
    assert metrics.is_discrete is losses.is_discrete


@pytest.mark.parametrize("batch_size, counts", [(2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_last_batch_is_filled_with_its_last_example(batch_size, counts):
    x = np.arange(10.0).reshape(5, 2)
    batches, num_batches = read(object(), x, batch_size)
    assert [count for _, count in batches] == counts and num_batches == len(counts)
    assert {len(batch) for batch, _ in batches} == {min(batch_size, 5)}
    np.testing.assert_array_equal(np.concatenate([b[:count] for b, count in batches]), x)
    np.testing.assert_array_equal(batches[-1][0][-1], x[-1])


def test_labels_are_for_models_that_unpack_them():
    x, labels = np.arange(3.0), np.arange(3)
    pipeline = tf.data.Dataset.from_tensor_slices((x, labels)).batch(3)
    for data in ((x, labels), pipeline):
        (((examples, given), _),), _ = read(Labelled(), data, 3)
        np.testing.assert_array_equal(given, labels + 100)
        ((without, _),), _ = read(object(), data, 3)
        np.testing.assert_array_equal(without, examples)
    assert read(object(), pipeline, 2)[1] is None  # How many there are is not known.


def test_bits_are_of_the_data_given():
    class Mass:
        def terms(self, x, training):
            return {"elbo": x, "bits_per_dim": x}

    nats = 12 * np.log(2)
    assert bits_of(Mass(), tf.zeros((5, 3, 2)), nats) == pytest.approx(2)
    assert bits_of(Mass(), (tf.zeros((5, 4)), tf.zeros(5)), nats) == pytest.approx(3)
    assert bits_of(object(), tf.zeros((5, 4)), nats) is None


@pytest.mark.parametrize("steps", [(), (3,), (3, 5)])
def test_seeds_are_folded_one_by_one(steps):
    expected = tf.constant([7, 0])
    for step in steps:
        expected = tf.random.fold_in(expected, step, alg="philox")
    np.testing.assert_array_equal(seed_of(7, *steps), expected)


def test_compiled_as_the_model_is():
    class Compiled:
        jit_compile = True

    def length(model, text):
        return tf.strings.length(text)

    text = tf.constant("ab")  # XLA has no strings.
    assert int(compiled_as(object(), length)(text)) == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="tf2xla"):
        compiled_as(Compiled(), length)(text)


def log_prob(model, factor, x):
    model.traces.append(factor)
    return factor * model(x)


class Linear(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1, kernel_initializer="ones")
        self.traces = []
        self.power = 1

    def call(self, x):
        return self.dense(x) ** self.power


def test_a_graph_serves_until_the_model_is_another():
    model, x = Linear(), tf.ones((3, 1))
    model(x)

    def value(factor=2.0):
        return float(compiled_as(model, log_prob, factor)(x)[0, 0])

    assert [value(), value(3.0), value()] == [2.0, 3.0, 2.0] and len(model.traces) == 2
    model.dense.kernel.assign([[5.0]])  # Values of variables are read.
    assert value() == 10.0 and len(model.traces) == 2
    model.power = 2
    assert value() == 50.0
    model.dense.activation = keras.activations.sigmoid
    assert value() == pytest.approx(2.0, abs=0.05)


def test_many_models_draw_no_warning_of_retracing(caplog):
    for _ in range(12):
        model = Linear()
        model(tf.ones((3, 1)))
        compiled_as(model, log_prob, 2.0)(tf.ones((3, 1)))
    assert "retracing" not in caplog.text


def test_graphs_do_not_keep_models():
    model = Linear()
    model(tf.ones((3, 1)))
    compiled_as(model, log_prob, 2.0)(tf.ones((3, 1)))
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
