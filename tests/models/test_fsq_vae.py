"""FSQ-VAE: terms and gradients by hand, priors over all codes, training, sampling, saving."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import datasets, networks, samplers
from tfgen.models import FSQVAE

SHAPE, LEVELS = (2, 2, 1), (3, 2)


def build(**kwargs):
    """Three codes out of six, of two numbers each."""
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, 6, None, width=8, depth=1, activation="tanh")
    decoder = networks.mlp_decoder(SHAPE, 6, width=8, depth=1, activation="tanh")
    return FSQVAE(encoder, decoder, **{"levels": LEVELS, "seed": 0, **kwargs})


def pixels(num=64):
    return np.random.default_rng(0).integers(0, 2, (num, *SHAPE)).astype("float32")


def test_terms_by_hand():
    model, x = build(), pixels(8)
    terms = model.terms(x, training=False)
    share = (np.tanh(model.encoder(x).numpy().reshape(8, 3, 2)) + 1) / 2
    places = np.round(share * [2, 1])
    indices, codes = places @ [1, 3], (places / [2, 1] * 2 - 1).reshape(8, 6)
    p = model.decoder(codes).mean().numpy()
    reconstruction = -np.sum(np.log(np.where(x > 0, p, 1 - p)), axis=(1, 2, 3))
    kl = 3 * np.log(6)
    counts = np.bincount(indices.ravel().astype(int))
    frequencies = counts[counts > 0] / 24
    expected = {
        "loss": reconstruction,
        "reconstruction": reconstruction,
        "kl": np.full(8, kl),
        "elbo": -reconstruction - kl,
        "bits_per_dim": (reconstruction + kl) / (4 * np.log(2)),
        "perplexity": np.full(8, np.exp(-np.sum(frequencies * np.log(frequencies)))),
    }
    assert set(terms) == set(expected) and len(frequencies) > 1
    for name, value in expected.items():
        assert_allclose(terms[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    assert_array_equal(model.indices(x), indices)
    assert_allclose(model.encode(x), codes, atol=1e-6)


def test_gradients_by_hand():
    """The encoder gets the decoder's gradient at the codes, through tanh."""
    model, x = build(), tf.constant(pixels(8))
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(model.terms(x)["loss"])
        bounded = tf.tanh(model.encoder(x))
        codes = tf.stop_gradient(model.encode(x))
        tape.watch(codes)
        reconstruction = -model.decoder(codes).log_prob(x)
    by_codes = tape.gradient(reconstruction, codes)
    encoder = [v.value for v in model.encoder.trainable_variables]
    expected = tape.gradient(bounded, encoder, output_gradients=by_codes)
    for found, value in zip(tape.gradient(loss, encoder), expected, strict=True):
        assert np.any(value.numpy() != 0)
        assert_allclose(found, value, rtol=1e-4, atol=1e-5)


def test_priors_sum_to_one_over_all_codes():
    """Those of counts, and an autoregressive one; the bound is below the evidence under both."""
    model, x = build(), pixels(6)
    many = np.tile(x, (20, 1, 1, 1))
    model.fit_prior(many)
    sampler = samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=1)
    sampler.fit(model, many, verbose=False)
    indices = np.array(list(itertools.product(range(6), repeat=3)))
    likelihood = model.decoder(model.decoder_input(indices))
    for one in (model, model.with_prior(sampler)):
        log_prior = one.prior_distribution().log_prob(indices).numpy()
        assert np.exp(log_prior).sum() == pytest.approx(1, abs=1e-4)
        log_joint = np.stack([likelihood.log_prob(image) + log_prior for image in x])
        elbo = one.terms(x, training=False)["elbo"]
        assert np.all(elbo < np.log(np.sum(np.exp(log_joint), axis=1)))
        row = np.argmax(np.all(indices == model.indices(x)[:, None], axis=-1), axis=1)
        assert_allclose(elbo, log_joint[np.arange(6), row], rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_trains_and_samples_codes(jit_compile):
    """Four images, which three codes of six can tell apart."""
    model, x = build(), np.tile(pixels(4), (32, 1, 1, 1))
    model.compile(keras.optimizers.Adam(2e-2), jit_compile=jit_compile)
    history = model.fit(x, batch_size=32, epochs=20, verbose=0).history
    assert history["reconstruction"][-1] < 0.5 * history["reconstruction"][0]
    assert 1 < history["perplexity"][-1] <= 6
    elbo = model.evaluate(x, verbose=0, return_dict=True)["elbo"]
    model.fit_prior(tf.data.Dataset.from_tensor_slices(x).batch(50))
    assert model.evaluate(x, verbose=0, return_dict=True)["elbo"] > elbo + 1
    every = model.quantizer.lookup(np.arange(6)).numpy()
    pieces = model.sample_latents(7, tf.constant([0, 1])).numpy().reshape(-1, 1, 2)
    assert np.all(np.any(np.all(pieces == every, axis=-1), axis=-1))
    assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1))


@pytest.mark.parametrize("normalize", [False, True])
def test_vectors_that_are_normalized_do_not_saturate(normalize):
    """Without, every vector of a convolutional encoder is rounded to the outermost levels."""
    keras.utils.set_random_seed(0)
    sizes = {"code_dim": 3, "width": 64}
    encoder = networks.vq_encoder((8, 8, 1), **sizes, normalize=normalize)
    model = FSQVAE(encoder, networks.vq_decoder((8, 8, 1), **sizes), levels=(8, 8, 8), seed=0)
    model.compile(keras.optimizers.Adam(1e-3))
    data, _ = datasets.load("digits", "train[:64]", 64, binarize="fixed", shuffle=False)
    model.fit(data.repeat(50), verbose=0)
    outermost = np.abs(model.encode(next(iter(data)))) == 1
    assert np.mean(outermost) < 0.5 if normalize else np.mean(outermost) > 0.99


def test_saved_model_continues_exactly(assert_continues_exactly):
    assert assert_continues_exactly(build(), pixels()).levels == LEVELS


def test_errors():
    with pytest.raises(ValueError, match="levels must be .*Received: levels=1"):
        build(levels=1)
    with pytest.raises(ValueError, match="must divide it. Received: code_dim=4"):
        build(levels=(2, 2, 2, 2))
    for name in ("num_codes", "code_dim", "commitment", "decay", "restart_below"):
        with pytest.raises(ValueError, match=f"FSQVAE takes no {name}: .*Leave it out"):
            build(**{name: 0.5})
