"""What the measures of likelihood share: batches, labels, bits, compiling."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses, metrics
from tfgen.metrics._likelihood import bits_of, compiled_as, open_batches


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


def test_compiled_as_the_model_is():
    class Compiled:
        jit_compile = True

    text = tf.constant("ab")  # XLA has no strings.
    assert int(compiled_as(object(), tf.strings.length)(text)) == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="tf2xla"):
        compiled_as(Compiled(), tf.strings.length)(text)
