"""KL terms in a stock Keras model: once, as the mean over the batch, with a trained prior."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.losses import NegativeLogLikelihood

tfd = tfp.distributions

PARAMS = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


@keras.saving.register_keras_serializable("tests")
def mean_point(distribution):
    return distribution.mean()


@keras.saving.register_keras_serializable("tests")
def wide_prior():
    return tfd.MultivariateNormalDiag(tf.zeros(2), 2 * tf.ones(2))


def kl_by_hand(params):
    """KL(N(loc, softplus(raw)**2) || N(0, 1)) summed over dimensions, per example."""
    loc, raw = np.split(np.asarray(params, float), 2, axis=-1)
    scale = np.log1p(np.exp(raw))
    return (0.5 * (loc**2 + scale**2 - 1) - np.log(scale)).sum(axis=-1)


def with_regularizer(distribution_b, module=layers, **kwargs):
    """Layers that turn parameters into a distribution and add its KL divergence."""
    regularizer = module.KLDivergenceRegularizer(distribution_b, **kwargs)
    return [module.IndependentNormal(2, activity_regularizer=regularizer)]


def with_add_loss(distribution_b, module=layers, **kwargs):
    return [module.IndependentNormal(2), module.KLDivergenceAddLoss(distribution_b, **kwargs)]


@pytest.fixture(params=[with_regularizer, with_add_loss], ids=lambda way: way.__name__)
def kl_layers(request):
    """A way to add the KL divergence."""
    return request.param


def encoder_of(heads):
    return keras.Sequential([keras.Input((4,)), *heads])


def autoencoder_of(encoder):
    """The encoder inside another model; the decoder gives N(0, log(2)**2) whatever z is."""
    dense = keras.layers.Dense(8, kernel_initializer="zeros")
    decoder = keras.Sequential([keras.Input((2,)), dense, layers.IndependentNormal(4)])
    return keras.Model(encoder.inputs, decoder(encoder.outputs[0]))


def nll_by_hand(x):
    scale = np.log(2.0)
    density = -0.5 * (x / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
    return -density.sum(axis=-1)


def test_closed_form_is_the_mean_over_the_batch(kl_layers):
    encoder = encoder_of(kl_layers(layers.StandardNormal(2), use_exact_kl=True))
    encoder(PARAMS)
    np.testing.assert_allclose(encoder.losses, [kl_by_hand(PARAMS).mean()], rtol=1e-5)


def test_does_not_depend_on_the_batch_size(kl_layers):
    encoder = encoder_of(kl_layers(layers.StandardNormal(2), use_exact_kl=True))
    for repeats in (1, 10):
        encoder(np.tile(PARAMS, (repeats, 1)))
        np.testing.assert_allclose(encoder.losses, [kl_by_hand(PARAMS).mean()], rtol=1e-5)


def test_enters_a_nested_model_once(kl_layers):
    model = autoencoder_of(encoder_of(kl_layers(layers.StandardNormal(2), use_exact_kl=True)))
    for _ in range(2):
        model(PARAMS)
        np.testing.assert_allclose(model.losses, [kl_by_hand(PARAMS).mean()], rtol=1e-5)
    model.compile(keras.optimizers.SGD(0.0), NegativeLogLikelihood())
    expected = nll_by_hand(PARAMS).mean() + kl_by_hand(PARAMS).mean()
    evaluated = model.evaluate(PARAMS, PARAMS, verbose=0)
    fitted = model.fit(PARAMS, PARAMS, verbose=0).history["loss"][0]
    np.testing.assert_allclose([evaluated, fitted], expected, rtol=1e-5)


def test_monte_carlo_agrees_with_the_closed_form(kl_layers):
    n = 20_000
    encoder = encoder_of(kl_layers(layers.StandardNormal(2)))
    posterior = encoder(np.tile(PARAMS[:1], (n, 1)))
    # The term is evaluated at the output's one value, so its spread is known.
    prior = layers.StandardNormal(2).as_distribution()
    draws = posterior.log_prob(posterior) - prior.log_prob(posterior)
    np.testing.assert_allclose(encoder.losses, [np.mean(draws)], rtol=1e-5)
    tolerance = 5 * np.std(draws) / np.sqrt(n)
    np.testing.assert_allclose(encoder.losses, kl_by_hand(PARAMS[:1]), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "make, factor",
    [(with_regularizer, 2), (with_add_loss, len(PARAMS))],
    ids=["regularizer, twice there", "add_loss, the sum there"],
)
def test_deviation_from_tfp(make, factor):
    import tf_keras

    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    arguments = dict(use_exact_kl=True, weight=3.0)
    ours = encoder_of(make(prior, **arguments))
    theirs = tf_keras.Sequential(make(prior, module=tfp.layers, **arguments))
    ours(PARAMS), theirs(PARAMS)
    np.testing.assert_allclose(sum(theirs.losses), factor * sum(ours.losses), rtol=1e-5)


def test_weight(kl_layers):
    encoder = encoder_of(kl_layers(layers.StandardNormal(2), use_exact_kl=True, weight=0.25))
    encoder(PARAMS)
    np.testing.assert_allclose(encoder.losses, [0.25 * kl_by_hand(PARAMS).mean()], rtol=1e-5)


def test_test_points_fn(kl_layers):
    encoder = encoder_of(kl_layers(layers.StandardNormal(2), test_points_fn=tfd.Distribution.mean))
    encoder(PARAMS)
    loc, raw = np.split(PARAMS, 2, axis=-1)
    # log q - log p at the mean of q.
    expected = (0.5 * loc**2 - np.log(np.log1p(np.exp(raw)))).sum(axis=-1).mean()
    np.testing.assert_allclose(encoder.losses, [expected], rtol=1e-5)


def spread(params):
    """Normals whose events are spread over a batch shape (6, 2): no `tfd.Independent`."""
    loc, raw = tf.split(params, 2, axis=-1)
    return tfd.Normal(loc, tf.nn.softplus(raw))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("add", [False, True])
def test_what_is_left_of_the_batch_shape_is_summed(exact, add):
    prior = tfd.Normal(0.0, 1.0)
    kl = dict(distribution_b=prior, use_exact_kl=exact)
    if not exact:  # Many test points of each: the mean over these, too.
        kl["test_points_fn"] = lambda q: q.sample(40_000, seed=0)
    regularizer = None if add else layers.KLDivergenceRegularizer(**kl)
    heads = [layers.DistributionLambda(spread, activity_regularizer=regularizer)]
    encoder = encoder_of([*heads, layers.KLDivergenceAddLoss(**kl)] if add else heads)
    encoder(PARAMS)
    # The estimate's standard error is below 2 / sqrt(6 * 40,000) = 0.004; five of them.
    tolerance = dict(rtol=1e-5) if exact else dict(rtol=0, atol=0.02)
    np.testing.assert_allclose(encoder.losses, [kl_by_hand(PARAMS).mean()], **tolerance)


def test_unknown_batch_shape():
    kl = layers.KLDivergenceRegularizer(layers.StandardNormal(2), use_exact_kl=True)
    layer = layers.IndependentNormal(2)
    value = tf.function(lambda x: kl(layer(x)), input_signature=[tf.TensorSpec(None)])
    np.testing.assert_allclose(value(PARAMS), kl_by_hand(PARAMS).mean(), rtol=1e-5)
    for axis, factor in (((), 1), (-1, 1 / 2)):
        kl = layers.KLDivergenceRegularizer(
            tfd.Normal(0.0, 1.0), test_points_reduce_axis=axis, test_points_fn=tfd.Normal.mean
        )
        value = tf.function(lambda x: kl(spread(x)), input_signature=[tf.TensorSpec(None)])  # noqa: B023
        loc, scale = spread(PARAMS).loc.numpy(), spread(PARAMS).scale.numpy()
        expected = (0.5 * loc**2 - np.log(scale)).sum(axis=-1).mean() * factor
        np.testing.assert_allclose(value(PARAMS), expected, rtol=1e-5)


def test_reduced_axes_are_averaged():
    points = np.random.default_rng(1).normal(size=(5, 6, 2)).astype("float32")
    q, p = spread(PARAMS), tfd.Normal(0.0, 1.0)
    ratios = (q.log_prob(points) - p.log_prob(points)).numpy()
    for axis, expected in (((), ratios.mean() * 2), (2, ratios.mean()), (-1, ratios.mean())):
        regularizer = layers.KLDivergenceRegularizer(
            p, test_points_reduce_axis=axis, test_points_fn=lambda q: points
        )
        np.testing.assert_allclose(regularizer(q), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "points", [dict(test_points_fn=mean_point), dict(test_points_reduce_axis=0)]
)
def test_closed_form_has_no_test_points(kl_layers, points):
    with pytest.raises(ValueError, match="has no test points. Received: test_points_fn"):
        kl_layers(layers.StandardNormal(2), use_exact_kl=True, **points)


@pytest.mark.parametrize("axis", [None, (), 0, (0, 1)])
def test_reduced_axes_make_no_difference_to_one_event_each(axis):
    points = np.random.default_rng(1).normal(size=(5, 6, 2)).astype("float32")
    posterior, prior = layers.IndependentNormal(2)(PARAMS), layers.StandardNormal(2)
    regularizer = layers.KLDivergenceRegularizer(
        prior, test_points_reduce_axis=axis, test_points_fn=lambda q: points
    )
    ratios = posterior.log_prob(points) - prior.as_distribution().log_prob(points)
    np.testing.assert_allclose(regularizer(posterior), np.mean(ratios), rtol=1e-5)


def test_full_covariance_has_a_closed_form():
    posterior = layers.MultivariateNormalTriL(2)(np.ones((3, 5), "float32"))
    kl = layers.KLDivergenceRegularizer(layers.StandardNormal(2), use_exact_kl=True)(posterior)
    covariance = posterior.covariance()[0].numpy()
    # 0.5 (trace(S) + |loc|^2 - k - log det S), with loc = (1, 1).
    expected = 0.5 * (np.trace(covariance) + 2 - 2 - np.log(np.linalg.det(covariance)))
    np.testing.assert_allclose(kl, expected, rtol=1e-5)


def test_prior_may_be_a_distribution_a_function_or_a_model():
    model = keras.Sequential([layers.DistributionLambda(lambda _: wide_prior())])
    posterior = layers.IndependentNormal(2)(PARAMS)
    values = [
        layers.KLDivergenceRegularizer(prior, use_exact_kl=True)(posterior)
        for prior in (wide_prior(), wide_prior, model)
    ]
    loc, raw = np.split(PARAMS, 2, axis=-1)
    ratio = np.log1p(np.exp(raw)) / 2
    expected = (0.5 * (loc**2 / 4 + ratio**2 - 1) - np.log(ratio)).sum(axis=-1).mean()
    np.testing.assert_allclose(values, [expected] * 3, rtol=1e-5)


def test_trainable_prior_is_trained(kl_layers):
    prior = layers.MixtureOfNormals(2, num_components=3, seed=0)
    model = autoencoder_of(encoder_of(kl_layers(prior)))
    trainable = [id(v) for v in model.trainable_variables]
    assert all(trainable.count(id(v)) == 1 for v in prior.trainable_variables)
    before = prior.get_weights()
    model.compile(keras.optimizers.SGD(0.1), NegativeLogLikelihood())
    model.fit(PARAMS, PARAMS, verbose=0)
    for old, new in zip(before, prior.get_weights(), strict=True):
        assert np.all(old != new)


def test_trainable_prior_in_mixed_precision(kl_layers, mixed_precision):
    prior = layers.MixtureOfNormals(2, num_components=3)
    encoder = encoder_of([keras.layers.Dense(4), *kl_layers(prior)])
    posterior = encoder(PARAMS)
    assert encoder.layers[0].compute_dtype in mixed_precision
    assert posterior.dtype == encoder.losses[0].dtype == tf.float32


def test_variables_that_keras_cannot_see_are_refused(kl_layers):
    loc = tf.Variable(tf.zeros(2))
    message = "would never be trained. Received: distribution_b with <tf.Variable.*Use a keras.Var"
    with pytest.raises(ValueError, match=message):
        kl_layers(tfd.MultivariateNormalDiag(loc))
    with pytest.raises(ValueError, match=message):
        encoder_of(kl_layers(lambda: tfd.MultivariateNormalDiag(loc)))(PARAMS)


def test_only_distributions_have_a_divergence():
    regularizer = layers.KLDivergenceRegularizer(layers.StandardNormal(2))
    with pytest.raises(TypeError, match="needs the distribution itself.*Received: .*Tensor"):
        regularizer(tf.zeros((3, 2)))


def test_no_closed_form_is_said():
    regularizer = layers.KLDivergenceRegularizer(layers.MixtureOfNormals(2), use_exact_kl=True)
    with pytest.raises(NotImplementedError, match="No closed form of KL"):
        regularizer(layers.IndependentNormal(2)(PARAMS))


def test_passes_the_distribution_through_with_its_value():
    posterior = layers.IndependentNormal(2)(PARAMS)
    passed = layers.KLDivergenceAddLoss(layers.StandardNormal(2))(posterior)
    assert isinstance(passed, tfd.Independent)
    np.testing.assert_array_equal(passed, posterior)


def test_trained_prior_is_saved_and_trains_on(kl_layers, reloaded):
    prior = layers.MixtureOfNormals(2, num_components=3)
    model = autoencoder_of(encoder_of(kl_layers(prior, test_points_fn=mean_point, weight=0.5)))
    model.compile(keras.optimizers.SGD(0.1), NegativeLogLikelihood())
    model.fit(PARAMS, PARAMS, verbose=0)
    loaded = reloaded(model)
    model(PARAMS), loaded(PARAMS)
    assert len(loaded.losses) == 1
    np.testing.assert_allclose(loaded.losses, model.losses, rtol=1e-6)
    before = {v.path: v.numpy() for v in loaded.trainable_variables if prior.name in v.path}
    assert len(before) == 3
    loaded.fit(PARAMS, PARAMS, verbose=0)
    for variable in loaded.trainable_variables:
        if variable.path in before:
            assert np.all(variable.numpy() != before[variable.path])


def test_saved_functions_give_the_same_loss(kl_layers, reloaded):
    encoder = encoder_of(kl_layers(wide_prior, use_exact_kl=True, weight=0.5))
    loaded = reloaded(encoder)
    encoder(PARAMS), loaded(PARAMS)
    assert len(loaded.losses) == 1
    np.testing.assert_allclose(loaded.losses, encoder.losses, rtol=1e-6)


@pytest.mark.parametrize(
    "prior, message",
    [
        (wide_prior(), "A tfd.Distribution cannot be saved.*Use a prior of tfgen.layers"),
        (lambda: wide_prior(), "A lambda cannot be saved"),
    ],
    ids=["distribution", "lambda"],
)
def test_priors_that_cannot_be_saved(prior, message, kl_layers, tmp_path):
    with pytest.raises(ValueError, match=message):
        encoder_of(kl_layers(prior)).save(tmp_path / "model.keras")
