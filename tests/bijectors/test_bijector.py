"""Base, Chain and Invert: order, log-determinants, use in TFP, errors by text."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose

from tfgen.bijectors.bijector import (
    Bijector,
    Chain,
    Invert,
    broadcast_to_context,
    check_context,
    vector_size,
)
from tfgen.bijectors.elementwise import Permute, Sigmoid

tfb, tfd = tfp.bijectors, tfp.distributions

X = tf.constant([[1.0, 2.0], [-3.0, 0.5]])


class Affine(Bijector):
    """y = scale * x + shift + context, over vectors of two elements."""

    def __init__(self, scale=1.0, shift=0.0):
        super().__init__(2)
        self.scale, self.shift = scale, shift
        self.initialized_with = None

    def forward(self, x, context=None):
        offset = self.shift + (0.0 if context is None else context)
        return self.scale * x + offset, self.no_log_det(x) + 2 * np.log(self.scale)

    def inverse(self, y, context=None):
        offset = self.shift + (0.0 if context is None else context)
        return (y - offset) / self.scale, self.no_log_det(y) - 2 * np.log(self.scale)

    def initialize(self, y, context=None):
        self.initialized_with = y
        return super().initialize(y, context)


class OneWay(Bijector):
    """Has no inverse."""

    def forward(self, x, context=None):
        return 2 * x, self.no_log_det(x) + 2 * np.log(2.0)


def test_chain_applies_the_first_first():
    chain = Chain([Affine(scale=3.0), Affine(shift=1.0)])
    y, log_det = chain.forward(X)
    assert_allclose(y, 3 * X + 1)
    assert_allclose(log_det, [2 * np.log(3.0)] * 2, rtol=1e-6)
    x, change = chain.inverse(y)
    assert_allclose(x, X, rtol=1e-6)
    assert_allclose(change, -log_det)


def test_chain_gives_all_the_context():
    context = tf.constant([[10.0], [20.0]])
    chain = Chain([Affine(scale=3.0), Affine(scale=2.0)])
    y, _ = chain.forward(X, context)
    assert_allclose(y, 2 * (3 * X + context) + context)
    assert_allclose(chain.inverse(y, context)[0], X, rtol=1e-5)


def test_chain_initializes_from_the_data_on():
    first, second = Affine(scale=3.0), Affine(shift=1.0)
    assert_allclose(Chain([first, second]).initialize(X), (X - 1) / 3, rtol=1e-6)
    assert_allclose(second.initialized_with, X)
    assert_allclose(first.initialized_with, X - 1)


def test_empty_chain_is_the_identity_on_scalars():
    y, log_det = Chain([]).forward(X)
    assert_allclose(y, X)
    assert_allclose(log_det, np.zeros((2, 2)))


def test_invert_swaps_the_directions():
    bijector = Affine(scale=3.0, shift=1.0)
    for ours, theirs in zip(Invert(bijector).forward(X), bijector.inverse(X), strict=True):
        assert_allclose(ours, theirs)
    for ours, theirs in zip(Invert(bijector).inverse(X), bijector.forward(X), strict=True):
        assert_allclose(ours, theirs)


def test_call_is_forward():
    assert_allclose(Affine(scale=3.0)(X), 3 * X)


def test_distribution_of_tfp_has_the_logit_normal_density():
    base = tfd.Sample(tfd.Normal(0.3, 1.5), 2)
    ours = tfd.TransformedDistribution(base, Sigmoid(2, alpha=0.0).as_tfp())
    y = tf.constant([[0.2, 0.9], [0.5, 0.01]])
    theirs = tfd.Independent(tfd.LogitNormal(tf.fill((2,), 0.3), 1.5), 1)
    assert_allclose(ours.log_prob(y), theirs.log_prob(y), rtol=1e-5)
    z, log_prob = ours.experimental_sample_and_log_prob(3, seed=0)
    assert_allclose(log_prob, theirs.log_prob(z), rtol=1e-4)


def test_as_tfp_holds_the_context():
    bijector = Affine(scale=3.0).as_tfp(context=tf.constant([[10.0], [20.0]]))
    assert_allclose(bijector.forward(X), [[13.0, 16.0], [11.0, 21.5]])
    assert_allclose(bijector.inverse(bijector.forward(X)), X, rtol=1e-6)
    assert_allclose(bijector.forward_log_det_jacobian(X), [2 * np.log(3.0)] * 2, rtol=1e-6)


def test_one_way_map_says_what_it_can_do():
    with pytest.raises(NotImplementedError, match="OneWay has no inverse .* Use another bijector"):
        OneWay(2).inverse(X)


def test_float32_whatever_the_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert Affine(scale=3.0)(X).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy(before)


def test_chain_of_different_shapes():
    with pytest.raises(ValueError, match=r"same event_shape\. Received: .*\[\(2,\), \(3,\)\]"):
        Chain([Permute(2), Permute(3)])


def test_event_that_is_no_vector():
    assert vector_size(3) == vector_size((3,)) == 3
    with pytest.raises(ValueError, match=r"Received: event_shape=\(2, 2\)\. Flatten"):
        vector_size((2, 2))


@pytest.mark.parametrize(
    "context, received", [(None, "None"), (np.zeros((4, 2)), r"shape \(4, 2\)")]
)
def test_context_missing_or_of_another_size(context, received):
    with pytest.raises(ValueError, match=rf"context_size=3 .* Received: context of {received}\."):
        check_context(context, 3)


@pytest.mark.parametrize(
    "ours, theirs, together",
    [((4, 1), (5,), (4, 5)), ((), (5,), (5,)), ((4,), (), (4,)), ((2, 4), (4,), (2, 4))],
)
def test_broadcast_to_context(ours, theirs, together):
    x = np.random.default_rng(0).normal(size=(*ours, 2, 3))
    repeated = broadcast_to_context(x, np.zeros((*theirs, 7)), event_rank=2)
    assert repeated.dtype == tf.float32
    assert_allclose(repeated, np.broadcast_to(x, (*together, 2, 3)), rtol=1e-6)


def test_axes_of_x_and_context_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Received: examples of shape \(4,\), and context of"):
        broadcast_to_context(np.zeros((4, 2)), np.zeros((5, 7)))


def test_a_bijector_has_no_activity_to_regularize():
    for build in (Sigmoid, Permute):
        with pytest.raises(ValueError, match="A bijector.*activity_regularizer="):
            build((3,), activity_regularizer="l2")
