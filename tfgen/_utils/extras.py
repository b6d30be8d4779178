"""Optional dependencies: imported on first use, and named with the extra that brings them."""

import importlib
import types

__all__ = ["require"]


def require(module: str, extra: str) -> types.ModuleType:
    """The module of an optional dependency.

    Args:
        module: name as in an import statement, such as "matplotlib.pyplot".
        extra: extra of tfgen that installs it, such as "plot".

    Raises:
        ImportError: if it, or something that it needs itself, is not installed.

    Example:
        >>> require("math", extra="plot").floor(2.5)
        2
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} is not installed, and this part of tfgen needs it. Install it with "
            f"pip install 'tfgen[{extra}]'.",
            name=error.name,
        ) from error
