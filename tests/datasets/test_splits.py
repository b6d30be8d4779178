"""Splits by name and slice."""

import numpy as np
import pytest

from tfgen.datasets.splits import select

SPLITS = {"train": np.array([5, 0, 3, 1, 4, 7, 8, 9]), "test": np.array([6, 2])}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", [5, 0, 3, 1, 4, 7, 8, 9]),
        ("test", [6, 2]),
        ("train[:3]", [5, 0, 3]),
        ("train[-2:]", [8, 9]),
        ("train[:50%]", [5, 0, 3, 1]),
        ("train[75%:]", [8, 9]),
        ("test+train[1:2]", [6, 2, 0]),
        ("all", list(range(10))),
    ],
)
def test_slices(split, expected):
    np.testing.assert_array_equal(select(SPLITS, split), expected)


@pytest.mark.parametrize("split", ["validation", "train[:9]", "train[", ""])
def test_unknown_splits_name_the_known_ones(split):
    with pytest.raises(ValueError, match=r"'train': 8, 'test': 2.*Received: split="):
        select(SPLITS, split)


def test_empty_slices_are_refused():
    with pytest.raises(ValueError, match=r"no examples. Received: split='train\[3:3\]'"):
        select(SPLITS, "train[3:3]")
