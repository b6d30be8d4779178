"""From outputs of a network to parameters: shapes that are not known before, and bounds."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers, networks
from tfgen.layers import parameters
from tfgen.losses import NegativeLogLikelihood, kl_divergence

tfd = tfp.distributions

WITHOUT_MEAN = {"Blockwise", "IndependentCategorical", "MixtureDiscretizedLogistic"}
UNKNOWN = [tf.TensorSpec(None), tf.TensorSpec((None, None)), tf.TensorSpec((3, None))]
# Finite raw scales: softplus of the second underflows, of the last ones its square overflows.
EXTREMES = [-3e38, -120.0, -88.0, 88.0, 1e12, 1e20, 3e38]


@pytest.mark.parametrize("spec", UNKNOWN, ids=lambda spec: str(spec.shape))
def test_shape_is_known_at_run_time_only(case, spec):
    layer = case.layer()
    has_mean = case.name not in WITHOUT_MEAN
    params = np.random.default_rng(0).normal(size=(3, case.num_params)).astype("float32")
    ones = tf.ones(case.event_shape)

    @tf.function(input_signature=[spec])
    def of(x):
        q = layer(x)
        return (
            q.log_prob(ones),
            q.mean() if has_mean else q.sample(seed=[0, 1]),
            q.sample(2, seed=[0, 1]),
            tf.convert_to_tensor(q),
        )

    log_prob, mean, draws, value = of(params)
    expected = layer(params)
    # One float32 rounding per operation in sums of at most 15 terms.
    np.testing.assert_allclose(log_prob, expected.log_prob(ones), rtol=1e-5, atol=1e-5)
    if has_mean:
        np.testing.assert_allclose(mean, expected.mean(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(draws, expected.sample(2, seed=[0, 1]), rtol=1e-5, atol=1e-5)
    assert value.shape == (3, *case.event_shape)


@pytest.mark.parametrize("event_shape", [(1, 3), (1, 1), (1, 1, 2), (1, 2, 3)], ids=str)
@pytest.mark.parametrize(
    "layer",
    [
        layers.IndependentNormal,
        layers.IndependentBernoulli,
        layers.IndependentStudentT,
        layers.FixedScaleNormal,
        functools.partial(layers.IndependentCategorical, num_classes=2),
        functools.partial(layers.MixtureNormal, 2),
        functools.partial(layers.MixtureDiscretizedLogistic, 2),
    ],
)
def test_events_of_one_row(layer, event_shape):
    """Of these the parameters of one example in a batch have the shape of an event without one."""
    decoder = networks.mlp_decoder(event_shape, 2, head=layer, width=4)
    for num in (1, 2):
        p = decoder(np.ones((num, 2), "float32"))
        assert p.batch_shape == (num,) and p.event_shape == event_shape
    of_any = tf.function(lambda z: decoder(z).sample(seed=[0, 1]), [tf.TensorSpec((None, 2))])
    assert of_any(np.ones((1, 2), "float32")).shape == (1, *event_shape)


@pytest.mark.parametrize("shape", [(2, 16), (2, 2, 2, 4)], ids=["flat", "as the event"])
@pytest.mark.parametrize("known", [(None, None, None, None), None], ids=str)
def test_both_readings_of_an_unknown_shape(shape, known):
    params = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = layers.IndependentNormal((2, 2, 2))
    if known is not None and len(shape) != len(known):
        known = (None,) * len(shape)
    mean = tf.function(lambda x: layer(x).mean(), input_signature=[tf.TensorSpec(known)])
    np.testing.assert_array_equal(mean(params), layer(params).mean())


@pytest.mark.parametrize(
    "layer",
    [layers.IndependentNormal(2), layers.MultivariateNormalTriL(2), layers.MixtureNormal(2, 1)],
    ids=lambda layer: type(layer).__name__,
)
def test_wrong_size_at_run_time(layer):
    mean = tf.function(lambda x: layer(x).mean(), input_signature=[tf.TensorSpec((None, None))])
    with pytest.raises(tf.errors.InvalidArgumentError):
        mean(tf.zeros((2, 7)))


def test_message_at_run_time():
    layer = layers.OneHotCategorical(3)
    mean = tf.function(lambda x: layer(x).mean(), input_signature=[tf.TensorSpec((None, None))])
    with pytest.raises(tf.errors.InvalidArgumentError, match="expects parameters of shape"):
        mean(tf.zeros((2, 4)))


@pytest.mark.parametrize(
    "make, size",
    [
        (lambda: layers.MultivariateNormalTriL(3), 9),
        (lambda: layers.MixtureSameFamily(2, layers.MultivariateNormalTriL(3)), 20),
    ],
    ids=["normal", "mixture"],
)
def test_full_covariance_under_xla_with_a_smaller_last_batch(make, size, features):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(size), make()])
    model.compile(keras.optimizers.SGD(0.0), NegativeLogLikelihood(), jit_compile=True)
    loss = model.fit(features, features, batch_size=3, verbose=0).history["loss"]
    # XLA fuses and reorders; the terms are of order 1.
    np.testing.assert_allclose(loss, -np.mean(model(features).log_prob(features)), rtol=1e-4)


def test_full_covariance_is_that_of_tfps_bijector():
    params = np.random.default_rng(0).normal(size=(4, 9)).astype("float32")
    fill = tfp.bijectors.FillScaleTriL(diag_shift=1e-5)
    scale = layers.MultivariateNormalTriL(3)(params).scale.to_dense()
    np.testing.assert_array_equal(scale, fill(params[:, 3:]))


# Arguments.

BAD_SHAPES = [(2.5,), 2.5, 2.0, (-1,), (0,), "ab", True, None, [2, None]]


@pytest.mark.parametrize("shape", BAD_SHAPES, ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        layers.IndependentBernoulli,
        layers.IndependentNormal,
        layers.IndependentLogistic,
        layers.IndependentPoisson,
        layers.FixedScaleNormal,
        layers.StandardNormal,
        layers.MixtureOfNormals,
        layers.VampPrior,
        lambda shape: layers.MixtureNormal(2, shape),
        lambda shape: layers.MixtureLogistic(2, shape),
        layers.IndependentNormal.params_size,
    ],
)
def test_event_shapes_are_ints(make, shape):
    with pytest.raises(ValueError, match="_shape must be an int.*at least 1, the.*Received: "):
        make(shape)


@pytest.mark.parametrize("size", [2.5, 0, -1, "ab", True, None, (2,)], ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        layers.MultivariateNormalTriL,
        layers.OneHotCategorical,
        lambda size: layers.CategoricalMixtureOfOneHotCategorical(size, 2),
        lambda size: layers.CategoricalMixtureOfOneHotCategorical(2, size),
        lambda size: layers.MixtureNormal(size, 2),
        lambda size: layers.MixtureSameFamily(size, layers.IndependentNormal(2)),
    ],
)
def test_sizes_are_ints(make, size):
    with pytest.raises(ValueError, match="must be an int of at least 1. Received: "):
        make(size)


@pytest.mark.parametrize("shape", [(2, 3), [2, 3], np.array([2, 3]), tf.TensorShape([2, 3])])
def test_shapes_that_are_taken(shape):
    assert parameters.as_shape(shape) == (2, 3)
    assert all(type(dim) is int for dim in parameters.as_shape(shape))
    assert parameters.as_shape(np.int64(3)) == (3,) and parameters.as_shape(()) == ()


# Bounds.


@pytest.mark.parametrize("raw", EXTREMES)
@pytest.mark.parametrize("activation", ["softplus", "exponential", "relu"])
def test_any_raw_scale_gives_finite_terms_and_gradients(raw, activation):
    prior = layers.StandardNormal(2).as_distribution()
    params = tf.constant([[1.0, -2.0, raw, raw]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        q = layers.IndependentNormal(2, scale_activation=activation)(params)
        z = q.sample(seed=[0, 1])
        estimate = q.log_prob(z) - prior.log_prob(z)
        terms = tf.stack([q.log_prob([5.0, 255.0]), kl_divergence(q, prior), estimate])
    assert np.all(np.isfinite(terms))
    assert np.all(np.isfinite(tape.gradient(terms, params)))
    assert parameters.MIN_SCALE <= q.stddev()[0, 0] <= parameters.MAX_SCALE


def _with_raw_scales(raw, num_params, positions):
    params = np.ones((1, num_params), "float32")
    params[0, positions] = raw
    return params


@pytest.mark.parametrize("raw", EXTREMES)
@pytest.mark.parametrize(
    "layer, num_params, positions",
    [
        (layers.IndependentLogistic(2), 4, [2, 3]),
        (layers.IndependentPoisson(2), 2, [0, 1]),
        (layers.MultivariateNormalTriL(2), 5, [2, 4]),
        (layers.MixtureNormal(2, 2), 10, [4, 5]),
        (layers.MixtureLogistic(2, 2), 10, [4, 5]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_log_probs_are_finite(layer, num_params, positions, raw):
    q = layer(_with_raw_scales(raw, num_params, positions))
    assert np.all(np.isfinite(q.log_prob([5.0, 255.0])))


@pytest.mark.parametrize("raw", EXTREMES)
def test_trained_mixture_of_normals_stays_finite(raw):
    prior = layers.MixtureOfNormals(2, num_components=3)
    prior.raw_scale.assign(tf.fill((3, 2), raw))
    assert np.isfinite(prior.as_distribution().log_prob([1.0, 2.0]))


@pytest.mark.parametrize("raw", EXTREMES)
def test_full_covariance_has_a_finite_divergence(raw):
    q = layers.MultivariateNormalTriL(2)(_with_raw_scales(raw, 5, [2, 4]))
    assert np.isfinite(kl_divergence(q, layers.StandardNormal(2).as_distribution()))


def test_ordinary_scales_are_not_moved():
    raw = np.linspace(-3.2, 50.0, 10_001, dtype="float32")
    for activation in (tf.nn.softplus, tf.exp):
        ordinary = raw[activation(raw) < 1e10]
        scale = parameters.bounded_scale(ordinary, activation)
        np.testing.assert_array_equal(scale, activation(ordinary))
    # Below 0.04 they move by the lower bound.
    small = parameters.bounded_scale(tf.constant([-15.0]), tf.nn.softplus)
    np.testing.assert_allclose(small, np.log1p(np.exp([-15.0])) + 1e-9, rtol=1e-6)


def test_nan_stays_nan():
    nan = tf.constant([np.nan])
    assert np.isnan(parameters.bounded_scale(nan, tf.nn.softplus))
    assert np.isnan(parameters.bounded(nan, -1.0, 1.0))


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30, np.inf, np.nan, "1", None])
def test_constant_scales_have_the_same_bounds(scale):
    with pytest.raises(ValueError, match="scale must be a positive float. Received: scale="):
        layers.FixedScaleNormal(2, scale=scale)
