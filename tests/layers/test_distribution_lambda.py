"""A distribution as the output of Keras models, and how it becomes a tensor there."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.losses import NegativeLogLikelihood

tfd = tfp.distributions


def make_normal(t):
    return tfd.Normal(t[..., 0], tf.exp(t[..., 1]))


@keras.saving.register_keras_serializable("tests")
def make_wide_normal(t):
    return tfd.Independent(tfd.Normal(t, 10.0), 1)


@keras.saving.register_keras_serializable("tests")
def mean_plus_stddev(distribution):
    return distribution.mean() + distribution.stddev()


class Subclassed(keras.Model):
    def __init__(self, dense, head):
        super().__init__()
        self.dense, self.head = dense, head

    def call(self, x):
        return self.head(self.dense(x))


def functional(dense, head):
    inputs = keras.Input((3,))
    return keras.Model(inputs, head(dense(inputs)))


def sequential(dense, head):
    return keras.Sequential([keras.Input((3,)), dense, head])


@pytest.fixture(params=[Subclassed, functional, sequential], ids=lambda style: style.__name__)
def style(request):
    """A way to make a model of two layers."""
    return request.param


def encoder(style=sequential, **kwargs):
    return style(keras.layers.Dense(4), layers.IndependentNormal(2, **kwargs))


def test_model_returns_the_distribution_of_its_dense_layer(style, features):
    model = encoder(style)
    posterior = model(features)
    weights, bias = model.get_weights()[:2]
    loc, raw_scale = np.split(features @ weights + bias, 2, axis=-1)
    assert isinstance(posterior, tfd.Independent)
    assert isinstance(posterior.distribution, tfd.Normal)
    np.testing.assert_allclose(posterior.mean(), loc, atol=1e-5)
    np.testing.assert_allclose(posterior.stddev(), np.log1p(np.exp(raw_scale)), rtol=1e-5)
    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    assert tfd.kl_divergence(posterior, prior).shape == (5,)


def test_gradient_reaches_the_encoder_through_the_sample(style, features):
    first = encoder(style)
    second = keras.layers.Dense(1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(second(first(features)))
    gradients = tape.gradient(loss, [v.value for v in first.trainable_variables])
    assert len(gradients) == 2
    for gradient in gradients:
        assert np.all(np.abs(gradient) > 0)


def test_next_layer_gets_the_one_sample(features):
    inputs = keras.Input((3,))
    posterior = encoder()(inputs)
    doubled = keras.layers.Lambda(lambda z: 2.0 * z)(posterior)
    squared = keras.layers.Lambda(lambda z: z**2)(posterior)
    q, double, square = keras.Model(inputs, [posterior, doubled, squared])(features)
    np.testing.assert_array_equal(double, 2.0 * q.numpy())
    np.testing.assert_allclose(square, q.numpy() ** 2, rtol=1e-6)


def test_every_call_draws_anew(features):
    model = encoder()
    draws = [model(features).numpy() for _ in range(3)]
    assert not np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[1], draws[2])


def test_seed_makes_the_draws_repeatable(features):
    layer, other = [layers.IndependentNormal(2, seed=3) for _ in range(2)]
    params = tf.zeros((4, 4))
    for _ in range(2):
        np.testing.assert_array_equal(layer(params), other(params))
    assert not np.array_equal(layer(params), layers.IndependentNormal(2, seed=4)(params))


def test_draws_have_the_distributions_moments():
    n = 20_000
    draws = layers.IndependentNormal((), seed=0)(tf.tile([[1.0, 0.5]], (n, 1))).numpy()
    scale = np.log1p(np.exp(0.5))
    # Standard errors of mean and variance of n normal draws; 5 of them fail once in 1.7 million.
    np.testing.assert_allclose(draws.mean(), 1.0, atol=5 * scale / np.sqrt(n))
    np.testing.assert_allclose(draws.var(), scale**2, atol=5 * scale**2 * np.sqrt(2 / n))


@pytest.mark.parametrize("convert", [tfd.Distribution.mean, "mean", tfd.Independent.mean])
def test_predict_converts_by_a_method_or_its_name(convert, features):
    model = encoder(convert_to_tensor_fn=convert)
    predicted = model.predict(features, batch_size=2, verbose=0)  # Batches of 2, 2 and 1.
    np.testing.assert_allclose(predicted, model(features).mean(), atol=1e-6)


@pytest.mark.parametrize("convert", ["mode", "stddev", "variance"])
def test_other_members_of_a_distribution(convert, features):
    view = encoder(convert_to_tensor_fn=convert)(features)
    np.testing.assert_array_equal(view, getattr(view, convert)())


def test_predict_samples_by_default(features):
    model = encoder()
    predicted = [model.predict(features, batch_size=2, verbose=0) for _ in range(2)]
    assert predicted[0].shape == (5, 2)
    assert not np.array_equal(*predicted)


@pytest.mark.parametrize("member", [tfd.Bernoulli.logits, "logits"])
def test_a_property_of_the_inner_distribution(member):
    logits = np.array([[-1.0, 2.0]], "float32")
    layer = layers.IndependentBernoulli(2, convert_to_tensor_fn=member)
    np.testing.assert_array_equal(layer(logits), logits)


def test_any_function_of_the_distribution(features):
    model = encoder(convert_to_tensor_fn=lambda s: s.sample(7))
    assert model.output_shape == (7, None, 2)
    assert model.predict(features, verbose=0).shape == (7, 5, 2)


@pytest.mark.parametrize("callable_", [tfp.random.rayleigh, tfp.bijectors.Exp()], ids=type)
def test_callables_of_tfp_that_are_no_members_stay_as_they_are(callable_):
    layer = layers.IndependentNormal(2, convert_to_tensor_fn=callable_)
    assert layer.convert_to_tensor_fn is callable_


class Head(keras.Model):
    """A network whose `call` asks for more than the value of its distribution."""

    def __init__(self, kl=False):
        super().__init__()
        prior = layers.StandardNormal(2)
        regularizer = layers.KLDivergenceRegularizer(prior) if kl else None
        self.dense = keras.layers.Dense(4)
        self.head = layers.IndependentNormal(2, activity_regularizer=regularizer)
        self.pass_on = layers.KLDivergenceAddLoss(prior) if kl else keras.layers.Identity()

    def call(self, x):
        posterior = self.head(self.dense(x))
        assert isinstance(posterior, tfd.Distribution)
        assert posterior.log_prob(posterior.sample()).shape.rank == 1
        return self.pass_on(posterior) if self.head.activity_regularizer else posterior


def _functional(head):
    inputs = keras.Input((3,))
    return keras.Model(inputs, head(inputs))


def _sequential(head):
    return keras.Sequential([keras.Input((3,)), head])


def _alone(head):
    return head


@pytest.mark.parametrize("kl", [False, True], ids=["plain", "KL"])
@pytest.mark.parametrize("wrap", [_functional, _sequential, _alone])
def test_subclassed_network_on_an_input(wrap, kl, features):
    model = wrap(Head(kl))
    model.compile(keras.optimizers.SGD(0.0), NegativeLogLikelihood(), metrics=["mse"])
    target = features[:, :2]
    model.fit(features, target, verbose=0)
    posterior = model(features)
    assert isinstance(posterior, tfd.Independent) and not tf.is_tensor(posterior)
    assert len(model.losses) == 2 * kl
    if not kl:
        loss = model.evaluate(features, target, verbose=0)[0]
        np.testing.assert_allclose(loss, -np.mean(posterior.log_prob(target)), rtol=1e-5)
    if wrap is not _alone:
        assert model.output_shape == (None, 2)
        deeper = keras.Sequential([model, keras.layers.Dense(1)])
        assert deeper(features).shape == (5, 1)


@pytest.mark.parametrize("head", ["layer", "add_loss"])
def test_activity_regularizers_count_once_as_the_mean_over_the_batch(head, features):
    def with_regularizer(regularizer):
        kwargs = dict(activity_regularizer=regularizer)
        own = kwargs if head == "layer" else {}
        heads = [layers.IndependentNormal(2, convert_to_tensor_fn="mean", **own)]
        if head == "add_loss":
            kl = layers.KLDivergenceAddLoss(layers.StandardNormal(2), weight=0.0, **kwargs)
            heads.append(kl)
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), *heads])

    def scalar(q):
        return tf.reduce_sum(q.stddev())

    def of_each(q):
        return tf.reduce_sum(q.stddev(), axis=-1)

    model = with_regularizer("l2")
    value = model(features).mean().numpy()
    # Keras' own, of a layer that returns this tensor; Keras 3.8 takes the sum over the batch.
    keras_own = keras.layers.Activation("linear", activity_regularizer="l2")
    keras_own(value)
    ratio = float(keras_own.losses[0]) / float(sum(model.losses))
    assert any(ratio == pytest.approx(expected, rel=1e-5) for expected in (1, 5))
    np.testing.assert_allclose(sum(model.losses), 0.01 * (value**2).sum() / 5, rtol=1e-6)
    for regularizer in (scalar, of_each):
        model = with_regularizer(regularizer)
        expected = model(features).stddev().numpy().sum() / 5
        np.testing.assert_allclose(sum(model.losses), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["meen", "log_prob", "batch_shape", "name", "copy", "__init__", ""]
)
def test_unknown_members_are_refused(name):
    with pytest.raises(ValueError, match="convert_to_tensor_fn must be a method.*Received: "):
        layers.IndependentNormal(2, convert_to_tensor_fn=name)


def test_member_of_another_distribution():
    layer = layers.IndependentNormal(2, convert_to_tensor_fn="logits")
    with pytest.raises(
        ValueError, match="convert_to_tensor_fn='logits' must be a member.*Received"
    ):
        tf.convert_to_tensor(layer(tf.zeros((1, 4))))


@pytest.mark.parametrize("bad", [None, 3, [tfd.Distribution.mean]])
def test_bad_conversion_is_refused(bad):
    with pytest.raises(ValueError, match="convert_to_tensor_fn must be a method.*Received: "):
        layers.IndependentNormal(2, convert_to_tensor_fn=bad)


def test_function_must_return_a_distribution():
    with pytest.raises(TypeError, match="must return a tfd.Distribution"):
        layers.DistributionLambda(tf.exp)(tf.zeros(3))


def test_inputs_may_be_a_structure():
    layer = layers.DistributionLambda(lambda parts: tfd.Normal(parts["loc"], parts["scale"]))
    inputs = {"loc": keras.Input((2,)), "scale": keras.Input((1,))}
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, 2)
    normal = model({"loc": tf.ones((4, 2)), "scale": 2 * tf.ones((4, 1))})
    np.testing.assert_array_equal(normal.stddev(), 2 * np.ones((4, 2)))


def test_summary_shows_the_shape(capsys):
    encoder().summary()
    assert "(None, 2)" in capsys.readouterr().out


@pytest.mark.parametrize("options", [dict(run_eagerly=True), dict(jit_compile=True)], ids=str)
def test_trains_eagerly_and_compiled(options, features):
    model = sequential(keras.layers.Dense(2), layers.DistributionLambda(make_normal))
    model.compile(keras.optimizers.Adam(0.1), NegativeLogLikelihood(), **options)
    target = features[:, 0]
    losses = model.fit(features, target, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    expected = -np.mean(model(features).log_prob(target))
    np.testing.assert_allclose(model.evaluate(features, target, verbose=0), expected, rtol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_value_is_drawn_once_inside_a_tf_function(jit_compile, features):
    model = encoder()

    @tf.function(jit_compile=jit_compile)
    def twice(x):
        posterior = model(x)
        return tf.convert_to_tensor(posterior), tf.convert_to_tensor(posterior)

    np.testing.assert_array_equal(*twice(features))
    assert not np.array_equal(twice(features)[0], twice(features)[0])


def test_mixed_precision_flows_from_layer_to_layer(features, mixed_precision):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([encoder(), keras.layers.Dense(6), layers.IndependentNormal(3)])
    model.compile(keras.optimizers.SGD(1e-3), NegativeLogLikelihood())
    model.fit(features, features, verbose=0)
    likelihood = model(features)
    assert likelihood.dtype == tf.float32
    assert model.layers[1].compute_dtype in mixed_precision
    assert np.isfinite(model.evaluate(features, features, verbose=0))


def test_distribution_without_a_type_spec_predicts_too(features):
    class Shift(tfp.bijectors.Bijector):  # A bijector of a user, which TensorFlow cannot flatten.
        def __init__(self):
            super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True)

        def _forward(self, x):
            return x + 1.0

    head = layers.DistributionLambda(
        lambda t: tfd.TransformedDistribution(tfd.Normal(t, 1e-3), Shift())
    )
    predicted = sequential(keras.layers.Identity(), head).predict(features, verbose=0)
    np.testing.assert_allclose(predicted, features + 1.0, atol=0.01)  # Ten standard deviations.


def test_registered_functions_are_saved_by_name(features, reloaded):
    head = layers.DistributionLambda(make_wide_normal, mean_plus_stddev)
    model = sequential(keras.layers.Dense(4), head)
    loaded = reloaded(model)
    assert loaded.layers[-1].make_distribution_fn is make_wide_normal
    np.testing.assert_allclose(loaded.predict(features, verbose=0), model(features), atol=1e-5)
    np.testing.assert_array_equal(loaded(features).stddev(), np.full((5, 4), 10.0))


@pytest.mark.parametrize(
    "head",
    [
        layers.DistributionLambda(lambda t: tfd.Normal(t, 1.0)),
        layers.IndependentNormal(2, convert_to_tensor_fn=lambda s: s.sample(5)),
        layers.IndependentNormal(2, scale_activation=lambda t: tf.exp(t)),
    ],
    ids=["make_distribution_fn", "convert_to_tensor_fn", "scale_activation"],
)
def test_lambda_is_refused_when_saving(head, tmp_path):
    model = sequential(keras.layers.Dense(4), head)
    with pytest.raises(ValueError, match="A lambda cannot be saved.*register_keras_serializable"):
        model.save(tmp_path / "model.keras")
