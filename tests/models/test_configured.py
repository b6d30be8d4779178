"""What a model's config holds of its constructor's arguments, and that these stay what they are."""

import keras
import numpy as np
import pytest
from vaes import BUILDERS, build

from tfgen import models, networks

SHAPE = (4, 4, 1)


@keras.saving.register_keras_serializable("tests")
class NotKept(models.BetaVAE):
    """Takes an argument that it keeps in no attribute."""

    def __init__(self, encoder, decoder, strength=0.5, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.doubled = 2 * strength


@keras.saving.register_keras_serializable("tests")
class Changed(models.BetaVAE):
    """Hands on another value than it was given under that name."""

    def __init__(self, encoder, decoder, beta=3.0, **kwargs):
        super().__init__(encoder, decoder, beta=2 * beta, **kwargs)


@keras.saving.register_keras_serializable("tests")
class Derived(models.BetaVAE):
    """Sets an argument of its parent from one of its own; half of it is the parent's default."""

    def __init__(self, encoder, decoder, strength=0.5, **kwargs):
        super().__init__(encoder, decoder, beta=2 * strength, **kwargs)


@keras.saving.register_keras_serializable("tests")
class Unnamed(models.BetaVAE):
    """Hands on what it does not name, by position and by keyword."""

    def __init__(self, *args, strength=0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.doubled = 2 * strength


@keras.saving.register_keras_serializable("tests")
class Deep(Derived):
    """A child of such a class, with a constructor of its own."""

    def __init__(self, *args, depth=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.beta_at_depth = depth * self.initial_loss_weights["beta"]


@keras.saving.register_keras_serializable("tests")
class WithoutConstructor(Derived):
    pass


@keras.saving.register_keras_serializable("tests")
class OwnAE(models.AE):
    def __init__(self, encoder, decoder, strength=0.5, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.doubled = 2 * strength


def plain(cls, *args, head=True, **kwargs):
    heads = {} if head else {"head": None}
    encoder = networks.mlp_encoder(SHAPE, 2, width=8, **heads)
    return cls(encoder, networks.mlp_decoder(SHAPE, 2, width=8, **heads), *args, **kwargs)


SUBCLASSES = {
    "not kept": (lambda: plain(NotKept, strength=2.0), lambda m: m.doubled, 4.0),
    "not kept, default": (lambda: plain(NotKept), lambda m: m.doubled, 1.0),
    "changed": (lambda: plain(Changed, beta=5.0), lambda m: m.initial_loss_weights["beta"], 10.0),
    "changed, default": (lambda: plain(Changed), lambda m: m.initial_loss_weights["beta"], 6.0),
    "derived": (lambda: plain(Derived, strength=2.0), lambda m: float(m.beta), 4.0),
    "derived, as the parent's": (lambda: plain(Derived), lambda m: float(m.beta), 1.0),
    "by position": (lambda: plain(Unnamed, None, 7.0), lambda m: float(m.beta), 7.0),
    "by keyword": (lambda: plain(Unnamed, beta=7.0), lambda m: float(m.beta), 7.0),
    "beside them": (lambda: plain(Unnamed, strength=2.0), lambda m: m.doubled, 4.0),
    "deep": (lambda: plain(Deep, strength=2.0, depth=3), lambda m: m.beta_at_depth, 12.0),
    "inherited": (lambda: plain(WithoutConstructor, strength=2.0), lambda m: float(m.beta), 4.0),
    "AE": (lambda: plain(OwnAE, head=False, strength=2.0), lambda m: m.doubled, 4.0),
}


@pytest.mark.parametrize("case", SUBCLASSES)
def test_subclasses_are_built_again_as_they_were(case, tmp_path):
    build_one, read, expected = SUBCLASSES[case]
    model = build_one()
    assert read(model) == expected
    assert read(type(model).from_config(model.get_config())) == expected
    model.save(tmp_path / "model.keras")
    assert read(keras.models.load_model(tmp_path / "model.keras")) == expected


def test_parents_defaults_are_in_the_config():
    """So that another default in a later version does not change a saved model."""
    config = build(models.FactorVAE).get_config()
    values = {name: config[name] for name in ("gamma", "beta", "capacity", "free_bits", "seed")}
    assert values == {"gamma": 10.0, "beta": 1.0, "capacity": None, "free_bits": None, "seed": 0}


@pytest.mark.parametrize("cls", BUILDERS)
def test_configs_of_a_model_built_again_are_equal(cls):
    config = build(cls).get_config()
    again = cls.from_config(config).get_config()
    assert again.keys() == config.keys()
    assert {k: v for k, v in again.items() if not isinstance(v, dict)} == {
        k: v for k, v in config.items() if not isinstance(v, dict)
    }


def test_wrong_arguments_are_named_as_python_does():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'decoder'"):
        models.VAE(networks.mlp_encoder(SHAPE, 2))
    with pytest.raises(ValueError, match="passed to VAE: {'beat': 1.0}"):
        plain(models.VAE, beat=1.0)


# Arguments are fixed.


@pytest.mark.one_of_each_kind
def test_every_argument_is_fixed_or_a_weight(model_name, build_model):
    """Setting has its effect or raises; `trainable`, `name` and `dtype` are Keras' own."""
    model = build_model(model_name)
    for name in model.get_config().keys() - {"name", "trainable", "dtype"}:
        if name in model.initial_loss_weights:
            continue
        attribute = "loss_name" if name == "loss" else name
        with pytest.raises(ValueError, match=f"built for its {name}.*from_config"):
            setattr(model, attribute, getattr(model, attribute))


def test_fixed_arguments_and_attributes_of_ones_own(build_model):
    model = build_model("wgan")
    model.compile("sgd")
    for name in ("discriminator_steps", "clip", "generator", "decoder", "seed", "data_shape"):
        with pytest.raises(ValueError, match=f"Received: model.{name} = 5. Build another: WGAN"):
            setattr(model, name, 5)
    model.note = "of the user"
    model.trainable = False
    assert model.note == "of the user" and not model.trainable_variables
    again = models.WGAN.from_config({**model.get_config(), "discriminator_steps": 5})
    again.set_weights(model.get_weights())
    assert again.discriminator_steps == 5
    np.testing.assert_allclose(again.sample(2, seed=0), model.sample(2, seed=0))


@keras.saving.register_keras_serializable("tests")
class Plain(models.ResumableModel):
    """Takes nothing but what JSON holds, which Keras collects by itself."""

    def __init__(self, rate=0.5, **kwargs):
        super().__init__((3,), **kwargs)
        self.twice = 2 * rate


def test_arguments_that_keras_would_collect_by_itself():
    model = Plain(0.25, seed=1)
    assert Plain.from_config(model.get_config()).twice == 0.5
    assert Plain.from_config(Plain(rate=2.0).get_config()).twice == 4.0


@keras.saving.register_keras_serializable("tests")
class OwnMixture(models.MixtureEM):
    def __init__(self, *args, strength=0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.doubled = 2 * strength


def test_a_mixtures_arguments_are_kept_and_fixed(tmp_path):
    model = OwnMixture(2, (3,), "diagonal", reg_covar=0.1, strength=2.0, seed=4)
    model.set_parameters(np.eye(2, 3), np.ones((2, 3)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found = [loaded.doubled, loaded.reg_covar, loaded.components, loaded.seed, loaded.kappa]
    assert found == [4.0, 0.1, "diagonal", 4, None]
    with pytest.raises(ValueError, match="built for its kappa"):
        model.kappa = 0.6
