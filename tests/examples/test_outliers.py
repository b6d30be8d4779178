"""The script that finds outliers."""

import json

import numpy as np
import pytest


@pytest.fixture
def script(load_script):
    return load_script("outliers")


@pytest.mark.slow
def test_smoke(script, tmp_path):
    script.main(["--smoke", "--output-dir", str(tmp_path)])
    folder = tmp_path / "digits-smoke"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert set(results) == {experiment.name for experiment in script.EXPERIMENTS}
    # Two epochs are enough to tell malignant tumours from benign ones.
    assert results["breast-cancer"][0]["metrics"]["nll: auroc"] > 0.9
    assert (folder / "mnist-then-fashion" / "seed_0" / "scores.png").exists()


def test_auroc_is_the_share_of_pairs(script):
    inside, outside = np.array([1.0, 2.0, 3.0]), np.array([2.5, 4.0])
    assert script.auroc(inside, outside) == pytest.approx(5 / 6)


def test_scikit_learns_scores_grow_away_from_the_data(script):
    rng = np.random.default_rng(0)
    train, inside = rng.normal(size=(2, 200, 4)) * [1, 1, 0.1, 0.1]
    values = script.of_scikit_learn(train, inside, 5 * rng.normal(size=(200, 4)), seed=0)
    assert min(values.values()) > 0.8


def test_rows_are_split_once_and_for_all(script):
    x = np.arange(100)
    (train, _), (test, labels) = script.split_rows(x, x % 2)
    assert sorted([*train, *test]) == list(x) and 60 < len(train) < 80
    assert np.array_equal(labels, test % 2)
