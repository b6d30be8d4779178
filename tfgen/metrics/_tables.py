"""Tables of scores in Markdown."""

from collections.abc import Iterable, Sequence

__all__ = ["markdown"]


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]], notes: Iterable[str]) -> str:
    """A table, and below it a list of what belongs beside it.

    Example:
        >>> print(markdown(("score", "value"), [("mig", 0.5)], ["seed: 0"]))
        | score | value |
        | --- | --- |
        | mig | 0.5 |
        <BLANKLINE>
        - seed: 0
    """
    lines = [head, ["---"] * len(head), *rows]
    table = [f"| {' | '.join(map(str, line))} |" for line in lines]
    return "\n".join([*table, "", *(f"- {note}" for note in notes)])
