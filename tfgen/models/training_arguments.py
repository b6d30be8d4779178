"""What `fit` and `evaluate` are asked to do: checks of callbacks, epochs and validation."""

import math
import types
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_fractions, check_ints, check_one_of

__all__ = [
    "as_callbacks",
    "as_frequency",
    "batches_between",
    "check_counts",
    "check_epochs_of_generator",
    "check_validation",
    "check_verbose",
]

# Where a callback hears of batches.
_HOOKS = tuple(
    f"on_{part}batch_{place}" for part in ("", "train_", "test_") for place in ("begin", "end")
)


# What progress bars can be.
_VERBOSE = ("auto", 0, 1, 2, False, True)


# Numbers.


def check_verbose(verbose: Any) -> None:
    """Raises ValueError for what no progress bar can be."""
    check_one_of(_VERBOSE, verbose=verbose)


def check_counts(**counts: Any) -> None:
    """Raises ValueError for what is neither None nor an int of at least 1."""
    check_ints(1, **{name: value for name, value in counts.items() if value is not None})


# Callbacks.


def as_callbacks(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Callbacks in a list, those of a `CallbackList` among them.

    Raises:
        ValueError: if one is something else.
    """
    found: list[Any] = []
    for callback in keras.tree.flatten(callbacks if callbacks is not None else []):
        several = isinstance(callback, keras.callbacks.CallbackList)
        found += callback.callbacks if several else [callback]
    bad = [one for one in found if not isinstance(one, keras.callbacks.Callback)]
    if bad:
        raise ValueError(
            "callbacks must be objects of keras.callbacks.Callback, one or a list of them. "
            f"Received: {bad[0]!r}. Make one: callbacks=[keras.callbacks.TerminateOnNaN()]."
        )
    return found


def batches_between(
    callbacks: Iterable[keras.callbacks.Callback], num_batches: int | None = None
) -> int:
    """A number that divides all numbers of batches after which callbacks act, 0 if none does.

    Args:
        callbacks: the callbacks of `fit`.
        num_batches: int or None, batches in an epoch, at whose end one hears of them too.

    Example:
        >>> saves = keras.callbacks.BackupAndRestore("folder", save_freq=20)
        >>> batches_between([saves], num_batches=500)
        20
        >>> batches_between([keras.callbacks.LambdaCallback(on_train_batch_end=print)])
        1
    """
    callbacks = list(callbacks)
    if any(map(_acts_on_each_batch, callbacks)):
        return 1
    frequencies = [keras_private.batches_between_saves(callback) for callback in callbacks]
    return math.gcd(*frequencies, num_batches or 1) if any(frequencies) else 0


def _acts_on_each_batch(callback):
    """Whether a user wrote what happens at a batch, or wants it recorded."""
    hooks = (getattr(callback, name) for name in _HOOKS)
    modules = {(getattr(hook, "__module__", None) or "").split(".")[0] for hook in hooks}
    return not modules <= {"keras", "tfgen"} or keras_private.records_batches(callback)


# Epochs and validation.


def check_epochs_of_generator(
    x: Any, epochs: int, initial_epoch: int, steps: int | None, name: str = "x"
) -> None:
    """Raises ValueError if a generator, which gives its batches once, is to last several epochs."""
    if isinstance(x, types.GeneratorType) and steps is None and epochs - initial_epoch > 1:
        number = "steps_per_epoch" if name == "x" else "validation_steps"
        raise ValueError(
            "A generator gives its batches once, in one epoch. Received: "
            f"{name} of type generator, epochs={epochs} and {number}=None. Give {number}, or an "
            "array, a keras.utils.PyDataset or a tf.data.Dataset, which begin anew."
        )


def check_validation(
    validation_data: Any,
    validation_split: float,
    validation_freq: Any,
    **sizes: int | None,
) -> None:
    """Raises ValueError for two kinds of validation data, or for orders what to do with none.

    So it does for an argument that is out of range.

    Args:
        validation_data: as `fit` takes it.
        validation_split: as `fit` takes it.
        validation_freq: as `fit` takes it.
        **sizes: `validation_steps` and `validation_batch_size`.
    """
    check_fractions(validation_split=validation_split)
    check_counts(**sizes)
    if validation_split and validation_data is not None:
        raise ValueError(
            "Validation data are given, or split off the training data. Received: "
            f"validation_split={validation_split} and validation_data. Leave one out."
        )
    orders = {"validation_freq": None if validation_freq == 1 else validation_freq, **sizes}
    for name, value in orders.items():
        if value is not None and validation_data is None and not validation_split:
            raise ValueError(
                f"There is nothing to validate on. Received: {name}={value!r} without "
                "validation_data and validation_split. Give one of them, or leave it out."
            )


def as_frequency(validation_freq: Any) -> int | list[int]:
    """`validation_freq` as Keras takes it: an int, or a list of epochs counted from 1.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(validation_freq, Sequence | set) and not isinstance(validation_freq, str):
        epochs = list(validation_freq)
        if not epochs:
            raise ValueError(
                "validation_freq must be an int, or a list of epochs. Received: "
                f"validation_freq={validation_freq!r}. Leave it out to validate after each."
            )
        check_ints(
            1,
            "Epochs are counted from 1.",
            **{f"validation_freq[{i}]": e for i, e in enumerate(epochs)},
        )
        return [int(epoch) for epoch in epochs]
    check_ints(1, "Or give a list of epochs.", validation_freq=validation_freq)
    return int(validation_freq)
