"""What a model with latent variables keeps of its constructor, and weights of its loss."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from vaes import BUILDERS, build

from tfgen import models


@keras.saving.register_keras_serializable("tests")
class Scaled(models.VAE):
    """With an argument, and a weight of a loss, of its own."""

    def __init__(self, *args, scale=1.0, gamma=0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale
        self.gamma = self.add_loss_weight("gamma", gamma)


class Forgetful(models.VAE):
    def __init__(self, *args, scale=1.0, **kwargs):
        super().__init__(*args, **kwargs)


@keras.saving.register_keras_serializable("tests")
class ConditionalIWAE(models.ConditionalVAE, models.IWAE):
    """Of two parents."""


def test_config_collects_the_arguments_of_all_classes(tmp_path):
    model = build(models.VAE, Scaled, scale=2.0, gamma=3.0, free_bits=0.25)
    config = model.get_config()
    values = {name: config[name] for name in ("scale", "gamma", "beta", "capacity", "free_bits")}
    assert values == {"scale": 2.0, "gamma": 3.0, "beta": 1.0, "capacity": None, "free_bits": 0.25}
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert loaded.scale == 2.0 and float(loaded.gamma) == 3.0


def test_an_argument_that_is_not_kept_is_an_error_when_saving(tmp_path):
    model = build(models.VAE, Forgetful, scale=2.0)
    with pytest.raises(ValueError, match="Forgetful takes the argument scale.*Set self.scale in"):
        model.save(tmp_path / "model.keras")


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
    model = build(models.ConditionalVAE, ConditionalIWAE, num_samples=3)
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
    assert_allclose(loaded.sample(4, labels=1, seed=0), model.sample(4, labels=1, seed=0))
