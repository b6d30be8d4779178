"""DIP-VAE: both kinds against NumPy, default weights, and what the penalty does."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfgen import layers
from tfgen.models import DIPVAE


@pytest.mark.parametrize("kind", ["i", "ii"])
def test_loss_against_numpy(build_model, blobs, kind):
    model = build_model("dip_vae", kind=kind, lambda_od=2.0, lambda_d=3.0)
    terms = model.terms(blobs)
    q = model.encode(blobs)
    covariance = np.cov(q.mean(), rowvar=False, bias=True)
    if kind == "ii":
        covariance += np.diag(q.variance().numpy().mean(axis=0))
    penalty = 2.0 * 2 * covariance[0, 1] ** 2 + 3.0 * np.sum((np.diag(covariance) - 1) ** 2)
    assert_allclose(terms["covariance_penalty"], np.full(64, penalty), rtol=1e-4)
    assert_allclose(terms["loss"], terms["reconstruction"] + terms["kl"] + penalty, rtol=1e-4)


def test_default_weights(build_model):
    for kind, lambda_d in {"i": 50.0, "ii": 5.0}.items():
        model = build_model("dip_vae", kind=kind, lambda_od=5.0)
        assert model.initial_loss_weights["lambda_d"] == lambda_d


@pytest.mark.slow
def test_training_moves_the_covariance_to_the_identity(build_model, blobs):
    """Kind "ii": the images tell one bit, so that nothing but the penalty asks for more."""
    model = build_model("dip_vae", kind="ii", lambda_od=100.0)
    model.compile(keras.optimizers.Adam(0.02))
    penalties = model.fit(blobs, batch_size=64, epochs=100, verbose=0).history["covariance_penalty"]
    # One variance wrong by 0.1 costs 1.
    assert penalties[-1] < 1 < penalties[0]


def test_errors(build_model):
    with pytest.raises(ValueError, match="kind must be one of.*Received: kind='iii'"):
        build_model("dip_vae", kind="iii")
    with pytest.raises(ValueError, match="must be a finite number >= 0. Received: lambda_od=-1"):
        build_model("dip_vae", lambda_od=-1.0)
    full = layers.MultivariateNormalTriL(2)
    encoder = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(5), full]
    )
    decoder = build_model("dip_vae").decoder
    assert DIPVAE(encoder, decoder).kind == "i"
    with pytest.raises(
        ValueError,
        match="needs an encoder that returns independent normals.*TriL.*IndependentNormal",
    ):
        DIPVAE(encoder, decoder, kind="ii")
