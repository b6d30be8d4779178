"""Hypermodels: every class builds what its hyperparameters say, and the same each time."""

import functools
import inspect

import keras
import keras_tuner as kt
import numpy as np
import pytest

from tfgen import datasets, models, tuning
from tfgen._utils.constructors import constructor_arguments
from tfgen.tuning.hypermodels import NETWORKS, OWN, PLAIN

DIGITS = functools.partial(datasets.load, "digits")
SPLITS = ("train[:128]", "train[128:192]")


def hp_with(**values):
    hp = kt.HyperParameters()
    hp.values = values
    return hp


def small(**kwargs):
    """Arguments for tiny networks."""
    return {"splits": SPLITS, "latent_dim": 2, "width": 8, "batch_size": 64, **kwargs}


def test_the_model_is_what_the_hyperparameters_say(hypermodel):
    chosen = {"beta": 8.0, "latent_dim": 3, "width": 16, "learning_rate": 0.01}
    space = {name: (1, value) for name, value in chosen.items()}
    built = hypermodel(**space)
    model = built.build(hp_with(**chosen, batch_size=64, likelihood="bernoulli"))
    assert model.get_config()["beta"] == 8.0
    assert model.latent_shape == (3,)
    assert {layer.units for layer in model.encoder.layers[:-2] if hasattr(layer, "units")} == {16}
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_fixed_choice_and_range_are_declared(hypermodel):
    searched = hypermodel(beta=tuning.Range(0.5, 16.0, "log"), latent_dim=(2, 5))
    hp = kt.HyperParameters()
    searched.values(hp)
    kinds = {p.name: type(p).__name__ for p in hp.space}
    assert kinds["beta"] == "Float" and kinds["latent_dim"] == "Choice"
    assert kinds["batch_size"] == kinds["learning_rate"] == kinds["width"] == "Fixed"
    assert hypermodel(latent_dim=tuning.Range(2, 9)).values(hp := kt.HyperParameters())
    assert {type(p).__name__ for p in hp.space if p.name == "latent_dim"} == {"Int"}


def test_integers_and_floats_mix_in_a_choice(hypermodel):
    hp = kt.HyperParameters()
    hypermodel(beta=(1, 0.5)).values(hp)
    assert next(p for p in hp.space if p.name == "beta").values == [1.0, 0.5]


def test_equal_hyperparameters_give_equal_weights_whatever_ran_before(hypermodel):
    built = hypermodel()
    first = built.build(kt.HyperParameters()).get_weights()
    keras.random.normal((3,))
    second = built.build(kt.HyperParameters()).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_fit_returns_the_validation_metrics_of_the_last_epoch(hypermodel):
    built, hp = hypermodel(), kt.HyperParameters()
    model = built.build(hp)
    measured = built.fit(hp, model, epochs=2)
    assert int(model.steps) == 2 * 2  # 128 images, batches of 64.
    data, _ = datasets.load("digits", SPLITS[1], 64, binarize="threshold", shuffle=False)
    again = model.evaluate(data, verbose=0, return_dict=True)
    assert measured == {f"val_{k}": pytest.approx(v, rel=1e-5) for k, v in again.items()}


@pytest.mark.parametrize(
    "model_class, weights, expected",
    [
        (models.VAE, {}, {}),
        (models.BetaTCVAE, {"beta": 6.0}, {"beta": 6.0, "dataset_size": 128}),
    ],
)
def test_vae_classes(hypermodel, model_class, weights, expected):
    config = hypermodel(model_class, **weights).build(kt.HyperParameters()).get_config()
    assert {name: config[name] for name in expected} == expected


@pytest.mark.parametrize(
    "model_class, weights",
    [
        (models.GAN, {"proximity": (2.0, 5.0)}),
        (models.WGANGP, {"gradient_penalty": 3.0}),
        (models.AAE, {"reconstruction_weight": 2.0}),
        (models.ALI, {}),
        (models.AlphaGAN, {"reconstruction_weight": 2.0}),
        (models.ConstrainedVAEGAN, {"multiplier": (2.0, 10.0), "bound": 0.7}),
        (models.GVAE, {"gan_weight": 2.0}),
    ],
)
def test_adversarial_classes(model_class, weights):
    built = tuning.AdversarialHyperModel(DIGITS, model_class, **small(**weights))
    model = built.build(kt.HyperParameters())
    config = model.get_config()
    for name, values in weights.items():
        assert config[name] == np.ravel(values)[0]
    assert model.latent_shape == (2,)
    assert model.sample(2, seed=0).shape == (2, 8, 8, 1)
    assert float(model.optimizer.beta_1) == 0.5


@pytest.mark.parametrize("value_range, lowest", [((0.0, 1.0), 0.0), ((-1.0, 1.0), -1.0)])
def test_a_generator_spans_the_range_of_the_pixels(value_range, lowest):
    data = functools.partial(DIGITS, value_range=value_range)
    model = tuning.AdversarialHyperModel(data, models.GAN, **small()).build(kt.HyperParameters())
    extreme = np.asarray(model.generate(1e4 * np.random.default_rng(0).normal(size=(64, 2))))
    assert extreme.min() == pytest.approx(lowest, abs=1e-3)
    assert extreme.max() == pytest.approx(1.0, abs=1e-3)


def test_sagars_latent_sizes_are_the_default():
    assert tuning.AdversarialHyperModel(DIGITS).space["latent_dim"] == (100, 500, 1000, 2000)


def test_unknown_argument_and_likelihood(hypermodel):
    with pytest.raises(ValueError, match=r"VAE has no such arguments.*Received: \['gamma'\]"):
        hypermodel(models.VAE, gamma=2.0)
    with pytest.raises(ValueError, match="likelihood must be one of .*Received: .*'poisson'"):
        hypermodel(likelihood="poisson")
    with pytest.raises(ValueError, match="likelihood must be one of .*Received: .*'poisson'"):
        hypermodel(likelihood=("normal", "poisson"))


@pytest.mark.parametrize("values", [None, (), (1.0, None), np.zeros(2)])
def test_values_that_cannot_be_searched(hypermodel, values):
    with pytest.raises(ValueError, match="capacity must be a number.*Received: capacity="):
        hypermodel(capacity=values)


# Exactly what the class takes.

# Values of arguments whose default is None, or which are Keras' own.
SOME = {
    "capacity": 1.0,
    "dtype": "float32",
    "feature_layer": "features",
    "free_bits": 0.1,
    "generator_steps": 1,
    "lambda_d": 1.0,
    "name": "some",
    "temperature": 2.0,
    "trainable": True,
}
# They need other networks, which a subclass of a hypermodel builds, or have none.
OTHERS = {
    "ACGAN",
    "AE",
    "AuxiliaryVAE",
    "DRAW",
    "FSQVAE",
    "FlowVAE",
    "GenerativeModel",
    "HVI",
    "InfoGAN",
    "LadderVAE",
    "MIWAE",
    "MissingDataVAE",
    "MixtureEM",
    "NormalizingFlow",
    "RAE",
    "RQVAE",
    "ResumableModel",
    "SemiSupervisedVAE",
    "VGP",
    "VQVAE",
    "WAE",
}
BUILT = sorted(
    name
    for name in set(models.__all__) - OTHERS
    if isinstance(getattr(models, name), type) and issubclass(getattr(models, name), keras.Model)
)


def defaults(cls):
    """All arguments with a plain default, a child's before its parent's."""
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("tfgen") and "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            found |= {p.name: p.default for p in parameters if isinstance(p.default, PLAIN)}
    return {name: found[name] for name in searchable(cls) & set(found)}


def searchable(cls):
    return set(constructor_arguments(cls)) - OWN


@pytest.mark.parametrize("name", BUILT)
def test_every_argument_that_passes_builds(name):
    cls = getattr(models, name)
    assert searchable(cls) <= {*defaults(cls), *SOME, "prior"}, "Give them a value in SOME."
    arguments = defaults(cls) | {key: SOME[key] for key in searchable(cls) & set(SOME)}
    if {"capacity", "free_bits"} <= set(arguments):
        del arguments["free_bits"]  # A loss has one of the two.
        assert_builds(cls, {"free_bits": SOME["free_bits"]})
    assert_builds(cls, arguments)


def assert_builds(cls, arguments):
    built = tuning.AdversarialHyperModel(DIGITS, cls, **small(**arguments))
    model = built.build(kt.HyperParameters())
    config = model.get_config() | {"dtype": model.dtype}
    assert {key: config[key] for key in arguments} == arguments


@pytest.mark.parametrize("name", BUILT)
def test_every_other_argument_is_refused(name):
    cls = getattr(models, name)
    fixed = {key for base in cls.__mro__ for key in vars(base).get("fixed", ())}
    for argument in (fixed | {"betta", "kwargs", *NETWORKS}) - searchable(cls):
        with pytest.raises(ValueError, match=f"no such arguments to search. .*'{argument}'"):
            tuning.AdversarialHyperModel(DIGITS, cls, **small(**{argument: 1.0}))
