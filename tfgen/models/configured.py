"""Models whose config holds what their constructors were given, and which keep it."""

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import keras
from typing_extensions import Self

from tfgen._utils.constructors import KERAS_ARGUMENTS, constructor_arguments

__all__ = ["ConfiguredModel"]


class _Call(NamedTuple):
    """What one constructor was given, defaults that stood in for the rest, and its `*args`."""

    given: dict[str, Any]
    defaults: dict[str, Any]
    unnamed: tuple[Any, ...]


class _Record:
    """The calls of a model's constructors, its own class's first.

    No list or dict of the model itself: Keras would save the networks in it a second time.
    """

    def __init__(self):
        self.calls: list[_Call] = []
        self.complete = False


def _call(signature, *args, **kwargs):
    bound = signature.bind(*args, **kwargs)
    given, unnamed = dict(list(bound.arguments.items())[1:]), ()  # Without `self`.
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            unnamed = given.pop(name, ())
        if parameter.kind is parameter.VAR_KEYWORD:
            given |= given.pop(name, {})
    parameters = {name: p for name, p in signature.parameters.items() if name not in given}
    defaults = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    return _Call(given, defaults, unnamed)


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """The constructor `init` of a class, which notes what it is given."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def recording(self, *args, **kwargs):
        record = vars(self).setdefault("_record", _Record())
        with contextlib.suppress(TypeError):  # `init` says it better.
            record.calls.append(_call(signature, self, *args, **kwargs))
        init(self, *args, **kwargs)
        if type(self).__init__ is recording and not record.complete:
            record.complete = True
            self.check_constructed()

    recording.__signature__ = signature  # type: ignore[attr-defined]  # Keras reads it in two ways.
    return recording


def _collected(calls):
    """Arguments with which the first of `calls` leads to the others.

    What a class hands on by itself is not among them: it will do so again.
    """
    (given, defaults, unnamed), *parents = calls
    arguments = {**defaults, **given}
    seen = set(arguments)
    for given, defaults, _ in parents:
        own = {k: v for k, v in given.items() if any(v is one for one in unnamed)} | defaults
        arguments |= {name: value for name, value in own.items() if name not in seen}
        seen |= {*given, *defaults}
    return arguments


class ConfiguredModel(keras.Model):
    """A `keras.Model` that remembers the arguments of its constructor.

    `get_config` returns them, those of a subclass too, whether it keeps them in attributes or not;
    `from_config` calls the constructor with them. Once the constructor is through, they are fixed.

    Args:
        **kwargs: arguments of `keras.Model`.
    """

    # Arguments of a parent that a class sets itself, with the reason; see `check_fixed`.
    fixed: ClassVar[dict[str, str]] = {}
    _fixed_attributes: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]
        cls._fixed_attributes = _attributes_of_arguments(cls)

    def check_constructed(self) -> None:
        """Raises ValueError if arguments do not fit each other: called once all are kept."""

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, by name, and defaults of the rest."""
        return _collected(vars(self)["_record"].calls)

    def get_config(self) -> dict[str, Any]:
        """Everything that the constructor takes, ready for `from_config`."""
        given = self.arguments()
        names = [name for name in constructor_arguments(type(self)) if name not in KERAS_ARGUMENTS]
        values = {name: given[name] for name in names if name in given}
        serialized = {k: keras.saving.serialize_keras_object(v) for k, v in values.items()}
        return {**super().get_config(), **serialized}

    def rebuilt(self, **changes: Any) -> Self:
        """Another model of this class, of the same arguments but for the changes.

        Networks among the arguments are shared by both.

        Raises:
            ValueError: if the constructor does not take what is to change.
        """
        given, names = self.arguments(), constructor_arguments(type(self))
        unknown = [name for name in changes if name not in names]
        if unknown:
            raise ValueError(
                f"A {type(self).__name__} takes no {unknown[0]}. Received: "
                f"{unknown[0]}={changes[unknown[0]]!r}. Its arguments are {', '.join(names)}."
            )
        return type(self)(**{k: v for k, v in {**given, **changes}.items() if k in names})

    def __setattr__(self, name: str, value: Any) -> None:
        record = vars(self).get("_record")
        if record and record.complete and name in self._fixed_attributes:
            self._refuse(name, value)
        super().__setattr__(name, value)

    def _refuse(self, name, value):
        kind, argument = type(self).__name__, "loss" if name == "loss_name" else name
        raise ValueError(
            f"A {kind} is built for its {argument}, which it cannot exchange afterwards. Received: "
            f"model.{name} = {value!r}. Build another: {kind}.from_config({{**model.get_config(), "
            f"{argument!r}: ...}}), and set_weights(model.get_weights()) if it is to go on."
        )


def _attributes_of_arguments(cls):
    """Attributes that hold what the constructors of a class took."""
    fixed = {name for base in cls.__mro__ for name in vars(base).get("fixed", ())}
    names = {*constructor_arguments(cls), *fixed} - {*KERAS_ARGUMENTS, "loss"}
    return frozenset({*names, "loss_name"})  # `loss` is Keras' own.
