"""The Keras loss: values by hand, weights, labels with one axis more or less."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.losses import NegativeLogLikelihood

tfd = tfp.distributions

X = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(7, 2)).astype("float32")
WEIGHTS = np.arange(7.0)


def nll_by_hand(y, loc, scale):
    """-log N(y; loc, scale**2), summed over the last axis."""
    return (0.5 * ((y - loc) / scale) ** 2 + np.log(scale) + 0.5 * np.log(2 * np.pi)).sum(axis=-1)


def model_of(event_shape):
    """A compiled linear model that does not move, with known mean and scale softplus(0)."""
    size = int(np.prod(event_shape))
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2 * size), layers.IndependentNormal(event_shape)]
    )
    kernel = np.random.default_rng(2).normal(size=(3, size))
    model.layers[0].set_weights([np.pad(kernel, [(0, 0), (0, size)]), np.zeros(2 * size)])
    model.compile(keras.optimizers.SGD(0.0), NegativeLogLikelihood())
    return model, X @ kernel


def test_value_by_hand():
    p = tfd.Independent(tfd.Normal(tf.zeros((7, 2)), 2.0), 1)
    expected = nll_by_hand(Y, 0.0, 2.0)
    np.testing.assert_allclose(NegativeLogLikelihood()(Y, p), expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(NegativeLogLikelihood().call(Y, p), expected, rtol=1e-6)


def test_fit_validate_and_evaluate():
    model, loc = model_of(2)
    expected = nll_by_hand(Y, loc, np.log(2.0)).mean()
    history = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    values = [history["loss"][0], history["val_loss"][0], model.evaluate(X, Y, verbose=0)]
    np.testing.assert_allclose(values, [expected] * 3, rtol=1e-5)


def test_average_over_batches_with_a_remainder():
    model, loc = model_of(2)
    expected = nll_by_hand(Y, loc, np.log(2.0)).mean()
    np.testing.assert_allclose(model.evaluate(X, Y, batch_size=3, verbose=0), expected, rtol=1e-5)


def test_training_finds_the_maximum_likelihood():
    head = layers.IndependentNormal(2)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), head])
    rate = keras.optimizers.schedules.CosineDecay(0.1, 400)
    model.compile(keras.optimizers.Adam(rate), NegativeLogLikelihood())
    ones = np.ones((2800, 3))
    model.fit(ones, np.tile(Y, (400, 1)), batch_size=7, shuffle=False, verbose=0)
    # Its maximum, from any start: the sample mean and (biased) standard deviation.
    np.testing.assert_allclose(model(ones).mean()[0], Y.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(model(ones).stddev()[0], Y.std(axis=0), atol=0.02)


@pytest.mark.parametrize("weights", [WEIGHTS, WEIGHTS[:, None]], ids=["(B,)", "(B, 1)"])
def test_sample_weight_as_in_keras(weights):
    model, loc = model_of(2)
    expected = np.mean(WEIGHTS * nll_by_hand(Y, loc, np.log(2.0)))
    p = model(X)
    np.testing.assert_allclose(NegativeLogLikelihood()(Y, p, weights), expected, rtol=1e-5)
    fitted = model.fit(X, Y, sample_weight=weights, verbose=0).history["loss"][0]
    np.testing.assert_allclose(fitted, expected, rtol=1e-5)


def test_weights_of_keras_own_losses_mean_the_same():
    p = tfd.Independent(tfd.Normal(tf.zeros((7, 2)), float(np.sqrt(0.5))), 1)
    constant = np.log(np.pi)
    squared_error = keras.losses.MeanSquaredError()(Y, np.zeros((7, 2)), WEIGHTS)
    expected = 2 * squared_error + constant * WEIGHTS.mean()  # Keras averages over the 2 elements.
    np.testing.assert_allclose(NegativeLogLikelihood()(Y, p, WEIGHTS), expected, rtol=1e-5)


@pytest.mark.parametrize("event_shape", [(), (1,)], ids=str)
@pytest.mark.parametrize("y", [Y[:, 0], Y[:, :1]], ids=["(B,)", "(B, 1)"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_labels_with_one_axis_more_or_less(event_shape, y, weights):
    """`log_prob` would broadcast (B,) against (B, 1) to (B, B), without an error."""
    model, loc = model_of(event_shape)
    nll = nll_by_hand(Y[:, :1], loc, np.log(2.0))
    expected = np.mean(nll if weights is None else weights * nll)
    fitted = model.fit(X, y, sample_weight=weights, verbose=0).history["loss"][0]
    np.testing.assert_allclose(fitted, expected, rtol=1e-5)


def test_steps_of_a_sequence_are_weighted_per_example():
    p = tfd.Independent(tfd.Normal(tf.zeros((7, 5, 2)), 2.0), 1)
    y = np.random.default_rng(3).normal(size=(7, 5, 2)).astype("float32")
    expected = np.mean(WEIGHTS[:, None] * nll_by_hand(y, 0.0, 2.0))
    np.testing.assert_allclose(NegativeLogLikelihood()(y, p, WEIGHTS), expected, rtol=1e-5)


def test_one_distribution_for_all_examples():
    p = tfd.Independent(tfd.Normal(tf.zeros(2), 2.0), 1)
    assert p.batch_shape == ()
    expected = nll_by_hand(Y, 0.0, 2.0).mean()
    np.testing.assert_allclose(NegativeLogLikelihood()(Y, p), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64", bool])
def test_labels_of_another_dtype(dtype):
    y = np.array([[0, 1], [1, 1]]).astype(dtype)
    p = layers.IndependentBernoulli(2)(tf.zeros((2, 2)))
    np.testing.assert_allclose(NegativeLogLikelihood()(y, p), 2 * np.log(2), rtol=1e-6)


def test_plain_tensors_are_refused():
    message = "needs a model whose output is a distribution. Received: y_pred of type .*Tensor"
    with pytest.raises(TypeError, match=message):
        NegativeLogLikelihood()(Y, tf.zeros((7, 2)))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", NegativeLogLikelihood())
    with pytest.raises(TypeError, match=message):
        model.fit(X, Y, verbose=0)


def test_compiled_model_is_saved_and_loaded(tmp_path):
    model, _ = model_of(2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.loss, NegativeLogLikelihood)
    np.testing.assert_allclose(
        loaded.evaluate(X, Y, verbose=0), model.evaluate(X, Y, verbose=0), rtol=1e-6
    )


def test_name_survives_the_config():
    loss = NegativeLogLikelihood(name="nll")
    assert NegativeLogLikelihood.from_config(loss.get_config()).name == "nll"
