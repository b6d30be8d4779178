"""Whether Keras runs a network to learn the shapes of its outputs."""

import keras

__all__ = ["is_symbolic"]


def is_symbolic() -> bool:
    """Whether this is a `keras.SymbolicScope`, where outputs have shapes and no values.

    Example:
        >>> with keras.SymbolicScope():
        ...     is_symbolic()
        True
        >>> is_symbolic()
        False
    """
    with keras.SymbolicScope() as scope:
        return scope.original_scope is not None
