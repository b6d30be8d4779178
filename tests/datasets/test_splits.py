"""Splits by name and slice."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import datasets
from tfgen.datasets.splits import select, unsplit

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


def test_shuffled_slices_of_sorted_data_are_alike():
    splits = unsplit(1000)
    train = select(splits, "train_shuffled[:90%]")
    test = select(splits, "train_shuffled[90%:]")
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(1000))
    np.testing.assert_array_equal(select(splits, "all"), np.arange(1000))
    np.testing.assert_array_equal(unsplit(1000)["train_shuffled"], splits["train_shuffled"])
    # The mean place of 100 of them has a standard error of 29.
    assert abs(test.mean() - 500) < 5 * 29


@pytest.mark.parametrize("kind", ["array", "folder", "table"])
def test_data_without_splits_can_be_shuffled(kind, tmp_path):
    images = np.repeat(np.arange(40, dtype="uint8"), 4).reshape(40, 2, 2, 1)
    classes = np.repeat([0, 1], 20)
    options = dict(batch_size=40, shuffle=False)
    if kind == "table":
        rows = [f"{image.mean()},{number}" for image, number in zip(images, classes, strict=True)]
        (tmp_path / "rows.csv").write_text("\n".join(["pixel,class", *rows]), encoding="utf-8")
        options["label"] = "class"
        data, info = datasets.load_table(tmp_path / "rows.csv", "train_shuffled[50%:]", **options)
    else:
        source = (images, classes) if kind == "array" else _folder(tmp_path, images, classes)
        data, info = datasets.load(source, "train_shuffled[50%:]", labels=True, **options)
    assert info.num_examples == 20
    _, labels = next(iter(data))
    assert set(np.asarray(labels)) == {0, 1}


def _folder(path, images, classes):
    for i, (image, number) in enumerate(zip(images, classes, strict=True)):
        tf.io.write_file(str(path / str(number) / f"{i}.png"), tf.io.encode_png(image))
    return path
