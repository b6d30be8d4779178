"""Callbacks with one argument damaged: refused by us, by the argument's name."""

import pathlib
import sys
import types

import keras
import numpy as np
import pytest

from tfgen import callbacks

sys.path.append(str(pathlib.Path(__file__).parents[1]))

from damage import Call, damaged_calls, failures_among, outcome  # noqa: E402


def of(callback, **arguments):
    return Call(getattr(callbacks, callback), arguments)


def model():
    """What the schedules use of one."""
    weights = {
        name: keras.Variable(0.0, dtype="float32", trainable=False) for name in ("beta", "capacity")
    }
    steps = keras.Variable(0, dtype="int64", trainable=False)
    return types.SimpleNamespace(steps=steps, get_config=lambda: {"beta": 0.0}, **weights)


def in_training(callback):
    """Does what `fit` does before and after a batch, an epoch and a validation."""
    callback.set_model(model())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_batch_begin(0)
    callback.on_train_batch_end(0)
    callback.on_epoch_end(0, {})
    callback.on_train_end()


def with_value(value):
    """A schedule whose function gives that value."""
    in_training(callbacks.BetaSchedule(lambda step: value))


IMAGES = np.random.default_rng(0).uniform(size=(12, 8, 8, 1))
NETWORK = keras.Sequential(
    [keras.Input((8, 8, 1)), keras.layers.Flatten(name="features"), keras.layers.Softmax()]
)
WRITERS = ("SampleEvaluation", "SampleGrid")

CALLS = {
    "BetaSchedule": of("BetaSchedule", function=lambda step: 1.0),
    "BetaSchedule.function": Call(lambda beta: with_value(beta), {"beta": 4.0}),
    "CapacitySchedule": of("CapacitySchedule", max_capacity=25.0, num_steps=10),
    "CyclicalKLWarmUp": of(
        "CyclicalKLWarmUp", num_steps=10, num_cycles=2, ratio=0.5, start=0.0, end=1.0
    ),
    "KLWarmUp": of("KLWarmUp", num_steps=10, start=0.0, end=1.0),
    "SampleEvaluation": of(
        "SampleEvaluation",
        train_data=IMAGES,
        test_data=IMAGES[::-1],
        num_samples=10,
        monitor="squared_mmd",
        mode="min",
        every=2,
        filepath="best.weights.h5",
        restore_best=True,
        classifier=NETWORK,
        value_range=(0.0, 1.0),
        clip=True,
        num_neighbours=2,
        seed=0,
    ),
    "SampleGrid": of(
        "SampleGrid",
        output_dir="grids",
        num_samples=4,
        every=2,
        at_start=True,
        log_dir="logs",
        mean=True,
        seed=0,
        value_range=(0.0, 1.0),
        condition=np.array([0, 1, 2, 3]),
    ),
    "WeightSchedule": of("WeightSchedule", name="beta", function=lambda step: 1.0),
}


def test_all_public_callbacks_are_in_the_table():
    of_arguments = set(callbacks.__all__) - {"EpochLines"}  # It takes none.
    assert of_arguments == {name for name in CALLS if "." not in name}


@pytest.mark.parametrize("name", CALLS)
def test_the_calls_are_valid(name):
    CALLS[name]()


def used_afterwards(name, call):
    """The call, and the callback in training where it has no damage."""

    def make_and_use(**arguments):
        callback = call.function(**arguments)
        if isinstance(callback, keras.callbacks.Callback) and name not in WRITERS:
            in_training(callback)

    return Call(make_and_use, call.arguments)


def test_damaged_calls_are_refused_by_name_and_few_return():
    calls = {name: used_afterwards(name, call) for name, call in CALLS.items()}
    found = [(each, outcome(each)) for each in damaged_calls(calls)]
    assert not list(failures_among(found))
    # The damage is a right value, such as a start of 0.5, 10**10 or 0.
    assert sum(kind == "returned" for _, (kind, _) in found) < 0.15 * len(found)
