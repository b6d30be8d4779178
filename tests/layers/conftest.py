"""All distribution layers as cases, and what several of these tests need."""

from typing import NamedTuple

import keras
import numpy as np
import pytest

from tfgen import layers

NUM_FEATURES = 3


def _argument(value, module):
    """An argument of a layer, with layers in the place of their names."""
    if isinstance(value, list):
        return [_argument(part, module) for part in value]
    if isinstance(value, str):
        return getattr(module, value)(2)
    is_named = isinstance(value, tuple) and value and isinstance(value[0], str)
    return getattr(module, value[0])(*value[1]) if is_named else value


class Case(NamedTuple):
    """A distribution layer: its class's name, arguments, size of its input, shape of its output."""

    name: str
    arguments: tuple
    num_params: int
    event_shape: tuple

    def layer(self, module=layers, **kwargs):
        """The layer from `tfgen.layers` or from a module of the same names."""
        arguments = [_argument(a, module) for a in self.arguments]
        return getattr(module, self.name)(*arguments, **kwargs)

    def model(self, seed=0, **kwargs):
        """A dense layer and the distribution layer."""
        dense = keras.layers.Dense(
            self.num_params,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=seed),
        )
        return keras.Sequential([keras.Input((NUM_FEATURES,)), dense, self.layer(**kwargs)])


# "IndependentNormal" stands for that layer with event shape 2, of the same module, and a pair of a
# name and arguments for a layer with these.
TFP_CASES = [
    Case("IndependentBernoulli", ((2, 2, 1),), 4, (2, 2, 1)),
    Case("IndependentNormal", (2,), 4, (2,)),
    Case("IndependentLogistic", (2,), 4, (2,)),
    Case("IndependentPoisson", ((2, 2),), 4, (2, 2)),
    Case("MultivariateNormalTriL", (3,), 9, (3,)),
    Case("OneHotCategorical", (4,), 4, (4,)),
    Case("CategoricalMixtureOfOneHotCategorical", (4, 3), 15, (4,)),
    Case("MixtureSameFamily", (3, "IndependentNormal"), 15, (2,)),
    Case("MixtureNormal", (3, (2, 1)), 15, (2, 1)),
    Case("MixtureLogistic", (3, 2), 15, (2,)),
]
OTHER_EVENT_SHAPES = [
    Case("IndependentBernoulli", (4,), 4, (4,)),
    Case("IndependentBernoulli", ((),), 1, ()),
    Case("IndependentNormal", ((2, 3, 1),), 12, (2, 3, 1)),
    Case("IndependentNormal", ((),), 2, ()),
    Case("MixtureLogistic", (2, ()), 6, ()),
]
CASES = [
    *TFP_CASES,
    Case("FixedScaleNormal", ((2, 2, 1), 0.5), 4, (2, 2, 1)),
    Case("SharedScaleNormal", ((2, 2, 1), 0.5), 4, (2, 2, 1)),
    Case("VonMisesFisher", (3,), 4, (3,)),
    Case("IndependentLaplace", (2,), 4, (2,)),
    Case("IndependentLogNormal", ((2, 2),), 8, (2, 2)),
    Case("IndependentStudentT", ((2, 1),), 6, (2, 1)),
    Case("IndependentGamma", (2,), 4, (2,)),
    Case("IndependentBeta", (2,), 4, (2,)),
    Case("IndependentContinuousBernoulli", ((2, 2, 1),), 4, (2, 2, 1)),
    Case("IndependentTruncatedNormal", ((2, 2), (-1.0, 3.0)), 8, (2, 2)),
    Case("IndependentNegativeBinomial", (2,), 4, (2,)),
    Case("ZeroInflatedPoisson", (2,), 4, (2,)),
    Case("ZeroInflatedNegativeBinomial", ((2, 1),), 6, (2, 1)),
    Case("IndependentCategorical", ((2, 2), 3), 12, (2, 2)),
    Case("IndependentDiscretizedLogistic", ((2, 2, 1), 5), 8, (2, 2, 1)),
    Case("MixtureDiscretizedLogistic", (2, (2, 1, 3), 5), 40, (2, 1, 3)),
    Case("Blockwise", (5, ["IndependentNormal", ("IndependentCategorical", (3, 4))]), 16, (5,)),
]


def _identify(case):
    return f"{case.name}-{case.event_shape}".replace(" ", "")


@pytest.fixture(params=[*TFP_CASES, *OTHER_EVENT_SHAPES], ids=_identify)
def tfp_case(request):
    """A layer that `tfp.layers` has as well."""
    return request.param


@pytest.fixture(params=CASES, ids=_identify)
def case(request):
    """A layer of `tfgen.layers`, each class once."""
    return request.param


@pytest.fixture
def all_cases():
    return CASES


@pytest.fixture
def features():
    return np.random.default_rng(1).normal(size=(5, NUM_FEATURES)).astype("float32")


@pytest.fixture
def reloaded(tmp_path):
    """Callable that saves a model and loads it again, with `safe_mode=True`."""

    def save_and_load(model):
        model.save(tmp_path / "model.keras")
        return keras.models.load_model(tmp_path / "model.keras", safe_mode=True)

    return save_and_load


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def mixed_precision(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)
