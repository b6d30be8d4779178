"""Checks of tensors: what is taken and refused, in graphs without an operation more."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils import tensors
from tfgen.layers import IndependentNormal


@pytest.mark.parametrize(
    "value",
    [
        [[1.0, 2.0]],
        np.ones((1, 2)),
        tf.ones((1, 2), tf.bfloat16),
        [tf.ones(2), tf.ones(2)],
        tf.Variable(tf.ones((1, 2))),
        keras.Variable(np.ones((1, 2))),
        keras.KerasTensor((None, 2)),
        IndependentNormal(2)(tf.zeros((1, 4))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tensors_of_floats(value):
    tensors.check_tensors(2, x=value)
    tensors.check_last_axis(2, x=value)
    with pytest.raises(ValueError, match="x must be a tensor of floats with at least 3 axes"):
        tensors.check_tensors(3, x=value)
    with pytest.raises(ValueError, match=r"x must have the shape \(..., 3\).*Received: x of shape"):
        tensors.check_last_axis(3, x=value)


@pytest.mark.parametrize(
    "value",
    [None, "text", object(), [[1.0], [2.0, 3.0]], np.array(["a"]), tfd.Normal(0.0, 1.0), {}],
    ids=lambda value: type(value).__name__,
)
def test_no_tensors(value):
    with pytest.raises(ValueError, match="x must be .*Received: x"):
        tensors.check_tensors(x=value)


@pytest.mark.parametrize(
    "kind, values",
    [("floats", [1, 2]), ("ints", [1.0, 2.0]), ("ints", [True]), ("numbers", tf.constant("text"))],
)
def test_kinds(kind, values):
    with pytest.raises(ValueError, match=f"x must be a tensor of {kind}. Received: x of shape"):
        tensors.check_tensors(0, kind, x=values)


def test_nothing_is_added_to_a_graph():
    """Of unknown ranks and sizes nothing is said."""
    with tf.Graph().as_default() as graph:
        floats = tf.compat.v1.placeholder(tf.float32)
        some = tf.compat.v1.placeholder(tf.float32, (None, 3))
        ints = tf.compat.v1.placeholder(tf.int32)
        before = len(graph.get_operations())
        tensors.check_tensors(2, x=floats, y=some)
        tensors.check_last_axis(3, x=floats, y=some)
        tensors.check_same_shape(x=floats, y=some)
        tensors.check_indices(3, x=ints)
        tensors.check_stateless_seed(x=ints)
        tensors.check_finite(0.0, x=floats)
        assert len(graph.get_operations()) == before


def test_same_shape():
    tensors.check_same_shape(x=np.ones(3), y=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"x and y must have one.*y of shape \(1, 3\)"):
        tensors.check_same_shape(x=np.ones(3), y=np.ones((1, 3)))


@pytest.mark.parametrize("value", [-1, 3, [0, 3], np.array([-1]), 1.0, [], None])
def test_indices(value):
    tensors.check_indices(3, x=[0, 2])
    with pytest.raises(ValueError, match="x must be .*Received: x"):
        tensors.check_indices(3, x=value)


@pytest.mark.parametrize("value", [0, [1], (0, 2**31), [0.0, 1.0], None, "ab"])
def test_seeds(value):
    tensors.check_stateless_seed(x=(0, -(2**31)), y=tf.constant([0, 1]))
    with pytest.raises(ValueError, match="x must be .*Received: x"):
        tensors.check_stateless_seed(x=value)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, True, None, "1", [1.0]])
def test_numbers(value):
    tensors.check_finite(0.0, x=0, y=np.float32(1.0), z=keras.Variable(1.0))
    with pytest.raises(ValueError, match="x must be a finite number of at least 0. Received: x="):
        tensors.check_finite(0.0, x=value)


@pytest.mark.parametrize("value", ["text", "string", 1, object(), np.nan])
def test_dtypes(value):
    tensors.check_dtype(x=None, y="int32", z=tf.float32, a=np.float64)
    with pytest.raises(ValueError, match="x must be a dtype of numbers.*Received: x="):
        tensors.check_dtype(x=value)


def test_functions_and_leaves():
    tensors.check_callables("a function", x=len)
    with pytest.raises(ValueError, match="x must be a function. Received: x=3"):
        tensors.check_callables("a function", x=3)
    with pytest.raises(ValueError, match="inputs must be an array of numbers. Received: inputs"):
        tensors.check_leaves([tf.zeros(2), {"a": np.array(["text"])}])
