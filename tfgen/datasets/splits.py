"""Splits of a data set by name and slice, in the syntax of tensorflow_datasets."""

import types
from collections.abc import Mapping

import numpy as np

from tfgen._utils import extras

__all__ = ["check_split", "hold_out", "select", "unsplit"]

_TEST_SHARE = 0.1


def select(splits: Mapping[str, np.ndarray], split: str) -> np.ndarray:
    """Positions of the examples that a split names.

    Args:
        splits: dict from a split's name to the positions of its examples, int array.
        split: str such as "train", "train[:90%]", "train[100:200]+test" or "all", which is every
            example in the order in which the source holds them.

    Returns:
        int array, shape (num_examples,).

    Raises:
        ValueError: if no such split exists, or the slice does not fit or is empty.

    Example:
        >>> select({"train": np.arange(8), "test": np.arange(8, 10)}, "train[75%:]+test[:1]")
        array([6, 7, 8])
    """
    check_split(split)
    if split == "all":
        return np.unique(np.concatenate(list(splits.values())))
    if split in splits:
        return _check_not_empty(splits[split], split)
    parts = [splits[part.splitname][part.from_ : part.to] for part in _parse(splits, split)]
    return _check_not_empty(np.concatenate(parts), split)


def hold_out(num_examples: int) -> dict[str, np.ndarray]:
    """Positions of the splits of a data set without any: "test" is a random tenth, always the same.

    Example:
        >>> [len(positions) for positions in hold_out(40).values()]
        [36, 4]
    """
    positions, num_test = _shuffled(num_examples), int(_TEST_SHARE * num_examples)
    return {"train": positions[num_test:], "test": positions[:num_test]}


def unsplit(num_examples: int) -> dict[str, np.ndarray]:
    """Positions of the splits of data that have one: "train", and the same in a random order.

    The order of "train_shuffled" is always the same: slices of it have no example in common, and
    are alike also where the data are sorted.

    Example:
        >>> {name: len(positions) for name, positions in unsplit(40).items()}
        {'train': 40, 'train_shuffled': 40}
    """
    return {"train": np.arange(num_examples), "train_shuffled": _shuffled(num_examples)}


def _shuffled(num_examples):
    """All positions in a random order, always the same."""
    return np.random.default_rng(0).permutation(num_examples)


def check_split(split: str) -> None:
    """Raises ValueError unless the name of a split is a text."""
    if not isinstance(split, str):
        raise ValueError(
            f"split must be a str such as 'train' or 'train[:90%]'. Received: split={split!r}. "
            "Use 'all' for every image."
        )


def _parse(splits, split):
    """List of slices, each with `splitname`, `from_` and `to`."""
    tfds = extras.require("tensorflow_datasets", extra="data")
    sizes = {name: types.SimpleNamespace(num_examples=len(splits[name])) for name in splits}
    try:
        return tfds.core.ReadInstruction.from_spec(split).to_absolute(sizes)
    except (ValueError, AssertionError) as error:
        known = {name: size.num_examples for name, size in sizes.items()}
        raise ValueError(
            f"No such split. Expected one of {['all', *known]}, or slices such as 'train[:90%]', "
            f"of splits with these numbers of examples: {known}. Received: split={split!r}. "
            "A source without a test split can be sliced: 'train[:90%]' and 'train[90%:]'."
        ) from error


def _check_not_empty(positions, split):
    if len(positions) == 0:
        raise ValueError(
            f"The split has no examples. Received: split={split!r}. "
            "Choose a slice that holds at least one."
        )
    return positions
