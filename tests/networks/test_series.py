"""What encoders and decoders of series have in common: they learn waves, and masks end a series."""

import functools

import keras
import numpy as np
import pytest

from tfgen import layers, models, networks

SHAPE = (12, 2)
PAIRS = {
    "recurrent": (networks.recurrent_encoder, networks.recurrent_decoder),
    "causal": (networks.causal_encoder, networks.causal_decoder),
    "causal per step": tuple(
        functools.partial(make, per_step=True)
        for make in (networks.causal_encoder, networks.causal_decoder)
    ),
}


@pytest.mark.parametrize(
    "pair, jit_compile",
    [
        pytest.param("recurrent", False, marks=pytest.mark.slow),
        pytest.param("recurrent", True, marks=pytest.mark.slow),
        pytest.param("causal", False, marks=pytest.mark.slow),
        pytest.param("causal", True, marks=pytest.mark.slow),
        ("causal per step", False),
    ],
)
def test_a_vae_learns_the_frequency_of_a_wave(pair, jit_compile):
    rng = np.random.default_rng(0)
    frequency, time = rng.uniform(0.1, 0.5, size=(400, 1)), np.arange(24)
    x = np.sin(frequency * time)[..., None].astype("float32")
    keras.utils.set_random_seed(0)
    (make_encoder, make_decoder), sizes = PAIRS[pair], dict(latent_dim=2, width=16)
    vae = models.VAE(
        make_encoder((24, 1), **sizes),
        make_decoder((24, 1), head=layers.SharedScaleNormal, **sizes),
        seed=0,
    )
    vae.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
    vae.fit(x, epochs=15, batch_size=50, verbose=0)
    error = np.mean(np.square(vae.reconstruct(x) - x))
    assert error < 0.5 * np.var(x)  # A decoder that ignores z has the variance at each step.
    assert vae.sample(3, seed=0).shape == (3, 24, 1)


@pytest.mark.parametrize("pair", PAIRS)
def test_series_of_different_lengths(pair):
    """What lies behind the end of a series has no influence on anything."""
    (make_encoder, make_decoder), sizes = PAIRS[pair], dict(latent_dim=2, width=4)
    model = models.MissingDataVAE(
        make_encoder(SHAPE, condition_shape=SHAPE, **sizes), make_decoder(SHAPE, **sizes), seed=0
    )
    model.compile("adam")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, *SHAPE)).astype("float32")
    mask = np.repeat(np.arange(12)[None, :, None] < rng.integers(3, 12, (6, 1, 1)), 2, axis=2)
    other = np.where(mask, x, 7.0).astype("float32")
    of_x, of_other = (model.log_prob(v, 20, seed=0, condition=mask) for v in (x, other))
    np.testing.assert_array_equal(of_x.log_prob, of_other.log_prob)
    model.fit(x, mask.astype("float32"), verbose=0)
    assert model.impute(x, mask, num_samples=5, seed=0).shape == x.shape
