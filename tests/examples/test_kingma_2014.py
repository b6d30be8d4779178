"""The script of semi-supervised learning."""

import json

import numpy as np
import pytest


@pytest.fixture
def script(load_script):
    return load_script("kingma_2014_semi_supervised")


@pytest.mark.slow
def test_smoke(script, tmp_path):
    script.main(["--smoke", "--output-dir", str(tmp_path)])
    folder = tmp_path / "digits-smoke"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for name in ("supervised", "m1", "m1-m2", "m2"):
        assert 0.4 < results[name][0]["metrics"]["accuracy"] <= 1
    assert results["m2"][0]["metrics"]["elbo"] < 0
    assert (folder / "m2" / "seed_0" / "samples.png").exists()


def test_as_many_of_each_class_are_labelled(script):
    y = np.random.default_rng(0).integers(10, size=500)
    rows, others = (script.choose_labelled(y, 3, seed) for seed in (0, 1))
    assert list(y[rows]) == list(np.repeat(np.arange(10), 3))
    assert len(set(rows)) == 30 and set(rows) != set(others)
