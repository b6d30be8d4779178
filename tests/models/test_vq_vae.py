"""VQ-VAE: terms and gradients by hand, the bound by enumeration, training, saving."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import networks
from tfgen.layers.vector_quantizer import CodeFrequencies
from tfgen.models.vq_vae import VQVAE
from tfgen.networks.vq import vq_decoder, vq_encoder

SHAPE = (2, 2, 1)


def build(**kwargs):
    """Three codes of two dimensions out of four."""
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, 6, None, width=8, depth=1, activation="tanh")
    decoder = networks.mlp_decoder(SHAPE, 6, width=8, depth=1, activation="tanh")
    return VQVAE(encoder, decoder, **{"num_codes": 4, "code_dim": 2, "seed": 0, **kwargs})


def pixels(num=64):
    return np.random.default_rng(0).integers(0, 2, (num, *SHAPE)).astype("float32")


# Terms.


@pytest.mark.parametrize("decay", [0.99, None])
def test_terms_by_hand(decay):
    """van den Oord et al., Eq. 3."""
    model, x = build(decay=decay, commitment=0.5), pixels(8)
    terms = model.terms(x, training=False)
    vectors = model.encoder(x).numpy().reshape(8, 3, 2)
    codebook = model.quantizer.codebook.numpy()
    distances = np.sum((vectors[:, :, None] - codebook) ** 2, axis=-1)
    indices = distances.argmin(-1)
    p = model.decoder(codebook[indices].reshape(8, 6)).mean().numpy()
    reconstruction = -np.sum(np.log(np.where(x > 0, p, 1 - p)), axis=(1, 2, 3))
    distance = distances.min(-1).mean(-1)
    kl = 3 * np.log(4)
    frequencies = np.bincount(indices.ravel(), minlength=4) / 24
    entropy = -np.sum(frequencies[frequencies > 0] * np.log(frequencies[frequencies > 0]))
    expected = {
        "reconstruction": reconstruction,
        "kl": np.full(8, kl),
        "elbo": -reconstruction - kl,
        "bits_per_dim": (reconstruction + kl) / (4 * np.log(2)),
        "codebook_loss": distance,
        "commitment_loss": distance,
        "perplexity": np.full(8, np.exp(entropy)),
        "loss": reconstruction + (0.5 if decay else 1.5) * distance,
    }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert_allclose(terms[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    assert_array_equal(model.indices(x), indices)
    assert_array_equal(model.encode(x), codebook[indices].reshape(8, 6))


def test_gradients_by_hand():
    """The encoder gets the decoder's gradient at the codes, and the commitment's by hand."""
    model, x = build(decay=None, commitment=0.5), tf.constant(pixels(8))
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(model.terms(x)["loss"])
        vectors = tf.reshape(model.encoder(x), (8, 3, 2))
        codes = tf.stop_gradient(model.quantizer.lookup(model.indices(x)))
        tape.watch(codes)
        reconstruction = -model.decoder(tf.reshape(codes, (8, 6))).log_prob(x)
    by_codes = tape.gradient(reconstruction, codes)
    by_vectors = by_codes + 0.5 * 2 / 3 * (vectors - codes)
    encoder = [v.value for v in model.encoder.trainable_variables]
    expected = tape.gradient(vectors, encoder, output_gradients=by_vectors)
    for found, value in zip(tape.gradient(loss, encoder), expected, strict=True):
        assert np.any(value.numpy() != 0)
        assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    found = tf.convert_to_tensor(tape.gradient(loss, model.quantizer.sums.value))
    by_hand = np.zeros((4, 2))
    np.add.at(by_hand, model.indices(x).numpy(), 2 / 3 * (codes - vectors).numpy())
    assert_allclose(found, by_hand, rtol=1e-4, atol=1e-5)


def test_elbo_is_a_bound_by_enumeration_of_all_codes():
    model, x = build(), pixels(6)
    indices = np.array(list(itertools.product(range(4), repeat=3)))
    for fitted in (False, True):
        if fitted:
            model.fit_prior(np.tile(x, (20, 1, 1, 1)))
        log_prior = model.prior_distribution().log_prob(indices).numpy()
        likelihood = model.decoder(model.decoder_input(indices))
        log_joint = np.stack([likelihood.log_prob(image) + log_prior for image in x])
        log_evidence = np.log(np.sum(np.exp(log_joint), axis=1))
        elbo = model.terms(x, training=False)["elbo"]
        assert np.all(elbo < log_evidence)
        row = np.argmax(np.all(indices == model.indices(x)[:, None], axis=-1), axis=1)
        assert_allclose(elbo, log_joint[np.arange(6), row], rtol=1e-5)


# Training.


@pytest.mark.parametrize(
    "jit_compile, arguments",
    [(False, {"decay": None}), (True, {"decay": 0.9, "restart_below": 0.5})],
)
def test_trains(jit_compile, arguments):
    """Four images, which three codes of four can tell apart."""
    model = build(**arguments)
    before = model.quantizer.codebook.numpy()
    x = np.tile(pixels(4), (32, 1, 1, 1))
    model.compile(keras.optimizers.Adam(2e-2), jit_compile=jit_compile)
    history = model.fit(x, batch_size=32, epochs=20, verbose=0).history
    assert history["reconstruction"][-1] < 0.5 * history["reconstruction"][0]
    assert np.any(model.quantizer.codebook.numpy() != before)
    assert 1 < history["perplexity"][-1] <= 4
    elbo = model.evaluate(x, verbose=0, return_dict=True)["elbo"]
    model.fit_prior(tf.data.Dataset.from_tensor_slices(x).batch(50))
    assert model.evaluate(x, verbose=0, return_dict=True)["elbo"] > elbo + 1


def test_samples_are_codes_from_the_prior():
    model, x = build(), pixels()
    z = model.sample_latents(7, tf.constant([0, 1]))
    codebook = model.quantizer.codebook.numpy()
    pieces = z.numpy().reshape(-1, 1, 2)
    assert np.all(np.any(np.all(pieces == codebook, axis=-1), axis=-1))
    assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1))
    assert not np.array_equal(model.sample(5, seed=1), model.sample(5, seed=2))
    assert_allclose(model.predict(x, verbose=0), model.generate(model.embed(x)), rtol=1e-5)
    one = build(prior=CodeFrequencies(3, 4))
    one.fit_prior(np.tile(x[:1], (10_000, 1, 1, 1)))
    draws = one.sample_latents(20, tf.constant([0, 1]))
    # Another code than those of the one image has a probability of 3 * 3 / 10,004.
    assert np.mean(np.all(draws == one.encode(x[:1]), axis=-1)) > 0.9


@pytest.mark.parametrize("arguments", [{"decay": None}, {"decay": 0.9, "restart_below": 0.5}])
def test_saved_model_continues_exactly(arguments, assert_continues_exactly):
    assert_continues_exactly(build(**arguments), pixels())


def test_map_of_codes_and_default_code_dim():
    model = VQVAE(
        vq_encoder((6, 8, 1), 3, width=2, num_blocks=1),
        vq_decoder((6, 8, 1), 3, width=2, num_blocks=1),
        num_codes=5,
    )
    x = np.random.default_rng(0).integers(0, 2, (2, 6, 8, 1)).astype("float32")
    assert model.indices(x).shape == (2, 4)
    assert_array_equal(model.encode(x)[:, 1, 0], model.quantizer.lookup(model.indices(x)[:, 2]))
    assert model.sample(3).shape == (3, 6, 8, 1)


# Errors.


def test_errors():
    encoder = networks.mlp_encoder(SHAPE, 6, None, width=8)
    decoder = networks.mlp_decoder(SHAPE, 6, width=8)
    with pytest.raises(ValueError, match="must divide it. Received: code_dim=4"):
        VQVAE(encoder, decoder, code_dim=4)
    with pytest.raises(
        ValueError, match=r"indices of 3 codes of code_dim=2. Received: a prior over shape \(2,\)"
    ):
        VQVAE(encoder, decoder, CodeFrequencies(2, 4), num_codes=4, code_dim=2)
    with pytest.raises(ValueError, match="commitment weights a term.*Received"):
        VQVAE(encoder, decoder, commitment=-1.0)
    with pytest.raises(ValueError, match="encoder with head=None.*IndependentBernoulli"):
        VQVAE(networks.mlp_encoder(SHAPE, 6, width=8), decoder)
    with pytest.raises(ValueError, match="Received: .* a decoder that returns .*Tensor"):
        VQVAE(encoder, networks.mlp_decoder(SHAPE, 6, None, width=8))
