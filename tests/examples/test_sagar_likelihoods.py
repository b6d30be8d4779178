"""The script of Sagar's Table 7 runs, and ranks what it measured."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        patch.setattr(sys, "argv", ["sagar_2020_likelihoods.py"])
        yield importlib.import_module("sagar_2020_likelihoods")


@pytest.fixture(scope="module")
def folder(script, tmp_path_factory):
    path = tmp_path_factory.mktemp("likelihoods")
    names = ["vae", "planar-10", "table-7"]
    script.main(["--smoke", "--run", *names, "--output-dir", str(path)])
    return path / "digits-smoke"


def results(folder):
    loaded = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {name: result[0]["metrics"] for name, result in loaded.items()}


def test_bounds_are_in_order(folder):
    for name in ("vae", "planar-10"):
        row = results(folder)[name]
        # Over other images, of which there are 20 and 360: five standard errors of the 20.
        assert row["nll_200"] < -row["elbo"] + 5 * row["nll_200_se"]
        assert row["nll_5000"] < row["nll_200_same"] + 0.2  # 20 draws against groups of 10.
        assert row["epochs"] == 1


def test_table_is_ranked(folder):
    lines = (folder / "table-7" / "seed_0" / "table_7.md").read_text(encoding="utf-8").splitlines()
    names = [line.split(" | ")[0].strip("| ") for line in lines[2:]]
    values = [results(folder)[name]["nll_200"] for name in names]
    assert len(names) == 2 and np.all(np.diff(values) >= 0)
    assert (folder / "table-7" / "seed_0" / "table_7.png").exists()


def test_every_system_of_the_paper_is_there(script):
    bounds = {e.paper["bound"] for e in script.EXPERIMENTS if e.paper}
    assert bounds == {-85.1, -88.3, -84.1, -81.3, -79.9, -80.8}  # Without the paper's own model.
