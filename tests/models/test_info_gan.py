"""InfoGAN: terms by NumPy, the bound and exact mutual information by enumeration, codes, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats
from scipy.special import log_softmax

from tfgen import layers, networks
from tfgen.models import GAN, InfoGAN, load_model

SHAPE = (2, 2, 1)
PRIOR = dict(noise_dim=2, categories=(3,), num_continuous=1)


def image_network(num_outputs, width=8):
    return networks.mlp_encoder(SHAPE, num_outputs, None, width, depth=1)


def build(cls=InfoGAN, latent_dim=6, num_parameters=5, **kwargs):
    keras.utils.set_random_seed(0)
    generator = networks.mlp_decoder(SHAPE, latent_dim, None, 8, depth=1)
    options = {"prior": layers.InfoGANPrior(**PRIOR), "seed": 0, **kwargs}
    own = [image_network(num_parameters)] if cls is InfoGAN else []
    return cls(generator, image_network(1), *own, **options)


def images(num=32):
    return np.random.default_rng(0).normal(size=(num, *SHAPE)).astype("float32")


# Terms.


def test_terms_of_the_generator_by_numpy():
    model = build(info_weight=0.2)
    model.info_weight = 0.7
    z = model.sample_latents(6, [0, 1]).numpy()
    terms = model.generator_terms((tf.constant(z), None), training=False)
    fake = model.generator(z)
    params, logits = model.auxiliary(fake).numpy(), model.discriminator(fake).numpy()[:, 0]
    labels, continuous = z[:, 2:5].argmax(axis=1), z[:, 5]
    log_q = log_softmax(params[:, :3], axis=1)[np.arange(6), labels]
    log_q += stats.norm.logpdf(continuous, params[:, 3], np.logaddexp(0, params[:, 4]))
    bound = log_q + np.log(3) + np.log(2)
    assert_allclose(terms["information_bound"], bound, rtol=1e-5, atol=1e-5)
    expected = np.logaddexp(0, -logits) - 0.7 * bound
    assert_allclose(terms["generator_loss"], expected, rtol=1e-5, atol=1e-5)
    assert set(terms) == {"generator_loss", "information_bound"}


@pytest.mark.slow
def test_without_weight_it_is_a_gan_in_every_step():
    """Q is the one that then stays."""
    model, gan = build(info_weight=0.0), build(GAN)
    for each in (model, gan):
        each.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    gan.discriminator.set_weights(model.discriminator.get_weights())
    gan.generator.set_weights(model.generator.get_weights())
    before = model.auxiliary.get_weights()
    model.fit(images(), batch_size=8, verbose=0)
    gan.fit(images(), batch_size=8, verbose=0)
    for name in ("generator", "discriminator"):
        pairs = zip(
            getattr(model, name).get_weights(), getattr(gan, name).get_weights(), strict=True
        )
        for ours, theirs in pairs:
            assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for old, new in zip(before, model.auxiliary.get_weights(), strict=True):
        assert_array_equal(old, new)


def test_step_by_hand(assert_step_by_hand):
    """Generator and Q descend one loss, the discriminator its own."""
    model, x = build(info_weight=0.7, loss="least_squares"), images(8)

    def judge():
        fake = model.generator(model.sample_latents(8, model.next_seed()))
        real, fake = model.discriminator(x), model.discriminator(fake)
        return [(tf.reduce_mean((real - 1) ** 2 + fake**2) / 2, model.discriminator)]

    def deceive():
        z = model.sample_latents(8, model.next_seed())
        fake = model.generator(z)
        params = model.auxiliary(fake)
        log_q = -tf.nn.softmax_cross_entropy_with_logits(z[:, 2:5], params[:, :3])
        scale = tf.math.log(1 + tf.exp(params[:, 4]))
        log_q -= ((z[:, 5] - params[:, 3]) / scale) ** 2 / 2 + tf.math.log(scale)
        loss = tf.reduce_mean((model.discriminator(fake) - 1) ** 2) / 2
        return [(loss - 0.7 * tf.reduce_mean(log_q), model.generator, model.auxiliary)]

    assert_step_by_hand(model, x, judge, deceive)


# The bound.

FLIP = 0.2


class Channel(keras.layers.Layer):
    """x = [1] if a code of three is 0, else [0]; the other one where noise is in its upper tail."""

    def call(self, z):
        says, flips = z[:, 1], z[:, 0] > stats.norm.isf(FLIP)
        return tf.where(flips, 1 - says, says)[:, None]


def channel_model(kernel, bias):
    z, x = keras.Input((4,)), keras.Input((1,))
    auxiliary = keras.Model(x, keras.layers.Dense(3)(x))
    auxiliary.set_weights([kernel, bias])
    discriminator = keras.Model(x, keras.layers.Dense(1)(x))
    generator = keras.Model(z, Channel()(z))
    return InfoGAN(generator, discriminator, auxiliary, layers.InfoGANPrior(1, (3,)), seed=0)


def enumerated():
    """All kinds of z, and their probabilities."""
    z = [[noise, *row] for noise in (-5.0, 5.0) for row in np.eye(3)]
    return np.array(z, "float32"), np.repeat([(1 - FLIP) / 3, FLIP / 3], 3)


def joint():
    """p(c, x) of the channel, shape (3, 2)."""
    of_one = np.array([1 - FLIP, FLIP, FLIP])
    return np.stack([1 - of_one, of_one], axis=1) / 3


def exact_information():
    p = joint()
    return np.sum(p * np.log(p / (p.sum(axis=0) * p.sum(axis=1, keepdims=True))))


def expected_bound(model):
    z, p = enumerated()
    terms = model.generator_terms((tf.constant(z), None), training=False)
    return np.sum(p * terms["information_bound"])


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_is_below_the_mutual_information(seed):
    """And by as much as Q is wrong: the mean KL divergence of the posterior from q."""
    rng = np.random.default_rng(seed)
    kernel, bias = rng.normal(size=(1, 3)), rng.normal(size=3)
    bound = expected_bound(channel_model(kernel, bias))
    assert bound < exact_information()
    p = joint()
    posterior = p / p.sum(axis=0)
    log_q = log_softmax(np.stack([bias, kernel[0] + bias]), axis=1).T
    gap = np.sum(p * (np.log(posterior) - log_q))
    assert_allclose(exact_information() - bound, gap, rtol=1e-4, atol=1e-5)


def test_the_bound_is_tight_for_the_posterior():
    posterior = np.log(joint() / joint().sum(axis=0))
    model = channel_model((posterior[:, 1] - posterior[:, 0])[None], posterior[:, 0])
    assert_allclose(expected_bound(model), exact_information(), rtol=1e-4, atol=1e-6)
    # Draws have the probabilities that were enumerated.
    z = model.sample_latents(20_000, [0, 1])
    values = model.generator_terms((z, None), training=False)["information_bound"].numpy()
    tolerance = 5 * values.std() / np.sqrt(len(values))
    assert_allclose(values.mean(), exact_information(), rtol=0, atol=tolerance)


def test_the_bound_of_a_continuous_code_is_below_quadrature():
    """x = c + noise / 2, and q normal around a line through x, with the mean square error."""
    prior = layers.InfoGANPrior(1, (), num_continuous=1)
    z, x = keras.Input((2,)), keras.Input((1,))
    mix = keras.layers.Dense(1, use_bias=False)
    generator = keras.Model(z, mix(z))
    mix.kernel.assign([[0.5], [1.0]])
    auxiliary = keras.Model(x, keras.layers.Dense(2)(x))
    slope = (1 / 3) / (1 / 3 + 1 / 4)
    variance = 1 / 3 * (1 - slope)
    raw = np.log(np.expm1(np.sqrt(variance)))
    auxiliary.set_weights([np.array([[slope, 0.0]]), np.array([0.0, raw])])
    model = InfoGAN(generator, keras.Model(x, keras.layers.Dense(1)(x)), auxiliary, prior, seed=0)
    draws = model.sample_latents(20_000, [0, 1])
    values = model.generator_terms((draws, None), training=False)["information_bound"].numpy()
    closed_form = np.log(2) - 0.5 * np.log(2 * np.pi * np.e * variance)
    tolerance = 5 * values.std() / np.sqrt(len(values))
    assert_allclose(values.mean(), closed_form, rtol=0, atol=tolerance)

    def minus_p_log_p(x):
        p = (stats.norm.cdf(2 * (x + 1)) - stats.norm.cdf(2 * (x - 1))) / 2
        return -p * np.log(p)

    information = integrate.quad(minus_p_log_p, -4, 4)[0] - stats.norm(scale=0.5).entropy()
    assert closed_form < information and values.mean() < information


# Training and codes.


def test_generator_and_auxiliary_learn_the_codes():
    """A discriminator that sees nothing leaves all to the bound, which nears H(c)."""
    model = build(loss="wasserstein", prior=layers.InfoGANPrior(3, (3,)), num_parameters=3)
    model.discriminator.trainable = False
    model.discriminator.set_weights([0 * w for w in model.discriminator.get_weights()])
    model.compile(keras.optimizers.Adam(0.02))
    bounds = model.fit(images(128), batch_size=32, epochs=30, verbose=0).history[
        "information_bound"
    ]
    assert bounds[0] < 0.9 < np.log(3) - 0.1 < bounds[-1] < np.log(3)
    z = model.sample_latents(60, [0, 1])
    found = np.argmax(model.predict_codes(model.generate(z)).distributions[0].logits, axis=1)
    assert np.mean(found == np.argmax(z[:, 3:], axis=1)) > 0.9


def test_traverses_codes(tmp_path):
    model = build()
    z = np.zeros(6, "float32")
    of_categories = model.traverse_latents(z, model.prior.code_dims[0], [1.0])
    assert_allclose(of_categories[:, 0], model.generate(np.eye(6)[2:5]), rtol=1e-5)
    of_numbers = model.traverse_latents(z, model.prior.code_dims[1], [-1.0, 0.0, 1.0])
    assert_allclose(of_numbers[0, 2], model.generate(np.eye(6)[5:])[0], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert_array_equal(loaded.sample(3, seed=0), model.sample(3, seed=0))
    x = images(4)
    q, again = model.predict_codes(x), loaded.predict_codes(x)
    c = np.eye(4, 4, dtype="float32")[[0, 1, 2, 1]]
    assert_array_equal(again.log_prob(c), q.log_prob(c))
    expected = model.prior.code_posterior(model.auxiliary(x)).log_prob(c)
    assert_allclose(q.log_prob(c), expected, rtol=1e-6)


# Errors.


def test_other_priors_and_networks():
    with pytest.raises(ValueError, match="which latents are codes. Received: prior=None"):
        build(prior=None)
    with pytest.raises(ValueError, match=r"latents of shape \(6,\). Received: .*shape \(5,\)"):
        build(prior=layers.InfoGANPrior(2, (3,)), num_parameters=3)
    with pytest.raises(ValueError, match=r"shape \(None, 5\). Received: .* \(None, 4\). End it"):
        build(num_parameters=4)
    with pytest.raises(ValueError, match="Received: info_weight=-1"):
        build(info_weight=-1)
    wide = networks.mlp_encoder((3, 2, 1), 5, None, 8)
    with pytest.raises(ValueError, match=r"examples of shape \(2, 2, 1\).*Received: an auxiliary"):
        InfoGAN(build().generator, image_network(1), wide, layers.InfoGANPrior(**PRIOR))
