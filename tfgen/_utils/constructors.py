"""Arguments that a class takes, its parents' included."""

import inspect
from collections.abc import Mapping
from typing import Any

__all__ = ["check_fixed", "check_no_activity", "constructor_arguments", "taken"]

KERAS_ARGUMENTS = ("name", "trainable", "dtype")
"""What `keras.Model` and `keras.layers.Layer` take, as far as their configs hold it."""


def constructor_arguments(cls: type) -> list[str]:
    """Names that the constructor of `cls` takes, also through `**kwargs` that go to its parents.

    A class says in its attribute `fixed`, a mapping from names to reasons, which arguments it and
    its parents set themselves; these are not among them, unless a child names them again.

    Example:
        >>> class Parent:
        ...     def __init__(self, size, loss): ...
        >>> class Child(Parent):
        ...     fixed = {"loss": "It has one of its own."}
        ...     def __init__(self, depth, **kwargs): ...
        >>> constructor_arguments(Child)
        ['depth', 'size']
    """
    names: list[str] = []
    blocked: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.split(".")[0] == "keras":
            return names + [name for name in KERAS_ARGUMENTS if name not in {*names, *blocked}]
        blocked |= set(vars(base).get("fixed", ()))
        parameters = _parameters(base)
        for name, parameter in parameters.items():
            named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            if named and name not in {*names, *blocked}:
                names.append(name)
        kinds = [parameter.kind for parameter in parameters.values()]
        if parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return names


def _parameters(cls):
    """Parameters of a constructor of the class's own, without `self`."""
    if "__init__" not in vars(cls):
        return {}
    parameters = dict(inspect.signature(vars(cls)["__init__"]).parameters)
    parameters.pop("self")
    return parameters


def taken(cls: type, **arguments: Any) -> dict[str, Any]:
    """Those of `arguments` that `cls` takes: what its config may hold of a parent's.

    Example:
        >>> class Scaled:
        ...     def __init__(self, scale): ...
        >>> taken(Scaled, scale=2, event_shape=(3,))
        {'scale': 2}
    """
    names = constructor_arguments(cls)
    return {name: value for name, value in arguments.items() if name in names}


def check_fixed(cls: type, arguments: Mapping[str, Any]) -> None:
    """Raises ValueError if `arguments`, the `**kwargs` of `cls`, hold one that it sets itself."""
    for name in set(arguments) - set(constructor_arguments(cls)):
        for base in cls.__mro__:
            fixed = vars(base).get("fixed", {})
            if name in fixed:
                raise ValueError(
                    f"{base.__name__} takes no {name}: {fixed[name]} Received: "
                    f"{name}={arguments[name]!r}. Leave it out."
                )


def check_no_activity(layer: Any, what: str) -> None:
    """Raises ValueError if a layer that Keras never calls was given an `activity_regularizer`."""
    if layer.activity_regularizer is not None:
        raise ValueError(
            f"{what} has no activity of its own. Received: {type(layer).__name__} with "
            f"activity_regularizer={layer.activity_regularizer!r}. Give it to a layer of a network."
        )
