"""Python code as text, of calls and literals, and its execution."""

import os
from typing import Any

__all__ = ["Name", "call", "execute", "text_of"]

_LINE_LENGTH = 88


class Name(str):
    """An expression, which stands in the code as it is.

    Example:
        >>> call("print", Name("x"), "x")
        print(x, "x")
    """

    __repr__ = str.__str__


def text_of(value: Any) -> str:
    """A value as Python code: text in double quotes, paths as text.

    Example:
        >>> print(text_of(("it's", Name("info.image_shape"), 0.5)))
        ("it's", info.image_shape, 0.5)
    """
    if isinstance(value, str | os.PathLike) and not isinstance(value, Name):
        text = repr(os.fspath(value))
        quoted = '"' in text or "\\" in text or text.startswith('"')
        return text if quoted else f'"{text[1:-1]}"'
    if isinstance(value, dict):
        return f"{{{', '.join(f'{text_of(k)}: {text_of(v)}' for k, v in value.items())}}}"
    if isinstance(value, tuple | list):
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        inside = ", ".join(map(text_of, value)) + comma
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return repr(value)


def call(function: str, *args: Any, **kwargs: Any) -> Name:
    """Code of a call; in several lines where one would be long.

    Example:
        >>> call("model.sample", 64, seed=0)
        model.sample(64, seed=0)
    """
    parts = [*map(text_of, args), *(f"{name}={text_of(v)}" for name, v in kwargs.items())]
    line = f"{function}({', '.join(parts)})"
    if len(line) <= _LINE_LENGTH - len("model = "):
        return Name(line)
    inside = "".join(f"    {part},\n" for part in parts)
    return Name(f"{function}(\n{inside})")


def execute(code: str, namespace: dict[str, Any]) -> None:
    """Runs code, whose names appear in `namespace`.

    Example:
        >>> names = {"n": 2}
        >>> execute("double = 2 * n", names)
        >>> names["double"]
        4
    """
    exec(compile(code, "<tfgen --show-code>", "exec"), namespace)
