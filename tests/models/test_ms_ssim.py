"""Autoencoders whose reconstruction loss is 1 - MS-SSIM: terms by hand, training, errors."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfgen import metrics, models, networks

SHAPE = (9, 8, 1)


def build(cls=models.AE, shape=SHAPE, activation="sigmoid", **kwargs):
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(shape, 3, head=None, width=16)
    decoder = networks.mlp_generator(shape, 3, 16, dropout=0.0, output_activation=activation)
    return cls(encoder, decoder, seed=0, **{"reconstruction_loss": "ms_ssim", **kwargs})


def images(num=64):
    """Bars at one of several places, in [0, 1]."""
    x = np.zeros((num, *SHAPE), "float32")
    rows = np.random.default_rng(0).integers(1, 7, size=num)
    for image, row in zip(x, rows, strict=True):
        image[row : row + 2] = 1.0
    return x


@pytest.mark.parametrize("activation, low", [("sigmoid", 0), ("tanh", -1)])
@pytest.mark.parametrize("cls", [models.AE, models.WAE, models.RAE])
def test_terms_by_hand(cls, activation, low):
    model = build(cls, activation=activation)
    x = low + (1 - low) * images(6)
    terms = model.terms(x, training=False)
    expected = 1 - metrics.ms_ssim(x, model.reconstruct(x), (low, 1))
    assert_allclose(terms["reconstruction"], expected, rtol=1e-5)
    assert np.all((expected > 0.1) & (expected <= 1.0))
    loss = terms["reconstruction"]
    if cls is models.WAE:
        loss = loss + 10.0 * terms["squared_mmd"]
    if cls is models.RAE:
        loss = loss + 0.01 * terms["embedding"] + 1e-3 * terms["decoder_penalty"]
    assert_allclose(terms["loss"], loss, rtol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_training_raises_the_similarity(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.Adam(0.01))
    x = np.tile(images(), (4, 1, 1, 1))
    before = np.mean(model.terms(x, training=False)["reconstruction"])
    model.fit(x, batch_size=32, epochs=30, verbose=0)
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert logs["loss"] == logs["reconstruction"] < 0.2 * before


def test_of_targets():
    """`fit(x, y)` compares with y."""
    model, x = build(), images(8)
    model.compile("adam", run_eagerly=True)
    logs = model.test_on_batch(x, x[::-1], return_dict=True)
    expected = 1 - metrics.ms_ssim(x[::-1], model.reconstruct(x)).mean()
    assert logs["reconstruction"] == pytest.approx(expected, rel=1e-5)


def test_saved_and_loaded(tmp_path):
    model = build(models.WAE)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert loaded.reconstruction_loss == "ms_ssim"
    x = images(6)
    expected = model.terms(x, training=False)["reconstruction"]
    assert_allclose(loaded.terms(x, training=False)["reconstruction"], expected, rtol=1e-6)


def test_it_has_no_likelihood():
    with pytest.raises((TypeError, ValueError), match="log_weights"):
        metrics.importance_sampled_nll(build(), images(6), num_samples=2)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(reconstruction_loss="ssim"), "one of .*'ms_ssim'.*Received: .*'ssim'"),
        (dict(activation=None), "values lie in None. Give it images .*sigmoid or tanh"),
        (dict(shape=(2, 8, 1)), r"Received: 3 for images of shape \(2, 8, 1\)"),
    ],
)
def test_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_vectors():
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "sigmoid")])
    with pytest.raises(ValueError, match=r"known. Received: .*data of shape \(4,\)"):
        models.AE(encoder, decoder, reconstruction_loss="ms_ssim")
