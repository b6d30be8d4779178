"""Variables that only a function or a prior has: trained and saved, or refused."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.layers.held_variables import held_by
from tfgen.losses import NegativeLogLikelihood

tfd = tfp.distributions

X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
GLOBAL_SCALE = keras.Variable(1.0, name="global_scale")
GLOBAL_TF_VARIABLE = tf.Variable(1.0)
loc = tf.Variable(0.0)  # Of the name of an attribute below.


@keras.saving.register_keras_serializable("tests")
def around_with_global_scale(t):
    return tfd.Independent(tfd.Normal(t, tf.nn.softplus(tf.convert_to_tensor(GLOBAL_SCALE))), 1)


def model_of(make):
    model = keras.Sequential([keras.Input((2,)), layers.DistributionLambda(make)])
    model.compile(keras.optimizers.SGD(0.1), NegativeLogLikelihood())
    return model


def test_keras_variables_of_a_function_are_trained():
    raw = keras.Variable(0.5)
    model = model_of(lambda t: tfd.Independent(tfd.Normal(t, tf.exp(raw.value)), 1))
    assert [v is raw for v in model.trainable_variables] == [True]
    # d/draw of -log N(x; x, exp(raw)^2) is 1 for each of two elements.
    model.fit(X, X, verbose=0)
    np.testing.assert_allclose(raw, 0.5 - 0.1 * 2, rtol=1e-6)


def test_layers_of_a_function_are_trained():
    dense = keras.layers.Dense(2, kernel_initializer="zeros")
    model = model_of(lambda t: tfd.Independent(tfd.Normal(dense(t), 1.0), 1))
    model.fit(X, X, verbose=0)
    assert len(model.trainable_variables) == 2 and np.all(dense.kernel.numpy() != 0)


def test_variables_of_a_function_are_saved(reloaded):
    GLOBAL_SCALE.assign(1.0)
    model = model_of(around_with_global_scale)
    model.fit(X, X, verbose=0)
    trained = GLOBAL_SCALE.numpy()
    assert trained != 1.0
    loaded = _after_reset(reloaded, model)
    np.testing.assert_array_equal(GLOBAL_SCALE, trained)
    np.testing.assert_allclose(loaded(X).stddev(), model(X).stddev())


def _after_reset(reloaded, model):
    """The loaded model, where the variable has another value between saving and loading."""
    load = keras.models.load_model

    def load_later(*args, **kwargs):
        GLOBAL_SCALE.assign(7.0)
        return load(*args, **kwargs)

    keras.models.load_model = load_later
    try:
        return reloaded(model)
    finally:
        keras.models.load_model = load


def test_self_keeps_what_is_its_own():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.raw = self.add_weight(shape=(), initializer="zeros")
            self.by_lambda = layers.DistributionLambda(lambda t: self.make(t))
            self.by_method = layers.DistributionLambda(self.make)

        def make(self, t):
            return tfd.Independent(tfd.Normal(t, tf.exp(self.raw.value)), 1)

        def call(self, x):
            return self.by_method(self.by_lambda(x))

    model = Net()
    model.compile(keras.optimizers.SGD(0.1), NegativeLogLikelihood())
    model.fit(X, X, verbose=0)
    assert len(model.trainable_variables) == 1 and model.raw.numpy() != 0


@pytest.mark.parametrize(
    "make",
    [
        lambda t: tfd.Normal(t, tf.exp(GLOBAL_TF_VARIABLE)),
        functools.partial(lambda t, scale: tfd.Normal(t, scale), scale=GLOBAL_TF_VARIABLE),
        lambda t: tfd.Independent(tfd.Normal(t, [tf.exp(GLOBAL_TF_VARIABLE) for _ in range(2)]), 1),
        (lambda v: lambda t: tfd.Normal(t, tf.exp(v)))(tf.Variable(0.0)),
        (lambda v: lambda t: tfd.Normal(t, v))(
            tfp.util.TransformedVariable(1.0, tfp.bijectors.Softplus())
        ),
        (lambda d: lambda t: tfd.Normal(t, d.stddev()))(tfd.Normal(0.0, tf.Variable(1.0))),
    ],
    ids=["global", "partial", "nested", "closure", "transformed", "distribution"],
)
def test_tf_variables_of_a_function_are_refused(make):
    with pytest.raises(ValueError, match="never be trained. Received: make_distribution_fn with"):
        layers.DistributionLambda(make)


def test_tf_variables_that_appear_later_are_refused():
    variables = {}

    def make(t):
        variables.setdefault("scale", tf.Variable(1.0))
        return tfd.Normal(t, variables["scale"])

    layer = layers.DistributionLambda(make)
    with pytest.raises(ValueError, match="never be trained. Received: make_distribution_fn with"):
        layer(X)


def test_what_is_not_used_is_not_refused():
    # `loc` is an attribute in the function, and a tf.Variable of this module.
    layers.DistributionLambda(lambda t: tfd.Normal(tfd.Normal(t, 1.0).loc, 1.0))(X)
    fixed = tf.Variable(2.0, trainable=False)
    layers.DistributionLambda(lambda t: tfd.Normal(t, fixed))(X)


def test_parts_are_found_once():
    variable, dense = keras.Variable(1.0), keras.layers.Dense(1)
    parts = [variable, dense, variable]
    for function in (lambda: parts, lambda: (variable, lambda: dense)):
        assert {id(part) for part in held_by("f", function)} == {id(variable), id(dense)}
    assert held_by("f", tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)) == []
    assert held_by("f", "mean") == held_by("f", None) == held_by("f", tf.exp) == []


# Priors.


def with_regularizer(prior):
    regularizer = layers.KLDivergenceRegularizer(prior)
    return [layers.IndependentNormal(1, activity_regularizer=regularizer)]


def with_add_loss(prior):
    return [layers.IndependentNormal(1), layers.KLDivergenceAddLoss(prior)]


@pytest.mark.parametrize("heads", [with_regularizer, with_add_loss])
def test_variables_of_a_prior_are_trained_or_refused(heads):
    raw = keras.Variable([0.0])
    encoder = keras.Sequential(
        [keras.Input((2,)), *heads(lambda: tfd.Independent(tfd.Normal(raw.value, 1.0), 1))]
    )
    encoder.compile(keras.optimizers.SGD(0.1), NegativeLogLikelihood())
    encoder.fit(X, X[:, :1], verbose=0)
    assert any(v is raw for v in encoder.trainable_variables) and raw.numpy() != 0
    variable = tf.Variable([0.0])
    with pytest.raises(ValueError, match="never be trained. Received: distribution_b with"):
        heads(lambda: tfd.Independent(tfd.Normal(tf.exp(variable), 1.0), 1))
