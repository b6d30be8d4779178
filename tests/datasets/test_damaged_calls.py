"""Calls with one argument damaged: a ValueError that names it, before anything is read."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfgen import datasets
from tfgen.datasets import load, load_volumes, split_patients, sprites

IMAGES = np.zeros((4, 8, 8, 1), "float32")
LABELS = np.arange(4)
NUMBERS = (None, "", "x", b"x", -1, 0, 10**10, 2.5, float("inf"), float("nan"), True)
OBJECTS = ((), [None], {}, object(), np.array(["a", "b"], object), np.array("x"), ("a", "b"))
ALL = (*NUMBERS, *OBJECTS)


def without(*good):
    """Every damaged value that is none of these."""
    return [v for v in ALL if not any(type(v) is type(g) and v == g for g in good)]


VOLUMES = functools.partial(load_volumes, "nowhere", kind="patches", size=4)
# Function, argument and values, each of which must be refused.
CALLS = [
    (functools.partial(load, (IMAGES, LABELS), labels=True), argument, values)
    for argument, values in {
        "split": without(),
        "batch_size": without(True, 10**10),
        "binarize": [v for v in NUMBERS if v is not None],
        "value_range": without(None),
        "image_size": without(None),
        "data_dir": without(None, "x"),
        "seed": without(0, 10**10, True),
        "shuffle": without(None, True),
        "labels": without(True),
        "drop_remainder": without(True),
        "download": without(True),
        "cache_dir": without(None),
    }.items()
]
CALLS += [(load, "source", without())]
CALLS += [(lambda images: load((images, LABELS)), "images", without())]
CALLS += [(lambda labels: load((IMAGES, labels), labels=True), "labels", without(None))]
CALLS += [
    (VOLUMES, argument, values)
    for argument, values in {
        "split": without(),
        "batch_size": without(True, 10**10),
        "kind": NUMBERS,
        "window": without(),
        "spacing": without(None, 2.5, True),
        "size": without(),
        "axis": NUMBERS,
        "num_patches": without(None),
        "min_body": without(0),
        "test_fraction": without(0),
        "split_seed": without(0, 10**10, True),
        "patient_of": without(None),
        "on_error": NUMBERS,
        "cache_dir": without(None, "x"),
        "value_range": without(),
        "seed": without(0, 10**10, True),
        "shuffle": without(None, True),
        "drop_remainder": without(True),
    }.items()
]
CALLS += [(load_volumes, "folder", without())]
CALLS += [
    (functools.partial(split_patients, ["ann", "bob"]), "split_seed", without(0, 10**10, True)),
    (functools.partial(split_patients, ["ann", "bob"]), "test_fraction", without(0)),
    (functools.partial(split_patients, test_fraction=0.5), "patients", without(("a", "b"))[:-2]),
    (functools.partial(datasets.memory_map, path="x.npy"), "dataset", without()),
    (functools.partial(datasets.memory_map, tf.data.Dataset.range(3)), "path", without()),
    (sprites.factors_of, "index", without(0, ())),
    (sprites.index_of, "factors", without()),
    (sprites.draw, "factors", [*without(), [[0, 0, 0, 0, 32]], [[0, 0, 0, 0, 2**32]]]),
    (sprites.read_sprites, "split", without()),
    (sprites.read_sprites, "image_size", without(None)),
]


@pytest.mark.parametrize("call, argument, values", CALLS)
def test_one_damaged_argument(tmp_path, monkeypatch, call, argument, values):
    monkeypatch.chdir(tmp_path)
    for value in values:
        with pytest.raises(ValueError, match="Received") as caught:
            call(**{argument: value})
        named = "source" if argument in ("images", "labels", "source") else argument
        message = str(caught.value)
        assert named in message.lower() or "folder" in message or argument in message, value


def test_a_batch_larger_than_the_data_holds_them_all():
    """And takes no more memory than they do."""
    dataset, _ = datasets.load((IMAGES, LABELS), batch_size=10**9, labels=True)
    ((images, labels),) = list(dataset)
    assert images.shape == (4, 8, 8, 1) and sorted(labels.numpy()) == [0, 1, 2, 3]
    assert dataset.smallest_batch == 4
