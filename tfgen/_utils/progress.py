"""Progress bars, which keep quiet where nobody watches."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import keras

__all__ = ["ProgressBar", "with_progress"]

_Step = TypeVar("_Step")
# Lines that a bar writes to what is no terminal, such as the log of a job.
LINES = 10


class ProgressBar:
    """A bar of Keras on a terminal; elsewhere one line for each tenth of the work.

    Args:
        num_steps: int, all there is to do, or None where it is not known.
        verbose: bool, whether to show anything.

    Example:
        >>> bar = ProgressBar(1000, verbose=False)
        >>> bar.add(100)
    """

    def __init__(self, num_steps: int | None, verbose: bool = True) -> None:
        self._num_steps, self._done, self._start = num_steps, 0, time.monotonic()
        watched = sys.stdout.isatty() or "ipykernel" in sys.modules
        self._show = self._line if not watched else keras.utils.Progbar(num_steps).update
        self._verbose, self._every_step = bool(verbose), watched

    def add(self, num_steps: int) -> None:
        """Says that so many more steps are done."""
        before, self._done = self._done, self._done + num_steps
        due = self._every_step or self._number(self._done) > self._number(before)
        if self._verbose and due:
            self._show(self._done)

    def _number(self, done):
        """Of the line that is due; a line for each power of two where the end is not known."""
        return LINES * done // self._num_steps if self._num_steps else done.bit_length()

    def _line(self, done):
        seconds = time.monotonic() - self._start
        left = seconds * ((self._num_steps or done) / done - 1)
        rest = f", about {left:.0f} s left" if left else ""
        print(f"{done}/{self._num_steps or 'unknown'} after {seconds:.0f} s{rest}", flush=True)


def with_progress(
    steps: Iterable[_Step], num_steps: int | None, patience: float = 5.0
) -> Iterator[_Step]:
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
    start, waiting = time.monotonic(), 0
    bar = None
    for step in steps:
        yield step
        waiting += 1
        if bar is None and time.monotonic() - start > patience:
            bar = ProgressBar(num_steps)
        if bar is not None:
            bar.add(waiting)
            waiting = 0
