"""The script of Sagar's Table 7 runs rows of the benchmark, and ranks what they measured."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # All rows of the table are trained.
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        patch.setattr(sys, "argv", ["sagar_2020_likelihoods.py"])
        yield importlib.import_module("sagar_2020_likelihoods")


@pytest.fixture(scope="module")
def folder(script, tmp_path_factory):
    path = tmp_path_factory.mktemp("likelihoods") / "table_7"
    script.main(["--smoke", "--output-dir", str(path)])
    return path / "digits-smoke"


def metrics_of(folder, name):
    path = folder / name / "seed_0" / "result.json"
    return json.loads(path.read_text(encoding="utf-8"))["metrics"]


@pytest.mark.slow
def test_table_is_ranked(folder):
    lines = (folder / "table-7" / "seed_0" / "table_7.md").read_text(encoding="utf-8").splitlines()
    names = [line.split(" | ")[0].strip("| ") for line in lines[2:]]
    values = [metrics_of(folder, "table-7")[f"nll_200_{name}"] for name in names]
    assert sorted(names) == ["planar-10", "vae"] and np.all(np.diff(values) >= 0)
    assert (folder / "table-7" / "seed_0" / "table_7.png").exists()


def test_models_are_compared_on_the_same_images(script, folder):
    results = folder.parents[1] / "benchmark" / "digits-smoke"
    folders = {name: results / name / "seed_0" for name in ("vae", "planar-10")}
    means = {n: np.load(f / "nlls_200.npy").mean(dtype="float64") for n, f in folders.items()}
    text = script.benchmark_page.minus_the_vaes(script.nlls_of(folders))["planar-10"]
    assert text.startswith(f"{means['planar-10'] - means['vae']:+.2f} ± ")


def test_annealing_takes_the_vae_that_was_trained(folder):
    values = metrics_of(folder, "annealing")
    gain = values["nll_5000"] - values["annealed_8"]
    assert values["annealed_8_gain"] == pytest.approx(gain, abs=1e-4)


def test_what_is_done_is_ranked_without_training(script, folder, capsys):
    path = folder.parents[1] / "table_7"
    script.main(["--smoke", "--done", "--output-dir", str(path)])
    whole = (folder / "table-7" / "seed_0" / "table_7.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == whole.strip()
    numbers = json.loads(
        (path / "digits-smoke" / "table-7-done" / "table_7.json").read_text("utf-8")
    )
    for name, row in numbers["rows"].items():
        assert row["nll_200"] == metrics_of(folder, "table-7")[f"nll_200_{name}"]


def test_every_system_of_the_paper_is_there(script):
    bounds = {bound for bound in script.SYSTEMS.values() if bound}
    assert bounds == {-85.1, -88.3, -84.1, -81.3, -79.9, -80.8}  # Without the paper's own model.
