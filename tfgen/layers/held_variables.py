"""Variables that a function or a distribution holds: those of Keras are trained, others refused."""

import dis
import functools
import gc
import inspect
import types
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

__all__ = ["check_no_variables", "held_by"]


def held_by(argument: str, value: Any) -> list[Any]:
    """Layers and variables of Keras that a function uses, or a distribution has.

    Keras finds what is an attribute of a layer, or in a list of one: not what a function refers to.
    `self`, the layer or model that a function was written in, keeps what is its own.

    Args:
        argument: name of the argument that `value` was given as, for the message.
        value: function, distribution, layer, or anything else, of which nothing is returned.

    Returns:
        List to keep in an attribute of a layer.

    Raises:
        ValueError: for a tf.Variable, which Keras 3 never trains.

    Example:
        >>> scale = keras.Variable(1.0)
        >>> held_by("make_distribution_fn", lambda t: tfd.Normal(t, scale)) == [scale]
        True
    """
    held: dict[int, Any] = {}
    for part in _parts(value, set()):
        if isinstance(part, tf.Module):
            check_no_variables(argument, part.trainable_variables)
        elif isinstance(part, tf.Variable):
            check_no_variables(argument, [part] if part.trainable else [])
        elif isinstance(part, keras.layers.Layer | keras.Variable):
            held[id(part)] = part
    return list(held.values())


def check_no_variables(argument: str, variables: Any) -> None:
    """Raises ValueError if there is a tf.Variable.

    Example:
        >>> check_no_variables("distribution_b", tfd.Normal(0.0, 1.0).trainable_variables)
    """
    for variable in variables:
        if not _is_of_keras(variable):
            raise ValueError(
                "Keras 3 does not see a tf.Variable inside a distribution or a function, so it "
                f"would never be trained. Received: {argument} with {variable!r}. Use a "
                "keras.Variable in a function, or as a prior a trainable one of tfgen.layers: "
                "MixtureOfNormals."
            )


def _is_of_keras(variable):
    """Whether it is where a keras.Variable has its value, which says so to no one."""
    owners = gc.get_referrers(variable)
    owners += [o for part in owners if isinstance(part, dict) for o in gc.get_referrers(part)]
    return any(isinstance(owner, keras.Variable) for owner in owners)


def _parts(value: Any, seen: set[int]) -> Iterator[Any]:
    """`value`, and what it is made of or refers to, at any depth, each once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    yield value
    for part in _direct_parts(value):
        yield from _parts(part, seen)


def _direct_parts(value):
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, tfd.Distribution):
        return list(value.parameters.values())
    if isinstance(value, list | tuple):
        return value
    if inspect.ismethod(value):
        return [value.__func__]
    if inspect.isfunction(value):
        return _referred_to(value)
    return []


def _referred_to(function):
    """Values of the variables of outer functions and modules that a function uses."""
    outer = inspect.getclosurevars(function).nonlocals
    names = _global_names(function.__code__)
    modules = {name: function.__globals__.get(name) for name in names}
    # Functions of a module have arguments for what they use, and may be a library's.
    modules = {k: v for k, v in modules.items() if not inspect.isroutine(v)}
    return [value for name, value in {**modules, **outer}.items() if name != "self"]


def _global_names(code: types.CodeType) -> set[str]:
    """Names of a module that a function, or one written inside it, loads."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return names.union(*map(_global_names, inner))
