"""Inception features: no download, weights from a file, grey and coloured images in any range."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.metrics import inception_features

IMAGES = np.random.default_rng(0).uniform(size=(3, 20, 20, 1)).astype("float32")
FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"


def test_missing_weights_are_an_error_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(FileNotFoundError) as error:
        inception_features(IMAGES)
    assert time.monotonic() - start < 5  # A download would be tried for longer.
    assert f"Received: no file {tmp_path / 'models' / FILE}" in str(error.value)
    assert (
        f"Download https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{FILE}"
        in (str(error.value))
    )


@pytest.mark.parametrize(
    "images, message",
    [
        (IMAGES[..., 0], r"Received: shape \(3, 20, 20\)"),
        (np.zeros((3, 20, 20, 2)), r"1 or 3 channels. Received: shape \(3, 20, 20, 2\)"),
        (2 * IMAGES, r"value_range=\(0.0, 1.0\). Received: values from"),
        (IMAGES * np.nan, "finite. Received: NaN"),
    ],
)
def test_unusable_images(images, message):
    with pytest.raises(ValueError, match=message):
        inception_features(images)


@pytest.mark.slow
def test_features_of_weights_in_a_file(tmp_path):
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    path = tmp_path / "random.weights.h5"
    network.save_weights(path)
    expected = network.predict(
        keras.applications.inception_v3.preprocess_input(
            tf.repeat(tf.image.resize(255 * IMAGES, (299, 299)), 3, axis=-1)
        ),
        verbose=0,
    )
    scale = np.abs(expected).max()
    features = inception_features(IMAGES, weights=path, batch_size=2)
    assert features.shape == (3, 2048)
    np.testing.assert_allclose(features, expected, atol=1e-4 * scale)
    colour = np.repeat(2 * IMAGES - 1, 3, axis=-1)
    signed = inception_features(colour, weights=path, value_range=(-1, 1))
    np.testing.assert_allclose(signed, expected, atol=1e-4 * scale)
    assert np.abs(expected[0] - expected[1]).max() > 1e-2 * scale
