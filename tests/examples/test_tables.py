"""The script that judges samples of tables."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_wine


@pytest.fixture
def script(load_script):
    return load_script("tables")


@pytest.mark.slow
def test_smoke(script, tmp_path):
    script.main(["--smoke", "--output-dir", str(tmp_path)])
    folder = tmp_path / "digits-smoke"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert set(results) == {"breast-cancer", "wine"}
    for name, [result] in results.items():
        assert result["metrics"]["forest: on data"] > 0.9
        assert (folder / name / "seed_0" / "correlations.png").exists()


def test_rows_are_split_and_standardized_by_the_training_rows(script):
    (x, y), (test, truth), info = script.rows_of(load_wine(as_frame=True).frame, seed=0)
    assert (len(x), len(test), info.data_shape) == (124, 54, (13,))
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1.0, atol=1e-5)
    assert set(y) == set(truth) == {0, 1, 2}


def test_scores_of_training_rows_and_of_noise(script):
    train, test, _ = script.rows_of(load_wine(as_frame=True).frame, seed=0)
    copied = script.scores(train, train, test)
    assert copied["forest: on samples"] == copied["forest: on data"] > 0.9
    assert copied["correlation: of samples"] == 0.0 < copied["correlation: of test rows"]
    assert copied["nearer to training"] == 1.0
    noise = np.random.default_rng(0).normal(size=train[0].shape), train[1]
    found = script.scores(noise, train, test)
    assert found["forest: on samples"] < 0.8
    # Thirteen columns of noise have correlations of about 0.1, and the data's differ by more.
    assert found["correlation: of samples"] > 2 * found["correlation: of test rows"]
