"""A distribution that is a tensor where one is needed, and itself everywhere else."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.layers.tensor_coercible import tensor_coercible

tfd = tfp.distributions


class CountedSample:
    """A conversion that counts its calls."""

    calls = 0

    def __call__(self, distribution):
        self.calls += 1
        return distribution.sample()


@pytest.fixture
def normal():
    return tfd.Independent(tfd.Normal([[0.0, 1.0], [2.0, 3.0]], [1.0, 2.0]), 1)


def test_is_an_instance_of_the_distributions_own_class(normal):
    view = tensor_coercible(normal)
    assert isinstance(view, tfd.Independent) and isinstance(view.distribution, tfd.Normal)
    assert type(view).__name__ == "Independent"
    assert (view.batch_shape, view.event_shape) == ([2], [2])


def test_the_plain_distribution_stays_as_it_was(normal):
    tensor_coercible(normal)
    with pytest.raises((TypeError, ValueError)):
        tf.convert_to_tensor(normal)


def test_is_drawn_once_and_only_when_needed(normal):
    convert = CountedSample()
    view = tensor_coercible(normal, convert)
    view.log_prob(tf.zeros(2)), view.mean(), view.sample()
    assert convert.calls == 0
    first = tf.convert_to_tensor(view)
    assert view.shape == (2, 2)
    for again in (tf.convert_to_tensor(view), view.numpy(), np.asarray(view), view + 0.0):
        np.testing.assert_array_equal(again, first)
    assert convert.calls == 1


def test_two_views_draw_different_values(normal):
    values = [tensor_coercible(normal).numpy() for _ in range(2)]
    assert not np.array_equal(*values)


def test_conversion_casts_to_the_dtype_asked_for(normal):
    view = tensor_coercible(normal, tfd.Distribution.mean)
    assert tf.convert_to_tensor(view, tf.float64).dtype == tf.float64
    assert np.asarray(view, "float16").dtype == np.float16


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x + 1.0,
        lambda x: 1.0 - x,
        lambda x: -x,
        lambda x: abs(x),
        lambda x: x @ np.ones((2, 1), "float32"),
        lambda x: x[0],
        lambda x: x > 1.0,
        lambda x: list(x)[1],
        lambda x: tf.reduce_sum(x),
    ],
)
def test_operators_are_those_of_the_value(operation, normal):
    view = tensor_coercible(normal, tfd.Distribution.mean)
    np.testing.assert_array_equal(operation(view), operation(normal.mean()))


def test_equality_is_identity(normal):
    view = tensor_coercible(normal)
    assert view == view and view != tensor_coercible(normal)
    assert len({view, view}) == 1


def test_copy_draws_a_value_of_its_own(normal):
    view = tensor_coercible(normal, tfd.Distribution.mean)
    copy = view.copy(distribution=tfd.Normal(tf.ones((1, 2)), 1.0))
    np.testing.assert_array_equal(copy, [[1.0, 1.0]])
    np.testing.assert_array_equal(view, [[0.0, 1.0], [2.0, 3.0]])


def test_closed_forms_know_the_view(normal):
    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    expected = tfd.kl_divergence(normal, prior)
    for q in (normal, tensor_coercible(normal)):
        for p in (prior, tensor_coercible(prior)):
            np.testing.assert_array_equal(tfd.kl_divergence(q, p), expected)


def test_gradients_flow_through_the_value():
    loc, scale = tf.Variable([1.0, 2.0]), tf.Variable([3.0, 4.0])
    with tf.GradientTape() as tape:
        view = tensor_coercible(tfd.Normal(loc, scale))
        value = tf.convert_to_tensor(view)
    by_loc, by_scale = tape.gradient(value, [loc, scale])
    np.testing.assert_array_equal(by_loc, [1.0, 1.0])
    # z = loc + scale * noise
    np.testing.assert_allclose(by_scale, (value - loc) / scale, rtol=1e-5)


def test_enters_and_leaves_a_tf_function(normal):
    view = tensor_coercible(normal)
    inside = tf.function(lambda q: (tf.convert_to_tensor(q), q))
    value, returned = inside(view)
    np.testing.assert_array_equal(value, view)
    np.testing.assert_array_equal(returned, view)
    assert isinstance(returned, tfd.Independent)
    ones = tf.ones(2)
    np.testing.assert_allclose(returned.log_prob(ones), normal.log_prob(ones), rtol=1e-6)


def test_only_distributions_have_a_view():
    with pytest.raises(TypeError, match="must return a tfd.Distribution. Received: 3"):
        tensor_coercible(3)
