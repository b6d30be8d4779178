"""Tests of IWAE: bounds with a known value, and the two gradients."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import bijectors, layers, models, networks

tfd = tfp.distributions

X = tf.constant([[0.3], [-1.2], [2.0]])


def linear_gaussian(cls=models.VAE, slope=0.7, scale=0.6, **kwargs):
    """z ~ N(0, 1), x = z + N(0, 0.5^2), and q(z|x) = N(slope x, scale^2), not the posterior."""
    posterior = layers.IndependentNormal(1, scale_activation="exponential")
    encoder = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2), posterior])
    decoder = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1), layers.FixedScaleNormal(1, scale=0.5)]
    )
    assign(encoder, [[slope, 0.0]], [0.0, np.log(scale)])
    assign(decoder, [[1.0]], [0.0])
    return cls(encoder, decoder, seed=0, **kwargs)


def assign(network, *values):
    for variable, value in zip(network.trainable_variables, values, strict=True):
        variable.assign(value)


def exact_log_prob(x):
    """log p(x): x ~ N(0, 1 + 0.25)."""
    return tfd.Normal(0.0, 1.25**0.5).log_prob(x[:, 0]).numpy()


def test_bound_is_the_log_of_the_mean_weight():
    model = linear_gaussian(models.IWAE, num_samples=7)
    terms = model.terms(X, training=False)
    model.evaluation_seed_generator.state.assign([0, 0])  # As it was.
    weights = model.log_weights(X, 7, model.next_seed(training=False)).numpy()
    expected = np.log(np.mean(np.exp(weights.astype("float64")), axis=0))
    np.testing.assert_allclose(terms["iw_elbo"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(terms["elbo"], weights.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(terms["loss"], -expected, rtol=1e-5, atol=1e-6)


def test_bound_rises_with_the_number_of_draws_to_the_exact_value():
    model, n = linear_gaussian(), 20_000
    weights = model.log_weights(X, n, tf.constant([0, 1])).numpy().astype("float64")
    exact = exact_log_prob(X)
    bounds = []
    for k in (1, 5, 50):
        groups = tfp.math.reduce_logmeanexp(weights.reshape(-1, k, 3), axis=1).numpy()
        bounds.append(groups.mean(axis=0))
        # Five standard errors of the mean of n / k groups: about 1 seed in 1.7 million fails.
        error = 5 * groups.std(axis=0) / np.sqrt(n / k)
        assert np.all(bounds[-1] < exact + error)
    for lower, higher in itertools.pairwise(bounds):
        assert np.all(lower < higher)
    # Of 50 draws the bound lacks about var(w) / (2 k E[w]^2) nats: under 0.02 for these weights.
    np.testing.assert_allclose(bounds[-1], exact, atol=0.02)


def test_weights_of_the_true_posterior_are_all_p_of_x():
    # p(z|x) = N(x / 1.25, 0.25 / 1.25).
    model = linear_gaussian(slope=0.8, scale=np.sqrt(0.2))
    weights = model.log_weights(X, 4, tf.constant([0, 1]))
    np.testing.assert_allclose(weights, np.tile(exact_log_prob(X), (4, 1)), rtol=1e-5, atol=1e-5)


def gradients(model, seed):
    """Gradients of the loss for encoder and decoder, from the draws of `seed`."""
    model.seed_generator.state.assign(tf.stack([0, seed]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.terms(X)["loss"])
    variables = [*model.encoder.trainable_variables, *model.decoder.trainable_variables]
    values = tape.gradient(loss, [v.value for v in variables])
    return tf.concat([tf.reshape(value, [-1]) for value in values], axis=0)


def test_both_estimators_have_the_same_loss_and_expected_gradient():
    samples = {}
    for estimator in ("reparameterized", "doubly_reparameterized"):
        model = linear_gaussian(models.IWAE, num_samples=4, estimator=estimator)
        draw = tf.function(lambda seed, model=model: gradients(model, seed))
        samples[estimator] = np.stack([draw(tf.constant(i)) for i in range(800)])
    first, second = samples.values()
    decoder = slice(4, None)
    # The decoder's gradient is the same for the same draws, up to float32 rounding.
    np.testing.assert_allclose(first[:, decoder], second[:, decoder], rtol=1e-3, atol=1e-4)
    # Five standard errors of the difference of means over draws.
    difference = first - second
    error = 5 * difference.std(axis=0) / np.sqrt(len(difference)) + 1e-5
    assert np.all(np.abs(difference.mean(axis=0)) < error)
    # What the doubly reparameterized estimator is for: less noise in the encoder's gradient.
    encoder = slice(0, 4)
    assert np.all(second[:, encoder].std(axis=0) < 0.8 * first[:, encoder].std(axis=0))
    values = [
        linear_gaussian(models.IWAE, num_samples=4, estimator=e).terms(X)["loss"] for e in samples
    ]
    np.testing.assert_allclose(*values, rtol=1e-6)


def test_one_draw_is_the_vae():
    """Without a closed form of the KL: the weights of one draw."""
    model = linear_gaussian(models.IWAE, num_samples=1)
    terms = model.terms(X)
    np.testing.assert_allclose(terms["iw_elbo"], terms["elbo"], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "at least 1. Received: num_samples=0"),
        ({"num_samples": 2.0}, "Received: num_samples=2.0"),
        ({"estimator": "dreg"}, "Received: estimator='dreg'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_gaussian(models.IWAE, **arguments)


def test_posteriors_without_a_density_at_any_point():
    posterior = functools.partial(
        layers.FlowNormal, bijector=bijectors.Planar(2, 2, 3), context_size=3
    )
    encoder = networks.mlp_encoder((2, 2, 1), 2, posterior, width=4)
    decoder = networks.mlp_decoder((2, 2, 1), 2, width=4)
    with pytest.raises((ValueError, NotImplementedError), match="inverse"):
        models.IWAE(encoder, decoder, estimator="doubly_reparameterized")


# Groups of draws, and mixed bounds.


def log_weights(model, num_draws):
    """Those that `terms` makes of the next seed."""
    model.evaluation_seed_generator.state.assign([0, 0])
    weights = model.log_weights(X, num_draws, model.next_seed(training=False))
    model.evaluation_seed_generator.state.assign([0, 0])
    return weights.numpy().astype("float64")


def log_mean(weights, axis=0):
    return np.log(np.mean(np.exp(weights), axis=axis))


def test_groups_have_the_mean_of_their_bounds():
    model = linear_gaussian(models.IWAE, num_samples=3, num_groups=4)
    groups = log_mean(log_weights(model, 12).reshape(4, 3, -1), axis=1)
    terms = model.terms(X, training=False)
    np.testing.assert_allclose(terms["iw_elbo"], groups.mean(0), rtol=1e-5)
    np.testing.assert_allclose(terms["loss"], -groups.mean(0), rtol=1e-5)


def test_groups_of_one_draw_are_the_elbo():
    model = linear_gaussian(models.IWAE, num_samples=1, num_groups=4)
    terms = model.terms(X)
    np.testing.assert_allclose(terms["iw_elbo"], terms["elbo"], rtol=1e-5)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_mixed_bound(share):
    model = linear_gaussian(models.IWAE, num_samples=5, elbo_weight=share)
    weights = log_weights(model, 5)
    expected = share * weights.mean(0) + (1 - share) * log_mean(weights)
    np.testing.assert_allclose(model.terms(X, training=False)["loss"], -expected, rtol=1e-5)


def test_partial_step_by_hand(build_model, assert_step_by_hand, blobs):
    """The encoder follows the bounds of groups, the decoder that of all draws."""
    model, x = build_model("iwae_partial"), blobs[:8]

    def forward_pass():
        q = model.encoder(x)
        z = q.sample(6, seed=model.next_seed())
        likelihood = model.decoder(tf.reshape(z, (48, 2)))
        log_likelihood = tf.reshape(likelihood.log_prob(tf.tile(x, (6, 1, 1, 1))), (6, 8))
        weights = log_likelihood + model.prior_distribution().log_prob(z) - q.log_prob(z)
        groups = tfp.math.reduce_logmeanexp(tf.reshape(weights, (2, 3, 8)), axis=1)
        everyone = tfp.math.reduce_logmeanexp(weights, axis=0)
        return [
            (-tf.reduce_mean(groups), model.encoder),
            (-tf.reduce_mean(everyone), model.decoder),
        ]

    assert_step_by_hand(model, x, forward_pass)


def test_sticking_the_landing_has_no_noise_at_the_posterior():
    """Where q(z|x) is the posterior, no draw gives the encoder a gradient."""
    exact = {"slope": 0.8, "scale": np.sqrt(0.2)}
    found = {}
    for estimator in ("reparameterized", "sticking_the_landing"):
        model = linear_gaussian(models.IWAE, num_samples=1, estimator=estimator, **exact)
        found[estimator] = np.stack([gradients(model, seed)[:4] for seed in range(5)])
    assert np.abs(found["sticking_the_landing"]).max() < 1e-5 < 0.1
    assert np.abs(found["reparameterized"]).max() > 0.1


def expected_gradients(estimator, num_draws=1500, **options):
    model = linear_gaussian(models.IWAE, estimator=estimator, **options)
    draw = tf.function(lambda seed: gradients(model, seed))
    return np.stack([draw(tf.constant(i)) for i in range(num_draws)])


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        ("sticking_the_landing", {"num_samples": 1}),
        ("doubly_reparameterized", {"num_samples": 3, "num_groups": 2}),
        ("doubly_reparameterized", {"num_samples": 3, "elbo_weight": 0.5}),
    ],
)
def test_paths_have_the_expected_gradient(estimator, options):
    ours = expected_gradients(estimator, **options)
    plain = expected_gradients("reparameterized", **options)
    error = 5 * np.sqrt((ours.var(0) + plain.var(0)) / len(ours)) + 1e-5
    assert np.all(np.abs(ours.mean(0) - plain.mean(0)) < error)


def test_doubly_reparameterized_of_a_full_covariance():
    """Any posterior that knows its density: here a normal that is no diagonal one."""

    def build(estimator):
        keras.utils.set_random_seed(0)
        encoder = networks.mlp_encoder((2, 2, 1), 2, layers.MultivariateNormalTriL, width=4)
        decoder = networks.mlp_decoder((2, 2, 1), 2, width=4)
        return models.IWAE(encoder, decoder, num_samples=3, estimator=estimator, seed=0)

    x = tf.constant(np.random.default_rng(0).integers(2, size=(3, 2, 2, 1)), tf.float32)

    def sampled(model):
        @tf.function
        def gradient(seed):
            model.seed_generator.state.assign(tf.stack([0, seed]))
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model.terms(x)["loss"])
            values = tape.gradient(loss, [v.value for v in model.encoder.trainable_variables])
            return tf.concat([tf.reshape(value, [-1]) for value in values], axis=0)

        return np.stack([gradient(tf.constant(i)) for i in range(1000)])

    plain, ours = (sampled(build(e)) for e in ("reparameterized", "doubly_reparameterized"))
    error = 5 * np.sqrt((ours.var(0) + plain.var(0)) / len(ours)) + 1e-5
    assert np.all(np.abs(ours.mean(0) - plain.mean(0)) < error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_groups": 0}, "num_groups=0"),
        ({"elbo_weight": 1.5}, "from 0 to 1. Received: elbo_weight=1.5"),
        ({"partial": True}, "Received: num_groups=1"),
        ({"partial": 1, "num_groups": 2}, "partial=1"),
    ],
)
def test_bad_bounds(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_gaussian(models.IWAE, **arguments)
