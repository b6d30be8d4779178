"""Valid calls with one argument damaged at a time, and how such calls end.

An area joins by a table from the names of its public callables to valid calls of them, and a test
that walks through `damaged_calls` and looks at the `outcome` of each: see tests/test_damage.py.
"""

import pathlib
import resource
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

TIME_LIMIT = 20  # Seconds, on a machine with much other work.
MEMORY_LIMIT = 3 * 2**30  # Bytes that one call may ask for beyond what the process has.

# Of a number, a name, a shape: whatever an argument takes, most of these are nothing for it.
SCALARS = {
    "None": None,
    "text": "damaged",
    "object": object(),
    "negative": -1,
    "zero": 0,
    "huge": 10**10,
    "fraction": 0.5,
    "NaN": float("nan"),
    "empty list": [],
    "nested list": [[1], [2, 3]],
    "objects": np.array([object(), None]),
}


def _array_damages(values: np.ndarray) -> dict[str, Any]:
    """Of an array: other ranks, values and dtypes, and no values."""
    return {
        "without its first axis": values[0],
        "with an axis more": values[None],
        "empty": values[:0],
        "of strings": np.full(values.shape, "damaged"),
        "of objects": np.full(values.shape, object()),
        "with NaN": np.where(np.arange(values.size).reshape(values.shape) == 0, np.nan, values),
        "with infinity": np.where(
            np.arange(values.size).reshape(values.shape) == 0, np.inf, values
        ),
    }


class Call(NamedTuple):
    """A call by keywords."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    def __call__(self) -> Any:
        return self.function(**self.arguments)


class Damaged(NamedTuple):
    """A call with one argument that is damaged."""

    name: str
    argument: str
    damage: str
    call: Call


class Outcome(NamedTuple):
    """How a call ended.

    Attributes:
        kind: "refused" with a fitting error of tfgen that names the argument, "refused
            without the name", "raised inside" of another package, "returned", or "no end" for one
            that ran into a limit.
        message: str, the last line of the error, or "".
    """

    kind: str
    message: str


def damaged_calls(calls: Mapping[str, Call]) -> Iterator[Damaged]:
    """Every call of a table with every argument damaged in every way."""
    for name, call in calls.items():
        for argument, value in call.arguments.items():
            is_array = isinstance(value, np.ndarray) and value.ndim > 0 and len(value) > 0
            damages = {**SCALARS, **(_array_damages(value) if is_array else {})}
            for damage, wrong in damages.items():
                arguments = {**call.arguments, argument: wrong}
                yield Damaged(name, argument, damage, Call(call.function, arguments))


class _TooLong(BaseException):
    """No handler of errors between here and there takes it for its own."""


def _stop(*_: Any) -> None:
    raise _TooLong


def _limited(call: Call) -> None:
    """The call, within a time and a memory that it may take."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = pathlib.Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]
    size = int(pages) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_LIMIT, limits[1]))
    before = signal.signal(signal.SIGALRM, _stop)
    signal.alarm(TIME_LIMIT)
    try:
        call()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def outcome(damaged: Damaged) -> Outcome:
    """Runs a damaged call."""
    try:
        _limited(damaged.call)
    except (_TooLong, MemoryError) as error:
        return Outcome("no end", type(error).__name__)
    except Exception as error:  # noqa: BLE001
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        message = f"{type(error).__name__}: {error}"
        # Ours say what they received; those of Python, of our lines too, do not.
        ours = "/tfgen/" in last and "Received" in message
        if not ours or not isinstance(error, ValueError | TypeError | FileNotFoundError):
            kind = "no end" if "ResourceExhausted" in message else "raised inside"
            return Outcome(kind, message)
        named = damaged.argument in message
        return Outcome("refused" if named else "refused without the name", message)
    return Outcome("returned", "")


def failures(damaged: Iterable[Damaged]) -> Iterator[str]:
    """Damaged calls that neither return nor are refused by the name of the argument."""
    return failures_among((each, outcome(each)) for each in damaged)


def failures_among(ends: Iterable[tuple[Damaged, Outcome]]) -> Iterator[str]:
    """As `failures`, of calls whose outcomes are known."""
    for each, (kind, message) in ends:
        if kind not in ("refused", "returned"):
            yield f"{each.name}({each.argument}={each.damage}): {kind}: {message[:400]}"
