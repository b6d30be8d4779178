"""What is missing is never seen, and scores are of it alone."""

import json
import types

import numpy as np
import pytest


@pytest.fixture
def script(load_script):
    return load_script("mattei_2019_missing_data")


def run_of(script, folder):
    args = types.SimpleNamespace(dataset="digits", data_dir=None, smoke=True)
    folder.mkdir(exist_ok=True)
    return script.paper_script.Run(args, folder, seed=0)


def test_half_the_pixels_are_missing_in_both_splits(script, tmp_path):
    masks = [script.load_arrays(run_of(script, tmp_path), split)[1] for split in ("train", "test")]
    for mask in masks:
        assert abs(mask.mean() - 0.5) < 5 * 0.5 / np.sqrt(mask.size)  # Five standard errors.
    assert not np.array_equal(masks[0][:20], masks[1][:20])


def test_scores_are_of_missing_pixels_alone(script, tmp_path):
    """One that is right where pixels are missing, and wrong elsewhere; and one half sure."""
    run = run_of(script, tmp_path)
    perfect = script.scores(run, lambda x, mask: np.where(mask > 0, 1 - x, x))
    assert perfect == {"cross_entropy": pytest.approx(1e-4, rel=1e-3), "error": 0}
    unsure = script.scores(run, lambda x, mask: np.full_like(x, 0.5))
    assert unsure["cross_entropy"] == pytest.approx(np.log(2), rel=1e-6)


def test_pixel_means(script, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mattei_2019_missing_data.py"])
    flags = ["--smoke", "--run", "pixel-means", "--output-dir", str(tmp_path)]
    script.main(flags)
    result = tmp_path / "digits-smoke/pixel-means/seed_0/result.json"
    metrics = json.loads(result.read_text(encoding="utf-8"))["metrics"]
    assert metrics["cross_entropy"] < np.log(2)
    assert 0 < metrics["error"] < 0.5
    assert result.with_name("imputed.png").exists()
