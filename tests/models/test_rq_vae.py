"""RQ-VAE: terms and gradients by hand, one code as a VQ-VAE, priors over places and depths."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import models, networks, samplers

SHAPE = (2, 2, 1)
SHARED = pytest.mark.parametrize("shared", [True, False])


def build(cls=models.RQVAE, **kwargs):
    """Two vectors of three numbers, two codes out of four for each."""
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, 6, None, width=8, depth=1, activation="tanh")
    decoder = networks.mlp_decoder(SHAPE, 6, width=8, depth=1, activation="tanh")
    depth = {"depth": 2} if cls is models.RQVAE else {}
    return cls(encoder, decoder, **{"num_codes": 4, "code_dim": 3, "seed": 0, **depth, **kwargs})


def pixels(num=64):
    return np.random.default_rng(0).integers(0, 2, (num, *SHAPE)).astype("float32")


def quantized(model, x):
    """Residuals, indices and codes, shapes (n, 2, 2, ...) of places and depths, in NumPy."""
    residual = model.encoder(x).numpy().reshape(-1, 2, 3)
    given, indices, found = [], [], []
    for d in range(2):
        codebook = model.quantizer.codebooks[0 if model.shared else d].codebook.numpy()
        distances = np.linalg.norm(residual[:, :, None] - codebook, axis=-1)
        given.append(residual)
        indices.append(distances.argmin(-1))
        found.append(codebook[indices[-1]])
        residual = residual - found[-1]
    return [np.stack(part, 2) for part in (given, indices, found)]


def entropy(indices):
    frequencies = np.bincount(indices.ravel(), minlength=4) / indices.size
    return -np.sum(frequencies[frequencies > 0] * np.log(frequencies[frequencies > 0]))


@SHARED
@pytest.mark.parametrize("decay", [0.99, None])
def test_terms_by_hand(shared, decay):
    model, x = build(shared=shared, decay=decay, commitment=0.5), pixels(8)
    terms = model.terms(x, training=False)
    given, indices, found = quantized(model, x)
    z = found.sum(2).reshape(8, 6)
    p = model.decoder(z).mean().numpy()
    reconstruction = -np.sum(np.log(np.where(x > 0, p, 1 - p)), axis=(1, 2, 3))
    distance, kl = np.sum((given - found) ** 2, axis=-1).mean((1, 2)), 4 * np.log(4)
    expected = {
        "reconstruction": reconstruction,
        "kl": np.full(8, kl),
        "elbo": -reconstruction - kl,
        "bits_per_dim": (reconstruction + kl) / (4 * np.log(2)),
        "codebook_loss": distance,
        "commitment_loss": distance,
        "perplexity": np.full(8, np.exp([entropy(indices[:, :, d]) for d in range(2)]).mean()),
        "loss": reconstruction + (0.5 if decay else 1.5) * distance,
    }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert_allclose(terms[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    assert_array_equal(model.indices(x), indices.reshape(8, 4))
    assert_allclose(model.encode(x), z, rtol=1e-5, atol=1e-6)
    assert_allclose(model.decoder_input(model.indices(x)), z, rtol=1e-5, atol=1e-6)


@SHARED
def test_gradients_by_hand(shared):
    """Vectors follow the decoder and the mean residual, codes what their depth was given."""
    model, x = build(shared=shared, decay=None, commitment=0.5), tf.constant(pixels(8))
    given, indices, found = quantized(model, x)
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(model.terms(x)["loss"])
        vectors = tf.reshape(model.encoder(x), (8, 2, 3))
        codes = tf.constant(found.sum(2))
        tape.watch(codes)
        reconstruction = -model.decoder(tf.reshape(codes, (8, 6))).log_prob(x)
    # Of a mean over four errors, |r|^2 each, the derivatives are r / 2.
    by_vectors = tape.gradient(reconstruction, codes) + 0.5 / 2 * (given - found).sum(2)
    encoder = [v.value for v in model.encoder.trainable_variables]
    expected = tape.gradient(vectors, encoder, output_gradients=by_vectors)
    for one, value in zip(tape.gradient(loss, encoder), expected, strict=True):
        assert np.any(value.numpy() != 0)
        assert_allclose(one, value, rtol=1e-3, atol=1e-5)
    for d, codebook in enumerate(model.quantizer.codebooks):
        depths = [0, 1] if shared else [d]
        by_hand = np.zeros((4, 3))
        pulls = (found - given)[:, :, depths] / 2
        np.add.at(by_hand, indices[:, :, depths].ravel(), pulls.reshape(-1, 3))
        one = tf.convert_to_tensor(tape.gradient(loss, codebook.sums.value))
        assert_allclose(one, by_hand, rtol=1e-4, atol=1e-5)


@SHARED
@pytest.mark.parametrize("options", [{"decay": None}, {"decay": 0.9, "restart_below": 0.5}])
def test_one_code_is_a_vq_vae(shared, options):
    """To the last bit, through training."""
    one, other = build(depth=1, shared=shared, **options), build(models.VQVAE, **options)
    x, logs = pixels(), []
    for model in (one, other):
        model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
        logs.append(model.fit(x, batch_size=32, epochs=2, verbose=0).history)
        model.fit_prior(x)
    assert logs[0] == logs[1]
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert_array_equal(a, b)
    assert_array_equal(one.indices(x), other.indices(x))
    assert_array_equal(one.sample(5, seed=0), other.sample(5, seed=0))


@pytest.mark.parametrize(
    "jit_compile, options",
    [(False, {"decay": None}), (True, {"shared": False, "decay": 0.9, "restart_below": 0.5})],
)
def test_trains(jit_compile, options):
    model, x = build(**options), np.tile(pixels(4), (32, 1, 1, 1))
    model.compile(keras.optimizers.Adam(2e-2), jit_compile=jit_compile)
    before = model.quantizer.get_weights()
    history = model.fit(x, batch_size=32, epochs=20, verbose=0).history
    assert history["reconstruction"][-1] < 0.5 * history["reconstruction"][0]
    assert all(np.any(a != b) for a, b in zip(before, model.quantizer.get_weights(), strict=True))
    elbo = model.evaluate(x, verbose=0, return_dict=True)["elbo"]
    model.fit_prior(tf.data.Dataset.from_tensor_slices(x).batch(50))
    assert model.evaluate(x, verbose=0, return_dict=True)["elbo"] > elbo + 1


@SHARED
def test_samplers_draw_all_depths(shared):
    """An autoregressive prior over places and depths sums to one, and draws as it says."""
    model, x = build(shared=shared), pixels()
    sampler = samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=1)
    sampler.fit(model, x, verbose=False)
    every = np.array(list(itertools.product(range(4), repeat=4)))
    assert np.exp(sampler.log_prob(every)).sum() == pytest.approx(1, abs=1e-4)
    other = model.with_prior(sampler)
    sums = model.decoder_input(every).numpy().round(5)
    z = other.sample_latents(20, tf.constant([0, 1])).numpy().round(5)
    assert np.all(np.any(np.all(np.abs(z[:, None] - sums) < 1e-4, axis=-1), axis=1))
    assert_array_equal(other.sample(5, seed=0), model.sample(5, seed=0, prior=sampler))


@SHARED
def test_saved_model_continues_exactly(shared, assert_continues_exactly):
    model = build(shared=shared, decay=0.9, restart_below=0.5)
    assert_continues_exactly(model, pixels())


def test_errors():
    with pytest.raises(ValueError, match="depth must be an int of at least 1. Received: depth=0"):
        build(depth=0)
    with pytest.raises(ValueError, match="shared must be True or False. Received: shared='no'"):
        build(shared="no")
    with pytest.raises(ValueError, match="commitment weights a term.*Received"):
        build(commitment=-1.0)
    with pytest.raises(ValueError, match="VQVAE takes no depth: .*an RQVAE has several"):
        build(models.VQVAE, depth=2)
    with pytest.raises(ValueError, match=r"from 0 to 3 of shape \('n', 4\)"):
        build().decoder_input(np.zeros((5, 2), "int32"))
