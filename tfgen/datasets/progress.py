"""A progress bar for work that turns out to take long."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import keras

__all__ = ["with_progress"]

_Step = TypeVar("_Step")


def with_progress(steps: Iterable[_Step], num_steps: int, patience: float = 5.0) -> Iterator[_Step]:
    """Passes `steps` on, with a progress bar once they have taken a while.

    Args:
        steps: iterable.
        num_steps: int, how many steps there are.
        patience: float >= 0, seconds without a bar.

    Yields:
        The steps.

    Example:
        >>> list(with_progress("abc", num_steps=3))
        ['a', 'b', 'c']
    """
    start = time.monotonic()
    bar = None
    for count, step in enumerate(steps, start=1):
        yield step
        if bar is None and time.monotonic() - start > patience:
            bar = keras.utils.Progbar(num_steps)
        if bar is not None:
            bar.update(count)
