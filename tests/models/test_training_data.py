"""Bad data are refused before training begins, with a message that says what to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import datasets, models, networks
from tfgen.models import training_data

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


@pytest.fixture
def tcvae():
    model = models.BetaTCVAE(
        networks.mlp_encoder(SHAPE, 2, width=8),
        networks.mlp_decoder(SHAPE, 2, width=8),
        dataset_size=5,
    )
    model.compile("adam")
    return model


def test_batch_of_one_has_no_total_correlation(tcvae):
    """Found before training, though only the last batch is too small."""
    with pytest.raises(ValueError, match="needs at least 2.*batch of 1"):
        tcvae.fit(images(num=5), batch_size=4, verbose=0)
    with pytest.raises(ValueError, match="needs at least 2.*batch of 1"):
        tcvae.fit(datasets.load(images(num=5), batch_size=2)[0], verbose=0)
    with pytest.raises(ValueError, match="needs at least 2.*batch of 1"):
        tcvae.fit(images(num=4), batch_size=4, validation_data=images(num=5), verbose=0)
    with pytest.raises(ValueError, match="needs at least 2.*batch of 1"):
        tcvae.evaluate(images(num=5), batch_size=4, verbose=0)
    assert int(tcvae.steps) == 0


def test_batch_of_one_that_shows_only_in_training(tcvae):
    data = tf.data.Dataset.from_tensor_slices(images(num=5)).batch(4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="needs at least 2"):
        tcvae.fit(data, verbose=0)


def test_bad_validation_and_evaluation_data(model):
    with pytest.raises(ValueError, match="values from 2 to 2"):
        model.fit(images(), validation_data=images(2.0), verbose=0)
    with pytest.raises(ValueError, match="values from 2 to 2"):
        model.fit(images(), validation_data=(images(2.0), np.zeros(6)), verbose=0)
    with pytest.raises(ValueError, match="values from 2 to 2"):
        model.evaluate(images(2.0), verbose=0)


def test_fit_before_compile():
    model = models.VAE(networks.mlp_encoder(SHAPE, 2), networks.mlp_decoder(SHAPE, 2))
    with pytest.raises(ValueError, match=r"Call compile\(optimizer\) first"):
        model.fit(images(), verbose=0)


def test_validation_split(model):
    history = model.fit(images(num=8), validation_split=0.25, batch_size=3, verbose=0).history
    assert "val_loss" in history
    assert (
        model.fit(images(num=8), validation_split=0.25, batch_size=2, verbose=0).params["steps"]
        == 3
    )


@pytest.mark.parametrize("x, fraction", [(as_pipeline(images()), 0.5), (images(num=1), 0.5)])
def test_validation_split_of_what_cannot_be_split(model, x, fraction):
    with pytest.raises(ValueError, match="validation_split needs an array"):
        model.fit(x, validation_split=fraction, verbose=0)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return images(num=2)


def generator():
    for _ in range(3):
        yield (images(num=2),)


@pytest.mark.parametrize("make", [Batches, generator], ids=["PyDataset", "generator"])
def test_other_kinds_of_data(model, make):
    before = int(model.steps)
    model.fit(make(), verbose=0)
    assert int(model.steps) == before + 3


def test_evaluation_inside_a_callback_leaves_validation_alone():
    """Both see all of their data, though they have different numbers of batches."""
    model = models.VAE(
        networks.mlp_encoder(SHAPE, 2, width=8), networks.mlp_decoder(SHAPE, 2, width=8), seed=0
    )
    model.compile(keras.optimizers.SGD(0.0))
    x = np.random.default_rng(0).uniform(size=(40, *SHAPE)).astype("float32")
    expected = model.evaluate(as_pipeline(x), verbose=0, return_dict=True)
    inside = []

    class Evaluate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            inside.append(model.evaluate(as_pipeline(x[:8]), verbose=0))

    history = model.fit(
        x, epochs=3, validation_data=as_pipeline(x), verbose=0, callbacks=[Evaluate()]
    ).history
    for name, value in expected.items():
        np.testing.assert_allclose(history[f"val_{name}"], 3 * [value], rtol=1e-6)
    assert inside[0] == inside[1] == inside[2] == model.evaluate(as_pipeline(x[:8]), verbose=0)


@pytest.mark.parametrize(
    "activation, value, text",
    [
        ("sigmoid", -0.5, r"ends in sigmoid gives values from 0 to 1\. Received: data from -0.5"),
        ("tanh", 2.0, r"ends in tanh gives values from -1 to 1.*to 2.*value_range=\(-1, 1\)"),
        ("linear", 2.0, None),
        ("tanh", -1.0, None),
    ],
)
def test_values_that_the_generator_cannot_reach(activation, value, text):
    output = [keras.layers.Dense(3, activation), keras.layers.Reshape((3,))]
    generator = keras.Sequential([keras.Input((2,)), *output])
    discriminator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    gan = models.GAN(generator, discriminator)
    x = np.full((4, 3), value, "float32")
    if text is None:
        training_data.check(x, gan)
        return
    with pytest.raises(ValueError, match=text):
        training_data.check(x, gan)


def test_values_behind_a_layer_that_rescales():
    output = [keras.layers.Dense(3, "tanh"), keras.layers.Rescaling(127.5, offset=127.5)]
    generator = keras.Sequential([keras.Input((2,)), *output])
    discriminator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    training_data.check(np.full((4, 3), 255.0, "float32"), models.GAN(generator, discriminator))
