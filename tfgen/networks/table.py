"""The head of a decoder of tables."""

import functools
import itertools
import numbers
from collections.abc import Sequence
from typing import Any, Protocol

from tfgen import layers
from tfgen._utils.tensors import check_callables
from tfgen.layers.distribution_lambda import ParametricDistribution
from tfgen.layers.independent import IndependentLayer
from tfgen.networks._blocks import Head

__all__ = ["table_head"]


class HasKind(Protocol):
    """A column, such as those of `tfgen.datasets.TableInfo`."""

    @property
    def kind(self) -> str:
        """One of "number", "class" and "count"."""

    @property
    def width(self) -> int:
        """How many numbers the column takes."""


def table_head(
    columns: Sequence[HasKind],
    number: Head = layers.IndependentNormal,
    count: Head = layers.IndependentNegativeBinomial,
) -> Any:
    """The head of a decoder of rows with columns of several kinds.

    Args:
        columns: those of `datasets.load_table`'s info, or objects with `kind` and `width`.
        number: callable from an event shape to the layer of columns of numbers; for numbers of
            several modes `functools.partial(layers.MixtureNormal, 5)`, which takes one at a time.
        count: callable from an event shape to the layer of columns of counts.

    Returns:
        `head=` of a decoder, such as `mlp_decoder`: a callable from the shape of a row to a
        `layers.Blockwise`, whose classes are one-hot vectors.

    Raises:
        ValueError: if a column is of another kind or width; when a decoder is built, if `number` or
            `count` makes no layer of an event shape.

    Example:
        >>> from tfgen import datasets, networks
        >>> rows = [[0.1, 3, 0], [0.7, 0, 1], [0.2, 5, 1]]
        >>> _, info = datasets.load_table(rows, kinds={"1": "count", "2": "class"})
        >>> head = table_head(info.columns)
        >>> networks.mlp_decoder(info.data_shape, 2, head=head).output_shape
        (None, 4)
    """
    _check_columns(columns)
    check_callables("a distribution layer's class", number=number, count=count)
    heads = {"number": number, "class": layers.OneHotCategorical, "count": count}
    return functools.partial(_head, columns=tuple(columns), heads=heads)


def _head(event_shape, columns, heads):
    """Layers of its own for each network: what one of them trains belongs to no other."""
    parts = [
        part
        for kind, group in itertools.groupby(columns, lambda column: column.kind)
        for part in _parts(kind, heads[kind], [column.width for column in group])
    ]
    return layers.Blockwise(event_shape, parts)


def _check_columns(columns):
    """Raises ValueError unless these are columns."""
    kinds = ("number", "class", "count")
    are_columns = isinstance(columns, Sequence) and all(
        getattr(column, "kind", None) in kinds and _is_width(getattr(column, "width", None))
        for column in columns
    )
    if not are_columns or not columns:
        raise ValueError(
            f"columns must be those of a table, each with a width and a kind, one of {kinds}. "
            f"Received: columns={columns!r}. Give info.columns of datasets.load_table."
        )


def _is_width(width):
    return isinstance(width, numbers.Integral) and int(width) >= 1


def _parts(kind, head, widths):
    """One layer of columns side by side, if it makes them independent; else one for each."""
    together = None if head is layers.OneHotCategorical else head(sum(widths))
    is_one = isinstance(together, IndependentLayer)
    parts = [together] if is_one else [head(width) for width in widths]
    for part in parts:
        if not isinstance(part, ParametricDistribution):
            raise ValueError(
                f"{kind} must be a callable from an event shape to a distribution layer, such as "
                f"layers.IndependentNormal. Received: {kind}={head!r}, which made {part!r}."
            )
    return parts
