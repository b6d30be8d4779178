"""What a model with latent variables keeps of its constructor, and weights of its loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal
from vaes import BUILDERS, LATENT, build
from vaes import SHAPE as IMAGE

from tfgen import layers, models, networks

tfd, tfb = tfp.distributions, tfp.bijectors


@keras.saving.register_keras_serializable("tests")
class Scaled(models.VAE):
    """With an argument, and a weight of a loss, of its own."""

    def __init__(self, *args, scale=1.0, gamma=0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale
        self.gamma = self.add_loss_weight("gamma", gamma)


def test_config_collects_the_arguments_of_all_classes(tmp_path):
    model = build(models.VAE, Scaled, scale=2.0, gamma=3.0, free_bits=0.25)
    config = model.get_config()
    values = {name: config[name] for name in ("scale", "gamma", "beta", "capacity", "free_bits")}
    assert values == {"scale": 2.0, "gamma": 3.0, "beta": 1.0, "capacity": None, "free_bits": 0.25}
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert loaded.scale == 2.0 and float(loaded.gamma) == 3.0


@pytest.mark.parametrize("cls", BUILDERS)
def test_every_config_builds_the_model_again(cls):
    model = build(cls)
    again = cls.from_config(model.get_config())
    assert [v.shape for v in again.weights] == [v.shape for v in model.weights]
    assert again.initial_loss_weights == model.initial_loss_weights


def test_scheduled_weights_are_saved_by_name(tmp_path):
    model = build(models.VAE, Scaled, beta=2.0, free_bits=0.25)
    for name, value in {"beta": 5.0, "gamma": 6.0, "free_bits": 7.0}.items():
        getattr(model, name).assign(value)
    model.save_weights(tmp_path / "model.weights.h5")
    other = build(models.VAE, Scaled, free_bits=0.5)
    other.load_weights(tmp_path / "model.weights.h5")
    found = [float(getattr(other, name)) for name in ("beta", "gamma", "free_bits")]
    assert found == [5.0, 6.0, 7.0]
    assert other.get_config()["beta"] == 1.0  # What the constructor was given.


def test_a_conditional_iwae_trains_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    networks_ = (
        make((4, 4, 1), 3, width=8, num_classes=2)
        for make in (networks.mlp_encoder, networks.mlp_decoder)
    )
    model = models.IWAE(*networks_, num_samples=3, seed=0)
    model.compile(keras.optimizers.Adam(0.01))
    x = np.random.default_rng(0).integers(0, 2, (64, 4, 4, 1)).astype("float32")
    labels = np.arange(64) % 2
    history = model.fit(x, labels, batch_size=16, epochs=3, validation_split=0.25, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0]
    assert set(history.history) >= {"iw_elbo", "val_iw_elbo"}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.num_samples == 3
    assert_allclose(loaded.sample(4, condition=1, seed=0), model.sample(4, condition=1, seed=0))


# Arguments of methods.


@pytest.fixture(scope="module")
def vae():
    return build(models.VAE)


X = np.zeros((5, *IMAGE), "float32")
Z = np.zeros((5, LATENT), "float32")
REFUSED = {
    "num_samples": [
        lambda m: m.sample(-1),
        lambda m: m.sample(2.5),
        lambda m: m.sample("3"),
        lambda m: m.sample(10**10),
        lambda m: m.sample_latents(-1, [0, 1]),
    ],
    "seed": [
        lambda m: m.sample(1, seed=-1),
        lambda m: m.sample(1, seed=2**31),
        lambda m: m.sample(1, seed=0.5),
    ],
    "num_steps": [
        lambda m: m.interpolate_latents(Z, Z, num_steps=0),
        lambda m: m.interpolate_latents(Z, Z, num_steps=1),
        lambda m: m.interpolate(X, X, num_steps=2.5),
    ],
    "dims": [
        lambda m: m.traverse(dims=[LATENT]),
        lambda m: m.traverse(dims=[-1]),
        lambda m: m.traverse(dims=[0.5]),
        lambda m: m.traverse(dims=[]),
        lambda m: m.traverse(dims=LATENT),
    ],
    "values": [
        lambda m: m.traverse(values=[]),
        lambda m: m.traverse(values=[np.nan]),
        lambda m: m.traverse(values=[[1.0]]),
    ],
    "z": [
        lambda m: m.generate(np.zeros((2, LATENT + 1))),
        lambda m: m.generate(np.zeros(LATENT)),
        lambda m: m.traverse_latents(np.zeros(LATENT + 1)),
        lambda m: m.traverse_latents(Z),
    ],
    "start": [lambda m: m.interpolate_latents(Z[:, :1], Z), lambda m: m.interpolate(X[:2], X)],
    "end": [lambda m: m.interpolate_latents(Z, Z[:, :1])],
    "x": [lambda m: m.embed(X[0]), lambda m: m.reconstruct(X[:, :2]), lambda m: m(X[0])],
    "numbers": [lambda m: m.embed(["a"]), lambda m: m.embed([[1.0], [1.0, 2.0]])],
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_of_methods_are_refused_by_name(name, vae):
    for call in REFUSED[name]:
        with pytest.raises(ValueError, match=rf"{name}\b.*Received: "):
            call(vae)


def test_nothing_is_sampled_and_generated(vae):
    assert vae.sample(0, seed=0).shape == (0, *IMAGE)
    assert vae.sample(np.int64(2), seed=np.int32(0)).shape == (2, *IMAGE)


# Data of every kind.


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (np.full((3, *IMAGE), index, "float32"),)


def test_embeds_data_of_every_kind(vae):
    x = np.repeat([0.0, 1.0], 3).reshape(6, 1, 1, 1) * np.ones((6, *IMAGE))
    expected = vae.encode(x).mean()
    data = tf.data.Dataset.from_tensor_slices(x.astype("float32")).batch(4)
    for kind in (x, x.astype("uint8"), x.tolist(), tf.constant(x), data, Batches()):
        assert_allclose(vae.embed(kind), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="an end of them. Received: a data set that repeats"):
        vae.embed(data.repeat())


def test_embeds_a_data_frame():
    frame = pytest.importorskip("pandas").DataFrame(np.eye(3, 4))
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    model = models.AE(encoder, decoder)
    assert_array_equal(model.embed(frame), model.embed(frame.to_numpy()))


# Values of images.


def dense(num_outputs, *head, activation=None):
    """A decoder from `LATENT` values."""
    hidden = keras.layers.Dense(num_outputs, activation)
    return keras.Sequential([keras.Input((LATENT,)), hidden, *head])


DECODERS = {
    "bernoulli": (lambda: networks.mlp_decoder(IMAGE, LATENT, width=8), (0, 1)),
    "tanh": (lambda: dense(16, keras.layers.Reshape(IMAGE), activation="tanh"), (-1, 1)),
    "sigmoid": (lambda: dense(16, keras.layers.Reshape(IMAGE), activation="sigmoid"), (0, 1)),
    "linear": (lambda: dense(16, keras.layers.Reshape(IMAGE)), None),
    "normal": (lambda: dense(16, layers.FixedScaleNormal(IMAGE)), None),
    "categories": (lambda: dense(48, layers.IndependentCategorical(IMAGE, 3)), (0, 2)),
    "8 bits": (lambda: dense(32, layers.IndependentDiscretizedLogistic(IMAGE)), (0, 1)),
    "tanh normal": (lambda: dense(16, layers.FixedScaleNormal(IMAGE), activation="tanh"), (-1, 1)),
}


def generator(decoder):
    return models.GAN(decoder, networks.mlp_encoder(IMAGE, 1, head=None, width=8))


@pytest.mark.parametrize("kind", DECODERS)
def test_value_range(kind):
    make, expected = DECODERS[kind]
    assert generator(make()).value_range == expected


def images(low, high):
    return np.random.default_rng(0).uniform(low, high, (8, *IMAGE)).astype("float32")


@pytest.mark.parametrize(
    "kind, low, high, message",
    [
        ("normal", 0, 255, r"lie some 1\d\d standard deviations .*Received: data from .*x / 255"),
        ("linear", 0, 255, "lie some 1.*Received: data from"),
        ("tanh", 0, 1, r"use the upper half. Received: data from .*value_range=\(-1, 1\)"),
        ("normal", 0, 1, None),
        ("linear", -1, 1, None),
        ("tanh", -1, 1, None),
        ("sigmoid", 0, 1, None),
        ("bernoulli", 0, 1, None),
    ],
)
def test_warns_once_of_values_that_train_without_a_word(kind, low, high, message, recwarn):
    model = generator(DECODERS[kind][0]())
    for _ in range(2):
        model.check_batch(images(low, high))
    found = [
        str(warning.message) for warning in recwarn if "Received: data" in str(warning.message)
    ]
    assert len(found) == (message is not None)
    if message:
        with pytest.warns(UserWarning, match=message):
            generator(DECODERS[kind][0]()).check_batch(images(low, high))


def test_a_distribution_without_a_closed_mean():
    """Samples, reconstructions and codes are means of draws, the same ones each time."""
    encoder = networks.mlp_encoder(IMAGE, LATENT, width=8)
    head = layers.DistributionLambda(
        lambda t: tfd.Independent(
            tfd.TransformedDistribution(tfd.Normal(tf.reshape(t, (-1, *IMAGE)), 0.1), tfb.Tanh()), 3
        )
    )
    model = models.VAE(encoder, dense(16, head), seed=0)
    x = 0.5 * images(-1, 1)
    assert model.sample(2, seed=0).shape == (2, *IMAGE)
    assert_array_equal(model.reconstruct(x), model.reconstruct(x))
    assert_allclose(model.predict(x, verbose=0), model.reconstruct(x), atol=1e-5)
    # E tanh(loc + 0.1 e) is tanh(loc) up to 0.1^2 / 2, and draws err by 0.1 / 16 at 5 sigma.
    middle = np.tanh(model.decoder.layers[0](model.embed(x))).reshape(x.shape)
    assert_allclose(model.reconstruct(x), middle, atol=0.005 + 0.035)


# Networks that are classes.


@keras.saving.register_keras_serializable("tests")
class OwnEncoder(keras.Model):
    """A subclassed network, which returns a distribution or a tensor."""

    def __init__(self, normal=True, **kwargs):
        super().__init__(**kwargs)
        self.normal, self.flatten = normal, keras.layers.Flatten()
        self.dense = keras.layers.Dense(2 * LATENT if normal else LATENT)
        self.head = layers.IndependentNormal(LATENT)

    def call(self, x):
        h = self.dense(self.flatten(x))
        return self.head(h) if self.normal else h

    def get_config(self):
        return {**super().get_config(), "normal": self.normal}


@pytest.mark.parametrize("cls", [models.VAE, models.AE])
def test_a_subclassed_encoder_wrapped_as_the_message_says(cls, tmp_path):
    network, head = (
        OwnEncoder(normal=cls is models.VAE),
        {} if cls is models.VAE else {"head": None},
    )
    decoder = networks.mlp_decoder(IMAGE, LATENT, width=8, **head)
    advice = r"keras.Sequential\(\[keras.Input\(image_shape\), network\]\)"
    with pytest.raises(ValueError, match=advice):
        cls(network, decoder)
    model = cls(keras.Sequential([keras.Input(IMAGE), network]), decoder, seed=0)
    model.compile(keras.optimizers.Adam(0.01))
    before = np.array(network.dense.kernel)
    model.fit(images(0, 1), verbose=0)
    assert np.all(np.abs(network.dense.kernel - before).max(axis=0) > 0)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert_allclose(loaded.embed(images(0, 1)), model.embed(images(0, 1)), rtol=1e-6)
