"""Ada-GVAE: its loss against NumPy, and a toy whose factors it finds."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen import layers, metrics, models

SHAPE, SCALE = (2, 2, 1), 0.1
# Four pixels of two factors, at an angle to them; columns are orthogonal.
MIXING = np.array([[0.8, 0.6, 0.0, 0.0], [-0.6, 0.8, 0.0, 0.0]]) @ np.array(
    [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
)


def linear(cls=models.AdaGVAE, **kwargs):
    """Linear networks; scales of the posterior are exp of a linear map."""
    keras.utils.set_random_seed(0)
    head = layers.IndependentNormal(2, scale_activation="exponential")
    encoder = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(4), head]
    )
    normal = layers.FixedScaleNormal(SHAPE, scale=SCALE)
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), normal])
    return cls(encoder, decoder, **{"seed": 0, **kwargs})


def images(factors, rng):
    x = factors @ MIXING + SCALE * rng.normal(size=(len(factors), 4))
    return x.reshape(-1, *SHAPE).astype("float32")


def pairs(num, rng):
    """Images that share one of two factors, of equal variance, and the factors of the first."""
    first, other = rng.uniform(-1.5, 1.5, size=(2, num, 2))
    is_shared = np.eye(2, dtype=bool)[rng.integers(2, size=num)]
    second = np.where(is_shared, first, other)
    return images(first, rng), images(second, rng), first


def moments(model, x):
    """Of q(z|x), by NumPy."""
    kernel, bias = (w.astype("float64") for w in model.encoder.get_weights())
    outputs = x.reshape(len(x), -1) @ kernel + bias
    return outputs[:, :2], np.exp(outputs[:, 2:]) + 1e-10


def test_terms_are_those_of_numpy():
    model, (first, second, _) = linear(beta=3.0), pairs(5, np.random.default_rng(0))
    seed = model.seed_generator.state.numpy()
    terms = model.terms(model.unpack((first, second)))
    (m, s), (n, t) = moments(model, first), moments(model, second)
    distance = np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
    middle = (distance.max(axis=1) + distance.min(axis=1))[:, None] / 2
    shared = distance < middle
    assert shared.sum() == 5  # One of two each.
    loc = np.concatenate([np.where(shared, (m + n) / 2, own) for own in (m, n)])
    variance = np.concatenate([np.where(shared, (s**2 + t**2) / 2, own**2) for own in (s, t)])
    kl = 0.5 * np.sum(loc**2 + variance - 1 - np.log(variance), axis=1)
    np.testing.assert_allclose(terms["kl"], kl, rtol=1e-4)

    model.seed_generator.state.assign(seed)
    noise = tf.random.stateless_normal((10, 2), model.next_seed(True), alg="philox").numpy()
    kernel, bias = model.decoder.get_weights()
    mean = (loc + np.sqrt(variance) * noise) @ kernel + bias
    x = np.concatenate([first, second]).reshape(10, 4)
    nll = -stats.norm.logpdf(x, mean, SCALE).sum(axis=1)
    np.testing.assert_allclose(terms["reconstruction"], nll, rtol=1e-3)
    np.testing.assert_allclose(terms["loss"], nll + 3.0 * kl, rtol=1e-3)
    np.testing.assert_allclose(terms["elbo"], -nll - kl, rtol=1e-3)


def evaluated(model, x):
    model.evaluation_seed_generator.state.assign([0, 0])
    return model.terms(x, training=False)


def test_single_images_and_pairs_of_themselves_are_a_vae():
    first, *_ = pairs(4, np.random.default_rng(1))
    model, vae = linear(), linear(models.VAE)
    vae.set_weights(model.get_weights())
    alone = evaluated(vae, first)
    for name, value in evaluated(model, first).items():
        np.testing.assert_array_equal(value, alone[name])
    twins = evaluated(model, model.unpack((first, first)))
    np.testing.assert_allclose(twins["kl"], np.tile(alone["kl"], 2), rtol=1e-5)


def found(model, x, factors):
    """For each factor the greatest correlation with a code; the mean over factors."""
    codes = model.embed(x)
    return np.abs(np.corrcoef(codes.T, factors.T)[:2, 2:]).max(axis=0).mean()


@pytest.mark.parametrize("cls, finds", [(models.AdaGVAE, True), (models.VAE, False)])
def test_pairs_tell_which_directions_are_factors(cls, finds):
    """Codes that begin between the factors, of equal variance: a VAE has no reason to turn them."""
    first, second, factors = pairs(2_000, np.random.default_rng(2))
    model, angle = linear(cls), np.radians(40)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    axes = rotation @ MIXING
    model.decoder.layers[0].set_weights([axes, np.zeros(4)])
    kernel = np.concatenate([np.linalg.pinv(axes), np.zeros((4, 2))], axis=1)
    model.encoder.layers[1].set_weights([kernel, np.array([0, 0, -3, -3])])
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 800)))
    model.fit(first, second if finds else None, batch_size=50, epochs=20, verbose=0)
    score = found(model, first, factors)
    assert score > 0.98 if finds else score < 0.9


def test_likelihoods_are_of_the_first_images():
    model, (first, second, _) = linear(), pairs(6, np.random.default_rng(3))
    alone = metrics.importance_sampled_nll(model, first, 50, verbose=False)
    dataset = tf.data.Dataset.from_tensor_slices((first, second)).batch(6)
    paired = metrics.importance_sampled_nll(model, dataset, 50, verbose=False)
    assert float(paired.nll) == pytest.approx(float(alone.nll), rel=1e-5)


def test_other_posteriors_are_refused():
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    encoder.add(layers.MultivariateNormalTriL(2))
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    decoder.add(layers.FixedScaleNormal(4))
    with pytest.raises(ValueError, match="AdaGVAE needs an encoder that returns independent"):
        models.AdaGVAE(encoder, decoder)
