"""Tests of distributions through bijectors, against TFP's own transformed distributions."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import bijectors, layers, networks

tfd, tfb = tfp.distributions, tfp.bijectors

SEED = tf.constant([0, 1])


@keras.saving.register_keras_serializable("tests")
class Affine(bijectors.Bijector):
    """y = 2 x + context, with an inverse or without."""

    def __init__(self, event_shape=2, invertible=True, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.invertible = invertible

    def forward(self, x, context=None):
        shift = 0.0 if context is None else context
        return 2 * x + shift, self.no_log_det(x) + 2 * np.log(2.0)

    def inverse(self, y, context=None):
        if not self.invertible:
            return super().inverse(y, context)
        shift = 0.0 if context is None else context
        return (y - shift) / 2, self.no_log_det(y) - 2 * np.log(2.0)

    def get_config(self):
        return {**super().get_config(), "invertible": self.invertible}


def reference(context):
    """The same by TFP."""
    base = tfd.MultivariateNormalDiag([0.5, -0.5], [1.0, 0.3])
    return tfd.TransformedDistribution(base, tfb.Chain([tfb.Shift(context), tfb.Scale(2.0)]))


def flow(invertible=True):
    base = tfd.MultivariateNormalDiag([[0.5, -0.5]] * 3, [[1.0, 0.3]] * 3)
    context = tf.constant([[0.0, 1.0], [2.0, 3.0], [-1.0, 0.0]])
    return layers.FlowDistribution(base, Affine(invertible=invertible), context)


def test_density_is_that_of_tfp_and_draws_are_carried():
    ours = flow()
    theirs = reference(ours.context)
    values = tf.random.stateless_normal((5, 3, 2), SEED)
    np.testing.assert_allclose(ours.log_prob(values), theirs.log_prob(values), rtol=1e-5, atol=1e-5)
    z = ours.sample(4, seed=SEED)
    np.testing.assert_allclose(z, 2 * ours.base.sample(4, seed=SEED) + ours.context)
    assert (ours.batch_shape, ours.event_shape) == ((3,), (2,))


@pytest.mark.parametrize("shape", [(), 4, (2, 3)])
def test_density_of_a_draw_needs_no_inverse(shape):
    ours = flow(invertible=False)
    z = ours.sample(shape, seed=SEED)
    expected = reference(ours.context).log_prob(z)
    np.testing.assert_allclose(ours.log_prob(z), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.log_det(z), np.full(expected.shape, 2 * np.log(2)), rtol=1e-6)
    z, log_prob = ours.experimental_sample_and_log_prob(shape, seed=SEED)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(NotImplementedError, match="Affine has no inverse in closed form"):
        ours.log_prob(z + 1.0)


def test_center_is_where_the_mean_of_the_base_goes():
    ours = flow()
    np.testing.assert_allclose(ours.center(), 2 * ours.base.mean() + ours.context)


def test_gradients_reach_context_and_base():
    inputs = tf.constant([[0.3, -0.2, 0.1, 0.4, -0.5, 0.6]])
    layer = layers.FlowNormal(2, Affine(), context_size=2)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        q = layer(inputs)
        z, log_prob = q.experimental_sample_and_log_prob(seed=SEED)
        loss = tf.reduce_sum(z**2) + tf.reduce_sum(log_prob)
    assert np.all(tape.gradient(loss, inputs) != 0)


def test_layer_splits_context_loc_and_scale():
    layer = layers.FlowNormal(2, Affine(), context_size=2)
    assert layer.params_size(2, context_size=2) == 6
    q = layer(tf.constant([[7.0, 8.0, 1.0, 2.0, 0.0, 0.0]]))
    np.testing.assert_allclose(q.context, [[7.0, 8.0]])
    np.testing.assert_allclose(q.base.mean(), [[1.0, 2.0]])
    np.testing.assert_allclose(q.base.stddev(), np.full((1, 2), np.log(2)), rtol=1e-6)


@pytest.mark.parametrize("context_size", [0, 2])
@pytest.mark.parametrize("make", [bijectors.maf, bijectors.iaf], ids=["maf", "iaf"])
@pytest.mark.parametrize("shape", [(3,), (3, 4)], ids=str)
def test_tensors_of_unknown_rank(make, context_size, shape):
    layer = layers.FlowNormal(2, make(2, context_size=context_size), context_size)
    rng = np.random.default_rng(0)
    params = rng.normal(size=(*shape, 4 + context_size)).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec(None)])
    def of(x):
        q = layer(x)
        z, log_prob = q.experimental_sample_and_log_prob(5, seed=SEED)
        return z, log_prob, q.center()

    q = layer(params)
    expected = (*q.experimental_sample_and_log_prob(5, seed=SEED), q.center())
    for given, known in zip(of(params), expected, strict=True):
        np.testing.assert_allclose(given, known, rtol=1e-5, atol=1e-6)


def test_prior_is_a_trained_density():
    prior = layers.FlowPrior(Affine())
    density = prior.as_distribution()
    expected = tfd.MultivariateNormalDiag(tf.zeros(2), [2.0, 2.0])
    values = tf.random.stateless_normal((5, 2), SEED)
    np.testing.assert_allclose(density.log_prob(values), expected.log_prob(values), rtol=1e-5)
    assert density.sample(6, seed=SEED).shape == (6, 2)


def test_layers_survive_saving(tmp_path):
    head = functools.partial(layers.FlowNormal, bijector=Affine(), context_size=2)
    encoder = networks.mlp_encoder((2, 2, 1), 2, head, width=4)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    x = tf.random.stateless_normal((3, 2, 2, 1), SEED)
    np.testing.assert_allclose(loaded(x).log_prob(tf.zeros(2)), encoder(x).log_prob(tf.zeros(2)))
    prior = layers.FlowPrior(Affine())
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(prior))
    assert isinstance(copy.bijector, Affine)


def test_bijector_of_another_shape():
    with pytest.raises(ValueError, match=r"Received: a bijector over shape \(3,\)"):
        layers.FlowNormal(2, Affine(3))
