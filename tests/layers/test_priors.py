"""Priors: densities by hand, draws from the density that is scored, training, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, models, networks

IMAGE_SHAPE = (3, 3, 1)
POINTS = np.random.default_rng(5).normal(size=(6, 2)).astype("float32")


def normal_density(x, loc, scale):
    """Product over the last axis, in NumPy."""
    standardized = (x - loc) / scale
    return np.prod(np.exp(-0.5 * standardized**2) / (scale * np.sqrt(2 * np.pi)), axis=-1)


def vamp_encoder():
    """Linear in the flattened image: q(z|x) can be written in NumPy."""
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(seed=1)),
            layers.IndependentNormal(2),
        ]
    )


def vamp_components(prior, encoder):
    """Weights, locations and scales of the mixture, in NumPy."""
    pixels = 1 / (1 + np.exp(-prior.get_weights()[0].reshape(prior.num_components, -1)))
    kernel, bias = encoder.get_weights()[:2]
    loc, raw = np.split(pixels @ kernel + bias, 2, axis=-1)
    weights = np.full(prior.num_components, 1 / prior.num_components)
    return weights, loc, np.log1p(np.exp(raw))


def mixture_components(prior, encoder):
    logits, loc, raw = prior.get_weights()
    return np.exp(logits) / np.exp(logits).sum(), loc, np.log1p(np.exp(raw))


def standard_components(prior, encoder):
    return np.ones(1), np.zeros((1, 2)), np.ones((1, 2))


def random_mixture():
    prior = layers.MixtureOfNormals(2, num_components=3)
    rng = np.random.default_rng(0)
    prior.set_weights([rng.normal(size=weight.shape) for weight in prior.get_weights()])
    return prior


PRIORS = {
    "standard": (lambda: layers.StandardNormal(2), standard_components),
    "mixture": (random_mixture, mixture_components),
    "vamp": (lambda: layers.VampPrior(IMAGE_SHAPE, 4, seed=0), vamp_components),
}


@pytest.fixture(params=PRIORS)
def scored(request):
    """A prior, its distribution, and its components' weights, locations and scales in NumPy."""
    make, components = PRIORS[request.param]
    prior, encoder = make(), vamp_encoder()
    return prior, prior.as_distribution(encoder), components(prior, encoder)


def test_density_by_hand(scored):
    _, distribution, (weights, loc, scale) = scored
    expected = weights @ normal_density(POINTS[None], loc[:, None], scale[:, None])
    assert (distribution.batch_shape, distribution.event_shape) == ((), (2,))
    np.testing.assert_allclose(distribution.prob(POINTS), expected, rtol=1e-4)


def test_draws_come_from_the_density_that_is_scored(scored):
    _, distribution, (weights, loc, scale) = scored
    n = 20_000
    draws = distribution.sample(n, seed=1).numpy()
    mean = weights @ loc
    variance = weights @ (scale**2 + loc**2) - mean**2
    # Five standard errors of the mean; of the variance, by the draws' own fourth moment.
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 5 * np.sqrt(variance / n))
    spread = ((draws - mean) ** 2).std(axis=0)
    assert np.all(np.abs(draws.var(axis=0) - variance) < 5 * spread / np.sqrt(n))


def test_density_integrates_to_one(scored):
    _, distribution, (_, loc, scale) = scored
    # Importance sampling from a normal wider than all components.
    width = np.abs(loc).max() + 3 * scale.max()
    n = 20_000
    points = width * np.random.default_rng(2).normal(size=(n, 2)).astype("float32")
    ratios = distribution.prob(points) / normal_density(points, 0.0, width)
    np.testing.assert_allclose(np.mean(ratios), 1.0, atol=5 * np.std(ratios) / np.sqrt(n))


@pytest.mark.parametrize("name", PRIORS)
def test_trained_as_the_prior_of_a_vae(name):
    keras.utils.set_random_seed(0)
    prior = PRIORS[name][0]()
    model = models.VAE(vamp_encoder(), networks.mlp_decoder(IMAGE_SHAPE, 2, width=8), prior, seed=0)
    model.compile(keras.optimizers.Adam(0.05))
    before = [np.array(weight) for weight in prior.get_weights()]
    images = (np.random.default_rng(3).uniform(size=(32, *IMAGE_SHAPE)) > 0.5).astype("float32")
    losses = model.fit(images, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for old, new in zip(before, prior.get_weights(), strict=True):
        assert not np.any(old == new)
    trainable = {id(v) for v in model.trainable_variables}
    assert all(id(v) in trainable for v in prior.trainable_variables)
    assert model.sample(3, seed=0).shape == (3, *IMAGE_SHAPE)


@pytest.mark.parametrize("name", PRIORS)
def test_saved_with_the_vae(name, reloaded):
    prior = PRIORS[name][0]()
    model = models.VAE(vamp_encoder(), networks.mlp_decoder(IMAGE_SHAPE, 2, width=8), prior)
    loaded = reloaded(model)
    assert type(loaded.prior) is type(prior)
    assert loaded.prior.get_config() == prior.get_config()
    np.testing.assert_allclose(
        loaded.prior_distribution().log_prob(POINTS),
        model.prior_distribution().log_prob(POINTS),
        rtol=1e-6,
    )


def test_every_weight_of_the_mixture_has_a_gradient():
    prior = random_mixture()
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(prior.as_distribution().log_prob(POINTS))
    for gradient in tape.gradient(loss, [v.value for v in prior.trainable_variables]):
        assert np.all(np.abs(gradient) > 0)


def test_mixture_begins_with_unit_scales_and_equal_weights():
    weights, _, scale = mixture_components(layers.MixtureOfNormals(2, 5), None)
    np.testing.assert_allclose(weights, np.full(5, 0.2))
    np.testing.assert_allclose(scale, np.ones((5, 2)), rtol=1e-6)


@pytest.mark.parametrize("make", [layers.MixtureOfNormals, layers.VampPrior])
def test_seed_fixes_the_initial_weights(make):
    one, same, other = (make((2,), seed=seed).get_weights() for seed in (1, 1, 2))
    for first, second in zip(one, same, strict=True):
        np.testing.assert_array_equal(first, second)
    assert any(np.any(first != third) for first, third in zip(one, other, strict=True))


def test_locations_of_the_mixture_begin_as_standard_normals():
    loc = layers.MixtureOfNormals(10, num_components=100, seed=0).loc.numpy()
    # 5 standard errors of the deviation of 1000 normals.
    assert np.std(loc) == pytest.approx(1, rel=5 / np.sqrt(2 * loc.size))


def test_pseudo_inputs_have_the_range_of_the_data():
    seen = []

    def encoder(pseudo_inputs):
        seen.append(pseudo_inputs.numpy())
        return layers.IndependentNormal(1)(tf.zeros((len(pseudo_inputs), 2)))

    layers.VampPrior(IMAGE_SHAPE, 4, activation="tanh", seed=0).as_distribution(encoder)
    assert seen[0].shape == (4, *IMAGE_SHAPE)
    assert np.abs(seen[0]).max() < 1 and seen[0].min() < 0


def test_vamp_prior_needs_an_encoder():
    with pytest.raises(ValueError, match="mixture of posteriors.*Received: encoder=None"):
        layers.VampPrior(IMAGE_SHAPE).as_distribution()


@pytest.mark.parametrize("make", [layers.MixtureOfNormals, layers.VampPrior])
def test_at_least_one_component(make):
    with pytest.raises(ValueError, match="at least 1. Received: num_components=0"):
        make((2,), num_components=0)


def test_base_class_has_no_density():
    with pytest.raises(NotImplementedError):
        layers.Prior().as_distribution()


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_has_no_activity_to_regularize(name):
    prior = PRIORS[name][0]()
    names = {"event_shape": (2,), "input_shape": IMAGE_SHAPE}
    required = [value for key, value in names.items() if key in prior.get_config()]
    with pytest.raises(ValueError, match="A prior.*activity_regularizer=.*layer of a network"):
        type(prior)(*required, activity_regularizer="l2")
