"""Bad data are refused before training begins, with a message that says what to do."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import models, networks

SHAPE = (4, 4, 1)


@pytest.fixture(scope="module")
def model():
    model = models.VAE(
        networks.mlp_encoder(SHAPE, 2, width=8), networks.mlp_decoder(SHAPE, 2, width=8)
    )
    model.compile("adam")
    return model


def images(value=0.5, num=6):
    return np.full((num, *SHAPE), value, "float32")


def as_given(x):
    return x


def as_pipeline(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(4)


@pytest.mark.parametrize("form", [as_given, as_pipeline])
@pytest.mark.parametrize(
    "value, text",
    [
        (1.5, r"Bernoulli likelihood needs data in \[0, 1\]\. Received: values from 0\.5 to 1\.5"),
        (-0.1, r"needs data in \[0, 1\]\. Received: values from -0\.1 to 0\.5.*divide by 255"),
        (np.nan, r"finite training data\. Received: 1 values that are NaN or infinite"),
        (np.inf, r"finite training data\. Received: 1 values"),
    ],
)
def test_bad_pixel(model, form, value, text):
    x = images()
    x[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match=text):
        model.fit(form(x), verbose=0)


def test_nan_anywhere_in_an_array(model):
    x = images(num=100)
    x[-1] = np.nan
    with pytest.raises(ValueError, match="Received: 16 values that are NaN"):
        model.fit(x, batch_size=4, verbose=0)


@pytest.mark.parametrize("form", [as_given, as_pipeline])
def test_wrong_shape(model, form):
    x = np.zeros((4, 5, 5, 1), "float32")
    with pytest.raises(ValueError, match=r"\(batch, 4, 4, 1\)\. Received: shape \(4, 5, 5, 1\)"):
        model.fit(form(x), verbose=0)


@pytest.mark.parametrize("form", [as_given, as_pipeline])
def test_empty(model, form):
    with pytest.raises(ValueError, match="Received: an empty data set"):
        model.fit(form(np.zeros((0, *SHAPE), "float32")), verbose=0)


def test_sample_weights(model):
    x = tf.data.Dataset.from_tensor_slices((images(), np.zeros(6), np.ones(6))).batch(4)
    with pytest.raises(ValueError, match="take no sample_weight"):
        model.fit(x, verbose=0)


def test_normal_likelihood_takes_any_finite_value():
    from tfgen.layers import FixedScaleNormal

    model = models.VAE(
        networks.mlp_encoder(SHAPE, 2, width=8),
        networks.mlp_decoder(SHAPE, 2, FixedScaleNormal, width=8),
    )
    model.compile("adam")
    logs = model.fit(images(-3.0), verbose=0).history
    assert np.isfinite(logs["loss"][0])


def test_labels_are_ignored(model):
    labelled = tf.data.Dataset.from_tensor_slices((images(), np.arange(6))).batch(4)
    plain = model.evaluate(images(), verbose=0, batch_size=4)
    assert model.evaluate(labelled, verbose=0) == plain


def test_batch_of_one_has_no_total_correlation():
    """Batch sizes of a pipeline are known only when it runs."""
    model = models.BetaTCVAE(
        networks.mlp_encoder(SHAPE, 2, width=8),
        networks.mlp_decoder(SHAPE, 2, width=8),
        dataset_size=5,
    )
    model.compile("adam")
    with pytest.raises(tf.errors.InvalidArgumentError, match="needs at least 2"):
        model.fit(images(num=5), batch_size=4, verbose=0)
